"""Folders, archives and single files, friendly and hostile, as sources of names and bytes."""

import bz2
import gzip
import io
import lzma
import os
import random
import socket
import struct
import sys
import tarfile
import threading
import time
import tracemalloc
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fursure.dataset.layout import iter_photos
from fursure.dataset.listing import Source
from fursure.dataset.sources import open_source
from fursure.errors import BadData, BadImage, SourceNotFound

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="pipes and links as POSIX has them")
LIMIT = 1 << 20  # bytes
JPEG = b"\xff\xd8\xff\xe0 drawn "
PETS = {
    f"{label}/{n}.jpg": JPEG + f"{label} {n}".encode() for label in ("cat", "dog") for n in "12"
}


def make_folder(root: Path, files: Mapping[str, bytes] = PETS) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def make_zip(path: Path, files: Mapping[str, bytes] = PETS) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tar_bytes(files: Mapping[str, bytes] = PETS, *special: tarfile.TarInfo) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in special:
            archive.addfile(info)
    return packed.getvalue()


def make_tar(path: Path, files: Mapping[str, bytes] = PETS, *special: tarfile.TarInfo) -> Path:
    path.write_bytes(tar_bytes(files, *special))
    return path


def photos(path: Path) -> tuple[dict[str, bytes], Counter[str]]:
    """Return every photo by its name in the source, and what was passed over."""
    skipped: Counter[str] = Counter()
    with open_source(path) as source:
        found = {
            name.removeprefix(source.prefix): source.read(name, LIMIT)
            for name in iter_photos(source, skipped)
        }
    return found, +skipped


def reason(source: Source, name: str, limit: int = LIMIT) -> str:
    with pytest.raises(BadImage) as caught:
        source.read(name, limit)
    assert caught.value.name == name
    return caught.value.reason


@contextmanager
def only_zip_member(tmp_path: Path, content: bytes = JPEG) -> Iterator[tuple[Path, bytearray]]:
    """Give a zip of one member and its bytes to falsify; write them back."""
    path = make_zip(tmp_path / "one.zip", {"cat.1.jpg": content})
    raw = bytearray(path.read_bytes())
    yield path, raw
    path.write_bytes(raw)


def test_a_folder_a_zip_and_every_tar_list_the_same_photos_in_the_same_order(
    tmp_path: Path,
) -> None:
    files = {**PETS, "cat.9.jpg": JPEG, "cat/a/1.jpg": JPEG + b"deep", "cat-2/1.jpg": JPEG}
    sources = [make_folder(tmp_path / "pets", files), make_zip(tmp_path / "p.zip", files)]
    tar = tar_bytes(files)
    packers: dict[str, Callable[[bytes], bytes]] = {
        "tar": bytes,
        "tar.gz": gzip.compress,
        "tar.bz2": bz2.compress,
        "txz": lzma.compress,
    }
    for suffix, pack in packers.items():
        (tmp_path / f"p.{suffix}").write_bytes(pack(tar))
        sources.append(tmp_path / f"p.{suffix}")
    for path in sources:
        found, skipped = photos(path)
        assert found == files
        assert list(found) == sorted(files, key=lambda name: name.split("/"))
        assert not skipped


def test_an_archives_photo_is_named_after_the_archive(tmp_path: Path) -> None:
    with open_source(make_zip(tmp_path / "pets.zip")) as source:
        names = list(iter_photos(source))
        assert names[0] == "pets.zip!cat/1.jpg"
        assert source.root == tmp_path
        assert source.has(names[0])
        assert source.read(names[0], LIMIT) == PETS["cat/1.jpg"]


def test_junk_is_passed_over_and_counted_by_kind(tmp_path: Path) -> None:
    junk = [
        *("Thumbs.db", ".DS_Store", "desktop.ini", "notes.txt", "LICENSE", "old/.hidden.jpg"),
        *("__MACOSX/cat/._1.jpg", "raw.CR2", "list.csv", "more.zip", "cat/report.2024"),
    ]
    files = {"cat/1.JPG": JPEG, "cat/without": JPEG, **dict.fromkeys(junk, b"x")}
    expected = Counter(
        {
            **dict.fromkeys(("Thumbs.db", ".DS_Store", "desktop.ini", "LICENSE", "__MACOSX"), 1),
            **dict.fromkeys((".txt", ".cr2", ".csv", ".zip", "other file", "hidden file"), 1),
        }
    )
    for path in (make_folder(tmp_path / "pets", files), make_zip(tmp_path / "p.zip", files)):
        found, skipped = photos(path)
        assert list(found) == ["cat/1.JPG", "cat/without"]
        assert skipped == expected


