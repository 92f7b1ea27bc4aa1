import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from samples import SIDE, encoder_graph

from fursure.bundle.bundle import Bundle
from fursure.bundle.named import shipped
from fursure.drawings.draw import draw, jpeg
from fursure.engine import selftest
from fursure.engine.network import Network
from fursure.engine.openvino import OpenVino, installed_version
from fursure.engine.parity import check_answers, check_pixels, largest_deviation
from fursure.engine.predictor import Predictor
from fursure.engine.runtime import BATCH, BULK, OnnxRuntime
from fursure.engine.selftest import about_engine
from fursure.engine.session import open_session
from fursure.errors import EngineFailed
from fursure.parallel import chunked, in_order, tapered
from fursure.photos.preprocess import Preprocess
from fursure.run import Engine, available_threads
from fursure.training.train import Trained

needs_openvino = pytest.mark.skipif(
    installed_version() is None, reason="OpenVINO is not installed (extra fast)"
)


@pytest.fixture(scope="module")
def bundle(trained: Trained) -> Bundle:
    return trained.bundle


def test_results_come_in_order_and_few_items_wait() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    results = in_order(lambda number: number * 2, items(), threads=3)
    assert [next(results) for _ in range(10)] == list(range(0, 20, 2))
    assert len(taken) <= 10 + 2 * 3
    results.close()  # type: ignore[attr-defined]


def test_an_error_in_a_worker_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda number: 1 // number, [1, 0, 1], threads=2))


def test_chunks_hold_everything_once() -> None:
    assert list(chunked(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 40, 95, 96, 97, 400, 1000])
