"""Data sets: archives, tables of photos, manifests, corrections, and recipes in TOML."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fursure.dataset.corrections import corrected, read_corrections
from fursure.dataset.listing import Source, contents_of
from fursure.dataset.manifest import Manifest
from fursure.dataset.sources import open_source
from fursure.dataset.tables import Table
from fursure.errors import BadImage, FursureError
from fursure.recipes.catalogue import LINEAR_PROBE, find
from fursure.recipes.toml import open_recipe, to_toml
from fursure.rows.photo import Photo
from fuzzing.mutate import Change
from fuzzing.shapes import either, inside, json_changed, json_lines, tar
from fuzzing.targets import Target, kept, own_folder

PLACE = own_folder()
MEMBERS = 16  # of an archive that are read
LIMIT = 2**20  # bytes of one
SHA = "0123456789abcdef" * 4
FILES = {"cat/1.jpg": b"meow " * 20, "dog/1.jpg": b"woof", "labels.csv": b"path,label\na.jpg,cat\n"}


class Lone(Source):
    """A folder with one table in it, and some photos."""

    def __init__(self, table: bytes) -> None:
        self.path = self.root = Path("data")
        self.prefix, self._table = "", table

    def names(self, skipped: Counter[str] | None = None) -> Iterator[str]:  # noqa: ARG002
        """Yield the names of the photos."""
        return iter(("cat.jpg", "images/dog.jpg"))

    def has(self, name: str) -> bool:
        """Return whether that photo is there."""
        return name in {"cat.jpg", "images/dog.jpg"}

    def read(self, name: str, limit: int) -> bytes:  # noqa: ARG002
        """Return the table."""
        return self._table


def _in_file(name: str, call: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Return a call that finds its bytes in a file of that name."""
    path = PLACE / name

    def of_bytes(data: bytes) -> object:
        path.write_bytes(data)
        return call(path)

    return of_bytes


def _read_archive(path: Path) -> object:
    with open_source(path) as source:
        contents = contents_of(source)
        for name in [*contents.photos, *contents.tables][:MEMBERS]:
            try:
                source.read(name, LIMIT)
            except BadImage:
                continue
        for name in contents.tables[:2]:
            list(Table(source, name, ["cat/"]).rows(labelled=False))
    return min(len(contents.photos), 3), sorted(contents.skipped)


def _read_table(name: str) -> Callable[[bytes], object]:
    def of_bytes(data: bytes) -> object:
        table = Table(Lone(data), name, ["images/"], anywhere=len(data) % 2 == 0)
        rows = list(table.rows())
        return min(len(rows), 3), [bool(row.reason) for row in rows[:3]], len(table.notes)

    return of_bytes


def _load_manifest(path: Path) -> object:
    manifest = Manifest.load(path)
    manifest.counts()
    copy = path.with_suffix(".copy")
    manifest.save(copy)
    if Manifest.load(copy) != manifest:
        raise AssertionError("a manifest that was saved is another one")
    return manifest.labels[:3], len(manifest.usable)


def _read_corrections(path: Path) -> object:
    verdicts = read_corrections(path)
    photos = [Photo(path="cat/1.jpg", sha256=SHA, label="cat"), Photo(path="dog/2.jpg", label="d")]
    return len(corrected(photos, verdicts, ["cat", "dog"]).notes), len(verdicts)


def _open_recipe(path: Path) -> object:
    recipe = open_recipe(str(path))
    text = to_toml(recipe)
    path.write_text(text)
    if open_recipe(str(path)) != recipe:
        raise AssertionError("a recipe that was written is another one")
    return recipe.head, recipe.tune is None


