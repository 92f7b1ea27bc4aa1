"""Files of every format, Pillow images and arrays → the picture that they hold."""

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, features

from fursure.drawings.draw import draw
from fursure.errors import BadImage
from fursure.photos.decode import Limits, decode, from_array, from_pil, jpeg_decoder

PHOTO = draw("cat", seed=3)
GREY = PHOTO.convert("L").convert("RGB")


def encoded(format_: str, image: Image.Image = PHOTO, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def heic(image: Image.Image, **options: Any) -> bytes:
    """Return an image as an iPhone stores it, or skip."""
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=90, **options)
    return buffer.getvalue()


def distance(image: Image.Image, reference: Image.Image) -> float:
    """Return the mean absolute difference, in grey levels."""
    assert image.mode == "RGB"
    pair = [np.asarray(one, dtype=np.int16) for one in (image, reference)]
    return float(np.abs(pair[0] - pair[1]).mean())


# Formats


@pytest.mark.parametrize(
    ("format_", "options", "bound"),
    [
        ("JPEG", {"quality": 95}, 4),
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 90}, 4),
        ("AVIF", {"quality": 90}, 4),
        ("GIF", {}, 12),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("TIFF", {"compression": "tiff_adobe_deflate"}, 0),
        ("TIFF", {"compression": "jpeg", "quality": 95}, 4),
        ("TIFF", {"big_tiff": True}, 0),
    ],
)
def test_each_format_decodes_to_the_picture_that_was_saved(
    format_: str, options: dict[str, Any], bound: float
) -> None:
    if format_ == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    photo = decode(encoded(format_, **options))
    assert (photo.format, photo.width, photo.height, photo.frames) == (format_, 256, 256, 1)
    assert distance(photo.image, PHOTO) <= bound


@pytest.mark.long
@pytest.mark.parametrize("format_", ["PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "HEIF"])
def test_a_large_photo_of_any_format_is_reduced_as_a_jpeg_is(format_: str) -> None:
    if format_ == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    large = PHOTO.resize((1100, 1300))
    data = heic(large) if format_ == "HEIF" else encoded(format_, large)
    photo, jpeg = decode(data), decode(encoded("JPEG", large, quality=95))
    assert (photo.width, photo.height, photo.format) == (1100, 1300, format_)
    assert photo.image.size == jpeg.image.size == (275, 325)
    assert distance(photo.image, jpeg.image) < 6
    assert decode(data, min_side=600).image.size == (1100, 1300)


def test_a_reduced_pixel_is_the_mean_of_those_it_replaces() -> None:
    pixels_HW3 = np.random.default_rng(0).integers(0, 256, (1026, 1032, 3), dtype=np.uint8)
    photo = decode(encoded("PNG", Image.fromarray(pixels_HW3)))
    means_hw3 = pixels_HW3[:1024].reshape(256, 4, 258, 4, 3).mean(axis=(1, 3))
    assert photo.image.size == (258, 257)  # the last row is the mean of the two that are left
    assert np.abs(np.asarray(photo.image)[:256] - means_hw3).max() <= 0.5


def test_a_large_photo_lying_on_its_side_is_reduced_and_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    large = PHOTO.crop((0, 0, 256, 128)).resize((2048, 1024))
    photo = decode(encoded("PNG", large, exif=exif))
    assert (photo.width, photo.height, photo.image.size) == (1024, 2048, (256, 512))


def test_images_from_memory_keep_their_size() -> None:
    assert from_pil(PHOTO.resize((1100, 1300))).image.size == (1100, 1300)
    assert from_array(np.zeros((1300, 1100), np.uint8)).image.size == (1100, 1300)


def test_an_iphone_photo_decodes_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = PHOTO.crop((0, 0, 256, 128))
    photo = decode(heic(lying, exif=exif.tobytes()))
    assert (photo.format, photo.width, photo.height) == ("HEIF", 128, 256)
    assert distance(photo.image, lying.transpose(Image.Transpose.ROTATE_270)) < 4


def test_an_iphone_photo_names_the_extra_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    photo = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    with pytest.raises(BadImage, match=r"HEIC photo; run: pip install 'fursure\[heic\]'"):
        decode(photo)


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_an_animation_gives_its_first_frame_and_their_number(format_: str) -> None:
    if format_ == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    frames = [draw("cat", seed, size=64) for seed in range(3)]
    data = encoded(format_, frames[0], save_all=True, append_images=frames[1:])
    photo = decode(data)
    assert photo.frames == 3
    assert distance(photo.image, frames[0]) < 12 < distance(photo.image, frames[1])


# Images and arrays from memory


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "CMYK", "YCbCr", "1", "I", "F"])
def test_a_pillow_image_of_any_mode_becomes_rgb(mode: str) -> None:
    photo = from_pil(PHOTO.convert(mode))
    assert photo.image.mode == "RGB"
    assert (photo.width, photo.height, photo.format, photo.frames) == (256, 256, "memory", 1)


