"""Colour: on a terminal that has it, where it is asked for, and nowhere else."""

import io
import json
from pathlib import Path

import click
import pytest
from console import fursure

from fursure.drawings.draw import draw, jpeg
from fursure.terminal.colour import coloured, has_colour

GREEN, RED = "\x1b[32m", "\x1b[31m"


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.parametrize(
    ("stream", "env", "wanted"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
        (io.StringIO(), {"FORCE_COLOR": "1"}, True),
        (Terminal(), {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_a_terminal_has_colour_unless_somebody_says_otherwise(
    stream: io.StringIO, env: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert has_colour(stream) is wanted
    assert coloured("cat", "good", stream) == (f"{GREEN}cat\x1b[0m" if wanted else "cat")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    (folder / "cat.jpg").write_bytes(jpeg(draw("cat", 1)))
    (folder / "torn.jpg").write_bytes(b"")
    return folder


def test_rows_in_colour_are_the_same_rows(photos: Path) -> None:
    plain = fursure("predict", photos)
    gaudy = fursure("predict", photos, env={"FORCE_COLOR": "1"})
    assert "\x1b" not in plain.stdout
    assert f"{RED}error" in gaudy.stdout
    assert click.unstyle(gaudy.stdout) == plain.stdout


def test_json_and_tables_never_have_colour(photos: Path, tmp_path: Path) -> None:
    forced = {"FORCE_COLOR": "1"}
    rows = fursure("predict", "--json", photos, env=forced).stdout.splitlines()
    assert [json.loads(row)["path"] for row in rows]
    fursure("predict", "--csv", tmp_path / "rows.csv", "-q", photos, env=forced)
    assert "\x1b" not in "".join(rows) + (tmp_path / "rows.csv").read_text()


def test_an_error_begins_in_red_and_a_name_still_cannot_colour_anything(tmp_path: Path) -> None:
    run = fursure("train", "no\x1b[2Jne", cwd=tmp_path, env={"FORCE_COLOR": "1"})
    assert run.stderr.startswith(f"{RED}fursure:\x1b[0m no\\x1b[2Jne does not exist")
