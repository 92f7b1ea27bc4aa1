"""What many tests share: a private home, real photos where there are any, a small model."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from samples import draw_into

from fursure.recipe import Recipe
from fursure.workflows.api import train
from fursure.workflows.train import Trained

# A busy machine is slow now and then, and that is no fault of what is tested.
settings.register_profile(
    "patient",
    deadline=None,
    max_examples=int(os.environ.get("FURSURE_EXAMPLES", "100")),  # `make test-properties` has more
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("patient")


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
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return class folders of 40 drawn cats and 40 drawn dogs; read only, please."""
    return draw_into(tmp_path_factory.mktemp("drawings"), count=40)


@pytest.fixture(scope="session")
def trained(drawings: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a model trained on the drawings, on the encoder in the wheel."""
    return train(drawings, tmp_path_factory.mktemp("model") / "drawn.fursure", Recipe())
