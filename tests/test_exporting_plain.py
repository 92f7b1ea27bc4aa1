"""`fursure export --to onnx | openvino`: plain files whose README proves them."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from webpage import npm_package

from fursure.bundle.bundle import Bundle
from fursure.bundle.named import find_model
from fursure.cli import main
from fursure.commands.export import export_model
from fursure.drawings.draw import draw, jpeg
from fursure.engine.predictor import Predictor
from fursure.errors import BadData, ExportFailed, MissingExtra, NoPhotos
from fursure.exporting import openvino_files
from fursure.exporting import ported as ported_module
from fursure.exporting import rounded as rounded_module
from fursure.exporting.ported import SAME_INT8, Wishes, ported
from fursure.exporting.rounded import Changes, rounded
from fursure.graphs.variants import at_opset, leading_layers, with_encoder
from fursure.photos.preprocess import Preprocess
from fursure.sureness.readout import Readout
from fursure.training.train import Trained


@pytest.fixture(scope="module")
def pets() -> Bundle:
    return find_model("pets")


@pytest.fixture(scope="module")
def plain(pets: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_model(pets, "onnx", tmp_path_factory.mktemp("onnx") / "plain").folder


def blocks(folder: Path, language: str) -> list[str]:
    """Return the code of that language in the folder's README, as it stands there."""
    text = (folder / "README.md").read_text("utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def run_python(folder: Path) -> list[str]:
    """Run the README's Python where no fursure can be imported; return what it printed."""
    code = "import sys; sys.modules['fursure'] = None\n" + "\n".join(blocks(folder, "python"))
    run = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def golden_of(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "golden.json").read_text("utf-8"))
    return values


@pytest.mark.long
def test_the_lines_in_the_readme_reproduce_the_golden_answer(plain: Path) -> None:
    proof, answer = run_python(plain)
    golden = golden_of(plain)
    assert float(proof.split()[-1]) <= 1e-5
    top = max(golden["probabilities"])
    assert answer == f"{golden['answer']}: {top:.4f}, familiarity {golden['familiarity']:.4f}"


