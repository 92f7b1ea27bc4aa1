from pathlib import Path

import pytest

from fursure.files import home, offline, replacing


def test_a_write_replaces_the_old_file_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="disk"), replacing(path) as file:  # noqa: PT012
        file.write(b"half of the n")
        raise OSError("the disk is full")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_can_be_read_by_others(tmp_path: Path) -> None:
    with replacing(tmp_path / "model") as file:
        file.write(b"")
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "model").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_home_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FURSURE_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.delenv("FURSURE_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert home() == tmp_path / "cache" / "fursure"


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("yes", True), ("0", False)])
@pytest.mark.parametrize("name", ["FURSURE_OFFLINE", "HF_HUB_OFFLINE"])
def test_either_variable_forbids_the_network(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: bool
) -> None:
    monkeypatch.delenv("FURSURE_OFFLINE", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv(name, value)
    assert offline() is expected
