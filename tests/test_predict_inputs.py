"""What people really name on the command line: everything answers that can, the rest says why."""

import json
import os
import zipfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner
from console import fursure

from fursure.bundle.named import shipped
from fursure.cli import cli
from fursure.commands import predict as predicting
from fursure.commands.inputs import Photos
from fursure.drawings.draw import draw, jpeg
from fursure.errors import BadImage
from fursure.report.table import CsvTable

POSIX = pytest.mark.skipif(os.name == "nt", reason="links and modes as POSIX has them")
CAT = jpeg(draw("cat", 1))


def listed(*inputs: object) -> tuple[dict[str, str], Photos]:
    """Return the photos by name, each with its reason ("" where there is none yet)."""
    photos = Photos([str(one) for one in inputs])
    with ExitStack() as stack:
        rows = {
            name: photo.reason if isinstance(photo, BadImage) else ""
            for name, photo in photos.opened_on(stack)
        }
    return rows, photos


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Return a folder as people have it: three photos among other files."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for seed in range(3):
        (folder / f"{seed}.jpg").write_bytes(jpeg(draw("cat", seed)))
    (folder / "notes.txt").write_text("my notes on the cats")
    (folder / "0.jpg.json").write_text('{"rating": 5, "title": "a cat"}')
    (folder / "1.AAE").write_text('<?xml version="1.0"?><plist/>')
    return folder


def test_other_files_among_photos_cost_no_answer(mixed: Path) -> None:
    run = fursure("predict", "--json", *sorted(mixed.iterdir()))
    rows = {Path(row["path"]).name: row for row in map(json.loads, run.stdout.splitlines())}
    assert run.returncode == 3
    assert {name for name, row in rows.items() if "error" not in row} == {
        "0.jpg", "1.jpg", "2.jpg",
    }  # fmt: skip
    assert "text" in rows["notes.txt"]["error"]
    assert rows.keys() == {path.name for path in mixed.iterdir()}


