"""A model and a target → a folder that runs it elsewhere."""

from dataclasses import dataclass, replace
from pathlib import Path

from fursure.bundle.bundle import Bundle
from fursure.engine.predictor import Predictor
from fursure.exporting.folder import check_new, write_new
from fursure.exporting.ported import NOTHING_ELSE, Wishes
from fursure.exporting.targets import TARGETS
from fursure.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export made."""

    folder: Path
    files: int
    bytes: int
    look: str = ""  # a command that shows it


def export_model(
    bundle: Bundle,
    target: str,
    folder: Path,
    run: Run = Run(),
    *,
    max_error: float | None = None,
    wishes: Wishes = NOTHING_ELSE,
) -> Exported:
    """Write what runs ``bundle`` elsewhere into a new ``folder``, whole or not at all.

    The model is opened first, which proves its golden answers here.

    Raises:
        FursureError: the model, the folder or something asked for cannot be used.
    """
    TARGETS[target].check(target, wishes)
    check_new(folder)
    predictor = Predictor.open(bundle, engine="onnxruntime", max_error=max_error)
    made = TARGETS[target].made(predictor, replace(wishes, max_error=max_error))
    size = write_new(folder, sorted(made.files.items()))
    for remark in made.remarks:
        run.say(remark)
    look = made.look.format(folder=folder)
    return Exported(folder=folder, files=len(made.files), bytes=size, look=look)
