"""`fursure export --to litert | coreml`: what telephones run, proven as far as it runs here."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fursure.bundle.bundle import Bundle
from fursure.commands.export import export_model
from fursure.engine.parity import largest_deviation
from fursure.errors import ExportFailed, MissingExtra, OutputExists
from fursure.exporting.ported import Wishes
from fursure.run import Run

FROZEN = Path(__file__).parent / "data" / "format-1.fursure"  # small, its weights in half


@pytest.fixture(scope="module")
def small() -> Bundle:
    return Bundle.read(FROZEN)


@pytest.fixture(scope="module")
def litert(small: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    return export_model(small, "litert", tmp_path_factory.mktemp("phones") / "litert").folder


@pytest.fixture(scope="module")
def coreml(small: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("coremltools", reason="the extra coreml is not installed")
    return export_model(small, "coreml", tmp_path_factory.mktemp("phones") / "coreml").folder


def test_litert_gives_the_golden_answers_from_the_file(litert: Path, small: Bundle) -> None:
    from fursure.phones.litert import LiteRt

    run = LiteRt((litert / "model.tflite").read_bytes())
    each = [run(row[None]) for row in small.golden.pixels_NHWC]
    outputs = {name: np.concatenate([row[name] for row in each]) for name in each[0]}
    assert largest_deviation(lambda _: outputs, small) <= 1e-5
    assert outputs["heat"].ndim == 3


def test_all_that_belongs_to_it_lies_beside_it(litert: Path, small: Bundle) -> None:
    assert {path.name for path in litert.iterdir()} == {
        "model.tflite", "labels.txt", "preprocess.json", "familiar.npz", "golden.jpg",
        "golden.rgb", "golden.json", "card.md", "README.md",
    }  # fmt: skip
    assert (litert / "labels.txt").read_text("utf-8").splitlines() == list(small.meta.labels)
    assert "{{" not in (litert / "README.md").read_text("utf-8")


def test_labels_and_preprocessing_are_inside_the_file_too(litert: Path, small: Bundle) -> None:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs((litert / "model.tflite").read_bytes())
    notes = {
        model.Metadata(row).Name(): model.Buffers(model.Metadata(row).Buffer()).DataAsNumpy()
        for row in range(model.MetadataLength())
    }
    assert json.loads(notes[b"labels"].tobytes()) == list(small.meta.labels)
    assert json.loads(notes[b"preprocess"].tobytes()) == small.meta.preprocess.to_json()


@pytest.mark.long
def test_the_lines_in_the_readme_reproduce_the_golden_answer(litert: Path) -> None:
    text = (litert / "README.md").read_text("utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    run = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.modules['fursure'] = None\n{code}"],
        cwd=litert, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    proof, answer = run.stdout.splitlines()
    golden = json.loads((litert / "golden.json").read_text("utf-8"))
    assert float(proof.split()[-1]) <= 1e-5
    top = max(golden["probabilities"])
    assert answer == f"{golden['answer']}: {top:.4f}, familiarity {golden['familiarity']:.4f}"


def test_in_fp16_the_file_is_smaller_and_its_answers_hold(
    small: Bundle, litert: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    wishes = Wishes(precision="fp16")
    export_model(small, "litert", tmp_path / "half", Run(say=said.append), wishes=wishes)
    whole = (litert / "model.tflite").stat().st_size
    assert (tmp_path / "half" / "model.tflite").stat().st_size < 0.6 * whole
    assert re.search(r"fp16 probabilities move by up to 0\.000\d on drawings", said[-1])
    assert said[-1] in (tmp_path / "half" / "card.md").read_text("utf-8")


def test_what_answers_otherwise_is_not_written(
    small: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    from fursure.phones import litert as module

    def other(network: Any) -> Any:
        (name,) = (name for name in network.constants if name.startswith("head.bias"))
        moved = network.constants[name] + np.array([0, 0.1], np.float32)
        return replace(network, constants={**network.constants, name: moved})

    monkeypatch.setattr(module, "with_gelus", other)
    with pytest.raises(ExportFailed, match=r"by LiteRT .* is off by 0\.0.*, and 0\.001 is allowed"):
        export_model(small, "litert", tmp_path / "phone")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("target", "package"), [("litert", "LiteRT"), ("coreml", "Core ML")])
def test_without_its_packages_the_extra_is_named(
    small: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, package: str
) -> None:
    for name in [name for name in sys.modules if name.startswith("fursure.phones")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "coremltools", None)
    with pytest.raises(MissingExtra, match=rf"to {package} needs the extra '{target}'"):
        export_model(small, target, tmp_path / "phone")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["litert", "coreml"])
def test_what_a_telephone_has_no_use_for_is_refused(
    small: Bundle, tmp_path: Path, target: str
) -> None:
    with pytest.raises(ExportFailed, match=rf"--to {target} has no int8: export it with .*fp16"):
        export_model(small, target, tmp_path / "phone", wishes=Wishes(precision="int8"))
    with pytest.raises(ExportFailed, match=f"--to {target} has no use for --batch"):
        export_model(small, target, tmp_path / "phone", wishes=Wishes(batch=2))
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputExists, match="a folder that is not empty"):
        export_model(small, target, tmp_path)


@pytest.mark.long
def test_a_core_ml_package_read_back_gives_the_golden_answers(coreml: Path, small: Bundle) -> None:
    import coremltools

    from fursure.phones.coreml import ReadBack

    root = coreml / "model.mlpackage"
    run = ReadBack(
        {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file()
        }
    )
    each = [run(row[None]) for row in small.golden.pixels_NHWC]
    outputs = {name: np.concatenate([row[name] for row in each]) for name in each[0]}
    assert largest_deviation(lambda _: outputs, small) <= 1e-5
    model = coremltools.models.MLModel(str(root), skip_model_load=True)
    assert json.loads(model.user_defined_metadata["labels"]) == list(small.meta.labels)
    (pixels,) = model.get_spec().description.input
    assert list(pixels.type.multiArrayType.shape) == [1, 160, 160, 3]


@pytest.mark.long
def test_a_core_ml_package_keeps_weights_in_fp16(
    small: Bundle, coreml: Path, tmp_path: Path
) -> None:
    export_model(small, "coreml", tmp_path / "half", wishes=Wishes(precision="fp16"))
    weights = Path("model.mlpackage/Data/com.apple.CoreML/weights/weight.bin")
    whole = (coreml / weights).stat().st_size
    assert (tmp_path / "half" / weights).stat().st_size < 0.7 * whole
