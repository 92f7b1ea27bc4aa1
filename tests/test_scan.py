"""One pass over a data set: each photo read, decoded, fingerprinted and encoded once at most."""

import hashlib
import io
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fursure.dataset.sources import open_source
from fursure.drawings.draw import draw, jpeg
from fursure.photos.decode import Decoded, decode
from fursure.photos.statistics import Facts
from fursure.rows.photo import Photo
from fursure.splitting.scan import CHUNK, Encoding, scan
from fursure.splitting.scanned import Fingerprint, Scanned, Vector

Value = TypeVar("Value")


class Memory(Generic[Value]):
    """A store in a dictionary."""

    def __init__(self) -> None:
        self.held: dict[str, Value] = {}

    def many(self, digests: Iterable[str]) -> dict[str, Value]:
        return {digest: self.held[digest] for digest in digests if digest in self.held}

    def update(self, values: Mapping[str, Value], /) -> None:
        self.held |= values


class Encoder:
    """Answers each photo with its size and mean colour, and remembers what it was asked."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []
        self.lock = threading.Lock()

    def __call__(self, photos: Sequence[Image.Image]) -> NDArray[np.float32]:
        with self.lock:
            self.sizes += [photo.size for photo in photos]
        colours = [np.asarray(photo).mean(axis=(0, 1)) for photo in photos]
        return np.array([[*photo.size, *c] for photo, c in zip(photos, colours, strict=True)])


class Scan:
    """A folder, its stores and its encoder: everything but the photos."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: Memory[Fingerprint] = Memory()
        self.cache: Memory[Vector] = Memory()
        self.encoder = Encoder()

    def chunks(self, names: Iterable[str], *, threads: int = 1, encode: bool = True) -> Any:
        photos = [Photo(path=name) for name in names]
        encodings = [Encoding(self.encoder, self.cache, 64)] if encode else []
        source = open_source(self.folder)
        return scan(source, photos, self.known, encodings=encodings, min_side=64, threads=threads)

    def __call__(self, names: Iterable[str], **knobs: Any) -> list[Scanned]:
        return [row for chunk in self.chunks(names, **knobs) for row in chunk]


@pytest.fixture
def photos(tmp_path: Path) -> Scan:
    """Return a scan of a folder of five different drawings, 0.jpg to 4.jpg."""
    for seed in range(5):
        (tmp_path / f"{seed}.jpg").write_bytes(jpeg(draw("cat", seed, size=64)))
    return Scan(tmp_path)


def test_a_scan_finds_digest_size_fingerprint_and_features(photos: Scan) -> None:
    data = jpeg(draw("dog", 7, size=96).crop((0, 0, 96, 64)))
    (photos.folder / "wide.jpg").write_bytes(data)
    (row,) = photos(["wide.jpg"])
    digest = hashlib.sha256(data).hexdigest()
    assert (row.photo.sha256, row.photo.width, row.photo.height) == (digest, 96, 64)
    assert row.photo.reason is None
    assert row.fingerprint == photos.known.held[digest]
    assert row.features_D is not None
    mean = np.asarray(decode(data).image).mean(axis=(0, 1))
    assert np.allclose(row.features_D, [96, 64, *mean], rtol=1e-3)  # kept in half precision


def test_a_photo_under_two_names_is_encoded_once(photos: Scan) -> None:
    (photos.folder / "copy.jpg").write_bytes((photos.folder / "0.jpg").read_bytes())
    rows = photos(["0.jpg", "1.jpg", "copy.jpg", "0.jpg"])
    assert len(photos.encoder.sizes) == 2
    assert [row.photo.path for row in rows] == ["0.jpg", "1.jpg", "copy.jpg", "0.jpg"]
    first, _, copy, again = rows
    assert first.photo.sha256 == copy.photo.sha256 == again.photo.sha256
    assert first.fingerprint == copy.fingerprint
    assert first.features_D is not None
    assert np.array_equal(first.features_D, copy.features_D)  # type: ignore[arg-type]