def test_what_photos_left_in_memory_goes_back_to_the_system_now_and_then(
    mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trims: list[int] = []
    answered: list[str] = []
    monkeypatch.setattr(predicting, "trim_memory", lambda: trims.append(len(answered)))
    monkeypatch.setattr(predicting, "TRIM_EVERY", 2)
    photos = Photos([str(mixed / f"{seed}.jpg") for seed in (0, 1, 2, 0, 1, 2)])
    for prediction, _ in predicting.predict(shipped("pets"), photos):
        answered.append(prediction.path)
    assert trims == [1, 3, 5]


def test_a_mistyped_path_is_a_row_among_good_ones(mixed: Path, tmp_path: Path) -> None:
    run = fursure("predict", mixed / "0.jpg", tmp_path / "mixd", mixed / "1.jpg")
    assert run.returncode == 3
    assert [line.split()[0] == "error" for line in run.stdout.splitlines()] == [False, True, False]
    assert "no such file" in run.stdout


@POSIX
def test_a_link_whose_photo_is_gone_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(CAT)
    (tmp_path / "b.jpg").symlink_to("gone.jpg")
    (tmp_path / "c.jpg").symlink_to("c.jpg")
    for inputs in (sorted(tmp_path.glob("*")), [tmp_path / "*"]):
        run = fursure("predict", *inputs)
        assert run.returncode == 3
        assert run.stdout.count("broken link") == 2
        assert len(run.stdout.splitlines()) == 3
        assert "Traceback" not in run.stderr


@POSIX
def test_links_in_a_folder_that_lead_nowhere_are_told_and_no_success(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(CAT)
    (tmp_path / "b.jpg").symlink_to("gone.jpg")
    run = fursure("predict", tmp_path)
    assert run.returncode == 3
    assert "1 broken link" in run.stderr


def test_a_folder_that_cannot_be_listed_is_a_row(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refusing(path: Path | str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    rows, _ = listed(mixed / "0.jpg", tmp_path / "closed", mixed / "1.jpg")
    assert list(rows.values())[::2] == ["", ""]
    assert "cannot be listed (Permission denied)" in rows[str(tmp_path / "closed")]


def test_a_damaged_archive_or_table_is_a_row(mixed: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.zip").write_bytes(b"PK\3\4" + bytes(100))
    (tmp_path / "sums.csv").write_text("a,b\n1,2\n")
    rows, _ = listed(tmp_path / "cut.zip", tmp_path / "sums.csv", mixed / "0.jpg")
    assert "directory is damaged" in rows[str(tmp_path / "cut.zip")]
    assert "it needs one of paths" in rows[str(tmp_path / "sums.csv")]
    assert rows[str(mixed / "0.jpg")] == ""


def test_a_glob_is_expanded_once(tmp_path: Path) -> None:
    (tmp_path / "a[1].jpg").write_bytes(CAT)
    (tmp_path / "a1.jpg").write_bytes(CAT)
    rows, photos = listed(tmp_path / "a*.jpg")
    assert list(rows) == [str(tmp_path / "a1.jpg"), str(tmp_path / "a[1].jpg")]
    assert photos.count == 2


def test_two_stars_name_each_photo_once(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("1.jpg", "deep/2.jpg", "deep/er/3.jpg"):
        (tmp_path / name).write_bytes(CAT)
    _, photos = listed(tmp_path / "**")
    assert photos.count == 3


def test_a_closed_standard_input_is_a_row() -> None:
    rows, _ = listed("-")
    assert "standard input is closed" in rows["-"]


@pytest.mark.parametrize("name", ["IMG_1.mpo", "IMG_2.jpg_large", "IMG_3.JPG.1", "IMG_4.hif", "4"])
def test_what_is_named_is_tried_by_its_content(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(CAT)
    run = fursure("predict", tmp_path / name)
    assert run.returncode == 0
    assert name in run.stdout


def test_an_archive_is_one_whatever_its_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "export.bak", "w") as archive:
        archive.writestr("cat/1.jpg", CAT)
    rows, _ = listed(tmp_path / "export.bak")
    assert list(rows) == [f"{tmp_path / 'export.bak!cat'}/1.jpg"]


def test_a_raw_file_is_refused_by_name_and_a_jpeg_named_so_is_none(tmp_path: Path) -> None:
    (tmp_path / "raw.CR2").write_bytes(b"II*\0\x10\0\0\0CR\x02\0" + bytes(200))
    (tmp_path / "jpeg.nef").write_bytes(CAT)
    rows, _ = listed(tmp_path / "raw.CR2", tmp_path / "jpeg.nef")
    assert "raw file (.CR2); save it as JPEG" in rows[str(tmp_path / "raw.CR2")]
    assert rows[str(tmp_path / "jpeg.nef")] == ""


def test_what_a_folder_had_left_over_is_counted_by_kind(mixed: Path) -> None:
    (mixed / "IMG_2.jpg_large").write_bytes(CAT)
    run = fursure("predict", mixed)
    assert run.returncode == 0
    assert len(run.stdout.splitlines()) == 3
    for kind in ("1 .txt", "1 .json", "1 .aae", "1 .jpg_large"):
        assert kind in run.stderr


def test_nothing_to_answer_is_never_success(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "raws").mkdir()
    (tmp_path / "raws" / "1.CR2").write_bytes(b"II*\0")
    with zipfile.ZipFile(tmp_path / "texts.zip", "w") as archive:
        archive.writestr("readme.txt", "no photo")
    for name, found in [("empty", "nothing at all"), ("raws", ".cr2: 1"), ("texts.zip", ".txt: 1")]:
        run = fursure("predict", name, cwd=tmp_path)
        assert run.returncode == 1
        assert run.stdout == ""
        assert f"{name} holds no photos fursure can use ({found})" in run.stderr


def test_an_empty_folder_beside_photos_is_told_and_no_success(mixed: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    run = fursure("predict", tmp_path / "empty", mixed / "0.jpg")
    assert run.returncode == 3
    assert len(run.stdout.splitlines()) == 1
    assert "empty: there is no photo in it" in run.stderr


def test_a_star_over_a_share_passes_over_what_the_box_keeps_there(tmp_path: Path) -> None:
    for name in ("a.jpg", "@eaDir/a.jpg/thumb.jpg", "sub/#recycle/b.jpg", "sub/c.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(CAT)
    rows, photos = listed(tmp_path / "*")
    assert {Path(name).name for name in rows} == {"a.jpg", "c.jpg"}
    assert photos.passed_over == {"@eaDir": 1, "#recycle": 1}


def test_what_cannot_be_linked_is_answered_and_told(mixed: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.writestr("cat/1.jpg", CAT)
    inputs = (tmp_path / "some.zip", "-", mixed / "0.jpg")
    run = fursure("predict", "--sort-into", tmp_path / "sorted", *inputs, stdin=CAT)
    assert run.returncode == 3
    assert len(run.stdout.splitlines()) == 3
    assert [path.name for path in (tmp_path / "sorted").rglob("*.jpg")] == ["0.jpg"]
    assert "2 photos have no link" in run.stderr


def test_totals_follow_on_standard_error(mixed: Path) -> None:
    run = fursure("predict", mixed / "0.jpg", mixed / "1.jpg", mixed / "notes.txt")
    assert "3 photos: " in run.stderr
    assert "1 not readable" in run.stderr
    assert fursure("predict", "-q", mixed).stderr == ""


# tables


MADE_BY = {"model": "m"}
ODD = [
    "=1.jpg",
    "+2.jpg",
    "-3.jpg",
    "@4.jpg",
    "a5.jpg",
    "a5.jpg",
    "line\u2028 or\x0b.jpg",
    "./=1.jpg",
]


def continued(path: Path, names: list[str]) -> list[str]:
    """Write the rows an interrupted run lacks, and return the table's names."""
    from fursure.prediction import Prediction

    table = CsvTable(path, ["cat", "dog"], made_by=MADE_BY, overwrite=False)
    with table:
        for name in names:
            if not table.has(name):
                table(Prediction(path=name, error="=none"))
    return path.read_text().splitlines()


@pytest.mark.parametrize("kept", range(len(ODD) + 1))
def test_a_table_continues_with_each_photo_as_often_as_it_was_named(
    kept: int, tmp_path: Path
) -> None:
    from fursure.prediction import Prediction

    whole = continued(tmp_path / "whole.csv", ODD)
    table = CsvTable(tmp_path / "t.csv", ["cat", "dog"], made_by=MADE_BY, overwrite=False)
    for name in ODD[:kept]:
        table(Prediction(path=name, error="=none"))
    table._file.close()  # as a kill does
    assert continued(tmp_path / "t.csv", ODD) == whole


def test_labels_and_errors_in_a_table_are_no_formulas(tmp_path: Path) -> None:
    from fursure.prediction import Prediction

    label = '=HYPERLINK("x")'
    table = CsvTable(tmp_path / "t.csv", [label, "dog"], made_by=MADE_BY, overwrite=False)
    with table:
        one = Prediction(
            path="a.jpg", answer=label, label=label, confidence=1.0,
            familiarity=1.0, probabilities={label: 1.0, "dog": 0.0}, engine="e",
        )  # fmt: skip
        table(one)
        table(Prediction(path="b.jpg", error="=1+1"))
    import csv

    rows = list(csv.reader((tmp_path / "t.csv").read_text().splitlines()))
    assert not [one for row in rows for one in row if one[:1] in {"=", "+", "-", "@"}]
    assert rows[1][1] == rows[1][2] == f"./{label}"


def test_a_finished_table_is_done_and_another_one_is_refused(mixed: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    assert fursure("predict", "--csv", table, mixed).returncode == 0
    before = table.read_bytes()
    again = fursure("predict", "--csv", table, mixed)
    assert again.returncode == 0
    assert "nothing to do" in again.stderr
    assert table.read_bytes() == before
    (mixed / "new.jpg").write_bytes(CAT)
    more = fursure("predict", "--csv", table, mixed)
    assert more.returncode == 1
    assert "--overwrite" in more.stderr


def test_a_finished_table_with_rows_that_failed_is_no_success(mixed: Path, tmp_path: Path) -> None:
    command = ("predict", "--csv", tmp_path / "t.csv", *sorted(mixed.iterdir()))
    assert fursure(*command).returncode == 3
    again = fursure(*command)
    assert again.returncode == 3
    assert "nothing to do, and some inputs still failed" in again.stderr


def test_a_finished_table_does_not_stand_for_links_that_were_not_made(
    mixed: Path, tmp_path: Path
) -> None:
    table, links = tmp_path / "t.csv", tmp_path / "sorted"
    assert fursure("predict", "--csv", table, mixed).returncode == 0
    sorting = fursure("predict", "--csv", table, "--sort-into", links, mixed)
    assert sorting.returncode == 1
    assert "--overwrite" in sorting.stderr


def test_an_encoding_of_zip_names_is_a_flag_of_every_command_that_reads_one() -> None:
    from fursure.cli import cli

    for name in ("train", "predict", "evaluate", "check", "split", "compare"):
        command = cli.get_command(None, name)  # type: ignore[arg-type]
        assert command is not None
        assert "zip_encoding" in {one.name for one in command.params}


def test_parts_of_a_split_archive_are_rows_that_say_so(tmp_path: Path) -> None:
    for number, start in enumerate([b"PK\3\4" + bytes(90), bytes(90)], start=1):
        (tmp_path / f"p.zip.00{number}").write_bytes(start)
    rows, _ = listed(tmp_path / "p.zip.*")
    assert [reason.split(";")[0] for reason in rows.values()] == [
        "is part 1 of a split archive",
        "is part 2 of a split archive",
    ]


@pytest.mark.parametrize("flag", ["--csv", "--parquet"])
def test_a_table_without_a_name_is_refused(flag: str) -> None:
    run = CliRunner().invoke(cli, ["predict", "x.jpg", flag, "", "--overwrite"])
    assert run.exit_code == 2
    assert "the table has no name" in run.stderr
