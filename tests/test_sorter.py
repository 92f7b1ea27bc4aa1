"""Photos sorted into folders, on systems with symbolic links, with hard ones, and with none."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fursure.cli.tally import Tally
from fursure.commands.sorter import Sorter
from fursure.prediction import Prediction


def refusing(number: int) -> Callable[..., None]:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.fixture
def cats(tmp_path: Path) -> list[Prediction]:
    """Return two photos of the same name, answered."""
    paths = [tmp_path / folder / "cat.jpg" for folder in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(str(path).encode())
    facts = {"probabilities": {"cat": 1.0}, "familiarity": 1.0, "engine": "none"}
    return [
        Prediction(path=str(path), answer="cat", label="cat", confidence=1.0, **facts)  # type: ignore[arg-type]
        for path in paths
    ]


def sorted_twice(cats: list[Prediction], folder: Path) -> tuple[list[Path], list[str]]:
    """Return what lies there after two runs, and what the first told."""
    tally = Tally(Sorter(folder))
    for cat in cats:
        tally(cat)
    again = Tally(Sorter(folder))
    for cat in cats:
        again(cat)
    assert tally.all_good
    assert again.all_good
    assert again.sort is not None
    assert again.sort.sentence() is None  # all were there
    return sorted((folder / "cat").iterdir()), list(tally.sentences())[1:]


def test_where_symbolic_links_need_a_privilege_photos_are_linked_hard(
    cats: list[Prediction], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "symlink", refusing(errno.EINVAL))  # what Windows' error 1314 becomes
    there, told = sorted_twice(cats, tmp_path / "sorted")
    assert [path.name for path in there] == ["cat.jpg", "cat~2.jpg"]
    for path, cat in zip(there, cats, strict=True):
        assert path.samefile(cat.path)
        assert not path.is_symlink()
    assert len(told) == 1  # told once, not for each photo
    assert "no symbolic links in" in told[0]
    assert told[0].endswith("made 2 hard links instead")


def test_where_there_are_no_links_at_all_photos_are_copied(
    cats: list[Prediction], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "symlink", refusing(errno.EPERM))  # FAT on Linux
    monkeypatch.setattr(os, "link", refusing(errno.EPERM))
    there, told = sorted_twice(cats, tmp_path / "sorted")
    assert len(there) == 2
    for path, cat in zip(there, cats, strict=True):
        assert path.read_bytes() == Path(cat.path).read_bytes()
        assert not path.samefile(cat.path)
    assert told[0].endswith("made 2 copies instead")


def test_links_that_can_be_made_are_symbolic_and_nothing_is_told(
    cats: list[Prediction], tmp_path: Path
) -> None:
    there, told = sorted_twice(cats, tmp_path / "sorted")
    assert all(path.is_symlink() for path in there)
    assert told == []


def test_a_folder_that_cannot_be_written_is_told_for_the_photo(
    cats: list[Prediction], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "symlink", refusing(errno.ENOSPC))
    tally = Tally(Sorter(tmp_path / "sorted"))
    tally(cats[0])
    assert not tally.all_good
    assert tally.unlinked == [f"not linked: {cats[0].path}: {os.strerror(errno.ENOSPC)}"]
