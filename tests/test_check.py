import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from console import Run, fursure
from PIL import Image
from samples import draw_into

from fursure.annotations.tasks import DROP
from fursure.check.check import Checked, check_data
from fursure.check.findings import Finding
from fursure.dataset.corrections import read_corrections
from fursure.dataset.labelled import Dataset
from fursure.dataset.manifest import Manifest
from fursure.drawings.draw import draw, jpeg
from fursure.errors import BadData, OutputExists, TooFewPhotos
from fursure.photos.decode import Decoded, decode


def kinds(found: Checked) -> dict[str, list[Finding]]:
    by_kind: dict[str, list[Finding]] = {}
    for one in found.findings:
        by_kind.setdefault(one.kind, []).append(one)
    return by_kind


def run(*args: object) -> Run:
    return fursure("check", *args)


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return drawings with one flaw of nearly every kind."""
    folder = draw_into(tmp_path_factory.mktemp("spoilt") / "photos", count=30)
    shutil.move(folder / "cat" / "cat.3.jpg", folder / "dog" / "wrong.jpg")
    shutil.copy(folder / "cat" / "cat.5.jpg", folder / "cat" / "twice.jpg")
    shutil.copy(folder / "cat" / "cat.6.jpg", folder / "dog" / "both.jpg")
    (folder / "cat" / "broken.jpg").write_bytes(jpeg(draw("cat", 99, size=96))[:500])
    (folder / "cat" / "text.jpg").write_text("no photo at all")
    draw("dog", 98, size=96).save(folder / "dog" / "named.jpg", "PNG")
    Image.new("RGB", (96, 96), "black").save(folder / "dog" / "black.png")
    draw("cat", 97, size=20).save(folder / "cat" / "tiny.png")
    draw("cat", 96, size=400).resize((400, 60)).save(folder / "cat" / "flat.png")
    return folder


@pytest.fixture(scope="module")
def mislabelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return drawings of two plainly different classes, one of them under the wrong label."""
    kinds = ("dog", "stranger")
    folder = draw_into(tmp_path_factory.mktemp("mislabelled") / "photos", count=30, kinds=kinds)
    shutil.move(folder / "dog" / "dog.8.jpg", folder / "stranger" / "wrong.jpg")
    shutil.copy(folder / "dog" / "dog.6.jpg", folder / "stranger" / "both.jpg")
    return folder


def test_every_flaw_is_found_and_has_its_reason(spoilt: Path) -> None:
    found = kinds(check_data(spoilt))
    named = {kind: {path for one in some for path in one.paths} for kind, some in found.items()}
    assert named["unreadable"] == {"cat/broken.jpg", "cat/text.jpg"}
    assert named["conflict"] == {"cat/cat.6.jpg", "dog/both.jpg"}
    assert named["duplicate"] == {"cat/cat.5.jpg", "cat/twice.jpg"}
    assert named["misnamed"] == {"dog/named.jpg"}
    assert named["blank"] == {"dog/black.png"}
    assert named["tiny"] == {"cat/tiny.png"}
    assert named["shape"] == {"cat/flat.png"}


@pytest.mark.long
def test_a_wrong_label_is_named_with_its_chance_and_what_the_list_is_worth(
    mislabelled: Path, tmp_path: Path
) -> None:
    page = tmp_path / "review.html"
    found = check_data(mislabelled, output=page)
    [wrong] = [one for one in found.findings if one.paths == ("stranger/wrong.jpg",)]
    assert wrong.kind == "label"
    assert wrong.suggestion == "dog"
    assert 0.5 < wrong.score < 1
    assert wrong.reason.startswith("labelled stranger, looks like dog: wrong with a chance of ")
    assert len(wrong.neighbours) == 5
    assert found.doubts is not None
    listed = sum(one.kind in ("label", "doubt") for one in found.findings)
    assert found.doubts.wrong.n == listed
    assert 0 < found.doubts.wrong.value < listed
    assert found.doubts.wrong.low <= 1 <= found.doubts.wrong.high
    sentence = found.doubts.sentence()
    assert sentence in page.read_text("utf-8")
    assert run(mislabelled, "-q").stdout.splitlines()[1] == sentence


