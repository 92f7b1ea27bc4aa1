"""The layers drawn in CONTRIBUTING.md, enforced."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from functools import cache
from graphlib import TopologicalSorter
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "fursure"
MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem[0] != "_"
)


def drawn_ranks() -> dict[str, int]:
    """Return the number of each room, as CONTRIBUTING draws them."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    drawing = text.split("```layers\n")[1].split("```")[0]
    lines = [line.split("|")[0].split() for line in drawing.splitlines()]
    return {part: int(rank) for rank, *parts in lines for part in parts}


RANK = drawn_ranks()
TORCH = {"networks", "finetuning", "backbones", "together"}  # rooms that may import it


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Return all of a file's syntax tree, which several tests read; its module comes first."""
    return tuple(ast.walk(ast.parse(path.read_text())))


def imported_parts(path: Path) -> set[str]:
    nodes = nodes_of(path)
    names = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    names += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("fursure.")}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_the_drawing_names_every_part() -> None:
    assert {part_of(path) for path in MODULES} == set(RANK)


def test_imports_point_down() -> None:
    upward = [
        f"{module_of(path)} may not import {other}"
        for path in MODULES
        for other in sorted(imported_parts(path) - {part_of(path)})
        if RANK[other] >= RANK[part_of(path)]
    ]
    assert not upward


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported_modules(path: Path, modules: set[str]) -> set[str]:
    """Return the modules of the package that a file imports, when it is loaded or later."""
    found: set[str] = set()
    types_alone = {  # nothing is imported
        id(inner)
        for node in nodes_of(path)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in nodes_of(path):
        if id(node) in types_alone:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & modules or {node.module} & modules
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & modules
    return found


def test_no_room_has_more_modules_than_a_reader_can_take_in() -> None:
    rooms = Counter(path.parent for path in MODULES if path.stem != "__init__")
    assert max(rooms.values()) <= 14, rooms.most_common(3)


def test_no_files_import_each_other_in_a_circle() -> None:
    """Lazy imports count: whoever reads one file of a circle has to read them all."""
    every = {module_of(path): path for path in PACKAGE.rglob("*.py")}
    graph = {name: imported_modules(path, set(every)) for name, path in every.items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(every)


def module_names(path: Path) -> set[str]:
    """Return what a module calls its own: functions, classes, constants, types."""
    names: set[str] = set()
    module = nodes_of(path)[0]
    assert isinstance(module, ast.Module)
    for node in module.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {
                    part.id
                    for target in targets
                    for part in ast.walk(target)
                    if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
                }
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return {name for name in names if not name.startswith("__")}


def test_no_public_name_is_defined_in_two_modules() -> None:
    homes: dict[str, list[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        for name in module_names(path):
            if not name.startswith("_"):
                homes.setdefault(name, []).append(module_of(path))
    shared = {name: sorted(modules) for name, modules in homes.items() if len(modules) > 1}
    assert not shared


def test_no_name_of_a_module_is_shorter_than_three_letters() -> None:
    short = [
        f"{module_of(path)}.{name}"
        for path in PACKAGE.rglob("*.py")
        for name in module_names(path)
        if len(name.strip("_")) < 3
    ]
    assert not short


def imported_roots(path: Path) -> set[str]:
    """Return the packages that a module imports, by the first part of their names."""
    roots = set()
    for node in nodes_of(path):
        match node:
            case ast.Import(names=aliases):
                roots |= {alias.name.partition(".")[0] for alias in aliases}
            case ast.ImportFrom(module=str(module), level=0):
                roots.add(module.partition(".")[0])
    return roots


def test_nothing_unpickles_or_runs_text() -> None:
    banned = {"pickle", "joblib", "marshal", "shelve", "dill", "yaml"}
    calls = {"eval", "exec", "extractall", "mktemp", "system", "popen", "torch.load"}
    for path in MODULES:
        made = [node for node in nodes_of(path) if isinstance(node, ast.Call)]
        called = {
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            for node in made
        } - ({"eval"} if part_of(path) in TORCH else set())  # torch's net.eval() is no eval
        loads = {ast.unparse(node.func) for node in made} if "load" in called else set()
        assert not imported_roots(path) & banned, path
        assert not (called | loads) & calls, path
        assert "shell" not in {keyword.arg for node in made for keyword in node.keywords}, path


def test_the_base_install_is_at_most_a_dozen_packages() -> None:
    """Those asked for, and what they ask for in turn, where no marker excludes it here."""
    names, waiting = set[str](), ["fursure"]
    while waiting:
        name = waiting.pop()
        for line in metadata.requires(name) or []:
            asked = Requirement(line)
            if asked.marker is None or asked.marker.evaluate({"extra": ""}):
                found = asked.name.lower().replace("_", "-")
                waiting += [found] if found not in names else []
                names.add(found)
    assert len(names) <= 12, names
    assert not names & {"torch", "pydantic", "scipy", "onnx"}


@pytest.mark.parametrize("part", ["cli", "engine.predictor", "commands.predict"])
def test_prediction_loads_neither_torch_nor_the_training_extra(part: str) -> None:
    heavy = ["torch", "onnx", "sklearn", "scipy", "openvino"]
    code = f"import sys, fursure.{part}; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


MODULE_OF = {  # where a project's module is not its name with underscores
    "mlflow-skinny": "mlflow",
    "pillow": "PIL",
    "scikit-learn": "sklearn",
    "tensorboardx": "tensorboardX",
}


def test_nothing_is_imported_that_no_install_brings() -> None:
    """What only the developers' install has must not be needed by anyone else."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    extras = [asked for name, asked in project["optional-dependencies"].items() if name != "dev"]
    names = [re.split(r"[\[<>=! ;]", line)[0] for line in chain(project["dependencies"], *extras)]
    brought = {MODULE_OF.get(name, name.replace("-", "_")) for name in names}
    for path in MODULES:
        roots = imported_roots(path)
        assert roots <= brought | sys.stdlib_module_names | {"fursure"}, f"{path}: {roots}"
