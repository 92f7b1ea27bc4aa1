"""The exported page in a real browser: the same answers as here, offline, for everyone."""

import csv
import io
import json
import random
import re
import shutil
import struct
import zipfile
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from firefox import Firefox, firefox
from handmade import PROPHOTO, matrix_profile
from PIL import Image, features
from webpage import CAMERA, PATIENT, asked, chromium, npm_package, served, tab

from fursure.bundle.bundle import Bundle
from fursure.bundle.named import find_model
from fursure.commands.export import export_model
from fursure.drawings.draw import draw, jpeg
from fursure.engine.predictor import Predictor
from fursure.exporting import targets
from fursure.exporting.ported import SAME_INT8, Wishes
from fursure.exporting.runtime import PINNED, RUNTIME_DIGESTS
from fursure.training.train import Trained

pytestmark = pytest.mark.long
BOUND = 1e-3  # largest |difference| of a probability


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.open(find_model("pets"), engine="onnxruntime", threads=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return `pets` as a page."""
    place = tmp_path_factory.mktemp("web") / "page"
    return export_model(find_model("pets"), "web", place).folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with served(folder) as where:
        yield where


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium(*CAMERA) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(browser: Any, address: str) -> Iterator[Any]:
    """Return the page on a phone, for tests that leave it as it was."""
    with tab(browser, address) as opened:
        yield opened


def coded(photo: Image.Image, format_: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    photo.save(buffer, format_, **options)
    return buffer.getvalue()


def turned_by(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def kinds(photo: Image.Image, number: int) -> Iterator[tuple[str, bytes]]:
    """Yield one photo in every format and colour that the page reads, turned in every way."""
    exif = turned_by(1 + number % 8)
    large = photo.resize((photo.width * 5, photo.height * 5), Image.Resampling.BICUBIC)
    glass = photo.convert("RGBA")
    glass.putalpha(Image.linear_gradient("L").resize(photo.size))
    wide = matrix_profile(PROPHOTO, 1.8)
    yield "JPEG", coded(photo, "JPEG", quality=88, exif=exif)
    yield "large JPEG", coded(large, "JPEG", quality=85, subsampling=number % 3, exif=exif)
    yield "progressive JPEG", coded(large, "JPEG", quality=85, progressive=True)
    yield "grey JPEG", coded(photo.convert("L"), "JPEG", quality=80)
    yield "JPEG of wide colours", coded(photo, "JPEG", quality=90, icc_profile=wide)
    yield "PNG", coded(photo, "PNG", exif=exif)
    yield "large PNG", coded(large, "PNG", compress_level=1)
    yield "PNG of wide colours", coded(photo, "PNG", icc_profile=wide)
    yield "PNG through glass", coded(glass, "PNG")
    yield "PNG of 256 colours", coded(photo.quantize(256), "PNG")
    yield "WebP", coded(photo, "WEBP", quality=80, exif=exif)
    yield "WebP of wide colours", coded(photo, "WEBP", quality=90, icc_profile=wide)
    yield "large WebP", coded(large, "WEBP", quality=80)
    yield "WebP through glass", coded(glass, "WEBP", lossless=True)
    yield "GIF", coded(photo, "GIF")
    yield "BMP", coded(photo, "BMP")
    if features.check("avif"):
        yield "AVIF", coded(photo, "AVIF", quality=80)


def differences(
    page: Any, predictor: Predictor, photos: list[tuple[str, bytes]]
) -> dict[str, float]:
    """Return the largest |difference| of a probability for each kind; answers have to agree."""
    worst: dict[str, float] = {}
    for kind, data in photos:
        here, there = predictor.predict(data), asked(page, data)
        assert here.error is None, (kind, here.error)
        assert "error" not in there, (kind, there)
        assert (there["answer"], there["label"]) == (here.answer, here.label), kind
        assert there["familiarity"] == pytest.approx(here.familiarity, abs=BOUND), kind
        gap = max(abs(there["probabilities"][k] - p) for k, p in here.probabilities.items())
        worst[kind] = max(worst.get(kind, 0), gap)
    return worst


def drawn_photos() -> list[tuple[str, bytes]]:
    drawn = (
        pair
        for number in range(4)
        for shape in [(240 + 61 * number, 320 - 37 * number)]
        for pair in kinds(draw(("cat", "dog")[number % 2], number).resize(shape), number)
    )
    return list(drawn)


def real_photos(shared: Path) -> list[tuple[str, bytes]]:
    """Return photos, half of them as they are, half in another format, size or orientation."""
    with zipfile.ZipFile(shared / "data" / "cats-vs-dogs-12000.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")]
        files = [archive.read(name) for name in random.Random(11).sample(names, 60)]
    photos = [("as it is", data) for data in files[:30]]
    for number, data in enumerate(files[30:]):
        every = list(kinds(Image.open(io.BytesIO(data)).convert("RGB"), number))
        photos.append(next(islice(cycle(every), number, None)))
    return photos


def test_sixty_drawn_photos_of_every_kind_are_answered_as_here(
    page: Any, predictor: Predictor
) -> None:
    photos = drawn_photos()
    assert len(photos) >= 60
    worst = differences(page, predictor, photos)
    assert max(worst.values()) <= BOUND, worst
    assert page.said == []


def test_sixty_real_photos_of_every_kind_are_answered_as_here(
    page: Any, predictor: Predictor, shared: Path
) -> None:
    worst = differences(page, predictor, real_photos(shared))
    assert max(worst.values()) <= BOUND, worst


@pytest.fixture(scope="module")
def fox(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    """Return the page in Firefox, proven."""
    with firefox(tmp_path_factory.mktemp("fox")) as window:
        window("WebDriver:Navigate", {"url": address})
        assert window.evaluate("async () => (await window.fursure.ready).canvas")
        yield window


NOT_IN_FIREFOX = {  # which reads them otherwise, and says so
    "AVIF": "AVIF, whose colours this browser reads otherwise",
    "WebP through glass": "a picture that shines through in part, which this browser reads",
}


def test_in_firefox_drawn_photos_of_every_kind_are_answered_as_here(
    fox: Firefox, predictor: Predictor
) -> None:
    photos = drawn_photos()
    worst = differences(fox, predictor, [pair for pair in photos if pair[0] not in NOT_IN_FIREFOX])
    assert max(worst.values()) <= BOUND, worst
    for kind, data in photos:
        if kind in NOT_IN_FIREFOX:
            assert asked(fox, data)["error"].startswith(NOT_IN_FIREFOX[kind])


def test_in_firefox_real_photos_are_answered_as_here(
    fox: Firefox, predictor: Predictor, shared: Path
) -> None:
    photos = [pair for pair in real_photos(shared) if pair[0] not in NOT_IN_FIREFOX]
    worst = differences(fox, predictor, photos)
    assert max(worst.values()) <= BOUND, worst


def test_the_page_proves_itself_and_asks_for_nothing_outside(page: Any, address: str) -> None:
    told = page.locator("#proof").inner_text()
    assert re.match("This browser gives the model's answers: largest difference .*0.0000", told)
    assert page.evaluate("window.fursure.ready.then((model) => model.canvas)")  # the PNG, too
    assert page.title() == "fursure · pets"
    assert "cat or dog" in page.locator("#model").inner_text()
    assert all(url.startswith((address, "blob:", "data:")) for url in page.asked)
    assert page.said == []


def deep_png() -> bytes:
    return coded(Image.fromarray(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)), "PNG")


def huge_png() -> bytes:
    """Return a PNG whose header promises more pixels than any canvas has."""
    data = bytearray(coded(draw("cat", 1), "PNG"))
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    return bytes(data)


BAD = [
    (b"", "an empty file"),
    (b"these are words, no photo", "a text file, not a photo"),
    (b"<!doctype html><p>no", "a web page: failed download?"),
    (b"%PDF-1.7 ...", "a PDF document, not a photo"),
    (b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(64), "HEIC, which this browser cannot read"),
    (coded(draw("cat", 1), "TIFF"), "TIFF, which this browser cannot read"),
    (deep_png(), "a PNG of 16 bits a channel; save it with 8"),
    (huge_png(), "60,000 × 60,000 pixels; the limit is 64 megapixels"),
    (coded(draw("cat", 1).convert("CMYK"), "JPEG"), "a CMYK JPEG"),
    (jpeg(draw("cat", 1))[:4000], "damaged or truncated JPEG"),
    (coded(draw("cat", 1), "PNG")[:4000], "damaged or truncated PNG"),
    (coded(draw("cat", 1), "WEBP")[:2000], "damaged or truncated WebP"),
    (b"RIFF\x18\0\0\0WEBPVP8 " + bytes(20), "damaged, truncated or too large for this browser"),
]


@pytest.mark.parametrize(("data", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_what_cannot_be_answered_is_told_in_one_sentence(
    page: Any, data: bytes, reason: str
) -> None:
    told = asked(page, data)
    assert told["error"].startswith(reason)


def test_in_firefox_what_cannot_be_answered_is_told_alike(fox: Firefox) -> None:
    told = [(asked(fox, data)["error"], reason) for data, reason in BAD]
    assert [pair for pair in told if not pair[0].startswith(pair[1])] == []


def test_of_an_animation_the_first_picture_is_answered_as_here(
    page: Any, predictor: Predictor
) -> None:
    frames = [draw("cat", 3), draw("dog", 3)]
    for format_ in ("WEBP", "GIF", "PNG"):
        data = coded(frames[0], format_, save_all=True, append_images=frames[1:], duration=100)
        worst = differences(page, predictor, [(format_, data)])
        assert max(worst.values()) <= BOUND


def on_page(page: Any, *photos: tuple[str, bytes]) -> None:
    """Choose files by the page's own button, and wait for their answers."""
    kind = "image/jpeg"
    page.set_input_files(
        "#files", [{"name": name, "mimeType": kind, "buffer": data} for name, data in photos]
    )
    page.locator("#answers li:not(.wait)").nth(len(photos) - 1).wait_for(timeout=PATIENT)


def test_photos_are_chosen_answered_shown_and_saved_as_a_table(
    browser: Any, address: str, predictor: Predictor
) -> None:
    photos = [('=a cat,"1".jpg', jpeg(draw("cat", 3))), ("<b>.jpg", b"no photo at all")]
    with tab(browser, address) as page:
        on_page(page, *photos)
        expected = predictor.predict(photos[0][1])
        answer = {"stranger": "Stranger", "unsure": "Unsure"}.get(expected.answer, expected.answer)
        heard = page.locator("#said").inner_text()
        assert answer in heard
        assert "a text file, not a photo" in heard
        assert page.locator("#answers b").all_inner_texts() == ["No answer", answer]
        with page.expect_download() as download:
            page.get_by_role("button", name="Save table").click()
        rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8"))))
        assert [row["path"] for row in rows] == ["./" + photos[0][0], "<b>.jpg"]
        assert rows[0]["answer"] == expected.answer
        assert float(rows[0]["p_cat"]) == pytest.approx(expected.probabilities["cat"], abs=1e-5)
        assert rows[1]["error"] == "a text file, not a photo"
        page.get_by_label("Show what spoke for it").check()
        assert page.locator("#answers .heat").count() <= 1
        page.get_by_role("button", name="Clear").click()
        assert page.locator("#answers li").count() == 0
        assert page.said == []


def test_a_photo_is_dropped_and_pasted(browser: Any, address: str) -> None:
    with tab(browser, address) as page:
        for event, key in (("drop", "dataTransfer"), ("paste", "clipboardData")):
            page.evaluate(
                """([bytes, event, key]) => {
                  const data = new DataTransfer();
                  data.items.add(new File([new Uint8Array(bytes)], `${event}.jpg`));
                  dispatchEvent(key === "dataTransfer" ? new DragEvent(event, { [key]: data })
                    : new ClipboardEvent(event, { [key]: data }));
                }""",
                [list(jpeg(draw("dog", 5))), event, key],
            )
            page.get_by_text(f"{event}.jpg").first.wait_for(timeout=PATIENT)
        page.locator("#answers .meter").nth(1).wait_for(timeout=PATIENT)


def test_a_camera_is_watched_live_until_it_is_stopped(browser: Any, address: str) -> None:
    with tab(browser, address, permissions=["camera"]) as page:
        page.get_by_role("button", name="Watch live").click()
        page.locator("#seen b").wait_for(timeout=PATIENT)
        assert page.locator("#seen b").inner_text() in {"Stranger", "Unsure", "cat", "dog"}
        page.get_by_role("button", name="Stop the camera").click()
        page.locator("#live").wait_for(state="hidden", timeout=PATIENT)
        assert page.said == []


def test_once_loaded_the_page_can_be_installed_and_works_without_its_server(
    folder: Path, browser: Any
) -> None:
    with served(folder) as address:
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        page.locator("#proof.proven").wait_for(timeout=PATIENT)
        found = context.new_cdp_session(page).send("Page.getInstallabilityErrors")
        errors = {error["errorId"] for error in found["installabilityErrors"]}
        assert errors <= {"in-incognito"}  # as every window of a test is
    page.reload()  # its server is gone
    page.locator("#proof.proven").wait_for(timeout=PATIENT)
    assert asked(page, jpeg(draw("cat", 3)))["label"] in {"cat", "dog"}
    context.close()


def test_a_new_version_of_the_page_takes_the_place_of_the_old(
    folder: Path, browser: Any, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    with served(copy) as address, tab(browser, address) as page:
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        before = page.evaluate("caches.keys()")
        worker = (copy / "sw.js").read_text()
        (copy / "sw.js").write_text(worker.replace('VERSION = "', 'VERSION = "new'))
        page.evaluate("navigator.serviceWorker.ready.then((found) => found.update())")
        page.wait_for_function(
            "before => caches.keys().then((now) => now.length === 1 && now[0] !== before[0])",
            arg=before, timeout=PATIENT,
        )  # fmt: skip


FOREIGN = "export const planOf = () => null;"  # a network of layers the page has no code for


@pytest.mark.parametrize("whole", [True, False])
def test_a_linked_runtime_runs_where_it_is_what_was_pinned_and_nothing_else_does(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    package = npm_package("onnxruntime-web")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(targets, "runs_by_itself", lambda *_: False)
    folder = export_model(find_model("pets"), "web", tmp_path / "page").folder
    monkeypatch.undo()
    (folder / "plan.js").write_text(FOREIGN)

    def sent(route: Any) -> None:
        data = (package / "dist" / route.request.url.rpartition("/")[2]).read_bytes()
        kind = "application/wasm" if route.request.url.endswith("wasm") else "text/javascript"
        headers = {"access-control-allow-origin": "*", "content-type": kind}
        route.fulfill(body=data if whole else data + b" ", headers=headers)

    with served(folder) as address:
        context = browser.new_context(service_workers="block")
        context.route("https://cdn.jsdelivr.net/**", sent)
        page = context.new_page()
        page.goto(address)
        page.locator("#proof.proven" if whole else "#proof.refused").wait_for(timeout=PATIENT)
        told = page.locator("#proof").inner_text()
        assert whole or "could not be loaded" in told
        context.close()


@pytest.mark.long
def test_a_page_in_int8_proves_the_answers_of_int8(
    trained: Trained, drawings: Path, browser: Any, tmp_path: Path
) -> None:
    bundle, runtime = Bundle.read(trained.path), npm_package("onnxruntime-web")
    wishes = Wishes(precision="int8", calibrate=drawings, runtime=runtime)
    folder = export_model(bundle, "web", tmp_path / "page", wishes=wishes).folder
    own = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    assert own <= 6_500_000
    assert "are answered otherwise" in (folder / "card.md").read_text("utf-8")
    golden = json.loads((folder / "model.json").read_text())["golden"][0]
    with served(folder) as where, tab(browser, where) as page:
        answer = asked(page, (folder / "golden.jpg").read_bytes())
        assert list(answer["probabilities"].values()) == pytest.approx(
            golden["probabilities"], abs=SAME_INT8
        )
        assert page.locator("#proof.proven").count() == 1


NO_SIMD = "WebAssembly.validate = () => false;"
LYING_CANVAS = """
const kept = OffscreenCanvasRenderingContext2D.prototype.getImageData;
OffscreenCanvasRenderingContext2D.prototype.getImageData = function (...box) {
  const image = kept.apply(this, box);
  for (let at = 0; at < image.data.length; at++) image.data[at] ^= 64 * (at % 7 === 0);
  return image;
};
"""


def test_a_browser_without_simd_is_told_so(browser: Any, address: str) -> None:
    with tab(browser, address, script=NO_SIMD) as page:
        assert "no WebAssembly SIMD" in page.locator("#proof").inner_text()
        on_page(page, ("a.jpg", jpeg(draw("cat", 1))))
        assert "no WebAssembly SIMD" in page.locator("#answers .bad").inner_text()


NO_MEMORY = "WebAssembly.Memory = class { constructor() { throw new RangeError('no memory'); } };"


def test_where_its_own_code_cannot_run_the_page_says_so(browser: Any, address: str) -> None:
    with tab(browser, address, script=NO_MEMORY) as page:
        told = page.locator("#proof.refused").inner_text()
        assert told.startswith("This browser cannot run the model (no memory); close other pages")


def test_where_a_canvas_lies_only_jpegs_are_answered(browser: Any, address: str) -> None:
    with tab(browser, address, script=LYING_CANVAS) as page:
        assert page.locator("#proof.proven").count() == 1
        assert "error" not in asked(page, jpeg(draw("cat", 3)))
        assert (
            "changes pictures that a page reads"
            in asked(page, coded(draw("cat", 3), "PNG"))["error"]
        )


def test_a_page_whose_answers_are_others_refuses_to_answer(
    folder: Path, browser: Any, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    facts = json.loads((copy / "model.json").read_text())
    facts["golden"][0]["probabilities"][0] += 0.01
    (copy / "model.json").write_text(json.dumps(facts))
    with served(copy) as address, tab(browser, address) as page:
        told = page.locator("#proof.refused").inner_text()
        assert told.startswith("This browser gives other answers than the model: a golden one is")
        assert "error" in asked(page, jpeg(draw("cat", 1)))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everyone_can_use_the_page(browser: Any, address: str, scheme: str) -> None:
    """No violation for axe-core, nothing wider than a small phone."""
    axe = (npm_package("axe-core") / "axe.min.js").read_text("utf-8")
    looks: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "color_scheme": scheme}
    with tab(browser, address, **looks, bypass_csp=True, reduced_motion="reduce") as page:
        page.evaluate(axe)
        for step in ("empty", "answered"):
            if step == "answered":
                strange = ("a stranger.jpg", jpeg(draw("stranger", 1)))
                on_page(page, strange, ("a cat.jpg", jpeg(draw("cat", 3))), ("no.jpg", b"nothing"))
            found = page.evaluate("axe.run().then((found) => found.violations)")
            assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
            assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_page_is_used_by_keyboard_alone(browser: Any, address: str) -> None:
    with tab(browser, address) as page:
        on_page(page, ("a cat.jpg", jpeg(draw("cat", 3))))
        page.locator("h1").click()
        names = []
        for _ in range(9):
            page.keyboard.press("Tab")
            names.append(page.evaluate("document.activeElement.id || 'card'"))
        assert names[:7] == ["files", "camera", "webcam", "heat", "save", "clear", "card"]


def test_the_digests_of_the_link_are_those_of_the_package() -> None:
    import base64
    import hashlib

    package = npm_package("onnxruntime-web")
    if json.loads((package / "package.json").read_text())["version"] != PINNED:
        pytest.skip(f"the package here is not {PINNED}")
    for name, digest in RUNTIME_DIGESTS.items():
        data = (package / "dist" / name).read_bytes()
        assert base64.b64encode(hashlib.sha384(data).digest()).decode() == digest
