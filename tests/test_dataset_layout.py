"""Which labels and splits the layouts of real data sets give to photos."""

import json
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from fursure.dataset.layout import iter_photos, list_photos
from fursure.dataset.manifest import Manifest
from fursure.dataset.sources import open_source
from fursure.errors import BadData, BadImage, NoPhotos, TooFewPhotos


def lay(root: Path, names: Iterable[str], **texts: str) -> Path:
    """Make empty files, and folders where a name ends in '/'; ``texts`` are tables' contents."""
    for name in names:
        path = root / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.touch()
    for name, text in texts.items():
        (root / name.replace("__", ".")).write_text(text, "utf-8")
    return root


def zipped(folder: Path) -> Path:
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return folder.with_suffix(".zip")


def listed(path: Path, *, label_regex: str | None = None) -> Manifest:
    with open_source(path) as source:
        return list_photos(source, label_regex=label_regex)


def labels(path: Path, *, label_regex: str | None = None) -> dict[str, str | None]:
    photos = listed(path, label_regex=label_regex).photos
    return {photo.path.rpartition("!")[2]: photo.label for photo in photos}


def rows(path: Path) -> list[tuple[str, str | None, str | None, str | None]]:
    return [(one.path, one.label, one.split, one.reason) for one in listed(path).photos]


def problem(path: Path, kind: type[BadData] = BadData) -> str:
    with pytest.raises(kind) as caught:
        listed(path)
    return str(caught.value).replace(str(path.parent), "")


def test_the_folder_of_a_photo_is_its_class(tmp_path: Path) -> None:
    pets = lay(tmp_path / "pets", ["cat/1.jpg", "cat/old/2.jpg", "dog/1.jpg", "dog/Thumbs.db"])
    expected = {"cat/1.jpg": "cat", "cat/old/2.jpg": "cat", "dog/1.jpg": "dog"}
    assert labels(pets) == labels(zipped(pets)) == expected
    manifest = listed(pets)
    assert manifest.root == str(pets)
    assert manifest.skipped == {"Thumbs.db": 1}
    assert listed(zipped(pets)).photos[0].path == "pets.zip!cat/1.jpg"


def test_folders_that_wrap_all_others_are_looked_through(tmp_path: Path) -> None:
    names = ["MSR/PetImages/Cat/1.jpg", "MSR/PetImages/Dog/1.jpg", "readme.txt", "cover.jpg"]
    pets = lay(tmp_path / "pets", names)
    expected = {"MSR/PetImages/Cat/1.jpg": "Cat", "MSR/PetImages/Dog/1.jpg": "Dog"}
    assert labels(pets) == labels(zipped(pets)) == expected
    assert listed(pets).skipped == {".txt": 1, "photo without a label": 1}


def test_photos_beside_class_folders_have_no_label(tmp_path: Path) -> None:
    lay(tmp_path, ["cat/1.jpg", "dog/1.jpg", "cat.7.jpg", "me.jpg"])
    assert set(labels(tmp_path)) == {"cat/1.jpg", "dog/1.jpg"}
    assert listed(tmp_path).skipped == {"photo without a label": 2}


def test_a_thousand_classes_are_read(tmp_path: Path) -> None:
    names = [f"n{number:08}/n{number:08}_{photo}.JPEG" for number in range(1000) for photo in "12"]
    assert len(listed(lay(tmp_path, names)).labels) == 1000


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("train", "val", "test"), ("Training", "valid", "Testing"), ("train", "validation", "test1")],
)
def test_a_split_into_folders_is_kept(tmp_path: Path, train: str, val: str, test: str) -> None:
    folders = {train: "train", val: "val", test: "test"}
    lay(tmp_path, [f"{folder}/{label}/1.jpg" for folder in folders for label in ("cat", "dog")])
    expected = [
        (f"{folder}/{label}/1.jpg", label, folders[folder], None)
        for folder in sorted(folders)
        for label in ("cat", "dog")
    ]
    assert rows(tmp_path) == expected


