"""Systems that lack what POSIX has, imitated: everything goes on, by the next best means."""

import ast
import errno
import io
import os
import subprocess
import sys
import threading
import types
from pathlib import Path

import pytest

from fursure import home, system
from fursure.connections.accepting import within_descriptors
from fursure.connections.limits import ServiceLimits
from fursure.drawings.draw import draw, jpeg
from fursure.files import alone, replacing
from fursure.run import available_threads

SOURCE = Path(system.__file__).parent
POSIX_ONLY = {"fcntl", "resource", "pwd", "grp", "termios", "msvcrt"}
ASKED = {"getuid", "pread", "sched_getaffinity", "fork", "mkfifo", "killpg", "setrlimit"}
STILL_ELSEWHERE = {"engine/first_run.py"}  # has a memory limit of its own


class ByteRanges(types.ModuleType):
    """Windows' locks, imitated: one owner a byte, of whatever handle."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        super().__init__("msvcrt")
        self.taken: set[tuple[int, int]] = set()

    def locking(self, handle: int, mode: int, count: int) -> None:
        """Take the byte at the handle's position, or refuse as Windows does."""
        assert (mode, count) == (self.LK_NBLCK, 1)
        place = (os.fstat(handle).st_ino, os.lseek(handle, 0, os.SEEK_CUR))
        if place in self.taken:
            raise PermissionError(errno.EACCES, "Permission denied")
        self.taken.add(place)


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> ByteRanges:
    """Take away what Windows lacks, and put its locks in place."""
    locks = ByteRanges()
    monkeypatch.setattr(system, "FCNTL", None)
    monkeypatch.setattr(system, "RESOURCE", None)
    monkeypatch.setattr(system, "MSVCRT", locks)
    monkeypatch.setattr(system, "PLATFORM", "win32")
    for name in ("getuid", "pread", "sched_getaffinity"):
        monkeypatch.delattr(os, name, raising=False)
    return locks


def test_on_windows_files_are_replaced_and_their_makers_kept_apart(
    windows: ByteRanges, tmp_path: Path
) -> None:
    target = tmp_path / "model"
    with alone(target), replacing(target) as file:
        file.write(b"whole")
        with pytest.raises(BlockingIOError), alone(target):
            pass
    assert target.read_bytes() == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_system_without_any_locks_writes_all_the_same(
    windows: ByteRanges, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "MSVCRT", None)
    with alone(tmp_path / "model"), replacing(tmp_path / "model") as file:
        file.write(b"whole")
    assert (tmp_path / "model").read_bytes() == b"whole"


def test_on_windows_there_are_cores_no_limits_and_one_user(
    windows: ByteRanges, tmp_path: Path
) -> None:
    limits = ServiceLimits()
    assert available_threads() >= 1
    system.limit_memory(1)  # would end this process where it worked
    system.limit_computing(0)
    assert within_descriptors(limits, pytest.fail) is limits
    assert system.user() == "user"
    assert system.is_ours_alone(tmp_path)
    (tmp_path / "file").touch()
    assert not system.is_ours_alone(tmp_path / "file")


def test_on_windows_a_home_that_cannot_be_used_is_a_temporary_one(
    windows: ByteRanges, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FURSURE_HOME", str(tmp_path / "file" / "below"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    home._temporary_home.cache_clear()
    assert home.home() == tmp_path / "fursure-user"
    home._temporary_home.cache_clear()


class Watched(io.BytesIO):
    """A file with one position, which may only be moved by whoever has the turn."""

    turn = threading.Lock()

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move, in one's turn."""
        assert self.turn.locked()
        return super().seek(offset, whence)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, in the same turn."""
        assert self.turn.locked()
        return super().read(size)


def test_threads_take_turns_where_a_file_has_one_position(windows: ByteRanges) -> None:
    assert system.read_at(Watched(b"abcdef"), 2, 3, Watched.turn) == b"cde"
    assert not Watched.turn.locked()


@pytest.mark.skipif(not hasattr(os, "pread"), reason="a file has one position here")
def test_threads_wait_for_nobody_where_positions_are_free(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abcdef")
    with (tmp_path / "file").open("rb") as file, Watched.turn:  # taken, and not waited for
        assert system.read_at(file, 2, 3, Watched.turn) == b"cde"
        assert file.tell() == 0


@pytest.mark.skipif(system.RESOURCE is None, reason="has no such limits")
def test_where_there_are_limits_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, tuple[int, int]]] = []
    limits = types.SimpleNamespace(
        RLIMIT_NOFILE=7, RLIMIT_AS=9, RLIMIT_CPU=0, getrlimit=lambda _kind: (256, 1024),
        setrlimit=lambda kind, both: asked.append((kind, both)),
    )  # fmt: skip
    monkeypatch.setattr(system, "RESOURCE", limits)
    assert system.open_files_allowed(4096) == 1024
    assert system.open_files_allowed(100) == 256
    system.limit_memory(2**30)
    system.limit_computing(60)
    assert asked == [(7, (1024, 1024)), (9, (2**30, 2**30)), (0, (60, 65))]
    assert system.open_files() > 2


COMMANDS = (
    ["predict", "кот.jpg"],
    ["predict", "кот.jpg", "-m", "ёж.fursure"],
    ["check", "日本"],
    ["recipes", "лучший"],
    ["猫"],
)


@pytest.mark.long
@pytest.mark.parametrize("encoding", ["ascii", "cp437", "cp932", "cp1252"])
def test_no_command_fails_for_want_of_a_letter(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "кот.jpg").write_bytes(jpeg(draw("cat", 1)))
    for words in COMMANDS:
        run = subprocess.run(
            [sys.executable, "-m", "fursure", *words],
            cwd=tmp_path, capture_output=True, check=False,
            env=os.environ | {"PYTHONIOENCODING": encoding},
        )  # fmt: skip
        assert run.stdout + run.stderr
        assert b"Traceback" not in run.stderr
        assert run.returncode in {0, 1, 2}


def test_what_only_some_systems_have_is_asked_for_in_one_module() -> None:
    elsewhere = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Import(names=imported):
                    asked = POSIX_ONLY & {alias.name for alias in imported}
                case ast.Attribute(attr=name, value=ast.Name(id="os")):
                    asked = ASKED & {name}
                case _:
                    continue
            if asked:
                elsewhere.add(path.relative_to(SOURCE).as_posix())
    assert elsewhere - STILL_ELSEWHERE <= {"system.py"}
