"""What a tool for annotations says of one photo, and the one label that follows from it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fursure.errors import BadData, some

Opinion = tuple[str, ...]  # the labels that one annotator gave one photo

# Of several names that labels stand under, the first of these is taken without asking.
_USUAL = ("ground_truth", "label", "labels", "choice", "choices", "class", "category")

UNLABELLED = "photo without a label"
_CANCELLED = "photo that its annotators skipped"
_SEVERAL = "photo with several labels"
_TIED = "photo whose annotators disagree, without a majority"


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotated:
    """One photo as an export lists it."""

    written: str  # the path, URL or id of its file
    opinions: Mapping[str, Sequence[Opinion]]  # by the question or field that they answer
    splits: tuple[str, ...] = ()  # words that may name its part of a split
    cancelled: bool = False  # somebody looked at it, and gave no answer


@dataclass(slots=True)
class Votes:
    """How the labels of several annotators become one, and how often they were not of one mind."""

    column: str  # the question whose answers are the labels
    outvoted: int = field(default=0, init=False)  # photos

    def label(self, photo: Annotated) -> tuple[str | None, str]:
        """Return the label of a photo; or None, and what to call a photo without one."""
        opinions = [opinion for opinion in photo.opinions.get(self.column, ()) if opinion]
        if not opinions:
            return None, _CANCELLED if photo.cancelled else UNLABELLED
        votes = Counter(opinions)
        [(opinion, most), *_] = votes.most_common(1)
        if 2 * most <= len(opinions):
            return None, _TIED
        self.outvoted += len(votes) > 1
        return (opinion[0], "") if len(opinion) == 1 else (None, _SEVERAL)

    def notes(self) -> Iterator[str]:
        """Yield what is worth telling, once all photos have their labels."""
        if self.outvoted:
            yield (
                f"the annotators of {self.outvoted:,} of the photos were not of one mind; "
                "the label of the majority counts"
            )


def votes_on(photos: Iterable[Annotated], wanted: str | None, name: str) -> Votes:
    """Return how to label ``photos`` by the question ``wanted``, or by the only one there is.

    Raises:
        BadData: there is no such question, or there are several; ``name`` is the file's.
    """
    columns = dict.fromkeys(column for photo in photos for column in photo.opinions)
    shown = some((repr(column[:40]) for column in columns), most=8) or "nothing"
    if wanted is not None:
        if wanted not in columns:
            raise BadData(f"{name} has labels under {shown}, and none under {wanted[:40]!r}.")
        return Votes(wanted)
    usual = next((column for column in _USUAL if column in columns), None)
    if usual is None and len(columns) > 1:
        first = next(iter(columns))
        raise BadData(
            f"{name} has labels under {shown}; say which are meant, as in --label-column {first}."
        )
    return Votes(usual or next(iter(columns), ""))
