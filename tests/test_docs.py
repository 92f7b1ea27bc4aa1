"""Every command of the documents, run in a fresh home beside drawn photos, or named with a reason.

docs/cli.md is generated from the commands themselves; README.md has tests of its own. A command is
a line of an indented block, or stands in a sentence. What is not listed below runs as it is, so
that a new one cannot go untried.
"""

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from newcomer import furnished, run
from serving import serving

from fursure.recipe import LogisticRegression
from fursure.recipes.toml import from_toml
from fursure.training.train import Trained
from scripts import recipe_reference

ROOT = Path(__file__).parents[1]
DOCS = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").iterdir())
    if path.name not in {"README.md", "CHANGELOG.md", "cli.md"}
)
PROGRAMS = ("fursure", "python", "make", "taskset", "curl", "docker", "systemctl", "kill")
DRAWN = {  # what a document leaves open → what lies on the desk
    "4000": "40", "500": "10", "NAME": "linear-probe", "DATA": "PHOTOS", "NET": "lite0",
}  # fmt: skip

# bare, they are no commands
NAMES = {"train", "predict", "evaluate", "check", "split", "serve", "push"}

NEEDS_VGG16 = "VGG16's weights have to be downloaded; test_seed_recipes.py runs it on random ones"
NEEDS_PHOTOS = "an hour with 12,000 real photos; docs/experiments.md has what it gave"
NEEDS_DOCKER = "no Docker where the tests run"
NEEDS_A_HUB = "the tests are offline; test_push.py runs it against a hub on this machine"
NEEDS_A_BUCKET = "the tests are offline; test_remote.py runs it against a server on this machine"
NEEDS_SYSTEMD = "no systemd where the tests run"
NEEDS_A_TOOL = "a labelling tool writes that file; test_annotations.py and test_check.py draw it"
NEEDS_A_CONVERTER = "its extra may be absent; test_exporting_phones.py runs it on a small model"
NEEDS_A_CLUSTER = "Ray has to be started; test_on_ray.py runs it on two nodes of this machine"
CANNOT_RUN = {
    "fursure train export.json -o pets.fursure": NEEDS_A_TOOL,
    "fursure train PHOTOS --corrections decided.json": NEEDS_A_TOOL,
    "fursure export mine.fursure --to litert -o android": NEEDS_A_CONVERTER,
    "fursure export mine.fursure --to coreml -o ios": NEEDS_A_CONVERTER,
    "fursure predict PHOTOS --csv answers.csv --on ray": NEEDS_A_CLUSTER,
    "fursure predict PHOTOS --csv answers.csv --on ray://HEAD:10001": NEEDS_A_CLUSTER,
    "fursure train PHOTOS -o pets.fursure --on ray://HEAD:10001": NEEDS_A_CLUSTER,
    "fursure train PHOTOS --recipe vgg16-bottleneck": NEEDS_VGG16,
    "fursure train PHOTOS --recipe vgg16-small": NEEDS_VGG16,
    "fursure compare PHOTOS scratch-cnn vgg-transfer -o ladder": NEEDS_VGG16,
    "fursure compare cats-vs-dogs-12000.zip scratch-12-minutes.toml linear-probe best "
    "--backbone NET -o ladder": NEEDS_PHOTOS,
    "fursure compare cats-vs-dogs-12000.zip linear-probe LITE2.toml BOTH.toml fine-tune -o ladder "
    "--test 0.1 --validation 0.1 --elsewhere elsewhere-300.zip --strangers strangers-200.zip": (
        NEEDS_PHOTOS
    ),
    "fursure train cats-vs-dogs-12000.zip --recipe scratch-resnet --test 0.2": NEEDS_PHOTOS,
    "fursure train cats-vs-dogs-12000.zip": NEEDS_PHOTOS,
    "fursure predict -m hub:ORG/NAME photo.jpg": NEEDS_A_HUB,
    "fursure predict s3://bucket/photos --parquet s3://bucket/answers.parquet": NEEDS_A_BUCKET,
    "fursure train s3://bucket/labelled.zip -o pets.fursure": NEEDS_A_BUCKET,
    "fursure split PHOTOS --out s3://bucket/pets --as webdataset": NEEDS_A_BUCKET,
    "fursure train s3://bucket/pets": NEEDS_A_BUCKET,
    "docker build -f deploy/Dockerfile -t fursure .": NEEDS_DOCKER,
    "docker run --read-only --tmpfs /tmp --cap-drop ALL -p 127.0.0.1:8000:8000 fursure": (
        NEEDS_DOCKER
    ),
    "docker logs": NEEDS_DOCKER,
    "systemctl enable --now fursure; systemctl reload fursure": NEEDS_SYSTEMD,
}
TRAINS_A_NETWORK = {"fursure train PHOTOS --recipe choose-backbone --backbone NET"}


def commands() -> list[str]:
    """Return every command of the documents once, as it is printed."""
    programs = "|".join(PROGRAMS)
    lines: dict[str, None] = {}
    for path in DOCS:
        text = path.read_text("utf-8")
        for block, inline in re.findall(
            rf"^(?:#? {{3,4}})((?:{programs}) .*)$|`((?:{programs}) [^`]+)`", text, re.MULTILINE
        ):
            line = re.split(r"  +[#(]", block or inline)[0].strip()
            if not _is_a_name(line):
                lines[line] = None
    return list(lines)


