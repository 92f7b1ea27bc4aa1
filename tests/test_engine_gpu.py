"""Graphics processors: taken where they agree and pay, told of where they fail, never waited for.

There is none here: a stand-in claims to be one, and computes on the processor.
"""

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as real
import pytest
from samples import SIDE, encoder_graph

from fursure import system
from fursure.commands import doctor, predict
from fursure.engine import gpu, libraries, openvino, runtime, selftest
from fursure.engine.gpu import GPU_BATCH, OnGpu, gpu_session
from fursure.engine.network import Network
from fursure.engine.openvino import installed_version
from fursure.engine.runtime import BULK, OnnxRuntime, Outputs, Pixels
from fursure.engine.selftest import EngineVerdict, about_engine, gpu_verdict
from fursure.engine.session import open_session, sessions
from fursure.engine.trial import gpu_findings, pays_from, photos_a_second
from fursure.errors import EngineFailed
from fursure.features.reader import features_path
from fursure.photos.preprocess import Preprocess
from fursure.run import Run

CUDA = "CUDAExecutionProvider"
GRAPH = encoder_graph()
PIXELS = np.random.default_rng(0).integers(0, 256, (70, SIDE, SIDE, 3), np.uint8)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let each test begin without verdicts, on a machine that shows a card and has the package."""
    monkeypatch.setenv("FURSURE_HOME", str(tmp_path))
    monkeypatch.setattr(gpu, "gpu_devices", lambda: "nvidia0")
    monkeypatch.setattr(selftest, "gpu_devices", lambda: "nvidia0")
    has_packages(monkeypatch, "cuda")


def has_packages(monkeypatch: pytest.MonkeyPatch, *kinds: str) -> None:
    def found(kind: str) -> str | None:
        return "1.32.0" if kind in kinds else None

    monkeypatch.setattr(selftest, "gpu_version", found)


def child(monkeypatch: pytest.MonkeyPatch, *lines: object, code: str = "") -> None:
    """Let the self-test's child say ``lines`` of a graphics processor, or run ``code``.

    OpenVINO on this processor passes in f32.
    """
    told = "\n".join(map(json.dumps, lines))
    code = code or f"print({told!r})"
    whole = (
        f"import sys, os\nif sys.argv[1] in ('bf16', 'f32'): print('[\"f32\", \"\"]')\nelse: {code}"
    )
    monkeypatch.setattr(selftest, "SELFTEST_COMMAND", [sys.executable, "-c", whole])


class StandIn:
    """A session of ONNX Runtime's, on the processor, that says it is on CUDA."""

    def __init__(self, session: Any, providers: list[str], factor: float = 1.0) -> None:
        self._session, self._providers, self._factor = session, providers, factor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def get_providers(self) -> list[str]:
        return self._providers

    def run(self, names: list[str], pixels: dict[str, Pixels]) -> list[np.ndarray]:
        return [values * np.float32(self._factor) for values in self._session.run(names, pixels)]


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return what the stand-in for onnxruntime-gpu does; it starts and agrees unless told."""
    does = SimpleNamespace(
        lists=[CUDA, "CPUExecutionProvider"],
        gets=[CUDA, "CPUExecutionProvider"],
        factor=1.0,
        raises=None,
        prints="",
        options={},
    )

    def inference(model: bytes, options: Any, providers: list[Any], **rest: Any) -> Any:
        on_cpu = ["CPUExecutionProvider"]
        if providers == on_cpu:
            return real.InferenceSession(model, options, providers=on_cpu, **rest)
        if does.raises:
            raise does.raises
        does.options = dict(providers[0][1])
        whole = real.InferenceSession(model, options, providers=on_cpu, **rest)
        return StandIn(whole, does.gets, does.factor)

    module = SimpleNamespace(
        __version__="1.32.0",
        SessionOptions=real.SessionOptions,
        InferenceSession=inference,
        get_available_providers=lambda: does.lists,
        preload_dlls=lambda: print(does.prints),  # noqa: T201 - so does theirs
    )
    for place in (gpu, runtime):
        monkeypatch.setattr(place, "onnxruntime", lambda: module)
    return does


ARENA_IS_FULL = (  # as ONNX Runtime 1.31 said it of an H200 of which it was allowed 256 MB
    "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Conv node. "
    "Name:'blocks.1.0.conv_pw' Status Message: /onnxruntime_src/onnxruntime/core/framework/"
    "bfc_arena.cc:360 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, "
    "onnxruntime::Stream*) Available memory of 33554432 is smaller than requested bytes of 51380224"
)


class Short:
    """A session on a device with room for so many photos a call."""

    engine = "cuda 1.32.0 fp32"
    bulk = True

    def __init__(self, batch: int, room: int, error: str = ARENA_IS_FULL) -> None:
        self.batch, self._room, self._error = batch, room, error
        self._inner = OnnxRuntime(GRAPH, threads=1)

    def __call__(self, pixels_NHWC: Pixels) -> Outputs:
        if len(pixels_NHWC) > self._room:
            raise RuntimeError(self._error)
        return self._inner(pixels_NHWC)


def on_short(room: int, said: list[str], error: str = ARENA_IS_FULL) -> tuple[OnGpu, list[int]]:
    """Return a network on such a device, and the sizes of batch it was loaded for."""
    made: list[int] = []

    def make(batch: int) -> Short:
        made.append(batch)
        return Short(batch, room, error)

    return OnGpu(make, lambda: OnnxRuntime(GRAPH, threads=1, bulk=True), said.append), made


def verdict_of(pays: int | None = 900) -> list[Any]:
    return ["f32", "", pays]


def test_a_card_that_agrees_passes_and_its_start_is_weighed(card: SimpleNamespace) -> None:
    (found,) = gpu_findings(GRAPH, "cuda", None, ["f32"])
    precision, problem, pays = found
    assert (precision, problem) == ("f32", "")
    assert pays is None or pays >= BULK


def test_a_card_computes_in_the_processors_precision_and_leaves_memory_to_others(
    card: SimpleNamespace,
) -> None:
    assert gpu_session("cuda", GRAPH, "f32").engine == "cuda 1.32.0 fp32"
    assert card.options["use_tf32"] == "0"
    assert card.options["cudnn_conv_algo_search"] == "HEURISTIC"  # the same choice each time
    assert 4 * 2**30 <= int(card.options["gpu_mem_limit"]) < 5 * 2**30


def test_a_card_that_answers_otherwise_is_refused(card: SimpleNamespace) -> None:
    card.factor = 1.3
    (found,) = gpu_findings(GRAPH, "cuda", None, ["f32"])
    assert found[0] == "f32"
    assert "neighbours stay its neighbours" in found[1]
    assert found[2] is None


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ({"gets": ["CPUExecutionProvider"]}, "CUDA does not start; does nvidia-smi list a card?"),
        (
            {
                "gets": ["CPUExecutionProvider"],
                "prints": "Failed to load /lib/libcublasLt.so.13: no such file\nPlease follow",
            },
            "libcublasLt.so.13 cannot be loaded (pip install 'onnxruntime-gpu[cuda,cudnn]')",
        ),
        ({"raises": RuntimeError("CUDA failure 35:\n driver too old")}, "35: driver too old"),
        ({"lists": ["CPUExecutionProvider"]}, "onnxruntime was installed over it; pip uninstall"),
    ],
)
def test_a_card_that_does_not_start_is_named_with_its_reason_and_nothing_is_printed(
    does: dict[str, Any], reason: str, card: SimpleNamespace, capfd: pytest.CaptureFixture[str]
) -> None:
    vars(card).update(does)
    ((precision, problem, pays),) = gpu_findings(GRAPH, "cuda", None, ["f32"])
    assert (precision, pays) == ("", None)
    assert reason in problem
    assert capfd.readouterr().out == ""


def test_a_slow_start_pays_from_so_many_photos_on_and_a_slow_device_never() -> None:
    assert pays_from(3.0, gpu=1000, processor=250) == 1000  # 4 s there, as 3 s and 1 s here
    assert pays_from(0.0, gpu=1000, processor=250) == BULK
    assert pays_from(0.1, gpu=250, processor=250) is None


def test_the_speed_of_a_session_is_that_of_whole_batches_on_all_its_threads() -> None:
    calls: list[int] = []

    class Counting(Short):
        def __call__(self, pixels_NHWC: Pixels) -> Outputs:
            calls.append(len(pixels_NHWC))
            return {}

    assert photos_a_second(Counting(4, 4), PIXELS, threads=5) > 0
    assert calls == [4] * 10 * 2


@pytest.mark.parametrize(
    ("room", "sizes"), [(32, [32]), (9, [32, 16, 8]), (1, [32, 16, 8, 4, 2, 1])]
)
def test_where_memory_is_short_batches_get_smaller_and_answers_stay(
    room: int, sizes: list[int]
) -> None:
    said: list[str] = []
    on_gpu, made = on_short(room, said)
    outputs = on_gpu(PIXELS)
    expected = OnnxRuntime(GRAPH, threads=1)(PIXELS)
    assert np.allclose(outputs["features"], expected["features"], atol=1e-5)
    assert made == sizes
    assert on_gpu.engine == "cuda 1.32.0 fp32"
    assert not said


def test_where_one_photo_is_too_much_the_processor_goes_on_and_says_so() -> None:
    said: list[str] = []
    on_gpu, _ = on_short(0, said)
    assert len(on_gpu(PIXELS)["features"]) == len(PIXELS)
    here = f"onnxruntime {real.__version__} fp32"
    assert said == [
        f"cuda 1.32.0 fp32 failed (its memory is too short for one photo); {here} goes on"
    ]
    assert on_gpu.engine == here


def test_what_else_breaks_leaves_the_device_at_once_and_once_for_all_threads() -> None:
    said: list[str] = []
    on_gpu, made = on_short(0, said, "CUDA failure 719: unspecified launch failure")
    with ThreadPoolExecutor(4) as pool:
        rows = [len(out["features"]) for out in pool.map(on_gpu, [PIXELS[:8]] * 12)]
    assert rows == [8] * 12
    assert made == [GPU_BATCH]
    assert len(said) == 1


def test_where_the_processor_cannot_go_on_either_every_call_says_why() -> None:
    def processor() -> OnnxRuntime:
        raise EngineFailed("the model is too large for this machine")

    on_gpu = OnGpu(lambda batch: Short(batch, 0, "CUDA failure 719"), processor)
    for _ in range(2):
        with pytest.raises(EngineFailed, match="too large for this machine"):
            on_gpu(PIXELS)


def test_a_forked_process_leaves_the_device_to_the_one_that_opened_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    on_gpu, _ = on_short(32, said)
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert len(on_gpu(PIXELS[:3])["features"]) == 3
    assert "forked" in said[0]


def test_preparing_threads_fill_larger_batches_for_a_device() -> None:
    class Noted(Short):
        def __call__(self, pixels_NHWC: Pixels) -> Outputs:
            shapes.append(len(pixels_NHWC))
            return super().__call__(pixels_NHWC)

    from PIL import Image

    shapes: list[int] = []
    network = Network(Noted(GPU_BATCH, GPU_BATCH), Preprocess(size=SIDE, mode="squash"))
    photos = [Image.new("RGB", (20, 20), (row, 0, 0)) for row in range(GPU_BATCH + 3)]
    assert len(network.encode(photos)) == len(photos)
    assert shapes == [GPU_BATCH, GPU_BATCH]  # the second one filled up, so that bits stay


def gpu_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let networks load on a device."""
    monkeypatch.setattr(gpu, "gpu_session", lambda *_: Short(32, 32))


