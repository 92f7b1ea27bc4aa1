"""Backbones → one encoder: their features side by side, of the photo and of its mirror image.

The result is an ordinary `Backbone` of one graph, so nothing that trains, predicts, evaluates or
serves knows of it, and its bundle is a backbone again. Its features have a cache of their own and
are computed in one pass over the photos, even where each part's are cached: decoding costs about
what a small network does, and one digest for one graph leaves nothing that could go stale.

Each network keeps the size it was trained for: photos come at the largest, and the graph itself
makes them smaller for the others. Converted for 160 px to please the one in the wheel, a
MobileNetV2 of 224 px lost more than its neighbour added.

Dimension key: H W height and width (pixels or map cells) before resampling, h w after it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper
from PIL import Image

from fursure.engine.session import OnnxRuntime
from fursure.errors import BadBackbone
from fursure.images.preprocess import RESAMPLING, Preprocess
from fursure.recipe import Recipe
from fursure.training.backbones import Backbone, load_backbone
from fursure.training.wiring import Wires, named_apart, resampled, wired

Cells = tuple[int, int]  # height and width of a map
MIRRORED = "flip.mirrored"  # the tensor by which a graph with flips is known
FLIP = {
    "flip.last": np.array([-1]),
    "flip.first": np.array([np.iinfo(np.int64).min]),  # "down to the first, that one too"
    "flip.width": np.array([2]),  # axis of pixels N,H,W,C
    "flip.columns": np.array([3]),  # axis of a map N,D,h,w
}


def encoder_for(recipe: Recipe, *, features: str | None = None) -> Backbone:
    """Return the encoder a recipe asks for: one backbone or several, with flips or without.

    Raises:
        BadBackbone: they do not fit together, or one does not fit the recipe.
        UnknownBackbone: nothing answers to one of the names.
        MissingExtra: one needs torch to be converted, and torch is not installed.
    """
    sources = (recipe.backbone,) if isinstance(recipe.backbone, str) else recipe.backbone
    loaded = [
        load_backbone(
            source,
            precision=recipe.precision,
            image_size=recipe.image_size,
            resize=recipe.resize,
            features=features,
        )
        for source in sources
    ]
    if not loaded:
        raise BadBackbone("no backbone is named; name one at least: --backbone lite0.")
    whole = side_by_side(loaded)
    return with_flips(whole) if recipe.flips else whole


def side_by_side(backbones: Sequence[Backbone]) -> Backbone:
    """Return the encoder whose features are those of all ``backbones``, one after the other.

    Photos are prepared the first one's way (crop, squash or pad; interpolation), at the largest
    size of all; each network normalises them itself. Where all have maps there is one of all, so
    the class activation map stays exact, with the cells of the finest.

    Raises:
        BadBackbone: two are the same, or of versions of ONNX that cannot be reconciled.
    """
    _check_different(backbones)
    if len(backbones) == 1:
        return backbones[0]
    largest = max(one.preprocess.size for one in backbones)
    preprocess = replace(backbones[0].preprocess, size=largest)
    named = {f"part{number}.": one for number, one in enumerate(backbones)}
    parts = named_apart(named)
    before = sum((_seen(name, one, preprocess) for name, one in named.items()), Wires())
    features = [f"{name}features" for name in named]
    after = Wires([helper.make_node("Concat", features, ["features"], axis=1)])
    after += _joined_map({name: _cells(one) for name, one in named.items()})
    licences = [licence for one in backbones for licence in one.licence.split(" and ")]
    return Backbone(
        name=" + ".join(one.name for one in backbones),
        onnx=wired(before, parts, after, largest),
        preprocess=preprocess,
        licence=" and ".join(dict.fromkeys(licences)),
    )


def _check_different(backbones: Sequence[Backbone]) -> None:
    known: dict[str, str] = {}
    for one in backbones:
        if (twin := known.get(one.digest)) is not None:
            both = f"{twin} is named twice" if twin == one.name else f"{one.name} is {twin} again"
            raise BadBackbone(f"{both}, which adds nothing; name different backbones.")
        known[one.digest] = one.name


def _seen(name: str, part: Backbone, preprocess: Preprocess) -> Wires:
    """Return what makes the pixels that a part takes of those that the whole takes.

    Pillow's interpolation, antialiasing included, is linear: a matrix for the rows and one for
    the columns. So a part of a smaller size sees what it would see if Pillow had resized once
    more, to the rounding.
    """
    pixels, size = f"{name}pixels", part.preprocess.size
    if size == preprocess.size:
        return Wires([helper.make_node("Identity", ["pixels"], [pixels])])
    unit_HH = Image.fromarray(np.eye(preprocess.size, dtype=np.float32))
    rows_hH = np.array(
        unit_HH.resize((preprocess.size, size), RESAMPLING[preprocess.interpolation])
    )
    planes, smaller = f"{pixels}.planes", f"{pixels}.smaller"
    limits = {
        f"{pixels}.least": np.array(0, np.float32),
        f"{pixels}.most": np.array(255, np.float32),
    }
    return (
        Wires(
            [
                helper.make_node("Transpose", ["pixels"], [planes], perm=[0, 3, 1, 2]),
                helper.make_node("Cast", [planes], [f"{planes}.float"], to=TensorProto.FLOAT),
            ]
        )
        + resampled(f"{planes}.float", smaller, rows_hH, rows_hH)
        + Wires(
            [
                helper.make_node("Round", [smaller], [f"{smaller}.round"]),
                helper.make_node("Clip", [f"{smaller}.round", *limits], [f"{smaller}.clip"]),
                helper.make_node(
                    "Cast", [f"{smaller}.clip"], [f"{smaller}.bytes"], to=TensorProto.UINT8
                ),
                helper.make_node("Transpose", [f"{smaller}.bytes"], [pixels], perm=[0, 2, 3, 1]),
            ],
            limits,
        )
    )


def _cells(backbone: Backbone) -> Cells | None:
    """Return the height and width of a backbone's map, or None where it has none."""
    size = backbone.preprocess.size
    outputs = OnnxRuntime(backbone.onnx, threads=1)(np.zeros((1, size, size, 3), np.uint8))
    if "map" not in outputs:
        return None
    height, width = outputs["map"].shape[2:]
    return height, width


