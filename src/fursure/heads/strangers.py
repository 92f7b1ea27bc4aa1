"""Photos of strangers that the user gives → a sharper sense of what is familiar, and its worth.

One half of them teaches a direction in which they differ from known photos; the other half, which
taught nothing, says how many strangers are still accepted. The threshold stays where held-out
known photos put it, so no more of those are lost. What was taught is used only where it helps
beyond doubt: where strangers come from elsewhere than the known photos, it also learns to tell the
two sources apart, and known photos of a third one pay for that.

Dimension key: N known photos, S strangers, D features, J outputs of a read-out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fursure.errors import BadData, counted
from fursure.graphs.layers import Matrix
from fursure.heads.heads import candidates
from fursure.metrics.intervals import Estimate, proportion
from fursure.recipe import LogisticRegression
from fursure.splitting.split import half
from fursure.sureness.familiarity import Familiar
from fursure.sureness.readout import FEWEST_FOR_SCALE, Readout

FEWEST_STRANGERS = (
    20  # strangers; half of them teach, and half of fewer would teach next to nothing
)
STRENGTH = 1.0  # L2 penalty on standardised features: hundreds of features, dozens of strangers


@dataclass(frozen=True, slots=True, kw_only=True)
class Strangers:
    """Photos of none of the classes, a row each, and what identifies all of them together."""

    digest: str
    digests: tuple[str, ...]  # sha256 of each photo
    features_SD: Matrix

    def __post_init__(self) -> None:
        """Refuse too few of them."""
        if len(self.digests) < FEWEST_STRANGERS:
            raise BadData(
                f"found {counted(len(self.digests), 'usable photo')} of strangers; at least "
                f"{FEWEST_STRANGERS} different ones are needed, half to learn from and half to "
                "measure on."
            )

    def taught(self, seed: int) -> NDArray[np.bool_]:
        """Return which of them teach; the others measure."""
        chosen_S = np.array([half(seed, digest) == "choose" for digest in self.digests])
        if not 0.25 <= chosen_S.mean() <= 0.75:  # few of them, and an odd draw
            chosen_S = np.arange(len(chosen_S)) % 2 == 0
        return chosen_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """How many of the strangers that taught nothing are taken for known photos."""

    digest: str
    taught: int
    accepted: Estimate
    without: Estimate  # had no strangers been given

    @property
    def used(self) -> bool:
        """Return whether what they taught helps beyond doubt: the intervals do not meet."""
        return self.accepted.high < self.without.low

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "digest": self.digest,
            "taught": self.taught,
            "used": self.used,
            "accepted": self.accepted.to_json(),
            "accepted_without": self.without.to_json(),
        }

    @classmethod
    def of(cls, strangers: Strangers, seed: int, sharp: Familiar, plain: Familiar) -> "Worth":
        """Measure on the half that taught nothing."""
        taught_S = strangers.taught(seed)
        others_SD = strangers.features_SD[~taught_S]

        def accepted(familiar: Familiar) -> Estimate:
            kept_S = familiar.familiarity(others_SD) >= familiar.threshold
            return proportion(int(kept_S.sum()), len(others_SD))

        return cls(
            digest=strangers.digest,
            taught=int(taught_S.sum()),
            accepted=accepted(sharp),
            without=accepted(plain),
        )


def told(worth: dict[str, Any]) -> str:
    """Return the worth of the strangers, as a bundle keeps it, in a sentence."""
    accepted = Estimate.from_json(worth["accepted"])
    without = Estimate.from_json(worth["accepted_without"])
    use = "used" if worth["used"] else "not used, for it does not help beyond doubt"
    return (
        f"strangers: of {accepted.n} that taught nothing {accepted:.1%} are accepted with what "
        f"{worth['taught']} others taught, {without:.1%} without; {use}"
    )


def direction(known_ND: Matrix, strangers_SD: Matrix, seed: int) -> Readout:
    """Return the direction of a logistic regression, each side weighing the same."""
    x_ND = np.concatenate([known_ND, strangers_SD])
    known_N = (np.arange(len(x_ND)) < len(known_ND)).astype(np.int64)
    head = LogisticRegression(strengths=(STRENGTH,), class_weight="balanced")
    [layer] = next(candidates(head, x_ND, known_N, 2, seed=seed)).layers.dense
    weight_D1 = layer.weight_DK[:, 1:] - layer.weight_DK[:, :1]
    return Readout.of(weight_D1, layer.bias_K[1:] - layer.bias_K[:1])


def set_aside(groups: Sequence[str], seed: int) -> NDArray[np.bool_]:
    """Return which known photos to hold out where a small data set has held out none.

    Raises:
        BadData: they are too few to say how unlike them a known photo may be.
    """
    aside_N = np.array([half(seed, group) == "certify" for group in groups], bool)
    if aside_N.sum() < FEWEST_FOR_SCALE or (~aside_N).sum() < 2:
        raise BadData(
            f"{counted(len(groups), 'known photo is', 'known photos are')} too few to use "
            f"strangers: about {2 * FEWEST_FOR_SCALE + 10} are needed. Leave --strangers out, or "
            "add photos."
        )
    return aside_N
