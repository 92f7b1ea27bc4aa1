"""A JSON file of any size → its entries one after another, each of a bounded size."""

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_BLOCK = 1 << 20  # bytes decoded at a time
_LONGEST = 1 << 20  # characters of one entry; a photo with its annotations has a few thousand
_BLANKS = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class JsonEntry:
    """One value one level below the top of a file, or two where the top is an object."""

    key: str  # the member of the top object that it belongs to; "" below a list
    name: str  # its name within that member, "" where that is a list or a plain value
    value: Any


def entries(data: bytes) -> Iterator[JsonEntry]:
    """Yield the entries of a JSON file in order; only one of them is held.

    Raises:
        ValueError: it is no JSON of that form, is cut off, or an entry is too large or too deep.
    """
    text = _Text(data)
    match text.peek():
        case "[":
            yield from (JsonEntry("", "", text.value()) for _ in text.items("[]"))
        case "{":
            for _ in text.items("{}"):
                yield from _member(text, text.name())
        case _:
            raise ValueError("it begins with neither a list nor an object")
    if text.peek():
        raise text.wrong("something follows the end")


def _member(text: "_Text", key: str) -> Iterator[JsonEntry]:
    """Yield the entries of one member of the top object."""
    match text.peek():
        case "[":
            yield from (JsonEntry(key, "", text.value()) for _ in text.items("[]"))
        case "{":
            for _ in text.items("{}"):
                name = text.name()
                yield JsonEntry(key, name, text.value())
        case _:
            yield JsonEntry(key, "", text.value())


class _Text:
    """The text of a file from where it is read on."""

    def __init__(self, data: bytes) -> None:
        self._data, self._read = data, 0  # bytes decoded so far
        self._text, self._at, self._before = "", 0, 0  # characters let go of
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._json = json.JSONDecoder()

    def peek(self) -> str:
        """Return the next character that is no blank, "" at the end."""
        while True:
            match = _BLANKS.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def items(self, brackets: str) -> Iterator[None]:
        """Stop at each item of a list or an object, which the caller has to take."""
        closing = brackets[1]
        self._take(brackets[0])
        if self.peek() == closing:
            self._at += 1
            return
        while True:
            yield
            if self._take("," + closing) == closing:
                return

    def name(self) -> str:
        """Return the name before a value."""
        if self.peek() != '"':
            raise self.wrong("a name in quotes is missing")
        name = self.value()
        self._take(":")
        return str(name)

    def value(self) -> Any:
        """Return the next value."""
        self.peek()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except RecursionError:
                raise self.wrong("an entry nests too many levels deep") from None
            except ValueError as error:  # it may be whole with the next block
                if self._at + _LONGEST < len(self._text):
                    raise self.wrong("an entry is no JSON, or too large") from None
                if not self._more():
                    raise self.wrong(str(error).partition(":")[0]) from None
                continue
            if end == len(self._text) and self._more():  # a number may go on there
                continue
            self._at = end
            return value

    def wrong(self, what: str) -> ValueError:
        """Return what to raise."""
        return ValueError(f"{what}, after {self._before + self._at:,} characters")

    def _take(self, wanted: str) -> str:
        character = self.peek()
        if not character or character not in wanted:
            found = f"{character!r} is there" if character else "the end came"
            raise self.wrong(f"{found} instead of {wanted[0]!r}")
        self._at += 1
        return character

    def _more(self) -> bool:
        """Decode another block; return whether there was one."""
        if self._read >= len(self._data):
            return False
        block = self._data[self._read : self._read + _BLOCK]
        self._read += len(block)
        try:
            decoded = self._decode(block, self._read >= len(self._data))
        except UnicodeDecodeError:
            raise self.wrong("it is no UTF-8 text") from None
        self._before += self._at
        self._text, self._at = self._text[self._at :] + decoded, 0
        return True
