"""A model and what is asked for → the network that leaves the house, and what it has to answer."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from fursure.engine.network import Network
from fursure.engine.parity import SAME, largest_deviation
from fursure.engine.predictor import Predictor
from fursure.engine.runtime import BATCH, OnnxRuntime, Outputs, Pixels
from fursure.errors import ExportFailed, MissingExtra
from fursure.exporting.halves import halved
from fursure.exporting.rounded import rounded

StoredAs = Literal["fp32", "fp16", "int8"]
# Whole numbers of 8 bits are added up in another order by each engine and processor, and a value
# between two of them falls on either side.
SAME_INT8 = 0.02  # largest |difference| of a golden probability in int8


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What was asked for beside the target."""

    precision: StoredAs = "fp32"
    calibrate: Path | None = None  # photos; for int8 alone
    runtime: Path | None = None  # a folder with onnxruntime-web
    batch: int | None = None  # photos a call; None leaves it open
    opset: int | None = None  # version of ONNX; None is ours
    max_error: float | None = None  # share of wrong answers; None is the model's own


NOTHING_ELSE = Wishes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ported:
    """A network as it is exported."""

    predictor: Predictor  # what answers the golden inputs as the network has to
    onnx: bytes
    bound: float  # largest |difference| allowed of a golden probability
    batch: int | None = None
    remarks: tuple[str, ...] = ()  # what its precision costs

    def check(self, where: str, opened: Callable[[], Callable[[Pixels], Outputs]]) -> None:
        """Ask the exported network, ``opened`` by what runs it, ``where``, for its golden answers.

        Raises:
            ExportFailed: they are others.
        """
        try:
            gap = largest_deviation(_filled_up(opened(), self.batch), self.predictor.bundle)
        except Exception as error:  # engines raise their own types
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
            raise ExportFailed(f"{where} cannot run the exported network ({reason}).") from error
        if not gap <= self.bound:
            raise ExportFailed(
                f"by {where} the exported network answers otherwise: a golden probability is off "
                f"by {gap:.4f}, and {self.bound} is allowed; try another --precision or --opset."
            )


def ported(predictor: Predictor, wishes: Wishes) -> Ported:
    """Return the network in the precision, opset and batch asked for, proven by ONNX Runtime.

    Raises:
        FursureError: it cannot be had so, or answers otherwise then.
    """
    made = _in_precision(predictor, wishes)
    if wishes.opset is not None or wishes.batch is not None:
        made = replace(made, onnx=_rewritten(made.onnx, wishes), batch=wishes.batch)
    made.check("ONNX Runtime", lambda: OnnxRuntime(made.onnx, threads=1))
    return made


def _in_precision(predictor: Predictor, wishes: Wishes) -> Ported:
    match wishes.precision:
        case "fp32":
            return Ported(predictor=predictor, onnx=predictor.bundle.model, bound=SAME)
        case "fp16":
            return in_halves(Ported(predictor=predictor, onnx=predictor.bundle.model, bound=SAME))
        case "int8":
            if wishes.calibrate is None:
                raise ExportFailed(
                    "int8 is calibrated on photos like those it will see; name some, 500 will do: "
                    "--calibrate PHOTOS, a folder or an archive."
                )
            network, changes = rounded(predictor, wishes.calibrate)
            own = _answering(predictor, network)
            return Ported(predictor=own, onnx=network, bound=SAME_INT8, remarks=(str(changes),))


def in_halves(made: Ported) -> Ported:
    """Return ``made`` with its large weights in fp16, and what that costs.

    Raises:
        FursureError: it moves answers, or the package that edits networks is not installed.
    """
    bundle = replace(made.predictor.bundle, model=made.onnx)
    network, gap = halved(replace(made.predictor, bundle=bundle), batch=made.batch or BATCH)
    told = f"with weights in fp16 probabilities move by up to {gap:.4f} on drawings"
    return replace(made, onnx=network, remarks=(told,))


def _answering(predictor: Predictor, network: bytes) -> Predictor:
    """Return what answers by ``network``; its golden answers are that network's own."""
    session = OnnxRuntime(network, threads=predictor.threads)
    bundle = predictor.bundle
    probs_NK = np.asarray(session(bundle.golden.pixels_NHWC)["probs"])
    golden = replace(bundle.golden, probs_NK=probs_NK)
    return replace(
        predictor,
        bundle=replace(bundle, model=network, golden=golden),
        network=Network(session, bundle.meta.preprocess),
    )


def _rewritten(network: bytes, wishes: Wishes) -> bytes:
    try:
        from fursure.graphs.variants import at_opset, with_batch
    except MissingExtra as error:
        raise MissingExtra("another opset or a fixed batch", "train") from error
    if wishes.opset is not None:
        network = at_opset(network, wishes.opset)
    return network if wishes.batch is None else with_batch(network, wishes.batch)


def _filled_up(
    session: Callable[[Pixels], Outputs], batch: int | None
) -> Callable[[Pixels], Outputs]:
    """Return ``session`` for any number of photos, where it takes ``batch`` of them at a time."""
    if batch is None:
        return session

    def each(pixels_NHWC: Pixels) -> Outputs:
        rows = [session(np.repeat(row[None], batch, axis=0)) for row in pixels_NHWC]
        return {name: np.concatenate([row[name][:1] for row in rows]) for name in rows[0]}

    return each
