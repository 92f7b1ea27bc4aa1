"""Classes that no backbone here was chosen for: what a person would call a thing, and a turn.

    python -m benchmarks.other_classes [FOLDER]

With FOLDER it writes there both tasks as class folders, for `fursure compare`. Its turns are three,
not four: the recipes that tune mirror photos, and a mirror makes left of right.

The strangers are divided by what they are (animal, vehicle, ...), and cats and dogs by how far
each was turned, which code decides and no eye. `lite0` is compared with `tiny`, the backbone before
it, on the same draws. Heads take the path of `fursure train`: where photos are few, folds
choose the strength and all of them train; of the turned ones, 280 of 1,400 choose it.

Dimension key: N photos, D features, M photos tested, K classes.
"""

import hashlib
import os
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.machine import described
from benchmarks.origins import CHUNK, PHOTOS, ROOT, STRANGERS
from fursure.backbones.kinds import load_backbone
from fursure.engine.network import Network
from fursure.engine.session import open_session
from fursure.heads.fit import fit
from fursure.metrics.intervals import proportion
from fursure.parallel import chunked, in_order
from fursure.photos.decode import decode
from fursure.recipe import Recipe
from fursure.rows.photo import Photo, Split
from fursure.run import available_threads
from fursure.splitting.fingerprint import crops, phash, thumbnail
from fursure.splitting.groups import group

BACKBONES = {"lite0": "lite0", "tiny": str(ROOT / "tests" / "data" / "format-1.fursure")}
LEARNED, DRAWS = {5: 10, 20: 26}, 50  # photos a class learned -> those a class must have
DRAWN, TURNED, TAUGHT, CHOOSING = (
    2_100,
    2_000,
    1_400,
    280,
)  # photos: some of the first resemble one another
TURNS: dict[str, Image.Transpose | None] = {
    "0": None,
    "90": Image.Transpose.ROTATE_90,
    "180": Image.Transpose.ROTATE_180,
    "270": Image.Transpose.ROTATE_270,
}  # degrees; no pixel is made anew
WAYS_UP = {"0": "upright", "90": "sideways", "180": "upside-down", "270": "sideways"}
LAST_ANIMAL = "n02607072"  # the names begin with WordNet's numbers, animals first
KINDS = {  # by the sense of the name; what fits none, as a street sign, is left out
    "clothing": """academic_gown bikini bolo_tie bonnet cloak kimono knee_pad overskirt pajama
        shower_cap sombrero sweatshirt vestment""",
    "food": """French_loaf carbonara cardoon cucumber dough eggnog ice_lolly mushroom pizza
        red_wine""",
    "instrument, tool or device": """acoustic_guitar bassoon binoculars digital_clock
        digital_watch fountain_pen gas_pump hammer hand-held_computer magnetic_compass microphone
        monitor notebook oboe pencil_sharpener power_drill printer radio_telescope remote_control
        scale screwdriver sewing_machine slide_rule solar_dish spatula stethoscope stopwatch
        syringe upright vending_machine violin""",
    "furniture or household": """barber_chair bath_towel bathtub beaker bottlecap cocktail_shaker
        desk doormat espresso_maker folding_chair lampshade mailbox measuring_cup microwave
        pencil_box pool_table prayer_rug radiator shopping_basket sleeping_bag soup_bowl table_lamp
        wardrobe washbasin water_bottle whiskey_jug""",
    "place or building": """barbershop barn castle cinema dam dock geyser lakeside library
        lumbermill prison promontory seashore stage triumphal_arch volcano""",
    "vehicle": """bobsled cab catamaran harvester liner mobile_home schooner shopping_cart
        snowmobile unicycle warplane wreck yawl""",
}
KIND_OF = {name: kind for kind, names in KINDS.items() for name in names.split()}

Rights = dict[str, list[NDArray[np.bool_]]]  # by backbone: a row of right answers a draw


def main() -> None:
    """Print the figures of both tasks."""
    if not (PHOTOS.is_file() and STRANGERS.is_file()):
        sys.exit(f"no photos at {PHOTOS.parent}; set FURSURE_DATA")
    if len(sys.argv) > 1:
        _write(Path(sys.argv[1]))
        return
    os.nice(10)
    networks = {}
    for name, source in BACKBONES.items():
        backbone = load_backbone(source)
        session = open_session(backbone.onnx, photos=TURNED)
        networks[name] = Network(session, backbone.preprocess)
        print(f"{name}: {session.engine}")
    print(described())
    _kinds(networks)
    _turns(networks)


def _write(folder: Path) -> None:
    """Write what a stranger is, and which way up a photo is, as class folders."""
    for photo, picture in _pictures(STRANGERS, _names(STRANGERS)).items():
        if kind := _kind(photo.path):
            _save(picture, folder / "kinds" / kind / Path(photo.path).name)
    for photo, picture in _turned().items():
        assert photo.label is not None
        _save(picture, folder / "ways-up" / WAYS_UP[photo.label] / Path(photo.path).name)


def _save(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path.with_suffix(".png"))  # nothing is lost, so no pixel tells of a turn


