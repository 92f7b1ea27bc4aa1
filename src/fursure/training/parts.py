"""Labelled photos → parts to train, to validate and to test, for whoever compares recipes."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from fursure.backbones.bundle import seen_by
from fursure.dataset.labelled import Dataset
from fursure.dataset.manifest import Manifest
from fursure.errors import BadData, NoPhotos, counted
from fursure.features.division import Shares, divided
from fursure.features.leakage import without_seen
from fursure.heads.classes import check_classes, refuse_reserved
from fursure.recipe import Recipe
from fursure.rows.photo import SPLITS, Photo
from fursure.run import Run

SHARES_TO_CHOOSE = Shares(validation=0.1, test=0.2)
# to choose takes more test photos than to know


def divided_in_three(dataset: Dataset, shares: Shares, run: Run) -> Manifest:
    """Return what each photo is for; the division knows no recipe, so that more can be compared.

    Raises:
        BadData: there are no photos, or a class has too few for three parts.
    """
    with dataset.open() as source:
        listing = dataset.listed(source)
        division = divided(source, listing, shares, run, title="dividing photos")
    if not division.usable:
        raise NoPhotos(dataset.name, f"{counted(len(division.photos), 'file')}, none usable")
    refuse_reserved(division.labels)
    check_classes(division.usable, division.labels)
    for label in division.labels:
        groups = {photo.group for photo in division.usable if photo.label == label}
        if len(groups) < len(SPLITS):
            unlike = counted(len(groups), "photo besides copies", "photos that do not look alike")
            raise BadData(
                f"class {label!r} has {unlike}, and a "
                f"comparison needs {len(SPLITS)}: to train, to validate and to test; add some, or "
                "leave that class out."
            )
    return division


def encoders_of(recipes: Sequence[Recipe]) -> set[str]:
    """Return the names of all backbones of the recipes, those beside a trained one too."""
    names = {
        name
        for recipe in recipes
        for name in ([recipe.backbone] if isinstance(recipe.backbone, str) else recipe.backbone)
    }
    return names | {recipe.tune.beside for recipe in recipes if recipe.tune and recipe.tune.beside}


def unseen_by_all(division: Manifest, names: Iterable[str]) -> Manifest:
    """Return the division without the photos of test and validation that any encoder has seen."""
    seen = frozenset[int]().union(*map(seen_by, sorted(names)))
    return replace(division, photos=without_seen(division.photos, seen))


def for_test(photos: Sequence[Photo]) -> list[Photo]:
    """Return the test photos in the order that all answers to them have."""
    chosen = (photo for photo in photos if photo.split == "test")
    return sorted(chosen, key=lambda photo: (photo.sha256, photo.path))
