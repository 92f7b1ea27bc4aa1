import numpy as np
import pytest
from numpy.typing import NDArray

from fursure.heads.lbfgs import minimise


def test_the_minimum_of_a_bowl_is_its_bottom() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(20, 20))
    hessian = (root @ root.T / 20 + 0.1 * np.eye(20)).astype(np.float32)
    bottom = rng.normal(size=20).astype(np.float32)

    def bowl(x: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        slope = hessian @ (x - bottom)
        return float((x - bottom) @ slope) / 2, slope

    found = minimise(bowl, np.zeros(20, np.float32), decrease=1e-9, slope=1e-6)
    assert np.abs(found - bottom).max() < 1e-3


def test_rosenbrocks_valley_ends_where_scipy_says() -> None:
    from scipy.optimize import rosen, rosen_der

    def valley(x: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        wide = x.astype(np.float64)
        return float(rosen(wide)), rosen_der(wide).astype(np.float32)

    start = np.array([-1.2, 1.0, -0.5, 0.8], np.float32)
    found = minimise(valley, start, decrease=1e-12, slope=1e-5, steps=500)
    assert found == pytest.approx(np.ones(4), abs=0.01)


def test_a_start_at_the_minimum_costs_one_look() -> None:
    looks = []

    def flat(x: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        looks.append(x)
        return 1.0, np.zeros_like(x)

    minimise(flat, np.ones(3, np.float32), decrease=1e-6, slope=1e-5)
    assert len(looks) == 1


def test_a_slope_that_lies_ends_the_search_instead_of_hanging_it() -> None:
    def liar(x: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        return float(np.abs(x).sum()), -np.ones_like(x)  # promises a descent that never comes

    start = np.ones(3, np.float32)
    assert np.array_equal(minimise(liar, start, decrease=1e-6, slope=1e-5), start)
