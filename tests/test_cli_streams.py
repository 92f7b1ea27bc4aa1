"""Standard streams as shells, pipes and services leave them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import started

from fursure.drawings.draw import draw, jpeg

POSIX = pytest.mark.skipif(os.name == "nt", reason="a POSIX shell closes the streams")
NAMES = ("кот.jpg", "naïve 猫.jpg", "z.jpg")


@pytest.fixture
def named(tmp_path: Path) -> Path:
    folder = tmp_path / "names"
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        (folder / name).write_bytes(jpeg(draw("cat", seed)))
    return folder


def on_terminal(encoding: str, *args: object) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error of a run under that encoding."""
    command = [sys.executable, "-m", "fursure", *map(str, args)]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    run = subprocess.run(command, capture_output=True, check=False, env=environment)
    return run.returncode, run.stdout.decode(encoding), run.stderr.decode(encoding)


@pytest.mark.parametrize(
    "encoding",
    [
        "cp1252",
        "cp932",
        pytest.param("latin-1", marks=pytest.mark.long),
        pytest.param("cp437", marks=pytest.mark.long),
    ],
)
def test_a_name_the_terminal_cannot_show_comes_out_escaped(encoding: str, named: Path) -> None:
    code, shown, errors = on_terminal(encoding, "predict", named)
    assert code == 0
    assert len(shown.splitlines()) == 3
    assert ("\\u043a" in shown) is (encoding != "cp932")  # which has Cyrillic
    assert "Traceback" not in errors


def test_an_ascii_terminal_loses_no_row(named: Path) -> None:
    run = started("predict", named, PYTHONIOENCODING="ascii")
    assert run.returncode == 0
    assert len(run.stdout.splitlines()) == 3


@pytest.mark.long
def test_training_prints_any_class_on_any_terminal(tmp_path: Path) -> None:
    for label, kind in (("кот", "cat"), ("собака", "dog")):
        (tmp_path / "data" / label).mkdir(parents=True)
        for seed in range(12):
            path = tmp_path / "data" / label / f"{seed}.jpg"
            path.write_bytes(jpeg(draw(kind, seed, size=64)))  # type: ignore[arg-type]
    model = tmp_path / "кот.fursure"
    code, shown, errors = on_terminal(
        "cp1252", "train", tmp_path / "data", "-o", model, "--no-report", "--image-size", "96"
    )
    assert code == 0
    assert "\\u043a\\u043e\\u0442" in shown
    assert "Traceback" not in errors


def in_shell(command: str) -> tuple[list[int], bytes]:
    """Return the exit codes of a pipe's programs, and what the first left on standard error."""
    script = f"{sys.executable} -m fursure {command}; echo ${{PIPESTATUS[@]}} >&3"
    with subprocess.Popen(
        ["/bin/bash", "-c", f"({script}) 3>&1 >/dev/null"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as shell:
        codes, errors = shell.communicate(timeout=60)
    return [int(code) for code in codes.split()], errors


@POSIX
@pytest.mark.parametrize(
    ("redirected", "code"),
    [
        ("2>&-", 0),
        (">&-", 1),
        pytest.param("<&- >&- 2>&-", 1, marks=pytest.mark.long),
        pytest.param("<&-", 0, marks=pytest.mark.long),
        pytest.param(">&- 2>&-", 1, marks=pytest.mark.long),
    ],
)
def test_rows_for_a_closed_output_are_lost_with_a_word_and_no_traceback(
    redirected: str, code: int, named: Path
) -> None:
    codes, errors = in_shell(f"predict {named} {redirected}")
    assert codes == [code]
    assert b"Traceback" not in errors
    assert (b"standard output is closed" in errors) is (redirected == ">&-")


@POSIX
def test_a_table_is_whole_though_nobody_reads_where_it_lies(named: Path, tmp_path: Path) -> None:
    codes, _ = in_shell(f"predict --csv {tmp_path}/rows.csv {named} >&-")
    assert codes == [0]
    assert len((tmp_path / "rows.csv").read_text("utf-8").splitlines()) == 1 + len(NAMES)


@POSIX
@pytest.mark.parametrize(
    "ends_early",
    ["| true", pytest.param("| head -n 1", marks=pytest.mark.long), "2>&1 | head -n 1"],
)
def test_a_reader_that_leaves_ends_the_run_in_silence_but_not_as_a_success(
    ends_early: str, named: Path
) -> None:
    many = " ".join([str(named)] * 6)
    codes, errors = in_shell(f"predict {many} {ends_early}")
    assert codes == [141, 0]  # as of a program that SIGPIPE ended
    assert errors == b""


@POSIX
def test_a_closed_standard_input_that_is_asked_for_is_a_row(named: Path) -> None:
    command = f"{sys.executable} -m fursure predict - {named}/z.jpg <&-"
    run = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=False)
    assert run.returncode == 3
    assert b"standard input is closed" in run.stdout
    assert len(run.stdout.splitlines()) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
def test_a_full_disk_behind_standard_output_is_a_sentence(named: Path) -> None:
    command = f"{sys.executable} -m fursure predict {named} > /dev/full"
    run = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=False)
    assert run.returncode == 1
    assert b"No space left" in run.stderr
    assert b"Traceback" not in run.stderr
