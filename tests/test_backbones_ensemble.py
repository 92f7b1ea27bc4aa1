"""Several networks that answer as one: the mean of their logits, strangers by one of them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from samples import SIDE, WIDTH, encoder_graph

from fursure.backbones.backbone import Backbone
from fursure.backbones.ensemble import Member, averaged, together
from fursure.engine.runtime import OnnxRuntime
from fursure.errors import BadBackbone
from fursure.graphs.layers import Dense, Layers
from fursure.photos.preprocess import Preprocess

PREPROCESS = Preprocess(size=SIDE, mode="squash")


def layers(*sizes: int, seed: int) -> Layers:
    generator = np.random.default_rng(seed)
    return Layers(
        tuple(
            Dense(
                generator.normal(size=(wide, narrow)).astype(np.float32),
                generator.normal(size=narrow).astype(np.float32),
            )
            for wide, narrow in pairwise(sizes)
        )
    )


def member(seed: int) -> Member:
    graph = encoder_graph(seed=seed)
    backbone = Backbone(name=f"net{seed}", onnx=graph, preprocess=PREPROCESS, licence="MIT")
    return Member(backbone, layers(WIDTH, 3, seed=seed))


A, B, C = member(1), member(2), member(3)
PIXELS = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)


def logits(one: Member) -> NDArray[np.float32]:
    return one.head(OnnxRuntime(one.backbone.onnx, threads=1)(PIXELS)["features"])


@pytest.mark.parametrize("sizes", [(4, 3), (4, 7, 3), (4, 7, 5, 3)])
def test_the_mean_of_heads_is_one_head_on_the_features_of_all(sizes: tuple[int, ...]) -> None:
    features = np.random.default_rng(9).normal(size=(3, 6, 4)).astype(np.float32)
    heads = [layers(*sizes, seed=seed) for seed in range(3)]
    found = averaged(heads)(np.concatenate(list(features), axis=1))
    wanted = np.mean([head(x) for head, x in zip(heads, features, strict=True)], axis=0)
    assert np.allclose(found, wanted, atol=1e-5)
    assert found.dtype == np.float32


def test_heads_of_different_depth_have_no_mean() -> None:
    with pytest.raises(BadBackbone, match="different depth"):
        averaged([layers(4, 3, seed=0), layers(4, 7, 3, seed=1)])


def test_networks_together_answer_with_the_mean_of_their_logits() -> None:
    found = logits(together([A, B], C))
    assert np.allclose(found, np.mean([logits(one) for one in (A, B, C)], axis=0), atol=1e-4)


def test_strangers_are_known_by_the_features_of_what_stands_beside() -> None:
    whole = together([A, B], C).backbone
    features = OnnxRuntime(whole.onnx, threads=1)(PIXELS)["features"]
    alone = OnnxRuntime(C.backbone.onnx, threads=1)(PIXELS)["features"]
    assert np.allclose(features[:, whole.familiar_from :], alone, atol=1e-5)
    assert together([A, B]).backbone.familiar_from == 0


def test_a_network_that_training_left_as_it_was_counts_once() -> None:
    again = replace(A, head=layers(WIDTH, 3, seed=1))
    assert np.allclose(logits(together([A, again], B)), logits(together([A], B)), atol=1e-5)
    assert logits(together([A, again])).shape == (5, 3)
    alone = together([A], replace(A, head=B.head))  # what stands beside is the very same network
    assert alone.backbone.familiar_from == 0
    assert np.allclose(logits(alone), logits(Member(A.backbone, B.head)), atol=1e-5)
