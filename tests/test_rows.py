"""The table of 56 rows in docs/reliability.md names tests and benchmarks that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
COUNTS = {"T": 10, "I": 12, "B": 8, "S": 17, "C": 9}


def table() -> list[list[str]]:
    """Return the cells of each line of "The 56 rows"."""
    text = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    section = text.split("\n## The 56 rows\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if re.match(r"\| [TIBSC]\d", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_each_of_the_56_rows_has_a_line() -> None:
    names = [
        f"{letter}{number}" for letter, most in COUNTS.items() for number in range(1, most + 1)
    ]
    assert [row[0] for row in table()] == names
    assert len(names) == 56
    assert {len(row) for row in table()} == {6}


def test_every_test_and_target_of_a_row_exists() -> None:
    tests = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    makefile = (ROOT / "Makefile").read_text("utf-8")
    benchmark = (ROOT / "benchmarks" / "load.py").read_text("utf-8")
    for name, _, held_by, *_ in table():
        for test in re.findall(r"`(test_\w+)`", held_by):
            assert f"def {test}(" in tests, (name, test)
        for target in re.findall(r"`make ([\w-]+)", held_by):
            assert f"\n{target}: " in makefile, (name, target)
        for row in re.findall(r"`load (\w+)`", held_by):
            assert f"def measure_{row}(" in benchmark, (name, row)
        assert "`" in held_by or name == "T10", name
