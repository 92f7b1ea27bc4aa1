"""The service as its clients see it: answers, formats, protocols, several models."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin
from urllib.request import urlopen

import numpy as np
import pytest
import tritonclient.http as triton
from serving import Service, behind_a_prefix, form, serving, until

import fursure
from fursure.bundle.named import shipped
from fursure.drawings.draw import draw, jpeg
from fursure.photos.preprocess import Preprocess
from fursure.training.train import Trained

CATS = [jpeg(draw("cat", seed)) for seed in range(12)]
TEXT = base64.b64encode(CATS[0]).decode()
URLENCODED = "application/x-www-form-urlencoded"
FAST = ["--engine", "onnxruntime", "--threads", "1"]
PAGES = ("app", "docs")


def fetched(address: str) -> bytes:
    """Return what lies there; anything but success raises."""
    with urlopen(address, timeout=20) as answer:  # noqa: S310 - our own service
        body: bytes = answer.read()
    return body


@pytest.fixture(scope="module")
def service(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service of two models on ONNX Runtime, the engine of single photos elsewhere."""
    log = tmp_path_factory.mktemp("service") / "log"
    options = ["--engine", "onnxruntime", "--rate", "0"]
    with serving(log, "pets", trained.path, *options) as running:
        yield running


def test_a_photo_is_answered_as_python_and_the_command_line_answer_it(
    service: Service, tmp_path: Path
) -> None:
    path = tmp_path / "cat.jpg"
    path.write_bytes(CATS[0])
    row = service("POST", "/v1/predict", CATS[0]).json
    python = fursure.load().predict(CATS[0]).to_json()
    line = subprocess.run(
        [sys.executable, "-m", "fursure", "predict", "--json", str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(line.stdout)
    for other in (python, told):
        assert row["answer"] == other["answer"]
        assert row["engine"] == other["engine"]
        assert row["confidence"] == pytest.approx(other["confidence"], abs=1e-6)
        assert row["familiarity"] == pytest.approx(other["familiarity"], abs=1e-6)
        assert row["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)
    assert set(row) == set(told)


def test_several_photos_come_back_in_order_and_a_bad_one_is_a_row(service: Service) -> None:
    files = {"one.jpg": CATS[0], "two.txt": b"hello, this is text", "three.jpg": CATS[1]}
    body, kind = form(files)
    answer = service("POST", "/v1/predict", body, {"Content-Type": kind})
    assert answer.status == 200
    rows = answer.json["predictions"]
    assert [row["path"] for row in rows] == list(files)
    assert rows[1] == {"path": "two.txt", "error": "a text file, not a photo"}
    alone = service("POST", "/v1/predict", CATS[1]).json
    assert rows[2]["confidence"] == pytest.approx(alone["confidence"], abs=1e-5)


def test_many_clients_each_get_their_own_answer(service: Service) -> None:
    alone = [service("POST", "/v1/predict", one).json["probabilities"]["cat"] for one in CATS]
    assert len({round(one, 4) for one in alone}) > 6  # the drawings differ
    with ThreadPoolExecutor(8) as pool:
        order = list(range(len(CATS))) * 6
        rows = pool.map(lambda n: service("POST", "/v1/predict", CATS[n]), order)
    for number, row in zip(order, rows, strict=True):
        assert row.status == 200
        assert row.json["probabilities"]["cat"] == pytest.approx(alone[number], abs=1e-5)


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b"", 400, "empty"),
        (b"\xff\xd8", 415, "photo"),
        (b"<!doctype html><p>no", 415, "web page"),
        (b"%PDF-1.7 ...", 415, "PDF"),
        (CATS[0][:700], 415, "truncated"),
        (b"http://169.254.169.254/photo.jpg", 415, "text"),
    ],
)
def test_what_is_no_photo_is_a_problem_in_words(
    service: Service, body: bytes, status: int, word: str
) -> None:
    answer = service("POST", "/v1/predict", body)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == status
    assert word in answer.json["detail"]


def test_a_model_is_chosen_by_name(service: Service, trained: Trained) -> None:
    models = service("GET", "/v1/models").json["models"]
    assert [one["name"] for one in models] == ["pets", "drawn"]
    first = service("POST", "/v1/predict", CATS[0]).json
    other = service("POST", "/v1/predict?model=drawn", CATS[0]).json
    assert first["probabilities"] != other["probabilities"]
    own = fursure.load(trained.path).predict(CATS[0])
    assert other["confidence"] == pytest.approx(own.confidence, abs=1e-5)
    missing = service("POST", "/v1/predict?model=fox", CATS[0])
    assert (missing.status, "pets, drawn" in missing.json["detail"]) == (404, True)
    facts = service("GET", "/v1/model?model=drawn").json
    assert facts["labels"] == ["cat", "dog"]
    assert facts["digest"] == trained.bundle.digest


