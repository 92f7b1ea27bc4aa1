"""What `fursure predict` tells beside the rows: totals, what was passed over, what failed."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fursure.errors import counted

if TYPE_CHECKING:
    from fursure.commands.inputs import Photos
    from fursure.commands.sorter import Sorter
    from fursure.prediction import Prediction

_SHOWN = 6  # of a kind named one by one


@dataclass(slots=True)
class Tally:
    """What came of the photos, counted as they pass; and links to them, where asked for."""

    sort: "Sorter | None"
    answers: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    failed_before: int = 0  # in the run that this one continues
    not_linked: int = 0
    unlinked: list[str] = field(default_factory=list)  # the first of them, in sentences

    def __call__(self, prediction: "Prediction") -> None:
        """Count one photo, and link it."""
        if prediction.error is not None:
            self.failed += 1
            return
        self.answers[prediction.answer] += 1
        if self.sort and (reason := self.sort(prediction)):
            self.not_linked += 1
            if len(self.unlinked) < _SHOWN:
                self.unlinked.append(f"not linked: {prediction.path}: {reason}")

    @property
    def all_good(self) -> bool:
        """Return whether every photo was answered, and linked."""
        return not (self.failed or self.failed_before or self.not_linked)

    def sentences(self) -> Iterator[str]:
        """Yield the totals, and which links are missing."""
        total = self.failed + self.answers.total()
        if total > 1:
            counts = [f"{count} {answer}" for answer, count in self.answers.most_common(_SHOWN)]
            counts += ["…"] * (len(self.answers) > _SHOWN)
            counts += [f"{self.failed} not readable"] * bool(self.failed)
            yield f"{total} photos: {', '.join(counts)}"
        yield from self.unlinked
        if self.sort and (sentence := self.sort.sentence()):
            yield sentence
        if self.sort and self.not_linked:
            without = counted(self.not_linked, "photo has", "photos have")
            yield (
                f"{without} no link in {self.sort.folder}; "
                "what lies in an archive can be linked once it is unpacked"
            )


def about_inputs(inputs: "Photos") -> Iterator[str]:
    """Yield what was passed over, and where there was no photo at all."""
    yield from inputs.notes
    if kinds := +inputs.passed_over:
        listed = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        yield f"passed over {listed}; a file that is named itself is tried, whatever its ending"
    for name in inputs.without[:_SHOWN]:
        yield f"{name}: there is no photo in it"
    if len(inputs.without) > _SHOWN:
        yield f"no photo in {len(inputs.without) - _SHOWN} more"
