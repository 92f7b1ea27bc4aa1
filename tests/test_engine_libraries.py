"""Nothing is told to anyone: no engine is imported before its telemetry is off."""

import ast
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from samples import encoder_graph
from serving import serving

from fursure.drawings.draw import draw, jpeg
from fursure.engine.openvino import installed_version
from fursure.training.train import Trained

ROOT = Path(__file__).parents[1]
OURS = sorted(
    path for part in ("src", "benchmarks", "scripts") for path in (ROOT / part).rglob("*.py")
)
ALONE = Path(__file__).with_name("without_network.py")
NOTICED_AFTER = 35  # seconds; ONNX Runtime 1.32 asks for its host after about 20

BOTH = """
import sys, time
import numpy as np
from fursure.engine import selftest
from fursure.engine.openvino import OpenVino, installed_version
from fursure.engine.runtime import OnnxRuntime
graph = sys.stdin.buffer.read()
pixels = np.zeros((1, 16, 16, 3), np.uint8)
OnnxRuntime(graph, threads=1)(pixels)
if installed_version() is not None:
    assert selftest.engine_verdict(graph).precision is not None, selftest.engine_verdict(graph)
    OpenVino(graph, threads=1)(pixels)
    assert "openvino_telemetry" not in sys.modules
time.sleep(float(sys.argv[1]))
"""


def lonely(home: Path) -> dict[str, str]:
    """Return an environment with an empty home, and no opt-out but our own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    del env["ORT_DISABLE_TELEMETRY"]
    env.pop("CI", None)  # OpenVINO's package is silent there
    home.mkdir()
    caches = home.with_name("caches")
    return env | {"HOME": str(home), "USERPROFILE": str(home), "FURSURE_HOME": str(caches)}


def run_both(home: Path, seconds: float) -> None:
    """Run both engines where a connection ends the process."""
    subprocess.run(
        [sys.executable, ALONE, BOTH, str(seconds)], input=encoder_graph(), env=lonely(home),
        check=True,
    )  # fmt: skip
    assert list(home.rglob("*")) == []


def test_engines_are_imported_at_one_place() -> None:
    for path in OURS:
        text = path.read_text()
        if "onnxruntime" not in text and "openvino" not in text:
            continue
        nodes = list(ast.walk(ast.parse(text)))
        names = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
        names += [
            alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
        ]
        engines = {name.split(".")[0] for name in names} & {"onnxruntime", "openvino"}
        assert not engines or path.name == "libraries.py", path


def test_importing_fursure_opts_out_before_anything_else_is_imported() -> None:
    code = (
        "import os, sys, fursure.errors; "
        "print(os.environ['ORT_DISABLE_TELEMETRY'], 'onnxruntime' in sys.modules)"
    )
    env = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    assert run.stdout.split() == [b"1", b"False"]


def test_both_engines_start_without_a_word_to_anyone(tmp_path: Path) -> None:
    run_both(tmp_path / "home", 0)


def test_what_hides_a_package_gives_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    from fursure.engine import libraries

    monkeypatch.setitem(sys.modules, "reporter", sys)
    with libraries._hidden("reporter"), pytest.raises(ImportError):
        import reporter  # type: ignore[import-not-found]  # noqa: F401
    assert sys.modules["reporter"] is sys
    with libraries._hidden("never_imported"):
        pass
    assert "never_imported" not in sys.modules


@pytest.mark.slow
def test_both_engines_stay_silent_for_as_long_as_it_takes(tmp_path: Path) -> None:
    run_both(tmp_path / "home", NOTICED_AFTER)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_service_stays_silent_for_as_long_as_it_takes(
    trained: Trained, tmp_path: Path, engine: str
) -> None:
    if engine == "openvino" and installed_version() is None:
        pytest.skip("OpenVINO is not installed (extra fast)")
    home = tmp_path / "home"
    python = [str(ALONE), "from fursure.cli import main; main()"]
    log = tmp_path / "log"
    with serving(log, trained.path, "--engine", engine, python=python, env=lonely(home)) as service:
        assert service("POST", "/v1/predict", jpeg(draw("cat", 1))).status == 200
        time.sleep(NOTICED_AFTER)
        assert service("POST", "/v1/predict", jpeg(draw("cat", 2))).status == 200
    assert service.process.returncode == 0
    assert list(home.rglob("*")) == []
