"""Ways to tell strangers from known photos: each is fitted on training photos and scores others.

A score is higher where a photo is more familiar. None of them sees a stranger when it is fitted.

Dimension key: N photos, D features, R directions, K classes.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.origins import Origins, Seen
from fursure.sureness.calibration import logsumexp
from fursure.sureness.familiarity import RANK, REFERENCES_KEPT
from fursure.sureness.readout import Readout

Array = NDArray[np.float64]
Score = Callable[[Seen], Array]


def scores(origins: Origins) -> Iterator[tuple[str, Score]]:
    """Yield every candidate with its name."""
    training, validation = origins.training, origins.validation
    yield "maximum probability", lambda seen: seen.probs_NK.max(axis=1).astype(np.float64)
    yield "energy", energy
    for ridge in (1e-3, 0.1, 1.0):
        for relative in (False, True):
            name = f"Mahalanobis{', relative' if relative else ''}, ridge {ridge:g}"
            yield name, mahalanobis(training, relative=relative, ridge=ridge)
    residual_score = residual(training)
    yield "residual to 128 directions", residual_score
    yield "ViM", vim(training)
    for shift in (0.0, 0.5, 0.8, 1.0):
        for k in (1, 10, 30):
            near = nearest(training, shift=shift, k=k)
            name = f"nearest no. {k}, shift {shift:g}"
            yield name, near
            yield f"{name} + energy", added(near, energy, validation)
            if shift == 0.8:
                yield f"{name} + ViM", added(near, vim(training), validation)
                yield (
                    f"{name} + relative Mahalanobis, ridge 1",
                    added(near, mahalanobis(training, relative=True, ridge=1.0), validation),
                )


def energy(seen: Seen) -> Array:
    """Return log Σ exp of the centred logits."""
    return logsumexp(seen.logits_NK - seen.logits_NK.mean(axis=1, keepdims=True))


def nearest(training: Seen, *, shift: float, k: int) -> Score:
    """Return the cosine to the k-th nearest of as many references as a bundle holds."""
    unit_ND = _unit(training.features_ND)
    centre_D = shift * unit_ND.mean(axis=0)
    rows_ND = _unit(unit_ND - centre_D)
    basis_DR = _directions(rows_ND, RANK)
    chosen = np.random.default_rng(0).permutation(len(rows_ND))[:REFERENCES_KEPT]
    references_RM = (rows_ND[chosen] @ basis_DR).T

    def score(seen: Seen) -> Array:
        cosine_NM = _unit(_unit(seen.features_ND) - centre_D) @ basis_DR @ references_RM
        return np.asarray(np.partition(cosine_NM, -k, axis=1)[:, -k], np.float64)

    return score


def mahalanobis(training: Seen, *, relative: bool, ridge: float) -> Score:
    """Return minus the distance to the nearest class (Lee et al., NeurIPS 2018), of directions.

    ``relative``: less the distance to all photos together (Ren et al., 2021). ``ridge``, in mean
    variances, is added to every direction.
    """
    unit_ND = _unit(training.features_ND).astype(np.float64)
    labels_N = training.labels_N
    means_KD = np.array([unit_ND[labels_N == k].mean(axis=0) for k in np.unique(labels_N)])
    root_DD = _whitening(unit_ND - means_KD[labels_N], ridge)
    mean_D = unit_ND.mean(axis=0)
    all_DD = _whitening(unit_ND - mean_D, ridge)

    def score(seen: Seen) -> Array:
        x_ND = _unit(seen.features_ND).astype(np.float64)
        by_class = [_squares((x_ND - one_D) @ root_DD) for one_D in means_KD]
        distance_N = np.min(by_class, axis=0)
        return np.asarray((_squares((x_ND - mean_D) @ all_DD) if relative else 0) - distance_N)

    return score


def residual(training: Seen) -> Score:
    """Return minus what a photo's direction has outside of the main directions."""
    unit_ND = _unit(training.features_ND)
    mean_D = unit_ND.mean(axis=0)
    basis_DR = _directions(unit_ND - mean_D, RANK)

    def score(seen: Seen) -> Array:
        x_ND = _unit(seen.features_ND) - mean_D
        return -(_squares(x_ND) - _squares(x_ND @ basis_DR))

    return score


def vim(training: Seen) -> Score:
    """Return the energy less the residual of the features (Wang et al., CVPR 2022)."""
    weight_DK, bias_K = linear(training)
    origin_D = (-np.linalg.pinv(weight_DK.T) @ bias_K).astype(np.float32)
    x_ND = training.features_ND - origin_D
    basis_DR = _directions(x_ND, RANK)

    def residuals(x_ND: NDArray[np.float32]) -> Array:
        return np.sqrt(np.maximum(_squares(x_ND) - _squares(x_ND @ basis_DR), 0))

    alpha = float(training.logits_NK.max(axis=1).mean() / residuals(x_ND).mean())
    return lambda seen: energy(seen) - alpha * residuals(seen.features_ND - origin_D)


def added(first: Score, second: Score, validation: Seen) -> Score:
    """Return the sum of two scores on the scales of the lowest twentieth of validation photos."""
    none_DJ = np.zeros((0, 1))

    class Both(Readout):
        def evidence(self, features_ND: NDArray[np.floating]) -> Array:
            return features_ND[:, 0].astype(np.float64)

    readout = Both.of(none_DJ, np.zeros(1)).scaled(first(validation), second(validation)[:, None])
    return lambda seen: readout.joined(first(seen), second(seen)[:, None])


def linear(training: Seen) -> tuple[Array, Array]:
    """Return the weights (D, K) and bias of the head, from what it answered."""
    x_ND = np.c_[training.features_ND, np.ones(len(training), np.float32)].astype(np.float64)
    gram_DD = x_ND.T @ x_ND
    gram_DD[np.diag_indices(len(gram_DD))] += 1e-9 * np.trace(gram_DD)
    found_DK = np.linalg.solve(gram_DD, x_ND.T @ training.logits_NK)
    return found_DK[:-1], found_DK[-1]


def _whitening(centred_ND: Array, ridge: float) -> Array:
    covariance_DD = centred_ND.T @ centred_ND / len(centred_ND)
    added = ridge * np.trace(covariance_DD) / len(covariance_DD)
    inverse_DD = np.linalg.inv(covariance_DD + added * np.eye(len(covariance_DD)))
    return np.asarray(np.linalg.cholesky(inverse_DD))


def _directions(rows_ND: NDArray[np.float32], rank: int) -> NDArray[np.float32]:
    _, axes_DD = np.linalg.eigh(rows_ND.T @ rows_ND)
    return np.asarray(axes_DD[:, ::-1][:, :rank])


def _squares(rows_ND: NDArray[np.floating]) -> Array:
    return np.asarray(np.einsum("nd,nd->n", rows_ND, rows_ND, dtype=np.float64))


def _unit(rows_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    norm_N1 = np.linalg.norm(rows_ND, axis=1, keepdims=True)
    return np.asarray(rows_ND / np.maximum(norm_N1, 1e-30), np.float32)
