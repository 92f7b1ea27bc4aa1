"""What CONTRIBUTING says one has to touch to add a thing is enough: an invented one arrives."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Annotated, ClassVar

import click
import numpy as np
import pytest
from click.testing import CliRunner
from console import fursure
from samples import FORMAT_1, SIDE, draw_into, encoder_graph

from fursure.backbones.backbone import Backbone, BackboneSpec
from fursure.backbones.kept import conversion_key, keep_backbone
from fursure.backbones.kinds import at_hand, load_backbone
from fursure.bundle.bundle import Bundle
from fursure.check import findings
from fursure.check.findings import FINDERS, FINDING_KINDS, Finding, FindingKind, Material
from fursure.cli import overrides
from fursure.errors import UnknownBackbone
from fursure.graphs.layers import Dense
from fursure.heads.card import card
from fursure.heads.examples import Examples
from fursure.metrics.catalogue import METRICS, Metric, Scored
from fursure.metrics.classification import Evaluation, score_probs
from fursure.metrics.intervals import Estimate, proportion
from fursure.photos.preprocess import Preprocess
from fursure.ranges import Number
from fursure.recipe import BACKBONE_KINDS, HEADS, ClassWeight, FineTune, Recipe
from fursure.recipes.knobs import FLAGS, KNOBS, Flag, knobs_of
from fursure.recipes.parse import from_json

# A metric: one entry of METRICS


def _sure(scored: Scored) -> Estimate:
    """Estimate how often the model is sure."""
    return proportion(int((scored.probs_NK.max(axis=1) > 0.9).sum()), len(scored.labels_N))


@pytest.fixture
def sureness(monkeypatch: pytest.MonkeyPatch) -> Metric:
    """Add a metric that no version wrote so far."""
    metric = Metric(
        key="sureness",
        name="sureness",
        about="how often it is sure",
        measure=_sure,
        on_card=True,
        unit=" of all",
    )
    monkeypatch.setitem(METRICS, metric.key, metric)
    return metric


def test_a_metric_in_the_list_is_printed_written_and_on_the_page(
    sureness: Metric, tmp_path: Path
) -> None:
    photos, page = draw_into(tmp_path / "photos", count=2), tmp_path / "page.html"
    command = ["evaluate", FORMAT_1, photos, "--report", page]
    text = fursure(*command).stdout
    (line,) = (line for line in text.splitlines() if line.startswith("sureness"))
    figure = json.loads(page.with_suffix(".json").read_text())["sureness"]
    assert f"sureness           {Estimate.from_json(figure)} of all" == line
    html = page.read_text()
    assert "Sureness" in html
    assert sureness.about in html
    again = fursure(*command, "--json").stdout
    assert json.loads(again)["sureness"] == figure


def test_a_metric_in_the_list_is_on_the_card_and_in_the_bundle(
    sureness: Metric, tmp_path: Path
) -> None:
    old = Bundle.read(FORMAT_1)
    probs_NK = np.array([[0.95, 0.05]] * 3 + [[0.4, 0.6]])
    measured = score_probs(probs_NK, np.array([0, 0, 0, 1]), old.meta.labels)
    meta = replace(old.meta, figures={"basis": "test photos", **measured.to_json()})
    assert f"- Sureness: {proportion(3, 4)} of all" in card(meta).splitlines()
    replace(old, meta=meta).write(tmp_path / "new.fursure")
    figures = Bundle.read(tmp_path / "new.fursure").meta.figures
    assert Evaluation.from_json(figures) == measured


def test_a_metric_that_is_no_estimate_is_refused(sureness: Metric) -> None:
    values = Bundle.read(FORMAT_1).meta.to_json()
    figures = {**values["figures"], sureness.key: {"value": "much"}}
    with pytest.raises(ValueError, match=r"figures\.sureness lacks high, low, n, percent"):
        type(Bundle.read(FORMAT_1).meta).from_json({**values, "figures": figures})


def test_a_metric_that_an_older_version_did_not_write_is_left_out(sureness: Metric) -> None:
    meta = Bundle.read(FORMAT_1).meta
    assert sureness.key not in meta.figures
    assert Evaluation.from_json(meta.figures).figures[sureness.key] is None
    assert "Sureness" not in card(meta)


# A flag of a recipe: a field of a recipe, its range in KNOBS, and an entry of FLAGS

NEW = (Flag("folds", "Parts of the photos."), Flag("mixup", "How much.", of=(FineTune,)))


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> click.Command:
    """Return a command with flags for two knobs that have none, which prints its recipe."""
    monkeypatch.setattr(overrides, "FLAGS", (*FLAGS, *NEW))

    @click.command()
    @overrides.flags
    def train(**knobs: object) -> None:
        click.echo(json.dumps(overrides.recipe_from(knobs, tell=print).to_json()))

    return train


def test_a_flag_in_the_table_is_in_the_help_with_the_range_of_its_knob(
    command: click.Command,
) -> None:
    words = " ".join(CliRunner().invoke(command, ["--help"]).stdout.split())
    told = "--folds INTEGER RANGE Parts of the photos. [default: the recipe's] [2<=x<=100]"
    assert told in words
    assert "--mixup FLOAT RANGE How much." in words


def test_a_flag_in_the_table_sets_its_knob(command: click.Command) -> None:
    run = CliRunner().invoke(command, ["--folds", "7", "--recipe", "fine-tune", "--mixup", "0.5"])
    made = json.loads(run.stdout)
    assert (made["folds"], made["tune"]["mixup"]) == (7, 0.5)
    assert json.loads(CliRunner().invoke(command).stdout) == Recipe().to_json()


def test_a_flag_in_the_table_is_refused_where_it_does_not_fit(command: click.Command) -> None:
    wide = CliRunner().invoke(command, ["--folds", "1"])
    assert wide.exit_code == 2
    assert "1 is not in the range 2<=x<=100" in wide.stderr
    frozen = CliRunner().invoke(command, ["--mixup", "0.5"])
    assert "--mixup: linear-probe leaves the network itself as it is" in frozen.stderr


# A finding of a check: its kind in FINDING_KINDS, and a function in FINDERS


def _square(material: Material) -> Iterator[Finding]:
    for row in material.usable:
        if row.facts and row.facts.width == row.facts.height:
            path, label = (row.photo.path,), (row.photo.label or "",)
            yield Finding(kind="square", paths=path, labels=label, reason="as wide as high")


@pytest.fixture
def squares(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let the check look for square photos; return two of them."""
    monkeypatch.setitem(FINDING_KINDS, "square", FindingKind("square photo"))
    monkeypatch.setattr(findings, "FINDERS", (*FINDERS, _square))
    return draw_into(tmp_path / "photos", count=1)


