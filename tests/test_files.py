import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from samples import draw_into, network_into

from fursure import files
from fursure import home as home_module
from fursure.cli import cli
from fursure.commands.api import train
from fursure.errors import OutputBusy
from fursure.files import alone, offline, replacing
from fursure.home import home, homes
from fursure.recipe import Recipe


def test_a_write_replaces_the_old_file_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="disk"), replacing(path) as file:  # noqa: PT012
        file.write(b"half of the n")
        raise OSError("the disk is full")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_can_be_read_by_others(tmp_path: Path) -> None:
    with replacing(tmp_path / "model") as file:
        file.write(b"")
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "model").stat().st_mode == (tmp_path / "plain").stat().st_mode


KILLED = """
import os, sys
from pathlib import Path
from fursure.files import replacing
with replacing(Path(sys.argv[1])) as file:
    file.write(b"half")
    print("writing", flush=True)
    if sys.argv[2] == "wait":
        sys.stdin.read()
    os.kill(os.getpid(), 9)
"""


def writer(path: Path, how: str) -> "subprocess.Popen[bytes]":
    """Start a process that writes to ``path`` and never ends that well."""
    command = [sys.executable, "-c", KILLED, str(path), how]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdin
    process.stdout.readline()
    if how != "wait":
        process.wait()
    return process


