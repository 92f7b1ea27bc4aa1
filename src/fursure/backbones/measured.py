"""What the backbones that ship, or that many use, were measured to be worth: one table.

All on the same photos: `fursure train cats-vs-dogs-12000.zip --test 0.2`, a frozen network and
a logistic head, 2,355 test photos of Kaggle's Dogs vs. Cats. docs/experiments.md says how.
"""

from dataclasses import asdict, dataclass
from typing import Any

SET = "2,355 test photos of Kaggle's Dogs vs. Cats"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One backbone's figures."""

    name: str
    accuracy: float  # share of the test photos
    log_loss: float  # nats per photo
    speed: float  # photos a second, as a multiple of lite0's in the same run
    megabytes: float  # of the encoder graph
    torch_once: bool  # whether torch is needed, to convert it

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


MEASURED: dict[str, Measured] = {
    measured.name: measured
    for measured in (
        Measured(
            name="lite0", accuracy=0.9873, log_loss=0.0467, speed=1.0, megabytes=13.7,
            torch_once=False,
        ),
        Measured(
            name="lite1", accuracy=0.9868, log_loss=0.0374, speed=0.63, megabytes=16.8,
            torch_once=False,
        ),
        Measured(
            name="lite2", accuracy=0.9885, log_loss=0.0406, speed=0.44, megabytes=19.5,
            torch_once=False,
        ),
    )
}  # fmt: skip


def stronger(than: str, at_hand: list[str]) -> list[str]:
    """Return those ``at_hand`` that were measured to be better, by both figures, best first.

    Of a backbone that was never measured nothing is known to be stronger.
    """
    if (base := MEASURED.get(than)) is None:
        return []
    better = [
        MEASURED[name]
        for name in at_hand
        if name in MEASURED
        and MEASURED[name].accuracy > base.accuracy
        and MEASURED[name].log_loss < base.log_loss
    ]
    return [measured.name for measured in sorted(better, key=lambda measured: measured.log_loss)]
