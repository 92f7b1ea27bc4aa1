"""The doors of fursure: each takes bytes, and may refuse them only as it promised to.

A target is opened by name in the process that tries it: only then is what it needs imported.
Its seeds are drawn by code, and the files of ``fuzzing/seeds/NAME``: every past finding is one.
"""

import atexit
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp

from fuzzing.mutate import Change, Mutator

SEEDS = Path(__file__).parents[1] / "seeds"
Refusal = type[BaseException]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One door, and how to knock at it."""

    call: Callable[[bytes], object]  # what it returns, if anything, tells one outcome from another
    promised: tuple[Refusal, ...]  # what it may raise
    seeds: Sequence[bytes]  # small inputs, most of them good ones
    words: Sequence[bytes] = ()  # of its format
    change: Callable[[Change], Change] | None = None  # what else is done than to change bytes

    def mutator(self) -> Change:
        """Return what makes new inputs of old ones."""
        plain = Mutator(others=self.seeds, words=self.words)
        return plain if self.change is None else self.change(plain)


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a target is made, and its share of the time."""

    module: str  # of this package; its function ``target`` takes the name
    share: float = 1.0


TARGETS: dict[str, Plan] = {
    **{f"decode-{kind}": Plan("photos", 2) for kind in ("jpeg", "png", "webp", "gif", "tiff")},
    **{f"decode-{kind}": Plan("photos") for kind in ("avif", "heif", "bmp")},
    "headers": Plan("photos", 2),
    "tiff": Plan("photos", 2),
    "zip": Plan("data", 2),
    "tar": Plan("data"),
    "csv": Plan("data", 2),
    "jsonl": Plan("data", 2),
    "manifest": Plan("data", 2),
    "corrections": Plan("data"),
    **{name: Plan("labels") for name in ("label-studio", "fiftyone", "datumaro", "cvat")},
    **{name: Plan("labels") for name in ("imagefolder", "parquet", "arrow")},
    "recipe": Plan("data"),
    "meta": Plan("models"),
    "npz": Plan("models"),
    "onnx": Plan("models"),
    "network": Plan("models"),
    "splice": Plan("models", 0.5),
    "bundle": Plan("models", 3),
    "h5": Plan("models", 0.5),
    "multipart": Plan("service", 2),
    "infer": Plan("service", 2),
    "http": Plan("service", 3),
}
PLANTED = {f"planted-{kind}": Plan("planted") for kind in ("crash", "hang", "memory", "error")}
PLANTED |= {name: Plan("planted") for name in ("planted-hidden-memory", "planted-nothing")}


def opened(name: str) -> Target:
    """Return a target of `TARGETS`, or of those that are planted to be found.

    Raises:
        KeyError: there is none of that name.
    """
    plan = (TARGETS | PLANTED)[name]
    target: Target = import_module(f"fuzzing.targets.{plan.module}").target(name)
    return target


def own_folder() -> Path:
    """Return a temporary folder of this process, which goes when it ends."""
    folder = Path(mkdtemp(prefix="fursure-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def kept(name: str) -> list[bytes]:
    """Return the seeds of a target that are files."""
    return [path.read_bytes() for path in sorted((SEEDS / name).glob("*"))]