def test_right_labels_are_not_called_probably_wrong(tmp_path: Path) -> None:
    found = check_data(draw_into(tmp_path / "photos", count=30))
    assert found.doubts is not None
    assert found.doubts.wrong.low == 0
    assert found.doubts.wrong.value < 2
    assert found.counts().get("label", 0) <= 1


def test_of_a_single_class_no_label_is_judged(tmp_path: Path) -> None:
    found = check_data(draw_into(tmp_path / "photos", count=25, kinds=("cat",)))
    assert found.doubts is None
    assert not {"label", "doubt"} & found.counts().keys()


def test_a_second_check_decodes_nothing(spoilt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = check_data(spoilt)
    decoded: list[str] = []

    def counting(data: bytes, *, name: str, min_side: int) -> Decoded:
        decoded.append(name)
        return decode(data, name=name, min_side=min_side)

    monkeypatch.setattr("fursure.splitting.scan.decode", counting)
    assert check_data(spoilt).findings == first.findings
    assert set(decoded) == {"cat/broken.jpg", "cat/text.jpg"}  # what is broken is not remembered


def test_the_photos_are_not_touched(spoilt: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in spoilt.rglob("*") if path.is_file()}
    check_data(spoilt, output=tmp_path / "review.html")
    assert {path: path.read_bytes() for path in spoilt.rglob("*") if path.is_file()} == before


def test_copies_in_several_given_splits_are_leaks(drawings: Path, tmp_path: Path) -> None:
    for number, path in enumerate(sorted(drawings.rglob("*.jpg"))):
        target = tmp_path / ("test" if number % 4 == 0 else "train") / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    [source, *_] = sorted((tmp_path / "train" / "cat").iterdir())
    with Image.open(source) as photo:
        photo.save(tmp_path / "test" / "cat" / "leaked.jpg", quality=60)
    [leak] = kinds(check_data(tmp_path))["leak"]
    assert set(leak.paths) == {f"train/cat/{source.name}", "test/cat/leaked.jpg"}
    assert "test and train" in leak.reason


def test_a_kept_photo_is_doubted_no_more(mislabelled: Path, tmp_path: Path) -> None:
    before = check_data(mislabelled)
    [wrong] = [one for one in before.findings if one.paths == ("stranger/wrong.jpg",)]
    digests = {photo.path: photo.sha256 for photo in before.manifest.photos}
    saved = tmp_path / "corrections.csv"
    saved.write_text(
        "path,sha256,verdict,label\n"
        f"stranger/wrong.jpg,{digests['stranger/wrong.jpg']},keep,\n"
        f"stranger/both.jpg,{digests['stranger/both.jpg']},drop,\n"
        f"cat/gone.jpg,{'0' * 64},drop,\n"
    )
    after = check_data(Dataset(mislabelled, corrections=saved))
    assert wrong.kind == "label"
    assert before.doubts is not None
    assert after.doubts is not None
    assert after.doubts.wrong.value < before.doubts.wrong.value - wrong.score / 2
    assert not [one for one in after.findings if one.paths == ("stranger/wrong.jpg",)]
    assert "conflict" not in kinds(after)
    assert any("line 4: cat/gone.jpg is gone" in note for note in after.notes)


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_photos_can_be_checked(tmp_path: Path, count: int) -> None:
    folder = draw_into(tmp_path / "photos", count=count, kinds=("cat",))
    found = check_data(folder, output=tmp_path / "review.html")
    assert len(found.manifest.photos) == count
    assert (tmp_path / "review.html").stat().st_size > 1000


def test_photos_that_are_all_the_same_are_one_finding(tmp_path: Path) -> None:
    data = jpeg(draw("cat", 1, size=64))
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(30):
            (tmp_path / "photos" / label / f"{number}.jpg").write_bytes(data)
    found = kinds(check_data(tmp_path / "photos", output=tmp_path / "review.html"))
    assert list(found) == ["conflict"]
    assert len(found["conflict"][0].paths) == 60


def test_photos_that_are_all_broken_are_told_one_by_one(tmp_path: Path) -> None:
    folder = draw_into(tmp_path / "photos", count=3)
    for path in folder.rglob("*.jpg"):
        path.write_bytes(path.read_bytes()[:300])
    made = run(folder, "-o", tmp_path / "review.html", "-q", "--json")
    assert made.returncode == 3
    rows = [json.loads(line) for line in made.stdout.splitlines()]
    assert [row["kind"] for row in rows] == ["unreadable"] * 6
    assert made.stderr == ""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_hostile_names_break_neither_table_nor_page(tmp_path: Path) -> None:
    folder = draw_into(tmp_path / "photos", count=12)
    names = ["<script>alert(1)<\\script>.jpg", "a\nb\u202egpj.png", "=1+1.jpg", "x" * 200 + ".jpg"]
    encoded = [name.encode() for name in names] + [b"\xff\xfe.jpg"]
    for number, name in enumerate(encoded):
        label = ("<b>&amp;'\"", "cat")[number % 2]
        place = folder / label
        place.mkdir(exist_ok=True)
        Path(os.fsdecode(os.fsencode(place) + b"/" + name)).write_bytes(
            jpeg(draw("stranger", 7, size=64))
        )
    page = tmp_path / "review.html"
    made = run(folder, "-o", page)
    assert made.returncode == 0, made.stderr
    assert all(line.isprintable() for line in made.stdout.splitlines())
    text = page.read_text("utf-8")
    assert "<script>alert" not in text
    assert "\u202e" not in text
    assert "<b>&amp;'" not in text
    rows = [json.loads(line) for line in run(folder, "--json", "-q").stdout.splitlines()]
    assert {len(row["paths"]) for row in rows if row["kind"] == "conflict"} == {5}


@pytest.mark.long
def test_the_page_stays_bounded(drawings: Path, tmp_path: Path) -> None:
    for number in range(60):
        place = tmp_path / "photos" / ("cat" if number % 2 else "dog")
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), (number, 0, 0)).save(place / f"{number}.png")
    page = tmp_path / "review.html"
    found = check_data(tmp_path / "photos", output=page, most=10)
    assert found.counts()["blank"] == 60
    cards = page.read_text("utf-8").count('<li class="card"')
    assert 8 <= cards <= 10  # a photo with two findings has one card
    assert f">60</td><td>{cards}<" in page.read_text("utf-8")


