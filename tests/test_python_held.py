"""Photos and labels in memory: a data set like any other."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars
import pytest
from PIL import Image as Pillow
from samples import network_into
from test_engine_pictures import HubDataset, Image

import fursure
from fursure.dataset.labelled import Dataset
from fursure.dataset.manifest import Manifest
from fursure.engine.batches import is_several
from fursure.errors import BadData
from fursure.photos.handed import photo_bytes
from fursure.python.held import data_from
from fursure.recipe import Recipe
from fursure.training.train import Trained


def table(drawings: Path) -> pandas.DataFrame:
    paths = sorted(drawings.rglob("*.jpg"))
    return pandas.DataFrame(
        {"path": list(map(str, paths)), "label": [path.parent.name for path in paths]}
    )


def listed(data: Any, **knobs: Any) -> Manifest:
    dataset = data_from(data, **knobs)
    assert isinstance(dataset, Dataset)
    with dataset.open() as source:
        return dataset.listed(source)


class Named(int):
    """A feature of numbers that have names."""

    def int2str(self, number: int) -> str:
        return ["cat", "dog"][number]


def with_names(**columns: list[Any]) -> HubDataset:
    data = HubDataset(**columns)
    data.features = {"image": Image(), "label": Named()}  # type: ignore[dict-item]
    data.select_columns = lambda names: data  # type: ignore[method-assign]
    return data


def test_a_table_trains_the_model_that_its_folder_trains(drawings: Path, tmp_path: Path) -> None:
    recipe = Recipe(backbone=network_into(tmp_path / "net"))
    folder = fursure.train(drawings, tmp_path / "folder.fursure", recipe)
    for number, data in enumerate((table(drawings), polars.from_pandas(table(drawings)))):
        made = fursure.train(data, tmp_path / f"{number}.fursure", recipe)
        assert made.bundle.meta.data["digest"] == folder.bundle.meta.data["digest"]
        assert made.bundle.meta.figures == folder.bundle.meta.figures
        assert made.bundle.model == folder.bundle.model
    again = fursure.train(table(drawings), tmp_path / "0.fursure", recipe)
    assert not again.new


@pytest.mark.long
def test_pixels_and_labels_train_evaluate_and_are_checked(drawings: Path, tmp_path: Path) -> None:
    recipe = Recipe(backbone=network_into(tmp_path / "net"))
    paths = sorted(drawings.rglob("*.jpg"))[::2]
    photos = [np.asarray(Pillow.open(path)) for path in paths]
    labels = [path.parent.name for path in paths]
    made = fursure.train((photos, labels), tmp_path / "pixels.fursure", recipe)
    assert made.bundle.meta.labels == ("cat", "dog")
    seen = fursure.evaluate(made.path, (photos, labels), include_seen=True)
    assert len(seen.rows.paths) == len(photos)
    twice = fursure.check((photos + photos[:1], [*labels, "dog"]))
    assert twice.counts()["conflict"] == 1


def test_labels_come_from_columns_names_and_pairs(drawings: Path) -> None:
    frame = table(drawings)
    plain = [photo.label for photo in listed(frame).photos]
    assert plain == frame["label"].tolist()
    by_name = listed(frame[["path"]], label_regex=r"^(cat|dog)")
    assert [photo.label for photo in by_name.photos] == plain
    pair = listed((frame["path"], frame["label"]), rename={"cat": "Katze"})
    assert {photo.label for photo in pair.photos} == {"Katze", "dog"}
    numbered = listed((frame["path"], np.arange(len(frame)) % 2))
    assert numbered.labels == ("0", "1")
    hub = with_names(image=[b"a", b"b"], label=[1, 0])
    assert [photo.label for photo in listed(hub).photos] == ["dog", "cat"]


def test_a_column_of_splits_is_followed(drawings: Path) -> None:
    frame = table(drawings).head(3).assign(split=["train", "valid", "test"])
    assert [photo.split for photo in listed(frame).photos] == ["train", "val", "test"]
    frame = table(drawings).head(2).assign(is_valid=np.array([True, False]))
    assert [photo.split for photo in listed(frame).photos] == ["val", "train"]


def test_data_in_parts_has_its_splits_by_their_names(drawings: Path) -> None:
    frame = table(drawings)
    parts = {
        "train": frame.head(4),
        "validation": frame[4:6],
        "test": with_names(image=[b"a", b"b"], label=[1, 0]),
    }
    photos = listed(parts).photos
    assert [photo.split for photo in photos] == ["train"] * 4 + ["val"] * 2 + ["test"] * 2
    assert [photo.label for photo in photos] == [*frame["label"][:6], "dog", "cat"]
    assert len({photo.path for photo in photos}) == 8


def test_data_in_parts_is_not_answered_as_one() -> None:
    words = r"found data in parts, 'train', 'test'; give one of them: data\['train'\]"
    with pytest.raises(TypeError, match=words):
        is_several({"train": pandas.DataFrame({"path": []}), "test": pandas.DataFrame()})


def test_a_url_is_refused_as_what_it_is() -> None:
    with pytest.raises(fursure.BadImage, match="a URL, which is not fetched from here"):
        photo_bytes("a", "https://example.org/cat.jpg")


def test_a_photo_listed_twice_has_two_names(drawings: Path) -> None:
    first = table(drawings).head(1)
    names = [photo.path for photo in listed(pandas.concat([first, first])).photos]
    assert names == [first["path"][0], f"{first['path'][0]} (2)"]


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (42, TypeError, "found an int; needed is a folder, an archive or a table by its path"),
        ([b"", b""], TypeError, "found a list; needed .* a pair \\(photos, labels\\)"),
        (pandas.DataFrame({"path": ["a"]}), BadData, "the columns 'path'; it needs one of labels"),
        (pandas.DataFrame({"path": ["a"], "label": [None]}), BadData, "photo 0 has no label"),
        (pandas.DataFrame({"path": ["a"], "label": [np.nan]}), BadData, "photo 0 has no label"),
        (pandas.DataFrame({"path": ["a"], "y": ["c"], "split": ["x"]}), BadData, "row 0: .*'x'"),
        ((["a", "b"], ["cat"]), BadData, "2 photos and 1 labels"),
        ((["a", 7], ["cat", "dog"]), TypeError, "photo 1 is an int"),
        (
            {"unsupervised": pandas.DataFrame({"path": ["a"], "y": ["c"]})},
            BadData,
            "a part 'unsupervised'; they may be called train, validation and test",
        ),
        ({"train": 3}, TypeError, "found a dict; needed .* such tables by split"),
    ],
)
def test_what_is_no_labelled_data_is_told(data: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        data_from(data)


def test_photos_in_memory_have_a_page_too(drawings: Path, tmp_path: Path) -> None:
    frame = table(drawings)
    photos = [Path(path).read_bytes() for path in frame["path"]]
    recipe = Recipe(backbone=network_into(tmp_path / "net"), cross_validate_below=10)
    fursure.train((photos, frame["label"]), tmp_path / "a.fursure", recipe, report=True)
    page = (tmp_path / "a.report.html").read_text("utf-8")
    assert page.count("data:image/jpeg;base64,") > 3
    assert "the table given" in page


@pytest.mark.long
def test_recipes_are_named_as_on_the_command_line(drawings: Path, tmp_path: Path) -> None:
    net = network_into(tmp_path / "net")
    named = replace(Recipe(), backbone=net, name="own")
    ladder = fursure.compare(table(drawings), tmp_path / "ladder", [named], curve=False)
    assert [row["recipe"] for row in ladder.rows()] == ["own"]
    assert repr(ladder) == f"Ladder({str(tmp_path / 'ladder')!r}: own; kept: own)"
    assert "against the one above" in ladder._repr_html_()
    with pytest.raises(fursure.FursureError, match="no recipe is called 'bset'"):
        fursure.compare(drawings, tmp_path / "other", ["bset"])


def test_the_commands_stay_functions_once_their_rooms_are_imported(
    drawings: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        assert fursure.check(drawings).manifest.labels == ("cat", "dog")
    import_module("fursure.compare.compare")
    assert callable(fursure.compare)
    made = fursure.split(drawings, tmp_path / "parts", {"train": 10, "test": 4})
    assert made.manifest.counts()["cat", "test"] == 2


def test_a_model_is_exported_as_by_the_command(trained: Trained, tmp_path: Path) -> None:
    made = fursure.export(trained.path, tmp_path / "page")
    assert (made.folder / "index.html").is_file()
    with pytest.raises(fursure.FursureError, match="nothing is called 'moon'; a model goes to web"):
        fursure.export(trained.path, tmp_path / "other", to="moon")


def test_what_the_package_offers_is_decided() -> None:
    assert fursure.__all__ == [
        "BadImage", "Bundle", "Evaluation", "FursureClassifier", "FursureError", "Manifest",
        "PhotoEncoder", "Prediction", "Predictor", "Recipe", "__version__", "check", "compare",
        "evaluate", "export", "load", "split", "train", "tune",
    ]  # fmt: skip
    assert all(getattr(fursure, name) for name in fursure.__all__)
    assert fursure.__version__.count(".") == 2
