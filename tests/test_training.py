import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from samples import WIDTH, draw_into, network_into

from fursure.bundle.bundle import Bundle
from fursure.bundle.named import shipped
from fursure.commands.api import load, train
from fursure.dataset.manifest import Manifest
from fursure.drawings.draw import draw, jpeg
from fursure.engine.network import Network
from fursure.errors import BadBackbone, BadData, FursureError, NoPhotos, OutputExists, TooFewPhotos
from fursure.evaluation.evaluate import evaluate_model
from fursure.metrics.classification import Evaluation
from fursure.recipe import LogisticRegression, Mlp, Recipe
from fursure.rows import laying
from fursure.training.train import Trained

# At 96 pixels, which the drawings have: five times less work than at 224, by the same network.
LIGHT = Recipe(head=LogisticRegression(strengths=(0.3, 0.1)), image_size=96)
DIVIDED = replace(LIGHT, cross_validate_below=5, validation=0.25, test=0.25)


def figures(trained: Trained) -> Evaluation:
    values = dict(trained.bundle.meta.figures)
    del values["basis"]
    return Evaluation.from_json(values)


def test_the_same_photos_and_recipe_give_the_same_file(drawings: Path, tmp_path: Path) -> None:
    a = train(drawings, tmp_path / "same.fursure", LIGHT)
    (tmp_path / "elsewhere").mkdir()
    b = train(drawings, tmp_path / "elsewhere" / "same.fursure", LIGHT)
    assert a.path.read_bytes() == b.path.read_bytes()


