"""The sizes at which a row of docs/reliability.md is tested."""

from typing import Any

import pytest


def at_figure(tenth: object, figure: object, *, quick: bool = False) -> list[Any]:
    """Return a tenth of a row's figure for every change, and the figure itself for `test-slow`.

    ``quick`` says that the tenth takes less than half a second, so that `make test` runs it.
    """
    small = pytest.param(tenth, marks=() if quick else pytest.mark.long)
    return [small, pytest.param(figure, marks=pytest.mark.slow)]