@pytest.mark.parametrize(("photos", "taken"), [(899, False), (900, True)])
def test_auto_takes_a_device_for_as_many_photos_as_its_start_pays_for(
    photos: int, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    child(monkeypatch, verdict_of(900))
    gpu_here(monkeypatch)
    engine = open_session(GRAPH, photos=photos).engine
    assert engine.startswith("cuda ") is taken
    if not taken:
        (sentence,) = about_engine(engine, GRAPH, asked="auto", photos=photos)
        assert "cuda from 900 on" in sentence


def test_auto_leaves_a_device_that_is_slower_and_who_asks_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    child(monkeypatch, verdict_of(None))
    gpu_here(monkeypatch)
    engine = open_session(GRAPH, photos=10**9).engine
    assert not engine.startswith("cuda")
    assert "cuda is slower" in next(about_engine(engine, GRAPH, asked="auto", photos=10**9))
    assert open_session(GRAPH, engine="cuda").engine.startswith("cuda")


def test_where_a_device_is_not_wanted_none_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, code="raise SystemExit('asked')")
    monkeypatch.setattr(selftest, "gpu_verdict", pytest.fail)
    for options in ({"photos": BULK, "gpu": False}, {"photos": BULK - 1}):
        assert not open_session(GRAPH, **options).engine.startswith("cuda")  # type: ignore[arg-type]