def test_a_page_that_is_there_is_not_overwritten_by_accident(
    drawings: Path, tmp_path: Path
) -> None:
    page = tmp_path / "review.html"
    page.write_text("my thesis")
    with pytest.raises(OutputExists, match="--overwrite"):
        check_data(drawings, output=page)
    assert page.read_text() == "my thesis"
    with pytest.raises(BadData, match="cannot be written"):
        check_data(drawings, output=tmp_path / "nowhere" / "review.html")
    with pytest.raises(OutputExists, match=r"\(a folder\); choose another name\.$"):
        check_data(drawings, output=tmp_path, overwrite=True)


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    folder = draw_into(tmp_path / "photos", count=2)
    (folder / "fox").mkdir()
    with pytest.raises(TooFewPhotos, match="'fox'"):
        check_data(folder)


def test_the_table_says_how_many_more(spoilt: Path) -> None:
    made = run(spoilt, "-q")
    assert made.returncode == 3
    lines = made.stdout.splitlines()
    assert lines[0].startswith("68 photos, ")
    assert "     2  cannot be read" in lines
    assert "          dog/black.png: hardly any contrast (0.0)" in lines
    assert made.stderr == ""


@pytest.mark.long
def test_train_reads_the_corrections_from_the_command_line(spoilt: Path, tmp_path: Path) -> None:
    digests = {photo.path: photo.sha256 for photo in check_data(spoilt).manifest.photos}
    saved = tmp_path / "corrections.csv"
    head, digest = "path,sha256,verdict,label\n", digests["dog/wrong.jpg"]

    def trained(line: str) -> Run:
        saved.write_text(head + line)
        command = ["train", spoilt, "-o", tmp_path / "m.fursure", "--corrections", saved]
        return fursure(*command, "--engine", "onnxruntime")

    made = trained(f"dog/wrong.jpg,{digest},relabel,fox\n")
    assert made.returncode == 1
    assert "corrections.csv, line 2: no photo has the label 'fox'" in made.stderr
    assert not (tmp_path / "m.fursure").exists()
    made = trained(f"dog/wrong.jpg,{digest},relabel,cat\n./dog/=x.jpg,{digest},drop,\n")
    assert made.returncode == 0, made.stderr
    assert "line 3: ./dog/=x.jpg is gone; its verdict was not applied" in made.stderr
    photos = {one.path: one for one in Manifest.load(tmp_path / "m.manifest.jsonl").photos}
    assert photos["dog/wrong.jpg"].label == "cat"
    made = trained(f"dog/wrong.jpg,{digest},drop,\n")  # other labels are other data
    assert "already exists" in made.stderr


