"""What a person who waits sees of a training."""

import io
import re
from contextlib import redirect_stderr

import click
import pytest

from fursure.run import Pass
from fursure.terminal.live import Live, barred, followed, sparkline

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.raw_bytes = io.BytesIO()
        super().__init__(self.raw_bytes, encoding=encoding, write_through=True)

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        return self.raw_bytes.getvalue().decode(self.encoding)


def passes(*losses: float) -> list[Pass]:
    return [
        Pass(
            name=f"pass {number}",
            knob=number,
            train_loss=loss / 2,
            val_loss=loss,
            val_accuracy=0.9,
            best=loss == min(losses[:number]),
        )
        for number, loss in enumerate(losses, start=1)
    ]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return Terminal()


def test_losses_become_bars_by_their_factors() -> None:
    assert sparkline([8, 4, 2, 1], width=9, encoding="utf-8") == "█▆▃▁"
    assert sparkline([8, 4, 2, 1], width=2, encoding="utf-8") == "█▁"
    assert sparkline([1, float("nan"), 1], width=9, encoding="utf-8") == "▁x▁"
    assert sparkline([8, 1], width=9, encoding="cp1252") == "#_"


def test_elsewhere_than_on_a_terminal_each_pass_is_a_plain_line() -> None:
    said: list[str] = []
    with Live(said.append).watch("head") as hear:
        for each in passes(0.5, 0.25):
            hear(each)
    assert said == [
        "head, pass 1: validation 90.00%, 0.5000 nats, training 0.2500, kept",
        "head, pass 2: validation 90.00%, 0.2500 nats, training 0.1250, kept",
    ]


def test_on_a_terminal_one_line_follows_them_and_the_best_one_stays(terminal: Terminal) -> None:
    said: list[str] = []
    with redirect_stderr(terminal), Live(said.append).watch("head") as hear:
        for each in passes(0.5, 0.25, 0.3):
            hear(each)
    lines = terminal.text().split("\r")
    assert len(lines) == 5  # three times drawn over, and wiped
    assert lines[3].startswith("head, pass 3  training █▁▃ 0.1500  validation █▁▃ 0.3000  90.00%")
    assert "\x1b[32m90.00%" in lines[2]  # the best so far, in green
    assert said == ["head: █▁▃ pass 2: validation 90.00%, 0.2500 nats, training 0.1250, kept"]


def test_no_colour_is_none_and_a_narrow_terminal_shows_less(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    line = followed("head", passes(0.5, 0.25), columns=60, stream=terminal)
    assert line == "head, pass 2  validation █▁ 0.2500  90.00%"
    long = followed("training", passes(*[1.0] * 300), columns=80, stream=terminal)
    assert len(long) < 80


def test_a_terminal_that_draws_over_nothing_gets_plain_lines(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    said: list[str] = []
    with redirect_stderr(terminal), Live(said.append).watch("head") as hear:
        hear(passes(0.5)[0])
    assert said
    assert not terminal.text()


@pytest.mark.parametrize("columns", [12, 20, 40, 59, 80, 200])
def test_no_line_that_is_drawn_over_is_as_wide_as_the_terminal(
    columns: int, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("fursure.terminal.live._REDRAWN", 0)
    live = Live(lambda _line: None)
    title = "reading photos by lite0 with flips"
    with redirect_stderr(terminal):
        with live.watch(title) as hear, live.bar(title, 1200) as advance:
            for each in passes(*[0.5] * 12):
                advance(100)
                hear(each)
        with live.watch(title) as hear:
            for each in passes(*[0.5] * 12):
                hear(each)
    drawn = [line for line in re.split(r"[\r\n]+", ANSI.sub("", terminal.text())) if line]
    assert len(drawn) > 24
    assert max(map(len, drawn)) < columns


def test_a_bar_says_what_it_knows_and_nothing_else() -> None:
    half = barred("reading", 600, 1200, 2.0, "", columns=80)
    assert half == f"reading  [{'#' * 18}{'-' * 18}]  600/1,200  300/s  2 s left"
    assert barred("reading", 1200, 1200, 4.0, "", columns=60).endswith(
        "]  1,200/1,200  300/s  4.0 s"
    )
    assert barred("predicting", 600, None, 2.0, "", columns=80) == "predicting  600  300/s"
    assert barred("predicting", 600, None, 2.0, "", columns=14) == "predicti  600"


def test_a_bar_on_a_terminal_that_draws_over_nothing_is_plain_lines(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    said: list[str] = []
    with redirect_stderr(terminal), Live(said.append).bar("reading", 3) as advance:
        advance(3)
    assert not terminal.text()
    assert [line.partition(" in ")[0] for line in said] == ["reading: 3"]


def test_what_is_said_meanwhile_has_a_line_of_its_own(terminal: Terminal) -> None:
    live = Live(lambda line: click.echo(line, err=True))
    with redirect_stderr(terminal), live.bar("reading", 3) as advance:
        advance(1)
        live.say("a photo is odd")
    assert "\r\x1b[Ka photo is odd\n" in terminal.text()


def test_beside_a_bar_the_passes_are_part_of_it(terminal: Terminal) -> None:
    live = Live(lambda _line: None)
    with (
        redirect_stderr(terminal),
        live.watch("training") as hear,
        live.bar("training", 4) as advance,
    ):
        advance(1)
        hear(passes(0.5)[0])
        advance(3)
    assert "pass 1: ▁ 0.5000, 90.0%" in terminal.text()
