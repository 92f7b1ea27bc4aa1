"""What a recipe's training would see, and at which rates it would learn, without training."""

from pathlib import Path

import pytest
from PIL import Image

from fursure.errors import BadData, BadRecipe
from fursure.recipes.catalogue import LINEAR_PROBE, RECIPES

pytest.importorskip("timm")

from fursure.training.preview import PASSES, ROWS, find_rate, show_augmented


def test_the_sheet_has_a_row_a_photo_and_a_column_a_pass(drawings: Path, tmp_path: Path) -> None:
    show_augmented(drawings, RECIPES["scratch-cnn"], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        width, height = sheet.size
    assert width // 144 == PASSES + 1  # tiles of 140 px, 4 px apart
    assert height // 144 == ROWS


def test_a_frozen_recipe_has_nothing_to_show(drawings: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRecipe, match=r"linear-probe .*--recipe fine-tune"):
        show_augmented(drawings, LINEAR_PROBE, tmp_path / "sheet.png")
    with pytest.raises(BadRecipe, match=r"linear-probe"):
        find_rate(drawings, LINEAR_PROBE)


def test_a_folder_that_is_missing_is_named_before_any_work(drawings: Path, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"gone for the sheet does not exist"):
        show_augmented(drawings, RECIPES["scratch-cnn"], tmp_path / "gone" / "sheet.png")


@pytest.mark.slow
def test_the_rate_suggested_lies_below_the_one_where_the_loss_was_lowest(drawings: Path) -> None:
    found = find_rate(drawings, RECIPES["scratch-cnn"])
    rates = [rate for rate, _ in found.curve]
    best = min(found.curve, key=lambda one: one[1])[0]
    assert rates == sorted(rates)
    assert found.suggested == pytest.approx(best / 10)
    assert rates[0] < 1e-5
