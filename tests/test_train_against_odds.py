"""Training where the disk is full, the clock jumps, names are odd, and two want one output."""

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from disks import on_a_small_disk
from figures import at_figure
from samples import draw_into, network_into

from fursure.check.check import check_data
from fursure.cli import _run
from fursure.commands.api import train
from fursure.drawings.draw import draw, jpeg
from fursure.recipe import Recipe

POSIX = pytest.mark.skipif(os.name == "nt", reason="files and signals as POSIX has them")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return class folders of six drawn cats and six drawn dogs."""
    return draw_into(tmp_path_factory.mktemp("odds") / "photos", count=6)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of a network that is read in a moment."""
    return network_into(tmp_path_factory.mktemp("odds") / "net")


# Disks

FULL_DISK = """
import contextlib, io, json, os, sys
from pathlib import Path
from fursure.cli import main
disk, (photos, network, levels) = Path(sys.argv[1]), json.loads(sys.argv[2])
model = disk / "m.fursure"

def run(seed):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            main(["train", photos, "-o", str(model), "--backbone", network, "--seed", str(seed),
                  "--engine", "onnxruntime", "-q", "--overwrite", "--no-report"])
        except SystemExit as end:
            return end.code, said.getvalue()

assert run(0)[0] == 0
before, size = model.read_bytes(), model.stat().st_size
for level in range(levels):
    (disk / "filler").unlink(missing_ok=True)
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    room = (size - 8192) * level // levels // 4096 * 4096
    (disk / "filler").write_bytes(bytes(free - room))
    code, said = run(1)
    names = sorted(path.name for path in disk.iterdir())
    print(json.dumps([code, said, model.read_bytes() == before, names]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small disk of its own")
@pytest.mark.parametrize("levels", at_figure(2, 20))
def test_a_disk_that_is_full_at_any_level_keeps_the_old_model_and_says_what_a_new_one_needs(
    data: Path, network: str, tmp_path: Path, levels: int
) -> None:
    rows = on_a_small_disk(FULL_DISK, tmp_path, json.dumps([str(data), network, levels]))
    assert len(rows) == levels
    for code, said, same, names in map(json.loads, rows):
        assert (code, same) == (1, True), said
        assert re.search(
            r"/m\.(fursure|manifest\.jsonl|metrics\.json): No space left on device; "
            r"it needs [\d,]+ bytes; free some space there",
            said,
        )
        assert not [name for name in names if name.startswith(".")]


# Names and permissions


def bound_by_modes() -> None:
    """Take from root, where that is who we are, the right to pass over a file's mode."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


def bound(*args: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fursure", *map(str, args)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, preexec_fn=bound_by_modes
    )


@POSIX
@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="takes a right from root as Linux does")
def test_what_may_not_be_read_or_written_is_a_sentence_and_the_rest_is_answered(
    data: Path, network: str, tmp_path: Path
) -> None:
    photos, closed = tmp_path / "photos", tmp_path / "closed"
    for folder in (photos / "shut", closed):
        folder.mkdir(parents=True)
    for place in (photos / "good.jpg", photos / "secret.jpg", photos / "shut" / "x.jpg"):
        place.write_bytes(jpeg(draw("cat", 1, size=64)))
    (photos / "secret.jpg").chmod(0)
    (photos / "shut").chmod(0)
    closed.chmod(0o555)
    try:
        output = closed / "m.fursure"
        made = bound("train", data, "-o", output, "--backbone", network, "-q")
        assert (made.returncode, made.stdout) == (1, "")
        assert "closed" in made.stderr
        assert "Traceback" not in made.stderr
        run = bound("predict", "--json", photos, photos / "shut")
    finally:
        (photos / "shut").chmod(0o755)
    rows = {Path(row["path"]).name: row for row in map(json.loads, run.stdout.splitlines())}
    assert run.returncode == 3
    assert "Traceback" not in run.stderr
    assert "error" not in rows["good.jpg"]
    assert "cannot be" in rows["secret.jpg"]["error"]
    assert "error" in rows["shut"]


