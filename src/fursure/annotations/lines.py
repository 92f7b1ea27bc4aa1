"""The lines of a CSV, TSV or JSONL table → cells by the names of their columns."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping

from fursure.errors import BadData

Bad = Callable[[int, str], BadData]  # (line, reason) -> what to raise
_Cells = Mapping[str, object]


def separated(text: io.StringIO, bad: Bad) -> Iterator[tuple[int, _Cells]]:
    """Yield the rows of a CSV or TSV: whichever separator the first line has most of."""
    first = text.readline()
    text.seek(0)
    reader = csv.reader(text, delimiter=max(",;\t", key=first.count), strict=True)
    try:
        header = next(reader, [])
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, dict(zip(header, cells, strict=False))
    except csv.Error as error:
        raise bad(reader.line_num, str(error)) from None


def json_lines(text: io.StringIO, bad: Bad) -> Iterator[tuple[int, _Cells]]:
    for number, line in enumerate(text, start=1):
        if line.strip():
            try:
                cells = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise bad(number, str(error)) from None
            if not isinstance(cells, dict):
                raise bad(number, "no JSON object; write one a line, such as {…}.")
            yield number, cells
