"""One request cannot freeze the service, nor fill it: each input is bounded before it is read."""

import asyncio
import errno
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from serving import Service, form, received, serving, until

from fursure.bundle.named import shipped
from fursure.connections.accepting import accept
from fursure.connections.limits import ServiceLimits
from fursure.connections.memory import KEPT_BYTES, SMALL_BYTES, Account, Memory
from fursure.connections.problems import Problem
from fursure.drawings.draw import draw, jpeg
from fursure.service import inference_v2
from fursure.service.inference_answers import most, response
from fursure.service.inference_v2 import work_in
from fursure.service.models import Answer
from fursure.service.multipart import files_in

CAT = jpeg(draw("cat", seed=1))
FAST = ["--engine", "onnxruntime", "--threads", "1"]
MEGABYTE = 2**20


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("bounds") / "log"
    with serving(log, "pets", *FAST) as running:
        running("POST", "/v1/predict", CAT)
        yield running


def pixels(data: Any, shape: list[int]) -> bytes:
    tensor = {"name": "pixels", "datatype": "UINT8", "shape": shape, "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


def photos(**changes: Any) -> dict[str, Any]:
    return {"name": "photos", "datatype": "BYTES", "shape": [1], "data": [""], **changes}


def refusal(body: bytes, length: str | None = None) -> str:
    """Return why a request of the protocol is refused, which has to take next to no time."""
    began = time.process_time()
    with pytest.raises(Problem) as problem:
        work_in(body, length, ServiceLimits(), 224)
    assert time.process_time() - began < 0.5  # they took from 1 to 17 seconds
    return problem.value.detail


# The Open Inference Protocol


def test_a_shape_of_endless_dimensions_is_not_multiplied() -> None:
    shape = b",".join([b"9"] * 200_000)
    body = b'{"inputs":[{"name":"photos","datatype":"BYTES","data":[],"shape":[%s]}]}' % shape
    assert "at most 4 numbers" in refusal(body)
    assert "1 to 64" in refusal(json.dumps({"inputs": [photos(shape=[10**39] * 4)]}).encode())


def test_words_in_place_of_pixels_become_no_array() -> None:
    with no_arrays():
        found = refusal(pixels(["a" * 40_000] + ["b"] * 5_000, [1, 224, 224, 3]))
    assert "numbers from 0 to 255" in found


class no_arrays:  # noqa: N801 - reads as a sentence
    """Fail where `np.array` is called: of 45 KB of words it makes 900 MB."""

    def __enter__(self) -> None:
        self.patch = pytest.MonkeyPatch()

        def refuse(*_args: Any) -> None:
            raise AssertionError

        self.patch.setattr(np, "array", refuse)

    def __exit__(self, *_: object) -> None:
        self.patch.undo()


@pytest.mark.parametrize("value", [b"[]", b"{}", b"1", b'""'])
def test_json_of_endless_values_is_refused_unread(value: bytes) -> None:
    body = b'{"inputs":[{"data":[%s]}]}' % b",".join([value] * 3_000_000)
    assert "more than 524,288 values" in refusal(body)


@pytest.mark.parametrize("number", [b"9" * 4_000, b"0." + b"9" * 1_000_000, b"9" * 41])
def test_a_number_without_end_is_not_computed(number: bytes) -> None:
    assert "over 40 characters" in refusal(b'{"inputs":[%s]}' % b",".join([number] * 3))


def test_lists_and_escapes_count_twice_for_nothing_interrupts_reading_them() -> None:
    for value in (b"[],", rb"\u00e4"):
        assert "more than 524,288 values" in refusal(b'{"inputs":["%s"]}' % (value * 262_144))


@pytest.mark.parametrize(
    "data", [[1.5] * 12, [[256] * 12], [-1] * 12, [[None]], "a" * 12, [1] * 11, [[1, [2]]], {}]
)
def test_pixels_are_whole_numbers_of_a_byte_and_as_many_as_the_shape_says(data: Any) -> None:
    with pytest.raises(Problem, match="numbers from 0 to 255"):
        work_in(pixels(data, [1, 2, 2, 3]), None, ServiceLimits(), 2)


@pytest.mark.parametrize("nested", [False, True])
def test_pixels_may_be_nested_or_not(nested: bool) -> None:
    values_NHWC = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    data = values_NHWC.tolist() if nested else values_NHWC.ravel().tolist()
    (work,), _ = work_in(pixels(data, [2, 2, 2, 3]), None, ServiceLimits(), 2)
    assert np.array_equal(work, values_NHWC)


@pytest.mark.parametrize(
    "outputs",
    [
        [{"name": "probs"}] * 2,
        [{"name": f"o{n}"} for n in range(17)],
        [{"name": "features"}] * 3000,
    ],
)
def test_an_output_is_asked_for_once(outputs: list[dict[str, str]]) -> None:
    body = json.dumps({"inputs": [photos()], "outputs": outputs}).encode()
    assert "at most 16 tensors, each once" in refusal(body)


def test_more_strings_than_the_shape_says_are_not_cut_out() -> None:
    head = json.dumps({"inputs": [photos(parameters={"binary_data_size": 8_000_000})]}).encode()
    assert "more than the 1" in refusal(head + bytes(8_000_000), str(len(head)))


def test_base64_in_pieces_is_what_it_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference_v2, "DECODED", 8)
    assert inference_v2._decoded("AAECAwQFBgcICQ==") == bytes(range(10))
    for text in ("AAECAw==AAECAw==", "AAECAwQF!gcICQ==", "AAECAwQFB"):
        with pytest.raises(ValueError):  # noqa: PT011 - binascii's own, or ours
            inference_v2._decoded(text)