def test_a_split_wrapped_twice_is_recognised(tmp_path: Path) -> None:
    names = ["training_set/training_set/cats/cat.1.jpg", "training_set/training_set/dogs/dog.1.jpg"]
    lay(tmp_path, [*names, "test_set/test_set/cats/cat.2.jpg", "test_set/test_set/dogs/dog.2.jpg"])
    assert Counter((one.label, one.split) for one in listed(tmp_path).photos) == Counter(
        [(label, split) for label in ("cats", "dogs") for split in ("train", "test")]
    )


def test_one_folder_with_classes_beside_an_unlabelled_one_is_no_split(tmp_path: Path) -> None:
    lay(tmp_path, ["train/cat/1.jpg", "train/dog/1.jpg", "test/1.jpg", "test/2.jpg"])
    assert {(one.label, one.split) for one in listed(tmp_path).photos} == {
        ("cat", None),
        ("dog", None),
    }
    assert listed(tmp_path).skipped == {"photo without a label": 2}


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    lay(tmp_path, ["car/1.jpg", "plane/1.jpg", "train/1.jpg", "train/steam/2.jpg"])
    assert listed(tmp_path).labels == ("car", "plane", "train")


@pytest.mark.parametrize("base", ["", "train/", "dogs-vs-cats/train/"])
def test_names_that_carry_the_label_are_read_as_kaggle_lays_them_out(
    tmp_path: Path, base: str
) -> None:
    pets = lay(tmp_path / "pets", [f"{base}{name}" for name in ("cat.0.jpg", "dog.0.jpg")])
    assert (
        labels(pets)
        == labels(zipped(pets))
        == {
            f"{base}cat.0.jpg": "cat",
            f"{base}dog.0.jpg": "dog",
        }
    )


def test_kaggles_unlabelled_test_photos_and_its_form_are_no_data(tmp_path: Path) -> None:
    names = ["train/cat.0.jpg", "train/dog.0.jpg", *(f"test1/{n}.jpg" for n in range(1, 5))]
    form = "id,label\n" + "".join(f"{n},0.5\n" for n in range(1, 5))
    lay(tmp_path, names, sampleSubmission__csv=form)
    assert rows(tmp_path) == [(f"train/{one}.0.jpg", one, None, None) for one in ("cat", "dog")]
    assert listed(tmp_path).skipped == {".csv": 1, "photo without a label": 4}


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("cat.0.jpg", "cat"),
        ("american_bulldog_100.jpg", "american_bulldog"),
        ("Saint Bernard-12.png", "Saint Bernard"),
        ("dog (3).jpeg", "dog"),
        ("größe_7.jpg", "größe"),
        ("cat_5", "cat"),
        ("IMG_1234.jpg", None),
        ("n01514668_cock.jpg", None),
        ("12500.jpg", None),
    ],
)
def test_the_label_is_what_stands_before_the_number(
    tmp_path: Path, name: str, label: str | None
) -> None:
    lay(tmp_path, [name, "zebra.1.jpg", "zebra.2.jpg"])
    assert labels(tmp_path).get(name) == label


def test_a_lone_folder_is_a_class_unless_its_names_tell_several(tmp_path: Path) -> None:
    lay(tmp_path / "a", ["cat/tom_1.jpg", "cat/tom_2.jpg"])
    assert set(labels(tmp_path / "a").values()) == {"cat"}
    lay(tmp_path / "b", ["images/Abyssinian_1.jpg", "images/pug_1.jpg"])
    assert set(labels(tmp_path / "b").values()) == {"Abyssinian", "pug"}


def test_the_users_pattern_overrides_the_layout(tmp_path: Path) -> None:
    lay(tmp_path, ["a/n01_cock.jpg", "b/n02_hen.jpg", "c/none.jpg"])
    expected = {"a/n01_cock.jpg": "cock", "b/n02_hen.jpg": "hen"}
    assert labels(tmp_path, label_regex=r"_(?P<label>\w+)\.") == expected
    assert labels(tmp_path, label_regex=r"_([a-z]+)") == expected
    assert listed(tmp_path, label_regex=r"_([a-z]+)").skipped == {"photo without a label": 1}


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("(cat", "is no regular expression (missing )"), ("cat", "has no group; put parentheses")],
)
def test_a_pattern_that_cannot_work_is_explained(
    tmp_path: Path, pattern: str, message: str
) -> None:
    with pytest.raises(BadData) as caught:
        listed(lay(tmp_path, ["cat.jpg"]), label_regex=pattern)
    assert f"the label pattern {pattern!r} {message}" in str(caught.value)


