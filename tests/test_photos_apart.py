"""A large photo is decoded in a child: the answer is the same, the trouble is the child's."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image
from serving import until
from test_photos_bombs import PHOTO, encoded, flat_tiff, png

from fursure.connections.limits import ServiceLimits
from fursure.errors import BadImage
from fursure.photos import apart
from fursure.photos.apart import ChildDecoder
from fursure.photos.decode import decode
from fursure.service import models
from fursure.service.models import Model, Opening

LARGE = PHOTO.resize((900, 700))
EXIF = Image.Exif()
EXIF[0x0112] = 6  # lying on its side
PHOTOS = {
    "webp": encoded("WEBP", LARGE),
    "transparent png": encoded("PNG", LARGE.convert("RGBA").rotate(20)),
    "turned jpeg": encoded("JPEG", LARGE, exif=EXIF),
    "two pages": encoded("TIFF", LARGE.copy(), save_all=True, append_images=[PHOTO.copy()]),
    "long": encoded("PNG", PHOTO.resize((300, 9_000))),  # comes back in several pieces
}
FAILS = "import os, sys; sys.stdin.buffer.read(9); os._exit(7)"
BREAKS_OFF = """
import sys
sys.stdin.buffer.readline()
facts = '{"size": [64, 64], "width": 64, "height": 64, "format": "PNG", "frames": 1}'
print(facts, "half of the pixels", sep=chr(10))
"""
HANGS = "import time; time.sleep(60)"
COMPUTES = """
from fursure.photos import apart
apart._limit(2**40, 1)
while True:
    pass
"""
HANGS_OVER_A_PHOTO = """
import sys, time
from fursure.photos import apart
apart.decode = lambda *_, **__: time.sleep(60)
apart._answer(sys.stdin.buffer, sys.stdout.buffer)
"""
HAS_LITTLE_MEMORY = """
import sys
from fursure.photos import apart
apart._limit(250_000_000, 60)
apart._answer(sys.stdin.buffer, sys.stdout.buffer)
"""


def replace_child(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(apart, "DECODING_COMMAND", [sys.executable, "-P", "-c", code])


def refused(data: bytes, *, name: str = "photo", seconds: float = 60.0) -> str:
    with pytest.raises(BadImage) as refusal:
        ChildDecoder(seconds=seconds)(data, name=name)
    return str(refusal.value)


@pytest.mark.parametrize("kind", PHOTOS)
def test_a_child_gives_the_same_photo(kind: str) -> None:
    own, other = decode(PHOTOS[kind], min_side=200), ChildDecoder()(PHOTOS[kind], min_side=200)
    assert other.image.tobytes() == own.image.tobytes()
    for fact in ("width", "height", "format", "frames"):
        assert getattr(other, fact) == getattr(own, fact)
    assert (other.image.mode, other.image.size) == (own.image.mode, own.image.size)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("cut.webp", PHOTOS["webp"][:-40]),
        ("broken.png", PHOTOS["transparent png"].replace(b"IDAT", b"IDAX")),
        ("large.png", png(8_001, 8_000)),
        ("photos.zip.002", b"\x01\x02\x03"),
        ("naïve \udcff", b"hello, this is text"),
    ],
)
def test_a_photo_that_cannot_be_used_is_refused_in_the_same_words(name: str, data: bytes) -> None:
    with pytest.raises(BadImage) as own:
        decode(data, name=name)
    assert refused(data, name=name) == str(own.value)


@pytest.mark.parametrize(("code", "exit_code"), [(FAILS, 7), (BREAKS_OFF, 0)])
def test_a_child_that_ends_early_costs_its_own_photo(
    code: str, exit_code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_child(monkeypatch, code)
    assert refused(bytes(2**20), name="a.webp") == (
        f"a.webp: decoding it ends the process that does it (code {exit_code}); "
        "save it anew, or smaller"
    )


def test_a_child_that_hangs_is_ended_when_its_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replace_child(monkeypatch, HANGS)
    began = time.monotonic()
    # more than a pipe holds: the child does not even read it
    said = refused(bytes(2**20), name="a.webp", seconds=0.2)
    assert said == "a.webp: decoding it takes too long; save it anew, or smaller"
    assert time.monotonic() - began < 5


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="there the clock alone ends it")
def test_a_child_that_computes_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_child(monkeypatch, COMPUTES)
    assert "decoding it takes too long" in refused(bytes(2**20))


def test_closing_ends_the_children_and_starts_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_child(monkeypatch, HANGS)
    decoder, said = ChildDecoder(), list[str]()

    def ask() -> None:
        try:
            decoder(b"photo")
        except BadImage as error:
            said.append(error.reason)

    asking = threading.Thread(target=ask)
    asking.start()
    assert until(lambda: decoder._children)
    (child,) = decoder._children
    decoder.close()
    asking.join(timeout=10)
    ask()
    assert child.returncode is not None  # waited for: no zombie
    assert said[0].startswith("decoding it ends the process")
    assert said[1] == "not decoded: the service is shutting down"


def test_a_child_whose_parent_is_gone_ends() -> None:
    command = [sys.executable, "-P", "-c", HANGS_OVER_A_PHOTO]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.write(json.dumps({"name": "", "min_side": 256, "bytes": 1}).encode() + b"\n0")
        child.stdin.close()
        assert child.wait(timeout=20) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="there memory can be limited")
def test_a_child_may_take_so_much_memory_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_child(monkeypatch, HAS_LITTLE_MEMORY)
    said = refused(flat_tiff(8_000, 8_000, 8, 1, channels=3), name="large.tif")
    assert said == "large.tif: TIFF too large for the memory at hand"


def test_where_no_process_can_be_started_the_photo_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "DECODING_COMMAND", [str(tmp_path / "nothing")])
    assert "no process can be started to decode it (No such file" in refused(b"photo")


def test_the_child_loads_no_engine_and_no_service() -> None:
    code = "import sys, fursure.photos.apart; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert not loaded & {"onnxruntime", "asyncio", "fursure.engine.predictor", "fursure.service"}


@pytest.mark.long
def test_a_served_model_decodes_large_photos_in_a_child_and_answers_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Model("pets", "pets", Opening(engine="onnxruntime"), ServiceLimits())
    webp, heavy = PHOTOS["webp"], model.batcher._call_heavy
    monkeypatch.setattr(models, "LARGE_PHOTO", 2**20)
    own, other = model._answer([webp])[0], heavy([webp])[0]
    assert other.prediction == own.prediction
    replace_child(monkeypatch, FAILS)
    lost, small = heavy([webp, encoded("PNG", PHOTO)])
    assert lost.prediction is not None
    assert small.prediction is not None
    assert str(lost.prediction.error).startswith("decoding it ends the process")
    assert small.prediction.error is None
    replace_child(monkeypatch, HANGS)
    lane = threading.Thread(target=heavy, args=([webp],))
    lane.start()
    assert until(lambda: model._decode_apart._children)
    model.close()
    lane.join(timeout=5)
    assert not lane.is_alive()
    assert "shutting down" in str(heavy([webp])[0].prediction)