def test_outputs_written_in_pieces_are_json(service: Service) -> None:
    answer = service("POST", "/v2/models/pets/infer", infer([CAT] * 5)).json
    shapes = {output["name"]: output["shape"] for output in answer["outputs"]}
    assert shapes["features"] == [5, 1280]  # 6,400 numbers: two pieces
    for output in answer["outputs"]:
        assert len(output["data"]) == np.prod(output["shape"])


def infer(files: list[bytes]) -> bytes:
    from base64 import b64encode

    data = [b64encode(file).decode() for file in files]
    return json.dumps({"inputs": [photos(shape=[len(data)], data=data)]}).encode()


# Forms


@pytest.mark.parametrize("kind", ["name=a", 'name="a"; filename="b"'])
def test_a_form_of_endless_parts_is_refused_after_eighty(kind: str) -> None:
    part = f"--x\r\nContent-Disposition: form-data; {kind}\r\n\r\nb\r\n".encode()
    began = time.process_time()
    with pytest.raises(Problem, match="more than") as problem:
        files_in(part * 200_000 + b"--x--\r\n", "multipart/form-data; boundary=x", most=64)
    assert problem.value.status == 413
    assert time.process_time() - began < 0.2  # 3.5 s they were


def test_a_photo_that_nearly_repeats_the_boundary_costs_nothing() -> None:
    photo = b"\r\n--xyxyxyxyxy" * 500_000
    body, kind = form({"a": photo}, boundary="xyxyxyxyxyx")
    began = time.process_time()
    assert files_in(body, kind, most=1) == [("a", photo)]
    assert time.process_time() - began < 0.2


@pytest.mark.parametrize(
    "body",
    [
        b"--x\r\n--x--",
        b"--x--",
        b"--xy\r\n\r\n\r\n--x--",
        b"--x\r\nContent-Disposition: form-data; filename=a\r\n--x--",
        b"--x\r\n\r\n--x--",
    ],
)
def test_a_damaged_form_is_refused(body: bytes) -> None:
    with pytest.raises(Problem):
        files_in(body, "multipart/form-data; boundary=x", most=1)


# Around a body


