"""What `pip install fursure` alone gives: prediction, and a sentence where an extra is missing."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from fursure.drawings.draw import draw, jpeg

ROOT = Path(__file__).parents[1]
Run = subprocess.CompletedProcess[str]


def run(*args: object, cwd: Path | None = None, **env: str) -> Run:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [str(arg) for arg in args],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=kept | env,
    )


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the scripts of a new environment with fursure and nothing optional, or skip."""
    uv = Path(sys.executable).with_name("uv.exe" if os.name == "nt" else "uv")
    if not uv.is_file():
        pytest.skip(f"no {uv} to install with")
    folder = tmp_path_factory.mktemp("install") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    made = run(
        uv,
        "pip",
        "install",
        "--offline",
        "--python",
        scripts / "python",
        "--constraint",
        "requirements.lock",
        "--reinstall-package",
        "fursure",
        ".",
        cwd=ROOT,
    )  # fmt: skip - reinstalled, because uv would take the wheel of an older source from its cache
    if made.returncode and any(word in made.stderr for word in ("offline", "cache", "network")):
        reason = " ".join(made.stderr.split())[-300:]
        pytest.skip(f"uv's cache does not hold the base dependencies: {reason}")
    assert made.returncode == 0, made.stderr
    return scripts


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drawing") / "drawing.jpg"
    path.write_bytes(jpeg(draw("cat", seed=3)))
    return path


def test_the_base_install_answers_a_photo(bare: Path, drawing: Path) -> None:
    made = run(bare / "fursure", "predict", drawing, "--json", cwd=drawing.parent)
    assert (made.returncode, made.stderr) == (0, "")
    row = json.loads(made.stdout)
    assert row["answer"] in {"cat", "dog", "unsure", "stranger"}
    assert row["engine"].startswith("onnxruntime")


def test_the_base_install_answers_from_python(bare: Path, drawing: Path) -> None:
    code = (
        "import fursure; model = fursure.load(); print(len(model.predict(['drawing.jpg'])))\n"
        "try:\n    fursure.train('.', 'a.fursure')\nexcept fursure.FursureError as error:\n"
        "    print(error)\ntry:\n    fursure.PhotoEncoder\n"
        "except fursure.FursureError as error:\n    print(error)"
    )
    made = run(bare / "python", "-c", code, cwd=drawing.parent)
    assert made.stdout.splitlines() == [
        "1",
        "training a model needs the extra 'train'; run: pip install 'fursure[train]'",
        "an estimator needs the extra 'sklearn'; run: pip install 'fursure[sklearn]'",
    ], made.stderr


def test_the_base_install_holds_nothing_heavy(bare: Path, drawing: Path) -> None:
    heavy = ["torch", "timm", "onnx", "scipy", "sklearn", "openvino", "cv2", "pandas"]
    code = f"import importlib.util as u; print([n for n in {heavy} if u.find_spec(n)])"
    made = run(bare / "python", "-c", code, cwd=drawing.parent)
    assert made.stdout == "[]\n"


@pytest.mark.parametrize("args", [["train", "."], ["demo"]])
def test_training_in_the_base_install_names_the_extra(
    args: list[str], bare: Path, drawing: Path
) -> None:
    made = run(bare / "fursure", *args, cwd=drawing.parent)
    assert made.returncode == 1
    assert made.stderr == (
        "fursure: training a model needs the extra 'train'; run: pip install 'fursure[train]'\n"
    )
    assert sorted(path.name for path in drawing.parent.iterdir()) == ["drawing.jpg"]


def test_the_tools_work_in_the_base_install(bare: Path, drawing: Path) -> None:
    assert "\nlite0 " in run(bare / "fursure", "backbones").stdout
    doctor = run(bare / "fursure", "doctor", cwd=drawing.parent)
    assert doctor.returncode == 0
    assert "not installed (extra train)" in doctor.stdout


def built(folder: Path) -> tuple[Path, Path]:
    """Return the wheel and the sdist, built and checked as `make dist` does; or skip."""
    uv = Path(sys.executable).with_name("uv")
    if not uv.is_file():
        pytest.skip(f"no {uv} to build with")
    locked = ("--constraints", ROOT / "requirements.lock")
    build = ("build", "--build-constraints", ROOT / "requirements.lock", "--out-dir", folder, ROOT)
    for command in (build, ("tool", "run", *locked, "twine", "check", "--strict")):
        files = sorted(folder.glob("fursure-*")) if command[0] == "tool" else ()
        made = run(uv, *command, *files)
        if made.returncode and any(word in made.stderr for word in ("offline", "network")):
            pytest.skip(" ".join(made.stderr.split())[-300:])
        assert made.returncode == 0, made.stdout + made.stderr
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


@pytest.mark.slow
def test_what_is_published_is_valid_and_its_wheel_does_the_main_job(
    tmp_path: Path, drawing: Path
) -> None:
    wheel, sdist = built(tmp_path / "dist")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"fursure/py.typed", "fursure/models/pets.fursure"} <= names
    assert {name.split("/")[0] for name in names} == {
        "fursure",
        "-".join(wheel.stem.split("-")[:2]) + ".dist-info",
    }
    with tarfile.open(sdist) as archive:
        kept = {name.split("/")[1] for name in archive.getnames()}
    assert {"src", "tests", "docs", "pyproject.toml", "README.md", "LICENSE"} <= kept
    folder, home = tmp_path / "venv", {"FURSURE_HOME": str(tmp_path / "home")}
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    options = ("--python", scripts / "python", "--constraint", ROOT / "requirements.lock")
    uv = Path(sys.executable).with_name("uv")
    installed = run(uv, "pip", "install", *options, f"{wheel}[train]")
    assert installed.returncode == 0, installed.stderr
    for words in (["demo", "--into", "demo"], ["predict", "--json", drawing]):
        made = run(scripts / "fursure", *words, cwd=tmp_path, **home)
        assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["answer"] in {"cat", "dog", "unsure", "stranger"}
    assert (tmp_path / "demo" / "drawn-pets.fursure").is_file()


@pytest.mark.slow
def test_the_oldest_versions_that_are_allowed_do_the_main_job(tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    options = ("--resolution", "lowest-direct", "--python", folder / "bin" / "python")
    made = run(uv, "pip", "install", *options, ".[train,fast,serve]", cwd=ROOT)
    if made.returncode and any(word in made.stderr for word in ("offline", "cache", "network")):
        pytest.skip(" ".join(made.stderr.split())[-300:])
    assert made.returncode == 0, made.stderr
    command, home = folder / "bin" / "fursure", str(tmp_path / "home")
    shown = run(command, "demo", "--into", tmp_path / "demo", FURSURE_HOME=home)
    assert shown.returncode == 0, shown.stderr
    examined = run(command, "doctor", FURSURE_HOME=home)
    assert examined.returncode == 0, examined.stdout
    assert "numpy            1.26.0" in examined.stdout