def test_a_pillow_image_is_left_as_it_was() -> None:
    image = PHOTO.copy()
    photo = from_pil(image)
    photo.image.paste((0, 0, 0), (0, 0, 256, 256))
    assert image.tobytes() == PHOTO.tobytes()


def test_a_pillow_image_that_is_truncated_or_too_large_is_refused() -> None:
    with pytest.raises(BadImage, match="cat: damaged or truncated image"):
        from_pil(Image.open(io.BytesIO(encoded("PNG")[:5000])), name="cat")
    with pytest.raises(BadImage, match=r"256 × 256 pixels; the limit is 0.05 megapixels"):
        from_pil(PHOTO, limits=Limits(pixels=50_000))


def test_arrays_of_grey_rgb_and_rgba_are_photos() -> None:
    pixels_HWC = np.asarray(PHOTO)
    assert from_array(pixels_HWC).image.tobytes() == PHOTO.tobytes()
    assert from_array(pixels_HWC[::2, ::-1]).image.size == (256, 128)
    grey_HW = np.asarray(PHOTO.convert("L"))
    assert from_array(grey_HW).image.tobytes() == GREY.tobytes()
    clear_HWC = np.zeros((4, 6, 4), dtype=np.uint8)
    assert from_array(clear_HWC).image.getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((3, 8, 8), np.float32), r"float32 with shape \(3, 8, 8\)"),
        (np.zeros((8, 8, 3), np.int64), r"int64 with shape \(8, 8, 3\)"),
        (np.zeros((8, 8, 2), np.uint8), r"uint8 with shape \(8, 8, 2\)"),
        (np.zeros((0, 8, 3), np.uint8), r"uint8 with shape \(0, 8, 3\)"),
        (np.zeros(8, np.uint8), r"uint8 with shape \(8,\)"),
    ],
)
def test_another_array_is_refused_by_its_type_and_shape(array: NDArray[Any], found: str) -> None:
    with pytest.raises(BadImage, match=f"array: an array of {found}; needed is uint8"):
        from_array(array)


# The module itself


def test_many_threads_decode_the_same_as_one() -> None:
    files = [
        encoded("JPEG"),
        encoded("PNG"),
        encoded("TIFF"),
        encoded("JPEG", progressive=True),
    ] * 20
    jpeg_decoder.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        together = [photo.image.tobytes() for photo in pool.map(decode, files)]
    assert together == [decode(data).image.tobytes() for data in files]


def test_importing_the_decoder_loads_pillow_and_numpy_alone() -> None:
    heavy = ["simplejpeg", "pillow_heif", "torch", "scipy", "onnxruntime"]
    code = f"import sys, fursure.photos.decode; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_a_refusal_carries_the_name_it_was_given() -> None:
    with pytest.raises(BadImage) as refusal:
        decode(encoded("PNG")[:-1], name="cats/tom.jpg")
    assert refusal.value.name == "cats/tom.jpg"
    assert str(refusal.value) == f"cats/tom.jpg: {refusal.value.reason}"
