"""What many tests share: a private home, real photos where there are any, a small model."""

import atexit
import gc
import os
import ssl
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock
from hub_server import Hub
from hypothesis import HealthCheck, settings
from samples import draw_into

from fursure.commands.api import train
from fursure.home import folder_for
from fursure.recipe import Recipe
from fursure.training.train import Trained

# A busy machine is slow now and then, and that is no fault of what is tested.
settings.register_profile(
    "patient",
    deadline=None,
    max_examples=int(os.environ.get("FURSURE_EXAMPLES", "100")),  # `make test-properties` has more
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("patient")


def pytest_configure() -> None:
    """Give each worker a core of its own, where there is one for each.

    Otherwise each worker's engine takes all cores, and their threads wait for each other.
    """
    worker, count = (os.environ.get(f"PYTEST_XDIST_WORKER{part}", "") for part in ("", "_COUNT"))
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if 1 < len(cores) <= int(count):
            os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})
    if worker:  # it has sent all results by then; taking apart what it imported takes seconds
        atexit.register(os._exit, 0)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage in what test modules import: it stays until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep caches out of the user's home, and the network out of the tests."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FURSURE_HOME", str(home))
        patch.setenv("FURSURE_OFFLINE", "1")
        patch.delenv("FURSURE_DEBUG", raising=False)
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real photos and weights, or skip."""
    root = Path(__file__).parents[1]
    folder = Path(os.environ.get("FURSURE_DATA", root.parent / "shared"))
    if not (folder / "data" / "cats-vs-dogs-12000.zip").is_file():
        pytest.skip(f"no real photos in {folder}; set FURSURE_DATA to run this")
    return folder


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that every worker of this run has."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def drawings(common: Path) -> Path:
    """Return class folders of 40 drawn cats and 40 drawn dogs; read only, please."""
    with FileLock(common / "drawings.lock"):
        folder = common / "drawings" / "photos"
        return folder if folder.exists() else draw_into(folder, count=40)


@pytest.fixture(scope="session")
def trained(drawings: Path, common: Path) -> Trained:
    """Return a model trained on the drawings, on the encoder in the wheel; read only, please."""
    folder = common / "model"
    folder.mkdir(exist_ok=True)
    with FileLock(common / "model.lock"):  # whoever comes second finds it done
        return train(drawings, folder / "drawn.fursure", Recipe())


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home of this test's own.

    Only what networks ran before is known: a run of each in a process of its own is enough.
    """
    known = folder_for("engines") / "networks-run.txt"
    monkeypatch.setattr("fursure.engine.first_run._path", lambda: known)
    monkeypatch.setenv("FURSURE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


_tls = cache(ssl.create_default_context)  # reads all certificates, and nothing here is encrypted


@pytest.fixture
def hub(own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Return a running hub, which is the hub of this process; the home is this test's own."""
    huggingface_hub = pytest.importorskip("huggingface_hub")
    from huggingface_hub import constants

    for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("FURSURE_OFFLINE", "0")
    monkeypatch.setattr("ssl.create_default_context", _tls)
    hurried = SimpleNamespace(sleep=lambda _seconds: None)  # between tries
    monkeypatch.setattr("huggingface_hub.file_download.time", hurried)
    with Hub() as hub:
        template = f"{hub.url()}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "ENDPOINT", hub.url())  # HF_ENDPOINT is read on import
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 50_000)  # what is kept of a break
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)  # it asks for a list
        huggingface_hub.close_session()
        yield hub
        huggingface_hub.close_session()