def test_a_verdict_on_a_device_is_kept_for_a_network_until_devices_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    child(monkeypatch, verdict_of())
    first = gpu_verdict(GRAPH, "cuda")
    assert first == EngineVerdict("f32", "", 900)
    child(monkeypatch, code="raise SystemExit('asked')")
    assert gpu_verdict(GRAPH, "cuda") == first
    assert "asked" in gpu_verdict(encoder_graph(seed=1), "cuda").reason
    monkeypatch.setattr(selftest, "gpu_devices", lambda: "nvidia0 nvidia1")
    assert "asked" in gpu_verdict(GRAPH, "cuda").reason


def test_what_does_not_start_is_one_remark_and_tried_again_only_when_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    child(monkeypatch, ["", "no driver", None])
    engine = open_session(GRAPH, photos=BULK).engine
    (sentence,) = about_engine(engine, GRAPH, asked="auto", photos=BULK)
    assert sentence.count("cuda: no driver") == 1
    child(monkeypatch, code="raise SystemExit('asked')")
    assert gpu_verdict(encoder_graph(seed=2), "cuda").reason == "no driver"  # nor the next network
    child(monkeypatch, ["", "still none", None])
    with pytest.raises(EngineFailed, match=r"--engine cuda cannot.*still none.*onnxruntime can"):
        open_session(GRAPH, engine="cuda")
    child(monkeypatch, verdict_of())
    assert gpu_verdict(GRAPH, "cuda", again=True).precision == "f32"
    child(monkeypatch, code="raise SystemExit('asked')")
    assert gpu_verdict(GRAPH, "cuda") == EngineVerdict("f32", "", 900)


