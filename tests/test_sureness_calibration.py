"""Temperature scaling: known temperatures found again, and nothing absurd on perfect data."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import optimize, special

from fursure.sureness.calibration import COLDEST, HOTTEST, fit_temperature, logsumexp, softmax


def drawn(
    n: int, classes: int, temperature: float
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return logits that are ``temperature`` times too large for their labels."""
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(n, classes))
    labels = np.array([rng.choice(classes, p=probs) for probs in softmax(logits)])
    return (temperature * logits).astype(np.float32), labels


def test_softmax_and_logsumexp_agree_with_scipy() -> None:
    logits = np.random.default_rng(0).normal(size=(20, 5)) * 10
    assert softmax(logits) == pytest.approx(special.softmax(logits, axis=1))
    assert softmax(logits, temperature=3) == pytest.approx(special.softmax(logits / 3, axis=1))
    assert logsumexp(logits) == pytest.approx(special.logsumexp(logits, axis=1))


def test_huge_single_precision_logits_overflow_nowhere() -> None:
    probs = softmax(np.array([[3e38, -3e38], [-3e38, -3e38]], dtype=np.float32))
    assert np.array_equal(probs, [[1.0, 0.0], [0.5, 0.5]])


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("classes", [2, 10])
def test_the_temperature_of_overconfident_logits_is_found(temperature: float, classes: int) -> None:
    assert fit_temperature(*drawn(4000, classes, temperature)) == pytest.approx(
        temperature, rel=0.06
    )


def test_the_temperature_minimises_loss_and_prior() -> None:
    logits, labels = drawn(150, 3, 2.0)

    def loss(log_t: float) -> float:
        probs = special.log_softmax(logits / np.exp(log_t), axis=1)
        return float(-probs[np.arange(150), labels].sum() + log_t**2 / 2)

    best = optimize.minimize_scalar(loss, bounds=(-3, 3), method="bounded").x
    assert np.log(fit_temperature(logits, labels)) == pytest.approx(best, abs=1e-4)


def test_perfect_answers_do_not_make_a_model_infinitely_sure() -> None:
    logits = np.tile([6.0, 0.0], (200, 1))
    assert fit_temperature(logits, np.zeros(200, int)) == 1.0


@pytest.mark.parametrize("count", [20, 100, 500])
def test_chance_alone_does_not_sharpen(count: int) -> None:
    rng = np.random.default_rng(count)
    below = 0
    for _ in range(40):
        logits = 2 * rng.normal(size=(count, 2))
        labels = (rng.random(count) > softmax(logits)[:, 0]).astype(int)
        below += fit_temperature(logits, labels) < 1
    assert below <= 3  # two of forty are its 2.5 %


def test_photos_without_a_mistake_do_not_sharpen_and_those_beyond_doubt_do() -> None:
    logits = np.tile([2.0, 0.0], (1000, 1))  # 88 % sure, each time right
    assert fit_temperature(logits[:20], np.zeros(20, int)) == 1.0
    assert fit_temperature(logits, np.zeros(1000, int)) < 0.5


def test_few_mistakes_do_soften() -> None:
    logits = np.tile([6.0, 0.0], (50, 1))
    assert fit_temperature(logits, np.r_[np.zeros(45, int), np.ones(5, int)]) > 1.5


def test_hopeless_logits_end_at_the_bounds() -> None:
    logits = np.tile([1000.0, 0.0], (50, 1))
    assert fit_temperature(logits, np.ones(50, int)) == pytest.approx(HOTTEST, rel=1e-3)
    timid = np.tile([0.1, 0.0], (2000, 1))
    assert fit_temperature(timid, np.zeros(2000, int)) == pytest.approx(COLDEST, rel=1e-3)


def test_logits_that_say_nothing_keep_their_temperature() -> None:
    assert fit_temperature(np.zeros((10, 2)), np.zeros(10, int)) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((3, 2)), np.zeros(2, int), "do not fit"),
        (np.zeros(3), np.zeros(3, int), "do not fit"),
        (np.zeros((0, 2)), np.zeros(0, int), "do not fit"),
        (np.full((1, 2), np.inf), np.zeros(1, int), "NaN or infinity"),
        (np.zeros((1, 2)), np.zeros(1), "integers needed"),
        (np.zeros((1, 2)), np.full(1, 2), "between 0 and 1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    logits: NDArray[np.float64], labels: NDArray[np.int64], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fit_temperature(logits, labels)