@POSIX
@pytest.mark.parametrize(
    "name",
    [
        b"x" * 251 + b".jpg",
        b"\xff\xfe no utf-8.jpg",
        b" spaces  in it .jpg",
        b"line\nbreak\r.jpg",
        b"; $(id) `id` | & 'x' \"y\".jpg",
        b"-rf.jpg",
        b"--json",
    ],
    ids=["255 bytes", "no UTF-8", "spaces", "line breaks", "a shell's", "a flag", "an option"],
)
def test_a_photo_of_any_name_is_answered(
    name: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(os.fsdecode(name))
    path.write_bytes(jpeg(draw("cat", 1, size=64)))
    assert _run(["predict", "--json", "--", str(path)]) == 0
    [row] = map(json.loads, capsys.readouterr().out.splitlines())
    assert row["answer"] in {"cat", "dog", "unsure", "stranger"}


def test_an_output_that_is_a_folder_is_a_sentence(
    data: Path, network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.fursure").mkdir()
    args = ["train", str(data), "-o", str(tmp_path / "m.fursure"), "--backbone", network, "-q"]
    assert _run(args) == 1
    assert "m.fursure" in capsys.readouterr().err


def test_a_folder_named_like_a_photo_is_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "album.jpg").mkdir()
    (tmp_path / "album.jpg" / "cat.jpg").write_bytes(jpeg(draw("cat", 1, size=64)))
    assert _run(["predict", "--json", str(tmp_path / "album.jpg")]) == 0
    assert json.loads(capsys.readouterr().out)["path"].endswith("album.jpg/cat.jpg")


# Two at once


@POSIX
@pytest.mark.parametrize("races", at_figure(2, 20))
def test_of_two_trainers_with_one_output_the_second_is_told_who_has_it(
    data: Path, network: str, tmp_path: Path, races: int
) -> None:
    command = [sys.executable, "-m", "fursure", "train", str(data), "--backbone", network, "-q"]
    command += ["--engine", "onnxruntime", "--no-report", "-o"]
    told = 0
    for race in range(races):
        folder = tmp_path / str(race)
        folder.mkdir()
        output = str(folder / "m.fursure")
        both = [subprocess.Popen([*command, output], stderr=subprocess.PIPE, stdout=-3, text=True)
                for _ in range(2)]  # fmt: skip
        said = [one.communicate(timeout=120)[1] for one in both]
        for one, words, other in zip(both, said, both[::-1], strict=True):
            assert one.returncode in {0, 1}, words
            if one.returncode:
                assert f"is being made by another run, process {other.pid}; wait" in words
                told += 1
        assert min(one.returncode for one in both) == 0
        assert not list(folder.glob(".*"))
    assert told >= races / 2  # now and then the first has ended before the second looks


@POSIX
@pytest.mark.parametrize("times", at_figure(2, 20))
def test_the_lock_of_a_killed_trainer_is_taken_over(
    data: Path, network: str, tmp_path: Path, times: int
) -> None:
    code = (
        "import os, sys, time\nfrom pathlib import Path\nfrom fursure.files import alone\n"
        "with alone(Path(sys.argv[1])):\n    print(flush=True)\n    time.sleep(60)\n"
    )
    for number in range(times):
        output = tmp_path / f"{number}.fursure"
        command = [sys.executable, "-c", code, str(output)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
            assert holder.stdout is not None
            holder.stdout.readline()
            assert int((tmp_path / f".{output.name}.lock").read_text()) == holder.pid
            holder.send_signal(signal.SIGKILL)
        assert train(data, output, Recipe(backbone=network), engine="onnxruntime").new
        assert not list(tmp_path.glob(".*"))


# Threads, clocks


@pytest.mark.long
def test_one_thread_and_two_make_the_same_file(data: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    made = [
        train(data, folder / "m.fursure", Recipe(), engine="onnxruntime", threads=threads).path
        for folder, threads in ((tmp_path, 1), (tmp_path / "again", 2))
    ]
    assert made[0].read_bytes() == made[1].read_bytes()


@pytest.fixture
def _zone() -> Iterator[None]:
    """Give the time zone back afterwards."""
    before = os.environ.get("TZ")
    yield
    with suppress(KeyError):
        del os.environ["TZ"]
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


DAY = 86_400.0  # seconds
LEAP_DAY = 1_835_395_190.0  # 2028-02-28 23:59:50 UTC


@POSIX
@pytest.mark.usefixtures("_zone")
@pytest.mark.parametrize(
    "story",
    [
        "jumps",
        pytest.param("zones", marks=pytest.mark.long),
        pytest.param("leap day", marks=pytest.mark.long),
    ],
)
def test_a_clock_that_jumps_changes_neither_a_model_nor_a_duration(
    story: str, data: Path, network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jumping").mkdir()
    recipe = Recipe(backbone=network)
    usual = train(data, tmp_path / "m.fursure", recipe, engine="onnxruntime", report=True)
    calls, real = [0], time.time

    def jumping() -> float:
        calls[0] += 1
        return real() + DAY * (-1) ** calls[0] if story == "jumps" else LEAP_DAY + calls[0]

    if story == "zones":
        monkeypatch.setenv("TZ", "Pacific/Kiritimati")
        time.tzset()
    else:
        monkeypatch.setattr(time, "time", jumping)
    output = tmp_path / "jumping" / "m.fursure"
    made = train(data, output, recipe, engine="onnxruntime", report=True)
    assert made.path.read_bytes() == usual.path.read_bytes()
    values = json.loads(output.with_name("m.metrics.json").read_text())
    seconds = [value for key, value in flat(values) if "seconds" in key]
    assert all(value >= 0 for value in seconds)


def flat(values: object, name: str = "") -> Iterator[tuple[str, float]]:
    """Yield each number in JSON with the keys that lead to it."""
    match values:
        case dict():
            for key, value in values.items():
                yield from flat(value, f"{name}/{key}")
        case list():
            for value in values:
                yield from flat(value, name)
        case int() | float():
            yield name, values


# Labels


@pytest.mark.long
def test_where_three_labels_in_ten_are_wrong_the_check_names_them(tmp_path: Path) -> None:
    folder = draw_into(tmp_path / "photos", count=40, kinds=("dog", "stranger"))
    for number in range(0, 40, 10):
        for step in range(3):
            for here, there in (("dog", "stranger"), ("stranger", "dog")):
                photo = folder / here / f"{here}.{number + step}.jpg"
                photo.rename(folder / there / f"wrong.{here}.{number + step}.jpg")
    found = check_data(folder)
    assert found.doubts is not None
    listed = {
        path for one in found.findings if one.kind in {"label", "doubt"} for path in one.paths
    }
    wrong = {path for path in listed if "wrong." in path}
    assert len(wrong) >= 10  # 13 of 24 in 80 drawings, by name
    assert len(wrong) > len(listed) / 2
    assert "wrong" in found.doubts.sentence()
