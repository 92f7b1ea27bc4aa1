"""A path, a name here or on the hub → the model; names alone cost a shell's Tab nothing."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fursure.bundle.bundle import Bundle

SHIPPED = Path(__file__).parents[1] / "models"  # importlib.resources takes 8 ms to say so
ON_THE_HUB = "hub:"  # begins the names of models there: hub:ORG/NAME or hub:ORG/NAME@REVISION


def find_model(name: str | None) -> "Bundle":
    """Return the bundle of that path, of that name in the package or on the hub; None is `pets`.

    What comes from the hub is kept, and read as any stranger's model is.

    Raises:
        BadBundle: there is none, it is damaged, or it cannot be had from here.
        MissingExtra: it is on the hub, and the extra for that is not installed.
    """
    from fursure.bundle.bundle import Bundle

    if name is None:
        return shipped("pets")
    if name in shipped_names() and not _is_model(Path(name)):
        return shipped(name)
    if name.startswith(ON_THE_HUB):
        return Bundle.read(_of_the_hub(name))
    return Bundle.read(Path(name))


def _is_model(path: Path) -> bool:
    """Return whether a model lies there: a folder of photos may be called `pets`, too."""
    return path.is_file() or (path / "bundle.json").is_file()


def short_name(name: str) -> str:
    """Return what a model is called among others: the last part of where it is, `pets` say."""
    if name.startswith(ON_THE_HUB):
        name = name.partition("@")[0]
    return Path(name).name.removesuffix(".fursure")


def _of_the_hub(name: str) -> Path:
    from fursure.errors import BadBundle, HubFailed
    from fursure.home import folder_for
    from fursure.hub.models import model_file

    try:
        return model_file(name, folder_for("models"))
    except HubFailed as error:
        raise BadBundle(name, str(error)) from error


@lru_cache
def shipped(name: str) -> "Bundle":
    """Return a bundle that ships in the package."""
    from fursure.bundle.bundle import Bundle

    bundle = Bundle.read(SHIPPED / f"{name}.fursure")
    return replace(bundle, shipped=True)


def shipped_names() -> list[str]:
    """Return the names of the bundles in the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.fursure"))
