"""A fit and its backbone → a bundle, after the whole graph has proved itself on real photos.

Dimension key: N photos, K classes, D features, H W height and width, C colour.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from threadpoolctl import threadpool_limits

from fursure.backbones.backbone import Backbone
from fursure.bundle.bundle import Bundle, Golden, Seen, short_digests
from fursure.bundle.meta import Meta
from fursure.drawings.draw import draw, jpeg
from fursure.engine import first_run, selftest
from fursure.engine.libraries import onnxruntime_version
from fursure.engine.network import Network
from fursure.engine.openvino import OpenVino, Precision
from fursure.engine.runtime import BULK, OnnxRuntime, Session
from fursure.errors import BadBackbone
from fursure.features.collect import Collected
from fursure.features.leakage import seen_among, unmeasured
from fursure.graphs.graph import attach_head
from fursure.heads.card import card
from fursure.heads.fit import Fit
from fursure.heads.own import head_kind
from fursure.heads.strangers import Strangers, Worth, direction, set_aside
from fursure.photos.decode import decode
from fursure.photos.preprocess import Preprocess
from fursure.recipe import Recipe
from fursure.rows.photo import SPLITS
from fursure.rows.photo_table import PhotoTable
from fursure.run import available_threads
from fursure.splitting.split import spare_among
from fursure.sureness.calibration import softmax
from fursure.sureness.familiarity import Familiar, fit_familiar
from fursure.sureness.readout import Readout
from fursure.sureness.risk import RiskTable

PROOF = 64  # photos that run through the whole graph before a bundle is accepted
PROOF_OF_FEW = 16  # of fewer than `BULK`: one engine answers, so no gap is measured on them
BETWEEN = 16  # of them that the slower engine answers too, where the faster one answers all
AGREEMENT = 0.02
# mean over photos of the largest |difference| of a probability to the cached features' answer:
# rounding in bf16 moves single photos of a hard task by 0.05, stale features move most of them
_MARGIN = 1.5  # another machine's bf16 may round worse than this one's
UNMEASURED = 0.02  # bound between engines where only one is installed (architecture.md)


DEFAULT_RISKS = (0.01, 0.02, 0.05, 0.1)  # the first that validation could certify is the default


def assemble(
    name: str,
    collected: Collected,
    backbone: Backbone,
    found: Fit,
    recipe: Recipe,
    photos: Sequence[Image.Image],
    rows: Sequence[int],
    *,
    origin: Backbone,
    strangers: Strangers | None = None,
    own: Any = None,
) -> Bundle:
    """Return the finished bundle.

    ``photos`` are a few of the data set, decoded; ``rows`` say which of the collected ones.
    ``origin`` is the backbone before any training of it, by which a repeated run knows its own.
    ``strangers`` teach what is not familiar, and what that is worth is kept with the data. The
    head came from the user's ``own`` object instead of the recipe.

    Raises:
        BadBackbone: the whole graph does not answer like the features it was trained on.
    """
    labels = collected.manifest.labels
    model = attach_head(
        backbone.onnx,
        found.layers,
        found.temperature,
        labels=labels,
        preprocess=backbone.preprocess,
    )
    default = OnnxRuntime(model, threads=available_threads())
    golden = _golden(default, backbone.preprocess)
    expected_NK = softmax(found.layers(collected.features_ND[list(rows)]), found.temperature)
    with (
        threadpool_limits(1, user_api="blas"),  # its threads and the engine's would spin in turn
        ThreadPoolExecutor(1) as pool,  # the engines leave part of the second core idle
    ):
        familiarity = pool.submit(_familiar, collected, found, recipe, strangers, backbone, origin)
        gap = _prove(
            model,
            default,
            backbone.preprocess,
            photos,
            expected_NK,
            golden,
            collected.engine,
            joined=bool(backbone.parts),
            few=len(collected.usable) < BULK,
        )
    familiar, worth = familiarity.result()
    meta = Meta(
        name=name,
        labels=labels,
        preprocess=backbone.preprocess,
        features=collected.features_ND.shape[1],
        temperature=found.temperature,
        max_error=default_risk(found.risks),
        risks=found.risks,
        engine_gap=gap,
        backbone=backbone.name,
        licence=backbone.licence,
        recipe=replace(recipe, backbone=origin.name).to_json()  # its name, not its path
        | ({} if own is None else {"head": {"kind": head_kind(own)}}),
        data=_described(collected, origin) | {"encoder": backbone.digest} | worth,
        figures={"basis": found.basis, **found.evaluation.to_json()},
        versions={
            **{package: version(package) for package in ("fursure", "numpy", "onnx")},
            "onnxruntime": onnxruntime_version(),
        },
    )
    usable = PhotoTable.of(collected.usable)
    seen = {
        split: short_digests(usable.digests.at(usable.splits.are(split)))
        for split in SPLITS
        if split != "test"
    }
    first_run.mark_as_run(model)  # it ran here just now
    return Bundle(
        meta=meta,
        model=model,
        familiar=familiar,
        seen=Seen(
            training=seen["train"],
            validation=seen["val"],
            encoder=_seen_by_encoder(backbone, recipe, seen.values()),
        ),
        golden=golden,
        card=card(meta),
    )


def _seen_by_encoder(
    backbone: Backbone, recipe: Recipe, own: Iterable[NDArray[np.uint64]]
) -> NDArray[np.uint64]:
    """Return what the encoder has seen: what it had before, and if it was trained now, ours."""
    before = np.array(sorted(backbone.seen), np.uint64)
    return np.unique(np.concatenate([before, *(own if recipe.tune else ())]))


def _familiar(
    collected: Collected,
    found: Fit,
    recipe: Recipe,
    strangers: Strangers | None,
    backbone: Backbone,
    origin: Backbone,
) -> tuple[Familiar, dict[str, Any]]:
    """Return the familiar reference set, calibrated on photos held out, and what strangers added.

    Where the features are of a frozen network, trained on none of the photos, references hold each
    other out.
    """
    photos, first = PhotoTable.of(collected.usable), backbone.familiar_from
    frozen = first > 0 or backbone.digest == origin.digest
    frozen &= not seen_among(photos, backbone.seen).any()
    x_ND = collected.features_ND.beyond(first)
    train_N = photos.splits.are("train") & ~found.held_out_N
    labels_N = photos.labels.numbered(collected.manifest.labels)

    def fitted(
        known_N: NDArray[np.bool_], held_out_N: NDArray[np.bool_], readout: Readout | None
    ) -> Familiar:
        familiar = fit_familiar(
            x_ND.at(known_N),
            labels_N[known_N],
            x_ND.at(held_out_N),
            groups=photos.group_names.at(known_N),
            frozen=frozen,
            readout=readout,
            seed=recipe.seed,
            threads=available_threads(),
        )
        return replace(familiar, threshold=recipe.known_lost)

    plain = fitted(train_N, found.held_out_N, None)
    if strangers is None:
        return replace(plain, first=first), {}
    strangers = replace(strangers, features_SD=strangers.features_SD[:, first:])
    held_out_N = found.held_out_N
    if not held_out_N.any():
        rows = np.flatnonzero(train_N)
        held_out_N = np.zeros(len(photos), bool)
        held_out_N[rows] = set_aside(photos.groups.at(rows), recipe.seed)
        train_N = train_N & ~held_out_N
    teaching_SD = strangers.features_SD[strangers.taught(recipe.seed)]
    readout = direction(x_ND[train_N], teaching_SD, recipe.seed)
    sharp = fitted(train_N, held_out_N, readout)
    worth = Worth.of(strangers, recipe.seed, sharp, plain)
    chosen = sharp if worth.used else plain
    return replace(chosen, first=first), {"strangers": worth.to_json()}


def _golden(session: Session, preprocess: Preprocess) -> Golden:
    """Return a drawn JPEG and a second drawing, with ONNX Runtime's answers to both."""
    data = jpeg(draw("cat", seed=1))
    first_HWC = preprocess(decode(data, name="golden", min_side=preprocess.min_side).image)
    pixels_NHWC = np.stack([first_HWC, preprocess(draw("dog", seed=2))])
    return Golden(
        jpeg=data,
        digest=hashlib.sha256(first_HWC.tobytes()).hexdigest(),
        pixels_NHWC=pixels_NHWC,
        probs_NK=np.asarray(session(pixels_NHWC)["probs"]),
    )


