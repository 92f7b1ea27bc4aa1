"""A model → what telephones run: a LiteRT model or a Core ML package, with all that belongs to it.

Both are made for one photo a call, and asked for their golden answers as they lie on disk.
"""

from dataclasses import replace

from fursure.engine.predictor import Predictor
from fursure.errors import MissingExtra
from fursure.exporting.plain import belongings, readme
from fursure.exporting.ported import Ported, Wishes, in_halves, ported

READ_BACK = "the package was read back and computed by ONNX Runtime; Core ML itself did not run"
_AT_ONCE = 1  # photos a call


def litert_files(predictor: Predictor, wishes: Wishes) -> tuple[dict[str, bytes], Ported]:
    """Return model.tflite with what else an app needs, and what was converted.

    Raises:
        ExportFailed: an operator has no translation, or LiteRT answers otherwise.
        MissingExtra: LiteRT is not installed.
    """
    _needs_onnx("LiteRT", "litert")
    from fursure.phones.litert import LiteRt, litert_model
    from fursure.phones.straight import straightened

    made = _one_at_a_time(predictor, wishes)
    model = litert_model(straightened(made.onnx))
    made.check("LiteRT", lambda: LiteRt(model))
    files = {"model.tflite": model, **belongings(made, "LiteRT")}
    return files | {"README.md": readme(made, "litert.md")}, made


def coreml_files(predictor: Predictor, wishes: Wishes) -> tuple[dict[str, bytes], Ported]:
    """Return model.mlpackage with what else an app needs, and what was converted.

    Raises:
        ExportFailed: an operator has no translation, or the package holds other numbers.
        MissingExtra: coremltools is not installed.
    """
    _needs_onnx("Core ML", "coreml")
    from fursure.phones.coreml import PACKAGE_NAME, ReadBack, coreml_package
    from fursure.phones.straight import straightened

    made = _one_at_a_time(predictor, wishes)
    package = coreml_package(straightened(made.onnx))
    made.check("the Core ML package, read back,", lambda: ReadBack(package))
    files = {f"{PACKAGE_NAME}/{name}": data for name, data in package.items()}
    files |= belongings(made, "Core ML")
    return files | {"README.md": readme(made, "coreml.md")}, made


def _needs_onnx(target: str, extra: str) -> None:
    """Refuse early where the package that reads networks is absent; it comes with ``extra``."""
    try:
        import fursure.graphs.graph  # noqa: F401
    except MissingExtra as error:
        raise MissingExtra(f"exporting to {target}", extra) from error


def _one_at_a_time(predictor: Predictor, wishes: Wishes) -> Ported:
    """Return the network for one photo, all that is known in advance done, in its precision."""
    from fursure.phones.straight import simplified

    made = ported(predictor, Wishes(batch=_AT_ONCE))
    made = replace(made, onnx=simplified(made.onnx))
    return in_halves(made) if wishes.precision == "fp16" else made
