"""The page's own decoding and resizing against Pillow's, bit for bit."""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import PROPHOTO, TO_XYZ, matrix_profile, table_profile
from javascript import Node, pixels
from PIL import Image, ImageCms

from fursure.drawings.draw import draw, jpeg
from fursure.formats.jpeg import reduction
from fursure.photos.decode import decode
from fursure.photos.preprocess import Preprocess
from fursure.pixels.profile import to_srgb

DECODED = """
const { jpegHeader, jpegPixels } = await import("./jpeg.js");
const { orientationOf, turned } = await import("./photo.js");
const data = bytes(given.path);
const header = jpegHeader(data);
const stored = await jpegPixels(data, header, given.scale);
const photo = turned(stored, orientationOf(header.exif, header.xmp));
kept(`${given.path}.${given.scale}`, photo.pixels);
return [photo.width, photo.height];
"""
RESIZED = """
const { preprocessed } = await import("./resize.js");
const photo = { width: given.width, height: given.height, pixels: bytes(given.path) };
kept(`${given.path}.${given.number}`, preprocessed(photo, given.how));
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    return Node.found(tmp_path_factory.mktemp("page"))


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    levels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(levels)


def coded() -> Iterator[bytes]:
    """Yield JPEGs of every sampling and coding that Pillow writes, of odd and tiny sizes."""
    drawn = draw("cat", 1)
    sizes = ((200, 301), (64, 64), (33, 257), (17, 9), (1, 1), (3, 5))
    for size, sampling, progressive in product(sizes, (0, 1, 2), (False, True)):
        for picture in [drawn.resize(size)] + [noise(*size)] * (size == sizes[0]):
            buffer = io.BytesIO()
            options: dict[str, Any] = {"subsampling": sampling, "progressive": progressive}
            if size == sizes[0]:
                options["restart_marker_blocks"] = 3
            picture.save(buffer, "JPEG", quality=50, **options)
            yield buffer.getvalue()
    yield jpeg(drawn.convert("L"))
    yield jpeg(drawn, quality=15)
    buffer = io.BytesIO()
    drawn.save(buffer, "JPEG", keep_rgb=True)  # marked as Adobe does it
    yield buffer.getvalue()


def check_decoded(node: Node, folder: Path, files: list[bytes]) -> int:
    """Compare every file at every reduction; return how many pictures those were."""
    cases: list[dict[str, Any]] = []
    for number, data in enumerate(files):
        path = folder / f"{number}.jpg"
        path.write_bytes(data)
        side = min(Image.open(io.BytesIO(data)).size)
        scales = [scale for scale in (1, 2, 4, 8) if scale <= side]
        cases += [{"path": str(path), "scale": scale} for scale in scales]
    for case, (width, height) in zip(cases, node(DECODED, *cases), strict=True):
        image = Image.open(io.BytesIO(Path(case["path"]).read_bytes()))
        scale = int(str(case["scale"]))
        image.draft(None, (max(1, image.width // scale), max(1, image.height // scale)))
        turn = image.getexif().get(0x0112, 1)
        expected = np.asarray(decode_turned(image.convert("RGB"), turn))
        found = pixels(Path(f"{case['path']}.{scale}"), width, height)
        assert np.array_equal(found, expected), case
    return len(cases)


def decode_turned(image: Image.Image, orientation: int) -> Image.Image:
    """Return ``image`` upright, by Pillow's own hand."""
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif)
    return ImageOps.exif_transpose(Image.open(buffer))


@pytest.mark.long
def test_every_jpeg_is_decoded_to_the_bit_at_every_reduction(node: Node, tmp_path: Path) -> None:
    assert check_decoded(node, tmp_path, list(coded())) == 150


def test_every_orientation_is_turned_as_pillow_turns_it(node: Node, tmp_path: Path) -> None:
    files = []
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        buffer = io.BytesIO()
        draw("dog", 2).resize((90, 61)).save(buffer, "JPEG", exif=exif)
        files.append(buffer.getvalue())
    check_decoded(node, tmp_path, files)


@pytest.mark.long
def test_real_photos_are_decoded_to_the_bit(node: Node, tmp_path: Path, shared: Path) -> None:
    with zipfile.ZipFile(shared / "data" / "cats-vs-dogs-12000.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")]
        files = [archive.read(name) for name in random.Random(3).sample(names, 20)]
    assert check_decoded(node, tmp_path, files) == 80