def _zip(**options: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, data in FILES.items():
            archive.writestr(zipfile.ZipInfo(name), data, options.get("compression", 0))
        archive.writestr("Кот.jpg", b"meow")
    return buffer.getvalue()


def _tar(format_: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format_) as archive:
        for name, data in {**FILES, f"{'long' * 40}.jpg": b"x"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "cat/1.jpg"
        archive.addfile(link)
    return buffer.getvalue()


def _manifest() -> bytes:
    photos = [
        {"path": "cat/1.jpg", "sha256": SHA, "width": 9, "height": 8, "label": "cat"},
        {"path": "a.zip!b.jpg", "label": "dog", "group": "g", "split": "val", "reason": "bad"},
    ]
    head = {"format": "fursure manifest 1", "root": "d", "photos": 2, "skipped": {".txt": 3}}
    return "".join(json.dumps(line) + "\n" for line in [head, *photos]).encode()


TABLES = (
    b"path,label,split\ncat.jpg,cat,train\nimages/dog.jpg,dog,val\n",
    b'\xef\xbb\xbfid;breed;is_valid\r\ncat;Maine Coon;True\r\ndog;"a;b";0\r\n',
    b"file_name\tclass\tfold\n../x.jpg\tcat\t1\n/abs/y.png\tdog\t2\n",
)
LINES = (
    b'{"path": "cat.jpg", "label": "cat", "split": "test"}\n{"path": "dog", "label": 3}\n',
    b'{"image": "cat", "category": null, "is_test": true}\n\n',
)
VERDICTS = b"path,sha256,verdict,label\ncat/1.jpg,%b,relabel,dog\ndog/2.jpg,,drop,\n" % SHA.encode()
RECIPES = [to_toml(LINEAR_PROBE), to_toml(find("fine-tune"))]
RECIPES += ['base = "fine-tune"\n[tune]\nepochs = 2\n', '[head]\nkind = "mlp"\nhidden = [8, 4]\n']
CELLS = (b",", b";", b"\t", b'"', b'""', b"\r\n", b"\n", b"\0", b"=cmd()", b"../", b"\xff", b"C:\\")
TOML = (
    b"[",
    b"[[",
    b"]",
    b"=",
    b'"',
    b'"""',
    b"'",
    b"#",
    b".",
    b"inf",
    b"nan",
    b"true",
    b"1979-05-27",
)
ZIPS = (b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"\x75\x70", b"\1\0", b"../", b"\\")
TARS = (b"ustar\0", b"././@PaxHeader", b"././@LongLink", b"0000000", b"7777777", b"\x80\xff", b"\0")


def target(name: str) -> Target:
    """Return a door of what a data set is made of."""
    call: Callable[[bytes], object]
    words: tuple[bytes, ...]
    change: Callable[[Change], Change] | None = None
    match name:
        case "zip":
            call, words = _in_file("data.zip", _read_archive), ZIPS
            seeds = [_zip(), _zip(compression=zipfile.ZIP_DEFLATED)]
            change = lambda plain: either(plain, plain, inside(plain))  # noqa: E731
        case "tar":
            call, words = _in_file("data.tar", _read_archive), TARS
            seeds = [_tar(one) for one in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)]
            packs: tuple[Callable[[bytes], bytes], ...] = (
                gzip.compress,
                bz2.compress,
                lzma.compress,
            )
            seeds += [pack(seeds[0]) for pack in packs]
            change = lambda plain: either(plain, tar(plain))  # noqa: E731
        case "csv":
            call, seeds, words = _read_table("labels.csv"), list(TABLES), CELLS
        case "jsonl":
            call, seeds, words = _read_table("labels.jsonl"), list(LINES), CELLS
            change = _by_line
        case "manifest":
            call, seeds = _in_file("m.jsonl", _load_manifest), [_manifest()]
            words, change = CELLS, _by_line
        case "corrections":
            call, seeds = _in_file("c.csv", _read_corrections), [VERDICTS]
            words = (*CELLS, b"keep", b"relabel", b"drop")
        case _:
            call, words = _in_file("r.toml", _open_recipe), TOML
            seeds = [text.encode() for text in RECIPES]
    return Target(
        call=call,
        promised=(FursureError,),
        seeds=[*seeds, *kept(name)],
        words=words,
        change=change,
    )


def _by_line(plain: Change) -> Change:
    return either(plain, json_lines(json_changed), json_lines(plain))