def _prove(
    model: bytes,
    default: Session,
    preprocess: Preprocess,
    photos: Sequence[Image.Image],
    expected_NK: NDArray[np.floating],
    golden: Golden,
    engine: str,
    *,
    joined: bool,
    few: bool,
) -> float:
    """Run real photos through the whole graph and return the bound between engines.

    The graph must answer like the cached features it was trained on, by the engine that computed
    them; so what `train` prints from the cache is what the bundle does. Where photos were many,
    OpenVINO's gap is measured whichever engine computed them: it is what will answer many.
    """
    precision = _openvino_for(model, engine, joined=joined, few=few)
    own = None if precision is None else OpenVino(model, threads=1, precision=precision)
    computing = own if own is not None and _by_openvino(engine) else default
    computed_NK = Network(computing, preprocess)(photos)["probs"]
    gap = float(np.abs(computed_NK - expected_NK).max(axis=1).mean())
    if not gap <= AGREEMENT:
        raise BadBackbone(
            f"the finished network differs from the features it was trained on by {gap:.3f} in a "
            "probability on average. `fursure cache clear` removes features that may be stale."
        )
    if own is None:
        return UNMEASURED
    some = photos[:BETWEEN]
    other = Network(own if computing is default else default, preprocess)
    between_NK = np.abs(other(some)["probs"] - computed_NK[: len(some)])
    drawn_NK = np.abs(own(golden.pixels_NHWC)["probs"] - golden.probs_NK)
    return max(UNMEASURED, _MARGIN * float(np.concatenate([between_NK, drawn_NK]).max()))