def test_hidden_folders_are_not_entered(tmp_path: Path) -> None:
    make_folder(tmp_path, {".git/objects/ab": b"x", "cat/1.jpg": JPEG})
    assert photos(tmp_path) == ({"cat/1.jpg": JPEG}, Counter({"hidden folder": 1}))


def test_a_single_photo_is_a_source_of_one(tmp_path: Path) -> None:
    make_folder(tmp_path)
    assert photos(tmp_path / "cat" / "1.jpg") == ({"1.jpg": PETS["cat/1.jpg"]}, Counter())
    (tmp_path / "upload").write_bytes(JPEG)  # known by its content
    assert photos(tmp_path / "upload") == ({"upload": JPEG}, Counter())
    (tmp_path / "broken.jpg").write_bytes(b"PK\3\4")  # left to the decoder to judge
    assert photos(tmp_path / "broken.jpg") == ({"broken.jpg": b"PK\3\4"}, Counter())


def test_what_does_not_exist_is_said_to(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match=r"pets does not exist; give a folder, a \.zip"):
        open_source(tmp_path / "pets")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SourceNotFound):
        open_source(tmp_path / "file" / "pets")
    with pytest.raises(BadData, match="null"):
        open_source("pets\0.zip")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"<!DOCTYPE html>\n<title>Sign in</title>", "text ('<!DOCTYPE html>' …)"),
        (b"", "nothing (it is empty)"),
        (b"Rar!\x1a\x07\x01\0", "a RAR archive"),
        (b"\x01\x02\x03\x04" * 200, "bytes of an unknown kind"),
    ],
)
def test_a_file_that_is_no_data_set_is_described(
    tmp_path: Path, content: bytes, found: str
) -> None:
    path = tmp_path / "pets.zip"
    path.write_bytes(content)
    with pytest.raises(BadData) as caught:
        open_source(path)
    assert f"pets.zip holds {found}, which is no data set; give a folder" in str(caught.value)


def test_an_archive_is_known_by_its_content_not_by_its_name(tmp_path: Path) -> None:
    make_zip(tmp_path / "pets.dat")
    make_tar(tmp_path / "pets.zip")
    assert photos(tmp_path / "pets.dat")[0] == photos(tmp_path / "pets.zip")[0] == PETS


