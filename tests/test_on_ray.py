"""`--on ray` with a real Ray: nodes are killed, runs interrupted, rows stay the same."""

import csv
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.ray_nodes import Nodes, end_all, running
from fursure.bundle.bundle import Bundle
from fursure.training.train import Trained

pytest.importorskip("ray")
pytestmark = pytest.mark.slow
COUNT = 3000  # photos, of which the drawings make hard links


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with Nodes() as nodes:
        yield nodes


@pytest.fixture(scope="module")
def many(drawings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    photos = sorted(drawings.rglob("*.jpg"))
    for number in range(COUNT):
        os.link(photos[number % len(photos)], folder / f"{number:05}.jpg")
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    return folder


def begun(*args: object, **env: str) -> subprocess.Popen[str]:
    """Start one command."""
    return subprocess.Popen(
        [sys.executable, "-m", "fursure", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the exit code and what was said on standard error."""
    _, said = process.communicate(timeout=180)
    return process.returncode, said


@pytest.fixture(scope="module")
def expected(many: Path, trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the rows of this machine alone."""
    path = tmp_path_factory.mktemp("here") / "here.csv"
    code, said = ended(begun("predict", "-m", trained.path, many, "--csv", path))
    assert code == 3, said
    return path.read_bytes()


def test_one_of_two_nodes_is_killed_five_times_and_no_row_is_lost_or_twice(
    nodes: Nodes, many: Path, trained: Trained, expected: bytes, tmp_path: Path
) -> None:
    chance = random.Random()
    for turn in range(5):
        path = tmp_path / f"{turn}.csv"
        asked = ("predict", "-m", trained.path, many, "--csv", path, "--on", "ray")
        process = begun(*asked, RAY_ADDRESS=nodes.address)
        part = path.with_name(f"{path.name}.part")
        while process.poll() is None and not (part.exists() and part.stat().st_size > 2000):
            time.sleep(0.05)  # until it is at work
        time.sleep(chance.uniform(0, 3))
        was_at_work = process.poll() is None
        nodes.tell("kill")
        code, said = ended(process)
        assert (code, path.read_bytes() == expected) == (3, True), said
        nodes.tell("add")
        assert was_at_work, "the run was over before the node was killed: take more photos"


def test_a_client_of_ray_gets_the_same_rows_in_the_same_words(
    nodes: Nodes, many: Path, trained: Trained, expected: bytes, tmp_path: Path
) -> None:
    address = f"ray://127.0.0.1:{nodes.client_port}"
    path = tmp_path / "there.csv"
    code, said = ended(begun("predict", "-m", trained.path, many, "--csv", path, "--on", address))
    assert (code, path.read_bytes() == expected) == (3, True), said
    lines = said.splitlines()
    assert any(line.startswith(f"predicting: {COUNT + 1} in ") for line in lines)
    assert not any("ray" in line.lower() for line in lines), said


def test_an_interrupted_run_ends_its_workers_and_continues(
    nodes: Nodes, many: Path, trained: Trained, expected: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "there.csv"
    asked = ("predict", "-m", trained.path, many, "--csv", path, "--on", "ray")
    process = begun(*asked, RAY_ADDRESS=nodes.address)
    part = path.with_name(f"{path.name}.part")
    while process.poll() is None and not (part.exists() and part.stat().st_size > 2000):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    code, said = ended(process)
    assert code == 130, said
    assert "Traceback" not in said
    assert not path.exists()
    until = time.monotonic() + 20
    while running("ray::Workbench") and time.monotonic() < until:
        time.sleep(0.2)
    assert not running("ray::Workbench")
    code, said = ended(begun(*asked, RAY_ADDRESS=nodes.address))
    assert (code, path.read_bytes() == expected) == (3, True), said
    assert "continuing after" in said


def test_training_on_two_nodes_makes_the_same_model_bit_for_bit(
    nodes: Nodes, drawings: Path, tmp_path: Path
) -> None:
    models = []
    for name, more in (("here", ()), ("there", ("--on", "ray"))):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "m.fursure"
        asked = ("train", drawings, "-o", path, "--engine", "onnxruntime", "--no-report", *more)
        home = str(tmp_path / f"home-{name}")
        code, said = ended(begun(*asked, RAY_ADDRESS=nodes.address, FURSURE_HOME=home))
        assert code == 0, said
        assert "reading photos: 80 in " in said
        models.append(path)
    here, there = map(Bundle.read, models)
    assert there.digest == here.digest
    assert there.meta.figures == here.meta.figures
    manifests = [path.with_name("m.manifest.jsonl").read_bytes() for path in models]
    assert manifests[0] == manifests[1]


def test_a_node_with_another_version_is_refused_before_any_work(
    nodes: Nodes, many: Path, trained: Trained, tmp_path: Path
) -> None:
    other = tmp_path / "fursure-9.9.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: fursure\nVersion: 9.9\n")
    nodes.tell(f"add {tmp_path}")
    path = tmp_path / "there.csv"
    asked = ("predict", "-m", trained.path, many, "--csv", path, "--on", "ray")
    code, said = ended(begun(*asked, RAY_ADDRESS=nodes.address))
    assert code == 1
    assert "has fursure 9.9, and this machine has" in said
    assert not path.exists()


OWN = """
import os, pathlib, sys
from fursure.cluster.joining import joined
with joined("ray", 2) as ray:
    from ray._common.usage import usage_lib
    print(usage_lib.usage_stats_enabled(), ray.cluster_resources()["CPU"])
    print(os.path.dirname(ray._private.worker.global_worker.node.get_session_dir_path()))
    sys.stdout.flush()
    sys.stdin.readline()
"""


def listening(pids: list[int]) -> set[str]:
    """Return the addresses, as the kernel writes them, at which these processes listen."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # it was closed meanwhile
                inodes.add(str(link.readlink()))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            cells = line.split()
            if cells[3] == "0A" and f"socket:[{cells[9]}]" in inodes:
                found.add(cells[1].partition(":")[0])
    return found


def test_a_cluster_of_ones_own_listens_to_this_machine_alone_and_tells_nobody() -> None:
    with socket.socket() as taken:  # the dashboard's port
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 8265))
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", OWN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline().split() == ["False", "2.0"]
        folder = process.stdout.readline().strip()
        addresses = listening(running(folder))
        _, said = process.communicate("\n", timeout=60)
    assert process.returncode == 0, said
    assert said == ""
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert addresses
    assert addresses <= loopback
    end_all(folder)
    assert not Path(folder).exists()


def test_a_cluster_of_ones_own_gives_the_same_rows_and_leaves_nothing_behind(
    many: Path, trained: Trained, expected: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "there.csv"
    code, said = ended(
        begun("predict", "-m", trained.path, many, "--csv", path, "--on", "ray", RAY_ADDRESS="")
    )
    assert (code, path.read_bytes() == expected) == (3, True), said
    assert "ray" not in said.lower().replace(str(tmp_path).lower(), ""), said
    rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
    assert len({row["path"] for row in rows}) == len(rows) == COUNT + 1
    end_all("fursure-ray-")
    assert not running("fursure-ray-")