def test_trailers_are_not_kept(service: Service) -> None:
    memory = service.state()[2]
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as link:
        link.sendall(
            b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"1\r\na\r\n0\r\n"
        )
        piece = b"x: 1234567890\r\n" * 4_000
        with suppress(ConnectionError, TimeoutError):
            for _ in range(400):  # 24 MB; they took eleven times their size
                link.sendall(piece)
        answer = b"".join(received(link))
    assert answer[9:12] in {b"400", b""}  # a reset may overtake it
    assert service.state()[2] < memory + 20 * MEGABYTE
    assert 'reason="wrapping"' in service("GET", "/metrics").body.decode()


def test_a_body_that_grows_beyond_the_cap_is_cut_off_while_it_comes(service: Service) -> None:
    memory = service.state()[2]
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as link:
        link.sendall(
            b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        piece = b"10000\r\n" + b"a" * 65536 + b"\r\n"
        with suppress(ConnectionError, TimeoutError):
            for _ in range(21 * 16):  # 21 MiB; 20 are taken
                link.sendall(piece)
        began = time.monotonic()
        answer = b"".join(received(link))
    assert answer[9:12] in {b"413", b""}  # a reset may overtake it
    assert time.monotonic() - began < 10  # and the connection is closed
    assert service.state()[2] < memory + 64 * MEGABYTE
    assert service("GET", "/v2/health/live").status == 200


def test_a_body_in_small_chunks_with_a_trailer_is_answered(service: Service) -> None:
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(piece), piece)
        for piece in (CAT[at : at + 100] for at in range(0, len(CAT), 100))
    )
    head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    answer = service.raw(
        head + b"Connection: close\r\n\r\n" + chunks + b"0\r\nHost: evil.example\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 200")


def test_requests_that_wait_for_each_other_are_counted(service: Service) -> None:
    ask = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert service.raw(ask * 3_000, wait=5) == b""  # 18 bytes each made a few thousand
    assert service.raw(ask * 10, wait=0.5).count(b"HTTP/1.1 200") == 10


# Facts and reports


def test_a_models_digest_is_computed_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fursure.bundle.bundle import Bundle
    from fursure.service.models import Model, Opening, described

    model = Model("pets", "pets", Opening(engine="onnxruntime"), ServiceLimits())
    digest = shipped("pets").digest
    monkeypatch.delattr(Bundle, "digest")
    assert described(model)["digest"] == digest == service("GET", "/v1/model").json["digest"]


@pytest.mark.long
def test_clients_that_read_nothing_are_cut_off_and_hold_no_report(tmp_path: Path) -> None:
    shipped("pets").write(tmp_path / "mine.fursure")
    (tmp_path / "mine.report.html").write_bytes(b"x" * 4 * MEGABYTE)
    options = [*FAST, "--publish-reports", "--send-timeout", "1"]
    ask = b"GET /report/mine HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(tmp_path / "log", tmp_path / "mine.fursure", *options) as service:
        assert len(service("GET", "/report/mine").body) == 4 * MEGABYTE
        _, files, memory = service.state()
        with ExitStack() as stack:
            for _ in range(30):
                link = stack.enter_context(socket.socket())
                link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                link.connect(("127.0.0.1", service.port))
                link.sendall(ask * 12)
            assert until(lambda: service.state()[1] > files + 25)
            assert service.state()[2] < memory + 40 * MEGABYTE  # 30 reports are 120
            assert until(lambda: service.state()[1] <= files + 1, seconds=8)
        assert 'reason="unread"' in service("GET", "/metrics").body.decode()


