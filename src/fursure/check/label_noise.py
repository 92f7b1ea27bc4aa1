"""What the judges say of each class → how likely each label is wrong, and how many of some are.

Doubt alone says nothing: among photos that are hard to tell, some are doubted though their labels
are right. Two things set wrong labels apart. A label that is wrong by chance is as often on an easy
photo as any other, so wrong labels are doubted strongly, as most right ones are believed strongly.
And a hard photo is doubted the more rarely, the stronger the doubt. So both are estimated together:
what the scores are worth, and what share of the labels is wrong. No judge saw a photo's own label,
hence its doubt under another label is known without planting it.

Dimension key: N photos, K classes, P parameters, S shares of wrong labels, L levels of
sharpness, B bins of log odds, R draws.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fursure.heads.fit import Labels
from fursure.heads.lbfgs import minimise
from fursure.metrics.intervals import Estimate
from fursure.sureness.calibration import softmax

Doubles = NDArray[np.float64]
# Before any photo was seen. Cats and dogs, 100 to 12,000 of them and up to 10 % of the labels
# turned round, gave weights of 5 to 9 for the ridge and 2 to 6 for the neighbours.
_WORTH = np.log([6.0, 4.0])  # logits that a judge's full score adds
_LOOSE = 0.5  # standard deviation of that logarithm
BIAS = 1.0  # logits, of a class
RARE, _COMMON = 0.5, 5.0  # Beta distribution of the share of wrong labels: 9 %, or next to none
STEP, FINAL = 0.05, 500  # width of a bin of log odds; bins on either side, the last for all beyond
_SHARPNESS = np.linspace(-1.2, 1.2, 81)  # logarithms of what the logits are multiplied by
_SHARES = np.geomspace(1e-5, 0.45, 81)  # of the labels are wrong
NEGLIGIBLE = 1e-6  # of the probability of the likeliest pair of the two
FARTHEST = 20.0  # a parameter may be tried at; beyond, exponentials run over
_DRAWS = 4000  # of the number of wrong labels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Level:
    """How the labels look if the scores are worth so much."""

    weight_S: Doubles  # probability of this sharpness with each share; 1 over all levels together
    bin_N: NDArray[np.int16]  # where the log odds for each photo's label lie


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Noise:
    """Chances that a label is wrong, and how sure these are."""

    levels: tuple[Level, ...]  # all that are not next to impossible
    chance_SB: Doubles  # that a label in this bin is wrong, by the share of wrong labels
    odds_N: Doubles  # log odds for each photo's label, at the likeliest sharpness

    def chances(self) -> Doubles:
        """Return how likely each photo's label (N) is wrong."""
        several = ((level.weight_S @ self.chance_SB)[level.bin_N] for level in self.levels)
        return np.asarray(sum(several, start=np.zeros(len(self.odds_N))))

    def count(self, chosen_N: NDArray[np.bool_], *, seed: int = 0) -> Estimate:
        """Estimate how many of the chosen labels are wrong: the mean and the middle 95 %."""
        rng = np.random.default_rng(seed)
        draws_L = rng.multinomial(_DRAWS, [level.weight_S.sum() for level in self.levels])
        count_R = np.concatenate(
            [
                self._drawn(level, chosen_N, draws, rng)
                for level, draws in zip(self.levels, draws_L, strict=True)
            ]
        )
        low, high = np.quantile(count_R, [0.025, 0.975], method="inverted_cdf")
        mean = float(self.chances()[chosen_N].sum())
        return Estimate(mean, float(low), float(high), int(chosen_N.sum()), percent=False)

    def _drawn(
        self, level: Level, chosen_N: NDArray[np.bool_], draws: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Draw numbers (R) of wrong labels among the chosen."""
        photos_B = np.bincount(level.bin_N[chosen_N], minlength=self.chance_SB.shape[1])
        taken = np.flatnonzero(photos_B)
        share_R = rng.choice(len(level.weight_S), draws, p=level.weight_S / level.weight_S.sum())
        chance_RB = self.chance_SB[np.ix_(share_R, taken)]
        return np.asarray(rng.binomial(photos_B[taken], chance_RB).sum(axis=1))


def fitted(
    score_NK: NDArray[np.floating],
    share_NK: NDArray[np.floating],
    labels_N: Labels,
    chosen_N: NDArray[np.bool_],
) -> tuple[Doubles, Noise]:
    """Return the logits (N, K) by both judges, and the noise; only chosen photos teach."""
    exact_score_NK, exact_share_NK = score_NK.astype(np.float64), share_NK.astype(np.float64)
    params_P = _likeliest(exact_score_NK[chosen_N], exact_share_NK[chosen_N], labels_N[chosen_N])
    logits_NK = _logits(params_P, exact_score_NK, exact_share_NK)
    odds_N = log_odds(logits_NK, labels_N)
    like_SB, chance_SB = _by_share(logits_NK.shape[1])
    levels = _levels(logits_NK, labels_N, chosen_N, params_P[:2], like_SB)
    return logits_NK, Noise(levels=levels, chance_SB=chance_SB, odds_N=odds_N)


def log_odds(logits_NK: Doubles, labels_N: Labels) -> Doubles:
    """Return the log odds (N) of the given label against all others together."""
    rows = np.arange(len(labels_N))
    given_N = logits_NK[rows, labels_N]
    others_NK = logits_NK.copy()
    others_NK[rows, labels_N] = -1e9  # finite, so that a single class is merely very sure
    top_N = others_NK.max(axis=1)
    rest_N = top_N + np.log(np.exp(others_NK - top_N[:, None]).sum(axis=1))
    return np.asarray(given_N - rest_N)


def _logits(params_P: Doubles, score_NK: Doubles, share_NK: Doubles) -> Doubles:
    score_weight, share_weight = np.exp(params_P[:2])
    return np.asarray(score_weight * score_NK + share_weight * share_NK + params_P[3:])


def _likeliest(score_NK: Doubles, share_NK: Doubles, labels_N: Labels) -> Doubles:
    """Return the judges' weights (logarithms), the noise and the biases of the classes."""
    count, classes = score_NK.shape
    target_NK = np.eye(classes)[labels_N]

    def objective(params32_P: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        params_P = params32_P.astype(np.float64).clip(-FARTHEST, FARTHEST)
        share = _share(params_P[2])
        stray = share / max(classes - 1, 1)  # chance of one certain wrong label
        probs_NK = softmax(_logits(params_P, score_NK, share_NK))
        given_N = (probs_NK * target_NK).sum(axis=1)
        like_N = (1 - share) * given_N + stray * (1 - given_N)
        pull_N = (1 - share - stray) * given_N / like_N
        slope_NK = pull_N[:, None] * (probs_NK - target_NK)
        less_N = (given_N - (1 - given_N) / max(classes - 1, 1)) / like_N
        slope_P = np.concatenate(
            [
                np.exp(params_P[:2]) * [(slope_NK * score_NK).sum(), (slope_NK * share_NK).sum()],
                [less_N.sum() * share * (1 - 2 * share)],
                slope_NK.sum(axis=0),
            ]
        )
        prior, prior_slope_P = _prior(params_P)
        loss = prior - float(np.log(like_N).sum())
        return loss / max(count, 1), ((slope_P + prior_slope_P) / max(count, 1)).astype(np.float32)

    start_P = np.concatenate([_WORTH, [-3.0], np.zeros(classes)]).astype(np.float32)
    return minimise(objective, start_P, decrease=1e-8, slope=1e-7).astype(np.float64)


def _share(free: float) -> float:
    """Return a share of wrong labels below a half from a number without bounds."""
    return float(0.5 / (1 + np.exp(-free)))


def _prior(params_P: Doubles) -> tuple[float, Doubles]:
    """Return minus the log density of the parameters before any photo, and its slope."""
    share = _share(params_P[2])
    far_P, bias_P = (params_P[:2] - _WORTH) / _LOOSE, params_P[3:] / BIAS
    loss = (far_P @ far_P + bias_P @ bias_P) / 2 + _against(share)
    by_share = (_COMMON - 1) / (1 - share) - RARE / share
    slope_P = [*(far_P / _LOOSE), by_share * share * (1 - 2 * share), *(bias_P / BIAS)]
    return float(loss), np.array(slope_P)


def _against(share: float) -> float:
    """Return minus the log density of the logarithm of a share of wrong labels."""
    return float(-RARE * np.log(share) - (_COMMON - 1) * np.log1p(-share))


def _levels(
    logits_NK: Doubles,
    labels_N: Labels,
    chosen_N: NDArray[np.bool_],
    worth: Doubles,
    like_SB: Doubles,
) -> tuple[Level, ...]:
    """Return the levels of sharpness that are not next to impossible."""
    bins, logs = [], []
    prior_S = np.array([_against(share) for share in _SHARES])
    log_like_SB = np.log(like_SB)
    for sharper in _SHARPNESS:
        odds_N = log_odds(np.exp(sharper) * logits_NK, labels_N)
        bins.append((np.rint(odds_N / STEP).clip(-FINAL, FINAL) + FINAL).astype(np.int16))
        far = (worth + sharper - _WORTH) / _LOOSE
        photos_B = np.bincount(bins[-1][chosen_N], minlength=2 * FINAL + 1)
        logs.append(log_like_SB @ photos_B - prior_S - far @ far / 2)
    weight_LS = np.exp(np.array(logs) - np.max(logs))
    return tuple(
        Level(weight_S=weight_S / weight_LS.sum(), bin_N=bin_N)
        for weight_S, bin_N in zip(weight_LS, bins, strict=True)
        if weight_S.max() > NEGLIGIBLE
    )


def _by_share(classes: int) -> tuple[Doubles, Doubles]:
    """Return how likely a label in each bin is, and how likely wrong (S, B), by the share."""
    right_B = 1 / (1 + np.exp(-STEP * np.arange(-FINAL, FINAL + 1)))
    share_S1 = _SHARES[:, None]
    wrong_SB = share_S1 / max(classes - 1, 1) * (1 - right_B)
    like_SB = (1 - share_S1) * right_B + wrong_SB
    return like_SB, wrong_SB / like_SB