def test_features_on_the_disk_give_the_same_file(
    drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = train(drawings, tmp_path / "same.fursure", LIGHT)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(laying, "LAID_IN_MEMORY", 0)
    b = train(drawings, tmp_path / "elsewhere" / "same.fursure", LIGHT)
    assert a.path.read_bytes() == b.path.read_bytes()


def test_the_file_does_not_depend_on_names_or_order(drawings: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    for path in sorted(drawings.rglob("*.jpg")):
        target = moved / path.parent.name / f"{hash(path.name) % 10**6}-{path.stem}.jpeg"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    a = train(drawings, tmp_path / "a.fursure", LIGHT).bundle
    b = train(moved, tmp_path / "b.fursure", LIGHT).bundle
    assert a.model == b.model
    assert a.meta.data["digest"] == b.meta.data["digest"]


def test_a_finished_output_is_done_and_another_one_is_refused(
    drawings: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.fursure"
    assert train(drawings, path, LIGHT).new
    before = path.stat().st_mtime_ns
    assert not train(drawings, path, LIGHT).new
    assert path.stat().st_mtime_ns == before
    other = replace(LIGHT, seed=1)
    with pytest.raises(
        OutputExists, match=r"other photos.*pass --overwrite \(overwrite=True in Python\)"
    ):
        train(drawings, path, other)
    assert train(drawings, path, other, overwrite=True).new


def test_a_file_that_is_no_model_is_not_overwritten_by_accident(
    drawings: Path, tmp_path: Path
) -> None:
    path = tmp_path / "precious.txt"
    path.write_text("my thesis")
    with pytest.raises(OutputExists, match="--overwrite"):
        train(drawings, path, LIGHT)
    assert path.read_text() == "my thesis"


@pytest.mark.parametrize("name", [".", "/", "", ".."])
def test_an_output_that_is_a_folder_is_refused_before_any_work(name: str, drawings: Path) -> None:
    words = r"already exists \(a folder\); choose another name\.$"
    with pytest.raises(OutputExists, match=words):
        train(drawings, name, LIGHT, overwrite=True)


def test_what_was_left_out_is_counted(drawings: Path, tmp_path: Path) -> None:
    paths = sorted(drawings.rglob("*.jpg"))[30:50]
    rows = [f"{path},{path.parent.name}" for path in paths] + ["gone0.jpg,cat", "gone1.jpg,dog"]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["path,label", *rows]))
    first, again = (train(table, tmp_path / "m.fursure", LIGHT) for _ in range(2))
    assert (first.new, again.new) == (True, False)
    for trained in (first, again):
        assert (
            trained.unusable == "2 of 22 photos left out; the first is gone0.jpg: file is missing"
        )
        assert ", 2 left out, " in repr(trained)
        assert trained.evaluation == figures(trained)
    assert train(drawings, tmp_path / "all.fursure", LIGHT).unusable == ""


def test_few_photos_are_measured_by_cross_validation(drawings: Path, tmp_path: Path) -> None:
    made = train(drawings, tmp_path / "m.fursure", LIGHT)
    assert made.bundle.meta.figures["basis"] == "cross-validation"
    assert figures(made).n == 80


def test_many_photos_are_measured_on_a_test_split(drawings: Path, tmp_path: Path) -> None:
    made = train(drawings, tmp_path / "m.fursure", DIVIDED)
    assert made.bundle.meta.figures["basis"] == "test photos"
    manifest = Manifest.load(tmp_path / "m.manifest.jsonl")
    assert figures(made).n == sum(photo.split == "test" for photo in manifest.photos)
    assert {photo.split for photo in manifest.photos} == {"train", "val", "test"}


def test_adding_photos_tomorrow_moves_none_of_todays(drawings: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(drawings, folder)
    path = tmp_path / "m.fursure"
    train(folder, path, DIVIDED)
    before = {one.sha256: one.split for one in Manifest.load(tmp_path / "m.manifest.jsonl").photos}
    for seed in range(500, 520):
        (folder / "cat" / f"new{seed}.jpg").write_bytes(jpeg(draw("cat", seed, size=96)))
    train(folder, path, DIVIDED, overwrite=True)
    after = {one.sha256: one.split for one in Manifest.load(tmp_path / "m.manifest.jsonl").photos}
    assert len(after) == 100
    assert {digest: after[digest] for digest in before} == before


def test_a_given_test_split_stays_one(drawings: Path, tmp_path: Path) -> None:
    for number, path in enumerate(sorted(drawings.rglob("*.jpg"))):
        split = "test" if number % 4 == 0 else "train"
        target = tmp_path / "photos" / split / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    made = train(tmp_path / "photos", tmp_path / "m.fursure", LIGHT)
    assert made.bundle.meta.figures["basis"] == "test photos"
    assert figures(made).n == 20


@pytest.mark.long
@pytest.mark.parametrize("kind", ["zip", "csv", "flat"])
def test_every_layout_gives_the_same_model(drawings: Path, tmp_path: Path, kind: str) -> None:
    photos = sorted(drawings.rglob("*.jpg"))
    if kind == "zip":
        data = tmp_path / "photos.zip"
        with zipfile.ZipFile(data, "w") as archive:
            for path in photos:
                archive.write(path, f"{path.parent.name}/{path.name}")
    elif kind == "csv":
        data = drawings.parent / "labels.csv"
        rows = [f"{path.relative_to(data.parent)},{path.parent.name}" for path in photos]
        data.write_text("path,label\n" + "\n".join(rows))
    else:
        data = tmp_path / "train"
        data.mkdir()
        for path in photos:
            shutil.copyfile(path, data / path.name)
    made = train(data, tmp_path / "m.fursure", LIGHT)
    wanted = train(drawings, tmp_path / "wanted.fursure", LIGHT)
    assert made.bundle.model == wanted.bundle.model


def test_bad_photos_are_left_out_and_named(drawings: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(drawings, folder)
    good = (folder / "cat" / "cat.0.jpg").read_bytes()
    (folder / "cat" / "empty.jpg").write_bytes(b"")
    (folder / "cat" / "text.jpg").write_text("not a photo")
    (folder / "dog" / "half.jpg").write_bytes(good[: len(good) // 2])
    (folder / "dog" / "notes.txt").write_text("junk")
    made = train(folder, tmp_path / "m.fursure", LIGHT)
    notes = "\n".join(made.notes)
    for name in ("cat/empty.jpg", "cat/text.jpg", "dog/half.jpg"):
        assert f"left out {name}:" in notes
    assert "1 .txt" in notes
    assert figures(made).n == 80
    assert (folder / "dog" / "half.jpg").read_bytes() == good[: len(good) // 2]


def test_a_photo_under_two_labels_teaches_neither(drawings: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(drawings, folder)
    shutil.copyfile(folder / "cat" / "cat.0.jpg", folder / "dog" / "surely.jpg")
    made = train(folder, tmp_path / "m.fursure", LIGHT)
    assert figures(made).n == 79
    assert any("the same photo lies under cat and dog" in note for note in made.notes)


def test_copies_never_cross_the_split(drawings: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(drawings, folder)
    for number in range(20):
        shutil.copyfile(folder / "cat" / f"cat.{number}.jpg", folder / "cat" / f"copy{number}.jpg")
    train(folder, tmp_path / "m.fursure", DIVIDED)
    splits: dict[str, set[str | None]] = {}
    for photo in Manifest.load(tmp_path / "m.manifest.jsonl").photos:
        splits.setdefault(photo.sha256, set()).add(photo.split)
    assert all(len(one) == 1 for one in splits.values())
    assert len(splits) == 80


def test_three_classes_of_three_photos_are_enough_to_try(tmp_path: Path) -> None:
    folder = draw_into(tmp_path / "photos", count=3, kinds=("cat", "dog", "stranger"))
    made = train(folder, tmp_path / "m.fursure", LIGHT, rename={"stranger": "thing"})
    assert made.bundle.meta.labels == ("cat", "dog", "thing")
    assert figures(made).n == 9
    low, high = figures(made).accuracy.low, figures(made).accuracy.high
    assert high - low > 0.3


def test_one_photo_of_a_class_is_too_few(drawings: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(drawings, folder)
    (folder / "fox").mkdir()
    shutil.copyfile(folder / "cat" / "cat.0.jpg", folder / "fox" / "fox.jpg")
    (folder / "cat" / "cat.0.jpg").unlink()
    with pytest.raises(TooFewPhotos, match="class 'fox' has 1 usable photo and training needs 2"):
        train(folder, tmp_path / "m.fursure", LIGHT)


def test_a_class_of_copies_is_told_why_it_has_one_photo(drawings: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(drawings / "dog", folder / "dog")
    (folder / "cat").mkdir()
    for number in range(12):
        shutil.copyfile(drawings / "cat" / "cat.1.jpg", folder / "cat" / f"{number}.jpg")
    with pytest.raises(TooFewPhotos, match=r"'cat' has 1 usable photo \(11 others are copies"):
        train(folder, tmp_path / "m.fursure", LIGHT)


def test_a_class_that_is_only_in_test_is_refused(drawings: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(drawings, folder / "train")
    draw_into(folder / "test", count=6, kinds=("stranger",), first=50)
    (folder / "test" / "stranger").rename(folder / "test" / "fox")
    with pytest.raises(FursureError, match=r"'fox' has no photo to train on \(6 for test\)"):
        train(folder, tmp_path / "m.fursure", LIGHT)
    assert not (tmp_path / "m.fursure").exists()


def test_an_empty_class_folder_is_named(drawings: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(drawings, folder)
    (folder / "fox").mkdir()
    with pytest.raises(FursureError, match="'fox'"):
        train(folder, tmp_path / "m.fursure", LIGHT)


def test_one_class_is_no_choice(tmp_path: Path) -> None:
    folder = draw_into(tmp_path / "photos", count=3, kinds=("cat",))
    with pytest.raises(BadData, match="only one class, 'cat'"):
        train(folder, tmp_path / "m.fursure", LIGHT)


def test_photos_that_all_fail_are_no_photos(tmp_path: Path) -> None:
    for kind in ("cat", "dog"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        (tmp_path / "photos" / kind / "a.jpg").write_text("text")
    with pytest.raises(NoPhotos, match="2 files, none usable"):
        train(tmp_path / "photos", tmp_path / "m.fursure", LIGHT)


def test_a_missing_output_folder_is_said_before_any_work(drawings: Path, tmp_path: Path) -> None:
    with pytest.raises(BadData, match="does not exist; make it first"):
        train(drawings, tmp_path / "none" / "m.fursure", LIGHT)


def test_an_mlp_trains_into_a_bundle_that_answers_like_it(drawings: Path, tmp_path: Path) -> None:
    recipe = replace(DIVIDED, head=Mlp(hidden=(16,), epochs=10), name="mlp-probe")
    made = train(drawings, tmp_path / "m.fursure", recipe)
    result = evaluate_model(made.bundle, drawings)
    assert result.seen > 40
    assert result.evaluation.n == figures(made).n
    assert result.evaluation.accuracy.value == pytest.approx(figures(made).accuracy.value)
    assert result.evaluation.log_loss.value == pytest.approx(figures(made).log_loss.value, abs=1e-2)


@pytest.mark.long
def test_ones_own_model_is_a_backbone(drawings: Path, tmp_path: Path) -> None:
    wanted = train(drawings, tmp_path / "w.fursure", LIGHT)
    recipe = replace(LIGHT, backbone=str(wanted.path))
    made = train(drawings, tmp_path / "m.fursure", recipe)
    assert made.bundle.model == wanted.bundle.model


def test_what_the_cache_holds_is_not_encoded_again(
    drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(drawings, tmp_path / "a.fursure", LIGHT)

    def never(*_: object) -> None:
        raise AssertionError("a cached photo was encoded again")

    monkeypatch.setattr("fursure.engine.network.Network.encode", never)
    train(drawings, tmp_path / "b.fursure", LIGHT)


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
def test_a_killed_run_continues_and_ends_in_the_same_file(drawings: Path, tmp_path: Path) -> None:
    """Kill it three times at growing delays, then let it finish."""
    home = tmp_path / "home"
    command = [
        sys.executable, "-m", "fursure", "train", str(drawings), "-o", str(tmp_path / "m.fursure"),
        "-q", "--engine", "onnxruntime",
    ]  # fmt: skip
    environment = os.environ | {"FURSURE_HOME": str(home)}
    for delay in (0.7, 0.9, 1.1):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert not list(tmp_path.glob(".*.part"))
    again = [*command[:6], str(tmp_path / "other.fursure"), *command[7:]]
    fresh = environment | {"FURSURE_HOME": str(tmp_path / "fresh")}
    subprocess.run(again, env=fresh, check=True, capture_output=True)
    one, other = (Bundle.read(tmp_path / name) for name in ("m.fursure", "other.fursure"))
    assert one.model == other.model
    assert one.meta.figures == other.meta.figures


def test_the_figures_beside_the_model_are_those_in_it(trained: Trained) -> None:
    values = json.loads(trained.path.with_name("drawn.metrics.json").read_text())
    assert values["figures"] == trained.bundle.meta.figures
    assert values["curve"][0].keys() == {
        "knob",
        "name",
        "training_log_loss",
        "validation_accuracy",
        "validation_log_loss",
    }


@pytest.mark.long
def test_photos_the_model_was_made_from_are_left_out_of_its_figures(
    trained: Trained, drawings: Path
) -> None:
    with pytest.raises(BadData, match=r"80 are the model's own \(--include-seen\)"):
        evaluate_model(trained.bundle, drawings)
    result = evaluate_model(trained.bundle, drawings, include_seen=True)
    assert result.evaluation.n == 80
    assert result.seen == 0


def test_a_label_the_model_does_not_know_is_named(trained: Trained, tmp_path: Path) -> None:
    folder = draw_into(tmp_path / "photos", count=2, kinds=("cat", "stranger"))
    with pytest.raises(BadData, match="label 'stranger', which the model does not know; it knows"):
        evaluate_model(trained.bundle, folder)


def test_photos_without_labels_cannot_be_evaluated(trained: Trained, tmp_path: Path) -> None:
    for seed in range(3):
        (tmp_path / f"{chr(97 + seed)}.jpg").write_bytes(jpeg(draw("cat", seed)))
    with pytest.raises(FursureError):
        evaluate_model(trained.bundle, tmp_path)


def test_a_graph_that_rounds_a_single_photo_otherwise_is_accepted(
    drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bf16 a joint of two networks moved one photo of a hard task by 0.023."""
    from fursure.heads import proof

    class Rounded(Network):
        def __call__(self, photos: Any) -> Any:
            outputs = super().__call__(photos)
            answers_NK = outputs["probs"].copy()
            answers_NK[0] += np.array([-0.05, 0.05]) if answers_NK[0, 0] > 0.5 else [0.05, -0.05]
            return {**outputs, "probs": answers_NK}

    monkeypatch.setattr(proof, "Network", Rounded)
    assert train(drawings, tmp_path / "m.fursure", LIGHT).new


def test_few_photos_prove_their_model_by_sixteen_of_them(
    drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fursure.heads import proof

    counts = []

    class Counted(Network):
        def __call__(self, photos: Any) -> Any:
            counts.append(len(photos))
            return super().__call__(photos)

    monkeypatch.setattr(proof, "Network", Counted)
    train(drawings, tmp_path / "m.fursure", LIGHT)
    assert counts == [16]


def test_a_graph_that_answers_otherwise_than_its_features_is_refused(
    drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fursure.graphs.graph import attach_head
    from fursure.heads import assemble

    def softened(encoder: bytes, head: Any, temperature: float, **knobs: Any) -> bytes:
        return attach_head(encoder, head, 3 * temperature, **knobs)

    monkeypatch.setattr(assemble, "attach_head", softened)
    with pytest.raises(BadBackbone, match="differs from the features it was trained on"):
        train(drawings, tmp_path / "m.fursure", LIGHT)
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_two_backbones_with_flips_make_one_model(tmp_path: Path) -> None:
    photos = draw_into(tmp_path / "photos", count=15)
    network = network_into(tmp_path / "net", license="cc0", input_size=[3, 256, 256])
    recipe = replace(DIVIDED, backbone=("lite0", network), flips=True, image_size=None)
    made = train(photos, tmp_path / "m.fursure", recipe)
    meta = made.bundle.meta
    assert (meta.backbone, meta.licence) == ("lite0 + net", "apache-2.0 and cc0")
    assert (meta.features, meta.preprocess.size) == (shipped("pets").meta.features + WIDTH, 256)
    assert not train(photos, made.path, recipe).new

    result = evaluate_model(Bundle.read(made.path), photos).evaluation
    assert result.n == figures(made).n
    assert result.log_loss.value == pytest.approx(figures(made).log_loss.value, abs=1e-2)
    with Image.open(photos / "cat" / "cat.0.jpg") as photo:
        here, there = load(made.path).predict([photo, ImageOps.mirror(photo)])
    assert here.confidence == pytest.approx(there.confidence, abs=1e-3)

    again = replace(recipe, backbone=str(made.path))
    joint = train(photos, tmp_path / "m2.fursure", again)  # by its one graph: other roundings
    assert figures(joint).log_loss.value == pytest.approx(figures(made).log_loss.value, abs=1e-2)


@pytest.mark.long
def test_a_limit_of_training_photos_leaves_the_test_photos_alone(
    drawings: Path, tmp_path: Path
) -> None:
    path = tmp_path / "m.fursure"
    train(drawings, path, DIVIDED)
    whole = Manifest.load(tmp_path / "m.manifest.jsonl")
    limited = replace(DIVIDED, photos=10, cross_validate_below=39)  # 39: few, but only if limited
    made = train(drawings, path, limited, overwrite=True)
    part = Manifest.load(tmp_path / "m.manifest.jsonl")
    assert made.bundle.meta.figures["basis"] == "test photos"
    assert [one.split for one in part.photos] == [one.split for one in whole.photos]
    counts = part.counts()
    assert (counts["cat", "train"], counts["dog", "train"]) == (5, 5)
    assert counts["cat", "test"] == whole.counts()["cat", "test"]
    spared = len(whole.photos) - len(part.usable)
    assert made.notes[:1] == (f"the recipe takes at most 10 training photos; {spared} are unused",)
    assert not any("left out" in note for note in made.notes)
    assert (made.bundle.meta.data["left_out"], made.bundle.meta.data["spare"]) == (0, spared)
    assert len(made.bundle.seen.training) == 10
    assert not train(drawings, path, limited).new


def test_few_photos_may_be_fewer(drawings: Path, tmp_path: Path) -> None:
    made = train(drawings, tmp_path / "m.fursure", replace(LIGHT, photos=20))
    assert made.bundle.meta.figures["basis"] == "cross-validation"
    assert figures(made).n == 20
    with pytest.raises(BadData, match=r"a limit of 3 training photos.*take 4 at least: --photos 4"):
        train(drawings, tmp_path / "n.fursure", replace(LIGHT, photos=3))
