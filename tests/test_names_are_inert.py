"""Names of classes and of photos that try to be code: text everywhere, code nowhere."""

import json
from pathlib import Path

import pytest
from browser import opened
from samples import network_into

from fursure.cli import _run
from fursure.commands.api import train
from fursure.drawings.draw import draw, jpeg
from fursure.recipe import Recipe
from fursure.training.train import Trained

NAMES = (
    "<script>alert(1)<\N{DIVISION SLASH}script>",
    "<img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' onload='alert(1)",
    "{{ 7 * 7 }}",
    "${7*7}#{7*7}<%= 7*7 %>",
    "]]>--><!--&lt;b&gt;&amp;",
    "javascript:alert(1)",
    "=cmd|'calc'!A0",
    "%00%0d%0aSet-Cookie: a=b",
)
MOVING = (
    "\x1b[2Jclear",
    "\u202egpj",
    "line\nbreak",
    "bell\x07",
    "\x9b31m",
)  # in photos' names alone


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a model with a class of each name, and photos called so too."""
    folder = tmp_path_factory.mktemp("names")
    for number, name in enumerate(NAMES):
        place = folder / "photos" / name
        place.mkdir(parents=True)
        for seed in range(4):
            photo = jpeg(draw(("cat", "dog")[seed % 2], number * 10 + seed, size=64))
            called = (*NAMES, *MOVING)[(number * 4 + seed) % 15]
            (place / f"{seed}{called}.jpg").write_bytes(photo)
    network = network_into(folder / "net")
    recipe = Recipe(backbone=network)
    return train(
        folder / "photos", folder / "odd.fursure", recipe, engine="onnxruntime", report=True
    )


@pytest.mark.long
def test_no_name_runs_in_a_page(odd: Trained, tmp_path: Path) -> None:
    review = tmp_path / "review.html"
    photos = odd.path.with_name("photos")
    assert _run(["check", str(photos), "-o", str(review), "-q"]) == 0
    for page in (odd.path.with_name("odd.report.html"), review):
        text = page.read_text("utf-8")
        assert "onerror=alert(1)>" not in text
        assert "<script>alert" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text
        with opened(page) as tab:  # which fails where anything is asked for or complained of
            tab.on("dialog", lambda dialog: pytest.fail(dialog.message))
            assert (
                tab.evaluate(
                    "document.querySelectorAll('[onmouseover], [onload], [onerror]').length"
                )
                == 0
            )
            assert not tab.evaluate("[...document.links].some(a => a.protocol == 'javascript:')")


@pytest.mark.long
def test_no_name_moves_the_cursor_or_breaks_a_line(
    odd: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = odd.path.with_name("photos")
    count = 4 * len(NAMES)
    assert _run(["predict", "-m", str(odd.path), str(photos)]) == 0
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert len(lines) == count
    assert all(part.isprintable() for line in lines for part in line.split("\t"))
    assert "\x1b" not in told.err
    assert _run(["predict", "-m", str(odd.path), "--json", str(photos)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == count
    assert set(rows[0]["probabilities"]) == set(NAMES)
