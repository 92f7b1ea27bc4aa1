from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fursure.dataset.corrections import (
    Correction,
    as_cells,
    comparable,
    corrected,
    line_of,
    read_corrections,
    safe_cell,
)
from fursure.errors import BadData
from fursure.rows.photo import Photo

ONE, OTHER = "1" * 64, "2" * 64
HEAD = "path,sha256,verdict,label\n"


def photo(path: str, sha256: str = ONE, label: str = "cat") -> Photo:
    return Photo(path=path, sha256=sha256, label=label)


def written(folder: Path, text: str) -> Path:
    path = folder / "corrections.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def verdicts(folder: Path, *lines: str) -> tuple[Correction, ...]:
    return read_corrections(written(folder, HEAD + "\n".join(lines)))


def test_verdicts_change_labels_and_leave_photos_out(tmp_path: Path) -> None:
    found = verdicts(
        tmp_path,
        f"cat/1.jpg,{ONE},relabel,dog",
        f"cat/2.jpg,{ONE},drop,",
        f"cat/3.jpg,{ONE},keep,",
    )
    photos = [photo(f"cat/{number}.jpg") for number in range(1, 5)]
    after = corrected(photos, found, ["cat", "dog"])
    assert [one.label for one in after.photos] == ["dog", "cat", "cat", "cat"]
    assert [bool(one.reason) for one in after.photos] == [False, True, False, False]
    assert after.notes == ()


def test_a_photo_that_changed_or_is_gone_is_reported_and_left_alone(tmp_path: Path) -> None:
    found = verdicts(tmp_path, f"cat/1.jpg,{OTHER},drop,", f"cat/9.jpg,{ONE},drop,")
    after = corrected([photo("cat/1.jpg")], found, ["cat"])
    assert after.photos == (photo("cat/1.jpg"),)
    assert [note.partition("csv, ")[2] for note in after.notes] == [
        "line 2: cat/1.jpg is another photo by now; its verdict was not applied",
        "line 3: cat/9.jpg is gone; its verdict was not applied",
    ]


def test_of_two_verdicts_on_a_photo_the_later_counts(tmp_path: Path) -> None:
    found = verdicts(tmp_path, f"cat/1.jpg,{ONE},drop,", f"cat/1.jpg,{ONE},keep,")
    assert [one.verdict for one in found] == ["keep"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"a.jpg,{ONE},remove,", "line 3: found the verdict 'remove'; it is keep, relabel or drop"),
        (f"a.jpg,{ONE},relabel,", "line 3: relabel without a label"),
        ("a.jpg,abc,drop,", "line 3: found 'a.jpg' with the sha256 'abc'"),
        (f",{ONE},drop,", "line 3: found ''"),
        ('"a.jpg', "line 3: unexpected end of data"),
    ],
)
def test_a_wrong_line_is_named_by_its_number(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(BadData) as error:
        verdicts(tmp_path, f"b.jpg,{ONE},keep,", line)
    assert words in str(error.value)


def test_an_unknown_label_is_an_error_with_its_line(tmp_path: Path) -> None:
    found = verdicts(tmp_path, f"cat/1.jpg,{ONE},relabel,fox")
    with pytest.raises(BadData, match=r"line 2: no photo has the label 'fox'; there are 'cat'"):
        corrected([photo("cat/1.jpg")], found, ["cat"])


def test_a_table_without_the_columns_says_which_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"the columns 'path', 'label'; .* lacks 'verdict'"):
        read_corrections(written(tmp_path, "path,label\na,b\n"))
    with pytest.raises(BadData, match=r"the columns nothing"):
        read_corrections(written(tmp_path, ""))
    with pytest.raises(BadData, match=r"no UTF-8 text"):
        read_corrections(written(tmp_path, "a\0b"))


@given(st.text(min_size=1), st.text(st.characters(categories=["L", "S", "P"]), min_size=1))
def test_whatever_a_photo_is_called_its_verdict_comes_back(
    tmp_path_factory: pytest.TempPathFactory, path: str, label: str
) -> None:
    if "\0" in path or path.startswith("./"):
        return
    line = f"{as_cells(path, ONE)},relabel,{line_of(safe_cell(label))}"
    assert line.lstrip('"')[:1] not in {"=", "+", "-", "@"}
    if label.strip() != label or label.startswith("./"):
        return
    [one] = read_corrections(written(tmp_path_factory.mktemp("csv"), HEAD + line + "\r\n"))
    after = corrected([photo(path)], [one], [one.label or ""])
    assert after.photos[0].label == one.label


def test_a_name_that_is_no_utf8_is_found_again(tmp_path: Path) -> None:
    path = "cat/\udcff.jpg"
    assert comparable(path) == "cat/\ufffd.jpg"
    found = verdicts(tmp_path, f"{as_cells(path, ONE)},drop,")
    assert corrected([photo(path)], found, ["cat"]).photos[0].reason


def test_names_that_are_written_alike_are_told_apart_by_their_content(tmp_path: Path) -> None:
    photos = [photo("cat/\udcff.jpg", ONE), photo("cat/\udcfe.jpg", OTHER)]
    lines = (f"{as_cells(one.path, one.sha256)},drop," for one in photos)
    after = corrected(photos, verdicts(tmp_path, *lines), ["cat"])
    assert all(one.reason for one in after.photos)
    assert after.notes == ()


def test_without_a_digest_the_path_decides(tmp_path: Path) -> None:
    for text in ("path,verdict,label\na.jpg,relabel,dog\n", HEAD + "a.jpg,,relabel,dog\n"):
        (tmp_path / "c.csv").write_text(text)
        found = corrected(
            [photo("a.jpg"), photo("b.jpg", label="dog")],
            read_corrections(tmp_path / "c.csv"),
            ["cat", "dog"],
        )
        assert [one.label for one in found.photos] == ["dog", "dog"]
        assert found.notes == ()


def test_a_verdict_with_the_digest_wins_over_one_without(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(HEAD + f"a.jpg,{ONE},keep,\na.jpg,,drop,\n")
    found = corrected([photo("a.jpg")], read_corrections(tmp_path / "c.csv"), ["cat"])
    assert found.photos[0].reason is None
