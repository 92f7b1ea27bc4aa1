"""A list of names, in a file or on standard input → the names, one by one, as they come."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fursure.errors import BadData

_BLOCK = 1 << 16  # bytes read at a time
_LONGEST = 1 << 15  # bytes of a name; no system has longer paths
_UTF8_MARK, _UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class NameList:
    """A list that was named: lines, or names that end with NUL, as `find -print0` writes them."""

    place: str  # a file; "-" is standard input
    null: bool = False  # names end with NUL, so that a line end may be part of one

    @property
    def shown(self) -> str:
        """How people call it."""
        return "standard input" if self.place == "-" else self.place

    @property
    def read_once(self) -> bool:
        """Return whether it is gone once it was read: standard input, or another pipe."""
        return self.place == "-" or not stat.S_ISREG(Path(self.place).stat().st_mode)

    def names(self, stdin: BinaryIO | None) -> Iterator[str]:
        """Yield the names as they stand there; empty lines are none.

        Raises:
            BadData: it cannot be read, or is no such list.
        """
        if self.place == "-":
            if stdin is None:
                raise BadData("standard input is closed; pipe the list into it, or name a file.")
            yield from self._names_in(stdin)
            return
        try:
            with Path(self.place).open("rb") as file:
                yield from self._names_in(file)
        except OSError as error:
            raise BadData(f"{self.place} cannot be read ({error.strerror}).") from None

    def _names_in(self, file: BinaryIO) -> Iterator[str]:
        for number, piece in enumerate(self._pieces(file)):
            if number == 0 and piece.startswith(_UTF16_MARKS):
                instead = "write it in UTF-8 (Out-File -Encoding utf8)"
                raise self._bad("is written in UTF-16", instead)
            if not self.null and b"\0" in piece:
                raise self._bad("holds names that end with NUL", "say so with -0")
            if self.null and number == 0 and b"\n" in piece and not os.path.lexists(piece):
                raise self._bad("holds lines, not names that end with NUL", "leave out -0")
            if len(piece) > _LONGEST:
                raise self._bad(f"holds a name of over {_LONGEST:,} bytes", "give a list of photos")
            name = piece if self.null else piece.removeprefix(_UTF8_MARK).removesuffix(b"\r")
            if name:
                yield os.fsdecode(name)

    def _pieces(self, file: BinaryIO) -> Iterator[bytes]:
        """Yield what lies between the ends of names; what is too long for one ends the list."""
        rest = b""
        while len(rest) <= _LONGEST and (block := file.read(_BLOCK)):
            *whole, rest = (rest + block).split(b"\0" if self.null else b"\n")
            yield from whole
        if rest:
            yield rest

    def _bad(self, found: str, instead: str) -> BadData:
        return BadData(f"{self.shown} {found}; {instead}.")