@pytest.mark.long
def test_findings_go_to_label_studio_and_come_back_as_corrections(
    mislabelled: Path, tmp_path: Path
) -> None:
    tasks = tmp_path / "tasks.json"
    found = run(mislabelled, "--label-studio", tasks, "-q")
    assert found.returncode == 0
    written = json.loads(tasks.read_text())
    by_path = {task["data"]["path"]: task for task in written}
    wrong = by_path["stranger/wrong.jpg"]
    assert wrong["data"]["image"] == "/data/local-files/?d=photos/stranger/wrong.jpg"
    assert wrong["data"]["given"] == "stranger"
    [suggested] = wrong["predictions"]
    [answer] = suggested["result"]
    assert answer["value"] == {"choices": ["dog"]}
    assert 0.5 < suggested["score"] < 1
    setup = tasks.with_name("tasks.setup.xml").read_text()
    assert '<Choice value="dog"/>' in setup
    for task in written:  # a person accepts what is suggested, and skips the others
        if task["predictions"]:
            task["annotations"] = [{"result": task["predictions"][0]["result"]}]
        else:
            task["annotations"] = [{"was_cancelled": True, "result": []}]
    drop = {**answer, "value": {"choices": [DROP]}}
    by_path["stranger/both.jpg"]["annotations"] = [{"result": [drop]}]
    keep = {**answer, "value": {"choices": ["dog"]}}
    by_path["dog/dog.6.jpg"]["annotations"] = [{"result": [keep]}]
    export = tmp_path / "export.json"
    export.write_text(json.dumps(written))
    verdicts = {one.path: (one.verdict, one.label) for one in read_corrections(export)}
    assert verdicts["stranger/wrong.jpg"] == ("relabel", "dog")
    assert verdicts["stranger/both.jpg"] == ("drop", None)
    assert verdicts["dog/dog.6.jpg"] == ("keep", None)
    again = check_data(Dataset(mislabelled, corrections=export))
    assert not {"stranger/wrong.jpg"} & {path for one in again.findings for path in one.paths}
    refused = run(mislabelled, "--label-studio", tasks)
    assert "already exists" in refused.stderr


def test_tasks_are_refused_where_label_studio_could_show_no_photo(tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "p"), "zip", draw_into(tmp_path / "p", count=1))
    with pytest.raises(BadData, match="shows only photos that are files of their own; unpack it"):
        check_data(archive, label_studio=tmp_path / "tasks.json")