def test_a_sampling_that_pillow_never_writes_is_decoded_to_the_bit(
    node: Node, tmp_path: Path
) -> None:
    simplejpeg = pytest.importorskip("simplejpeg", reason="it writes the rarer samplings")
    levels = np.asarray(draw("dog", 4).resize((123, 77))).copy()
    files = [
        simplejpeg.encode_jpeg(levels, quality=90, colorsubsampling=sampling)
        for sampling in ("440", "411", "422")
    ]
    check_decoded(node, tmp_path, files)


def cut_between_scans() -> bytes:
    """Return a progressive JPEG without its last scan."""
    buffer = io.BytesIO()
    draw("cat", 1).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    return data[: data.rindex(b"\xff\xda")]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (jpeg(draw("cat", 1))[:2000], "damaged or truncated JPEG"),
        (jpeg(draw("cat", 1))[:300], "damaged or truncated JPEG"),
        (jpeg(draw("cat", 1).convert("CMYK")), "a CMYK JPEG"),
        (b"\xff\xd8\xff", "damaged or truncated JPEG"),
        (cut_between_scans(), "damaged or truncated JPEG"),
    ],
)
def test_a_jpeg_that_cannot_be_read_is_refused_in_words(
    node: Node, tmp_path: Path, data: bytes, reason: str
) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    (result,) = node(DECODED, {"path": str(path), "scale": 1})
    assert result["refused"].startswith(reason)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("mode", ["crop", "squash", "pad"])
def test_photos_are_resized_to_the_bit(
    node: Node, tmp_path: Path, mode: Any, interpolation: Any
) -> None:
    """Larger and smaller, and of shapes that make the box of the crop fall between pixels."""
    sizes = [(320, 240), (241, 511), (64, 64), (17, 90), (300, 299), (56, 56), (1, 7), (156, 256)]
    how = Preprocess(size=56, mode=mode, interpolation=interpolation, crop=0.9)
    cases, expected = [], []
    for number, (width, height) in enumerate(sizes):
        photo = noise(width, height, number)
        path = tmp_path / str(number)
        path.write_bytes(photo.tobytes())
        case = {"path": str(path), "width": width, "height": height, "number": number}
        cases.append(case | {"how": how.to_json()})
        expected.append(how(photo).tobytes())
    node(RESIZED, *cases)
    found = [Path(f"{case['path']}.{case['number']}").read_bytes() for case in cases]
    assert found == expected


def test_the_whole_way_of_the_golden_photo_is_the_same_to_the_bit(
    node: Node, tmp_path: Path
) -> None:
    how = Preprocess()
    data = jpeg(draw("cat", 7).resize((1100, 1100)))
    path = tmp_path / "golden.jpg"
    path.write_bytes(data)
    scale = reduction((1100, 1100), how.min_side)
    assert scale == 4
    node(DECODED, {"path": str(path), "scale": scale})
    case = {"path": f"{path}.4", "width": 275, "height": 275, "number": 1, "how": how.to_json()}
    node(RESIZED, case)
    expected = how(decode(data, name="golden", min_side=how.min_side).image)
    assert Path(f"{path}.4.1").read_bytes() == expected.tobytes()


CLEAR = """
const { photoOf } = await import("./photo.js");
const photo = await photoOf(bytes(given.path), given.side);
kept(`${given.path}.seen`, photo.pixels);
return [photo.width, photo.height];
"""


def laced(photo: Image.Image) -> bytes:
    """Return a PNG of seven passes, each of every eighth to every second pixel (Adam7)."""
    rgba_HWC = np.asarray(photo.convert("RGBA"))
    starts = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
    rows = (
        b"\0" + row_WC.tobytes()
        for left, top, across, down in [*starts, (0, 1, 1, 2)]
        for row_WC in rgba_HWC[top::down, left::across]
        if row_WC.size
    )
    header = struct.pack(">IIBBBBB", *photo.size, 8, 6, 0, 0, 1)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def clear_pngs() -> Iterator[bytes]:
    """Yield PNGs with opacity: colours, greys, palettes of four sizes, and one in seven passes."""
    photo = draw("dog", 6).resize((203, 151))
    glass = photo.convert("RGBA")
    glass.putalpha(Image.radial_gradient("L").resize(photo.size))
    yield png(glass)
    yield png(glass.convert("LA"))
    yield png(glass.resize((1, 7)))
    for colours in (2, 4, 16, 200):
        opacities = bytes(range(0, 250, 3))[:colours]
        yield png(photo.quantize(colours), transparency=opacities)
    yield laced(glass)
    yield laced(glass.resize((3, 2)))


