"""What is installed is what was locked, and its licences are told."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text()


def test_every_package_of_the_lock_has_a_digest_and_no_address() -> None:
    entries = re.split(r"^(?=\S)", LOCK, flags=re.MULTILINE)[1:]
    assert len(entries) > 100
    for entry in entries:
        assert re.match(r"[a-z0-9.-]+==\S+", entry), entry[:80]
        assert "--hash=sha256:" in entry, entry[:80]
    assert not re.search(r"https?://|--index|--find-links|file:", LOCK)


@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_installs_nothing_whose_digest_is_not_locked(target: str) -> None:
    if (make := shutil.which("make")) is None:
        pytest.skip("no make here")
    run = subprocess.run(
        [make, "--dry-run", "--always-make", target],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    installs = [line for line in run.stdout.splitlines() if "uv pip install" in line]
    assert len(installs) == 2
    assert "--require-hashes" in installs[0]
    assert "--constraint requirements.lock" in installs[0]
    assert "--no-deps --build-constraints requirements.lock" in installs[1]


def test_the_image_installs_nothing_whose_digest_is_not_locked() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    assert text.count("uv pip install") == 2
    assert "--require-hashes --constraint requirements.lock" in text
    assert "--no-deps --build-constraints requirements.lock" in text


def test_another_file_than_the_locked_one_is_refused(tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv.exe" if os.name == "nt" else "uv")
    if not uv.is_file():
        pytest.skip(f"no {uv} to install with")
    facts = {
        "METADATA": "Metadata-Version: 2.1\nName: click\nVersion: 8.5.1\n",
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(tmp_path / "click-8.5.1-py3-none-any.whl", "w") as wheel:
        for name, text in facts.items():
            wheel.writestr(f"click-8.5.1.dist-info/{name}", text)
    forged = re.sub(r"(?<=^click==)\S+", "8.5.1", LOCK, flags=re.MULTILINE)
    (tmp_path / "lock").write_text(forged)
    (tmp_path / "pyproject.toml").write_text(
        "[project]\nname = 'one'\nversion = '1'\ndependencies = ['click']\n"
    )
    run = subprocess.run(
        [uv, "pip", "install", "--target", "here", "--no-cache", "--no-index", "--find-links", ".",
         "--require-hashes", "-r", "pyproject.toml", "--constraint", "lock"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode != 0
    assert "Hash mismatch for `click==8.5.1`" in run.stderr


@pytest.mark.long
def test_two_builds_are_the_same_bytes(tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv.exe" if os.name == "nt" else "uv")
    if not uv.is_file():
        pytest.skip(f"no {uv} to build with")
    built = []
    for name, origin in (("one", ROOT), ("two", tmp_path / "one")):
        kept = ("src", "tests", "docs", "README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml",
                ".gitignore")  # fmt: skip
        for entry in kept:  # from another folder, with other times of change
            place, source = tmp_path / name / entry, origin / entry
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, place, copy_function=shutil.copyfile, ignore=ignored)
            else:
                place.parent.mkdir(exist_ok=True)
                shutil.copyfile(source, place)
        command = [uv, "build", "--offline", "--quiet", "--build-constraints",
                   ROOT / "requirements.lock", "--out-dir", tmp_path / f"{name}-dist",
                   tmp_path / name]  # fmt: skip
        run = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        if run.returncode and any(word in run.stderr for word in ("offline", "cache", "network")):
            pytest.skip("uv's cache does not hold what builds the package")
        assert run.returncode == 0, run.stderr
        built.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                      for path in (tmp_path / f"{name}-dist").glob("fursure-*")})  # fmt: skip
    assert len(built[0]) == 2
    assert built[0] == built[1]


@pytest.mark.skipif(sys.platform != "linux", reason="the page was written there")
def test_the_licence_of_every_package_is_listed() -> None:
    command = [sys.executable, "-m", "scripts.licences", "--check"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    text = (ROOT / "docs" / "licences.md").read_text()
    assert "| pillow-heif | heic | BSD-3-Clause; its wheel GPL-2.0" in text
    assert "pillow-heif, whose wheel is under the GPL" in (ROOT / "README.md").read_text()