def test_what_is_known_is_not_decoded_again(photos: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{seed}.jpg" for seed in range(5)]
    before = photos(names[:3])
    decoded: list[str] = []

    def counted(data: bytes, *, name: str, min_side: int) -> Any:
        decoded.append(name)
        return decode(data, name=name, min_side=min_side)

    monkeypatch.setattr("fursure.splitting.scan.decode", counted)
    after = photos(names)
    assert sorted(decoded) == ["3.jpg", "4.jpg"]
    for one, other in zip(before, after, strict=False):
        assert (one.photo, one.fingerprint) == (other.photo, other.fingerprint)
        assert np.array_equal(one.features_D, other.features_D)  # type: ignore[arg-type]


def test_another_encoder_decodes_again_and_keeps_the_fingerprints(photos: Scan) -> None:
    (before,) = photos(["0.jpg"])
    photos.cache = Memory()
    (after,) = photos(["0.jpg"])
    assert len(photos.encoder.sizes) == 2
    assert before.fingerprint is after.fingerprint


def test_without_an_encoder_there_are_fingerprints_alone(photos: Scan) -> None:
    rows = photos(["0.jpg", "1.jpg"], encode=False)
    assert all(row.fingerprint is not None and row.features_D is None for row in rows)
    assert photos.encoder.sizes == []


def test_what_cannot_be_used_has_a_reason_and_stops_nothing(photos: Scan) -> None:
    (photos.folder / "empty.jpg").write_bytes(b"")
    (photos.folder / "text.jpg").write_text("my thesis")
    (photos.folder / "half.jpg").write_bytes((photos.folder / "0.jpg").read_bytes()[:500])
    rows = photos(["0.jpg", "empty.jpg", "text.jpg", "gone.jpg", "half.jpg", "1.jpg"])
    good = [row.photo.path for row in rows if row.photo.reason is None]
    assert good == ["0.jpg", "1.jpg"]
    reasons = {row.photo.path: row.photo.reason or "" for row in rows}
    assert "damaged or truncated" in reasons["half.jpg"]
    assert all(reasons[name] for name in ("empty.jpg", "text.jpg", "gone.jpg"))
    for row in rows:
        assert (row.photo.reason is None) == (row.fingerprint is not None)
        assert (row.photo.reason is None) == (row.features_D is not None)
    assert len(photos.known.held) == len(photos.cache.held) == 2


def test_what_the_listing_ruled_out_is_not_even_read(photos: Scan) -> None:
    listed = [Photo(path="0.jpg", reason="listed under two labels"), Photo(path="1.jpg")]
    source = open_source(photos.folder)
    (chunk,) = scan(source, listed, photos.known, min_side=64)
    assert chunk[0] == Scanned(listed[0])
    assert chunk[1].fingerprint is not None


def test_many_threads_keep_the_order_and_the_answers(photos: Scan) -> None:
    names = [f"{number * 7 % 5}.jpg" for number in range(10 * CHUNK + 3)]
    together = photos(names, threads=8)
    assert [row.photo.path for row in together] == names
    alone = {row.photo.path: row for row in Scan(photos.folder)(names[:5])}
    for row in together:
        assert row.fingerprint == alone[row.photo.path].fingerprint
        assert np.array_equal(row.features_D, alone[row.photo.path].features_D)  # type: ignore[arg-type]


def test_an_interrupted_scan_keeps_what_it_stored(tmp_path: Path) -> None:
    names = [f"{number:03}.png" for number in range(8 * CHUNK)]
    for number, name in enumerate(names):
        Image.new("RGB", (64, 64), (number % 256, number // 256, 9)).save(tmp_path / name)
    first = Scan(tmp_path)
    chunks: Iterator[list[Scanned]] = first.chunks(names)
    with closing(chunks):  # type: ignore[type-var]
        assert [row.photo.path for row in next(chunks)] == names[:CHUNK]
    stored = len(first.cache.held)
    assert CHUNK <= stored < len(names)
    assert stored == len(first.known.held) == len(first.encoder.sizes)
    assert len(first(names)) == len(names)
    assert len(first.encoder.sizes) == len(names)  # none of them twice


@pytest.mark.long
def test_a_chunk_of_large_pngs_is_held_reduced(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    draw("dog", 1, size=64).resize((2400, 1800)).save(buffer, "PNG", compress_level=1)
    names = [f"{number}.png" for number in range(CHUNK)]
    for number, name in enumerate(names):  # the same pixels; behind the end, other bytes
        (tmp_path / name).write_bytes(buffer.getvalue() + number.to_bytes(2))
    large = Scan(tmp_path)
    before = _most_memory()
    rows = large(names)
    assert {(row.photo.width, row.photo.height) for row in rows} == {(2400, 1800)}
    assert large.encoder.sizes == [(300, 225)] * CHUNK
    whole = CHUNK * 2400 * 1800 * 4  # bytes, as Pillow keeps RGB: 550 MB
    assert _most_memory() - before < whole / 4


def _most_memory() -> int:
    """Return the process's high-water mark in bytes; 0 where it cannot be read."""
    if sys.platform != "linux":
        return 0
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the photos decoded so far, each time anew."""
    names: list[str] = []

    def counting(data: bytes, *, name: str, min_side: int) -> Decoded:
        names.append(name)
        return decode(data, name=name, min_side=min_side)

    monkeypatch.setattr("fursure.splitting.scan.decode", counting)
    return names


def both(photos: Scan, *others: tuple[Encoder, Memory[Vector], int]) -> list[Scanned]:
    """Return the photos scanned for the scan's own encoder, at 64 pixels, and for others."""
    encodings = [Encoding(photos.encoder, photos.cache, 64), *(Encoding(*one) for one in others)]
    listed = [Photo(path=path.name) for path in sorted(photos.folder.iterdir())]
    source = open_source(photos.folder)
    chunks = scan(source, listed, photos.known, encodings=encodings, min_side=64)
    return [row for chunk in chunks for row in chunk]


def test_two_encoders_share_one_decode_and_their_features_lie_side_by_side(
    photos: Scan, decoded: list[str]
) -> None:
    other: tuple[Encoder, Memory[Vector], int] = (Encoder(), Memory(), 40)
    rows = both(photos, other)
    assert sorted(decoded) == [f"{seed}.jpg" for seed in range(5)]
    for row in rows:
        parts = [cache.held[row.photo.sha256] for cache in (photos.cache, other[1])]
        assert row.features_D is not None
        assert np.array_equal(row.features_D, np.concatenate(parts))


def test_an_encoder_whose_features_are_cached_is_not_asked_again(
    photos: Scan, decoded: list[str]
) -> None:
    photos([f"{seed}.jpg" for seed in range(5)])
    asked = len(photos.encoder.sizes)
    other: tuple[Encoder, Memory[Vector], int] = (Encoder(), Memory(), 64)
    both(photos, other)
    assert (len(photos.encoder.sizes), len(other[0].sizes)) == (asked, 5)
    both(photos, other)
    assert (len(other[0].sizes), len(decoded)) == (5, 10)


def test_what_ran_beside_an_encoder_does_not_change_what_it_sees(tmp_path: Path) -> None:
    (tmp_path / "large.jpg").write_bytes(jpeg(draw("cat", 0, size=300)))
    beside, alone = Scan(tmp_path), Scan(tmp_path)
    other: tuple[Encoder, Memory[Vector], int] = (Encoder(), Memory(), 200)
    both(beside, other)
    both(alone)
    assert beside.encoder.sizes == alone.encoder.sizes == [(75, 75)]
    assert other[0].sizes == [(300, 300)]


def test_facts_are_measured_on_the_same_decode_and_kept(photos: Scan, decoded: list[str]) -> None:
    facts: Memory[Facts] = Memory()
    names = [f"{seed}.jpg" for seed in range(5)]
    source = open_source(photos.folder)

    def scanned() -> list[Scanned]:
        listed = [Photo(path=name) for name in names]
        encodings = [Encoding(photos.encoder, photos.cache, 64)]
        chunks = scan(source, listed, photos.known, encodings=encodings, facts=facts, min_side=64)
        return [row for chunk in chunks for row in chunk]

    first = scanned()
    assert sorted(decoded) == names
    assert all(row.facts and row.features_D is not None and row.fingerprint for row in first)
    assert [row.facts.bytes for row in first if row.facts] == [
        (photos.folder / name).stat().st_size for name in names
    ]
    assert [row.facts for row in scanned()] == [row.facts for row in first]
    assert sorted(decoded) == names


def test_without_a_place_to_keep_them_no_facts_are_measured(photos: Scan) -> None:
    assert photos(["0.jpg"])[0].facts is None
