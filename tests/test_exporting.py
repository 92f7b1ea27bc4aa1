"""`fursure export`: a folder, whole or not at all, and what stands in it."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from javascript import Node

from fursure.bundle.bundle import Bundle
from fursure.bundle.named import find_model
from fursure.cli import cli, main
from fursure.cli.serve import export_command
from fursure.commands.export import export_model
from fursure.engine.parity import largest_deviation
from fursure.engine.predictor import Predictor
from fursure.engine.runtime import OnnxRuntime
from fursure.errors import BadRuntime, EngineFailed, OutputExists
from fursure.exporting import halves, targets
from fursure.exporting.folder import write_new
from fursure.exporting.ported import Wishes
from fursure.exporting.runtime import PINNED, RUNTIME_DIGESTS, web_runtime
from fursure.exporting.targets import TARGETS
from fursure.exporting.web import familiar_file
from fursure.prediction import Prediction
from fursure.report.table import CsvTable
from fursure.run import Run
from fursure.sureness.familiarity import fit_familiar
from fursure.sureness.readout import Readout


def package_in(folder: Path, version: str = PINNED) -> Path:
    """Make an npm package with empty files of the names that the real one has."""
    package = folder / "node_modules" / "onnxruntime-web"
    (package / "dist").mkdir(parents=True)
    facts = {"name": "onnxruntime-web", "version": version}
    (package / "package.json").write_text(json.dumps(facts))
    for name in RUNTIME_DIGESTS:
        (package / "dist" / name).write_bytes(b"runs")
    return package


@pytest.fixture(scope="module")
def pets() -> Bundle:
    return find_model("pets")


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder on a machine without npm."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("NODE_PATH", raising=False)
    return tmp_path


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every network for one of layers that the page has no code for."""
    monkeypatch.setattr(targets, "runs_by_itself", lambda *_: False)


def test_a_network_that_the_page_has_code_for_comes_without_a_runtime(
    pets: Bundle, alone: Path
) -> None:
    package_in(alone)
    said: list[str] = []
    made = export_model(pets, "web", alone / "page", Run(say=said.append))
    assert made.bytes <= 15_200_000
    assert not (alone / "page" / "runtime").exists()
    assert json.loads((alone / "page" / "model.json").read_text())["runtime"] is None
    for name in ("index.html", "sw.js"):
        assert "jsdelivr" not in (alone / "page" / name).read_text()
        assert "ort" not in re.findall(r"\w+", (alone / "page" / name).read_text())
    assert "script-src 'self' 'wasm-unsafe-eval';" in policy_of(alone / "page")
    assert said[-1] == "the page runs on code of its own, without onnxruntime-web"


@pytest.mark.usefixtures("foreign")
def test_a_page_is_written_with_a_runtime_of_this_machine(pets: Bundle, alone: Path) -> None:
    package_in(alone)
    folder = alone / "new" / "page"
    made = export_model(pets, "web", folder)
    assert made.bytes == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert (folder / "runtime" / "ort.js").read_bytes() == b"runs"
    assert (folder / "model.onnx").read_bytes() == pets.model
    policy = policy_of(folder)
    assert "default-src 'none'" in policy
    assert "connect-src 'self';" in policy
    assert "http" not in policy
    worker = (folder / "sw.js").read_text()
    kept = json.loads(re.findall(r"FILES = (\[.*\]);", worker)[0])
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(kept) == there - {"index.html", "sw.js"} | {"./"}
    assert "{{" not in worker + (folder / "index.html").read_text()


def policy_of(folder: Path) -> str:
    policy = re.search(r'Security-Policy" content="(.*)">', (folder / "index.html").read_text())
    assert policy
    return policy[1]


@pytest.mark.usefixtures("foreign")
def test_without_a_runtime_the_page_has_a_pinned_link_and_its_digest(
    pets: Bundle, alone: Path
) -> None:
    export_model(pets, "web", alone / "page")
    index = (alone / "page" / "index.html").read_text()
    digest = RUNTIME_DIGESTS["ort.wasm.bundle.min.mjs"]
    address = f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{PINNED}/dist/"
    assert f'src="{address}ort.wasm.bundle.min.mjs" type="module" integrity="sha384-{digest}"' in (
        index
    )
    facts = json.loads((alone / "page" / "model.json").read_text())
    wasm = "ort-wasm-simd-threaded.wasm"
    assert facts["runtime"]["integrity"] == f"sha384-{RUNTIME_DIGESTS[wasm]}"
    assert f"connect-src 'self' {address}ort.wasm.bundle.min.mjs {address}{wasm};" in policy_of(
        alone / "page"
    )