def test_where_the_network_looked_is_told_on_request(service: Service) -> None:
    assert "heat" not in service("POST", "/v1/predict", CATS[0]).json
    heat = np.array(service("POST", "/v1/predict?heat=1", CATS[0]).json["heat"])
    assert heat.ndim == 2
    assert min(heat.shape) > 1


@pytest.mark.parametrize("query", ["url=http://10.0.0.1/a.jpg", "image=file:///etc/passwd", "x="])
def test_an_address_is_never_fetched(service: Service, query: str) -> None:
    answer = service("POST", f"/v1/predict?{query}", CATS[0])
    assert answer.status == 400
    assert "unknown parameter" in answer.json["detail"]


def test_every_error_is_a_problem_document(service: Service) -> None:
    for method, path, status in [
        ("GET", "/nowhere", 404),
        ("GET", "/v1/predict", 405),
        ("DELETE", "/v1/models", 405),
        ("GET", "/v2/models/fox", 404),
        ("GET", "/report/pets", 404),
        ("POST", "/v2/models/pets/infer", 400),
    ]:
        answer = service(method, path)
        assert answer.status == status, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json) == {"type", "title", "status", "detail"}


@pytest.mark.parametrize(
    "path",
    [
        "/page/../app.py", "/page/%2e%2e/app.py", "/page/..%2fapp.py", "/page//etc/passwd",
        "/page/%2fetc%2fpasswd", "/page/..\\app.py", "/page/app.js%00.html", "/page/.",
        "/report/../../etc/passwd", "/report/%2e%2e%2f%2e%2e", "/page/%c0%ae%c0%ae/app.py",
        "//etc/passwd", "/static/../../etc/passwd", "/page/;/app.py",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_page(service: Service, path: str) -> None:
    answer = service.raw(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400"))
    assert b"root:" not in answer
    assert b"import" not in answer


# The Open Inference Protocol


@pytest.fixture
def client(service: Service) -> Iterator[Any]:
    found = triton.InferenceServerClient(f"127.0.0.1:{service.port}")
    yield found
    found.close()


def test_a_client_of_the_protocol_finds_the_server_and_its_models(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("drawn")
    assert client.get_server_metadata()["name"] == "fursure"
    told = client.get_model_metadata("pets")
    assert [one["name"] for one in told["inputs"]] == ["photos", "pixels"]
    assert told["outputs"][0] == {"name": "probs", "datatype": "FP32", "shape": [-1, 2]}


@pytest.mark.parametrize("binary", [True, False])
def test_a_client_of_the_protocol_sends_photos(client: Any, service: Service, binary: bool) -> None:
    photos = CATS[:3] if binary else [base64.b64encode(one) for one in CATS[:3]]
    tensor = triton.InferInput("photos", [3], "BYTES")
    tensor.set_data_from_numpy(np.array(photos, object), binary_data=binary)
    wanted = [
        triton.InferRequestedOutput(name, binary_data=binary)
        for name in ("probs", "answer", "confidence")
    ]
    found = client.infer("pets", [tensor], outputs=wanted, request_id="seven")
    rows = [service("POST", "/v1/predict", one).json for one in CATS[:3]]
    assert found.get_response()["id"] == "seven"
    assert found.as_numpy("probs")[:, 0] == pytest.approx(
        [row["probabilities"]["cat"] for row in rows], abs=1e-5
    )
    assert found.as_numpy("confidence") == pytest.approx(
        [row["confidence"] for row in rows], abs=1e-5
    )
    answers = [one.decode() if isinstance(one, bytes) else one for one in found.as_numpy("answer")]
    assert answers == [row["answer"] for row in rows]


def test_a_client_of_the_protocol_sends_pixels(client: Any, service: Service) -> None:
    preprocess: Preprocess = shipped("pets").meta.preprocess
    pixels_NHWC = np.stack([preprocess(draw("cat", seed)) for seed in range(3)])
    tensor = triton.InferInput("pixels", list(pixels_NHWC.shape), "UINT8")
    tensor.set_data_from_numpy(pixels_NHWC)
    found = client.infer("pets", [tensor])
    own = fursure.load().network.session(pixels_NHWC)
    assert found.as_numpy("probs") == pytest.approx(np.asarray(own["probs"]), abs=1e-5)
    assert found.as_numpy("features") == pytest.approx(np.asarray(own["features"]), abs=1e-4)


@pytest.mark.parametrize(
    "request_json",
    [
        [],
        {"inputs": []},
        {"inputs": [{"name": "photos", "datatype": "BYTES", "shape": [1], "data": ["%%%"]}]},
        {"inputs": [{"name": "photos", "datatype": "BYTES", "shape": [2], "data": [""]}]},
        {"inputs": [{"name": "photos", "datatype": "BYTES", "shape": [10**9], "data": []}]},
        {"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [1, 1, 1, 3], "data": [1]}]},
        {"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [-1], "data": [1]}]},
        {"inputs": [{"name": "prompt", "datatype": "BYTES", "shape": [1], "data": ["aa"]}]},
        {"inputs": "http://10.0.0.1/"},
    ],
)
def test_a_request_that_does_not_fit_the_protocol_is_told_why(
    service: Service, request_json: Any
) -> None:
    answer = service("POST", "/v2/models/pets/infer", json.dumps(request_json))
    assert answer.status == 400
    assert len(answer.json["detail"]) > 20


def test_a_bad_photo_among_tensors_is_named(service: Service) -> None:
    data = [base64.b64encode(one).decode() for one in (CATS[0], b"no photo at all, just text")]
    tensor = {"name": "photos", "datatype": "BYTES", "shape": [2], "data": data}
    answer = service("POST", "/v2/models/pets/infer", json.dumps({"inputs": [tensor]}))
    assert answer.status == 400
    assert "photo 1 cannot be used: a text file" in answer.json["detail"]


# What it tells of itself


def test_figures_are_counted_for_prometheus(service: Service) -> None:
    def counted(name: str) -> float:
        lines = service("GET", "/metrics").body.decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    before = counted('fursure_requests_total{status="200"}')
    service("POST", "/v1/predict", CATS[0])
    assert counted('fursure_requests_total{status="200"}') == before + 1
    assert counted("fursure_request_seconds_count") == before + 1
    assert counted('fursure_healthy{model="pets"}') == 1


def test_the_schema_describes_every_path_and_the_docs_page_loads_nothing_foreign(
    service: Service,
) -> None:
    schema = service("GET", "/openapi.json").json
    assert schema["openapi"].startswith("3.")
    assert {"/v1/predict", "/v1/models", "/v2/models/{name}/infer", "/metrics"} <= set(
        schema["paths"]
    )
    for path in ("/", "/docs", "/page/app.js", "/page/docs.js", "/page/style.css"):
        answer = service("GET", path)
        assert answer.status == 200
        assert b"http://" not in answer.body.replace(b"http://127.0.0.1:8000", b"")
        assert b"https://" not in answer.body
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_is_small() -> None:
    import fursure.service

    folder = Path(fursure.service.__path__[0]) / "page"
    assert sum(one.stat().st_size for one in folder.iterdir()) <= 60_000


@pytest.fixture(scope="module")
def beside(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model with a report beside it."""
    folder = tmp_path_factory.mktemp("report")
    trained.bundle.write(folder / "mine.fursure")
    (folder / "mine.report.html").write_text("<p>Lucy.jpg</p><script>alert(1)</script>")
    return folder / "mine.fursure"


@pytest.mark.long
def test_the_photos_of_a_report_are_nobody_elses_unless_it_is_published(
    beside: Path, tmp_path: Path
) -> None:
    with serving(tmp_path / "log", beside, *FAST) as running:
        assert running("GET", "/v1/model").json["report"] is False
        assert running("GET", "/v1/models").json["models"][0]["report"] is False
        answer = running("GET", "/report/mine")
    assert answer.status == 404
    assert "--publish-reports" in answer.json["detail"]
    assert b"Lucy" not in answer.body


@pytest.mark.long
def test_a_published_report_is_served_without_rights(beside: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", beside, *FAST, "--publish-reports") as running:
        assert running("GET", "/v1/model").json["report"] is True
        answer = running("GET", "/report/mine")
    assert answer.status == 200
    assert b"Lucy" in answer.body
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "sandbox" in answer.headers["content-security-policy"]


# Behind a proxy, under probes, in a log


def test_every_address_of_the_pages_holds_under_a_prefix(service: Service) -> None:
    with behind_a_prefix(service.port, "/pets/") as root:
        seen = set()
        for page in (root, urljoin(root, "docs")):
            text = fetched(page).decode()
            for address in re.findall(r'(?:href|src)="([^"]+)"', text):
                fetched(urljoin(page, address))
                seen.add(urljoin(page, address))
        described = json.loads(fetched(urljoin(root, "openapi.json")))
        base = urljoin(urljoin(root, "openapi.json"), described["servers"][0]["url"])
        assert base.rstrip("/") + "/v1/models" == urljoin(root, "v1/models")
        fetched(urljoin(root, "v1/models"))
    assert len(seen) >= 6
    scripts = [fetched(f"http://127.0.0.1:{service.port}/page/{name}.js") for name in PAGES]
    assert not re.search(rb"""["'`]/[a-z]""", b"".join(scripts).replace(b'startsWith("/v1', b""))


def test_nothing_redirects_to_an_address_without_the_prefix(service: Service) -> None:
    answer = service("GET", "/docs/")
    assert (answer.status, "location" in answer.headers) == (404, False)


def test_the_usual_name_of_a_health_check_is_answered_without_a_token(tmp_path: Path) -> None:
    token, log = tmp_path / "token", tmp_path / "log"
    token.write_text("a-long-and-secret-token")
    with serving(log, "pets", *FAST, "--token-file", token, "--no-access-log") as running:
        health = running("GET", "/healthz")
        ready = running("GET", "/v2/health/ready")
        assert running("GET", "/v1/models").status == 401
    assert log.read_text() == ""  # not even of what was refused
    assert (health.status, health.body) == (ready.status, ready.body) == (200, b'{"ready":true}')


@pytest.mark.long
def test_the_access_log_has_a_line_a_request_and_nothing_of_what_was_sent(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving(log, "pets", *FAST) as running:
        body, kind = form({"Lucy at the lake.jpg": CATS[0]})
        running("POST", "/v1/predict?heat=1", body, {"Content-Type": kind})
        running("GET", "/v1/models?photo=Lucy.jpg")
        running("GET", "/v1/models?photo=Lucy.jpg", headers={"Host": "evil.example"})
        running.raw(b"Lucy\r\n\r\n")
        assert until(lambda: len(log.read_text().splitlines()) == 4)
    lines = [line.partition(" ")[2] for line in log.read_text().splitlines()]
    assert [re.sub(r":\d+", "", line) for line in lines] == [
        '127.0.0.1 - "POST /v1/predict HTTP/1.1" 200',
        '127.0.0.1 - "GET /v1/models HTTP/1.1" 200',
        '127.0.0.1 - "GET /v1/models HTTP/1.1" 421',
        '127.0.0.1 - "- - HTTP/1.1" 400',
    ]


# Photos that come wrapped


@pytest.mark.parametrize(
    ("kind", "body", "word"),
    [
        ("application/json", json.dumps({"image": TEXT}).encode(), "JSON"),
        (
            "application/json",
            json.dumps({"url": f"data:image/jpeg;base64,{TEXT}"}).encode(),
            "JSON",
        ),
        ("text/plain", json.dumps([TEXT]).encode(), "JSON"),
        ("text/plain", f"data:image/jpeg;base64,{TEXT}".encode(), "data: address"),
        ("text/plain", TEXT.encode(), "base64"),
        (URLENCODED, f"image={quote(TEXT)}".encode(), "form's fields"),
        (URLENCODED, CATS[0].translate(None, b"\r\n\0"), "`curl -d`"),
    ],
)
def test_a_wrapped_photo_is_told_the_command_that_works(
    service: Service, kind: str, body: bytes, word: str
) -> None:
    answer = service("POST", "/v1/predict", body, {"Content-Type": kind})
    assert answer.status == 415
    assert word in answer.json["detail"]
    assert "curl --data-binary @photo.jpg" in answer.json["detail"]
    assert "curl -F file=@photo.jpg" in answer.json["detail"]


def test_what_curl_sends_whole_is_answered_and_what_is_damaged_is_called_so(
    service: Service,
) -> None:
    kind = {"Content-Type": URLENCODED}  # what curl says by itself
    assert service("POST", "/v1/predict", CATS[0], kind).status == 200
    damaged = service("POST", "/v1/predict", CATS[0][:700], kind)
    assert "truncated" in damaged.json["detail"]
    assert "curl" not in damaged.json["detail"]


def test_a_form_without_a_file_is_told_how_to_send_one(service: Service) -> None:
    body = f'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n{TEXT}\r\n--x--\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = service("POST", "/v1/predict", body.encode(), kind)
    assert answer.status == 400
    assert "curl -F file=@photo.jpg" in answer.json["detail"]
