"""Each attack of docs/reliability.md is sent to a service, beside a client that means well."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Service, serving, until

ROOT = Path(__file__).parents[1]
ROWS = (
    "shape words lists nothings values escapes digits fraction umlauts base64 outputs answers "
    "trailers parts boundary fields tiles floating webp held forms heat large phone facts idle"
)
STALL = 0.5  # seconds; 50 ms are asked, and measured by hand: a test's machine is busy


@pytest.fixture(scope="module")
def note(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("attacks") / "loop"


@pytest.fixture(scope="module")
def service(note: Path) -> Iterator[Service]:
    python = ("-m", "benchmarks.attacks")
    options = ["--engine", "onnxruntime", "--threads", "2"]
    with serving(note.with_name("log"), note, "pets", *options, python=python, cwd=ROOT) as running:
        yield running


def client(kind: str, service: Service, seconds: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchmarks.attacks", "--client", kind]
    command += ["--port", str(service.port), "--seconds", str(seconds)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="several loopback addresses, /proc, glibc")
@pytest.mark.parametrize("row", ROWS.split())
def test_an_attack_earns_nobody_else_a_refusal_and_leaves_no_memory(
    row: str, service: Service, note: Path
) -> None:
    client("good", service, 0.5).communicate()
    idle = service.state()[2]
    os.kill(service.process.pid, signal.SIGUSR1)
    evil = client(row, service, 3.0)
    time.sleep(1.0)
    answers = json.loads(client("good", service, 1.5).communicate()[0])
    evil.communicate()
    os.kill(service.process.pid, signal.SIGUSR2)
    assert len(answers["seconds"]) > 3
    assert answers["refused"] == []
    back = until(lambda: service.state()[2] < 1.1 * idle, seconds=12)
    assert back, f"{idle:,} bytes before, {service.state()[2]:,} after"
    assert until(note.is_file)
    assert max(json.loads(note.read_text())) < STALL
    note.unlink()