def _joined_map(cells: Mapping[str, Cells | None]) -> Wires:
    """Return what makes one map of the parts' maps, or nothing where a part has none."""
    grids = {name: grid for name, grid in cells.items() if grid is not None}
    if len(grids) < len(cells):
        return Wires()
    finest = max(grids.values())
    finer = Wires()
    maps = []
    for name, grid in grids.items():
        if grid == finest:
            maps.append(f"{name}map")
        else:
            maps.append(f"{name}map.finer")
            finer += resampled(f"{name}map", maps[-1], *map(_overlaps, finest, grid))
    return finer + Wires([helper.make_node("Concat", maps, ["map"], axis=1)])


def _overlaps(new: int, old: int) -> NDArray[np.float32]:
    """Return how much of each of ``new`` cells, the rows, lies in each of ``old`` ones.

    A new cell is the mean of what it covers, and the mean of all cells stays what it was.
    """
    new_h1, old_H = np.arange(new)[:, None] * old, np.arange(old) * new  # where they begin
    shared_hH = np.minimum(new_h1 + old, old_H + new) - np.maximum(new_h1, old_H)
    return np.asarray(shared_hH.clip(0) / old, np.float32)


def with_flips(backbone: Backbone) -> Backbone:
    """Return the encoder whose features are the mean of a photo's and its mirror image's.

    A photo and its mirror image then have one answer. The network runs once, on twice as many
    photos. The map is the mean of the map and of the mirror image's, mirrored back, so the class
    activation map stays exact. A backbone that flips already comes back as it is.
    """
    (network,) = named_apart({"once.": backbone})
    made = {name for node in network.graph.node for name in node.output}
    if f"once.{MIRRORED}" in made:
        return backbone
    before = [
        _mirror("pixels", MIRRORED, "flip.width"),
        helper.make_node("Concat", ["pixels", MIRRORED], ["once.pixels"], axis=0),
    ]
    after = [
        _halves("features"),
        helper.make_node("Mean", ["flip.features0", "flip.features1"], ["features"]),
    ]
    if "once.map" in made:
        after += [
            _halves("map"),
            _mirror("flip.map1", "flip.map1.back", "flip.columns"),
            helper.make_node("Mean", ["flip.map0", "flip.map1.back"], ["map"]),
        ]
    graph = wired(Wires(before, FLIP), [network], Wires(after), backbone.preprocess.size)
    return replace(backbone, onnx=graph)


def _mirror(tensor: str, mirrored: str, axis: str) -> NodeProto:
    """Return the node that reverses ``tensor`` along an axis: a slice with the step -1."""
    names = [tensor, "flip.last", "flip.first", axis, "flip.last"]
    return helper.make_node("Slice", names, [mirrored])


def _halves(tensor: str) -> NodeProto:
    """Return the node that parts the photos' rows from their mirror images'."""
    names = [f"flip.{tensor}0", f"flip.{tensor}1"]
    return helper.make_node("Split", [f"once.{tensor}"], names, axis=0, num_outputs=2)
