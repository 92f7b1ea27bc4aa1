"""A template beside this file and what it shows → HTML; every name in it is escaped."""

from typing import Any

from fursure.errors import MissingExtra, counted
from fursure.terminal.text import percent, printable


def rendered(template: str, what: str, **values: Any) -> str:
    """Return the page that the template makes of ``values``; ``what`` is what an error calls it.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise MissingExtra(what, "train") from error
    environment = Environment(
        loader=PackageLoader("fursure.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "shown": lambda text: printable(str(text)),
        "counted": counted,
        "percent": percent,
    }
    return environment.get_template(template).render(values)
