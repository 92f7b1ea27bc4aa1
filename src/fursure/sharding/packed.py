"""Photos with their labels → the bytes of one shard: a tar as WebDataset has it, or Parquet.

In a tar each photo has two members beside it: ``.cls``, the number of its class, which that
library's decoder takes, and ``.json`` with the name of the class. Parquet has the columns of the
Hugging Face library: ``image`` (bytes and a name) and ``label``, whose names are in the schema.
"""

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

from fursure.errors import MissingExtra

ShardKind = Literal["webdataset", "parquet"]
_GROUP = 16 << 20  # bytes of photos in a row group: what a reader in a bucket fetches for one
_MODE = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRow:
    """A photo as it goes into a shard."""

    name: str  # in the shard: "00000012.jpg"
    data: bytes  # as the file had them
    label: str
    origin: str  # its path in the data set


Pack = Callable[[BinaryIO, Iterable[ShardRow], Sequence[str]], None]  # the last are the labels


def packer(kind: ShardKind) -> tuple[str, Pack]:
    """Return how files of a kind end, and what writes one.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    match kind:
        case "webdataset":
            return ".tar", _pack_tar
        case "parquet":
            try:
                import pyarrow  # noqa: F401 - to say so before a photo is read
            except ImportError as error:
                raise MissingExtra("shards of Parquet", "tables") from error
            return ".parquet", _pack_parquet


def _pack_tar(file: BinaryIO, rows: Iterable[ShardRow], labels: Sequence[str]) -> None:
    number = {label: at for at, label in enumerate(labels)}
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for row in rows:
            stem = row.name.partition(".")[0]
            _add(archive, row.name, row.data)
            _add(archive, f"{stem}.cls", str(number[row.label]).encode())
            told = {"label": row.label, "path": row.origin}
            _add(archive, f"{stem}.json", json.dumps(told).encode())


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a member without a date or an owner: the same photos make the same shard."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), _MODE
    archive.addfile(info, io.BytesIO(data))


def _pack_parquet(file: BinaryIO, rows: Iterable[ShardRow], labels: Sequence[str]) -> None:
    import pyarrow
    from pyarrow import parquet

    number = {label: at for at, label in enumerate(labels)}
    schema = _schema(pyarrow, labels)
    # Photos do not shrink, and a dictionary or the extremes of their bytes are of no use.
    with parquet.ParquetWriter(
        file, schema, compression="none", use_dictionary=["label"], write_statistics=["label"]
    ) as writer:
        for group in _groups(rows):
            cells: Mapping[str, list[Any]] = {
                "image": [{"bytes": row.data, "path": row.name} for row in group],
                "label": [number[row.label] for row in group],
            }
            writer.write_table(pyarrow.table(cells, schema=schema))


def _schema(arrow: Any, labels: Sequence[str]) -> Any:
    features = {
        "image": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": list(labels)},
    }
    image = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    return arrow.schema(
        [("image", image), ("label", arrow.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )


def _groups(rows: Iterable[ShardRow]) -> Iterator[list[ShardRow]]:
    group: list[ShardRow] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len(row.data)
        if size >= _GROUP:
            yield group
            group, size = [], 0
    if group:
        yield group