@pytest.mark.long
def test_the_lines_in_javascript_reproduce_it_too(plain: Path, tmp_path: Path) -> None:
    package, node = npm_package("onnxruntime-web"), shutil.which("node")
    if node is None:
        pytest.skip("no node on this machine")
    folder = shutil.copytree(plain, tmp_path / "copy")
    (folder / "node_modules").symlink_to(package.parent.absolute())
    (folder / "golden.mjs").write_text(blocks(folder, "js")[0])
    run = subprocess.run(
        [node, "golden.mjs"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert float(run.stdout.split()[-1]) <= 1e-5


@pytest.mark.parametrize("mode", ["crop", "squash", "pad"])
@pytest.mark.parametrize("size", [(700, 530), (300, 420), (1201, 1100)])
def test_the_readme_prepares_photos_as_the_model_does(
    plain: Path, mode: Any, size: tuple[int, int], tmp_path: Path
) -> None:
    from fursure.exporting.examples import example_of
    from fursure.photos.decode import decode

    preprocess = Preprocess(size=64, mode=mode, interpolation="bilinear", mean=(0.4, 0.5, 0.6))
    lines = blocks(plain, "python")[0]
    function = lines[lines.index("def pixels") : lines.index("session =")]
    shipped = find_model("pets").meta.preprocess
    function = function.replace(example_of(shipped), example_of(preprocess))
    scope: dict[str, Any] = {}
    exec(f"import numpy as np\nfrom PIL import Image, ImageOps\n{function}", scope)  # noqa: S102
    data = jpeg(draw("cat", 1, 1300).resize(size))
    (tmp_path / "a.jpg").write_bytes(data)
    expected = preprocess(decode(data, min_side=preprocess.min_side).image)
    assert np.array_equal(scope["pixels"](tmp_path / "a.jpg"), expected)


def test_the_files_say_what_the_model_is(plain: Path, pets: Bundle) -> None:
    assert (plain / "labels.txt").read_text() == "cat\ndog\n"
    facts = json.loads((plain / "preprocess.json").read_text())
    assert facts["size"] == 224
    assert facts["min_side"] == 256
    assert facts["threshold"] == pets.threshold()
    assert np.load(plain / "familiar.npz")["threshold"] == pets.familiar.threshold
    assert golden_of(plain)["sha256"] == pets.golden.digest
    assert (plain / "model.onnx").read_bytes() == pets.model
    assert pets.card.rstrip() in (plain / "card.md").read_text("utf-8")


def test_a_readout_and_features_in_front_are_in_the_formula(pets: Bundle) -> None:
    from fursure.exporting.examples import formula_of

    rng = np.random.default_rng(0)
    readout = Readout(
        weights=rng.normal(size=(1280, 3)).astype(np.float32),
        bias=rng.normal(size=3).astype(np.float32),
        tails=np.array([[0.4, 0.1], [1.0, 2.0]]),
    )
    familiar = replace(pets.familiar, readout=readout, first=2)
    features_ND = np.abs(rng.normal(size=(1, 1282))).astype(np.float32)
    scope: dict[str, Any] = {
        "np": np,
        "familiar": familiar.to_arrays(),
        "features": features_ND,
        "unit": lambda vector: vector / np.linalg.norm(vector),
    }
    exec(formula_of(familiar), scope)  # noqa: S102
    assert scope["score"] == pytest.approx(familiar._score(features_ND[:, 2:])[0], abs=1e-9)


@pytest.mark.long
def test_a_batch_can_be_fixed_and_the_opset_chosen(pets: Bundle, tmp_path: Path) -> None:
    wishes = Wishes(batch=3, opset=21)
    folder = export_model(pets, "onnx", tmp_path / "plain", wishes=wishes).folder
    model = onnx.load(folder / "model.onnx")
    assert [known.version for known in model.opset_import] == [21]
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_value == 3
    assert {note.key for note in model.metadata_props} == {"labels", "preprocess"}
    assert "exactly 3 photos" in (folder / "README.md").read_text("utf-8")
    assert float(run_python(folder)[0].split()[-1]) <= 1e-5


@pytest.mark.parametrize(
    ("opset", "why"),
    [
        (0, "is unknown; the onnx"),
        (999, "is unknown; the onnx"),
        (11, r"cannot be written .*Split"),
    ],
)
def test_an_opset_that_cannot_be_had_is_refused(
    pets: Bundle, tmp_path: Path, opset: int, why: str
) -> None:
    with pytest.raises(ExportFailed, match=rf"--opset {opset} .*{why}|with --opset {opset} \(No"):
        export_model(pets, "onnx", tmp_path / "plain", wishes=Wishes(opset=opset))
    assert list(tmp_path.iterdir()) == []


def test_an_opset_that_onnx_runtime_does_not_know_is_refused(
    pets: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*arguments: Any, **named: Any) -> Any:
        raise RuntimeError("opset 99 is under development")

    predictor = Predictor.open(pets, engine="onnxruntime")
    monkeypatch.setattr(ported_module, "OnnxRuntime", unknown)
    with pytest.raises(ExportFailed, match=r"ONNX Runtime cannot run the exported network .*99"):
        ported(predictor, Wishes(opset=19))


def test_a_network_that_answers_otherwise_is_not_exported(pets: Bundle) -> None:
    predictor = Predictor.open(pets, engine="onnxruntime")
    made = ported(predictor, Wishes())
    with pytest.raises(ExportFailed, match=r"a golden probability is off by 0\.09\d*, and 0\.001"):
        made.check("it", lambda: lambda pixels: predictor.network.session(255 - pixels))


@pytest.mark.parametrize(
    ("target", "wishes", "why"),
    [
        ("web", Wishes(batch=2, opset=18), r"--to web has no use for --batch, --opset"),
        ("onnx", Wishes(runtime=Path()), r"--to onnx has no use for --runtime"),
        ("onnx", Wishes(precision="int8"), r"int8 is calibrated on photos .* --calibrate PHOTOS"),
        ("onnx", Wishes(calibrate=Path()), r"--calibrate names photos for --precision int8"),
    ],
)
def test_wishes_that_mean_nothing_are_refused(
    pets: Bundle, tmp_path: Path, target: str, wishes: Wishes, why: str
) -> None:
    with pytest.raises(ExportFailed, match=why):
        export_model(pets, target, tmp_path / "new", wishes=wishes)
    assert list(tmp_path.iterdir()) == []


def test_int8_needs_photos_and_enough_of_them(pets: Bundle, tmp_path: Path) -> None:
    predictor = Predictor.open(pets, engine="onnxruntime")
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(NoPhotos):
        rounded(predictor, tmp_path)
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    with pytest.raises(BadData, match="no photo to calibrate int8 on"):
        rounded(predictor, tmp_path)
    (tmp_path / "good.jpg").write_bytes(jpeg(draw("cat", 1)))
    with pytest.raises(BadData, match=r"has 1 photo that can be used, and int8 .* on 64 at least"):
        rounded(predictor, tmp_path)


def test_the_command_line_refuses_a_batch_of_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["export", "pets", "--to", "onnx", "-o", str(tmp_path / "new"), "--batch", "0"])
    assert left.value.code == 2
    assert "0 is not in the range 1<=x<=1024" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "small"),
    [
        (Changes(photos=400, answers=2, gap=0.1, strangers=(5, 5)), True),
        (Changes(photos=400, answers=3, gap=0.1, strangers=(5, 5)), False),
        (Changes(photos=400, answers=1, gap=0.1, strangers=(5, 6)), True),
        (Changes(photos=400, answers=1, gap=0.1, strangers=(5, 4)), False),
    ],
)
def test_one_in_two_hundred_answers_may_change_and_no_stranger_gets_through(
    changes: Changes, small: bool
) -> None:
    assert changes.small is small