def age(folder: Path, *, seconds: float) -> list[Path]:
    """Make the hidden files in ``folder`` older, and forget that it was swept."""
    hidden = list(folder.glob(".*"))
    for path in hidden:
        os.utime(path, (time.time() - seconds,) * 2)
    files._sweep.cache_clear()
    return hidden


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path: Path) -> None:
    mine = tmp_path / ".mine.abcdefgh.part"
    mine.write_text("of another program")
    with writer(tmp_path / "model", "die") as dead:
        assert dead.returncode == -9
    assert len(age(tmp_path, seconds=3600)) == 2
    with replacing(tmp_path / "other") as file:
        file.write(b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [mine.name, "other"]


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
def test_what_a_living_or_a_new_writer_has_is_left_alone(tmp_path: Path) -> None:
    with writer(tmp_path / "new", "die"):
        pass
    files._sweep.cache_clear()
    with replacing(tmp_path / "other"):
        assert len(list(tmp_path.glob(".new.*"))) == 1  # younger than a minute
    with writer(tmp_path / "slow", "wait") as living:
        age(tmp_path, seconds=3600)
        with replacing(tmp_path / "other"):
            assert len(list(tmp_path.glob(".slow.*"))) == 1
            assert not list(tmp_path.glob(".new.*"))
        living.kill()


def test_a_second_run_with_the_same_output_is_told(tmp_path: Path) -> None:
    photos = draw_into(tmp_path / "photos", count=3)
    output = tmp_path / "m.fursure"
    recipe = Recipe(backbone=network_into(tmp_path / "net"))
    with (
        alone(output),
        pytest.raises(OutputBusy, match=rf"another run, process {os.getpid()}; wait"),
    ):
        train(photos, output, recipe)
    assert train(photos, output, recipe).new  # and the lock went with its run
    assert not list(tmp_path.glob(".*.lock"))


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
def test_the_lock_of_a_killed_run_is_taken_over(tmp_path: Path) -> None:
    code = f"""
import os
from pathlib import Path
from fursure.files import alone
with alone(Path({str(tmp_path / "m")!r})):
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert list(tmp_path.glob(".*.lock"))
    with alone(tmp_path / "m"):
        pass
    assert not list(tmp_path.iterdir())


def test_home_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FURSURE_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.delenv("FURSURE_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert home() == tmp_path / "cache" / "fursure"


@pytest.mark.parametrize(
    ("system", "variables", "expected"),
    [
        ("win32", {"LOCALAPPDATA": "local"}, "local/fursure"),
        ("win32", {}, "me/AppData/Local/fursure"),
        ("darwin", {}, "me/Library/Caches/fursure"),
        ("linux", {}, "me/.cache/fursure"),
        ("linux", {"LOCALAPPDATA": "local"}, "me/.cache/fursure"),
        ("darwin", {"XDG_CACHE_HOME": "xdg"}, "xdg/fursure"),
        ("win32", {"LOCALAPPDATA": "local", "FURSURE_HOME": "mine"}, "mine"),
    ],
)
def test_caches_lie_where_the_system_keeps_them(
    system: str,
    variables: dict[str, str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name in ("FURSURE_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, folder in variables.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setattr("fursure.home.PLATFORM", system)
    monkeypatch.setattr(Path, "home", classmethod(lambda _cls: tmp_path / "me"))
    assert home() == tmp_path / expected


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("yes", True), ("0", False)])
@pytest.mark.parametrize("name", ["FURSURE_OFFLINE", "HF_HUB_OFFLINE"])
def test_either_variable_forbids_the_network(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: bool
) -> None:
    monkeypatch.delenv("FURSURE_OFFLINE", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv(name, value)
    assert offline() is expected


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Be a user without HOME and without a name; return the folder of temporary files."""

    def unknown(_cls: type[Path]) -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("FURSURE_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", classmethod(unknown))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    home_module._temporary_home.cache_clear()
    yield tmp_path
    home_module._temporary_home.cache_clear()


def test_where_nobody_has_a_home_a_temporary_folder_is_it_and_that_is_said_once(
    nobody: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = home()
    assert first.parent == nobody
    assert home() == first
    assert [record.getMessage().count(str(first)) for record in caplog.records] == [1]
    home_module._temporary_home.cache_clear()
    assert home() == first  # the next process finds the same caches


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_a_temporary_home_that_others_could_write_to_is_not_taken(nobody: Path) -> None:
    planted = nobody / f"fursure-{os.getuid()}"
    planted.mkdir()
    planted.chmod(0o777)
    assert home() != planted
    assert home().parent == nobody


def test_a_home_that_cannot_be_written_is_replaced(
    nobody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nobody / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(nobody / "file"))
    assert home().parent == nobody


def test_a_named_home_that_cannot_be_written_is_still_read(
    nobody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nobody / "file").write_text("no folder")
    monkeypatch.setenv("FURSURE_HOME", str(nobody / "file" / "caches"))
    assert home().parent == nobody
    assert homes() == (home(), nobody / "file" / "caches")


@pytest.mark.parametrize(
    "args",
    [
        ["train", "photos", "-o", "m.fursure", "-q"],
        ["predict", "photos", "-q"],
        ["evaluate", "pets", "photos", "-q"],
        ["split", "photos", "--out", "divided"],
        ["check", "photos", "-q"],
        ["cache"],
        ["backbones"],
        pytest.param(["doctor"], marks=pytest.mark.long, id="doctor"),
    ],
    ids=lambda args: args[0],
)
def test_a_home_that_cannot_be_written_is_one_note_in_every_command(
    args: list[str],
    nobody: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(nobody)
    (nobody / "file").write_text("no folder")
    monkeypatch.setenv("FURSURE_HOME", str(nobody / "file" / "caches"))
    draw_into(nobody / "photos", count=3)
    run = CliRunner().invoke(cli, args)
    wrong = args == ["doctor"]  # whose work it is to call that a problem
    assert run.exit_code == (1 if wrong else 0), run.output
    assert run.exception is None or isinstance(run.exception, SystemExit)
    assert ("PROBLEM  caches" in run.output) == wrong
    notes = [record.getMessage() for record in caplog.records if "caches" in record.getMessage()]
    assert len(notes) <= 1
    assert all("caches cannot be written, so caches go to" in note for note in notes)


@pytest.mark.parametrize("command", ["train", "predict", "cache", "backbones"])
def test_no_command_needs_a_home(
    command: str, nobody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(nobody)
    draw_into(nobody / "photos", count=3)
    run = CliRunner().invoke(cli, [command, *["photos"] * (command in {"train", "predict"})])
    assert (run.exit_code, run.exception) == (0, None)


def test_a_tilde_where_nobody_has_a_home_is_a_name(
    nobody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", unknown)
    monkeypatch.setenv("FURSURE_HOME", "~/caches")
    assert home() == Path("~/caches")
    assert nobody.exists()
