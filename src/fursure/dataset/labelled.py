"""What the user calls the photos → the photos behind it, with the labels that are meant.

Every command that takes labelled photos takes a `Dataset`, or a path that becomes one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from os import PathLike, fspath

from fursure.dataset.corrections import Correction, read_corrections
from fursure.dataset.layout import list_photos
from fursure.dataset.listing import Source
from fursure.dataset.manifest import Manifest
from fursure.dataset.sources import open_source
from fursure.remote.place import AnyPlace, place_of, remote_place, shown_place
from fursure.remote.store import pinned_place


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled photos: where they lie, and how they come by their labels."""

    path: str | PathLike[str]  # a folder, an archive or a table, also by URL
    label_regex: str | None = None  # finds the label in a file name
    rename: Mapping[str, str] = field(default_factory=dict)  # labels: old -> new
    corrections: str | PathLike[str] | None = None  # verdicts on photos, as a review writes them
    label_column: str | None = None  # of a table or an export: what holds the labels

    @property
    def name(self) -> str:
        """How it was called."""
        return shown_place(fspath(self.path))

    @property
    def place(self) -> AnyPlace:
        """Where it lies."""
        return place_of(self.path)

    def pinned(self) -> "Dataset":
        """Return the same at the commit of now, where it lies on the Hugging Face Hub.

        Whoever opens it more than once takes this, so that nothing changes between.

        Raises:
            RemoteFailed: it cannot be asked for that.
        """
        place = remote_place(self.path)
        return self if place is None else replace(self, path=pinned_place(place))

    def open(self) -> Source:
        """Return what its photos are read from.

        Raises:
            BadData: there is nothing, or nothing that can be read.
        """
        return open_source(self.path)

    def listed(self, source: Source) -> Manifest:
        """Return its photos with their labels, nothing of them read yet.

        Raises:
            FursureError: the labels do not follow from the paths.
        """
        listed = list_photos(source, label_regex=self.label_regex, label_column=self.label_column)
        return listed.renamed(self.rename)

    def verdicts(self) -> tuple[Correction, ...]:
        """Return the corrections, none where there is no file of them.

        Raises:
            BadData: the file is not one.
        """
        return () if self.corrections is None else tuple(read_corrections(self.corrections))


Data = str | PathLike[str] | Dataset


def dataset_of(data: Data) -> Dataset:
    """Return the data set that a path alone means."""
    return data if isinstance(data, Dataset) else Dataset(data)
