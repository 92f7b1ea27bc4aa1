"""A network and what is to be done → the engine that runs it: ONNX bytes → a session."""

from collections.abc import Iterator

from fursure.engine.runtime import BULK, OnnxRuntime, Session
from fursure.errors import EngineFailed
from fursure.run import Engine, available_threads


def open_session(
    model: bytes, *, engine: Engine = "auto", photos: int = 1, threads: int | None = None
) -> Session:
    """Load a network for about ``photos`` photos into the fastest engine that may run it.

    Raises:
        EngineFailed: the engine asked for is not installed or cannot run this model.
    """
    return next(sessions(model, engine=engine, photos=photos, threads=threads))


def sessions(
    model: bytes, *, engine: Engine = "auto", photos: int = 1, threads: int | None = None
) -> Iterator[Session]:
    """Yield a network loaded by each engine that may run it, the fastest first.

    ``auto`` is ONNX Runtime, or from `BULK` photos on OpenVINO, where that is installed and has
    passed its self-test for this model on this machine: in bf16 or else in f32. In bulk work
    every worker thread runs its own batch on one core; for a few photos one call spreads over
    ``threads`` cores.

    Raises:
        EngineFailed: the engine asked for is not installed or cannot run this model.
    """
    threads = threads or available_threads()
    if engine == "openvino" or (engine == "auto" and photos >= BULK):
        from fursure.engine import openvino, selftest  # they load what many never use

        verdict = selftest.engine_verdict(model)
        for precision in selftest.trusted(verdict.precision):
            yield openvino.OpenVino(model, threads=threads, precision=precision)
        if engine == "openvino" and verdict.precision is None:
            raise EngineFailed(
                f"OpenVINO cannot be used: {verdict.reason}. --engine onnxruntime can."
            )
    if engine != "openvino":
        yield _onnx_runtime(model, threads, bulk=photos >= BULK)


def _onnx_runtime(model: bytes, threads: int, *, bulk: bool) -> OnnxRuntime:
    try:
        return OnnxRuntime(model, threads=threads, bulk=bulk)
    except Exception as error:  # it raises its own types, and UnicodeDecodeError among others
        reason = str(error).strip().splitlines()[0][:300]
        raise EngineFailed(f"ONNX Runtime cannot load this model: {reason}") from error