def _is_a_name(line: str) -> bool:
    """Return whether a sentence only speaks of a command, as of `fursure predict --csv`."""
    program, *words = line.split()
    if program != "fursure":
        return False
    return (not words[1:] and words[0] in NAMES) or (words[-1] in {"-m", "--csv"})


def on_the_desk(line: str) -> str:
    """Return a command with the names and the numbers of what was drawn."""
    return re.sub(r"\b(4000|500|NAME|DATA|NET)\b", lambda name: DRAWN[name[0]], line)


def on_this_machine(line: str) -> str:
    """Return a service's flags, on this machine's address and cores and on any free port."""
    return re.sub(r"^.*fursure serve | --port \d+| --host \S+", "", line)


SERVES = [line for line in commands() if " serve " in line and not line.endswith("--help")]
ASKS = [line for line in commands() if line.startswith("curl ")]
OURS = [
    line
    for line in commands()
    if line.startswith(("make ", "python -m benchmarks.", "python -m fuzzing"))
]
RUN = [
    line
    for line in commands()
    if line not in {*CANNOT_RUN, *TRAINS_A_NETWORK, *SERVES, *OURS, *ASKS}
]  # fmt: skip


@pytest.fixture(scope="module")
def desk(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the photos and the models that the documents speak of."""
    desk = furnished(tmp_path_factory.mktemp("desk"))
    (desk / "tok").write_text("sixteen-characters-or-more\n")
    (desk / "tok").chmod(0o600)
    (desk / "notes.txt").write_text("a note\n")
    for name in ("mine.fursure", "pets.fursure"):
        shutil.copyfile(trained.path, desk / name)
    return desk


def test_the_documents_have_commands_and_no_reason_is_left_without_one() -> None:
    found = set(commands())
    assert found >= {*CANNOT_RUN, *TRAINS_A_NETWORK}
    assert "fursure serve mine.fursure" in SERVES
    assert "fursure split train.zip --out pets --train 4000 --val 500 --test 500" in RUN


@pytest.mark.long
def test_every_command_works_as_printed(
    desk: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("fresh")
    for line in RUN:
        done = run(on_the_desk(line), desk, home)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
def test_every_command_that_trains_a_network_works_as_printed(desk: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    for line in sorted(TRAINS_A_NETWORK):
        done = run(f"{on_the_desk(line)} -o tuned.fursure --minutes 0.05", desk, tmp_path)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


BLOCKS = {
    f"{path.stem}-{number}": block
    for path in DOCS
    for number, block in enumerate(
        re.findall(r"```python\n(.*?)```", path.read_text("utf-8"), re.DOTALL)
    )
}


def test_the_page_on_python_has_a_block_for_every_section() -> None:
    assert len([name for name in BLOCKS if name.startswith("python-")]) >= 6


@pytest.mark.long
@pytest.mark.parametrize("name", BLOCKS)
def test_every_python_block_works_as_printed(
    name: str, desk: Path, trained: Trained, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A program of its own: processes that it starts read its file again."""
    if not (desk / "mine.fursure").exists():  # a tutorial trains it first
        shutil.copyfile(trained.path, desk / "mine.fursure")
    (desk / f"{name}.py").write_text(BLOCKS[name])
    home = tmp_path_factory.mktemp("home")
    done = run(f"{shlex.quote(sys.executable)} -W error {name}.py", desk, home)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


FLAGS, *OTHERS = sorted(set(map(on_this_machine, SERVES)))


@pytest.mark.long
@pytest.mark.parametrize(
    "flags", [FLAGS, *(pytest.param(others, marks=pytest.mark.long) for others in OTHERS)]
)
def test_every_service_starts_and_is_ready(
    flags: str, desk: Path, trained: Trained, tmp_path: Path
) -> None:
    for name in re.findall(r"\S+\.fursure", flags):
        if not (desk / name).exists():  # a tutorial trains it first
            shutil.copyfile(trained.path, desk / name)
    with serving(tmp_path / "log", *shlex.split(flags), cwd=desk) as service:
        assert service("GET", "/v2/health/ready").status == 200


@pytest.mark.long
def test_the_service_answers_every_request_as_printed(desk: Path, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    with serving(tmp_path / "log", "mine.fursure", "--token-file", "tok", cwd=desk) as service:
        for line in ASKS:
            done = run(line.replace(":8000", f":{service.port}"), desk, tmp_path)
            assert '"answer"' in done.stdout, f"{line}\n{done.stdout}"


def test_the_page_of_knobs_is_what_the_recipes_have() -> None:
    page = recipe_reference.PATH.read_text("utf-8")
    assert page == recipe_reference.reference()
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert from_toml(block, "page.toml").head == LogisticRegression(class_weight="balanced")


@pytest.mark.parametrize("line", OURS)
def test_what_measures_and_builds_is_there(line: str) -> None:
    """A benchmark takes minutes and real photos; that it exists is what can be told here."""
    _, *words = shlex.split(line.replace("…", ""))
    if line.startswith("make "):
        assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    else:
        module = ROOT / words[1].replace(".", "/")
        assert module.with_suffix(".py").is_file() or (module / "__main__.py").is_file()
