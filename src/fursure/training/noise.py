"""What the judges say of each class → how likely each label is wrong, and how many of some are.

Doubt alone says nothing: among photos that are hard to tell, some are doubted though their labels
are right. Two things set wrong labels apart. A label that is wrong by chance is as often on an easy
photo as any other, so wrong labels are doubted strongly, as most right ones are believed strongly.
And a hard photo is doubted the more rarely, the stronger the doubt. So both are estimated together:
what the scores are worth, and what share of the labels is wrong. No judge saw a photo's own label,
hence its doubt under another label is known without planting it.

Dimension key: N photos, K classes, P parameters, C cells of a grid over sharpness and share,
B bins of log odds, R draws.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fursure.metrics.intervals import Estimate
from fursure.sureness.calibration import softmax
from fursure.training.lbfgs import minimise

Vector = NDArray[np.float64]
Labels = NDArray[np.integer]
# Before any photo was seen. Cats and dogs, 100 to 12,000 of them and up to 10 % of the labels
# turned round, gave weights of 5 to 9 for the ridge and 2 to 6 for the neighbours.
WORTH = np.log([6.0, 4.0])  # logits that a judge's full score adds
LOOSE = 0.5  # standard deviation of that logarithm
BIAS = 1.0  # logits, of a class
RARE, COMMON = 0.5, 5.0  # Beta distribution of the share of wrong labels: 9 %, or next to none
STEP, FINAL = 0.05, 500  # width of a bin in log odds; bins on either side, the last for all beyond
SHARPNESS = np.linspace(-1.2, 1.2, 121)  # logarithm of what the log odds are multiplied by
SHARES = np.linspace(np.log(1e-5), np.log(0.45), 81)  # logarithms of the share of wrong labels
NEGLIGIBLE = 1e-6  # of the likeliest cell's probability
DRAWS = 4000  # of the number of wrong labels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Noise:
    """Chances that a label is wrong, by the log odds for it, and how sure these are."""

    weight_C: Vector  # probability of each pair of sharpness and share of wrong labels
    chance_CB: NDArray[np.float32]  # that a label in this bin is wrong, were that pair true
    bin_N: NDArray[np.intp]  # of each photo
    odds_N: Vector  # log odds for each photo's label, by the judges

    def chances(self) -> Vector:
        """Return how likely each photo's label (N) is wrong."""
        return np.asarray((self.weight_C @ self.chance_CB)[self.bin_N])

    def count(self, chosen_N: NDArray[np.bool_], *, seed: int = 0) -> Estimate:
        """Estimate how many of the chosen labels are wrong: the mean and the middle 95 %."""
        photos_B = np.bincount(self.bin_N[chosen_N], minlength=self.chance_CB.shape[1])
        taken = np.flatnonzero(photos_B)
        rng = np.random.default_rng(seed)
        cell_R = rng.choice(len(self.weight_C), DRAWS, p=self.weight_C)
        chance_RB = self.chance_CB[cell_R][:, taken].astype(np.float64)
        count_R = rng.binomial(photos_B[taken], chance_RB).sum(axis=1)
        low, high = np.quantile(count_R, [0.025, 0.975], method="inverted_cdf")
        mean = float(self.weight_C @ self.chance_CB @ photos_B)
        return Estimate(mean, float(low), float(high), int(chosen_N.sum()), percent=False)


def fitted(
    score_NK: NDArray[np.floating],
    share_NK: NDArray[np.floating],
    labels_N: Labels,
    chosen_N: NDArray[np.bool_],
) -> tuple[Vector, Noise]:
    """Return the logits (N, K) by both judges, and the noise; only chosen photos teach."""
    exact_score_NK, exact_share_NK = score_NK.astype(np.float64), share_NK.astype(np.float64)
    params_P = _likeliest(exact_score_NK[chosen_N], exact_share_NK[chosen_N], labels_N[chosen_N])
    logits_NK = _logits(params_P, exact_score_NK, exact_share_NK)
    odds_N = log_odds(logits_NK, labels_N)
    odds_B, bin_N = np.unique((odds_N / STEP).round().clip(-FINAL, FINAL), return_inverse=True)
    photos_B = np.bincount(bin_N[chosen_N], minlength=len(odds_B))
    weight_C, chance_CB = _cells(STEP * odds_B, photos_B, params_P[:2], logits_NK.shape[1])
    return logits_NK, Noise(weight_C=weight_C, chance_CB=chance_CB, bin_N=bin_N, odds_N=odds_N)


