"""Pictures of more than 8 bits a channel → those of 8 bits that they were made from.

Dimension key: H W height and width (pixels), C channels.
"""

import io
from typing import Any

import numpy as np
import pytest
from handmade import Order, chunk, png, tiff
from numpy.typing import NDArray
from PIL import Image

from fursure.drawings.draw import draw
from fursure.errors import BadImage
from fursure.photos.decode import decode, from_pil

PHOTO = draw("cat", seed=3, size=80).crop((0, 0, 75, 61))
RGB_HWC = np.asarray(PHOTO)
GREY_HWC = np.array(PHOTO.convert("L"))[..., None]
GREY_HWC[0, :2, 0] = 0, 255  # black and white, so that the range is known
ALPHA_HWC = np.linspace(0, 255, 61).round().astype("u1")[:, None, None].repeat(75, axis=1)


def off(data: bytes, levels_HWC: NDArray[Any]) -> float:
    """Return the largest difference from what ``levels_HWC`` say, in grey levels."""
    pixels_HWC = np.asarray(decode(data).image, dtype=float)
    return float(np.abs(pixels_HWC - np.broadcast_to(levels_HWC, pixels_HWC.shape)).max())


def deep(levels_HWC: NDArray[Any], white: int = 65_535) -> NDArray[np.uint16]:
    return (levels_HWC.astype("u4") * white // 255).astype("u2")


def on_white(levels_HWC: NDArray[Any]) -> NDArray[Any]:
    opacity_HWC = ALPHA_HWC / 255
    return np.asarray(levels_HWC * opacity_HWC + 255 * (1 - opacity_HWC))


LAYOUTS: dict[str, dict[str, Any]] = {
    "one strip": {},
    "strips": {"rows": 7},
    "tiles": {"tile": (32, 16)},
    "deflated strips": {"rows": 7, "compressed": True},
    "deflated tiles": {"tile": (32, 16), "compressed": True},
    "differences": {"rows": 7, "compressed": True, "predictor": 2},
    "differences in tiles": {"tile": (32, 16), "compressed": True, "predictor": 2},
}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_tiff_of_16_bits_is_the_picture_however_it_is_laid_out(
    layout: dict[str, Any], planes: bool, order: Order
) -> None:
    options = layout | {"planes": planes, "order": order}
    assert off(tiff(deep(RGB_HWC), **options), RGB_HWC) == 0
    assert off(tiff(RGB_HWC, **options), RGB_HWC) == 0
    assert off(tiff(deep(GREY_HWC), colours=1, **options), GREY_HWC) == 0
    assert off(tiff(65_535 - deep(GREY_HWC), colours=0, **options), GREY_HWC) == 0
    with_alpha = np.concatenate([deep(RGB_HWC), deep(ALPHA_HWC)], axis=-1)
    assert off(tiff(with_alpha, extra=(2,), **options), on_white(RGB_HWC)) <= 1
    assert off(tiff(with_alpha, extra=(0,), **options), RGB_HWC) == 0
    greys = np.concatenate([deep(GREY_HWC), deep(ALPHA_HWC)], axis=-1)
    assert off(tiff(greys, colours=1, extra=(2,), **options), on_white(GREY_HWC)) <= 1
    inks = np.concatenate([deep(255 - RGB_HWC), deep(0 * GREY_HWC)], axis=-1)
    assert off(tiff(inks, colours=5, **options), RGB_HWC) <= 1


def test_opacity_that_was_multiplied_in_is_mixed_with_white() -> None:
    ready = np.concatenate([RGB_HWC * (ALPHA_HWC / 255), ALPHA_HWC], axis=-1).round().astype("u1")
    assert off(tiff(deep(ready), extra=(1,)), on_white(RGB_HWC)) <= 2


@pytest.mark.parametrize("white", [255, 1_023, 4_095, 16_383])
def test_few_bits_in_sixteen_span_black_to_white(white: int) -> None:
    bright_HWC = RGB_HWC.copy()
    bright_HWC[0, 0] = 255
    values = {1: deep(GREY_HWC, white), 2: deep(bright_HWC, white)}
    assert off(tiff(values[1], colours=1), GREY_HWC) <= 1
    assert off(tiff(white - values[1], colours=0), GREY_HWC) <= 1
    assert off(tiff(values[2], planes=True), bright_HWC) <= 1
    assert off(png(values[1], 16, 0), GREY_HWC) <= 1
    assert off(png(values[2], 16, 2), bright_HWC) <= 1
    solid = np.full_like(values[1], 65_535)
    assert off(png(np.concatenate([values[1], solid], axis=-1), 16, 4), GREY_HWC) <= 1
    assert off(png(np.concatenate([values[2], solid], axis=-1), 16, 6), bright_HWC) <= 1
    from_memory = from_pil(Image.fromarray(values[1][..., 0]))
    assert np.abs(np.asarray(from_memory.image, int) - GREY_HWC).max() <= 1


def test_a_dim_photo_of_sixteen_bits_stays_dim() -> None:
    dim_HWC = (RGB_HWC * 0.4).astype("u1")
    assert off(tiff(deep(dim_HWC)), dim_HWC) == 0
    assert off(png(deep(dim_HWC), 16, 2), dim_HWC) == 0


FLOATS: dict[str, dict[str, Any]] = {
    "one strip": {},
    "tiles": {"tile": (32, 16)},
    "deflated": {"rows": 7, "compressed": True},
    "by weight": {"rows": 7, "compressed": True, "predictor": 3},
    "by weight in tiles": {"tile": (32, 16), "compressed": True, "predictor": 3},
}


@pytest.mark.parametrize("type_", ["f2", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("layout", FLOATS.values(), ids=FLOATS)
def test_greys_in_floating_point_are_the_picture(
    layout: dict[str, Any], order: Order, type_: str
) -> None:
    values_HWC = (GREY_HWC / 255).astype(type_)
    assert off(tiff(values_HWC, colours=1, kind=3, order=order, **layout), GREY_HWC) <= 1
    assert off(tiff(1 - values_HWC, colours=0, kind=3, order=order, **layout), GREY_HWC) <= 1


@pytest.mark.parametrize(
    ("type_", "kind", "white"), [("u4", 1, 2**32 - 1), ("i4", 2, 2**31 - 1), ("i2", 2, 2**15 - 1)]
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_wide_greys_use_their_whole_range(order: Order, type_: str, kind: int, white: int) -> None:
    values_HWC = (GREY_HWC.astype("f8") / 255 * white).astype(type_)
    data = tiff(values_HWC, colours=1, kind=kind, order=order, compressed=True, predictor=2)
    assert off(data, GREY_HWC) <= 1


def test_a_palette_of_eight_bits_has_its_colours() -> None:
    palette = np.random.default_rng(0).integers(0, 256, (3, 256))
    for factor in (1, 257):  # as some write it, and as the standard has it
        table = (palette * factor).astype("<u2").tobytes()
        data = tiff(GREY_HWC, colours=3, more={320: (3, table)})
        assert off(data, palette[:, GREY_HWC[..., 0]].transpose(1, 2, 0)) == 0


@pytest.mark.parametrize("start", [0, 4])
def test_what_has_its_pixels_in_the_head_of_the_file_is_damaged(start: int) -> None:
    data = tiff(deep(RGB_HWC), more={273: (4, start.to_bytes(4, "little"))})
    with pytest.raises(BadImage, match="damaged or truncated TIFF"):
        decode(data)


def test_what_lacks_a_strip_is_damaged() -> None:
    data = tiff(deep(RGB_HWC), rows=7)
    whole = data.replace(b"\x16\x01\x04\0\x01\0\0\0\x07", b"\x16\x01\x04\0\x01\0\0\0\x05")
    assert whole != data
    with pytest.raises(BadImage, match="damaged or truncated TIFF"):
        decode(whole)


# PNG: the one transparent colour


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_transparent_grey_of_any_depth_becomes_white(bits: int) -> None:
    white = 2**bits - 1
    values_HWC = (GREY_HWC.astype("u4") * white // 255).astype("u2")
    key = int(values_HWC[30, 30, 0])
    levels_HWC = np.where(values_HWC == key, 255, values_HWC * 255.0 / white)
    data = png(values_HWC, bits, 0, chunk(b"tRNS", key.to_bytes(2)))
    assert off(data, levels_HWC) <= 1


@pytest.mark.parametrize("bits", [8, 16])
def test_only_the_transparent_colour_itself_becomes_white(bits: int) -> None:
    values_HWC = deep(RGB_HWC, 2**bits - 1)
    values_HWC[10:20, 10:30] = values_HWC[30, 30]
    key = values_HWC[30, 30].copy()
    if bits == 16:
        values_HWC[25:35, 25:35] = key + np.array(
            [0, 1, 0], "u2"
        )  # by the upper bytes alone the same
        values_HWC[0, 0] = 65_535
    clear_HW = (values_HWC == key).all(axis=-1)
    levels_HWC = np.where(clear_HW[..., None], 255, values_HWC * 255.0 / (2**bits - 1))
    data = png(values_HWC, bits, 2, chunk(b"tRNS", key.astype(">u2").tobytes()))
    assert clear_HW.sum() >= 200
    assert off(data, levels_HWC) <= 1


# Large ones


def test_a_large_deep_picture_is_the_same_in_bands() -> None:
    large_HWC = np.asarray(PHOTO.resize((1501, 1400)))
    photo = decode(tiff(deep(large_HWC), planes=True, rows=33), min_side=2000)
    assert photo.image.tobytes() == large_HWC.tobytes()
    grey = Image.fromarray(np.asarray(PHOTO.convert("L").resize((1501, 1400))) / np.float32(255))
    buffer = io.BytesIO()
    grey.save(buffer, "TIFF")
    small = decode(buffer.getvalue())
    again = decode(buffer.getvalue(), min_side=2000).image.reduce(4)
    assert (small.width, small.height) == (1501, 1400)
    assert np.abs(np.asarray(small.image, int) - np.asarray(again, int)).max() <= 1