def test_a_finding_in_the_lists_is_counted_told_and_on_the_page(squares: Path) -> None:
    page = squares.parent / "review.html"
    lines = fursure("check", squares, "--output", page).stdout.splitlines()
    at = lines.index("     2  square photo")
    assert lines[at + 1 :] == [
        "          cat/cat.0.jpg: as wide as high",
        "          dog/dog.0.jpg: as wide as high",
    ]
    html = page.read_text()
    assert '<tr><th scope="row">square photo</th><td>2</td><td>2</td></tr>' in html
    assert html.count("<p>as wide as high</p>") == 2
    rows = [json.loads(line) for line in fursure("check", squares, "--json").stdout.splitlines()]
    assert [row["paths"] for row in rows if row["kind"] == "square"] == [
        ["cat/cat.0.jpg"],
        ["dog/dog.0.jpg"],
    ]


def test_a_finding_without_a_picture_is_a_sentence_on_the_page(
    squares: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FINDING_KINDS, "square", FindingKind("square photo", pictured=False))
    page = squares.parent / "review.html"
    fursure("check", squares, "--output", page)
    html = page.read_text()
    assert '<tr><th scope="row">square photo</th><td>2</td><td>0</td></tr>' in html
    assert html.count("<p>as wide as high</p>") == 2
    assert 'class="card"' not in html


# A head: its knobs in recipe.py, a line in HEADS, and a module of heads/ called as that line


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestMean:
    """The class whose middle is nearest."""

    share: Annotated[float, Number(0, 1)] = 1.0  # of the way from the middle of all photos
    class_weight: ClassWeight = "none"
    patience: ClassVar[int] = 1
    step: ClassVar[str] = "share"


def _fitted(head: NearestMean, examples: Examples) -> Iterator[tuple[float, list[Dense]]]:
    means_KD = [examples.standardised[examples.labels_N == k].mean(axis=0) for k in range(2)]
    weight_DK = np.float32(head.share) * np.stack(means_KD, axis=1)
    yield head.share, [Dense(weight_DK, -(weight_DK**2).sum(axis=0) / 2)]


