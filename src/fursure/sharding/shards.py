"""A divided data set → shards of even size for each part, one after another, here or in a bucket.

Photos go in by their digests' order, which is as good as shuffled: whoever trains from shards
reads them from one end to the other. The same photos make the same shards, so an interrupted run
goes on after the last whole one.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, final

from fursure.dataset.listing import Source, announced
from fursure.dataset.manifest import Manifest
from fursure.dataset.naming import suffix
from fursure.errors import OutputExists
from fursure.files import replacing
from fursure.formats.table import is_photo_suffix, recognise
from fursure.parallel import in_order
from fursure.remote.outbox import Outbox
from fursure.remote.place import RemotePath
from fursure.rows.photo import SPLITS, Photo, Split
from fursure.run import Run
from fursure.sharding.packed import ShardKind, ShardRow, packer
from fursure.splitting.linking import content

LEDGER = "shards.part"  # the shards that are whole, until all are
_OURS = re.compile(r"(train|val|test)-\d{6,}\.(tar|parquet)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPlace:
    """Where shards go."""

    folder: Path  # for a bucket: where notes on it are kept
    bucket: RemotePath | None = None

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Open a new shard, which is there once all of it is; in a bucket it is sent then.

        Raises:
            OutputExists: something else has that name in the bucket.
            RemoteFailed: the bucket does not take it.
        """
        if self.bucket is None:
            with replacing(self.folder / name) as file:
                yield file
            return
        outbox = Outbox.of(self.bucket / name)
        if outbox.state() == "taken":
            raise OutputExists(outbox.place, "somebody else's file", replaced=False)
        with replacing(outbox.local) as file:
            yield file
        outbox.send()


def is_shard_name(name: str) -> bool:
    """Return whether a shard of ours may be called so."""
    return _OURS.fullmatch(name) is not None


def write_shards(
    kind: ShardKind, most: int, source: Source, run: Run, manifest: Manifest, place: ShardPlace
) -> None:
    """Write ``train-000000.tar`` and so on, each of ``most`` bytes of photos or a little more.

    Raises:
        MissingExtra: pyarrow is not installed.
        FursureError: a photo is gone or another one now, or the bucket takes nothing.
    """
    ending, pack = packer(kind)
    ledger = _Ledger(place.folder / LEDGER)
    chosen = [photo for photo in manifest.usable if photo.split]
    with run.progress("writing shards", len(chosen)) as advance:
        for part in SPLITS:
            photos = sorted((p for p in chosen if p.split == part), key=lambda p: p.sha256)
            number, done = ledger.whole(part)
            advance(done)
            rows = _rows(source, photos, done, threads=run.cores)
            while done < len(photos):
                name = f"{part}-{number:06}{ending}"
                filling = _Filling(rows, most)
                with place.writing(name) as file:
                    pack(file, filling, manifest.labels)
                ledger.note(name, filling.photos)
                advance(filling.photos)
                number, done = number + 1, done + filling.photos


def _rows(
    source: Source, photos: Sequence[Photo], first: int, *, threads: int
) -> Iterator[ShardRow]:
    """Yield the photos from the one numbered ``first`` on, read ahead by threads."""

    def read(numbered: tuple[int, Photo]) -> ShardRow:
        number, photo = numbered
        data = content(source, photo)
        return ShardRow(
            name=f"{number:08}{_ending(photo.path, data)}",
            data=data,
            label=str(photo.label),
            origin=photo.path,
        )

    numbered = enumerate(announced(source, photos[first:]), start=first)
    return in_order(read, numbered, threads=threads)


def _ending(path: str, data: bytes) -> str:
    """Return a photo's extension: its own, or where that is none of photos, its format's."""
    if is_photo_suffix(own := suffix(path)):
        return own
    format_ = recognise(data)
    return format_.suffixes[0] if format_ else ".jpg"


@final
@dataclass(slots=True)
class _Filling:
    """The rows that go into one shard, counted as they are taken."""

    rows: Iterator[ShardRow]
    most: int  # bytes of photos
    photos: int = field(default=0, init=False)

    def __iter__(self) -> Iterator[ShardRow]:
        size = 0
        for row in self.rows:
            size += len(row.data)
            self.photos += 1
            yield row
            if size >= self.most:
                return


@final
@dataclass(frozen=True, slots=True)
class _Ledger:
    """Which shards are whole, and how many photos each took: a line each."""

    path: Path

    def whole(self, part: Split) -> tuple[int, int]:
        """Return how many shards of a part are whole, and how many photos they hold."""
        text = self.path.read_text("utf-8") if self.path.exists() else ""
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line[-1:] == "\n"]
        photos = [photos for name, photos in lines if name.startswith(f"{part}-")]
        return len(photos), sum(photos)

    def note(self, name: str, photos: int) -> None:
        """Note that a shard is whole."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, photos]) + "\n")
