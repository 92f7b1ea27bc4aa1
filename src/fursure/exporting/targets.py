"""What a model can be exported to: a name on the command line → what makes its files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

from fursure.engine.predictor import Predictor
from fursure.errors import ExportFailed, some
from fursure.exporting.kserve import kserve_files
from fursure.exporting.own_layers import runs_by_itself
from fursure.exporting.phones import READ_BACK, coreml_files, litert_files
from fursure.exporting.plain import exported_card, plain_files
from fursure.exporting.ported import NOTHING_ELSE, StoredAs, Wishes, ported
from fursure.exporting.runtime import OWN_CODE, web_runtime
from fursure.exporting.triton import MOST_PHOTOS, triton_files
from fursure.exporting.web import web_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The files of a target by their paths in its folder, and what is worth saying of them."""

    files: Mapping[str, bytes]
    remarks: tuple[str, ...] = ()
    look: str = ""  # a command that shows it, with its folder as {folder}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A way to run a model elsewhere."""

    made: Callable[[Predictor, Wishes], Made]
    takes: frozenset[str]  # fields of `Wishes` that mean something to it
    precisions: frozenset[StoredAs] = frozenset({"fp32", "fp16", "int8"})

    def check(self, name: str, wishes: Wishes) -> None:
        """Refuse early what this target, called ``name``, has no use for.

        Raises:
            ExportFailed: something else was asked for.
        """
        asked = {
            knob.name
            for knob in fields(wishes)
            if getattr(wishes, knob.name) != getattr(NOTHING_ELSE, knob.name)
        }
        if foreign := sorted(f"--{knob}" for knob in asked - self.takes - {"max_error"}):
            raise ExportFailed(f"--to {name} has no use for {some(foreign)}; leave it out.")
        if wishes.precision not in self.precisions:
            offered = " or ".join(f"--precision {name}" for name in sorted(self.precisions))
            raise ExportFailed(f"--to {name} has no {wishes.precision}: export it with {offered}.")
        if wishes.calibrate is not None and wishes.precision != "int8":
            raise ExportFailed("--calibrate names photos for --precision int8; add that.")


def _web(predictor: Predictor, wishes: Wishes) -> Made:
    runtime = web_runtime(wishes.runtime)
    made = ported(predictor, wishes)
    if runs_by_itself(made.onnx, predictor.network.preprocess.size):
        runtime = OWN_CODE
    files = web_files(made.predictor, runtime, made.onnx, made.bound)
    if wishes.precision == "int8":  # what it costs is told to those who find the page
        files["card.md"] = exported_card(made, "a page")
    return Made(
        files=files,
        remarks=(f"the page runs on {runtime.source}", *made.remarks),
        look="python -m http.server --bind 127.0.0.1 -d {folder} 8001",
    )


def _onnx(predictor: Predictor, wishes: Wishes) -> Made:
    made = ported(predictor, wishes)
    return Made(files=plain_files(made), remarks=made.remarks)


def _openvino(predictor: Predictor, wishes: Wishes) -> Made:
    from fursure.exporting.openvino_files import openvino_files  # loads what many never use

    made = ported(predictor, wishes)
    return Made(files=openvino_files(made), remarks=made.remarks)


def _triton(predictor: Predictor, wishes: Wishes) -> Made:
    made = ported(predictor, replace(wishes, batch=None))  # Triton's batches are of any size
    return Made(files=triton_files(made, wishes.batch or MOST_PHOTOS), remarks=made.remarks)


def _kserve(predictor: Predictor, wishes: Wishes) -> Made:
    return Made(files=kserve_files(ported(predictor, NOTHING_ELSE), wishes.max_error))


def _litert(predictor: Predictor, wishes: Wishes) -> Made:
    files, made = litert_files(predictor, wishes)
    return Made(files=files, remarks=made.remarks)


def _coreml(predictor: Predictor, wishes: Wishes) -> Made:
    files, made = coreml_files(predictor, wishes)
    return Made(files=files, remarks=(*made.remarks, READ_BACK))


_PRECISION = {"precision", "calibrate"}
_ON_PHONES = frozenset({"precision", "calibrate"})  # calibrate: to say that there is no int8
_FLOATS: frozenset[StoredAs] = frozenset({"fp32", "fp16"})
TARGETS: Mapping[str, Target] = {
    "web": Target(made=_web, takes=frozenset({*_PRECISION, "runtime"})),
    "onnx": Target(made=_onnx, takes=frozenset({*_PRECISION, "batch", "opset"})),
    "openvino": Target(made=_openvino, takes=frozenset({*_PRECISION, "batch", "opset"})),
    "litert": Target(made=_litert, takes=_ON_PHONES, precisions=_FLOATS),
    "coreml": Target(made=_coreml, takes=_ON_PHONES, precisions=_FLOATS),
    "triton": Target(made=_triton, takes=frozenset({*_PRECISION, "batch", "opset"})),
    "kserve": Target(made=_kserve, takes=frozenset()),
}
