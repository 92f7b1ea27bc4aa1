"""Archives and tables of strangers: names that lead out, bombs, pickles; nothing of it happens."""

import gzip
import io
import json
import pickle
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from samples import draw_into, network_into
from test_photos_bombs import no_more_memory_than
from watching import RUNNING, watched

from fursure.bundle.bundle import Bundle
from fursure.bundle.named import shipped
from fursure.cli import _run
from fursure.dataset.layout import iter_photos
from fursure.dataset.sources import open_source
from fursure.drawings.draw import draw, jpeg
from fursure.errors import BadBundle, BadData, BadImage

MEGABYTE = 2**20
PHOTO = jpeg(draw("cat", 1, size=64))
OTHER = jpeg(draw("dog", 2, size=64))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of a network that is read in a moment."""
    return network_into(tmp_path_factory.mktemp("hostile") / "net")


# B1: names that lead out

NAMES = [
    "../x.jpg", "../../x.jpg", "/x.jpg", "//x.jpg", "///tmp/x.jpg", "C:\\x.jpg", "C:/x.jpg",
    "c:x.jpg",
    "\\\\host\\share\\x.jpg", "a/../../x.jpg", "a\\..\\..\\x.jpg", "..\\x.jpg", "..%2fx.jpg",
    "%2e%2e/x.jpg", "\u00c0\u00ae\u00c0\u00ae/x.jpg", "cat/x.jpg.", "cat/x.jpg ", "cat./x.jpg",
    "cat/CON.jpg", "cat/aux", "cat/X.JPG", "./../x.jpg", "cat/./../../x.jpg", "~/x.jpg",
    "cat//x.jpg",
    "cat/nul\0/../x.jpg",
]  # fmt: skip


def tarred(path: Path, type_: bytes, name: str, target: str) -> Path:
    with tarfile.open(path, "w") as archive:
        for good, data in (("cat/1.jpg", PHOTO), ("dog/2.jpg", OTHER)):
            info = tarfile.TarInfo(good)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        info = tarfile.TarInfo(name)
        info.type, info.linkname = type_, target
        archive.addfile(info)
        for beyond in ("cat/link/x.jpg", "x.jpg"):  # through the link
            info = tarfile.TarInfo(beyond)
            info.size = len(PHOTO)
            archive.addfile(info, io.BytesIO(PHOTO))
    return path


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cat/1.jpg", PHOTO)
        archive.writestr("dog/2.jpg", OTHER)
        for name in names:
            info = zipfile.ZipInfo("x")
            info.filename = name
            archive.writestr(info, PHOTO)
    return path


ARCHIVES: dict[str, Callable[[Path], Path]] = {
    name.encode("unicode_escape").decode(): lambda folder, name=name: zipped(folder / "p.zip", name)
    for name in NAMES
} | {
    "a symlink": lambda folder: tarred(folder / "p.tar", tarfile.SYMTYPE, "cat/link", "../../.."),
    "a hard link": lambda folder: tarred(
        folder / "p.tar", tarfile.LNKTYPE, "cat/l.jpg", "/etc/passwd"
    ),
    "a device": lambda folder: tarred(folder / "p.tar", tarfile.CHRTYPE, "cat/zero.jpg", ""),
    "a pipe": lambda folder: tarred(folder / "p.tar", tarfile.FIFOTYPE, "cat/pipe.jpg", ""),
}


def test_there_are_thirty_archives() -> None:
    assert len(ARCHIVES) == 30


@pytest.mark.long
@pytest.mark.parametrize("kind", ARCHIVES)
def test_no_name_in_an_archive_leads_out_of_where_it_is_unpacked(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FURSURE_HOME", str(tmp_path / "home"))
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "er")
    archive = ARCHIVES[kind](tmp_path / "deep" / "er")
    with watched() as events:
        assert _run(["split", archive.name, "--out", "out"]) in {0, 1}
        with pytest.raises(BadBundle):
            Bundle.read(archive)
    allowed = (tmp_path / "deep" / "er" / "out", tmp_path / "home")
    for event, args in events:
        if event == "write":
            assert (Path.cwd() / args).resolve().is_relative_to(allowed[0]) or (
                Path.cwd() / args
            ).resolve().is_relative_to(allowed[1]), args
    outside = [path for path in tmp_path.rglob("*") if not any(map(path.is_relative_to, allowed))]
    assert {path.name for path in outside} == {"deep", "er", archive.name}
    assert not [path for path in (tmp_path / "deep" / "er" / "out").rglob("*") if path.is_symlink()]


# B2: bombs


def nested_bomb(folder: Path) -> Path:
    """Return a zip of zips of zips, as 42.zip is one."""
    data = bytes(MEGABYTE)
    for _ in range(4):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(16):
                archive.writestr(f"{number}.zip", data)
        data = buffer.getvalue()
    (folder / "p.zip").write_bytes(data)
    return folder / "p.zip"


def overlapping(folder: Path, names: int = 20_000) -> Path:
    """Return a zip whose every name has the same packed megabyte (Fifield, WOOT 2019)."""
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = bytes(10 * MEGABYTE)
    kernel = packed.compress(content) + packed.flush()
    sizes = (zlib.crc32(content), len(kernel), len(content))
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, 0, 0, 0, 0)
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 8, 0, 0, *sizes, 9, 0, 0, 0, 0, 0, 0)
    entries = b"".join(entry + b"%05d.jpg" % number for number in range(names))
    start = len(local) + len(kernel)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, names, names, len(entries), start, 0)
    (folder / "p.zip").write_bytes(local + kernel + entries + end)
    return folder / "p.zip"


def claiming(folder: Path, size: int, flags: int = 0) -> Path:
    """Return a zip whose member claims another size than it has."""
    path = zipped(folder / "p.zip", "cat/bomb.jpg")
    raw = bytearray(path.read_bytes())
    place = raw.rindex(b"PK\1\2")
    struct.pack_into("<I", raw, place + 24, size)
    struct.pack_into("<H", raw, place + 8, flags)
    path.write_bytes(raw)
    return path


def of_zip64(folder: Path) -> Path:
    """Return a zip whose end leads to a directory of 2⁶⁰ entries."""
    path = zipped(folder / "p.zip")
    raw = path.read_bytes()
    end64 = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2**60, 2**60, 2**60, 0)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, len(raw) - 22, 1)
    last = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    path.write_bytes(raw[:-22] + end64 + locator + last)
    return path


def unpacking_to(folder: Path, megabytes: int) -> Path:
    with zipfile.ZipFile(folder / "p.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("cat/bomb.jpg", bytes(megabytes * MEGABYTE))
    return folder / "p.zip"


def packed_tar(folder: Path) -> Path:
    with gzip.open(folder / "p.tgz", "wb", compresslevel=1) as file:
        info = tarfile.TarInfo("cat/bomb.jpg")
        info.size = 100 * MEGABYTE
        file.write(info.tobuf() + bytes(100 * MEGABYTE))
    return folder / "p.tgz"


BOMBS: dict[str, Callable[[Path], Path]] = {
    "nested": nested_bomb,
    "overlapping": overlapping,
    "claims less": lambda folder: claiming(folder, 10),
    "claims more": lambda folder: claiming(folder, 2**32 - 2),
    "encrypted": lambda folder: claiming(folder, 500, flags=1),
    "zip64": of_zip64,
    "unpacks to 60 MB": lambda folder: unpacking_to(folder, 60),
    "a packed tar": packed_tar,
}


@pytest.mark.long
@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_costs_neither_time_nor_memory_as_a_model_or_as_photos(
    kind: str, tmp_path: Path
) -> None:
    path = BOMBS[kind](tmp_path)
    with no_more_memory_than(50 * MEGABYTE):
        times = [seconds_of(lambda: refused_as_a_model(path)) for _ in range(3)]
        assert min(times) < 0.1
        if (
            kind != "a packed tar"
        ):  # which is unpacked to a file, up to a limit, as it has no directory
            times = [seconds_of(lambda: read_as_photos(path)) for _ in range(3)]
            assert min(times) < (0.1 if kind != "overlapping" else 1.0)


def seconds_of(call: Callable[[], None]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def refused_as_a_model(path: Path) -> None:
    with pytest.raises(BadBundle):
        Bundle.read(path)


def read_as_photos(path: Path) -> None:
    """Read every photo, as far as it is none; the limit is that of a photo of five megabytes."""
    try:
        with open_source(path) as source:
            for name in iter_photos(source):
                try:
                    source.read(name, 5 * MEGABYTE)
                except BadImage:
                    continue
    except BadData:
        return


# B3: pickles


class Evil:
    """What a pickle of it does when it is opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (self.folder / "owned",)  # type: ignore[return-value]


