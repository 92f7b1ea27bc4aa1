"""What a shell proposes after Tab, and how much it has to import for that."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from fursure.cli import COMMANDS, GROUPS, SUMMARIES, cli


def proposed(*words: str) -> dict[str, str | None]:
    """Return what may follow in place of the last word, with its summary."""
    shell = ShellComplete(cli, {}, "fursure", "_FURSURE_COMPLETE")
    *before, incomplete = words
    found = shell.get_completions(list(before), incomplete)
    return {item.value: item.help for item in found if item.type == "plain"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with models and recipes, and a home with a converted backbone."""
    for name in ("mine.fursure", "models/old.fursure", "mine.toml", "net.onnx", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    kept = tmp_path / "home" / "backbones"
    kept.mkdir(parents=True)
    (kept / "1.json").write_text(json.dumps({"name": "timm:resnet18"}))
    (kept / "2.json").write_text("damaged")
    monkeypatch.setenv("FURSURE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands_are_proposed_with_their_summaries() -> None:
    assert proposed("") == SUMMARIES
    assert proposed("ev") == {"evaluate": SUMMARIES["evaluate"]}
    assert "--version" in proposed("--v")


@pytest.mark.parametrize(
    "words", [("train", "DATA", "--recipe"), ("recipes",), ("compare", "DATA", "linear-probe")]
)
def test_recipes_are_proposed_with_their_summaries_and_files(
    words: tuple[str, ...], here: Path
) -> None:
    every = proposed(*words, "")
    assert {"linear-probe", "best", "vgg16-small", "mine.toml"} <= set(every)
    assert (every["best"] or "").startswith("Lite2 trained twice")
    assert set(proposed(*words, "fin")) == {"fine-tune"}


@pytest.mark.parametrize("command", ["train", "check", "split", "compare"])
def test_backbones_at_hand_are_proposed(command: str, here: Path) -> None:
    names = set(proposed(command, "--backbone", ""))
    assert {"lite0", "timm:resnet18", "mine.fursure", "net.onnx"} <= names
    assert "notes.txt" not in names


@pytest.mark.parametrize("words", [("predict", "-m"), ("serve",), ("evaluate",), ("export",)])
def test_models_of_the_package_and_of_the_folder_are_proposed(
    words: tuple[str, ...], here: Path
) -> None:
    assert set(proposed(*words, "")) == {"pets", "mine.fursure"}
    assert set(proposed(*words, "models/")) == {"models/old.fursure"}


def test_a_name_that_is_no_known_one_is_left_to_the_shell(here: Path) -> None:
    shell = ShellComplete(cli, {}, "fursure", "_FURSURE_COMPLETE")
    (item,) = shell.get_completions(["train", "DATA", "--recipe"], "home/")
    assert (item.type, item.value) == ("file", "home/")


@pytest.mark.parametrize(
    "words",
    [["train", "DATA", "--recipe"], ["train", "DATA", "--backbone"], ["predict", "-m"], []],
)
def test_a_tab_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys; from click.shell_completion import ShellComplete\n"
        "from fursure.cli import cli\n"
        f"ShellComplete(cli, {{}}, 'fursure', 'X').get_completions({words}, '')\n"
        "print({'numpy', 'PIL', 'onnx', 'onnxruntime', 'torch'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="no bash here")
def test_bash_gets_its_script_and_its_answers() -> None:
    script = """eval "$(_FURSURE_COMPLETE=bash_source fursure)"
        COMP_WORDS=(fursure train --recipe fi); COMP_CWORD=3
        _fursure_completion fursure
        echo "${COMPREPLY[@]}" """
    scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        ["/bin/bash", "-c", script],
        capture_output=True, text=True, check=False, env=os.environ | {"PATH": scripts},
    )  # fmt: skip
    assert (run.stdout, run.stderr) == ("fine-tune\n", "")


def test_every_command_of_the_help_has_its_place_and_its_group() -> None:
    placed = [name for names in GROUPS.values() for name in names]
    assert sorted(placed) == sorted(COMMANDS)
