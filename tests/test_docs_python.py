"""Every Python block of the documents, run as a program of its own beside drawn photos."""

import re
import shlex
import sys
from pathlib import Path

import pytest
from newcomer import furnished, run

ROOT = Path(__file__).parents[1]
BLOCKS = {
    f"{path.stem}-{number}": block
    for path in sorted((ROOT / "docs").rglob("*.md"))
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL))
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return furnished(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def test_the_page_on_python_has_a_block_for_every_section() -> None:
    assert len([name for name in BLOCKS if name.startswith("python-")]) >= 6


@pytest.mark.long
@pytest.mark.parametrize("name", BLOCKS)
def test_every_block_runs_as_printed(name: str, desk: Path, home: Path) -> None:
    (desk / f"{name}.py").write_text(BLOCKS[name])
    done = run(f"{shlex.quote(sys.executable)} -W error {name}.py", desk, home)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout
