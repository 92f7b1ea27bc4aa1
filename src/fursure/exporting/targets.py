"""What a model can be exported to: a name on the command line → what makes its files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fursure.engine.predictor import Predictor
from fursure.exporting.runtime import web_runtime
from fursure.exporting.web import web_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What was asked for beside the target."""

    runtime: Path | None = None  # a folder with onnxruntime-web


NOTHING_ELSE = Wishes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The files of a target by their paths in its folder, and what is worth saying of them."""

    files: Mapping[str, bytes]
    remarks: tuple[str, ...] = ()


def _web(predictor: Predictor, wishes: Wishes) -> Made:
    runtime = web_runtime(wishes.runtime)
    return Made(
        files=web_files(predictor, runtime), remarks=(f"the page runs on {runtime.source}",)
    )


TARGETS: Mapping[str, Callable[[Predictor, Wishes], Made]] = {"web": _web}