@pytest.mark.long
def test_the_end_waits_neither_for_who_does_not_read_nor_for_who_drips(tmp_path: Path) -> None:
    shipped("pets").write(tmp_path / "mine.fursure")
    (tmp_path / "mine.report.html").write_bytes(b"x" * 8 * MEGABYTE)
    path = tmp_path / "mine.fursure"
    with serving(tmp_path / "log", path, *FAST, "--publish-reports") as service:
        with socket.socket() as deaf, socket.socket() as slow:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            for link in (deaf, slow):
                link.connect(("127.0.0.1", service.port))
            deaf.sendall(b"GET /report/mine HTTP/1.1\r\nHost: localhost\r\n\r\n")
            slow.sendall(
                b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
            )
            time.sleep(0.5)
            began = time.monotonic()
            service.process.terminate()
            assert service.process.wait(timeout=20) == 0
        assert time.monotonic() - began < 7  # 10.4 s it was


# One budget of memory


def test_memory_is_one_sum_and_each_address_has_a_share_of_it() -> None:
    memory = Memory(100 * MEGABYTE, 50 * MEGABYTE)
    memory.take("a", 40 * MEGABYTE)
    with pytest.raises(Problem, match="hold too much at once") as own:
        memory.take("a", 11 * MEGABYTE)
    memory.take("b", 28 * MEGABYTE)
    with pytest.raises(Problem, match="memory is taken") as all_of_it:
        memory.take("c", 2 * MEGABYTE)
    assert (own.value.status, all_of_it.value.status) == (429, 503)
    assert own.value.retry_after == all_of_it.value.retry_after == 1
    for number in range(
        KEPT_BYTES // SMALL_BYTES
    ):  # what is kept for those who hold next to nothing
        memory.take(f"small-{number}", SMALL_BYTES)
    with pytest.raises(Problem):
        memory.take("late", 1)
    memory.give("a", 40 * MEGABYTE)
    memory.take("late", MEGABYTE)
    assert memory.used == 61 * MEGABYTE


def test_a_connection_gives_back_all_it_holds() -> None:
    memory = Memory(100 * MEGABYTE, 50 * MEGABYTE)
    account = Account(memory, "a")
    account.take(5)
    account.take(6)
    assert memory.used == 11
    account.clear()
    account.clear()
    assert (memory.used, account.held, memory._by_address) == (0, 0, {})


def test_a_large_photo_waits_for_memory_and_is_refused_after_a_while() -> None:
    memory = Memory(100, 100)
    with memory.decoding(80, wait=0):
        with (
            pytest.raises(Problem, match="no memory for so large a photo") as refused,
            memory.decoding(21, wait=0.01),
        ):
            raise AssertionError
        assert refused.value.status == 503
        with memory.decoding(20, wait=0):
            pass
    assert memory.used == 0


@pytest.mark.long
def test_bodies_are_charged_as_they_come_and_given_back(service: Service) -> None:
    idle = service.state()[2]
    head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000000\r\n\r\n"
    answers = []
    with ExitStack() as stack:
        for _ in range(10):
            link = stack.enter_context(socket.create_connection(("127.0.0.1", service.port)))
            link.settimeout(0.5)
            with suppress(OSError):
                link.sendall(head + bytes(19_000_000))
            answers.append(link)
        assert service.state()[2] < idle + 160 * MEGABYTE  # 128 are an address's share
        assert b"429" in b"".join(b"".join(received(link)) for link in answers)
        other = socket.create_connection(
            ("127.0.0.1", service.port), source_address=("127.0.0.2", 0)
        )
        with stack.enter_context(other):  # another address is answered meanwhile
            ask = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            other.sendall(ask + b"Content-Length: %d\r\n\r\n" % len(CAT) + CAT)
            assert b"".join(received(other)).startswith(b"HTTP/1.1 200")
    assert until(lambda: service("POST", "/v1/predict", CAT).status == 200)
    metrics = service("GET", "/metrics").body.decode()
    assert "fursure_memory_bytes 0.0" in metrics
    assert 'reason="memory"' in metrics