def log_odds(logits_NK: Vector, labels_N: Labels) -> Vector:
    """Return the log odds (N) of the given label against all others together."""
    rows = np.arange(len(labels_N))
    given_N = logits_NK[rows, labels_N]
    others_NK = logits_NK.copy()
    others_NK[rows, labels_N] = -1e9  # finite, so that a single class is merely very sure
    top_N = others_NK.max(axis=1)
    rest_N = top_N + np.log(np.exp(others_NK - top_N[:, None]).sum(axis=1))
    return np.asarray(given_N - rest_N)


def _logits(params_P: Vector, score_NK: Vector, share_NK: Vector) -> Vector:
    score_weight, share_weight = np.exp(params_P[:2])
    return np.asarray(score_weight * score_NK + share_weight * share_NK + params_P[3:])


def _likeliest(score_NK: Vector, share_NK: Vector, labels_N: Labels) -> Vector:
    """Return the judges' weights (logarithms), the noise and the biases of the classes."""
    count, classes = score_NK.shape
    target_NK = np.eye(classes)[labels_N]

    def objective(params32_P: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        params_P = params32_P.astype(np.float64)
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

    start_P = np.concatenate([WORTH, [-3.0], np.zeros(classes)]).astype(np.float32)
    return minimise(objective, start_P, decrease=1e-8, slope=1e-7).astype(np.float64)


def _share(free: float) -> float:
    """Return a share of wrong labels below a half from a number without bounds."""
    return float(0.5 / (1 + np.exp(-free)))


def _prior(params_P: Vector) -> tuple[float, Vector]:
    """Return minus the log density of the parameters before any photo, and its slope."""
    share = _share(params_P[2])
    far_P, bias_P = (params_P[:2] - WORTH) / LOOSE, params_P[3:] / BIAS
    loss = (far_P @ far_P + bias_P @ bias_P) / 2 + _against(share)
    by_share = (COMMON - 1) / (1 - share) - RARE / share
    slope_P = [*(far_P / LOOSE), by_share * share * (1 - 2 * share), *(bias_P / BIAS)]
    return float(loss), np.array(slope_P)


def _against(share: float) -> float:
    """Return minus the log density of the logarithm of a share of wrong labels."""
    return float(-RARE * np.log(share) - (COMMON - 1) * np.log1p(-share))


def _cells(
    odds_B: Vector, photos_B: NDArray[np.intp], worth: Vector, classes: int
) -> tuple[Vector, NDArray[np.float32]]:
    """Return how likely each cell of the grid is, and the chances of a wrong label in it."""
    shares_S = np.exp(SHARES)[:, None]
    stray_S = shares_S / max(classes - 1, 1)
    logs, chances = [], []
    for sharper in SHARPNESS:
        right_B = 1 / (1 + np.exp(-np.exp(sharper) * odds_B))
        wrong_SB = stray_S * (1 - right_B)
        like_SB = (1 - shares_S) * right_B + wrong_SB
        far = (worth + sharper - WORTH) / LOOSE
        prior_S = np.array([_against(share) for share in shares_S[:, 0]]) + far @ far / 2
        logs.append(np.log(like_SB) @ photos_B - prior_S)
        chances.append((wrong_SB / like_SB).astype(np.float32))
    log_C = np.concatenate(logs)
    kept_C = log_C > log_C.max() + np.log(NEGLIGIBLE)
    weight_C = np.exp(log_C[kept_C] - log_C.max())
    return weight_C / weight_C.sum(), np.concatenate(chances)[kept_C]
