"""Names of photos in a list, as `find`, `git ls-files` and editors write them."""

import json
import os
from pathlib import Path

import pytest
from console import Run, fursure

from fursure.drawings.draw import draw, jpeg

POSIX = pytest.mark.skipif(os.name == "nt", reason="names as POSIX allows them")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed, name in enumerate(["a.jpg", "b c.jpg", "d[1].jpg"]):
        (folder / name).write_bytes(jpeg(draw("cat", seed)))
    return folder


def names(run: Run) -> list[str]:
    return [json.loads(line)["path"] for line in run.stdout.splitlines()]


def test_a_list_names_photos_a_line_each_relative_to_the_current_folder(photos: Path) -> None:
    listed = b"\xef\xbb\xbfb c.jpg\r\n\r\n./a.jpg\r\nd[1].jpg"
    (photos.parent / "list.txt").write_bytes(listed)
    run = fursure("predict", "--json", "--files-from", "../list.txt", cwd=photos)
    assert names(run) == ["b c.jpg", "./a.jpg", "d[1].jpg"]
    assert run.returncode == 0
    piped = fursure("predict", "--json", "--files-from", "-", cwd=photos, stdin=listed)
    assert piped.stdout == run.stdout


def test_names_in_a_list_are_no_globs_and_no_standard_input(photos: Path) -> None:
    (photos / "a.jpg").rename(photos / "-")
    run = fursure("predict", "--json", "--files-from", "-", cwd=photos, stdin=b"*.jpg\n-\n")
    missing, dash = map(json.loads, run.stdout.splitlines())
    assert "no such file" in missing["error"]
    assert "answer" in dash
    assert run.returncode == 3


@POSIX
def test_names_that_end_with_nul_may_hold_a_line_end(photos: Path) -> None:
    (photos / "a.jpg").rename(photos / "two\nlines.jpg")
    listed = b"two\nlines.jpg\0b c.jpg\0"
    run = fursure("predict", "--json", "-0", "--files-from", "-", cwd=photos, stdin=listed)
    assert names(run) == ["two\nlines.jpg", "b c.jpg"]


def test_folders_of_a_list_come_after_the_photos_that_were_named(photos: Path) -> None:
    (photos.parent / "one").write_text(f"{photos}\n")
    (photos.parent / "two").write_text(f"{photos / 'a.jpg'}\n")
    lists = [f"--files-from={photos.parent / name}" for name in ("one", "two")]
    run = fursure("predict", "--json", photos / "b c.jpg", *lists)
    assert [Path(name).name for name in names(run)] == [
        "b c.jpg", "a.jpg", "b c.jpg", "d[1].jpg", "a.jpg",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("listed", "flags", "sentence"),
    [
        (b"a.jpg\0b c.jpg\0", [], "standard input holds names that end with NUL; say so with -0."),
        (b"a.jpg\nb c.jpg\n", ["-0"], "holds lines, not names that end with NUL; leave out -0."),
        ("a.jpg\n".encode("utf-16"), [], "is written in UTF-16; write it in UTF-8"),
        (b"x" * 99_999, [], "holds a name of over 32,768 bytes; give a list of photos."),
        (b"\n\n", [], "standard input holds no photos"),
    ],
)
def test_what_is_no_list_of_names_is_a_sentence(
    photos: Path, listed: bytes, flags: list[str], sentence: str
) -> None:
    run = fursure("predict", *flags, "--files-from", "-", cwd=photos, stdin=listed)
    assert run.returncode == 1
    assert sentence in run.stderr
    assert not run.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "name some, or a list with --files-from"),
        (["-0", "a.jpg"], "-0 says how --files-from is written"),
        (["--files-from", "-", "-"], "standard input can be one thing"),
        (["--files-from", "gone.txt"], "'gone.txt' does not exist"),
    ],
)
def test_flags_that_say_nothing_together_are_wrong_usage(words: list[str], sentence: str) -> None:
    run = fursure("predict", *words)
    assert run.returncode == 2
    assert sentence in run.stderr


def test_a_table_of_listed_photos_is_done_until_the_list_changes(photos: Path) -> None:
    (photos / "list.txt").write_text("a.jpg\n")
    words = ["predict", "--files-from", "list.txt", "--csv", "out.csv"]
    assert fursure(*words, cwd=photos).returncode == 0
    assert "nothing to do" in fursure(*words, cwd=photos).stderr
    (photos / "list.txt").write_text("a.jpg\nb c.jpg\n")
    assert "a finished table" in fursure(*words, cwd=photos).stderr
    assert fursure(*words, "--overwrite", cwd=photos).returncode == 0
    assert len((photos / "out.csv").read_text().splitlines()) == 3


@POSIX
def test_a_pipe_of_names_is_not_read_twice(photos: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"a.jpg\n")
    os.close(writing)
    (photos / "out.csv").write_text("an older table\n")
    words = ["--files-from", f"/dev/fd/{reading}", "--csv", "out.csv", "--overwrite"]
    try:
        assert fursure("predict", *words, cwd=photos).returncode == 0
    finally:
        os.close(reading)
    assert len((photos / "out.csv").read_text().splitlines()) == 2
