"""Every format of photos; first bytes → the format, or why they are none.

The file's name plays no part in what it is: a PNG called ``cat.jpg`` is a PNG. To add a format,
write its module, which ends with its `Format`, and name that in `FORMATS`.
"""

import re

from fursure.errors import BadImage
from fursure.formats.bmp import BMP
from fursure.formats.format import RAW, Format
from fursure.formats.gif import GIF
from fursure.formats.heif import AVIF, HEIF
from fursure.formats.jpeg import JPEG
from fursure.formats.png import PNG
from fursure.formats.tiff import TIFF
from fursure.formats.webp import WEBP

# The first that recognises a file reads it: an AVIF may name a brand of HEIC, too.
FORMATS: tuple[Format, ...] = (JPEG, PNG, WEBP, AVIF, HEIF, GIF, BMP, TIFF)
OTHERS: tuple[tuple[bytes, str], ...] = (  # patterns of the first 1024 bytes
    (rb"\Z", "an empty file"),
    (rb"\0+\Z", "nothing but zero bytes: a failed download or copy?"),
    (rb"%PDF", "a PDF document, not a photo"),
    (rb"PK\x07\x08PK\x03\x04", "part 1 of a split ZIP archive: join the parts"),
    (rb"PK\x03\x04", "a ZIP archive, not a photo"),
    (rb"\x1f\x8b", "a gzip archive, not a photo"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive, not a photo"),
    (rb"Rar!", "a RAR archive, not a photo"),
    (rb"PAR1", "a Parquet table, not a photo"),
    (rb"\x7fELF|MZ", "a program, not a photo"),
    (rb"(?s)FUJIFILMCCD-RAW|II(RO|RS|U\0)|MMOR|.{4}ftypcrx ", f"{RAW}; export it as JPEG"),
    (rb"(?s)\x1a\x45\xdf\xa3|.{4}ftyp", "a video, not a photo"),
    (rb"8BPS", "a Photoshop document; save it as JPEG or PNG"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL photo; save it as JPEG or PNG"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 photo; save it as JPEG or PNG"),
    (rb"P[1-7][\s#]", "a PNM picture; save it as JPEG or PNG"),
    (rb"\x8a[MJ]NG\r\n\x1a\n", "an MNG or JNG picture; save it as JPEG or PNG"),
    (rb"\0\0[\1\2]\0[^\0]\0", "an icon; save it as PNG"),
    (rb"SIMPLE  =", "a FITS picture; save it as JPEG or PNG"),
    (rb"version https://git-lfs", "a Git LFS pointer, not the photo; run: git lfs pull"),
    (rb"(?is)\s*((<\?xml.*|<!--.*)?<svg\s|<!doctype svg)", "an SVG drawing; save it as PNG"),
    (rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body|!--)", "a web page: failed download?"),
    (rb"[^\x00-\x08\x0e-\x1f]{8,}\Z", "a text file, not a photo"),
)
PART = re.compile(r"(?i)\.(?:zip|7z|rar|tar|tgz|tar\.gz)\.(\d{2,3})\Z")


def is_photo_suffix(suffix: str) -> bool:
    """Return whether files of some format are named so; in lower case, with the dot."""
    return any(suffix in format_.suffixes for format_ in FORMATS)


def suffixes_of(name: str) -> tuple[str, ...]:
    """Return how files of the format called ``name`` are named; nothing for an unknown one."""
    return next((format_.suffixes for format_ in FORMATS if format_.name == name), ())


def recognise(data: bytes) -> Format | None:
    """Return the format that ``data``, a file or its first half kilobyte, begins like."""
    for format_ in FORMATS:
        if format_.recognises(data):
            return format_
    return None


def sniff(data: bytes, name: str) -> Format:
    """Return the format that ``data`` begins like.

    Raises:
        BadImage: it begins like something else; the reason says what, where that is known.
    """
    if format_ := recognise(data):
        return format_
    if part := PART.search(name):
        raise BadImage(name, f"part {int(part[1])} of a split archive: join the parts")
    reasons = (reason for start, reason in OTHERS if re.match(start, data[:1024]))
    known = ", ".join(format_.title for format_ in FORMATS)
    raise BadImage(name, next(reasons, f"no image of a known format ({known})"))