def test_a_pattern_that_fits_no_name_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(NoPhotos, match=r"photo without a label: 2"):
        listed(lay(tmp_path, ["cat/1.jpg", "dog/1.jpg"]), label_regex="(zebra)")


def test_an_empty_class_folder_is_refused_by_name(tmp_path: Path) -> None:
    pets = lay(tmp_path / "pets", ["cat/1.jpg", "dog/1.jpg", "bird/", "bird/.DS_Store"])
    for path in (pets, zipped(pets)):
        with pytest.raises(TooFewPhotos, match="class 'bird' has 0 usable photos"):
            listed(path)
    with pytest.raises(TooFewPhotos, match="class 'dog' has 0 usable photos"):
        listed(lay(tmp_path / "one", ["cat/1.jpg", "dog/"]))


def test_a_class_missing_from_one_part_of_a_split_is_fine(tmp_path: Path) -> None:
    lay(tmp_path, ["train/cat/1.jpg", "train/dog/1.jpg", "val/cat/2.jpg", "val/dog/", "test/"])
    assert len(listed(tmp_path).photos) == 3


def test_a_folder_of_other_files_is_named_not_refused(tmp_path: Path) -> None:
    lay(tmp_path, ["cat/1.jpg", "dog/1.jpg", "docs/a.txt", ".git/config", "__MACOSX/._x"])
    expected = {".txt": 1, "folder 'docs' without photos": 1, "hidden folder": 1, "__MACOSX": 1}
    assert listed(tmp_path).skipped == expected


def test_the_name_of_a_class_is_the_same_on_every_system(tmp_path: Path) -> None:
    lay(tmp_path, [f"{unicodedata.normalize('NFD', 'Rüde')}/1.jpg", "Hündin/1.jpg"])
    assert listed(tmp_path).labels == ("Hündin", "Rüde")


@pytest.mark.parametrize("label", ["a\u202eb", "a\nb", "a\x1b[31m", "x" * 201])
def test_the_name_of_a_class_must_print(tmp_path: Path, label: str) -> None:
    assert "cannot be the name of a class" in problem(
        lay(tmp_path, [f"{label}/1.jpg", "dog/1.jpg"])
    )


def test_a_source_without_photos_says_what_it_holds(tmp_path: Path) -> None:
    lay(tmp_path / "docs", ["a.txt", "b.txt", "Thumbs.db"])
    lay(tmp_path / "empty", ["x/"])
    lay(tmp_path / "loose", ["IMG_1.jpg", "b.jpg"])
    start = "holds no photos fursure can use"
    assert f"/docs {start} (.txt: 2, Thumbs.db: 1); it needs one" in problem(tmp_path / "docs")
    assert f"{start} (nothing at all)" in problem(tmp_path / "empty")
    assert f"{start} (photo without a label: 2)" in problem(tmp_path / "loose")


def test_an_archive_of_archives_is_named_and_never_opened(tmp_path: Path) -> None:
    lay(tmp_path / "dogs-vs-cats", ["train.zip", "test1.zip", "sampleSubmission.csv"])
    path = zipped(tmp_path / "dogs-vs-cats")
    assert problem(path, NoPhotos).endswith(
        "it contains 'test1.zip', 'train.zip': unpack it and give one of those."
    )
    assert problem(path.with_suffix("")).endswith("'train.zip': give one of those instead.")


def test_without_labels_every_photo_is_listed_whatever_the_layout(tmp_path: Path) -> None:
    lay(tmp_path, ["cat/1.jpg", "2.jpg", "train/3.jpg", "bird/"], labels__csv="path,label\n")
    with open_source(tmp_path) as source:
        manifest = list_photos(source, labelled=False)
        assert [one.path for one in manifest.photos] == ["2.jpg", "cat/1.jpg", "train/3.jpg"]
        assert [one.path for one in manifest.photos] == list(iter_photos(source))
    assert manifest.labels == ()
    assert manifest.skipped == {".csv": 1}


