"""The fuzzer finds what was planted, tells where it lies, and every seed of it is survived."""

import io
import json
import random
import re
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import pytest
from PIL import Image

from fursure.bundle.bundle import Bundle
from fuzzing.mutate import Mutator
from fuzzing.shapes import json_changed, png, summed, tar, zipped
from fuzzing.targets import PLANTED, SEEDS, TARGETS, kept, opened
from fuzzing.targets.data import _tar
from fuzzing.trial import called, minimised

ROOT = Path(__file__).parents[1]
FAST = ["--unguided", "--deaths", "0", "--deadline", "0.1", "--memory", "64"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its limits are Unix's")


def fuzzed(found: Path, *args: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "fuzzing", *args, "--found", str(found)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("planted-crash", "crash", "planted.py"),
        ("planted-hang", "hang", "in _hang"),
        ("planted-memory", "memory", "MemoryError"),
        ("planted-hidden-memory", "memory", "Refused: too large"),
        ("planted-error", "error", "KeyError"),
    ],
)
def test_a_planted_flaw_is_found_and_its_input_is_kept(
    tmp_path: Path, name: str, kind: str, words: str
) -> None:
    done = fuzzed(tmp_path, name, "--inputs", "300", *FAST)
    [path] = [path for path in tmp_path.iterdir() if path.suffix != ".json"]
    note = json.loads(path.with_name(path.name + ".json").read_text())
    assert done.returncode == 1, done
    assert f"  {path}\n" in done.stdout
    assert (note["target"], note["kind"]) == (name, kind)
    assert words in note["text"]
    assert b"!" in path.read_bytes()
    if kind == "error":
        assert path.read_bytes() == b"!"  # the shortest that still does it


def test_a_door_without_a_flaw_is_counted_and_passes(tmp_path: Path) -> None:
    done = fuzzed(tmp_path, "planted-nothing", "--inputs", "300", *FAST)
    assert done.returncode == 0, done
    assert "300 inputs at 1 doors, 0 findings" in done.stdout
    assert not list(tmp_path.iterdir())


def test_memory_that_was_written_to_is_measured(tmp_path: Path) -> None:
    limits = ["--unguided", "--deaths", "0", "--memory", "120"]  # MiB; it takes 96
    done = fuzzed(tmp_path, "planted-memory", "--inputs", "20", *limits)
    assert done.returncode == 0, done
    assert re.search(r"peak +9[4-8] MiB", done.stdout)


def test_a_finding_is_tried_again_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"any!")
    done = fuzzed(tmp_path, "planted-error", "--again", str(tmp_path / "input"))
    assert done.returncode == 1
    assert "KeyError: b'any!'" in done.stdout


def test_the_same_seed_tries_the_same_inputs() -> None:
    change = opened("planted-nothing").mutator()

    def inputs(seed: int) -> list[bytes]:
        chance = random.Random(seed)
        return [change(b"one two three", chance) for _ in range(50)]

    assert inputs(1) == inputs(1)
    assert inputs(1) != inputs(2)
    assert len(set(inputs(1))) > 40


def test_an_input_is_cut_down_to_what_matters() -> None:
    assert minimised(b"a" * 1000 + b"needle" + b"b" * 700, lambda data: b"needle" in data) == (
        b"needle"
    )


# What is changed inside has sums that fit


def test_a_changed_png_has_the_sums_of_its_chunks() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9)).save(buffer, "PNG")
    change, chance = png(Mutator()), random.Random(0)
    for _ in range(30):
        data, at = change(buffer.getvalue(), chance), 8
        while at < len(data):
            end = at + 8 + int.from_bytes(data[at : at + 4], "big")
            assert int.from_bytes(data[end : end + 4], "big") == zlib.crc32(data[at + 4 : end])
            at = end + 4


def test_a_changed_tar_is_read_past_its_first_header() -> None:
    change, chance = tar(Mutator()), random.Random(0)
    opened_ones = 0
    for _ in range(40):
        try:
            with tarfile.open(fileobj=io.BytesIO(change(_tar(tarfile.GNU_FORMAT), chance))) as file:
                opened_ones += bool(file.getnames())
        except tarfile.TarError:
            continue
    assert opened_ones > 10


def test_a_changed_bundle_has_sums_that_fit(tmp_path: Path) -> None:
    [small] = kept("bundle")[:1]
    path = tmp_path / "m.fursure"
    path.write_bytes(small)
    assert Bundle.read(path).meta.labels == ("cat", "dog")
    path.write_bytes(zipped(summed({"card.md": b"x"})))
    with pytest.raises(Exception, match="is missing"):
        Bundle.read(path)
    outcomes = {
        called(opened("bundle"), opened("bundle").mutator()(small, random.Random(seed)))[0]
        for seed in range(20)
    }
    assert len(outcomes) > 5  # not one refusal for all


def test_a_json_text_is_changed_by_its_values() -> None:
    texts = {json_changed(b'{"a": [1, 2], "b": {"c": "d"}}', random.Random(n)) for n in range(80)}
    assert len(texts) > 30
    assert json_changed(b"no json", random.Random(0)) == b"no json"


# The doors


@pytest.mark.parametrize("name", sorted(TARGETS.keys() - {"h5"}))
def test_every_seed_is_survived(name: str) -> None:
    target = opened(name)
    outcomes = set()
    for seed in target.seeds:
        outcome, finding = called(target, seed)
        assert finding is None, finding.text
        outcomes.add(outcome)
    assert outcomes


def test_every_folder_of_seeds_belongs_to_a_door() -> None:
    assert {path.name for path in SEEDS.iterdir()} <= TARGETS.keys()
    assert not TARGETS.keys() & PLANTED.keys()


@pytest.mark.slow
def test_every_door_stands_a_minute_of_fuzzing(tmp_path: Path) -> None:
    done = fuzzed(tmp_path, "--seconds", "60", "--unguided")
    assert done.returncode == 0, done.stdout