@pytest.mark.long
def test_what_is_sent_counts_until_it_is_read(tmp_path: Path) -> None:
    shipped("pets").write(tmp_path / "mine.fursure")
    (tmp_path / "mine.report.html").write_bytes(b"x" * 16 * MEGABYTE)
    options = [*FAST, "--publish-reports", "--send-timeout", "1"]
    with serving(tmp_path / "log", tmp_path / "mine.fursure", *options) as service:

        def held() -> str:
            return service("GET", "/metrics").body.decode()

        with socket.socket() as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            link.connect(("127.0.0.1", service.port))
            link.sendall(b"GET /report/mine HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert until(lambda: "fursure_memory_bytes 131072.0" in held())
            assert until(lambda: "fursure_memory_bytes 0.0" in held())  # cut off


def test_an_answers_bytes_are_counted_before_it_is_written() -> None:
    outputs = {name: np.full((3,), 0.123456789, np.float32) for name in ("probs", "features")}
    answers = [Answer(None, outputs)] * 5
    body, _ = response(cast("Any", SimpleNamespace(name="m")), [Answer(None, {
        name: values[None] for name, values in outputs.items()
    })] * 5, {})  # fmt: skip
    assert len(body) < most(answers) < 50 * len(body)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and asks glibc")
def test_memory_of_a_large_photo_goes_back_to_the_system(tmp_path: Path) -> None:
    script = tmp_path / "freed.py"
    script.write_text(
        "from fursure.connections.memory import keep_nothing_freed\n"
        "keep_nothing_freed()\n"
        "from pathlib import Path\n"
        "from PIL import Image\n"
        "def used():\n"
        "    return int(Path('/proc/self/statm').read_text().split()[1]) * 4096\n"
        "Image.new('RGB', (8, 8))\n"
        "before = used()\n"
        "for _ in range(3):\n"
        "    Image.new('RGB', (4_000, 4_000), 'red').resize((2_000, 2_000))\n"
        "print(used() - before)\n"
    )
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 4 * MEGABYTE


# Places


@pytest.mark.long
def test_health_is_told_whatever_holds_the_connections(tmp_path: Path) -> None:
    with serving(tmp_path / "log", "pets", *FAST) as service, ExitStack() as stack:
        for number in range(8 * 40):
            link = stack.enter_context(socket.socket())
            link.bind((f"127.0.0.{20 + number % 8}", 0))
            link.connect(("127.0.0.1", service.port))
        for path in ("/v2/health/live", "/healthz", "/metrics"):
            answer = service("GET", path)
            assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert service("POST", "/v1/predict", CAT).status == 503
        assert until(lambda: service("POST", "/v1/predict", CAT).status == 200, seconds=15)


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_it_serves_within_its_descriptors_and_says_so_once(tmp_path: Path) -> None:
    script = tmp_path / "limited.py"
    script.write_text(
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "from fursure.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    log = tmp_path / "log"
    with serving(log, "pets", *FAST, python=(script,)) as service, ExitStack() as stack:
        for _ in range(93):
            stack.enter_context(socket.create_connection(("127.0.0.1", service.port)))
        assert service("GET", "/v2/health/live").status == 200
        assert log.read_text().count("connections at once: 64 open files are allowed") == 1
        assert log.read_text().count("\n") < 10  # 400,000 they were in ten seconds
        stack.pop_all().close()
        assert until(lambda: service("POST", "/v1/predict", CAT).status == 200)


def test_an_accept_that_fails_is_said_once_and_tried_again() -> None:
    class Listening:
        tries = 0

        def setblocking(self, _flag: bool) -> None: ...

    said: list[str] = []

    async def story() -> None:
        loop = asyncio.get_running_loop()

        async def sock_accept(_socket: Any) -> Any:
            Listening.tries += 1
            raise OSError(errno.EMFILE, "Too many open files")

        patch = pytest.MonkeyPatch()
        patch.setattr(loop, "sock_accept", sock_accept)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await accept(cast("Any", Listening()), asyncio.Protocol, said.append)
        patch.undo()

    asyncio.run(story())
    assert said == ["no connection can be accepted: Too many open files; trying again"]
    assert 2 <= Listening.tries <= 6