@pytest.mark.long
def test_in_int8_a_model_is_a_third_and_its_figures_are_told(
    trained: Trained, drawings: Path, tmp_path: Path
) -> None:
    bundle = Bundle.read(trained.path)
    wishes = Wishes(precision="int8", calibrate=drawings)
    folder = export_model(bundle, "onnx", tmp_path / "small", wishes=wishes).folder
    assert (folder / "model.onnx").stat().st_size < 0.4 * len(bundle.model)
    for name in ("README.md", "card.md"):
        assert "of 80 photos (0.00%) are answered otherwise" in (folder / name).read_text("utf-8")
    model = onnx.load(folder / "model.onnx")
    gemm = next(node for node in model.graph.node if node.op_type == "Gemm")
    assert gemm.input[1] == "head.weight0"  # not rounded
    golden, whole = golden_of(folder), Predictor.open(bundle, engine="onnxruntime")
    assert golden["bound"] == SAME_INT8
    exact = whole.predict(bundle.golden.jpeg).probabilities
    assert golden["probabilities"] != list(exact.values())
    assert float(run_python(folder)[0].split()[-1]) <= SAME_INT8


@pytest.mark.long
def test_int8_is_refused_where_answers_change(
    pets: Bundle, drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounded_module, "MOST_CHANGED", -1)
    monkeypatch.setattr(rounded_module, "_EXACT", (0.0,))
    wishes = Wishes(precision="int8", calibrate=drawings)
    with pytest.raises(ExportFailed, match=r"in int8, \d+ of 80 photos .* fp16 or fp32"):
        export_model(pets, "onnx", tmp_path / "small", wishes=wishes)
    assert list(tmp_path.iterdir()) == []


def test_the_layers_in_front_are_named_by_their_share(pets: Bundle) -> None:
    from fursure.graphs.graph import encoder_of

    encoder = encoder_of(pets.model)
    kinds = {node.name: node.op_type for node in onnx.load_from_string(encoder).graph.node}
    assert leading_layers(encoder, 0) == list(kinds)[:4]  # the normalisation
    names = leading_layers(encoder, 0.5)
    assert sum(kinds[name] == "Conv" for name in names) == 24


def test_an_encoder_put_in_the_place_of_itself_changes_nothing(pets: Bundle) -> None:
    from fursure.engine.runtime import OnnxRuntime
    from fursure.graphs.graph import encoder_of

    same = with_encoder(pets.model, encoder_of(pets.model))
    pixels_NHWC = pets.golden.pixels_NHWC
    outputs = OnnxRuntime(same, threads=1)(pixels_NHWC)
    assert list(outputs) == ["probs", "logits", "features", "heat"]
    assert np.array_equal(
        outputs["probs"], OnnxRuntime(pets.model, threads=1)(pixels_NHWC)["probs"]
    )
    assert at_opset(same, 18) == same


@pytest.mark.long
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_openvinos_files_reproduce_the_golden_answer(
    pets: Bundle, tmp_path: Path, precision: Any
) -> None:
    pytest.importorskip("openvino", reason="OpenVINO converts and proves its files")
    wishes = Wishes(precision=precision, batch=2)
    folder = export_model(pets, "openvino", tmp_path / "plain", wishes=wishes).folder
    size = (folder / "model.bin").stat().st_size
    assert size < (0.72 if precision == "fp16" else 1.0) * len(pets.model)
    proof, answer = run_python(folder)
    assert float(proof.split()[-1]) <= 1e-3
    assert answer.startswith(golden_of(folder)["answer"])
    assert not (folder / "model.onnx").exists()


@pytest.mark.long
def test_openvino_proves_a_network_in_int8(
    trained: Trained, drawings: Path, tmp_path: Path
) -> None:
    pytest.importorskip("openvino", reason="OpenVINO converts and proves its files")
    bundle, wishes = Bundle.read(trained.path), Wishes(precision="int8", calibrate=drawings)
    folder = export_model(bundle, "openvino", tmp_path / "small", wishes=wishes).folder
    assert (folder / "model.bin").stat().st_size < 0.4 * len(bundle.model)
    assert float(run_python(folder)[0].split()[-1]) <= SAME_INT8


def test_without_openvino_its_extra_is_named(
    pets: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_files, "installed_version", lambda: None)
    with pytest.raises(MissingExtra, match=r"OpenVINO needs the extra 'fast'"):
        export_model(pets, "openvino", tmp_path / "plain")
    assert list(tmp_path.iterdir()) == []


def test_what_openvino_cannot_convert_is_told_in_a_sentence(pets: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="OpenVINO converts and proves its files")
    predictor = Predictor.open(pets, engine="onnxruntime")
    made = replace(ported(predictor, Wishes()), onnx=b"no network")
    with pytest.raises(ExportFailed, match="OpenVINO cannot convert this network"):
        openvino_files.openvino_files(made)
