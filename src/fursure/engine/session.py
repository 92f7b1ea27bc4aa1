"""A network and what is to be done → the engine that runs it: ONNX bytes → a session."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from fursure.engine.runtime import BATCH, BULK, OnnxRuntime, Session
from fursure.errors import EngineFailed
from fursure.run import Engine, Say, available_threads, to_nobody

if TYPE_CHECKING:
    from fursure.engine.gpu import GpuKind
    from fursure.engine.openvino import Precision


def open_session(
    model: bytes,
    *,
    engine: Engine = "auto",
    photos: int = 1,
    threads: int | None = None,
    gpu: bool = True,
    say: Say = to_nobody,
) -> Session:
    """Load a network for about ``photos`` photos into the fastest engine that may run it.

    Raises:
        EngineFailed: the engine asked for is not installed or cannot run this model.
    """
    every = sessions(model, engine=engine, photos=photos, threads=threads, gpu=gpu, say=say)
    return next(every)


def sessions(
    model: bytes,
    *,
    engine: Engine = "auto",
    photos: int = 1,
    threads: int | None = None,
    batch: int = BATCH,
    gpu: bool = True,
    say: Say = to_nobody,
) -> Iterator[Session]:
    """Yield a network loaded by each engine that may run it, the fastest first.

    ``auto`` is ONNX Runtime, or from `BULK` photos on OpenVINO, where that is installed and has
    passed its self-test for this model on this machine: in bf16 or else in f32, of ``batch``
    photos a call, to which it fills up. In bulk work
    every worker thread runs its own batch on one core; for a few photos one call spreads over
    ``threads`` cores. Before both, unless ``gpu`` forbids it, ``auto`` takes a graphics processor
    that passed too and has paid for its start after ``photos``. What fails there is said, and the
    main processor goes on.

    Raises:
        EngineFailed: the engine asked for is not installed or cannot run this model.
    """
    threads = threads or available_threads()
    match engine:
        case "cuda" | "openvino-gpu":
            yield _asked_gpu(model, engine, threads, say)
            return
    if engine == "auto" and gpu and photos >= BULK:
        yield from _paying_gpus(model, photos, threads, say)
    if engine == "openvino" or (engine == "auto" and photos >= BULK):
        from fursure.engine import openvino, selftest  # they load what many never use

        verdict = selftest.engine_verdict(model)
        for precision in selftest.trusted(verdict.precision):
            yield openvino.OpenVino(model, threads=threads, precision=precision, batch=batch)
        if engine == "openvino" and verdict.precision is None:
            raise EngineFailed(
                f"OpenVINO cannot be used: {verdict.reason}. --engine onnxruntime can."
            )
    if engine != "openvino":
        yield _onnx_runtime(model, threads, bulk=photos >= BULK)


def _asked_gpu(model: bytes, kind: "GpuKind", threads: int, say: Say) -> Session:
    from fursure.engine import gpu, selftest

    verdict = selftest.gpu_verdict(model, kind, again=True)
    reason = verdict.reason or gpu.why_no_gpu(kind)
    if verdict.precision is not None:
        try:
            return _on_gpu(model, kind, verdict.precision, threads, say)
        except EngineFailed as error:
            reason = str(error)
    raise EngineFailed(f"--engine {kind} cannot be used: {reason}. --engine onnxruntime can.")


def _paying_gpus(model: bytes, photos: int, threads: int, say: Say) -> Iterator[Session]:
    """Yield a session on each graphics processor that is worth it and still starts."""
    from fursure.engine import selftest

    for kind, precision in selftest.paying_gpus(model, photos):
        try:
            session = _on_gpu(model, kind, precision, threads, say)
        except EngineFailed as error:
            selftest.dismiss(kind, str(error))
        else:
            yield session


def _on_gpu(
    model: bytes, kind: "GpuKind", precision: "Precision", threads: int, say: Say
) -> Session:
    """Load a network there, with the main processor behind it.

    Raises:
        EngineFailed: it does not start, though it did in its self-test.
    """
    from fursure.engine import gpu

    make = partial(gpu.gpu_session, kind, model, precision)
    try:
        return gpu.OnGpu(make, partial(_onnx_runtime, model, threads, bulk=True), say)
    except Exception as error:  # each library has its own types
        raise EngineFailed(gpu.first_words(error)) from error


def _onnx_runtime(model: bytes, threads: int, *, bulk: bool) -> OnnxRuntime:
    try:
        return OnnxRuntime(model, threads=threads, bulk=bulk)
    except Exception as error:  # it raises its own types, and UnicodeDecodeError among others
        reason = str(error).strip().splitlines()[0][:300]
        raise EngineFailed(f"ONNX Runtime cannot load this model: {reason}") from error