def test_a_crash_of_a_driver_costs_only_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, code="os.abort()")
    assert not open_session(GRAPH, photos=BULK).engine.startswith("cuda")
    assert gpu_verdict(GRAPH, "cuda").reason == "its self-test failed (f32: it died of signal 6)"


def test_what_started_in_its_trial_and_no_longer_does_is_left_and_told(
    monkeypatch: pytest.MonkeyPatch, card: SimpleNamespace
) -> None:
    child(monkeypatch, verdict_of(BULK))
    card.raises = RuntimeError("CUDA failure 100: no device")
    engine = open_session(GRAPH, photos=BULK).engine
    assert not engine.startswith("cuda")
    assert "cuda: CUDA failure 100" in next(about_engine(engine, GRAPH, asked="auto", photos=BULK))


def test_wrong_golden_answers_send_a_model_back_to_the_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    child(monkeypatch, verdict_of(BULK))
    gpu_here(monkeypatch)
    first, second, *_ = sessions(GRAPH, photos=BULK)
    assert first.engine.startswith("cuda ")
    assert not second.engine.startswith("cuda ")
    selftest.distrust(GRAPH, first.engine)
    assert not next(sessions(GRAPH, photos=BULK)).engine.startswith("cuda")
    assert gpu_verdict(GRAPH, "cuda").reason == "its golden answers come out otherwise"