def pickled(folder: Path, name: str) -> Path:
    (folder / name).write_bytes(pickle.dumps(Evil(folder)))
    return folder / name


def torch_pickle(folder: Path, name: str) -> Path:
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Evil(folder)))
        archive.writestr("archive/version", "3\n")
    return folder / name


def keras_lambda(folder: Path) -> Path:
    config = {"class_name": "Lambda", "module": "os", "config": {"function": "system"}}
    with zipfile.ZipFile(folder / "m.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", pickle.dumps(Evil(folder)))
    return folder / "m.keras"


def forged(folder: Path, member: str) -> Path:
    shipped("pets").write(folder / "m.fursure")
    with zipfile.ZipFile(folder / "m.fursure") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[member] = pickle.dumps(Evil(folder))
    with zipfile.ZipFile(folder / "m.fursure", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return folder / "m.fursure"


PICKLES: dict[str, Callable[[Path], Path]] = {
    "as a model": lambda folder: pickled(folder, "m.fursure"),
    "a .pt as a model": lambda folder: torch_pickle(folder, "m.fursure"),
    "in a model": lambda folder: forged(folder, "model.onnx"),
    "in a model's arrays": lambda folder: forged(folder, "familiar.npz"),
    "a .pt as .onnx": lambda folder: torch_pickle(folder, "net.onnx"),
    "a .keras": keras_lambda,
}


@pytest.mark.long
@pytest.mark.parametrize("kind", PICKLES)
def test_no_pickle_is_opened_wherever_it_lies(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = PICKLES[kind](tmp_path)
    photos = draw_into(tmp_path / "photos", count=2)
    photo = str(photos / "cat" / "cat.0.jpg")
    with watched() as events:
        assert _run(["predict", "-m", str(path), photo]) == 1
        assert (
            _run(["train", str(photos), "--backbone", str(path), "-o", str(tmp_path / "n"), "-q"])
            == 1
        )
    assert not [event for event in events if event[0] in RUNNING], events
    assert not (tmp_path / "owned").exists()
    assert "Traceback" not in capsys.readouterr().err
    with pytest.raises(BadBundle):
        Bundle.read(path)


def test_the_watch_sees_a_pickle(tmp_path: Path) -> None:
    path = pickled(tmp_path, "p")
    with watched() as events:
        pickle.loads(path.read_bytes())  # noqa: S301 - ours
    assert "pickle.find_class" in dict(events)
    assert (tmp_path / "owned").exists()


# B7: tables


def rows(*lines: str) -> bytes:
    return "\n".join(["path,label", *lines, "cat/cat.0.jpg,cat", "dog/dog.0.jpg,dog",
                      "cat/cat.1.jpg,cat", "dog/dog.1.jpg,dog"]).encode() + b"\n"  # fmt: skip


def tables() -> Iterator[tuple[str, str, bytes]]:
    yield "a million columns", "t.csv", b"path,label" + b",x" * 1_000_000 + b"\n" + b"a" * 9 + b"\n"
    yield "a NUL", "t.csv", rows("cat/\0.jpg,cat")
    yield "a mark in front", "t.csv", b"\xef\xbb\xbf" + rows()
    yield "CRLF", "t.csv", rows().replace(b"\n", b"\r\n")
    yield "a formula", "t.csv", rows("=cmd|' /C calc'!A0,cat", "cat/cat.0.jpg,=1+1")
    yield "a way out", "t.csv", rows("../../../etc/passwd,cat", "/etc/passwd,dog", "C:\\x.jpg,cat")
    yield "a quote without end", "t.csv", rows('"cat/cat.0.jpg,cat')
    yield "a field of 10 MB", "t.csv", rows("x" * 10_000_000 + ",cat")
    yield "UTF-16", "t.csv", rows().decode().encode("utf-16")
    yield "bytes", "t.csv", bytes(range(256)) * 500
    yield "a million empty lines", "t.csv", b"\n" * 1_000_000 + rows()
    yield "a column twice", "t.csv", rows().replace(b"path,label", b"path,label,label", 1)
    yield "deep JSON", "t.jsonl", b'{"path":' + b"[" * 100_000 + b"}\n"
    yield "no number", "t.jsonl", b'{"path": "cat/cat.0.jpg", "label": NaN}\n'
    yield "lists for labels", "t.jsonl", b'{"path": ["a"], "label": {"a": 1}}\n'


TABLES = {name: (file, data) for name, file, data in tables()}


@pytest.mark.long
@pytest.mark.parametrize("kind", TABLES)
def test_a_strange_table_is_read_or_refused_in_words_and_quickly(
    kind: str, network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(TABLES) == 15
    photos = draw_into(tmp_path / "photos", count=2)
    file, data = TABLES[kind]
    (photos / file).write_bytes(data)
    began = time.process_time()
    output = str(tmp_path / "m.fursure")
    asked = ["train", str(photos / file), "--backbone", network, "-o", output, "-q"]
    code = _run([*asked, "--engine", "onnxruntime"])
    assert time.process_time() - began < 5
    said = capsys.readouterr().err
    assert code == 0 or (code == 1 and said.startswith("fursure: ")), said
    assert "root:" not in said
    if kind in {"a mark in front", "CRLF", "a way out"}:
        assert code == 0, said
