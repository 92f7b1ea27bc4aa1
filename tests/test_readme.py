"""Every command and every Python block of the README, run in a fresh home beside drawn photos.

A block of commands is indented or fenced, where they follow a `$`; others stand in a sentence.
Those that need torch for minutes, or that stay running, are in the slow tier. What sets up the
project itself (`make`, `pip`) is what runs these tests.
"""

import re
import shlex
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from newcomer import furnished, run
from serving import serving

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SET_UP = {"make", "pip"}
TOLD_OF = {"evaluate", "predict", "train"}  # a bare `fursure evaluate` is a name, no command
LONG = ("--recipe best", " compare ", " serve ")  # in the slow tier, or beside a service
REAL = {  # the first session's photos, in the sets of real ones
    "cat.jpg": ("elsewhere-300.zip", "cat/Cat1062.jpg"),
    "dog.jpg": ("elsewhere-300.zip", "dog/0a1b0b7df2918d543347050ad8b16051.jpg"),
    "caged.jpg": ("elsewhere-300.zip", "cat/Cat2470.jpg"),
    "wolf.jpg": ("strangers-200.zip", "strangers/n02114712_red_wolf.jpg"),
    "pizza.jpg": ("strangers-200.zip", "strangers/n07873807_pizza.jpg"),
}


def commands() -> list[str]:
    """Return every command line of the README, in order; numbers as a few drawings allow them."""
    found = re.findall(r"^(?: {4}|\$ )(\S.*)$|`(fursure \w+(?: [^`]+)?)`", README, re.MULTILINE)
    lines = [(block or inline).split("  #")[0].strip() for block, inline in found]
    lines = [line.replace("4000", "40").replace("500", "10") for line in lines]
    named = [line for line in lines if line.split()[0] in SET_UP | {"fursure", "curl"}]
    return [line for line in named if len(line.split()) > 2 or line.split()[-1] not in TOLD_OF]


QUICK = [line for line in commands() if shlex.split(line)[0] == "fursure"
         and not any(word in line for word in LONG)]  # fmt: skip
SLOW = [line for line in commands() if "--recipe best" in line or " compare " in line]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the photos that the README speaks of, drawn."""
    return furnished(tmp_path_factory.mktemp("desk"))


def test_the_readme_has_commands_of_every_kind() -> None:
    verbs = {shlex.split(line)[1] for line in commands() if line.startswith("fursure ")}
    assert {"predict", "train", "evaluate", "check", "serve", "compare", "split"} <= verbs


@pytest.mark.long
def test_every_quick_command_works_as_printed(
    desk: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("fresh")
    for line in QUICK:
        done = run(line, desk, home)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
def test_every_command_that_trains_a_network_works_as_printed(
    desk: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip("torch")
    home = tmp_path_factory.mktemp("fresh")
    for line in SLOW:
        done = run(line, desk, home)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.long
def test_the_service_starts_and_answers_the_command_beside_it(desk: Path, tmp_path: Path) -> None:
    (line,) = (line for line in commands() if line.startswith("fursure serve"))
    (ask,) = (line for line in commands() if line.startswith("curl"))
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    if not (desk / "mine.fursure").exists():
        assert run("fursure train PHOTOS -o mine.fursure", desk, tmp_path).returncode == 0
    with serving(tmp_path / "log", *shlex.split(line)[2:], cwd=desk) as service:
        done = run(ask.replace(":8000", f":{service.port}"), desk, tmp_path)
    assert done.returncode == 0
    assert '"answer"' in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_every_python_block_works_as_printed(block: str, desk: Path, tmp_path: Path) -> None:
    for path in desk.glob("mine.*"):
        path.unlink()
    done = run(f"{shlex.quote(sys.executable)} -c {shlex.quote(block)}", desk, tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_first_session_is_what_real_photos_give(shared: Path, tmp_path: Path) -> None:
    session = re.search(r"\$ (fursure predict .*)\n((?:.+\n)+?)(?:\$|```)", README)
    assert session is not None
    line, wanted = session.groups()
    for name, (archive, member) in REAL.items():
        with zipfile.ZipFile(shared / "data" / archive) as photos:
            (tmp_path / name).write_bytes(photos.read(member))
    done = run(line, tmp_path, tmp_path)
    assert done.stdout == wanted