def png(photo: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    photo.save(buffer, "PNG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("side", [1000, 40])
def test_a_png_with_opacity_is_decoded_to_the_bit(node: Node, tmp_path: Path, side: int) -> None:
    files = list(clear_pngs())
    cases, expected = [], []
    for number, data in enumerate(files):
        path = tmp_path / f"{number}.png"
        path.write_bytes(data)
        cases.append({"path": str(path), "side": side})
        expected.append(decode(data, name="photo", min_side=side).image)
    sizes = node(CLEAR, *cases)
    assert sizes == [list(photo.size) for photo in expected]
    for case, photo in zip(cases, expected, strict=True):
        assert Path(f"{case['path']}.seen").read_bytes() == photo.tobytes(), case["path"]


def test_a_png_with_opacity_that_is_cut_is_refused(node: Node, tmp_path: Path) -> None:
    whole = next(clear_pngs())
    header, end = whole[:33], whole[-12:]
    short = (
        struct.pack(">I", 20) + b"IDAT" + zlib.compress(bytes(9))[:20].ljust(20, b"\0") + bytes(4)
    )
    for data in (whole[:4000], header + short + end):
        (tmp_path / "cut.png").write_bytes(data)
        (told,) = node(CLEAR, {"path": str(tmp_path / "cut.png"), "side": 100})
        assert told == {"refused": "damaged or truncated PNG"}


SEEN = """
const { toSrgb } = await import("./profile.js");
const photo = { width: given.width, height: given.height, pixels: bytes(given.path) };
kept(`${given.path}.seen`, toSrgb(photo, bytes(given.profile)).pixels);
"""


@pytest.mark.parametrize(
    "profile",
    [
        matrix_profile(PROPHOTO, 1.8),
        matrix_profile(TO_XYZ, 1.0),
        matrix_profile(np.asarray(TO_XYZ)[:, ::-1], 2.2),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        b"no profile at all",
    ],
    ids=["wide", "linear", "swapped", "sRGB", "broken"],
)
def test_colours_follow_a_profile_to_the_bit(node: Node, tmp_path: Path, profile: bytes) -> None:
    photo = noise(90, 70)
    (tmp_path / "photo").write_bytes(photo.tobytes())
    (tmp_path / "profile").write_bytes(profile)
    case = {"width": 90, "height": 70, "path": str(tmp_path / "photo")}
    node(SEEN, case | {"profile": str(tmp_path / "profile")})
    found = pixels(tmp_path / "photo.seen", 90, 70)
    assert np.array_equal(found, np.asarray(to_srgb(photo, profile)))


def test_colours_described_by_a_table_are_refused_in_words(node: Node, tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(bytes(3))
    (tmp_path / "profile").write_bytes(table_profile(b"RGB ", lambda values: 1 - values))
    case = {"width": 1, "height": 1, "path": str(tmp_path / "photo")}
    (result,) = node(SEEN, case | {"profile": str(tmp_path / "profile")})
    assert result["refused"].startswith("a photo whose colours are described by a table")


@pytest.mark.parametrize("order", ["<", ">"])
def test_an_orientation_that_only_xmp_knows_is_found_and_exif_goes_before_it(
    node: Node, order: str
) -> None:
    code = """
    const { orientationOf } = await import("./photo.js");
    const block = (text) => text === null ? null : Uint8Array.from(text, (c) => c.charCodeAt(0));
    return orientationOf(block(given.exif), block(given.xmp));
    """
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, 6, 0)
    exif = (mark + struct.pack(f"{order}IH", 8, 1) + entry).decode("latin-1")
    xmp = '<x tiff:Orientation="8"/>'
    cases = [
        {"exif": exif, "xmp": xmp},
        {"exif": None, "xmp": xmp},
        {"exif": "II", "xmp": None},
        {"exif": exif[:14], "xmp": xmp},
    ]
    assert node(code, *cases) == [6, 8, 1, 8]
