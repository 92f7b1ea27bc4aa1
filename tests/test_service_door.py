"""What the service turns away, how quickly, and that nothing is left behind by it."""

import gzip
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from console import fursure
from serving import Service, form, received, serving, until

from fursure.drawings.draw import draw, jpeg
from fursure.engine.openvino import installed_version
from fursure.errors import BadData
from fursure.service import server
from fursure.service.server import Address
from fursure.training.train import Trained
from fuzzing.targets import opened

CAT = jpeg(draw("cat", seed=1))
FAST = ["--engine", "onnxruntime", "--threads", "1"]
ENGINES = [
    "onnxruntime",
    pytest.param(
        "openvino",
        marks=pytest.mark.skipif(installed_version() is None, reason="no OpenVINO (extra fast)"),
    ),
]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service that is impatient, and counts no address."""
    log = tmp_path_factory.mktemp("door") / "log"
    with serving(
        log, "pets", *FAST, "--receive-timeout", "0.5", "--lift-address-limits"
    ) as running:
        yield running


def head(*lines: str, method: str = "POST", path: str = "/v1/predict") -> bytes:
    return "\r\n".join(
        [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *lines, "", ""]
    ).encode()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def test_an_answer_is_sent_at_once(door: Service) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=5)
    times = []
    for _ in range(9):
        began = time.monotonic()
        connection.request("POST", "/v1/predict", b"text")
        connection.getresponse().read()
        times.append(time.monotonic() - began)
    connection.close()
    assert sorted(times)[4] < 0.03  # headers and body do not wait 40 ms for each other


# Requests that are malformed or too much


MALFORMED = [
    (b"\x00\x01\x02", {400}),
    (b"GET\r\n\r\n", {400}),
    (head("Content-Length: 5", "Content-Length: 6") + b"hello", {400}),
    (head("Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n", {400}),
    (head("Content-Length: -1"), {400, 413}),
    (head("Content-Length: 99999999999999999999"), {400, 413}),
    (head("Content-Length: 21000000"), {413}),
    (head("Transfer-Encoding: chunked") + b"zz\r\nnonsense", {400}),
    (head("Content-Encoding: gzip", "Content-Length: 3") + b"abc", {415}),
    (head("X-Long: " + "a" * 20_000, "Content-Length: 0"), {431}),
    (head(*(f"X-{n}: 1" for n in range(3_000))), {431}),
    (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", {400, 431}),
    (head(method="BREW"), {400}),
    (b"GET / HTTP/9.9\r\n\r\n", {400}),
]


@pytest.fixture(scope="module")
def refusals(door: Service) -> dict[bytes, tuple[bytes, float]]:
    """Return each answer and its seconds; all are asked at once, as each lingers."""

    def ask(data: bytes) -> tuple[bytes, float]:
        began = time.monotonic()
        return door.raw(data), time.monotonic() - began

    asked = [data for data, _ in MALFORMED]
    with ThreadPoolExecutor(len(asked)) as pool:
        return dict(zip(asked, pool.map(ask, asked), strict=True))


@pytest.mark.parametrize(("data", "expected"), MALFORMED)
def test_a_malformed_request_gets_a_plain_refusal(
    door: Service,
    refusals: dict[bytes, tuple[bytes, float]],
    data: bytes,
    expected: set[int],
) -> None:
    answer, seconds = refusals[data]
    assert status(answer) in expected
    assert seconds < 3
    assert door("GET", "/v2/health/live").status == 200


def test_what_follows_a_refused_request_is_not_begun(door: Service) -> None:
    """A second one was answered, and the task of one without an end outlived its connection."""
    refused = b"GET / HTTP/1.1\r\nHost: elsewhere\r\n\r\n"
    fine = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answers = door.raw(refused + fine + fine)
    assert status(answers) == 421
    assert answers.count(b"HTTP/1.1 ") == 1


def test_random_bytes_never_bring_it_down(door: Service) -> None:
    chance, change = random.Random(0), opened("http").mutator()
    for _ in range(150):
        data = change(head("Content-Length: 40") + chance.randbytes(40), chance)
        assert status(door.raw(data, wait=3, leave=True)) // 100 in {0, 2, 4}
    assert door("POST", "/v1/predict", CAT).status == 200


def test_a_packed_body_is_not_unpacked(door: Service) -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    answer = door("POST", "/v1/predict", bomb, {"Content-Encoding": "gzip"})
    assert answer.status == 415
    assert "packed" in answer.json["detail"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "multipart/form-data"),
        (b"", "multipart/form-data; boundary="),
        (b"", "multipart/form-data; boundary=" + "x" * 1000),
        (b"nonsense", "multipart/form-data; boundary=x"),
        (b"--x\r\n\r\nno end", "multipart/form-data; boundary=x"),
        (b"--x\r\n" + b"A: b\r\n" * 1000 + b"\r\n\r\n--x--\r\n", "multipart/form-data; boundary=x"),
        (b"--x\r\nA: " + b"b" * 9000 + b"\r\n\r\n\r\n--x--\r\n", "multipart/form-data; boundary=x"),
        (form({f"{n}.jpg": b"a" for n in range(65)})),
        (b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--x--\r\n",
         "multipart/form-data; boundary=x"),
    ],
)  # fmt: skip
def test_a_broken_form_is_refused_in_words(door: Service, body: bytes, kind: str) -> None:
    answer = door("POST", "/v1/predict", body, {"Content-Type": kind})
    assert answer.status in {400, 413}
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\\b\x00.jpg", "<b>.jpg", "x" * 5000])
def test_a_files_name_is_only_ever_a_name(door: Service, name: str) -> None:
    body, kind = form({name: CAT})
    answer = door("POST", "/v1/predict", body, {"Content-Type": kind})
    assert answer.status in {200, 400}
    if answer.status == 200:
        assert len(answer.json["predictions"][0]["path"]) <= 300


# Slow clients, and clients that go away


@pytest.mark.long
def test_a_request_that_drips_is_closed_by_its_deadline(door: Service) -> None:
    with ExitStack() as stack:
        links = [
            stack.enter_context(socket.create_connection(("127.0.0.1", door.port), timeout=8))
            for _ in range(40)
        ]
        began = time.monotonic()
        for link in links:
            link.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        while time.monotonic() - began < 1.5:  # a byte now and then keeps no clock from running
            for link in links:
                try:
                    link.sendall(b"a")
                except OSError:
                    continue
            assert door("POST", "/v1/predict", CAT).status == 200  # others are served meanwhile
            time.sleep(0.1)
        for link in links:
            answer = b"".join(received(link))
            assert status(answer) in {408, 0}
        assert time.monotonic() - began < 6


def test_a_body_that_drips_is_closed_as_well(door: Service) -> None:
    with socket.create_connection(("127.0.0.1", door.port), timeout=8) as link:
        link.sendall(head("Content-Length: 1000") + b"a")
        answer = b"".join(received(link))
    assert status(answer) in {408, 0}


def test_clients_that_go_away_leave_nothing_behind(door: Service) -> None:
    for _ in range(3):
        door("POST", "/v1/predict", CAT)
    threads, files, _ = door.state()
    whole = head(f"Content-Length: {len(CAT)}") + CAT
    for number in range(150):
        with socket.create_connection(("127.0.0.1", door.port), timeout=5) as link:
            link.sendall(whole[: len(whole) - number % 3 * 1000])
            if number % 2:  # a reset rather than an orderly end
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert until(lambda: door.state()[1] <= files + 1)
    assert door.state()[0] <= threads + 1
    assert until(lambda: door("POST", "/v1/predict", CAT).status == 200)  # once it has caught up
    assert "Traceback" not in door.log.read_text()


def test_a_client_that_hangs_up_before_its_answer_does_not_end_the_service(door: Service) -> None:
    """With SIGPIPE at its default, the second write to a closed connection did."""
    ask = head(method="GET", path="/v2/health/live")
    for _ in range(300):
        with socket.create_connection(("127.0.0.1", door.port), timeout=5) as link:
            link.sendall(ask)
    assert door("GET", "/v2/health/live").status == 200
    told = Path(f"/proc/{door.process.pid}/status").read_text()
    ignored = int(told.partition("SigIgn:")[2].split()[0], 16)
    assert ignored >> (signal.SIGPIPE - 1) & 1


def test_pipelined_and_kept_connections_answer_in_order(door: Service) -> None:
    last = head(f"Content-Length: {len(CAT)}") + CAT
    one = last.replace(b"Connection: close\r\n", b"")
    text = head("Content-Length: 4").replace(b"Connection: close\r\n", b"") + b"text"
    with socket.create_connection(("127.0.0.1", door.port), timeout=8) as link:
        link.sendall(one + text + last)
        answer = b"".join(received(link))
    assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"200", b"415", b"200"]


# Many at once


@pytest.mark.long
def test_too_much_is_refused_at_once_and_what_is_accepted_is_answered(tmp_path: Path) -> None:
    options = [*FAST, "--lift-address-limits", "--deadline", "0.5"]
    with serving(tmp_path / "log", "pets", *options) as service:
        service("POST", "/v1/predict", CAT)
        body, kind = form({f"{n}.jpg": CAT for n in range(24)})

        def ask(_number: int) -> tuple[int, float, str]:
            began = time.monotonic()
            answer = service("POST", "/v1/predict", body, {"Content-Type": kind})
            retry = answer.headers.get("retry-after", "")
            return answer.status, time.monotonic() - began, retry

        with ThreadPoolExecutor(48) as pool:
            answers = list(pool.map(ask, range(96)))
        statuses = {one for one, _, _ in answers}
        assert statuses == {200, 503}
        assert all(retry == "1" for one, _, retry in answers if one == 503)
        metrics = service("GET", "/metrics").body.decode()
        assert 'fursure_refused_total{reason="queue"}' in metrics
        assert service("POST", "/v1/predict", CAT).status == 200  # and it is well again


@pytest.mark.long
def test_one_address_is_held_to_its_rate(tmp_path: Path) -> None:
    with serving(tmp_path / "log", "pets", *FAST, "--rate", "2") as service:
        statuses = [service("POST", "/v1/predict", CAT).status for _ in range(8)]
        assert statuses[:4] == [200] * 4  # two seconds' worth may be saved up
        assert 429 in statuses
        assert service("GET", "/v2/health/ready").status == 200  # never counted
        time.sleep(0.8)
        assert service("POST", "/v1/predict", CAT).status == 200


@pytest.mark.long
def test_one_address_holds_no_more_than_its_connections(tmp_path: Path) -> None:
    with serving(tmp_path / "log", "pets", *FAST) as service, ExitStack() as stack:
        files = service.state()[1]
        links = [
            stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=3))
            for _ in range(40)
        ]
        assert until(lambda: service.state()[1] > files + 39)
        for link in links[::-1]:
            link.sendall(head(method="GET", path="/v1/models"))
        statuses = [status(b"".join(received(link))) for link in links]
        assert (statuses.count(503), statuses.count(200)) == (40 - 32, 32)


# Who may come in


def test_another_sites_name_for_this_machine_is_turned_away(door: Service) -> None:
    answer = door("GET", "/v1/models", headers={"Host": "evil.example"})
    assert answer.status == 421
    for host in ("localhost", "127.0.0.1:1234", "[::1]"):
        assert door("GET", "/v1/models", headers={"Host": host}).status == 200


@pytest.mark.long
def test_where_others_come_in_it_goes_by_addresses_and_the_names_it_was_given(
    tmp_path: Path,
) -> None:
    options = [*FAST, "--host", "127.0.0.2", "--allow-remote", "--no-auth"]
    with serving(tmp_path / "log", "pets", *options, "--allow-host", "cats.example") as service:

        def asked_for(*hosts: str) -> int:
            lines = "".join(f"Host: {host}\r\n" for host in hosts)
            with socket.create_connection(("127.0.0.2", service.port), timeout=5) as link:
                ask = f"GET /v1/models HTTP/1.1\r\n{lines}Connection: close\r\n\r\n"
                link.sendall(ask.encode())
                return status(b"".join(received(link)))

        for host in ("192.0.2.7:80", "[2001:db8::1]:80", "cats.example", "localhost"):
            assert asked_for(host) == 200
        foreign: tuple[list[str], ...] = (
            ["evil.example"],
            [],
            ["cats.example", "evil.example"],
            ["*"],
            ["1.2.3"],
        )
        with ThreadPoolExecutor(len(foreign)) as pool:  # at once: each lingers a second
            assert set(pool.map(lambda hosts: asked_for(*hosts), foreign)) == {421}


def test_a_token_opens_what_it_guards(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-long-and-secret-token\n")
    with serving(tmp_path / "log", "pets", *FAST, "--token-file", token) as service:
        assert service("GET", "/v2/health/live").status == 200
        assert service("GET", "/").status == 200
        for path in ("/v1/models", "/metrics", "/v2/models/pets"):
            refused = service("GET", path)
            assert refused.status == 401
            assert refused.headers["www-authenticate"] == "Bearer"
        wrong = {"Authorization": "Bearer a-long-and-secret-tokem"}
        assert service("POST", "/v1/predict", CAT, wrong).status == 401
        right = {"Authorization": "Bearer a-long-and-secret-token"}
        assert service("POST", "/v1/predict", CAT, right).status == 200


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "add --allow-remote"),  # noqa: S104 - it must not come to that
        (["--token-file", __file__], "holds no token"),
        (["nowhere.fursure"], "nowhere.fursure"),
        (["pets", "pets"], "two models are called 'pets'"),
    ],
)
def test_it_does_not_start_where_it_should_not(
    options: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: object) -> None:
        raise AssertionError("it listens")

    monkeypatch.setattr(server, "_bound", started)
    run = fursure("serve", *FAST, "--port", "0", *options)
    assert run.returncode == 1
    assert words in run.stderr
    assert run.stdout == ""


def test_it_does_not_start_where_it_cannot_listen() -> None:
    elsewhere = ["--host", "203.0.113.7", "--allow-remote"]
    run = subprocess.run(
        [sys.executable, "-m", "fursure", "serve", *FAST, "--port", "0", *elsewhere],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.returncode == 1
    assert "cannot listen on 203.0.113.7" in run.stderr
    assert run.stdout == ""


def test_by_default_it_listens_on_this_machine_alone(door: Service) -> None:
    sockets = Path(f"/proc/{door.process.pid}/net/tcp").read_text().splitlines()[1:]
    mine = [line.split() for line in sockets if line.split()[3] == "0A"]
    here = [local for _, local, *_ in mine if local.endswith(f":{door.port:04X}")]
    assert here == [f"0100007F:{door.port:04X}"]


# Life and death


def test_sigterm_finishes_what_was_accepted_and_ends_with_zero(tmp_path: Path) -> None:
    with serving(tmp_path / "log", "pets", *FAST, "--rate", "0") as service:
        statuses: list[int] = []
        body, kind = form({f"{n}.jpg": CAT for n in range(30)})

        def ask() -> None:
            statuses.append(service("POST", "/v1/predict", body, {"Content-Type": kind}).status)

        clients = [threading.Thread(target=ask) for _ in range(3)]
        for client in clients:
            client.start()
        time.sleep(0.15)
        service.process.send_signal(signal.SIGTERM)
        for client in clients:
            client.join(timeout=20)
        assert service.process.wait(timeout=15) == 0
        assert statuses
        assert set(statuses) <= {200, 503}
        assert 200 in statuses
        assert "Traceback" not in service.log.read_text()


@pytest.mark.long
@pytest.mark.parametrize("engine", ENGINES)
def test_sighup_takes_a_new_model_and_refuses_a_bad_one(
    trained: Trained, tmp_path: Path, engine: str
) -> None:
    path = tmp_path / "model.fursure"
    trained.bundle.write(path)
    with serving(tmp_path / "log", path, "--engine", engine, "--threads", "1") as service:
        before = service("GET", "/v1/model").json
        from fursure.bundle.named import shipped

        shipped("pets").write(path)
        os.kill(service.process.pid, signal.SIGHUP)
        assert until(lambda: service("GET", "/v1/model").json["digest"] != before["digest"])
        new = service("GET", "/v1/model").json
        path.write_bytes(path.read_bytes()[:5000])
        os.kill(service.process.pid, signal.SIGHUP)
        assert until(lambda: "kept as it was" in service.log.read_text())
        assert service("GET", "/v1/model").json["digest"] == new["digest"]
        assert service("POST", "/v1/predict", CAT).status == 200
        assert (
            'fursure_swaps_total{result="refused"} 1.0' in service("GET", "/metrics").body.decode()
        )


@pytest.mark.long
@pytest.mark.parametrize("engine", ENGINES)
def test_a_service_outlives_many_reloads(trained: Trained, tmp_path: Path, engine: str) -> None:
    """With a Core for each OpenVINO session, the second reload was a segmentation fault."""
    log = tmp_path / "log"
    with serving(log, trained.path, "--engine", engine, "--threads", "1") as service:
        for number in range(1, 7):
            service.process.send_signal(signal.SIGHUP)
            assert until(lambda: log.read_text().count("read again") == number, seconds=60)  # noqa: B023
            assert service("POST", "/v1/predict", CAT).json["engine"].startswith(engine)


AS_ON_WINDOWS = """
import asyncio, signal, sys

