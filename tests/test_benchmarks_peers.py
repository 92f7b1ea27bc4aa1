"""The table of peers is whole, and one that fails is a row with its reason; none is installed."""

import importlib.util
import json
import re
import sys
import time
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("the benchmarks read /proc", allow_module_level=True)

from benchmarks.machine import run
from benchmarks.peers import measure
from benchmarks.peers.__main__ import HEADER, written
from benchmarks.peers.catalogue import PEERS, Environment, Peer
from benchmarks.peers.measure import Row, measured
from benchmarks.peers.photos import unpack

PATIENCE = 60.0  # seconds
WORKS = """
import json, sys
print("epoch 1 of 1")
print(json.dumps({"train": {"accuracy": 0.75, "n": 4}, "bulk": {"n": 4}}.get(sys.argv[1], {})))
print("bye")
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Peer:
    """Return a peer whose script is `peer.py` of the test's folder, in this environment."""
    monkeypatch.setattr(measure, "installed", lambda *_: Path(sys.prefix))
    monkeypatch.setattr(measure, "megabytes", lambda _: 12.0)
    return Peer(
        name="fake",
        what="nothing",
        environment=Environment("fake", ()),
        script="peer",
        env={"PYTHONPATH": str(tmp_path)},
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return 20 photos, unpacked; what they show is never looked at."""
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for label in ("cat", "dog"):
            for number in range(12):
                archive.writestr(f"train/{label}.{number}.jpg", f"{label} {number}")
    return unpack(tmp_path / "photos.zip", tmp_path / "photos", 20)


def row_of(peer: Peer, script: str, photos: Path) -> Row:
    (photos.parent / "peer.py").write_text(script)
    return measured(peer, photos.parent, photos, photos.parent / "work", PATIENCE)


def test_the_table_of_peers_is_whole() -> None:
    assert PEERS[0].name == "fursure"  # the ratios are to it
    assert max(Counter(peer.name for peer in PEERS).values()) == 1
    for peer in PEERS:
        assert "|" not in peer.what
        assert peer.script is None or importlib.util.find_spec(peer.script), peer.script
        if peer.script is not None:
            assert all(re.fullmatch(r"[\w.-]+==[\d.]+", p) for p in peer.environment.packages)


def test_peers_that_share_an_environment_agree_on_what_is_in_it() -> None:
    by_name = {peer.environment.name: peer.environment for peer in PEERS}
    assert all(by_name[peer.environment.name] == peer.environment for peer in PEERS)


def test_no_peer_is_a_dependency_of_ours_for_its_licence() -> None:
    ours = (Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8").split("[tool.")[0]
    assert "ultralytics" not in ours


def test_photos_are_divided_evenly_and_always_alike(photos: Path, tmp_path: Path) -> None:
    again = unpack(tmp_path / "photos.zip", tmp_path / "again", 20)
    names = sorted(path.relative_to(photos) for path in photos.rglob("*.jpg"))
    assert names == sorted(path.relative_to(again) for path in again.rglob("*.jpg"))
    counts = Counter(name.parent.as_posix() for name in names)
    assert counts == {"train/cat": 8, "train/dog": 8, "test/cat": 2, "test/dog": 2}


def test_a_peer_that_works_has_all_its_figures(fake: Peer, photos: Path) -> None:
    row = row_of(fake, WORKS, photos)
    assert (row.reason, row.accuracy, row.n, row.installed) == ("", 0.75, 4, 12.0)
    assert row.train > 0 < row.answer
    assert row.rate > 0
    assert row.peak > 1
    line = written(fake, row, replace(row, train=row.train / 2))
    assert line.count("|") == HEADER.splitlines()[0].count("|")
    assert "| 2.0 |" in line
    assert "75.00%, n = 4" in line
    assert "random weights" in written(replace(fake, random=True), row, row)


def test_a_peer_that_fails_is_a_row_with_its_reason(fake: Peer, photos: Path) -> None:
    row = row_of(fake, "raise SystemExit('no network is\\ncalled x|y')", photos)
    assert row.reason == "`train` failed: called x|y"
    line = written(fake, row, Row(peer="fursure"))
    assert "not measured: `train` failed: called x/y" in line
    assert line.count("|") == HEADER.splitlines()[0].count("|")


def test_notes_after_an_error_do_not_hide_it(fake: Peer, photos: Path) -> None:
    script = "import sys; sys.exit('ValueError: no photos\\n  at all\\nSet a flag to read more.')"
    assert row_of(fake, script, photos).reason == "`train` failed: ValueError: no photos"


def test_a_peer_that_answers_only_some_photos_is_told(fake: Peer, photos: Path) -> None:
    row = row_of(fake, WORKS.replace('"bulk": {"n": 4}', '"bulk": {"n": 3}'), photos)
    assert row.reason == "`bulk` answered 3 of 4 photos"


def test_a_peer_that_never_ends_is_ended(fake: Peer, photos: Path) -> None:
    (photos.parent / "peer.py").write_text("import time; time.sleep(60)")
    began = time.monotonic()
    row = measured(fake, photos.parent, photos, photos.parent / "work", 0.2)
    assert time.monotonic() - began < 30
    assert row.reason == "`train` took more than 0 minutes"


def test_a_peer_that_cannot_be_installed_is_told(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuses = "import sys; sys.exit('no solution found')"
    monkeypatch.setattr(measure, "UV", (sys.executable, "-c", refuses))
    row = measured(PEERS[2], tmp_path, photos, tmp_path / "work", PATIENCE)
    assert row.reason == "it cannot be installed here: no solution found"


def test_our_own_figures_are_read_from_what_train_prints() -> None:
    figures = {"accuracy": {"value": 0.99, "low": 0.98, "high": 1}, "n": 24}
    said = json.dumps({"model": "a.fursure", "figures": figures})
    assert measure._result(said) == {"accuracy": 0.99, "n": 24}


@pytest.mark.long
def test_memory_of_children_is_counted_with_their_parents(tmp_path: Path) -> None:
    child = "held = bytearray(60 * 2**20); import time; time.sleep(0.8)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    timed = run([sys.executable, "-c", code], log=tmp_path / "log", family=True)
    assert 60 < timed.family < 200
