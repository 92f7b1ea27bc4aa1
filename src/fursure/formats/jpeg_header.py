"""JPEG bytes → the facts of the photo, its profile, and the file without its metadata.

The walk visits the segments before the first scan, notices a file that ends within them, and is
bounded, so that a hostile file costs milliseconds.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from fursure.formats.format import OtherKind
from fursure.pixels.profile import MAX_PROFILE
from fursure.pixels.upright import orientation_of

MAX_SEGMENTS = 4_000  # of a JPEG's header: 64 MB of metadata in the largest segments need 1,000
EXIF, XMP, ICC = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegHeader:
    """What a JPEG says about its photo, and how it is coded."""

    width: int  # pixels as stored, before the orientation is applied
    height: int
    orientation: int  # EXIF, 1 to 8
    coding: int  # the frame marker's second byte: 0xC0 baseline, 0xC2 progressive …
    bits: int  # per channel
    channels: int
    interleaved: bool  # the first scan holds all channels
    profile: bytes  # ICC; empty where there is none, or not all of it
    scans: int  # where the first one begins

    @property
    def progressive(self) -> bool:
        """Return whether many scans refine the picture."""
        return self.coding in {0xC2, 0xC6, 0xCA, 0xCE}

    @property
    def buffered(self) -> bool:
        """Return whether a decoder holds every coefficient at once, however small its output."""
        return self.progressive or not self.interleaved


def read_jpeg_header(data: bytes) -> JpegHeader:
    """Return the facts of a JPEG, from its segments up to the first scan."""
    frame, exif, xmp = None, b"", b""
    pieces: dict[int, bytes] = {}  # of the profile, by number
    for marker, start, end in _segments(data):
        body = start + 4
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC} and frame is None:
            frame = marker, *struct.unpack_from(">BHHB", data, body)
        elif marker == 0xF7:
            raise OtherKind("JPEG", "JPEG-LS")
        elif marker == 0xE1 and data.startswith(EXIF, body):
            exif = exif or data[body:end]
        elif marker == 0xE1 and data.startswith(XMP, body):
            xmp = xmp or data[body:end]
        elif marker == 0xE2 and data.startswith(ICC, body) and end - body > 14:
            pieces[data[body + 12]] = data[body + 14 : end]
        elif marker == 0xDA and frame is not None:
            coding, bits, height, width, channels = frame
            return JpegHeader(
                width=width,
                height=height,
                orientation=orientation_of(exif, xmp),
                coding=coding,
                bits=bits,
                channels=channels,
                interleaved=data[body] == channels,
                profile=_joined(pieces),
                scans=start,
            )
    raise ValueError("no picture in this JPEG")


def _joined(pieces: dict[int, bytes]) -> bytes:
    """Return a profile from its pieces, or nothing where the length in it is another."""
    profile = b"".join(pieces[number] for number in sorted(pieces))
    whole = len(profile) >= int.from_bytes(profile[:4]) and len(profile) <= MAX_PROFILE
    return profile if whole else b""


def strip_jpeg(data: bytes) -> bytes:
    """Return a JPEG without its metadata; APP0 and APP14 stay, they define the colours."""
    view, kept = memoryview(data), [b"\xff\xd8"]
    for marker, start, end in _segments(data):
        if marker == 0xDA:
            return b"".join([*kept, view[start:]])
        if not (0xE1 <= marker <= 0xEF or marker == 0xFE) or marker == 0xEE:
            kept.append(data[start:end])
    raise ValueError("no picture in this JPEG")


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) of each segment up to the first scan's."""
    at, size = 2, len(data)
    for _ in range(MAX_SEGMENTS):
        if data[at] != 0xFF:  # stray bytes between segments, as every decoder forgives them
            at = data.index(b"\xff", at)
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker in {0x00, 0x01} or 0xD0 <= marker <= 0xD8:  # these have no length
            at += 2
        else:
            end = at + 2 + (data[at + 2] << 8 | data[at + 3])
            if end > size:
                raise EOFError("the JPEG ends within its header")
            yield marker, at, end
            if marker == 0xDA:
                return
            at = end