def _openvino_for(model: bytes, engine: str, *, joined: bool, few: bool) -> Precision | None:
    """Return the precision in which OpenVINO may run the whole graph here; None: not at all."""
    if not _by_openvino(engine) and few:
        return None
    if not _by_openvino(engine) or joined:  # parts passed in a child process, each alone
        return selftest.engine_verdict(model).precision
    precision: Precision = "bf16" if engine.endswith("bf16") else "f32"
    selftest.vouch(model, precision)  # its encoder passed there; the head is one more layer
    return precision


def _by_openvino(engine: str) -> bool:
    """Return whether OpenVINO computed features on this processor, of one part at least."""
    return any(part.startswith("openvino ") for part in engine.split(" and "))


def default_risk(risks: RiskTable) -> float:
    """Return the risk that holds where a user asks for none: the least one that was certified."""
    certified = (risk for risk in DEFAULT_RISKS if risks.threshold_for(risk) is not None)
    return next(certified, DEFAULT_RISKS[0])


def _described(collected: Collected, backbone: Backbone) -> dict[str, Any]:
    """Return what the bundle says of the photos: how many of what, and no name of any."""
    counts: dict[str, dict[str, int]] = {}
    usable = PhotoTable.of(collected.usable)
    for (label, split), count in Counter(zip(usable.labels, usable.splits, strict=True)).items():
        counts.setdefault(label or "", {})[split or ""] = count
    spared = int(spare_among(collected.manifest.photos).sum())
    return {
        "digest": collected.manifest.digest,
        "photos": counts,
        "left_out": len(collected.manifest.photos) - len(usable) - spared,
        "seen_by_encoder": unmeasured(collected.manifest, backbone.seen),
        "spare": spared,  # training photos beyond the recipe's limit
        "near_duplicates": len(usable) - len(np.unique(usable.groups.code_N)),
        "engine": collected.engine,
        "features": list(collected.caches),  # file names: who has them knows what training saw
        "backbone": backbone.digest,
    }