def refused(*_args):
    raise NotImplementedError

asyncio.SelectorEventLoop.add_signal_handler = refused
del signal.SIGHUP, signal.SIGPIPE
from fursure.cli import main
main(sys.argv[1:])
"""


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_starts_and_stops_where_the_loop_handles_no_signals(
    tmp_path: Path, number: signal.Signals
) -> None:
    script = tmp_path / "as_on_windows.py"
    script.write_text(AS_ON_WINDOWS)
    with serving(tmp_path / "log", "pets", *FAST, python=(script,)) as service:
        assert service("POST", "/v1/predict", CAT).status == 200
        service.process.send_signal(number)
        assert service.process.wait(timeout=15) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_no_other_program_may_share_its_port_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, ...]] = []

    class Socket(socket.socket):
        def setsockopt(self, *args: int) -> None:  # type: ignore[override]
            asked.append(args)

    monkeypatch.setattr(socket, "socket", Socket)
    server._bound(Address(port=0)).close()
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", -5, raising=False)
    server._bound(Address(port=0)).close()
    assert asked == [
        (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1),
        (socket.SOL_SOCKET, -5, 1),
    ]


def test_a_port_that_is_taken_is_refused_in_words(door: Service) -> None:
    with pytest.raises(BadData, match=f"port {door.port}: Address already in use; choose another"):
        server._bound(Address(port=door.port))


@pytest.mark.long
def test_many_mixed_requests_leave_memory_threads_and_files_as_they_were(door: Service) -> None:
    large = jpeg(draw("dog", seed=3, size=900))

    def ask(number: int) -> int:
        body = [CAT, large, CAT[:500], b"text", jpeg(draw("dog", number % 7))][number % 5]
        return door("POST", "/v1/predict", body).status

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(ask, range(200)))
        threads, files, memory = door.state()
        statuses = list(pool.map(ask, range(500)))
    assert set(statuses) == {200, 415}
    assert until(lambda: door.state()[1] <= files + 8)
    after = door.state()
    assert after[0] <= threads + 1
    assert after[2] <= memory * 1.05 + 8 * 2**20


@pytest.mark.long
def test_no_connection_goes_out(tmp_path: Path) -> None:
    script = tmp_path / "audited.py"
    script.write_text(
        "import sys\n"
        "def hook(event, args):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo'):\n"
        "        print('OUT', event, args, file=sys.stderr)\n"
        "sys.addaudithook(hook)\n"
        "from fursure.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    log = tmp_path / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, str(script), "serve", "pets", *FAST, "--port", "0"],
            stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
    assert process.stdout is not None
    port = int(process.stdout.readline().strip().rstrip("/").rpartition(":")[2])
    service = Service(process, port, log)
    for body in (
        CAT,
        b"http://169.254.169.254/",
        b'<svg><image href="http://127.0.0.1:1/"/></svg>',
    ):
        service("POST", "/v1/predict", body)
    service("POST", "/v2/models/pets/infer", b'{"inputs": "http://127.0.0.1:1/"}')
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=15) == 0
    process.stdout.close()
    assert "OUT" not in log.read_text()
