"""What CONTRIBUTING says one has to touch to add a thing is enough: an invented one arrives."""

import json
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from console import fursure
from samples import FORMAT_1, draw_into

from fursure.bundle.bundle import Bundle
from fursure.cli import overrides
from fursure.heads.card import card
from fursure.metrics.catalogue import METRICS, Metric, Scored
from fursure.metrics.classification import Evaluation, evaluate
from fursure.metrics.intervals import Estimate, proportion
from fursure.recipe import FineTune, Recipe
from fursure.recipes.knobs import FLAGS, Flag

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
    measured = evaluate(probs_NK, np.array([0, 0, 0, 1]), old.meta.labels)
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
