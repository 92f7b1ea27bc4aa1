"""First bytes → the format of a photo, or why they are none.

The file's name plays no part: a PNG called ``cat.jpg`` is a PNG.
"""

import re
from typing import Literal

from fursure.errors import BadImage


class OtherKind(Exception):
    """A file that may be whole, of a kind that no decoder here knows; `decode` adds its name."""

    def __init__(self, format_: str, kind: str) -> None:
        super().__init__(
            f"a {format_} of a kind that is not decoded ({kind}); save it as JPEG or PNG"
        )


Format = Literal["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "GIF", "BMP", "TIFF"]

PHOTOS: tuple[tuple[bytes, Format], ...] = (
    (b"\xff\xd8", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),  # BigTIFF
    (b"MM\0+", "TIFF"),
)
RAW = "a camera's raw photo"
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
    (rb"PAR1", "a Parquet table, not a photo; `fursure predict` reads photos, not tables of them"),
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
UNKNOWN = "no image of a known format (JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP, TIFF)"
BMP_HEADER_SIZES = {12, 16, 40, 52, 56, 64, 108, 124}  # bytes; two letters alone prove little
HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}


def sniff(data: bytes, name: str) -> Format:
    """Return the format that ``data`` begins like.

    Raises:
        BadImage: it begins like something else; the reason says what, where that is known.
    """
    for magic, format_ in PHOTOS:
        if data.startswith(magic):
            return format_
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in BMP_HEADER_SIZES:
        return "BMP"
    if data[4:8] == b"ftyp":
        brands = {data[at : at + 4] for at in range(8, min(int.from_bytes(data[:4]), 256), 4)}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        if brands & HEIF_BRANDS:
            return "HEIF"
    if part := PART.search(name):
        raise BadImage(name, f"part {int(part[1])} of a split archive: join the parts")
    reasons = (reason for start, reason in OTHERS if re.match(start, data[:1024]))
    raise BadImage(name, next(reasons, UNKNOWN))
