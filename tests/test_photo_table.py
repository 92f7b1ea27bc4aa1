"""Photos as columns: the same photos, in a fraction of the memory."""

import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fursure.dataset.manifest import Manifest
from fursure.evaluation.gallery import TrainedPhotos
from fursure.features.collect import Collected, collect
from fursure.features.reader import Reader
from fursure.recipe import Recipe
from fursure.rows.columns import Coded, Texts
from fursure.rows.photo import Photo
from fursure.rows.photo_table import PhotoTable
from fursure.run import Run
from fursure.splitting.scanned import Fingerprint, Scanned
from fursure.sureness.familiarity import unit

ANY = st.text(st.characters(), max_size=12)  # surrogates and marks included
PHOTOS = st.lists(
    st.builds(
        Photo,
        path=ANY,
        sha256=ANY,
        width=st.integers(0, 2**31 - 1),
        height=st.integers(0, 2**31 - 1),
        label=st.none() | ANY,
        group=ANY,
        split=st.sampled_from([None, "train", "val", "test"]),
        reason=st.none() | ANY,
    ),
    max_size=8,
)


@given(photos=PHOTOS, data=st.data())
def test_a_table_holds_the_photos_it_was_given(photos: list[Photo], data: st.DataObject) -> None:
    table = PhotoTable.of(photos)
    assert list(table) == photos == [table[row] for row in range(len(photos))]
    assert table == tuple(photos)
    assert tuple(photos) == table
    rows = data.draw(st.lists(st.integers(0, len(photos) - 1))) if photos else []
    assert list(table.at(np.array(rows, np.intp))) == [photos[row] for row in rows]
    assert list(table[1::2]) == photos[1::2]
    assert PhotoTable.of(table) is table
    assert list(table.usable) == [photo for photo in photos if photo.reason is None]
    assert list(PhotoTable.of(iter(photos))) == photos


@given(values=st.lists(st.none() | ANY), value=st.none() | ANY)
def test_numbers_of_a_column_compare_like_its_values(
    values: list[str | None], value: str | None
) -> None:
    column = Coded.of(values)
    assert list(column) == values
    assert column.are(value).tolist() == [other == value for other in values]
    order = sorted(range(len(values)), key=lambda row: (values[row] is not None, values[row] or ""))
    assert np.argsort(column.code_N, kind="stable").tolist() == order
    wanted = column.where(lambda other: other == value)
    changed = [value if row % 2 else other for row, other in enumerate(values)]
    odd_N = np.arange(len(values)) % 2 == 1
    assert list(column.but(odd_N, value)) == changed
    assert list(column.put(odd_N, Coded.of(changed[1::2]))) == changed
    assert column.numbered([value]).tolist() == [-1 + same for same in wanted.tolist()]


@given(texts=st.lists(ANY))
def test_texts_come_in_the_order_that_sorting_gives_them(texts: list[str]) -> None:
    order = sorted(range(len(texts)), key=texts.__getitem__)
    assert Texts.of(texts).in_order().tolist() == order


def test_the_nearest_photos_of_training_are_those_of_one_comparison_the_first_of_equals() -> None:
    rng = np.random.default_rng(0)
    kept_MD = np.tile(rng.normal(size=(900, 6)), (4, 1)).astype(np.float32)  # several blocks of it
    asked_ND = rng.normal(size=(5, 6)).astype(np.float32)
    rows_M = rng.permutation(len(kept_MD))[:3000]
    photos = [Photo(path=f"{number}.jpg") for number in range(len(rows_M))]
    fake: Any = None
    trained = TrainedPhotos(source=fake, photos=photos, features_ND=kept_MD, rows_M=rows_M)
    cosine_NM = unit(asked_ND) @ unit(kept_MD[rows_M]).T
    best_NR = np.argsort(-cosine_NM.round(5), axis=1, kind="stable")[:, :3]
    near = [[int(photo.path[:-4]) for photo in photos] for photos in trained.nearest(asked_ND)]
    assert near == best_NR.tolist()


PHOTO_COUNT = 20_000


def invented(photos: Sequence[Photo]) -> Iterator[list[Scanned]]:
    """Yield what a scan finds of photos that are all different."""
    rng = np.random.default_rng(0)
    for start in range(0, len(photos), 100):
        chunk = photos[start : start + 100]
        views = rng.integers(0, 2**63, (len(chunk), 14)).astype("<u8")
        features = rng.normal(size=(len(chunk), 4)).astype(np.float32)
        yield [
            Scanned(
                replace(
                    photo,
                    sha256=sha256(photo.path.encode()).hexdigest(),
                    width=int(rng.integers(500, 4000)),
                    height=int(rng.integers(500, 4000)),
                ),
                Fingerprint(1, 1, views_V.tobytes()),
                features_D,
            )
            for photo, views_V, features_D in zip(chunk, views, features, strict=True)
        ]


def collected(monkeypatch: pytest.MonkeyPatch, listing: Manifest) -> Collected:
    """Return photos nobody has, collected as `fursure train` does."""
    fake: Any = SimpleNamespace(seen=frozenset())  # a source, and an encoder, that nobody asks
    monkeypatch.setattr(Reader, "scan", lambda _self, photos, **_: invented(photos))
    monkeypatch.setattr(Reader, "open", lambda source, *_, **__: Reader(source, fake, (), Run()))
    monkeypatch.setattr(Reader, "engine", "none")
    monkeypatch.setattr(Reader, "caches", ())
    return collect(fake, listing, fake, Recipe(), Run())


@pytest.mark.long
def test_a_photo_takes_few_bytes_while_it_is_read_and_fewer_once_it_is_divided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def listing(photos: int) -> Manifest:
        names = ((label, row) for row in range(photos // 2) for label in ("cat", "dog"))
        listed = (Photo(path=f"{label}/{row:07}.jpg", label=label) for label, row in names)
        return Manifest(root=".", photos=PhotoTable.of(listed), skipped={})

    collected(monkeypatch, listing(4000))  # what is imported or kept once
    tracemalloc.start()
    made = collected(monkeypatch, listing(PHOTO_COUNT))
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert made.manifest.counts()["cat", "test"] > 800
    assert kept < 200 * PHOTO_COUNT  # bytes; as objects 481
    assert peak < 1300 * PHOTO_COUNT  # of so few; as objects 1,926
