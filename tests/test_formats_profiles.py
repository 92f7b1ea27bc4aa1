"""Colour profiles: what the numbers of a photo look like is what counts."""

import io
import sys
from typing import Any

import numpy as np
import pytest
from handmade import (
    PROPHOTO,
    TO_XYZ,
    grey_profile,
    linear,
    matrix_profile,
    table_profile,
)
from PIL import Image, ImageCms, features

import fursure
from fursure.drawings.draw import draw
from fursure.photos.decode import decode, from_pil, jpeg_decoder
from fursure.pixels import profile as profile_module

PHOTO = draw("cat", seed=4)
VALUES_HWC = np.asarray(PHOTO) / 255
LOSSLESS = {"WEBP": {"lossless": True}}
WIDE = matrix_profile(PROPHOTO, 1.8)


def encoded(format_: str, image: Image.Image = PHOTO, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def distance(image: Image.Image, reference: Image.Image = PHOTO) -> float:
    """Return the mean absolute difference, in grey levels."""
    assert image.mode == "RGB"
    pair = [np.asarray(one, dtype=np.int16) for one in (image, reference)]
    return float(np.abs(pair[0] - pair[1]).mean())


def image_of(values_HWC: np.ndarray[Any, Any], mode: str = "RGB") -> Image.Image:
    levels = (values_HWC * 255).round().clip(0, 255).astype(np.uint8)
    return Image.frombytes(mode, PHOTO.size, levels.tobytes())


def in_prophoto() -> Image.Image:
    """Return the photo's colours by ProPhoto's numbers, by the textbook's formula."""
    light_HWC = linear(VALUES_HWC) @ TO_XYZ.T @ np.linalg.inv(PROPHOTO).T
    return image_of(light_HWC.clip(0, 1) ** (1 / 1.8))


@pytest.mark.parametrize("format_", ["PNG", "WEBP", "TIFF", "JPEG", "AVIF"])
def test_a_wide_gamut_photo_looks_like_the_original(format_: str) -> None:
    if format_ == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    options = LOSSLESS.get(format_, {"quality": 97} if format_ in {"JPEG", "AVIF"} else {})
    plain = encoded(format_, in_prophoto(), **options)
    tagged = encoded(format_, in_prophoto(), icc_profile=WIDE, **options)
    bound = 5 if format_ in {"JPEG", "AVIF"} else 1.5
    for photo in (decode(tagged), from_pil(Image.open(io.BytesIO(tagged)))):
        assert distance(photo.image) < bound
    assert distance(decode(plain).image) > 15


def test_a_wide_gamut_photo_is_answered_as_the_original() -> None:
    lossy = {"quality": 95, "subsampling": 0}  # halved colours cost more than any profile
    pictures = [
        encoded("PNG", in_prophoto(), icc_profile=WIDE),
        encoded("JPEG", in_prophoto(), icc_profile=WIDE, **lossy),
    ]
    original, *wide = fursure.load().predict([PHOTO, *pictures])
    for one in wide:
        assert one.answer == original.answer
        assert one.probabilities == pytest.approx(original.probabilities, abs=0.02)


def test_an_iphone_photo_in_its_own_colours_looks_like_the_original() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    image = in_prophoto()
    image.info["icc_profile"] = WIDE
    pillow_heif.from_pillow(image).save(buffer, quality=95)
    assert distance(decode(buffer.getvalue()).image) < 5


def test_both_jpeg_decoders_see_the_same_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    large = in_prophoto().resize((700, 600))
    data = encoded("JPEG", large, icc_profile=WIDE)
    jpeg_decoder.cache_clear()
    before = decode(data).image
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    jpeg_decoder.cache_clear()
    assert jpeg_decoder() == "pillow"
    after = decode(data).image
    monkeypatch.undo()
    jpeg_decoder.cache_clear()
    assert before.size == (350, 300)
    assert before.tobytes() == after.tobytes()
    assert distance(before, PHOTO.resize((350, 300))) < 5


def test_channels_that_mean_something_else_are_understood() -> None:
    # As in jpegli's XYB files: components named R, G and B that hold other things, and a table
    # in the profile that says what. Here they are turned over, and in another order.
    stored = Image.merge(
        "RGB", [channel.point(lambda v: 255 - v) for channel in PHOTO.split()[::-1]]
    )
    profile = table_profile(b"RGB ", lambda values: 1 - values[:, ::-1])
    data = encoded("JPEG", stored, keep_rgb=True, quality=97, icc_profile=profile)
    assert distance(decode(data).image) < 5


def test_a_profile_in_many_pieces_is_put_together() -> None:
    profile = table_profile(b"RGB ", lambda values: values[:, ::-1], steps=33)
    stored = Image.merge("RGB", PHOTO.split()[::-1])
    data = encoded("JPEG", stored, quality=97, icc_profile=profile)
    assert data.count(b"ICC_PROFILE\0") > 3
    assert distance(decode(data).image) < 5


def ink(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return what cyan, magenta, yellow and black look like on a press that prints too dark."""
    return np.asarray(((1 - values[:, :3]) * (1 - values[:, 3:])) ** 2)


@pytest.mark.parametrize("format_", ["JPEG", "TIFF"])
def test_a_photo_for_the_press_follows_its_profile(format_: str) -> None:
    inks_HWC = np.concatenate([1 - VALUES_HWC**0.5, np.zeros((*PHOTO.size[::-1], 1))], axis=-1)
    options = {"quality": 97} if format_ == "JPEG" else {}
    profile = table_profile(b"CMYK", ink, steps=11)
    tagged = encoded(format_, image_of(inks_HWC, "CMYK"), icc_profile=profile, **options)
    plain = encoded(format_, image_of(inks_HWC, "CMYK"), **options)
    assert distance(decode(tagged).image) < 6
    assert distance(decode(plain).image, image_of(VALUES_HWC**0.5)) < 4


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_greys_follow_a_profile_of_greys(mode: str) -> None:
    grey_HW = np.asarray(PHOTO.convert("L")) / 255
    stored = image_of(linear(grey_HW), "L").convert(mode)  # Gamma 1: the light itself
    photo = decode(encoded("PNG", stored, icc_profile=grey_profile(1.0)))
    assert distance(photo.image, PHOTO.convert("L").convert("RGB")) < 1.5


def test_greys_beside_the_profile_of_a_screen_stay_grey() -> None:
    photo = decode(encoded("JPEG", PHOTO.convert("L"), icc_profile=WIDE))
    red, green, blue = photo.image.split()
    assert (
        max(distance(Image.merge("RGB", [one] * 3), photo.image) for one in (red, green, blue)) < 1
    )
    plain = decode(encoded("JPEG", PHOTO.convert("L")))
    assert distance(photo.image, plain.image) > 4


@pytest.mark.parametrize("lossy", [False, True])
def test_srgb_however_it_is_spelled_changes_no_pixel(lossy: bool) -> None:
    format_ = "JPEG" if lossy else "PNG"
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    as_table = table_profile(b"RGB ", lambda values: values, steps=33)
    plain = decode(encoded(format_)).image.tobytes()
    for profile in (own, as_table):
        assert decode(encoded(format_, icc_profile=profile)).image.tobytes() == plain


def test_a_profile_is_understood_once(monkeypatch: pytest.MonkeyPatch) -> None:
    profile_module._transform.cache_clear()
    data = encoded("JPEG", icc_profile=WIDE)
    for _ in range(5):
        decode(data)
    assert profile_module._transform.cache_info().misses == 1


@pytest.mark.parametrize(
    "profile",
    [
        WIDE[:200],
        WIDE[:12] + b"link" + WIDE[16:],
        WIDE[:12] + b"nmcl" + WIDE[16:],
        WIDE[:16] + b"CMYK" + WIDE[20:],
        WIDE[:16] + b"GRAY" + WIDE[20:],
        WIDE[:36] + b"none" + WIDE[40:],
        WIDE[:132] + bytes(len(WIDE) - 132),
        b"\0\0\0\x04",
        bytes(200),
        WIDE + bytes(5 * 2**20),
    ],
    ids=["cut", "link", "names", "inks", "greys", "magic", "zeros", "four bytes", "empty", "huge"],
)
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF"])
def test_a_profile_that_is_broken_or_of_another_kind_is_passed_over(
    profile: bytes, format_: str
) -> None:
    assert (
        decode(encoded(format_, icc_profile=profile)).image.tobytes()
        == decode(encoded(format_)).image.tobytes()
    )


def test_a_pillow_without_colour_management_takes_the_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    profile_module._transform.cache_clear()
    monkeypatch.setitem(sys.modules, "PIL.ImageCms", None)
    monkeypatch.delattr("PIL.ImageCms", raising=False)
    tagged = decode(encoded("PNG", icc_profile=WIDE)).image.tobytes()
    profile_module._transform.cache_clear()
    assert tagged == PHOTO.tobytes()