TABLES = {
    "csv": "path,label,split\ncat/1.jpg,cat,train\nsub/2.jpg,dog,valid\n",
    "tsv": "Label\tFile Name\tSubset\ncat\tcat/1.jpg\ttrain\ndog\tsub/2.jpg\tval\n",
    "jsonl": '{"image": "cat/1.jpg", "label": "cat", "split": "train"}\n\n'
    '{"image": "./sub//2.jpg", "label": "dog", "split": "validation"}\n',
}


@pytest.mark.parametrize(("kind", "text"), TABLES.items())
def test_a_table_gives_paths_labels_and_splits(tmp_path: Path, kind: str, text: str) -> None:
    lay(tmp_path, ["cat/1.jpg", "sub/2.jpg", "unlisted.jpg"], **{f"pets__{kind}": text})
    assert rows(tmp_path / f"pets.{kind}") == [
        ("cat/1.jpg", "cat", "train", None),
        ("sub/2.jpg", "dog", "val", None),
    ]


def test_a_table_from_a_spreadsheet_is_read(tmp_path: Path) -> None:
    text = '\ufefffile;class\r\n"a;b\r\nc.jpg";1\r\nsub\\2.jpg;0\r\n;\r\n'
    lay(tmp_path, ["a;b\r\nc.jpg", "sub/2.jpg"])
    (tmp_path / "pets.csv").write_bytes(text.encode())
    assert rows(tmp_path / "pets.csv") == [
        ("a;b\r\nc.jpg", "1", None, None),
        ("sub/2.jpg", "0", None, None),
    ]