@pytest.fixture
def nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a head."""
    module = ModuleType("fursure.heads.nearest")
    vars(module)["fit_nearest"] = _fitted
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(HEADS, "nearest", NearestMean)
    monkeypatch.setitem(KNOBS, NearestMean, knobs_of(NearestMean))


@pytest.mark.usefixtures("nearest")
def test_a_head_in_the_table_is_a_flag_and_a_kind_in_files(
    command: click.Command, tmp_path: Path
) -> None:
    assert "--head [logistic|mlp|nearest]" in CliRunner().invoke(command, ["--help"]).stdout
    made = json.loads(CliRunner().invoke(command, ["--head", "nearest"]).stdout)
    assert made["head"] == {"kind": "NearestMean", "share": 1.0, "class_weight": "none"}
    path = tmp_path / "mine.toml"
    path.write_text('[head]\nkind = "nearest-mean"\nshare = 0.5')
    lines = fursure("recipes", path).stdout.splitlines()
    assert 'kind = "nearest-mean"' in lines
    assert f"{'share = 0.5':36}  # a number from 0 to 1" in lines
    path.write_text('[head]\nkind = "mlp"\nshare = 0.5')
    assert "it belongs in [head] of kind nearest-mean" in fursure("recipes", path).stderr


@pytest.mark.long
@pytest.mark.usefixtures("nearest")
def test_a_head_in_the_table_is_trained_measured_and_kept(tmp_path: Path) -> None:
    photos, model = draw_into(tmp_path / "photos", count=12), tmp_path / "nearest.fursure"
    recipe = Recipe(head=NearestMean(share=0.5), folds=2)  # type: ignore[arg-type]
    path = tmp_path / "mine.toml"
    path.write_text('folds = 2\n[head]\nkind = "nearest-mean"\nshare = 0.5')
    run = fursure("train", photos, "--recipe", path, "-o", model, "--no-report")
    assert "accuracy" in run.stdout
    bundle = Bundle.read(model)
    assert "- Head: NearestMean, recipe mine" in bundle.card
    assert from_json(bundle.meta.recipe) == replace(recipe, name="mine")


# A kind of backbone: a line in BACKBONE_KINDS, and a module of backbones/ called as that line


def _loaded(spec: BackboneSpec) -> Backbone | None:
    kind, _, seed = spec.source.partition(":")
    if kind != "noise":
        return None
    backbone = Backbone(
        name=spec.source,
        onnx=encoder_graph(seed=int(seed)),
        preprocess=Preprocess(size=SIDE),
        licence="none",
    )
    keep_backbone(backbone, conversion_key(kind, seed))
    return backbone


@pytest.fixture
def noise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Add a kind of backbone, whose weights are noise."""
    module = ModuleType("fursure.backbones.noise")
    vars(module)["load_noise"] = _loaded
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(BACKBONE_KINDS, "noise", "noise:SEED")
    monkeypatch.setenv("FURSURE_HOME", str(tmp_path / "home"))


@pytest.mark.usefixtures("noise")
def test_a_kind_of_backbone_in_the_table_is_loaded_kept_and_named() -> None:
    backbone = load_backbone("noise:3", resize="pad")
    assert backbone.onnx == encoder_graph(seed=3)
    assert backbone.preprocess == Preprocess(size=SIDE, mode="pad")
    assert "noise:3" in {found.name for found in at_hand()}
    with pytest.raises(
        UnknownBackbone, match=r"Write lite0, .*, noise:SEED\. Did you mean 'noise:"
    ):
        load_backbone("noise3")


@pytest.mark.long
@pytest.mark.usefixtures("noise")
def test_a_kind_of_backbone_in_the_table_trains_a_model(tmp_path: Path) -> None:
    photos, model = draw_into(tmp_path / "photos", count=12), tmp_path / "noise.fursure"
    fursure("train", photos, "--backbone", "noise:1", "-o", model, "--no-report")
    assert Bundle.read(model).meta.backbone == "noise:1"


def test_every_kind_of_backbone_is_in_the_help() -> None:
    for name in ("train", "backbones"):
        words = " ".join(fursure(name, "--help").stdout.split())
        assert [kind for kind in BACKBONE_KINDS.values() if kind not in words] == []
