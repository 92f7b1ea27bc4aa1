import io
import time

import pytest
from PIL import Image, ImageFilter

from fursure.drawings.draw import draw
from fursure.photos.decode import decode, from_pil
from fursure.photos.statistics import Facts, measure


def facts(image: Image.Image, size: int = 1) -> Facts:
    return measure(from_pil(image), size)


def test_a_grey_photo_has_its_level_and_nothing_else() -> None:
    found = facts(Image.new("RGB", (100, 80), (100, 100, 100)), 1234)
    assert (found.bytes, found.width, found.height) == (1234, 100, 80)
    assert found.brightness == 100
    assert found.contrast == found.sharpness == found.border_spread == 0
    assert found.border == (100, 100, 100)


def test_the_border_is_that_of_the_frame() -> None:
    photo = draw("cat", 1, size=200)
    photo.paste((250, 10, 10), (0, 0, 200, 10))
    for box in ((0, 190, 200, 200), (0, 0, 10, 200), (190, 0, 200, 200)):
        photo.paste((250, 10, 10), box)
    found = facts(photo)
    assert found.border == pytest.approx((250, 10, 10), abs=1)
    assert found.border_spread < 2


def test_blurring_lowers_sharpness_far_more_than_contrast() -> None:
    photo = draw("dog", 8, size=200)
    soft = photo.filter(ImageFilter.GaussianBlur(8))
    assert facts(soft).sharpness < 0.3 * facts(photo).sharpness
    assert facts(soft).contrast > 0.6 * facts(photo).contrast


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (2, 3), (3, 3)])
def test_the_smallest_photos_have_facts_too(size: tuple[int, int]) -> None:
    assert facts(Image.new("RGB", size, "white")).brightness == 255


def test_the_format_is_that_of_the_content() -> None:
    with io.BytesIO() as buffer:
        draw("cat", 1, size=64).save(buffer, "PNG")
        assert measure(decode(buffer.getvalue(), name="cat.jpg"), 1).format == "PNG"


def test_the_facts_cost_next_to_nothing() -> None:
    photo = from_pil(draw("cat", 1, size=300))
    best = min(_seconds(lambda: measure(photo, 1)) for _ in range(50))
    assert best < 0.002  # ten times what is aimed at: the machine may be busy


def _seconds(call: object) -> float:
    began = time.perf_counter()
    call()  # type: ignore[operator]
    return time.perf_counter() - began