def _kinds(networks: Mapping[str, Network]) -> None:
    pictures = _pictures(STRANGERS, _names(STRANGERS))
    kinds = [_kind(photo.path) for photo in pictures]
    labelled = {
        replace(photo, label=kind): picture
        for (photo, picture), kind in zip(pictures.items(), kinds, strict=True)
    }
    counts = Counter(kinds)
    print(f"\n{len(kinds)} strangers: {counts}")
    features = {name: _encoded(network, labelled.values()) for name, network in networks.items()}
    for learned, needed in LEARNED.items():
        used = sorted(kind for kind, count in counts.items() if kind and count >= needed)
        rows_N = np.flatnonzero([kind in used for kind in kinds])
        mine = [photo for photo in labelled if photo.label in used]
        draws = [_drawn(mine, learned, seed) for seed in range(DRAWS)]
        rest = Counter(photo.label for photo in draws[0] if photo.split == "test")
        print(f"\n{learned} photos each of {', '.join(used)}; {rest.total()} others are tested, "
              f"{max(rest.values()) / rest.total():.1%} of them of one; {DRAWS} draws")  # fmt: skip
        _compare(
            {n: [_right(draw, x_ND[rows_N]) for draw in draws] for n, x_ND in features.items()}
        )


def _kind(path: str) -> str:
    number, _, name = Path(path).stem.partition("_")
    return "animal" if number <= LAST_ANIMAL else KIND_OF.get(name, "")


def _drawn(photos: Sequence[Photo], learned: int, seed: int) -> list[Photo]:
    """Return the photos with so many of each label to train on, the others to test."""
    rng, left = np.random.default_rng(seed), Counter[str | None]()
    out = list(photos)
    for row in rng.permutation(len(photos)):
        left[photos[row].label] += 1
        split: Split = "train" if left[photos[row].label] <= learned else "test"
        out[row] = replace(photos[row], split=split)
    return out


def _compare(rights: Rights) -> None:
    shares = {name: [float(right_M.mean()) for right_M in draws] for name, draws in rights.items()}
    for name, share in shares.items():
        print(f"  {name}: {_spread(share)}")
    gains = [new - old for new, old in zip(*shares.values(), strict=True)]
    better = sum(gain > 0 for gain in gains)
    print(f"  gain in the same draw: {_spread(gains)}, above 0 in {better}", flush=True)


def _spread(shares: Sequence[float]) -> str:
    low, high = np.quantile(shares, (0.025, 0.975))
    return f"{np.mean(shares):.1%} [{low:.1%}, {high:.1%}]"


def _turns(networks: Mapping[str, Network]) -> None:
    turned = _turned()
    print(f"\nDegrees: {Counter(photo.label for photo in turned)}")
    rights = {
        name: _right(list(turned), _encoded(network, turned.values()))
        for name, network in networks.items()
    }
    for name, right_M in rights.items():
        print(f"  {name}: {proportion(int(right_M.sum()), len(right_M))}, n = {len(right_M)}")
    new_M, old_M = rights.values()
    print(
        f"  only the first is right: {(new_M & ~old_M).sum()}; the second: {(old_M & ~new_M).sum()}"
    )


def _turned() -> dict[Photo, Image.Image]:
    """Return cats and dogs, none like another, each turned and labelled by how far."""
    rng, names = np.random.default_rng(0), _names(PHOTOS)
    pictures = _pictures(PHOTOS, [names[row] for row in rng.permutation(len(names))[:DRAWN]])
    distinct = list({photo.group: photo for photo in reversed(pictures)}.values())[:TURNED]
    turned = {}
    for row, photo in enumerate(distinct):
        degrees = list(TURNS)[rng.integers(len(TURNS))]
        turn = TURNS[degrees]
        split: Split = "val" if row < CHOOSING else "train" if row < TAUGHT else "test"
        picture = pictures[photo]
        labelled = replace(photo, label=degrees, split=split)
        turned[labelled] = picture if turn is None else picture.transpose(turn)
    return turned


def _names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as opened:
        return sorted(name for name in opened.namelist() if name.endswith(".jpg"))


def _pictures(archive: Path, names: Sequence[str]) -> dict[Photo, Image.Image]:
    """Return what the photos show; near-duplicates share a group."""
    with zipfile.ZipFile(archive) as opened:
        contents = [opened.read(name) for name in names]
    pictures = [decode(data, name=name).image for name, data in zip(names, contents, strict=True)]
    digests = [hashlib.sha256(data).hexdigest() for data in contents]
    greys_N3232 = np.stack([thumbnail(picture) for picture in pictures])
    groups = group(digests, *phash(greys_N3232), crops_NV=crops(greys_N3232))
    photos = [
        Photo(path=name, sha256=digest, group=near)
        for name, digest, near in zip(names, digests, groups, strict=True)
    ]
    return dict(zip(photos, pictures, strict=True))


def _encoded(network: Network, pictures: Iterable[Image.Image]) -> NDArray[np.float32]:
    parts = in_order(network.encode, chunked(pictures, CHUNK), threads=available_threads())
    return np.concatenate(list(parts))


def _right(photos: Sequence[Photo], features_ND: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which of the test photos a head gets right that was trained on the others."""
    labels = sorted({photo.label or "" for photo in photos})
    fitted = fit(photos, features_ND, labels, Recipe())
    truth_M = np.array([labels.index(photos[row].label or "") for row in fitted.tested_M])
    right_M: NDArray[np.bool_] = fitted.tested_MK.argmax(axis=1) == truth_M
    return right_M[np.argsort(fitted.tested_M)]  # in the order of the photos


if __name__ == "__main__":
    main()