def test_rows_that_lead_nowhere_or_outside_get_a_reason(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").touch()
    outside = ["../secret.jpg", "/etc/passwd", "C:\\x.jpg", "sub/../../secret.jpg"]
    text = "path,label\ngone.jpg,cat\n1.jpg,dog\n2.jpg,cat\n"
    text += "".join(f"{one},cat\n" for one in outside)
    folder = lay(tmp_path / "pets", ["1.jpg", "2.jpg"], t__csv=text)
    leaves = "path is absolute or leaves the folder of the table"
    assert rows(folder) == [
        ("gone.jpg", "cat", None, "file is missing"),
        ("1.jpg", "dog", None, None),
        ("2.jpg", "cat", None, None),
        *((one, "cat", None, leaves) for one in outside),
    ]
    with open_source(folder) as source:
        for name in ("gone.jpg", *outside):
            with pytest.raises(BadImage):
                source.read(name, 100)


def test_a_table_whose_photos_are_all_missing_is_refused(tmp_path: Path) -> None:
    lay(tmp_path, [], t__csv="path,label\na.jpg,cat\nb.jpg,dog\n")
    assert problem(tmp_path / "t.csv") == (
        "/t.csv lists no photo that can be used ('a.jpg': file is missing); "
        "write paths relative to the folder of the table."
    )


def test_a_table_of_ids_finds_the_photos_in_the_folder_beside_it(tmp_path: Path) -> None:
    names = ["train/a1.jpg", "train/a2.jpg", "test/b1.jpg", "test/a2.jpg"]
    dogs = lay(tmp_path / "dogs", names, labels__csv="id,breed\na1,pug\na2,boxer\nb1,beagle\n")
    expected = [
        ("train/a1.jpg", "pug", None, None),
        ("a2", "boxer", None, "several files have this name"),
        ("test/b1.jpg", "beagle", None, None),
    ]
    assert rows(dogs / "labels.csv") == rows(dogs) == expected
    prefixed = [(f"dogs.zip!{path}", *rest) for path, *rest in expected]
    assert rows(zipped(dogs)) == prefixed
    assert listed(dogs).skipped == {"photo without a label": 2}


def test_a_table_beside_one_folder_of_photos_is_used(tmp_path: Path) -> None:
    text = "image_id,label\n1.jpg,0\n2.jpg,3\n"
    lay(tmp_path / "leaf", ["x/images/1.jpg", "x/images/2.jpg"])
    lay(tmp_path / "leaf" / "x", [], train__csv=text, form__csv="image_id,label\n1.jpg,4\n")
    assert labels(tmp_path / "leaf") == {"x/images/1.jpg": "0", "x/images/2.jpg": "3"}
    assert listed(tmp_path / "leaf").skipped == {".csv": 1}


def test_class_folders_win_over_a_table(tmp_path: Path) -> None:
    lay(tmp_path, ["cat/1.jpg", "dog/1.jpg"], t__csv="path,label\ncat/1.jpg,a\ndog/1.jpg,b\n")
    assert listed(tmp_path).labels == ("cat", "dog")


def test_two_tables_that_label_photos_are_a_question_for_the_user(tmp_path: Path) -> None:
    text = "path,label\n1.jpg,a\n2.jpg,b\n"
    lay(tmp_path, ["1.jpg", "2.jpg"], old__csv=text, new__csv=text)
    assert "holds 'new.csv' and 'old.csv', which all label photos; give the one" in problem(
        tmp_path
    )


def test_a_table_in_a_folder_without_other_labels_is_explained(tmp_path: Path) -> None:
    lay(tmp_path / "pets", ["images/1.jpg"], t__csv="foo,bar\n1,2\n")
    assert "t.csv has the columns 'foo', 'bar'; it needs one of paths" in problem(tmp_path / "pets")


def test_columns_that_are_missing_are_named(tmp_path: Path) -> None:
    wide = ",".join(f"column{n}" for n in range(10_000))
    lay(tmp_path, [], a__csv=f"{wide}\n{wide}\n", b__csv="path,size\n1.jpg,3\n")
    assert problem(tmp_path / "a.csv").endswith(
        "'column6', 'column7', …; it needs one of paths: "
        "name the columns 'path' and 'label' in the first line."
    )
    assert "has the columns 'path', 'size'; it needs one of labels" in problem(tmp_path / "b.csv")
    with open_source(tmp_path / "b.csv") as source:
        assert list(iter_photos(source)) == ["1.jpg"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "path,label\n1.jpg,cat\n,dog\n", "line 3: no path; give every photo one"),
        ("t.csv", 'path,label\n1.jpg,"cat\n', "line 2: unexpected end of data"),
        ("t.csv", f"path,label\n1.jpg,{'x' * 200_000}\n", "line 2: field larger than field limit"),
        ("t.csv", f"path,label\n{'x' * 5000},cat\n", "line 2: a path of 5000 characters; at most"),
        ("t.csv", f"path,label\n1.jpg,{'x' * 300}\n", "line 2: 'xxxxx"),
        ("t.csv", "path,label,split\n1.jpg,cat,tran\n", "line 2: the split 'tran'; write train"),
        ("t.csv", "path,label\0\n", "is no UTF-8 text; save the table as UTF-8"),
        ("t.csv", "", "(no rows); it needs rows with a path and a label"),
        ("t.csv", "path,label\n1.jpg,\n", "(photo without a label: 1); it needs rows"),
        ("t.jsonl", '{"path": "1.jpg", "label": "cat"}\n[1]\n', "line 2: no JSON object"),
        ("t.jsonl", '{"path": "1.jpg", "label": "cat"}\n{"pa', "line 2: Unterminated string"),
        ("t.jsonl", '{"path": "1.jpg", "label": ["cat"]}', "line 1: \"['cat']\" is neither text"),
        ("t.jsonl", "[" * 100_000, "line 1: maximum recursion depth"),
    ],
)
def test_a_malformed_table_is_explained_by_line(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    lay(tmp_path, ["1.jpg"])
    (tmp_path / name).write_text(text)
    assert message in problem(tmp_path / name)


def test_a_photo_listed_twice_counts_once_and_with_two_labels_not_at_all(tmp_path: Path) -> None:
    text = "path,label\n1.jpg,cat\n1.jpg,cat\n2.jpg,cat\n2.jpg,dog\n"
    lay(tmp_path, ["1.jpg", "2.jpg"], t__csv=text)
    assert rows(tmp_path / "t.csv") == [
        ("1.jpg", "cat", None, None),
        ("2.jpg", "cat", None, "listed with different labels or splits"),
    ]
    assert listed(tmp_path / "t.csv").skipped == {"photo listed twice": 2}


def test_a_table_with_a_pattern_needs_no_labels(tmp_path: Path) -> None:
    lay(tmp_path, ["a/cat-1.jpg"], t__csv="path\na/cat-1.jpg\n")
    assert labels(tmp_path / "t.csv", label_regex="^([a-z]+)") == {"a/cat-1.jpg": "cat"}


def test_unusual_names_in_json_tables_reach_their_files(tmp_path: Path) -> None:
    names = ['quote".jpg', "new\nline.jpg", "\u202ertl.jpg", "caf\udce9.jpg"]
    lay(tmp_path, names)
    text = "".join(json.dumps({"path": name, "label": "cat"}) + "\n" for name in names)
    (tmp_path / "t.jsonl").write_text(text)
    assert rows(tmp_path / "t.jsonl") == [(name, "cat", None, None) for name in names]


@pytest.mark.parametrize(
    "kept",
    [
        *("@eaDir", "#recycle", "$RECYCLE.BIN", "__MACOSX", "lost+found", "#snapshot"),
        *("System Volume Information", "Thumbs", ".thumbnails", "@Recycle", "RECYCLER"),
    ],
)
def test_what_a_system_keeps_beside_photos_is_never_a_class(kept: str, tmp_path: Path) -> None:
    pets = lay(
        tmp_path / "pets",
        [
            "cat/1.jpg",
            "dog/1.jpg",
            f"{kept}/3.jpg",
            f"cat/{kept}/1.jpg/4.jpg",
            f"{kept}/bird/5.jpg",
        ],
    )
    for path in (pets, zipped(pets)):
        manifest = listed(path)
        assert manifest.labels == ("cat", "dog")
        assert len(manifest.photos) == 2
        assert sum(manifest.skipped.values()) in {2, 3}


@pytest.mark.parametrize("masks", ["annotations/trimaps", "masks", "SegmentationClass"])
def test_masks_beside_images_are_no_class_and_names_give_the_labels(
    masks: str, tmp_path: Path
) -> None:
    names = ["Abyssinian_1", "Abyssinian_2", "great_pyrenees_1"]
    lay(tmp_path / "o" / "pets", [f"images/{name}.jpg" for name in names])
    lay(tmp_path / "o" / "pets", [f"{masks}/{name}.png" for name in names])
    manifest = listed(tmp_path / "o")
    assert manifest.labels == ("Abyssinian", "great_pyrenees")
    assert len(manifest.photos) == 3
    assert manifest.skipped == {f"picture in {masks.split('/', maxsplit=1)[0]}/ beside images/": 3}


def test_masks_beside_images_without_labels_are_a_refusal_that_says_so(tmp_path: Path) -> None:
    lay(tmp_path, ["JPEGImages/2007_01.jpg", "SegmentationClass/2007_01.png"])
    assert "picture in SegmentationClass/ beside JPEGImages/: 1" in problem(tmp_path, NoPhotos)


def test_class_folders_below_images_are_classes_and_their_masks_are_not(tmp_path: Path) -> None:
    lay(tmp_path, ["images/cat/1.jpg", "images/dog/1.jpg", "masks/cat/1.png", "masks/dog/1.png"])
    assert labels(tmp_path) == {"images/cat/1.jpg": "cat", "images/dog/1.jpg": "dog"}


def test_a_class_may_be_called_masks(tmp_path: Path) -> None:
    lay(tmp_path, ["masks/1.jpg", "faces/1.jpg"])
    assert listed(tmp_path).labels == ("faces", "masks")


def test_a_table_that_the_user_named_may_lead_anywhere(tmp_path: Path) -> None:
    lay(tmp_path, ["photos/1.jpg", "photos/2.jpg", "tables/near/3.jpg"])
    paths = [
        *(tmp_path / "photos" / "1.jpg", "../photos/2.jpg"),
        *(tmp_path / "tables" / "near" / "3.jpg", "../tables/near/3.jpg", "/none/4.jpg"),
    ]
    text = "path,label\n" + "".join(f"{one},{row}\n" for row, one in enumerate(paths))
    (tmp_path / "tables" / "t.csv").write_text(text)
    away = (tmp_path / "photos").as_posix()
    assert [(one[0], one[3]) for one in rows(tmp_path / "tables" / "t.csv")] == [
        (f"{away}/1.jpg", None),
        (f"{away}/2.jpg", None),
        ("near/3.jpg", "listed with different labels or splits"),
        ("/none/4.jpg", "file is missing"),
    ]
    with open_source(tmp_path / "tables" / "t.csv") as source:
        assert source.read(f"{away}/1.jpg", 100) == b""
        assert source.has("near/3.jpg")
        assert not source.has("near/3.jpg\0")


def test_a_table_in_an_archive_leads_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").touch()
    text = f"path,label\n1.jpg,cat\n2.jpg,dog\n{tmp_path}/secret.jpg,cat\n../secret.jpg,cat\n"
    pets = zipped(lay(tmp_path / "pets", ["1.jpg", "2.jpg"], t__csv=text))
    assert [reason for *_, reason in rows(pets)[2:]] == [
        "path is absolute or leaves the folder of the table"
    ] * 2


@pytest.mark.parametrize(("yes", "no"), [("True", "False"), ("1", "0"), ("yes", "no"), ("1.0", "")])
def test_fastais_column_of_validation_photos_is_a_split(yes: str, no: str, tmp_path: Path) -> None:
    text = f"name,label,is_valid\n1.jpg,cat,{no}\n2.jpg,dog,{no}\n3.jpg,cat,{yes}\n"
    table = lay(tmp_path, ["1.jpg", "2.jpg", "3.jpg"], t__csv=text) / "t.csv"
    assert [split for _, _, split, _ in rows(table)] == ["train", "train", "val"]
    (tmp_path / "t.csv").write_text(text.replace(f"cat,{yes}", "cat,maybe"))
    assert "line 4: 'maybe' in the column 'is_valid'; write True or False." in problem(table)


def test_yes_and_no_in_json_are_a_split_too(tmp_path: Path) -> None:
    lines = '{"path":"1.jpg","label":"cat","is_valid":false,"is_test":true}\n'
    lines += '{"path":"2.jpg","label":"dog","is_valid":true,"is_test":false}\n'
    table = lay(tmp_path, ["1.jpg", "2.jpg"], t__jsonl=lines) / "t.jsonl"
    assert [split for _, _, split, _ in rows(table)] == ["test", "val"]


def test_a_column_of_flags_that_are_all_no_divides_nothing(tmp_path: Path) -> None:
    text = "name,label,is_valid\n1.jpg,cat,False\n2.jpg,dog,False\n"
    table = lay(tmp_path, ["1.jpg", "2.jpg"], t__csv=text) / "t.csv"
    assert [split for _, _, split, _ in rows(table)] == [None, None]


def test_columns_of_a_split_that_are_not_followed_are_named(tmp_path: Path) -> None:
    text = "name,label,fold,is_valid,split\n1.jpg,cat,0,True,train\n2.jpg,dog,1,False,test\n"
    table = lay(tmp_path, ["1.jpg", "2.jpg"], t__csv=text) / "t.csv"
    for path in (table, tmp_path, zipped(tmp_path)):
        notes = listed(path).notes
        assert [note.split("'")[1] for note in notes] == ["fold", "is_valid"]
    assert [split for _, _, split, _ in rows(table)] == ["train", "test"]


def test_a_label_that_is_no_utf_8_says_so(tmp_path: Path) -> None:
    lay(tmp_path, ["1.jpg"])
    (tmp_path / "t.csv").write_bytes("path,label\n1.jpg,chaton é\n".encode("cp1252"))
    found = problem(tmp_path / "t.csv")
    assert "line 2: the label chaton \\udce9 is no UTF-8 text; save the table as UTF-8." in found