@pytest.mark.parametrize(
    ("found", "reason"),
    [("cuda", "onnxruntime-gpu is not installed"), ("openvino-gpu", "OpenVINO")],
)
def test_a_device_that_is_not_there_is_refused_in_a_sentence_and_no_remark_of_auto(
    found: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    child(monkeypatch)
    has_packages(monkeypatch)
    with pytest.raises(EngineFailed, match=reason):
        open_session(GRAPH, engine=found)
    engine = open_session(GRAPH, photos=BULK).engine
    assert found not in next(about_engine(engine, GRAPH, asked="auto", photos=BULK))


class Core:
    """OpenVINO's, with a GPU that is the processor."""

    available_devices = ("CPU", "GPU.0")

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._core = openvino.core()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def compile_model(self, graph: Any, device: str, settings: dict[str, Any]) -> Any:
        self.asked.append((device, settings))
        return self._core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


@pytest.mark.skipif(installed_version() is None, reason="OpenVINO is not installed (extra fast)")
def test_openvino_on_a_gpu_agrees_in_halves_first_and_is_asked_nothing_of_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core = Core()
    for place in (gpu, openvino):
        monkeypatch.setattr(place, "core", lambda: core)
    assert gpu.lists_gpu("openvino-gpu")
    ((precision, problem, _),) = gpu_findings(GRAPH, "openvino-gpu", None, ["f16", "f32"])
    assert (precision, problem) == ("f16", "")
    (device, settings) = core.asked[0]
    assert device == "GPU"
    assert settings.keys() == {"PERFORMANCE_HINT", "NUM_STREAMS", "INFERENCE_PRECISION_HINT"}
    session = gpu_session("openvino-gpu", GRAPH, "f16", 32)
    assert session.engine == f"openvino-gpu {installed_version()} fp16"
    together = session(PIXELS[:40])["features"]
    assert np.array_equal(together[:3], session(PIXELS[:3])["features"])


@pytest.mark.skipif(installed_version() is None, reason="OpenVINO is not installed (extra fast)")
def test_where_openvino_lists_no_gpu_nothing_is_said_of_it() -> None:
    assert list(gpu_findings(GRAPH, "openvino-gpu", None, ["f16"])) == [("", "", None)]


def test_devices_are_seen_without_a_library_and_change_with_the_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(system, "PLATFORM", "win32")
    assert system.gpu_devices() == "windows"
    monkeypatch.setattr(system, "PLATFORM", "linux")
    names = {"nvidia[0-9]*": ["nvidia0"], "renderD*": ["renderD128"], "dxg": []}
    monkeypatch.setattr(Path, "glob", lambda _, pattern: map(Path, names[pattern]))
    assert system.gpu_devices().startswith("nvidia0 renderD128")
    names.update({pattern: [] for pattern in names})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert system.gpu_devices() == ""


def test_either_package_of_onnx_runtime_tells_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def only(package: str) -> Callable[[str], str]:
        def version(name: str) -> str:
            if name != package:
                raise PackageNotFoundError(name)
            return "9.9"

        return version

    for package in ("onnxruntime", "onnxruntime-gpu"):
        monkeypatch.setattr("importlib.metadata.version", only(package))
        assert libraries.onnxruntime_version() == "9.9"
    monkeypatch.setattr("importlib.metadata.version", only("onnxruntime-of-ones-own"))
    assert libraries.onnxruntime_version() == real.__version__


def test_features_of_a_device_are_kept_apart_from_the_processors() -> None:
    names = [
        features_path("d", Preprocess(), engine)
        for engine in (
            "onnxruntime 1 fp32",
            "cuda 1 fp32",
            "openvino-gpu 1 fp16",
            "openvino-gpu 1 fp32",
        )
    ]
    assert len(set(names)) == 4
    assert features_path("d", Preprocess(), "cuda 2 fp32") == names[1]


def test_photos_are_counted_as_far_as_a_devices_start_may_pay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle: Any = SimpleNamespace(model=GRAPH)
    for pays, more in ((None, 0), (10**6, 0), (900, 700)):
        selftest._remember({selftest._gpu_key("cuda", GRAPH): EngineVerdict("f32", "", pays)})
        assert predict._more_to_count(bundle, Run()) == more
    assert predict._more_to_count(bundle, Run(engine="onnxruntime")) == 0
    assert predict._more_to_count(bundle, Run(on="ray")) == 0


def test_the_doctor_says_what_each_device_is_for_and_tries_again_what_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def told() -> Iterator[tuple[str, str, bool]]:
        for finding in doctor._gpus(GRAPH):
            yield finding.what, finding.found, finding.good

    child(monkeypatch, ["", "no driver", None])
    assert next(told()) == ("cuda", "no driver", False)
    child(monkeypatch, verdict_of())
    cuda, intel = told()
    assert cuda == ("cuda", "in f32, from 900 photos on", True)
    assert intel[0] == "openvino-gpu"
    assert intel[2]  # nothing is wrong with a machine that has none