@POSIX
def test_a_pipe_or_a_device_is_no_source(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(BadData, match="is a device or a pipe"):
            open_source(path)


@POSIX
def test_pipes_sockets_and_broken_links_are_counted_and_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder(tmp_path, {"cat/1.jpg": JPEG})
    os.mkfifo(tmp_path / "cat" / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # a socket's path has at most 108 bytes
        server.bind("socket.jpg")
        found, skipped = photos(tmp_path)
    assert list(found) == ["cat/1.jpg"]
    assert skipped["not a regular file"] + skipped["broken link"] == 5


@POSIX
def test_a_photo_that_became_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1.jpg")
    with open_source(tmp_path) as source:
        assert reason(source, "1.jpg") == "not a regular file"


@POSIX
def test_links_that_form_a_loop_end(tmp_path: Path) -> None:
    make_folder(tmp_path, {"cat/1.jpg": JPEG})
    (tmp_path / "cat" / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "cat" / "here").symlink_to(".", target_is_directory=True)
    assert photos(tmp_path) == (
        {"cat/1.jpg": JPEG},
        Counter({"link to a folder listed already": 2}),
    )


@POSIX
def test_a_forest_of_links_does_not_explode(tmp_path: Path) -> None:
    for depth in range(40):  # 2⁴⁰ ways lead to the last folder
        folder = tmp_path / f"{depth:02}"
        make_folder(folder, {"1.jpg": JPEG})
        for way in "ab":
            (folder / way).symlink_to(tmp_path / f"{depth + 1:02}", target_is_directory=True)
    (tmp_path / "40").mkdir()
    assert 40 <= len(photos(tmp_path)[0]) <= 40 * 41


@POSIX
def test_linked_photos_and_folders_elsewhere_are_followed(tmp_path: Path) -> None:
    make_folder(tmp_path / "store", {"blob": JPEG, "dogs/2.jpg": JPEG})
    (tmp_path / "pets" / "cat").mkdir(parents=True)
    (tmp_path / "pets" / "cat" / "1.jpg").symlink_to(tmp_path / "store" / "blob")
    (tmp_path / "pets" / "dog").symlink_to(tmp_path / "store" / "dogs")
    assert photos(tmp_path / "pets")[0] == {"cat/1.jpg": JPEG, "dog/2.jpg": JPEG}


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems refuse such names")
def test_names_that_are_no_utf8_are_read_all_the_same(tmp_path: Path) -> None:
    names = [b"caf\xe9.jpg", b"new\nline.jpg", b'"quoted" \xe2\x80\xae.jpg', b"back\\slash.jpg"]
    for name in names:
        Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).write_bytes(name)
    found, _ = photos(tmp_path)
    assert {os.fsencode(name): data for name, data in found.items()} == {one: one for one in names}


def test_a_photo_that_vanished_or_grew_is_a_bad_image(tmp_path: Path) -> None:
    make_folder(tmp_path)
    with open_source(tmp_path) as source:
        names = list(iter_photos(source))
        (tmp_path / names[0]).unlink()
        assert reason(source, names[0]) == "file is missing"
        assert reason(source, names[1], limit=5) == "larger than 5 bytes"
        assert not source.has(names[0])


def test_a_folder_that_vanishes_during_the_walk_is_counted(tmp_path: Path) -> None:
    make_folder(tmp_path, {"a.jpg": JPEG, "b/1.jpg": JPEG, "c.jpg": JPEG})
    skipped: Counter[str] = Counter()
    names = []
    with open_source(tmp_path) as source:
        for name in iter_photos(source, skipped):
            names.append(name)
            if name == "a.jpg":
                (tmp_path / "b" / "1.jpg").unlink()
                (tmp_path / "b").rmdir()
    assert names == ["a.jpg", "c.jpg"]
    assert skipped == {"unreadable folder": 1}


def test_names_that_no_file_can_have_are_bad_images(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    with open_source(tmp_path) as source:
        for name in ("x" * 300 + ".jpg", "folder.jpg", "folder.jpg/deeper.jpg"):
            assert not source.has(name)
            assert reason(source, name).startswith(("cannot be read: ", "file is missing"))


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/passwd", "cat/../../x.jpg", "a\0b.jpg"])
def test_a_folder_never_reads_outside_itself(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "pets").mkdir()
    with open_source(tmp_path / "pets") as source:
        assert reason(source, name) == "the path leaves the folder"
        assert not source.has(name)


UNSAFE = ["../x.jpg", "/x.jpg", "C:\\x.jpg", "c:x.jpg", "cat/../../x.jpg", "..\\x.jpg", "//x/y.jpg"]


def test_unsafe_names_in_archives_are_counted_and_nothing_is_ever_written(tmp_path: Path) -> None:
    files = {"cat/1.jpg": JPEG, **dict.fromkeys([*UNSAFE, "x" * 5000 + ".jpg"], b"evil")}
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    for path in (make_zip(inside / "p.zip", files), make_tar(inside / "p.tar", files)):
        assert photos(path) == ({"cat/1.jpg": JPEG}, Counter({"unsafe name": len(UNSAFE) + 1}))
    assert sorted(one.name for one in tmp_path.rglob("*")) == ["a", "b", "p.tar", "p.zip"]


def test_a_nul_in_a_zipped_name_is_unsafe(tmp_path: Path) -> None:
    with only_zip_member(tmp_path) as (path, raw):
        raw[:] = raw.replace(b"cat.1.jpg", b"cat\x001.jpg")
    assert photos(path) == ({}, Counter({"unsafe name": 1}))


def test_a_zip_made_on_windows_or_on_a_mac_keeps_its_folders_and_accents(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "p.zip", {"cat|1.jpg": JPEG, "caf?_/2.jpg": JPEG})
    raw = path.read_bytes().replace(b"cat|1.jpg", b"cat\\1.jpg")
    path.write_bytes(raw.replace(b"caf?_/", "café/".encode()))  # UTF-8 that does not say so
    assert list(photos(path)[0]) == ["café/2.jpg", "cat/1.jpg"]


def test_links_and_devices_in_archives_are_passed_over(tmp_path: Path) -> None:
    link, hard, pipe = (tarfile.TarInfo(f"{name}.jpg") for name in ("link", "hard", "pipe"))
    link.type, hard.type, pipe.type = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE
    link.linkname = hard.linkname = "/etc/passwd"
    tar = make_tar(tmp_path / "p.tar", PETS, link, hard, pipe)
    assert photos(tar) == (PETS, Counter({"link in the archive": 2, "not a regular file": 1}))
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        info = zipfile.ZipInfo("link.jpg")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert photos(tmp_path / "p.zip") == ({}, Counter({"link in the archive": 1}))


def test_an_encrypted_member_is_a_bad_image(tmp_path: Path) -> None:
    with only_zip_member(tmp_path) as (path, raw):
        raw[raw.index(b"PK\1\2") + 8] |= 1
    with open_source(path) as source:
        assert reason(source, "one.zip!cat.1.jpg").startswith("encrypted; unpack")


def test_an_unknown_packing_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("1.jpg", JPEG)
    with open_source(tmp_path / "p.zip") as source:
        assert reason(source, "p.zip!1.jpg") == "packed by method 14; unpack the archive first"


@pytest.mark.parametrize("size", [0, 1, len(JPEG) - 1, len(JPEG) + 1, LIMIT, LIMIT + 1, 2**32 - 2])
def test_a_lie_about_a_members_size_is_a_bad_image(tmp_path: Path, size: int) -> None:
    with only_zip_member(tmp_path) as (path, raw):
        struct.pack_into("<I", raw, raw.index(b"PK\1\2") + 24, size)
    with open_source(path) as source:
        found = reason(source, "one.zip!cat.1.jpg")
    assert found == (f"larger than {LIMIT:,} bytes" if size > LIMIT else DAMAGED)


DAMAGED = "damaged in the archive: size or checksum differ"


def test_any_changed_byte_of_a_member_is_noticed(tmp_path: Path) -> None:
    content = JPEG + os.urandom(100)
    path = make_zip(tmp_path / "one.zip", {"1.jpg": content})
    raw = path.read_bytes()
    packed = raw.index(b"1.jpg") + 5
    for position in range(packed, packed + 100):
        path.write_bytes(raw[:position] + bytes([raw[position] ^ 255]) + raw[position + 1 :])
        with open_source(path) as source:
            assert reason(source, "one.zip!1.jpg") == DAMAGED


def test_a_bomb_is_refused_in_little_memory(tmp_path: Path) -> None:
    with only_zip_member(tmp_path, bytes(200 << 20)) as (path, raw):
        assert len(raw) < 300_000
    with open_source(path) as source:
        assert reason(source, "one.zip!cat.1.jpg") == f"larger than {LIMIT:,} bytes"
    raw[:] = path.read_bytes()
    struct.pack_into("<I", raw, raw.index(b"PK\1\2") + 24, 1000)  # and lying about it
    path.write_bytes(raw)
    tracemalloc.start()
    with open_source(path) as source:
        assert reason(source, "one.zip!cat.1.jpg") == DAMAGED
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_of_overlapping_members_only_the_first_is_there(tmp_path: Path) -> None:
    """A thousand names for one kernel, as in Fifield's bombs, are one photo."""
    content = bytes(LIMIT)
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    kernel = packed.compress(content) + packed.flush()
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, 0, 0, 0, 0)
    sizes = (zlib.crc32(content), len(kernel), len(content))
    entries = b"".join(
        struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 8, 0, 0, *sizes, 8, 0, 0, 0, 0, 0, 0)
        + b"%04d.jpg" % number
        for number in range(1000)
    )
    start = len(local) + len(kernel)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1000, 1000, len(entries), start, 0)
    (tmp_path / "bomb.zip").write_bytes(local + kernel + entries + end)
    with open_source(tmp_path / "bomb.zip") as source:
        skipped = Counter[str]()
        assert len(list(source.names(skipped))) == 1
        assert skipped == {"member inside another, as in a zip bomb": 999}
        assert source.read("bomb.zip!0000.jpg", LIMIT) == content


