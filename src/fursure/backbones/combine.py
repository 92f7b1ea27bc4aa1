"""Backbones → one encoder: their features side by side, of the photo and of its mirror image.

The result is an ordinary `Backbone` of one graph, so nothing that predicts, evaluates or serves
knows of it, and its bundle is a backbone again. Training reads each part's features from the
part's own cache, and encodes only what a part lacks; before a bundle is accepted, the one graph
has to answer like them.

Each network keeps the size and the crop it was trained for: photos come in a view that holds all
of them, and the graph itself cuts and shrinks it for each. Converted for 160 px to please the one
in the wheel, a MobileNetV2 of 224 px lost more than its neighbour added.

Dimension key: H W height and width (pixels or map cells) before resampling, h w after it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper
from PIL import Image

from fursure.backbones.backbone import Backbone
from fursure.backbones.int8 import Calibration, quantized
from fursure.backbones.kinds import load_backbone
from fursure.backbones.merge import Wires, named_apart, resampled, wired
from fursure.engine.runtime import OnnxRuntime
from fursure.errors import BadBackbone
from fursure.photos.preprocess import RESAMPLING, Preprocess
from fursure.recipe import Recipe

_Cells = tuple[int, int]  # height and width of a map
MIRRORED = "flip.mirrored"  # the tensor by which a graph with flips is known
FLIP = {
    "flip.last": np.array([-1]),
    "flip.first": np.array([np.iinfo(np.int64).min]),  # "down to the first, that one too"
    "flip.width": np.array([2]),  # axis of pixels N,H,W,C
    "flip.columns": np.array([3]),  # axis of a map N,D,h,w
}


def encoder_for(recipe: Recipe, calibration: Calibration | None = None) -> Backbone:
    """Return the encoder a recipe asks for: one backbone or several, with flips or without.

    In int8 each is rounded on the photos of a ``calibration``.

    Raises:
        BadBackbone: they do not fit together, or one does not fit the recipe.
        UnknownBackbone: nothing answers to one of the names.
        MissingExtra: one needs torch to be converted, and torch is not installed.
    """
    sources = (recipe.backbone,) if isinstance(recipe.backbone, str) else recipe.backbone
    loaded = [
        load_backbone(
            source,
            precision="fp16" if recipe.precision == "fp16" else "fp32",
            image_size=recipe.image_size,
            resize=recipe.resize,
            features=recipe.features_output,
        )
        for source in sources
    ]
    if not loaded:
        raise BadBackbone("no backbone is named; name one at least: --backbone lite0.")
    if recipe.precision == "int8":
        loaded = [_in_int8(backbone, calibration) for backbone in loaded]
    whole = side_by_side(loaded)
    return with_flips(whole) if recipe.flips else whole


def _in_int8(backbone: Backbone, calibration: Calibration | None) -> Backbone:
    if calibration is None:
        raise BadBackbone("int8 is calibrated on photos, and here there are none.")
    return quantized(backbone, calibration)


def beside_for(recipe: Recipe, trained: Backbone) -> Backbone | None:
    """Return the frozen encoder beside the network to be ``trained``, if the recipe has one.

    It sees photos as it will see them in the encoder of both.

    Raises:
        BadBackbone, UnknownBackbone, MissingExtra: as `encoder_for`.
    """
    if recipe.tune is None or recipe.tune.beside is None:
        return None
    frozen = load_backbone(
        recipe.tune.beside,
        precision="fp16" if recipe.precision == "fp16" else "fp32",
        resize=recipe.resize,
    )
    if frozen.digest == trained.digest:
        return frozen
    return side_by_side([trained, frozen]).parts[-1]


def side_by_side(backbones: Sequence[Backbone]) -> Backbone:
    """Return the encoder whose features are those of all ``backbones``, one after the other.

    Photos are prepared the first one's way (crop, squash or pad; interpolation), with the widest
    crop of all and no pixel too few for any; each network normalises them itself. Where all have
    maps there is one of all, so the class activation map stays exact, with the cells of the
    finest.

    Raises:
        BadBackbone: two are the same, or of versions of ONNX that cannot be reconciled.
    """
    _check_different(backbones)
    if len(backbones) == 1:
        return backbones[0]
    whole = _view_of_all([backbone.preprocess for backbone in backbones])
    parts = [_in_view(backbone, whole) for backbone in backbones]
    named = {f"part{number}.": part for number, part in enumerate(parts)}
    graphs = named_apart(named)
    before = Wires([helper.make_node("Identity", ["pixels"], [f"{name}pixels"]) for name in named])
    features = [f"{name}features" for name in named]
    after = Wires([helper.make_node("Concat", features, ["features"], axis=1)])
    after += _joined_map({name: _cells(part) for name, part in named.items()})
    licences = [licence for backbone in backbones for licence in backbone.licence.split(" and ")]
    return Backbone(
        name=" + ".join(backbone.name for backbone in backbones),
        onnx=wired(before, graphs, after, whole.size),
        preprocess=whole,
        licence=" and ".join(dict.fromkeys(licences)),
        seen=frozenset().union(*(backbone.seen for backbone in backbones)),
        parts=tuple(parts),
    )


def _check_different(backbones: Sequence[Backbone]) -> None:
    known: dict[str, str] = {}
    for backbone in backbones:
        if (twin := known.get(backbone.digest)) is not None:
            both = (
                f"{twin} is named twice"
                if twin == backbone.name
                else f"{backbone.name} is {twin} again"
            )
            raise BadBackbone(f"{both}, which adds nothing; name different backbones.")
        known[backbone.digest] = backbone.name


def _view_of_all(views: Sequence[Preprocess]) -> Preprocess:
    """Return the view of a photo in which each network finds its own, in as many pixels."""
    first = views[0]
    crop = max(view.crop for view in views) if first.mode == "crop" else first.crop
    sizes = [view.size * (crop / view.crop if first.mode == "crop" else 1) for view in views]
    return replace(first, size=max(ceil(round(size, 6)) for size in sizes), crop=crop)


def _in_view(part: Backbone, whole: Preprocess) -> Backbone:
    """Return the encoder that makes of the view of all what ``part`` makes of its own.

    A part that needs the whole view is itself, so that what it has cached alone is good here. A
    smaller one is shown a photo that was resized twice, which moves a probability by up to 0.04
    (docs/decisions/0011): its features are others, and so is its digest.
    """
    own = replace(part.preprocess, mode=whole.mode, interpolation=whole.interpolation)
    share = own.crop / whole.crop if whole.mode == "crop" else 1.0
    if own.size == whole.size and share == 1:
        margin = whole.mean if whole.mode == "pad" else own.mean  # its colour
        return replace(part, preprocess=replace(own, mean=margin))
    (network,) = named_apart({"once.": part})
    made = {name for node in network.graph.node for name in node.output}
    names = [name for name in ("features", "map") if f"once.{name}" in made]
    after = Wires([helper.make_node("Identity", [f"once.{name}"], [name]) for name in names])
    graph = wired(_cut("once.pixels", own.size, share, whole), [network], after, whole.size)
    return replace(part, onnx=graph, preprocess=whole)


def _cut(pixels: str, size: int, share: float, whole: Preprocess) -> Wires:
    """Return what makes ``pixels`` of ``size`` of the inner ``share`` of what the whole takes.

    Pillow's interpolation, antialiasing included, is linear: a matrix for the rows and one for
    the columns. So a part of a smaller size or crop sees what it would see if Pillow had resized
    once more, to the rounding.
    """
    unit_HH = Image.fromarray(np.eye(whole.size, dtype=np.float32))
    edge = whole.size * (1 - share) / 2
    rows_hH = np.array(
        unit_HH.resize(
            (whole.size, size),
            RESAMPLING[whole.interpolation],
            (0, edge, whole.size, whole.size - edge),
        )
    )
    view = f"view.{pixels}"  # no part is called so: a network may name its own tensors anyhow
    planes, smaller = f"{view}.planes", f"{view}.smaller"
    limits = {
        f"{view}.least": np.array(0, np.float32),
        f"{view}.most": np.array(255, np.float32),
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


def _cells(backbone: Backbone) -> _Cells | None:
    """Return the height and width of a backbone's map, or None where it has none."""
    size = backbone.preprocess.size
    outputs = OnnxRuntime(backbone.onnx, threads=1)(np.zeros((1, size, size, 3), np.uint8))
    if "map" not in outputs:
        return None
    height, width = outputs["map"].shape[2:]
    return height, width


def _joined_map(cells: Mapping[str, _Cells | None]) -> Wires:
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
    return replace(backbone, onnx=graph, parts=tuple(map(with_flips, backbone.parts)))


def _mirror(tensor: str, mirrored: str, axis: str) -> NodeProto:
    """Return the node that reverses ``tensor`` along an axis: a slice with the step -1."""
    names = [tensor, "flip.last", "flip.first", axis, "flip.last"]
    return helper.make_node("Slice", names, [mirrored])


def _halves(tensor: str) -> NodeProto:
    """Return the node that parts the photos' rows from their mirror images'."""
    names = [f"flip.{tensor}0", f"flip.{tensor}1"]
    return helper.make_node("Split", [f"once.{tensor}"], names, axis=0, num_outputs=2)