def test_the_tests_run_what_the_link_is_pinned_to() -> None:
    makefile = Path(__file__).parents[1] / "Makefile"
    assert f"NPM_PACKAGES := onnxruntime-web@{PINNED} " in makefile.read_text()


@pytest.mark.parametrize("place", ["", "dist", "..", "../.."])
def test_a_runtime_is_found_in_the_package_and_beside_it(tmp_path: Path, place: str) -> None:
    given = package_in(tmp_path) / place
    assert web_runtime(given).files["runtime/ort.wasm"] == b"runs"


def test_a_runtime_of_another_version_is_refused_when_given_and_passed_over_when_found(
    alone: Path,
) -> None:
    package = package_in(alone, version="1.17.3")
    with pytest.raises(BadRuntime, match=r"holds onnxruntime-web 1\.17\.3, and the page needs"):
        web_runtime(package)
    assert not web_runtime(None).files


def test_a_folder_without_a_runtime_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRuntime, match="holds no onnxruntime-web, and the page needs"):
        web_runtime(tmp_path)
    package = package_in(tmp_path)
    (package / "dist" / "ort-wasm-simd-threaded.wasm").unlink()
    with pytest.raises(BadRuntime, match=r"ort-wasm-simd-threaded\.wasm"):
        web_runtime(package)


def test_a_folder_that_holds_something_is_left_alone(pets: Bundle, alone: Path) -> None:
    (alone / "page").mkdir()
    (alone / "page" / "mine.txt").write_text("mine")
    with pytest.raises(OutputExists, match="a folder that is not empty"):
        export_model(pets, "web", alone / "page")
    assert [path.name for path in (alone / "page").iterdir()] == ["mine.txt"]
    (alone / "file").write_text("mine")
    with pytest.raises(OutputExists, match="it is no folder"):
        export_model(pets, "web", alone / "file")


def test_what_fails_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    def files() -> Any:
        yield "a", b"1"
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        write_new(tmp_path / "page", files())
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "page").mkdir()
    assert write_new(tmp_path / "page", [("a/b", b"12"), ("c", b"3")]) == 3
    assert (tmp_path / "page" / "a" / "b").read_bytes() == b"12"


def test_the_golden_answers_of_the_page_are_those_of_python(pets: Bundle, alone: Path) -> None:
    export_model(pets, "web", alone / "page", max_error=0.05)
    facts = json.loads((alone / "page" / "model.json").read_text())
    predictor = Predictor.open(pets, engine="onnxruntime", max_error=0.05)
    assert facts["threshold"] == predictor.threshold
    for golden in facts["golden"]:
        expected = predictor.predict((alone / "page" / golden["file"]).read_bytes())
        assert golden["answer"] == expected.answer
        assert golden["probabilities"] == list(expected.probabilities.values())
    assert [golden["file"] for golden in facts["golden"]] == ["golden.jpg", "golden.png"]


@pytest.mark.long
def test_in_fp16_the_page_is_smaller_and_its_probabilities_hold(pets: Bundle, alone: Path) -> None:
    """The page still proves itself on the golden answers of fp32."""
    said: list[str] = []
    wishes = Wishes(precision="fp16")
    made = export_model(pets, "web", alone / "page", Run(say=said.append), wishes=wishes)
    assert made.bytes <= 11_000_000
    assert re.search(r"move by up to 0\.000\d on drawings", said[-1])
    session = OnnxRuntime((alone / "page" / "model.onnx").read_bytes(), threads=1)
    assert 0 < largest_deviation(session, pets) <= 1e-3


