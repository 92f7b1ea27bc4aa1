"""TIFF files → their facts, and the first page with nothing but its pixels' tags.

A TIFF is all tags: EXIF, thumbnails, private tables. Pillow and libtiff parse every one of them,
warn, and log; a table of the few that make pixels leaves them nothing to trip over. (Where those
pixels are compressed and damaged, libtiff itself prints a line to stderr; Python cannot stop it.)
Pages of more than 8 bits are unpacked by `tiff_deep`, all others by Pillow.
"""

import io
from functools import partial

from PIL import Image, ImagePalette
from PIL.TiffImagePlugin import COMPRESSION_INFO, TiffImageFile

from fursure.formats.format import RAW, Format, Header, OtherKind
from fursure.formats.tiff_deep import Page, deep_page, open_deep
from fursure.formats.tiff_tags import BESIDE, Layout, Tag, Tags, count_pages, read_layout, read_tags
from fursure.pixels.deep import grey_levels, is_deep
from fursure.pixels.profile import MAX_PROFILE
from fursure.pixels.upright import MAX_XMP, orientation_of

_WEBP_COMPRESSION = 50001  # a compression that Pillow's own libtiff lacks
MAX_CHANNELS = 6  # what Pillow decodes
_HEAD_BYTES = 8  # bytes of every TIFF that are no pixels
MAX_TILE = 4_096  # pixels a side, beyond the photo's own
TYPES = {2: " signed", 3: " float", 5: " complex", 6: " complex"}
COLOURS = {4: "mask", 6: "YCbCr", 8: "Lab", 9: "ICCLab", 10: "ITULab", 32803: "raw sensor"}
COLOURS |= {32844: "LogL", 32845: "LogLuv", 34892: "linear raw"}


def read_tiff_header(data: bytes) -> Header:
    """Return the facts of a TIFF's first page.

    Raises:
        OtherKind: it may be whole, and nothing here decodes it.
    """
    layout = read_layout(data)
    (first,) = layout.offset.unpack_from(data, layout.first)
    tags = read_tags(data, layout, first)
    if data[8:10] == b"CR" or Tag.DNG in tags.entries or _is_preview(tags):
        raise OtherKind("TIFF", f"{RAW}")
    _check_places(tags, len(data))
    _check_tiles(tags)
    _check_kind(tags)
    bits = tags.many(Tag.BITS, (1,))
    deep = deep_page(tags, layout.order)
    return Header(
        width=tags.one(Tag.WIDTH, 0),
        height=tags.one(Tag.HEIGHT, 0),
        bits=sum(bits) if len(bits) > 1 else bits[0] * tags.one(Tag.CHANNELS, 1),
        frames=count_pages(data, layout, first),
        orientation=_orientation(tags, data),
        profile=_metadata(tags, data, Tag.PROFILE, MAX_PROFILE),
        open=partial(_open, data, layout, tags, deep),
    )


def _is_preview(tags: Tags) -> bool:
    """Return whether the first page is a thumbnail of what is kept elsewhere, as raw photos do."""
    return bool(tags.one(Tag.REDUCED, 0) & 1) and Tag.SUBTABLES in tags.entries


def _orientation(tags: Tags, data: bytes) -> int:
    if Tag.ORIENTATION in tags.numbers:
        return tags.one(Tag.ORIENTATION, 1)
    return orientation_of(b"", _metadata(tags, data, Tag.XMP, MAX_XMP))


def _metadata(tags: Tags, data: bytes, tag: Tag, limit: int) -> bytes:
    place = tags.places.get(tag, slice(0))
    return data[place] if place.stop - (place.start or 0) <= limit else b""


def _check_places(tags: Tags, size: int) -> None:
    """Refuse pixels outside the file: they would be read from its head, or what we append."""
    for starts, lengths in ((Tag.STRIPS, Tag.STRIP_BYTES), (Tag.TILES, Tag.TILE_BYTES)):
        for start, length in zip(tags.many(starts), tags.many(lengths), strict=False):
            if start + length > size or (start < _HEAD_BYTES and length):
                raise EOFError("the TIFF has pixels outside itself")


def _check_tiles(tags: Tags) -> None:
    """Refuse tiles far larger than the photo: a decoder holds a whole one."""
    for tile, side in ((Tag.TILE_WIDTH, Tag.WIDTH), (Tag.TILE_HEIGHT, Tag.HEIGHT)):
        if tags.one(tile, 0) > max(tags.one(side, 0) + 15, MAX_TILE):
            width, height = tags.one(Tag.TILE_WIDTH, 0), tags.one(Tag.TILE_HEIGHT, 0)
            raise OtherKind("TIFF", f"in tiles of {width:,} × {height:,} pixels")


def _check_kind(tags: Tags) -> None:
    compression = tags.one(Tag.COMPRESSION, 1)
    if compression not in COMPRESSION_INFO or compression == _WEBP_COMPRESSION:
        raise OtherKind("TIFF", f"compression {compression}")
    if tags.one(Tag.CHANNELS, 1) > MAX_CHANNELS:
        raise OtherKind("TIFF", f"{tags.one(Tag.CHANNELS, 1)} channels")
    bits, kinds = tags.many(Tag.BITS, (1,)), tags.many(Tag.KIND, (1,))
    if max(bits) <= 8 and max(kinds) != 1 and kinds[0] != 4:
        raise OtherKind("TIFF", describe(tags))


def describe(tags: Tags) -> str:
    """Return what a page is made of, as in "3 × 32-bit float"."""
    bits, kind = tags.many(Tag.BITS, (1,)), tags.one(Tag.KIND, 1)
    depth = f"{bits[0]}-bit" if len(set(bits)) == 1 else f"{'+'.join(map(str, bits[:8]))}-bit"
    colours = COLOURS.get(tags.one(Tag.COLOURS, 0), "")
    number = tags.one(Tag.CHANNELS, 1)
    return f"{number} × {depth}{TYPES.get(kind, '')}{', ' * bool(colours)}{colours}"


def _open(data: bytes, layout: Layout, tags: Tags, deep: Page | None, _scale: int) -> Image.Image:
    if deep:
        return open_deep(data, deep)
    kept = [entry for tag, entry in tags.entries.items() if tag not in BESIDE]
    padding = bytes(len(data) % 2)  # tables begin at even offsets
    table = layout.count.pack(len(kept)) + b"".join(kept) + layout.offset.pack(0)
    moved = layout.offset.pack(len(data) + len(padding))
    rest = memoryview(data)[layout.first + len(moved) :]
    stripped = b"".join([data[: layout.first], moved, rest, padding, table])
    try:
        image = TiffImageFile(io.BytesIO(stripped))
    except SyntaxError as error:
        raise OtherKind("TIFF", describe(tags)) from error
    palette = tags.many(Tag.PALETTE)
    if image.mode in {"P", "PA"} and max(palette) < 256:  # of 8 bits where the standard has 16
        image.palette = ImagePalette.raw("RGB;L", bytes(palette))
    if is_deep(image.mode):  # 12 bits a pixel, packed
        return grey_levels(image, white=2 ** tags.one(Tag.BITS, 16) - 1)
    return image


TIFF = Format(
    name="TIFF",
    title="TIFF",
    suffixes=(".tif", ".tiff"),
    recognises=lambda data: data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    read=read_tiff_header,
)
