"""A folder of strangers → their features, for a training to learn from."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from os import PathLike, fspath

import numpy as np

from fursure.backbones.backbone import Backbone
from fursure.dataset.layout import iter_photos
from fursure.dataset.sources import open_source
from fursure.errors import BadData, BadImage, counted
from fursure.features.reader import Reader
from fursure.heads.strangers import FEWEST_STRANGERS, Strangers
from fursure.parallel import begun
from fursure.photos.decode import LIMITS
from fursure.remote.place import shown_place
from fursure.rows.photo import Photo
from fursure.run import Run

_MOST = 5_000  # strangers; more would outweigh the known photos in time and teach no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The strangers under a path: each different photo once."""

    path: str
    names: dict[str, str]  # by sha256
    notes: tuple[str, ...]  # what was left out

    @property
    def digest(self) -> str:
        """Return what identifies them all, whatever their names."""
        return hashlib.sha256("".join(sorted(self.names)).encode()).hexdigest()


def list_strangers(path: str | PathLike[str], known: Collection[str]) -> Listed:
    """Return the strangers under ``path``: a folder, an archive or a table of photos.

    Photos that are ``known``, by their sha256, are left out: they cannot be both.

    Raises:
        BadData: there are too few, or the path cannot be read.
    """
    names: dict[str, str] = {}
    copies = unread = both = 0
    with open_source(path) as source:
        for name in begun(iter_photos(source), source.expect):
            try:
                digest = hashlib.sha256(source.read(name, LIMITS.bytes)).hexdigest()
            except BadImage:
                unread += 1
                continue
            both += digest in known
            copies += digest in names
            if digest not in known:
                names.setdefault(digest, name)
    shown = shown_place(fspath(path))
    if len(names) < FEWEST_STRANGERS:
        raise BadData(
            f"{shown} holds {counted(len(names), 'different photo')} of strangers; at "
            f"least {FEWEST_STRANGERS} are needed, half to learn from and half to measure on."
        )
    counts = {
        ("that is a known photo as well", "that are known photos as well"): both,
        ("that is a copy", "that are copies"): copies,
        ("that cannot be read",) * 2: unread,
        (f"that is beyond the {_MOST} used", f"that are beyond the {_MOST} used"): len(names)
        - _MOST,
    }
    notes = tuple(
        f"left out {counted(count, f'stranger {why}', f'strangers {whys}')}"
        for (why, whys), count in counts.items()
        if count > 0
    )
    kept = sorted(names)[:_MOST]
    return Listed(
        path=shown,
        names={digest: names[digest] for digest in kept},
        notes=notes,
    )


def encode_strangers(
    listed: Listed, encoder: Backbone, run: Run, *, photos: int
) -> tuple[Strangers, tuple[str, ...]]:
    """Return the features of the strangers, and a note on those that cannot be used.

    ``photos`` is how many known ones were encoded: the same engine must see both.

    Raises:
        BadData: too few can be used.
    """
    names = [Photo(path=name) for name in listed.names.values()]
    with open_source(listed.path) as source:
        reader = Reader.open(source, encoder, run, photos=photos)
        chunks = reader.scan(names, title="reading strangers")
        good = [row for chunk in chunks for row in chunk if row.features_D is not None]
    vectors = [row.features_D for row in good if row.features_D is not None]
    strangers = Strangers(
        digest=listed.digest,
        digests=tuple(row.photo.sha256 for row in good),
        features_SD=np.stack(vectors) if vectors else np.zeros((0, 0), np.float32),
    )
    bad = len(listed.names) - len(strangers.digests)
    left_out = counted(
        bad, "stranger that is no usable photo", "strangers that are no usable photos"
    )
    return strangers, (f"left out {left_out}",) if bad else ()