def test_lists_get_shorter_where_workers_would_wait_for_the_last(count: int) -> None:
    lists = list(tapered(range(count), 32, least=8, threads=3))
    sizes = [len(some) for some in lists]
    assert [item for some in lists for item in some] == list(range(count))
    assert all(size % 8 == 0 for size in sizes[:-1])  # so batches are those of one long list
    assert sizes == sorted(sizes, reverse=True)
    assert all(size == 32 for size in sizes[: max(0, count - 96) // 32])
    assert max(sizes[-3:], default=0) <= 8


def test_of_an_endless_stream_no_more_is_asked_than_the_workers_have_room_for() -> None:
    source = iter(range(10**9))
    first = next(tapered(source, 32, least=8, threads=3))
    assert first == list(range(32))
    assert next(source) == 96


@needs_openvino
def test_openvino_answers_like_onnx_runtime(bundle: Bundle) -> None:
    pixels = bundle.golden.pixels_NHWC
    a = OnnxRuntime(bundle.model, threads=1)(pixels)
    b = OpenVino(bundle.model, threads=2)(pixels)
    assert a.keys() == b.keys()
    assert np.abs(a["probs"] - b["probs"]).max() <= bundle.meta.engine_gap


@needs_openvino
@pytest.mark.parametrize(("threads", "cores", "tied"), [(1, 2, False), (2, 2, True)])
def test_threads_are_tied_to_cores_only_where_they_fill_the_machine(
    threads: int, cores: int, tied: bool, monkeypatch: pytest.MonkeyPatch, bundle: Bundle
) -> None:
    monkeypatch.setattr("fursure.engine.openvino.cores_allowed", lambda: cores)
    compiled = OpenVino(bundle.model, threads=threads)._compiled
    assert compiled.get_property("ENABLE_CPU_PINNING") is tied


@pytest.mark.long
@needs_openvino
def test_an_answer_does_not_depend_on_its_neighbours(bundle: Bundle) -> None:
    pictures = [draw("cat", seed, size=96) for seed in range(2 * BATCH + 3)]
    network = Network(OpenVino(bundle.model, threads=2), bundle.meta.preprocess)
    together = network(pictures)["probs"]
    alone = np.concatenate([network([one])["probs"] for one in pictures])
    assert np.array_equal(together, alone)


@pytest.mark.long
def test_features_are_the_same_bits_in_any_company(bundle: Bundle) -> None:
    pictures = [draw("dog", seed, size=96) for seed in range(BATCH + 3)]
    session = OnnxRuntime(bundle.model, threads=1, bulk=True)
    network = Network(session, bundle.meta.preprocess)
    together = network.encode(pictures)
    alone = np.concatenate([network.encode([one]) for one in reversed(pictures)])[::-1]
    assert np.array_equal(together, alone)


def test_one_photo_and_many_are_answered_alike(bundle: Bundle, drawings: Path) -> None:
    paths = sorted((drawings / "cat").iterdir())[:20]
    single = Predictor.open(bundle, engine="onnxruntime")
    bulk = Predictor.open(bundle, engine="onnxruntime", photos=BULK, threads=3)
    for one, two in zip(single.predict(paths), bulk.predict(paths), strict=True):
        assert one.path == two.path
        assert one.answer == two.answer
        assert one.confidence == pytest.approx(two.confidence, abs=1e-5)
        assert one.familiarity == pytest.approx(two.familiarity, abs=1e-5)


def test_paths_bytes_pictures_and_arrays_are_answered_alike(bundle: Bundle, tmp_path: Path) -> None:
    picture = draw("cat", seed=5, size=200)
    path = tmp_path / "cat.png"
    picture.save(path)
    predictor = Predictor.open(bundle)
    answers = [
        predictor.predict(one)
        for one in (path, str(path), path.read_bytes(), picture, np.asarray(picture))
    ]
    assert len({one.confidence for one in answers}) == 1


@pytest.mark.parametrize(
    ("photo", "reason"),
    [
        ("none.jpg", "no such file"),
        (".", "a folder, not a photo"),
        (b"", "empty"),
        (b"plain text", "text"),
    ],
)
def test_a_bad_photo_is_a_row_with_its_error(
    bundle: Bundle, photo: Any, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    predictor = Predictor.open(bundle)
    good = jpeg(draw("cat", seed=1))
    rows = predictor.predict([good, photo, good])
    assert rows[0].error is None
    assert rows[0].confidence == rows[2].confidence
    assert reason in (rows[1].error or "")
    assert rows[1].answer == ""
    assert set(rows[1].to_json()) == {"path", "error"}


def test_answers_name_the_engine_and_every_probability(bundle: Bundle) -> None:
    one = Predictor.open(bundle).predict(draw("dog", seed=3))
    assert one.engine.startswith("onnxruntime")
    assert set(one.probabilities) == {"cat", "dog"}
    assert sum(one.probabilities.values()) == pytest.approx(1)
    assert one.confidence == max(one.probabilities.values())


def test_a_stranger_comes_before_unsure_and_unsure_before_a_label(bundle: Bundle) -> None:
    assert bundle.answer("cat", 1.0, familiarity=0.0, threshold=0.9) == "stranger"
    assert bundle.answer("cat", 0.89, familiarity=0.5, threshold=0.9) == "unsure"
    assert bundle.answer("cat", 0.9, familiarity=0.5, threshold=0.9) == "cat"


def test_threads_share_a_predictor(bundle: Bundle, drawings: Path) -> None:
    paths = sorted((drawings / "dog").iterdir())[:16]
    predictor = Predictor.open(bundle)
    expected = [predictor.predict(path) for path in paths]
    assert list(in_order(predictor.predict, paths, threads=8)) == expected


@pytest.mark.long
@pytest.mark.parametrize("engine", ["onnxruntime", pytest.param("openvino", marks=needs_openvino)])
def test_sixteen_threads_share_a_predictor(bundle: Bundle, drawings: Path, engine: Engine) -> None:
    paths = sorted((drawings / "cat").iterdir())[:32]
    predictor = Predictor.open(bundle, engine=engine, threads=1)
    expected = [predictor.predict(path).probabilities["cat"] for path in paths]
    with ThreadPoolExecutor(16) as pool:
        found = [one.probabilities["cat"] for one in pool.map(predictor.predict, paths * 4)]
    assert found == pytest.approx(expected * 4, abs=1e-5)


FORKED = """
import os, sys
import fursure
from fursure.drawings.draw import draw, jpeg
photo = jpeg(draw("cat", 1))
model = fursure.load("pets", engine="onnxruntime", threads=2)
expected = model.predict(photo).confidence
child = os.fork()
if child == 0:
    os._exit(0 if model.predict(photo).confidence == expected else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_model_answers_in_a_process_that_was_forked_after_it_was_opened() -> None:
    run = subprocess.run([sys.executable, "-c", FORKED], timeout=60, check=False)
    assert run.returncode == 0


def test_a_network_that_answers_otherwise_is_refused(bundle: Bundle) -> None:
    class Wrong:
        engine = "onnxruntime 0 fp32"
        bulk = False
        batch = BATCH

        def __call__(self, pixels_NHWC: object) -> dict[str, np.ndarray]:
            probs_NK = bundle.golden.probs_NK
            features_ND = np.zeros((len(probs_NK), bundle.meta.features), np.float32)
            return {"probs": probs_NK + 0.01, "logits": probs_NK, "features": features_ND}

    assert largest_deviation(Wrong(), bundle) == pytest.approx(0.01, abs=1e-6)
    with pytest.raises(EngineFailed, match=r"off by 0\.01.*--engine"):
        check_answers(Wrong(), bundle)


def test_pixels_prepared_otherwise_are_refused(bundle: Bundle) -> None:
    from dataclasses import replace

    other = replace(bundle.meta.preprocess, mode="squash", interpolation="bilinear")
    other = replace(other, crop=0.5, mode="crop")
    changed = replace(bundle, meta=replace(bundle.meta, preprocess=other))
    with pytest.raises(EngineFailed, match="prepares photos differently"):
        check_pixels(changed)


def test_a_broken_network_is_refused_in_a_sentence() -> None:
    with pytest.raises(EngineFailed, match="ONNX Runtime cannot load this model"):
        open_session(b"no network", engine="onnxruntime")


@needs_openvino
def test_auto_takes_openvino_for_many_photos_only() -> None:
    few = open_session(encoder_graph(), photos=BULK - 1)
    many = open_session(encoder_graph(), photos=BULK)
    assert few.engine.startswith("onnxruntime")
    assert many.engine.startswith("openvino")


def child(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let ``code`` be the self-test's child."""
    monkeypatch.setattr(selftest, "SELFTEST_COMMAND", [sys.executable, "-c", code])


@needs_openvino
def test_a_crash_in_the_self_test_costs_only_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = encoder_graph(seed=11)  # another model, so that no verdict is kept yet
    child(monkeypatch, "import os, signal; os.kill(os.getpid(), signal.SIGFPE)")
    session = open_session(graph, photos=BULK)
    assert session.engine.startswith("onnxruntime")
    with pytest.raises(EngineFailed, match=r"died of signal 8.*--engine onnxruntime"):
        open_session(graph, engine="openvino")


@needs_openvino
def test_a_crash_in_bf16_leaves_openvino_in_f32(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = encoder_graph(seed=14)
    crash = "import os, sys; 'bf16' in sys.argv and os.abort(); print('[\"f32\", \"\"]')"
    child(monkeypatch, crash)
    assert open_session(graph, photos=BULK).engine.endswith("fp32")
    assert selftest.engine_verdict(graph) == selftest.EngineVerdict(
        "f32", "bf16: it died of signal 6"
    )


@needs_openvino
def test_what_a_driver_prints_in_the_self_test_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    printed = b'[GPU] \xff is slow\n7\n["bf16", ""]\n'
    child(monkeypatch, f"import sys; sys.stdout.buffer.write({printed!r})")
    assert selftest.engine_verdict(encoder_graph(seed=16)) == selftest.EngineVerdict("bf16")


@needs_openvino
def test_what_only_bf16_gets_wrong_runs_in_f32(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = 'print(\'["bf16", "too rough"]\'); print(\'["f32", ""]\')'
    child(monkeypatch, wrong)
    verdict = selftest.engine_verdict(encoder_graph(seed=15))
    assert verdict == selftest.EngineVerdict("f32", "bf16: too rough")


@needs_openvino
def test_a_verdict_is_kept_and_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = encoder_graph(seed=12)
    first = selftest.engine_verdict(graph)
    assert first.precision is not None
    child(monkeypatch, "raise SystemExit('asked')")
    assert selftest.engine_verdict(graph) == first
    assert "asked" in selftest.engine_verdict(encoder_graph(seed=13)).reason


@needs_openvino
@pytest.mark.parametrize(
    "text", ["{", "[]", '{"2 | x": "passed"}', '{"2 | x": {"precision": "i4"}}']
)
def test_damaged_verdicts_are_found_again(
    text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FURSURE_HOME", str(tmp_path))
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines" / "selftest.json").write_text(text)
    child(monkeypatch, 'print(\'["bf16", ""]\')')
    assert selftest.engine_verdict(encoder_graph()) == selftest.EngineVerdict("bf16")


def test_threads_respect_the_processors_allowed() -> None:
    assert 1 <= available_threads() <= 1024


def test_encoding_uses_the_preprocessing(bundle: Bundle) -> None:
    preprocess = Preprocess(size=SIDE, mode="squash")
    network = Network(OnnxRuntime(encoder_graph(), threads=1), preprocess)
    white, black = Image.new("RGB", (50, 30), "white"), Image.new("RGB", (50, 30))
    features = network.encode([white, black])
    assert not np.allclose(features[0], features[1])


@pytest.mark.long
@needs_openvino
def test_threads_may_all_make_their_first_call_at_once() -> None:
    """It hung half of the time, in a process that had never run OpenVINO: hence the children."""
    code = """
import threading, sys
import numpy as np
from fursure.engine.openvino import OpenVino
session = OpenVino(sys.stdin.buffer.read(), threads=2)
pixels = np.zeros((8, 16, 16, 3), np.uint8)
barrier = threading.Barrier(4)
def work():
    barrier.wait()
    session(pixels)
threads = [threading.Thread(target=work) for _ in range(4)]
[one.start() for one in threads]
[one.join() for one in threads]
"""
    for _ in range(6):
        command = [sys.executable, "-c", code]
        subprocess.run(command, input=encoder_graph(), check=True, timeout=30)


@needs_openvino
def test_a_model_whose_golden_answers_fail_in_bf16_runs_in_f32_and_says_so(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fursure.engine import predictor as module

    def check(session: OnnxRuntime, bundle: Bundle) -> None:
        if session.engine.endswith("bf16"):
            raise EngineFailed("off by 0.4")
        check_answers(session, bundle)

    monkeypatch.setattr(module, "check_answers", check)
    selftest.vouch(bundle.model, "bf16")
    opened = Predictor.open(bundle, photos=BULK)
    engine = opened.network.session.engine
    assert engine.startswith("openvino")
    assert engine.endswith("fp32")
    (told,) = about_engine(engine, bundle.model, asked="auto", photos=BULK)
    assert told == f"engine: {engine} (bf16: its golden answers come out otherwise)"
    selftest.vouch(bundle.model, "bf16")


@needs_openvino
def test_what_runs_many_photos_is_told_once_and_why_nothing_faster_does() -> None:
    graph = encoder_graph(seed=16)
    selftest.vouch(graph, "f32", "bf16: too rough")
    (sentence,) = about_engine("openvino 1 fp32", graph, asked="auto", photos=BULK)
    assert sentence == "engine: openvino 1 fp32 (bf16: too rough)"
    assert not list(about_engine("onnxruntime 1 fp32", graph, asked="auto", photos=BULK - 1))
    assert not list(about_engine("onnxruntime 1 fp32", graph, asked="onnxruntime", photos=BULK))


@needs_openvino
def test_the_self_test_imports_nothing_from_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('code of a stranger')")
    monkeypatch.chdir(tmp_path)
    assert "stranger" not in selftest.engine_verdict(encoder_graph(seed=17)).reason


def test_both_engines_name_the_same_outputs_where_the_temperature_changes_nothing() -> None:
    model = shipped("pets").model
    pixels_NHWC = shipped("pets").golden.pixels_NHWC
    assert shipped("pets").meta.temperature == 1
    a, b = OnnxRuntime(model, threads=1), OpenVino(model, threads=1, precision="f32")
    left, right = a(pixels_NHWC), b(pixels_NHWC)
    assert left.keys() == right.keys()
    assert np.abs(left["logits"] - right["logits"]).max() < 1e-2


@pytest.mark.skipif(installed_version() is None, reason="OpenVINO is not installed")
def test_in_small_batches_a_photo_alone_has_the_bits_it_has_beside_others() -> None:
    predictor = Predictor.open(shipped("pets"), engine="openvino", batch=2)
    photos = [draw("cat", seed=0), draw("dog", seed=1), draw("cat", seed=2)]
    assert predictor.network.session.batch == 2
    together_NK = predictor.predict_proba(photos)
    alone_NK = np.concatenate([predictor.predict_proba([photo]) for photo in photos])
    assert np.array_equal(together_NK, alone_NK)
