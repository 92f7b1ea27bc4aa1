"""What the hosting page, its machines and editors are told agrees with the project itself."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def read(path: str | Path) -> Any:
    return yaml.safe_load((ROOT / path).read_text("utf-8"))


def steps(workflow: Path) -> list[dict[str, Any]]:
    return [step for job in read(workflow)["jobs"].values() for step in job["steps"]]


def pythons_of_the_classifiers() -> set[str]:
    found = re.findall(r"Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.MULTILINE)
    return set(found)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_what_is_there_and_holds_no_secret(path: Path) -> None:
    text = path.read_text("utf-8")
    for target in re.findall(r"\bmake ([a-z-]+)", text):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target
    for script in re.findall(r"run: (\.ci/\w+)", text):
        assert (ROOT / script).stat().st_mode & 0o100, script
    assert "secrets." not in text
    assert read(path)["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_others_wrote_is_named_by_its_digest(path: Path) -> None:
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action


def test_every_python_that_is_promised_is_tried_on_every_system() -> None:
    portable = read(".github/workflows/ci.yml")["jobs"]["portable"]["strategy"]["matrix"]
    assert set(portable["python"]) == pythons_of_the_classifiers()
    assert {name.split("-")[0] for name in portable["system"]} == {"ubuntu", "macos", "windows"}
    assert min(pythons_of_the_classifiers()) in PROJECT["requires-python"]


def test_the_portable_tests_are_there_and_import_neither_torch_nor_what_posix_has() -> None:
    for line in (ROOT / ".ci" / "portable-tests.txt").read_text("utf-8").split():
        text = (ROOT / line).read_text("utf-8")
        assert not re.search(
            r"^(import|from) (torch|timm|fcntl|resource|pwd)\b", text, re.MULTILINE
        )


def test_only_the_step_that_publishes_may_ask_for_an_identity() -> None:
    jobs = read(".github/workflows/release.yml")["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["needs"] == "build"
    assert "permissions" not in jobs["build"]


def test_a_commit_hook_calls_what_make_check_calls() -> None:
    (local,) = read(".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"
    checked = MAKEFILE.split("\ncheck:")[1].split("\n\n")[0]
    for hook in local["hooks"]:
        tool = hook["entry"].removeprefix(".venv/bin/").replace(" --force-exclude", "")
        assert f"$(BIN)/{tool}" in checked, hook["entry"]


def test_the_citation_has_the_facts_of_the_package() -> None:
    cited = read("CITATION.cff")
    assert cited["version"] == PROJECT["version"] == version("fursure")
    assert cited["license"] == PROJECT["license"]
    assert [author["name"] for author in cited["authors"]] == [
        author["name"] for author in PROJECT["authors"]
    ]


@pytest.mark.parametrize("name", ["bug.yml", "idea.yml"])
def test_a_form_asks_for_something_and_requires_it(name: str) -> None:
    body = read(f".github/ISSUE_TEMPLATE/{name}")["body"]
    asked = [field for field in body if field["type"] != "markdown"]
    assert any(field.get("validations", {}).get("required") for field in asked)
    assert len({field["id"] for field in asked}) == len(asked)


def test_a_promise_to_keep_what_others_rely_on_is_written_down() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert "## What others rely on" in text


def test_the_recipe_for_conda_asks_for_what_the_package_asks_for() -> None:
    recipe = read("packaging/conda/recipe.yaml")
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]["requires"]
    needed = recipe["requirements"]
    assert sorted(_joined(needed["run"][1:])) == sorted(PROJECT["dependencies"])
    assert _joined(needed["host"][2:]) == build
    extras = PROJECT["optional-dependencies"]
    assert _joined(needed["run_constraints"]) == sorted(extras["train"]) + sorted(extras["fast"])
    assert recipe["context"]["version"] == PROJECT["version"]
    assert PROJECT["requires-python"] == f">={recipe['context']['python_min']}"
    scripts = [f"{name} = {target}" for name, target in PROJECT["scripts"].items()]
    assert recipe["build"]["python"]["entry_points"] == scripts
    assert recipe["about"]["license"] == PROJECT["license"]
    assert [recipe["about"]["license_file"]] == PROJECT["license-files"]


def _joined(requirements: list[str]) -> list[str]:
    """Return requirements of conda as those of Python."""
    return [requirement.replace(" ", "") for requirement in requirements]
