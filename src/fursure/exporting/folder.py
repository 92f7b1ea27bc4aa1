"""Named bytes → a new folder that holds them, whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from fursure.errors import BadData, OutputExists
from fursure.files import naming


def check_new(folder: Path) -> None:
    """Refuse early a folder that could not be made late.

    Raises:
        OutputExists: something lies there already.
        BadData: it cannot be made there.
    """
    if folder.is_dir():
        if any(folder.iterdir()):
            raise OutputExists(folder, "a folder that is not empty", replaced=False)
    elif folder.exists() or folder.is_symlink():
        raise OutputExists(folder, "it is no folder", replaced=False)
    nearest = next(path for path in folder.absolute().parents if path.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        raise BadData(f"{nearest} is no folder that can be written; choose another one with -o.")


def write_new(folder: Path, files: Iterable[tuple[str, bytes]]) -> int:
    """Write ``files``, by their paths in it, into a new or empty folder; return their bytes.

    What fails or is interrupted leaves nothing.

    Raises:
        OutputExists: something lies there already.
        OSError: it cannot be written.
    """
    check_new(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    total, part = 0, Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name[:80]}."))
    try:
        for name, data in files:
            place = part / name
            with naming(folder / name, len(data)):
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)
            total += len(data)
        part.chmod(0o755)  # mkdtemp made it private
        with suppress(FileNotFoundError):
            folder.rmdir()  # empty: Windows replaces no folder
        part.replace(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return total


def filled_in(template: bytes, values: Mapping[str, str]) -> bytes:
    """Return the text ``template`` with each ``{{name}}`` replaced by its value."""
    text = template.decode()
    for name, value in values.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return text.encode()
