"""When one engine may answer for another: judged on pictures like photos, by what is read there."""

import numpy as np
import pytest
from samples import encoder_graph

from fursure.drawings.textures import KINDS, texture
from fursure.engine.agreement import EACH, compare_features, pictures
from fursure.engine.openvino import installed_version
from fursure.engine.trial import problems

SIZE = 32


@pytest.fixture(scope="module")
def looks() -> tuple[np.ndarray, np.ndarray]:
    """Return features of the pictures, their own small pixels, and their kinds."""
    pixels_NHWC, kind_N = pictures(SIZE)
    return pixels_NHWC[:, ::4, ::4].reshape(len(kind_N), -1).astype(np.float32), kind_N


@pytest.mark.parametrize("kind", KINDS)
def test_a_texture_is_repeatable_and_no_two_are_alike(kind: str) -> None:
    made = [texture(kind, seed, SIZE) for seed in range(4)]
    assert np.array_equal(made[1], texture(kind, 1, SIZE))
    assert len({one.tobytes() for one in made}) == 4
    assert {(one.shape, one.dtype.name) for one in made} == {((SIZE, SIZE, 3), "uint8")}


def test_textures_fall_off_in_detail_as_photos_do_and_noise_does_not() -> None:
    """Power of a photo's spectrum goes with 1/f² (Field, JOSA A 1987); of noise, it is flat."""
    rng = np.random.default_rng(0)
    noise_HWC = rng.integers(0, 256, (128, 128, 3))
    slopes = [_slope(texture("leaves", seed, 128)) for seed in range(8)]
    assert abs(_slope(noise_HWC)) < 0.2
    assert -3.5 < np.mean(slopes) < -1.5


def _slope(pixels_HWC: np.ndarray) -> float:
    grey_HW = pixels_HWC.mean(axis=2)
    power_HW = np.abs(np.fft.fft2(grey_HW - grey_HW.mean())) ** 2
    frequency_HW = np.hypot(*np.meshgrid(*[np.fft.fftfreq(len(grey_HW))] * 2))
    band_HW = (frequency_HW > 0.03) & (frequency_HW < 0.4)
    bins = np.digitize(np.log(frequency_HW[band_HW]), np.linspace(-3.5, -1, 9))
    means = [(np.log(power_HW[band_HW][bins == b].mean())) for b in range(1, 9)]
    return float(np.polyfit(np.linspace(-3.34, -1.16, 8), means, 1)[0])


def test_the_same_features_agree_in_any_precision(looks: tuple[np.ndarray, np.ndarray]) -> None:
    features_ND, kind_N = looks
    same = compare_features(features_ND, features_ND, kind_N)
    assert (same.neighbours, same.gap) == (1.0, 0.0)
    assert same.problem("f32") is None
    assert len(kind_N) == EACH * len(set(kind_N))


def test_rounding_to_bf16_passes_as_bf16_but_not_as_f32(
    looks: tuple[np.ndarray, np.ndarray],
) -> None:
    features_ND, kind_N = looks
    rng = np.random.default_rng(0)
    rough = compare_features(
        features_ND, features_ND * (1 + rng.normal(0, 0.02, features_ND.shape)), kind_N
    )
    assert rough.problem("bf16") is None
    assert rough.problem("f32") is not None


def test_features_of_the_wrong_pictures_or_none_at_all_are_refused(
    looks: tuple[np.ndarray, np.ndarray],
) -> None:
    features_ND, kind_N = looks
    shuffled = compare_features(features_ND, features_ND[::-1], kind_N)
    assert "neighbours" in (shuffled.problem("bf16") or "")
    broken = compare_features(features_ND, np.full_like(features_ND, np.nan), kind_N)
    assert broken.problem("bf16") is not None


def test_a_head_that_answers_otherwise_is_refused_though_neighbours_stay(
    looks: tuple[np.ndarray, np.ndarray],
) -> None:
    """Of features twice as long every neighbour is the same, and every probability another."""
    features_ND, kind_N = looks
    centre_D = features_ND.mean(axis=0)
    doubled = compare_features(features_ND, centre_D + 2 * (features_ND - centre_D), kind_N)
    assert doubled.neighbours == 1.0
    assert "probabilities" in (doubled.problem("bf16") or "")


@pytest.mark.skipif(installed_version() is None, reason="OpenVINO is not installed (extra fast)")
def test_openvino_in_f32_says_what_onnx_runtime_says() -> None:
    assert list(problems(encoder_graph(), ["f32"])) == [("f32", "")]
