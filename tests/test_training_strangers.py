"""Photos of strangers: what they teach, what they cannot spoil, and hostile folders of them."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from samples import draw_into

import fursure
from fursure.bundle.bundle import Bundle
from fursure.cli import cli
from fursure.commands.api import train
from fursure.drawings.draw import draw, jpeg
from fursure.errors import BadData, SourceNotFound
from fursure.heads.strangers import FEWEST_STRANGERS, Strangers, Worth, direction, set_aside, told
from fursure.metrics.intervals import proportion
from fursure.recipe import Recipe
from fursure.training.strangers import list_strangers
from fursure.training.train import Trained


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 60 drawn strangers, and what else a folder holds."""
    folder = tmp_path_factory.mktemp("strangers")
    for seed in range(60):
        (folder / f"thing {seed}.jpg").write_bytes(jpeg(draw("stranger", seed=seed)))
    (folder / "copy.jpg").write_bytes(jpeg(draw("stranger", seed=0)))
    (folder / "<b>no photo\n.jpg").write_bytes(b"not at all")
    (folder / "notes.txt").write_text("skipped")
    (folder / "dangling.jpg").symlink_to("nowhere.jpg")
    return folder


@pytest.fixture(scope="module")
def sharpened(drawings: Path, things: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    output = tmp_path_factory.mktemp("sharp") / "sharp.fursure"
    return train(drawings, output, Recipe(known_lost=0.1, image_size=96), strangers=things)


def test_strangers_are_halved_measured_and_told(sharpened: Trained, things: Path) -> None:
    worth = sharpened.bundle.meta.data["strangers"]
    assert worth["taught"] + worth["accepted"]["n"] == 60
    assert 15 <= worth["taught"] <= 45
    assert worth["digest"] == list_strangers(things, ()).digest
    assert told(worth) in sharpened.notes
    assert any(note.startswith("left out 1 stranger that is a copy") for note in sharpened.notes)
    assert "left out 1 stranger that is no usable photo" in sharpened.notes


def test_what_was_taught_is_used_where_it_helps_beyond_doubt(sharpened: Trained) -> None:
    worth, familiar = sharpened.bundle.meta.data["strangers"], sharpened.bundle.familiar
    assert worth["used"] == (worth["accepted"]["high"] < worth["accepted_without"]["low"])
    assert (familiar.readout is not None) == worth["used"]
    doubtful = Worth(digest="", taught=9, accepted=proportion(1, 9), without=proportion(3, 9))
    helpful = Worth(digest="", taught=90, accepted=proportion(9, 90), without=proportion(70, 90))
    assert (doubtful.used, helpful.used) == (False, True)
    assert "not used" in told(doubtful.to_json())


def test_a_direction_finds_strangers_that_look_familiar_and_loses_no_known_photo() -> None:
    from fursure.sureness.familiarity import fit_familiar

    rng = np.random.default_rng(0)

    def photos(n: int, shift: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        x = np.abs(rng.normal(1, 0.3, (n, 40)))
        x[:, 0] += shift
        return x.astype(np.float32)

    train_ND, held_out_ND = photos(600, 0), photos(400, 0)
    readout = direction(train_ND, photos(60, 1.5), seed=0)
    labels_N = np.zeros(600, int)
    plain = fit_familiar(train_ND, labels_N, held_out_ND)
    sharp = fit_familiar(train_ND, labels_N, held_out_ND, readout=readout)
    others, known = photos(500, 1.5), photos(4000, 0)
    assert (sharp.familiarity(others) < 0.05).mean() > (
        plain.familiarity(others) < 0.05
    ).mean() + 0.2
    assert 0.03 < (sharp.familiarity(known) < 0.05).mean() < 0.08


def test_the_same_strangers_are_done_and_others_are_another_model(
    sharpened: Trained, drawings: Path, things: Path, tmp_path: Path
) -> None:
    recipe = Recipe(known_lost=0.1, image_size=96)
    assert not train(drawings, sharpened.path, recipe, strangers=things).new
    output = tmp_path / sharpened.path.name
    output.write_bytes(sharpened.path.read_bytes())
    with pytest.raises(fursure.FursureError, match="another recipe or other photos"):
        train(drawings, output, recipe)


def test_known_photos_among_the_strangers_are_left_out(drawings: Path, things: Path) -> None:
    first = min(things.glob("thing*"))
    known = {hashlib.sha256(first.read_bytes()).hexdigest()}
    listed = list_strangers(things, known)
    assert not known & listed.names.keys()
    assert any("known photos as well" in note for note in listed.notes)


def test_too_few_strangers_are_refused_with_how_many_are_needed(
    drawings: Path, tmp_path: Path
) -> None:
    for seed in range(5):
        (tmp_path / f"{seed}.jpg").write_bytes(jpeg(draw("stranger", seed=seed)))
    with pytest.raises(
        BadData, match=f"5 different photos of strangers; at least {FEWEST_STRANGERS}"
    ):
        train(drawings, tmp_path / "m.fursure", strangers=tmp_path)


def test_strangers_that_are_no_photos_are_refused_with_how_many_could_be_used(
    drawings: Path, tmp_path: Path
) -> None:
    for seed in range(30):
        (tmp_path / f"{seed}.jpg").write_bytes(b"text %d" % seed)
    with pytest.raises(BadData, match="0 usable photos of strangers"):
        train(drawings, tmp_path / "m.fursure", strangers=tmp_path)


def test_strangers_that_are_not_there_are_named(drawings: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="nowhere"):
        train(drawings, tmp_path / "m.fursure", strangers=tmp_path / "nowhere")


@pytest.mark.long
def test_too_few_known_photos_cannot_use_strangers(things: Path, tmp_path: Path) -> None:
    few = draw_into(tmp_path / "few", count=8)
    with pytest.raises(BadData, match="16 known photos are too few to use strangers"):
        train(few, tmp_path / "m.fursure", strangers=things)
    with pytest.raises(BadData, match="too few"):
        set_aside([str(one) for one in range(30)], seed=0)


def test_an_odd_draw_of_few_strangers_still_leaves_both_halves() -> None:
    for start in range(200):
        digests = tuple(f"{start}-{one}" for one in range(FEWEST_STRANGERS))
        taught = Strangers(
            digest="", digests=digests, features_SD=np.ones((FEWEST_STRANGERS, 2), "f4")
        )
        assert 5 <= taught.taught(0).sum() <= 15


@pytest.mark.long
def test_the_command_line_takes_strangers(drawings: Path, things: Path, tmp_path: Path) -> None:
    output = tmp_path / "m.fursure"
    args = ["train", str(drawings), "-o", str(output), "--strangers", str(things), "--json", "-q"]
    run = CliRunner().invoke(cli, [*args, "--no-report"])
    assert run.exit_code == 0, run.output
    told_json = json.loads(run.stdout)["strangers"]
    assert told_json == Bundle.read(output).meta.data["strangers"]


def test_the_command_line_and_python_give_the_same_answer(
    sharpened: Trained, drawings: Path, things: Path
) -> None:
    photos = [*sorted(map(str, drawings.glob("*/*")))[::16], str(things / "thing 3.jpg")]
    args = ["predict", "-m", str(sharpened.path), "--engine", "onnxruntime", "--json", *photos]
    run = CliRunner().invoke(cli, args)
    assert run.exit_code == 0, run.output
    predictor = fursure.load(sharpened.path, engine="onnxruntime")
    for line, photo in zip(run.stdout.splitlines(), photos, strict=True):
        theirs, ours = json.loads(line), predictor.predict(photo).to_json()
        assert theirs["answer"] == ours["answer"]
        assert theirs["engine"] == ours["engine"]
        assert theirs["familiarity"] == pytest.approx(ours["familiarity"], abs=1e-5)
        for label, probability in ours["probabilities"].items():
            assert theirs["probabilities"][label] == pytest.approx(probability, abs=1e-5)
