"""A name or a path → the model it stands for; the names alone cost a shell's Tab nothing."""

from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fursure.bundle.bundle import Bundle


def find_model(name: str | None) -> "Bundle":
    """Return the bundle of that path, or of that name in the package; None is `pets`.

    Raises:
        BadBundle: there is none, or it is damaged.
    """
    from fursure.bundle.bundle import Bundle

    if name is None:
        return shipped("pets")
    if name in shipped_names() and not Path(name).exists():
        return shipped(name)
    return Bundle.read(Path(name))


@lru_cache
def shipped(name: str) -> "Bundle":
    """Return a bundle that ships in the package."""
    from fursure.bundle.bundle import Bundle

    bundle = Bundle.read(Path(str(files("fursure") / "models" / f"{name}.fursure")))
    return replace(bundle, shipped=True)


def shipped_names() -> list[str]:
    """Return the names of the bundles in the package."""
    folder = Path(str(files("fursure") / "models"))
    return sorted(path.stem for path in folder.glob("*.fursure"))
