"""Photos: their headers, the tables of TIFF, and the decoding of each format."""

import io
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal, get_args

from PIL import Image

from fursure.drawings.draw import draw
from fursure.errors import BadImage
from fursure.formats.jpeg_header import read_jpeg_header
from fursure.formats.table import sniff
from fursure.formats.tiff import read_tiff_header
from fursure.formats.tiff_tags import Tag
from fursure.photos.cost import cost
from fursure.photos.decode import decode
from fursure.photos.statistics import measure
from fuzzing.mutate import Change
from fuzzing.shapes import either, png
from fuzzing.targets import Target, kept

MIN_SIDE = 256  # as the product decodes for a network of 224 pixels
EXIF = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>'
WORDS: dict[str, tuple[bytes, ...]] = {
    "jpeg": (
        *(bytes([0xFF, mark]) for mark in (*range(0xC0, 0xD0), 0xD0, 0xD8, 0xD9, 0xDA, 0xDB, 0xDD)),
        *(b"\xff\xe1", b"\xff\xe2", b"\xff\xee", b"\xff\xff", b"Exif\0\0", b"ICC_PROFILE\0\1\1"),
        b"http://ns.adobe.com/xap/1.0/\0",
    ),
    "png": (
        *(b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"iCCP", b"eXIf", b"iTXt", b"zTXt", b"tEXt"),
        *(b"acTL", b"fcTL", b"fdAT", b"CgBI", b"Raw profile type exif\0", b"XML:com.adobe.xmp\0"),
    ),
    "webp": (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF", b"XMP "),
    "gif": (b"\x21\xf9\x04", b"\x2c", b"\x3b", b"\x21\xff\x0bNETSCAPE2.0", b"\x21\xfe"),
    "avif": (
        *(b"ftyp", b"avif", b"avis", b"meta", b"iloc", b"iinf", b"iprp", b"ipco", b"ispe", b"irot"),
        *(b"imir", b"av1C", b"mdat", b"grid", b"auxC", b"pixi", b"Exif", b"clap", b"iref", b"idat"),
    ),
    "bmp": (b"BM", b"\x28\0\0\0", b"\x0c\0\0\0", b"\x7c\0\0\0"),
    "tiff": tuple(
        tag.to_bytes(2, order) for tag in Tag for order in get_args(Literal["little", "big"])
    ),
}
WORDS["heif"] = (*WORDS["avif"], b"heic", b"hvcC", b"mif1", b"hvc1")


def _saved(image: Image.Image, format_: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def _drawn(kind: str) -> Iterator[bytes]:
    """Yield small photos of a format, in most of the ways it has."""
    photo = draw("dog", seed=5, size=48)
    frames = {"save_all": True, "append_images": [photo.rotate(40), photo.rotate(80)]}
    profile = _profile()
    save = partial(_saved, photo)
    match kind:
        case "jpeg":
            yield from (save("JPEG"), save("JPEG", progressive=True), save("JPEG", exif=EXIF))
            yield from (save("JPEG", icc_profile=profile), save("JPEG", subsampling=0))
            yield _saved(photo.convert("L"), "JPEG")
            yield _saved(photo.convert("CMYK"), "JPEG", xmp=XMP)
            yield save("JPEG", restart_marker_blocks=2)
        case "png":
            yield from (save("PNG"), save("PNG", exif=EXIF), save("PNG", icc_profile=profile))
            yield from (_saved(photo.convert(mode), "PNG") for mode in ("L", "1", "I;16", "RGBA"))
            yield _saved(photo.quantize(16), "PNG", transparency=bytes(range(16)))
            yield save("PNG", **frames)
        case "webp":
            yield from (save("WEBP"), save("WEBP", lossless=True), save("WEBP", **frames))
            yield _saved(photo.convert("RGBA"), "WEBP", exif=EXIF, xmp=XMP, icc_profile=profile)
        case "gif":
            yield from (save("GIF"), save("GIF", **frames), save("GIF", interlace=True))
            yield _saved(photo.quantize(4), "GIF", transparency=2, comment=b"drawn")
        case "bmp":
            yield from (_saved(photo.convert(mode), "BMP") for mode in ("RGB", "L", "1", "RGBA"))
        case "tiff":
            yield from _tiffs(photo.resize((24, 24)), profile)
        case "avif":
            yield from (save("AVIF", quality=50), save("AVIF", exif=EXIF), save("AVIF", **frames))
            yield _saved(photo.convert("RGBA"), "AVIF", icc_profile=profile)
        case _:
            yield from _heifs(photo)


def _tiffs(photo: Image.Image, profile: bytes) -> Iterator[bytes]:
    for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield _saved(photo, "TIFF", compression=name)
    for mode in ("L", "1", "I;16", "F", "CMYK", "RGBA", "LAB", "YCbCr"):
        yield _saved(photo.convert(mode), "TIFF")
    yield _saved(photo, "TIFF", big_tiff=True, icc_profile=profile)
    yield _saved(photo.convert("1"), "TIFF", compression="group4")


def _heifs(photo: Image.Image) -> Iterator[bytes]:
    import pillow_heif

    for image in (photo, photo.convert("L"), photo.convert("RGBA")):
        buffer = io.BytesIO()
        pillow_heif.from_pillow(image).save(buffer, quality=50)
        yield buffer.getvalue()


def _profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()


def _read_headers(data: bytes) -> object:
    """Read a photo's facts; these readers raise whatever its damage causes, `cost` nothing."""
    cost(data, min_side=MIN_SIDE)
    format_ = sniff(data, "photo")
    if format_.name == "JPEG":
        return read_jpeg_header(data).coding
    return None if format_.unread else format_.read(data).frames


def _decode(data: bytes) -> object:
    photo = decode(data, min_side=MIN_SIDE)
    if photo.image.mode != "RGB":
        raise AssertionError(f"a photo of mode {photo.image.mode}")
    measure(photo, len(data))
    return photo.format, photo.image.size == (photo.width, photo.height), photo.frames


def target(name: str) -> Target:
    """Return the door of a format's decoder, of all headers, or of the tables of a TIFF."""
    if name == "headers":
        kinds = [kind for kind in WORDS if kind != "heif"]
        seeds = [seed for kind in kinds for seed in _drawn(kind)] + kept(name)
        words = [word for kind in kinds for word in WORDS[kind]]
        return Target(call=_read_headers, promised=(Exception,), seeds=seeds, words=words)
    if name == "tiff":
        seeds = [*_drawn("tiff"), *kept("decode-tiff"), *kept(name)]
        return Target(
            call=read_tiff_header, promised=(Exception,), seeds=seeds, words=WORDS["tiff"]
        )
    kind = name.removeprefix("decode-")
    change: Callable[[Change], Change] | None = None
    if kind == "png":
        change = lambda plain: either(plain, png(plain))  # noqa: E731
    return Target(
        call=_decode,
        promised=(BadImage,),
        seeds=[*_drawn(kind), *kept(name)],
        words=WORDS[kind],
        change=change,
    )
