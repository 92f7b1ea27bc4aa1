"""What is known of one photo."""

from dataclasses import dataclass
from typing import Literal, get_args

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """One photo: where it is, what it is, and what is to be done with it."""

    path: str  # relative to the root, '/'-separated, or 'archive.zip!member'
    sha256: str = ""  # hex, of the file's bytes; "" until scanned
    width: int = 0  # pixels, upright; 0 until scanned
    height: int = 0  # pixels, upright
    label: str | None = None
    group: str = ""  # near-duplicates share one; "" until grouped
    split: Split | None = None
    reason: str | None = None  # why this photo cannot be used
