import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from console import Run, fursure
from figures import at_figure

from fursure.cli import COMMANDS, _run
from fursure.drawings.draw import draw, jpeg
from fursure.engine.runtime import BULK
from fursure.training.train import Trained


def started(*args: object, cwd: Path | None = None, **env: str) -> Run:
    """Run one command in a process of its own, where any warning is an error."""
    run = subprocess.run(
        [sys.executable, "-m", "fursure", *map(str, args)],
        capture_output=True,
        check=False,
        cwd=cwd,
        env=os.environ | {"PYTHONWARNINGS": "error"} | env,
    )
    return subprocess.CompletedProcess(
        run.args, run.returncode, run.stdout.decode(), run.stderr.decode()
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three good photos, two bad ones and junk."""
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(3):
        (folder / f"cat{seed}.jpg").write_bytes(jpeg(draw("cat", seed)))
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "torn.jpg").write_bytes(jpeg(draw("cat", 9))[:400])
    (folder / "notes.txt").write_text("junk")
    return folder


def test_help_names_every_command_and_imports_none() -> None:
    run = started("--help")
    assert run.returncode == 0
    for name in COMMANDS:
        assert name in run.stdout
    code = "import sys, fursure.cli; print(sorted(m for m in sys.modules if m in {'numpy', 'PIL'}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert loaded.stdout == b"[]\n"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(name: str) -> None:
    run = fursure(name, "--help")
    assert run.returncode == 0
    assert run.stdout.startswith(f"Usage: fursure {name}")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["pedict"], "Did you mean 'predict'?"),
        (["predict"], "Missing argument"),
        (["predict", "--max-error", "2", "x.jpg"], "--max-error"),
        (["train", ".", "--head", "svm"], "svm"),
        (["predict", "--json=maybe", "x"], "--json"),
    ],
)
def test_wrong_usage_is_exit_2_on_standard_error(args: list[str], words: str) -> None:
    run = fursure(*args)
    assert run.returncode == 2
    assert words in run.stderr
    assert run.stdout == ""


def test_a_photo_needs_no_model_named(photos: Path) -> None:
    run = started("predict", photos / "cat0.jpg")
    assert run.returncode == 0
    assert run.stderr == ""
    assert len(run.stdout.splitlines()) == 1
    assert "cat0.jpg" in run.stdout


def test_bad_photos_are_rows_and_exit_3(photos: Path) -> None:
    run = fursure("predict", photos)
    assert run.returncode == 3
    lines = run.stdout.splitlines()
    assert len(lines) == 5
    assert sum(line.startswith("error") for line in lines) == 2
    assert "Traceback" not in run.stderr


def test_json_is_one_object_a_line_and_nothing_else(photos: Path) -> None:
    run = fursure("predict", "--json", photos)
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert [Path(row["path"]).name for row in rows] == [
        "cat0.jpg", "cat1.jpg", "cat2.jpg", "empty.jpg", "torn.jpg",
    ]  # fmt: skip
    good = [row for row in rows if "error" not in row]
    assert all(row["engine"].startswith("onnxruntime") for row in good)
    assert all(set(row["probabilities"]) == {"cat", "dog"} for row in good)


def test_standard_input_a_glob_and_a_zip_are_photos_too(photos: Path, tmp_path: Path) -> None:
    data = (photos / "cat0.jpg").read_bytes()
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.writestr("in/cat0.jpg", data)
        archive.writestr("../evil.jpg", data)
    run = fursure("predict", "--json", "-", photos / "cat*.jpg", tmp_path / "some.zip", stdin=data)
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0
    assert [row["path"].rsplit("/", 1)[-1] for row in rows] == [
        "-", "cat0.jpg", "cat1.jpg", "cat2.jpg", "cat0.jpg",
    ]  # fmt: skip
    assert rows[-1]["path"].endswith("some.zip!in/cat0.jpg")
    assert rows[0]["confidence"] == rows[1]["confidence"] == rows[-1]["confidence"]
    assert not (tmp_path.parent / "evil.jpg").exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["predict", "none/"], "none"),
        (["predict", "-m", "none.fursure", "x.jpg"], "fursure train"),
        (["evaluate", "pets", "nowhere"], "nowhere does not exist"),
        (["train", "nowhere"], "nowhere does not exist"),
        (["predict", "https://example.org/cat.jpg"], "forbids the network"),
    ],
)
def test_a_failure_is_one_sentence_without_a_traceback(
    args: list[str], words: str, tmp_path: Path
) -> None:
    run = fursure(*args, cwd=tmp_path)
    assert run.returncode in {1, 3}
    assert words in run.stderr + run.stdout
    assert "Traceback" not in run.stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    assert "Traceback" in started("--debug", "train", "nowhere", cwd=tmp_path).stderr


def test_a_table_is_whole_and_is_not_overwritten(photos: Path, tmp_path: Path) -> None:
    table = tmp_path / "out.csv"
    run = fursure("predict", "--csv", table, "-q", photos)
    assert run.returncode == 3
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == 5
    assert rows[0].keys() >= {"path", "answer", "confidence", "p_cat", "p_dog", "engine", "error"}
    assert sum(bool(row["error"]) for row in rows) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv"]
    other = fursure("predict", "--csv", table, photos / "cat0.jpg")
    assert other.returncode == 1
    assert "--overwrite" in other.stderr
    assert fursure("predict", "--csv", table, "--overwrite", "-q", photos).returncode == 3


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
def test_a_killed_table_continues_where_it_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(600):
        (folder / f"{number:04}.jpg").write_bytes(jpeg(draw("cat", number % 20, size=64)))
    table, part = tmp_path / "out.csv", tmp_path / "out.csv.part"
    command = [sys.executable, "-m", "fursure", "predict", "-q", "--engine", "onnxruntime"]
    process = subprocess.Popen([*command, "--csv", str(table), str(folder)])
    until = time.monotonic() + 60
    while not (part.exists() and part.read_bytes().count(b"\n") > 100):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not table.exists()
    kept = part.read_text().splitlines()[1:100]
    run = fursure("predict", "--engine", "onnxruntime", "--csv", table, folder)
    assert "continuing after" in run.stderr
    rows = table.read_text().splitlines()
    assert rows[1:100] == kept
    assert [Path(row.split(",")[0]).name for row in rows[1:]] == [
        f"{number:04}.jpg" for number in range(600)
    ]


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
@pytest.mark.parametrize("moments", at_figure(2, 20))
def test_an_interrupt_at_any_moment_is_exit_130_without_a_traceback(
    tmp_path: Path, moments: int
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(3000):
        (folder / f"{number:04}.jpg").symlink_to(folder.parent / "one.jpg")
    (tmp_path / "one.jpg").write_bytes(jpeg(draw("cat", 1)))
    for moment in range(moments):
        process = subprocess.Popen(
            [sys.executable, "-m", "fursure", "predict", "--engine", "onnxruntime", str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        for _ in range(1 + moment * 7):
            process.stdout.readline()
        time.sleep(moment * 0.003)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 130
        assert b"Traceback" not in error


def test_photos_are_linked_by_answer_and_none_is_moved(photos: Path, tmp_path: Path) -> None:
    before = sorted(path.name for path in photos.iterdir())
    for _ in range(2):  # a second run finds its links and makes no more
        run = fursure("predict", "--sort-into", tmp_path / "sorted", photos)
        assert run.returncode == 3
    links = sorted(path for path in (tmp_path / "sorted").rglob("*.jpg"))
    assert sorted(path.name for path in links) == ["cat0.jpg", "cat1.jpg", "cat2.jpg"]
    assert all(path.is_symlink() and path.resolve().parent == photos for path in links)
    assert sorted(path.name for path in photos.iterdir()) == before


def test_names_cannot_move_the_cursor(tmp_path: Path) -> None:
    path = tmp_path / "\x1b[2Jcat\n.jpg"
    path.write_bytes(jpeg(draw("cat", 1)))
    run = fursure("predict", tmp_path)
    assert "\x1b" not in run.stdout
    assert len(run.stdout.splitlines()) == 1


def test_an_error_cannot_move_the_cursor_either(tmp_path: Path) -> None:
    run = fursure("train", "no\x1b[2Jne", cwd=tmp_path)
    assert run.returncode == 1
    assert "\x1b" not in run.stderr
    assert "does not exist" in run.stderr


def test_training_prints_figures_on_stdout_and_the_rest_elsewhere(
    drawings: Path, tmp_path: Path
) -> None:
    args = ["train", drawings, "-o", tmp_path / "m.fursure", "--image-size", "96"]
    run = started(*args)
    assert run.returncode == 0
    assert "accuracy" in run.stdout
    assert "n = 80" in run.stdout
    assert "next: fursure predict" in run.stderr
    again = started(*args)
    assert again.returncode == 0
    assert "nothing to do" in again.stderr
    assert again.stdout == run.stdout


@pytest.mark.parametrize(
    ("command", "flags"), [("train", ["--image-size", "96", "-o"]), ("split", ["--out"])]
)
def test_a_quiet_run_still_counts_what_it_left_out(
    command: str, flags: list[str], drawings: Path, tmp_path: Path
) -> None:
    photos = shutil.copytree(drawings, tmp_path / "photos")
    for number in range(3):
        (photos / "cat" / f"a{number}.jpg").write_bytes(b"no photo")
    run = fursure(command, photos, *flags, tmp_path / "made.fursure", "--json", "-q")
    assert run.returncode == 0
    words = "3 of 83 photos left out; the first is cat/a0.jpg: a text file, not a photo"
    assert run.stderr.splitlines() == [words]


def test_training_says_its_figures_as_json(drawings: Path, tmp_path: Path) -> None:
    run = fursure(
        "train", drawings, "-o", tmp_path / "m.fursure", "--json", "-q", "--image-size", "96"
    )
    values = json.loads(run.stdout)
    assert values["new"] is True
    assert values["figures"]["n"] == 80
    assert run.stderr == ""


def test_evaluation_says_how_many_answers_are_given(trained: Trained, drawings: Path) -> None:
    run = fursure("evaluate", trained.path, drawings, "--include-seen", "--json", "--no-report")
    values = json.loads(run.stdout)
    assert values["n"] == 80
    assert 0 <= values["answered"]["value"] <= 1
    assert values["engine"].startswith("onnxruntime")


@pytest.mark.long
def test_the_doctor_finds_this_machine_well(tmp_path: Path) -> None:
    run = fursure("doctor", "--json", env={"FURSURE_HOME": str(tmp_path / "home")})
    assert run.returncode == 0
    findings = {one["what"]: one for one in map(json.loads, run.stdout.splitlines())}
    assert findings["test photo"]["good"]
    assert "onnxruntime" in findings["engines"]["found"]
    assert str(tmp_path / "home") in findings["caches"]["found"]


@pytest.mark.long
def test_many_photos_tell_once_which_engine_runs_and_few_do_not(tmp_path: Path) -> None:
    photo = jpeg(draw("cat", seed=1, size=64))
    for number in range(BULK):
        (tmp_path / f"{number}.jpg").write_bytes(photo)
    assert started("predict", tmp_path).stderr.count("engine: ") == 1
    assert "engine: " not in started("predict", "--quiet", tmp_path).stderr
    assert "engine: " not in started("predict", tmp_path / "1.jpg").stderr


@pytest.mark.long
def test_the_doctor_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file, no folder")
    run = fursure("doctor", env={"FURSURE_HOME": str(tmp_path / "home")})
    assert run.returncode == 1
    assert "PROBLEM  caches" in run.stdout


@pytest.mark.long
def test_the_cache_is_listed_and_cleared(drawings: Path, tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    started("train", drawings, "-o", tmp_path / "m.fursure", FURSURE_HOME=home)
    listed = [
        json.loads(line)
        for line in started("cache", "--json", FURSURE_HOME=home).stdout.splitlines()
    ]
    entries = {row["kind"]: row["entries"] for row in listed}
    assert entries.pop("engines") >= 1  # its network was tried, and run
    assert entries == {"features": 80, "fingerprints": 80}
    assert "removed" in started("cache", "clear", FURSURE_HOME=home).stderr
    assert started("cache", FURSURE_HOME=home).stdout == ""


def test_backbones_at_hand_begin_with_the_default_and_what_it_is_worth() -> None:
    run = fursure("backbones")
    assert run.stdout.splitlines()[1].startswith("lite0 ")
    rows = [json.loads(line) for line in fursure("backbones", "--json").stdout.splitlines()]
    assert rows[0]["name"] == "lite0"
    assert rows[0]["measured"]["torch_once"] is False
    assert 0.98 < rows[0]["measured"]["accuracy"] < 1


@pytest.mark.long
def test_nothing_touches_the_network(photos: Path, tmp_path: Path, drawings: Path) -> None:
    """A filter of system calls ends whoever connects; `serve` is tested in the same way."""
    guard = Path(__file__).with_name("without_network.py")
    for args in (
        ["predict", photos],
        ["train", drawings, "-o", tmp_path / "m.fursure"],
        ["evaluate", "pets", drawings, "-q"],
        ["doctor"],
    ):
        code = "from fursure.cli import main; main()"
        command = [sys.executable, str(guard), code, *map(str, args)]
        run = subprocess.run(command, capture_output=True, check=False)
        assert run.returncode in {0, 3}, run.stderr


def sixty_runs(photos: Path, out: Path) -> list[tuple[list[str], int]]:
    """Return command lines with the exit code each must have."""
    good, bad = str(photos / "cat0.jpg"), str(photos / "torn.jpg")
    runs = [([name, "--help"], 0) for name in COMMANDS]
    runs += [([name, "--no-such-option"], 2) for name in COMMANDS]
    for flags in ([], ["--json"], ["-q"], ["--json", "-q"], ["--json", "--threads", "1"]):
        runs += [
            (["predict", *flags, good], 0),
            (["predict", *flags, good, bad], 3),
            (["predict", *flags, "none.jpg"], 3),
            (["predict", *flags, "-m", "none.fursure", good], 1),
        ]
    runs += [(["predict", "--threads", value, good], 2) for value in ("x", "-1", "")]
    runs += [(["predict", "--json", "--engine", "onnxruntime", good], 0), (["cache", "--json"], 0)]
    runs += [(["evaluate", "pets", "nowhere", *flags], 1) for flags in ([], ["--json"], ["-q"])]
    runs += [(["check", "nowhere", *flags], 1) for flags in ([], ["--json"])]
    runs += [(["train", "nowhere", "-o", str(out / "m"), *flags], 1) for flags in ([], ["--json"])]
    runs += [(["backbones", "--json"], 0), (["recipes"], 0), (["nothing"], 2), ([], 2)]
    return runs


@pytest.mark.long
def test_sixty_runs_end_with_their_code_and_nothing_but_results_on_standard_output(
    photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runs = sixty_runs(photos, tmp_path)
    assert len(runs) >= 60
    for args, code in runs:
        assert _run(args) == code, args
        told = capfd.readouterr()
        assert "Traceback" not in told.err, args
        if code in {1, 2}:
            assert told.out == "", args
            assert told.err, args
        if "--json" in args:
            assert [json.loads(line) for line in told.out.splitlines()] or code, args


def test_no_path_in_a_table_is_a_formula() -> None:
    from fursure.report.table import cell

    assert cell("=cmd().jpg") == "./=cmd().jpg"
    assert cell("-1.jpg") == "./-1.jpg"
    assert cell("-") == "-"
    assert cell("cats/+1.jpg") == "cats/+1.jpg"


@pytest.mark.long
def test_the_page_of_an_evaluation_lies_beside_the_model_or_where_told(
    trained: Trained, drawings: Path, tmp_path: Path
) -> None:
    model, here = tmp_path / "models" / "m.fursure", tmp_path / "here"
    model.parent.mkdir()
    here.mkdir()
    model.write_bytes(trained.path.read_bytes())
    asked = ("evaluate", model, drawings, "--include-seen")
    assert fursure(*asked, cwd=here).returncode == 0
    assert list(model.parent.glob("m-*.report.html"))
    assert fursure(*asked, "--report", "told.html", cwd=here).returncode == 0
    run = fursure("evaluate", "pets", drawings, cwd=here)
    assert run.returncode == 0
    assert "--report FILE.html" in run.stderr
    assert sorted(path.name for path in here.iterdir()) == ["told.html", "told.json"]