def test_a_name_twice_in_an_archive_is_one_photo(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("cat/1.jpg", b"older")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("cat/1.jpg", b"newer")
    assert photos(tmp_path / "p.zip") == (
        {"cat/1.jpg": b"newer"},
        Counter({"name listed twice": 1}),
    )


def test_an_archive_cut_short_says_so(tmp_path: Path) -> None:
    whole = {
        "p.zip": make_zip(tmp_path / "p.zip").read_bytes(),
        "p.tar": tar_bytes({"1.jpg": bytes(5000)}),
        "p.tgz": gzip.compress(tar_bytes()),
        "p.txz": lzma.compress(tar_bytes()),
        "p.tbz2": bz2.compress(tar_bytes()),
    }
    for name, raw in whole.items():
        (tmp_path / name).write_bytes(raw[: len(raw) // 3])
        with pytest.raises(BadData, match=r"may be incomplete: copy or download it again"):
            open_source(tmp_path / name)


def test_damage_inside_a_compressed_tar_says_so(tmp_path: Path) -> None:
    for pack in (gzip.compress, bz2.compress, lzma.compress):
        raw = bytearray(pack(tar_bytes({"1.jpg": random.Random(0).randbytes(5000)})))
        raw[len(raw) // 2] ^= 255
        (tmp_path / "p.tar").write_bytes(raw)
        with pytest.raises(BadData, match=r"may be incomplete: copy or download it again"):
            open_source(tmp_path / "p.tar")


def test_a_compressed_file_without_a_tar_says_so(tmp_path: Path) -> None:
    (tmp_path / "table.gz").write_bytes(gzip.compress(b"path,label\n" * 1000))
    with pytest.raises(BadData, match="no tar archive is inside; give"):
        open_source(tmp_path / "table.gz")


def test_a_compressed_bomb_stops_growing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fursure.dataset.tars._FREE", 1 << 20)
    (tmp_path / "p.tgz").write_bytes(gzip.compress(tar_bytes({"1.jpg": bytes(50 << 20)})))
    with pytest.raises(BadData, match=r"grows beyond .* bytes when decompressed"):
        open_source(tmp_path / "p.tgz")


def test_a_tar_header_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("long")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 8 << 30
    (tmp_path / "p.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    with pytest.raises(BadData, match=r"not a whole tar archive \(a header of 8,589,9"):
        open_source(tmp_path / "p.tar")


@pytest.mark.parametrize("size", [-512, -1024, -1536, -(1 << 40)])
def test_a_tar_member_of_negative_size_is_refused(tmp_path: Path, size: int) -> None:
    info = tarfile.TarInfo("2.jpg")
    info.size = size
    member = tar_bytes({"1.jpg": b"x"})[:1024]
    (tmp_path / "p.tar").write_bytes(member + info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    with pytest.raises(BadData, match="not a whole tar archive"):
        open_source(tmp_path / "p.tar")


def test_a_damaged_header_inside_a_tar_does_not_pass_for_its_end(tmp_path: Path) -> None:
    raw = bytearray(tar_bytes())
    raw[1024 + 5] ^= 255  # in the second member's name
    (tmp_path / "p.tar").write_bytes(raw)
    with pytest.raises(BadData, match=r"not a whole tar archive \(no header at byte 1,024\)"):
        open_source(tmp_path / "p.tar")


@given(data=st.data())
def test_archives_with_changed_bytes_are_read_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    files = {"cat/1.jpg": JPEG, "d" * 120 + "/2.jpg": JPEG}
    path = data.draw(
        st.sampled_from([make_zip(folder / "p.zip", files), make_tar(folder / "p.tar", files)])
    )
    raw = bytearray(path.read_bytes())
    for position in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=4)):
        raw[position] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    try:
        source = open_source(path)
    except BadData:
        return
    with source:
        for name in iter_photos(source):
            with suppress(BadImage):
                source.read(name, LIMIT)


def test_threads_reading_one_archive_get_the_right_bytes(tmp_path: Path) -> None:
    files = {f"{n}.jpg": str(n).encode() * (n % 500) for n in range(800)}
    tar, zipped = make_tar(tmp_path / "p.tar", files), make_zip(tmp_path / "p.zip", files)
    (tmp_path / "p.tgz").write_bytes(gzip.compress(tar.read_bytes()))
    for path in (zipped, tar, tmp_path / "p.tgz"):
        with open_source(path) as source, ThreadPoolExecutor(8) as pool:
            wrong = pool.map(
                lambda name, source=source: (
                    source.read(name, LIMIT) != files[name.rpartition("!")[2]]
                ),
                list(iter_photos(source)) * 3,
            )
            assert not any(wrong)


def test_archives_are_read_alike_where_there_is_no_pread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pread", raising=False)
    assert photos(make_zip(tmp_path / "p.zip"))[0] == PETS


def test_a_closed_archive_reads_nothing(tmp_path: Path) -> None:
    source = open_source(make_zip(tmp_path / "p.zip"))
    source.close()
    with pytest.raises(ValueError, match="closed"):
        source.read("p.zip!cat/1.jpg", LIMIT)


@pytest.mark.long
def test_twenty_thousand_files_are_listed_in_a_moment_and_little_memory(tmp_path: Path) -> None:
    for number in range(20_000):
        os.close(os.open(tmp_path / f"{number % 100:02}-{number}.jpg", os.O_CREAT | os.O_WRONLY))
    tracemalloc.start()
    with open_source(tmp_path) as source:
        assert sum(1 for _ in iter_photos(source)) == 20_000
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()
    began = time.perf_counter()
    with open_source(tmp_path) as source:
        assert sum(1 for _ in iter_photos(source)) == 20_000
    assert time.perf_counter() - began < 2  # seconds; about 0.1 on two idle cores


@pytest.mark.slow
def test_a_million_files_are_listed_within_five_seconds(tmp_path: Path) -> None:
    for part in range(100):
        folder = tmp_path / "data" / f"{part:02}"
        folder.mkdir(parents=True)
        for number in range(10_000):
            os.close(os.open(folder / f"{number}.jpg", os.O_CREAT | os.O_WRONLY))
    began = time.thread_time()
    with open_source(tmp_path / "data") as source:
        assert sum(1 for _ in iter_photos(source)) == 1_000_000
    assert time.thread_time() - began < 5


def test_a_source_can_be_read_while_another_thread_lists_it(tmp_path: Path) -> None:
    source = open_source(make_folder(tmp_path))
    names: list[str] = []
    thread = threading.Thread(target=lambda: names.extend(iter_photos(source)))
    thread.start()
    assert source.read("cat/1.jpg", LIMIT) == PETS["cat/1.jpg"]
    thread.join()
    assert names == sorted(PETS)


def test_a_member_that_lies_outside_the_archive_is_a_bad_image(tmp_path: Path) -> None:
    with only_zip_member(tmp_path) as (path, raw):
        struct.pack_into("<I", raw, raw.index(b"PK\1\2") + 42, 1 << 30)
    with open_source(path) as source:
        assert reason(source, "one.zip!cat.1.jpg") == DAMAGED


def test_a_name_in_an_old_code_page_is_kept(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "p.zip", {"caf_.jpg": JPEG})
    path.write_bytes(path.read_bytes().replace(b"caf_", b"caf\x82"))  # é in code page 437
    assert list(photos(path)[0]) == ["café.jpg"]


def test_a_full_disk_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "p.tgz").write_bytes(gzip.compress(tar_bytes()))
    monkeypatch.setattr("fursure.dataset.tars._copy", full)
    with pytest.raises(BadData, match=r"No space left .* or set TMPDIR to a disk with space"):
        open_source(tmp_path / "p.tgz")


def test_a_disk_that_fails_while_reading_spoils_single_photos_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise OSError(5, "Input/output error")

    for path in (make_folder(tmp_path / "pets"), make_zip(tmp_path / "p.zip")):
        with open_source(path) as source, monkeypatch.context() as patch:
            name = next(iter_photos(source))
            patch.setattr(os, "open", broken)
            patch.setattr(os, "pread", broken, raising=False)
            assert reason(source, name) == "cannot be read: Input/output error"


def zip_written_in(path: Path, encoding: str, *names: str, extra: bool = False) -> Path:
    """Write a zip as old programs do: names in their own encoding, and not a word of which."""
    members, central = b"", b""
    for name in names:
        raw, crc = name.encode(encoding), zlib.crc32(JPEG)
        told = struct.pack("<BI", 1, zlib.crc32(raw)) + name.encode()
        field = struct.pack("<HH", 0x7075, len(told)) + told if extra else b""
        at, sizes = len(members), (crc, len(JPEG), len(JPEG), len(raw), 0)
        members += struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 0, 0, 33, *sizes) + raw + JPEG
        sizes = (crc, len(JPEG), len(JPEG), len(raw), len(field))
        central += struct.pack(
            "<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 0, 0, 33, *sizes, 0, 0, 0, 0, at
        )
        central += raw + field
    end = struct.pack(
        "<4sHHHHIIH", b"PK\5\6", 0, 0, *[len(names)] * 2, len(central), len(members), 0
    )
    path.write_bytes(members + central + end)
    return path


@pytest.mark.parametrize(
    ("encoding", "label"),
    [("gbk", "狗"), ("cp932", "ねこ"), ("cp866", "кошка"), ("cp1252", "chaton é")],
)
def test_names_in_no_known_encoding_are_told_and_the_user_says_which(
    encoding: str, label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zip_written_in(tmp_path / "p.zip", encoding, f"{label}/1.jpg", "dog/1.jpg")
    with open_source(path) as source:
        assert f"p.zip!{label}/1.jpg" not in list(iter_photos(source))
        assert "1 names in p.zip are in no known encoding" in source.notes[0]
        assert "--zip-encoding" in source.notes[0]
    monkeypatch.setenv("FURSURE_ZIP_ENCODING", encoding)
    with open_source(path) as source:
        assert set(iter_photos(source)) == {f"p.zip!{label}/1.jpg", "p.zip!dog/1.jpg"}
        assert source.read(f"p.zip!{label}/1.jpg", LIMIT) == JPEG
        assert not source.notes


def test_a_name_that_is_utf_8_by_chance_is_read_like_the_others(tmp_path: Path) -> None:
    path = zip_written_in(tmp_path / "p.zip", "gbk", "猫/1.jpg", "狗/1.jpg")  # one is C3 A8
    with open_source(path) as source:
        assert "2 names in p.zip are in no known encoding" in source.notes[0]


def test_a_zip_that_says_how_its_names_are_written_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FURSURE_ZIP_ENCODING", "gbk")
    field = zip_written_in(tmp_path / "field.zip", "cp866", "кот/1.jpg", extra=True)
    for path in (make_zip(tmp_path / "flag.zip", {"кот/1.jpg": JPEG}), field):
        with open_source(path) as source:
            assert list(iter_photos(source)) == [f"{path.name}!кот/1.jpg"]
            assert not source.notes


def test_utf_8_that_is_not_marked_is_found_out(tmp_path: Path) -> None:
    with open_source(zip_written_in(tmp_path / "mac.zip", "utf-8", "кот/1.jpg")) as source:
        assert list(iter_photos(source)) == ["mac.zip!кот/1.jpg"]
        assert not source.notes


def test_an_encoding_that_does_not_exist_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FURSURE_ZIP_ENCODING", "klingon")
    with pytest.raises(BadData, match="no encoding 'klingon'"):
        open_source(make_zip(tmp_path / "p.zip"))


@pytest.mark.parametrize("name", ["p.zip.001", "p.z01", "p.tar.gz.00", "p.7z.002", "p.part1.rar"])
def test_a_part_of_a_split_archive_is_named_so(name: str, tmp_path: Path) -> None:
    whole = make_zip(tmp_path / "whole.zip").read_bytes()
    starts = {"p.7z.002": whole[len(whole) // 2 :], "p.part1.rar": b"Rar!\x1a\7\1\0"}
    (tmp_path / name).write_bytes(starts.get(name, whole[: len(whole) // 2]))
    with pytest.raises(BadData, match=r"is part \d of a split archive; join the parts first"):
        open_source(tmp_path / name)


def test_a_damaged_parquet_table_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1" + bytes(200) + b"PAR1")
    with pytest.raises(BadData, match=r"t\.parquet is damaged or cut off, .* copy or"):
        open_source(tmp_path / "t.parquet")