@pytest.mark.long
def test_where_fp16_moves_answers_it_is_refused(
    pets: Bundle, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(halves, "SAME", 1e-9)
    with pytest.raises(EngineFailed, match=r"moves a probability by 0\.0.*--precision fp32"):
        export_model(pets, "web", alone / "page", wishes=Wishes(precision="fp16"))
    assert not (alone / "page").exists()


def test_a_name_full_of_markup_stays_a_name(pets: Bundle, alone: Path) -> None:
    named = replace(pets, meta=replace(pets.meta, name='<script>"x"'))
    export_model(named, "web", alone / "page")
    assert "<title>fursure · &lt;script&gt;&quot;x&quot;</title>" in (
        alone / "page" / "index.html"
    ).read_text("utf-8")


def test_the_command_line_offers_every_target() -> None:
    option: Any = next(option for option in export_command.params if option.name == "target")
    assert list(option.type.choices) == list(TARGETS)


def test_the_command_says_what_it_made_and_errors_are_one_sentence(
    alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = CliRunner().invoke(cli, ["export", "pets", "--to", "web", "-o", "page"])
    assert run.exit_code == 0, run.output
    assert run.stdout == "page: 32 files, 15.1 MB\n"
    assert "the page runs on code of its own" in run.stderr
    with pytest.raises(SystemExit) as left:
        main(["export", "pets", "--to", "web", "-o", "page"])
    assert left.value.code == 1
    told = capsys.readouterr().err
    assert "page already exists (a folder that is not empty); choose another name." in told


FAMILIARITY = """
const { Familiar } = await import("./familiar.js");
const { readFileSync: read } = await import("node:fs");
const buffer = Uint8Array.from(read(given.bin)).buffer;
const familiar = new Familiar(given.facts, buffer);
const rows = new Float32Array(Uint8Array.from(read(given.rows)).buffer);
const width = given.width;
return Array.from({ length: rows.length / width }, (_, n) => {
  const share = familiar.of(rows.subarray(n * width, (n + 1) * width));
  return [share, familiar.cosine(Float64Array.from(rows.subarray(n * width, (n + 1) * width)))];
});
"""


@pytest.mark.parametrize("joined", [False, True])
def test_familiarity_is_computed_as_in_python(tmp_path: Path, joined: bool) -> None:
    """With and without what the classifier itself has against a photo."""
    rng = np.random.default_rng(0)
    rows_ND = rng.normal(size=(400, 24)).astype(np.float32)
    labels_N = np.arange(400) % 3
    rows_ND[:, 0] += 3 * labels_N
    readout = Readout.of(rng.normal(size=(24, 3)), np.zeros(3)) if joined else None
    familiar = fit_familiar(rows_ND[:300], labels_N[:300], rows_ND[300:], readout=readout)
    data, facts = familiar_file(familiar)
    node = Node.found(tmp_path / "page")
    probes_ND = np.concatenate([rows_ND[300:320], 5 * rng.normal(size=(20, 24)).astype(np.float32)])
    probes_ND[-1, 0] = np.nan
    (tmp_path / "bin").write_bytes(data)
    (tmp_path / "rows").write_bytes(probes_ND.tobytes())
    case = {"facts": facts, "width": 24, "bin": str(tmp_path / "bin")}
    (found,) = node(FAMILIARITY, case | {"rows": str(tmp_path / "rows")})
    expected_N = familiar.familiarity(probes_ND)
    assert len(set(expected_N.tolist())) > 10
    assert np.allclose([share for share, _ in found], expected_N, atol=1e-6)


def test_the_page_writes_tables_as_the_command_line_does(tmp_path: Path) -> None:
    rows = [
        Prediction(
            path='=a,"b".jpg', answer="unsure", label="cat", confidence=0.75, familiarity=0.5,
            probabilities={"cat": 0.75, "dog": 0.25}, engine="browser",
        ),
        Prediction(path="b.jpg", error="-damaged"),
    ]  # fmt: skip
    with CsvTable(tmp_path / "t.csv", ["cat", "dog"], made_by={}, overwrite=False) as table:
        for row in rows:
            table(row)
    node = Node.found(tmp_path / "page")
    code = 'const { csv } = await import("./table.js"); return csv(given, ["cat", "dog"]);'
    (text,) = node(code, [row.to_json() for row in rows])
    assert text == (tmp_path / "t.csv").read_text("utf-8")
