"""The texts of exported folders, and the lines of code in them that follow from the model."""

from importlib.resources import files

from fursure.photos.preprocess import Preprocess
from fursure.sureness.familiarity import Familiar

_CROP = """\
    side = {crop} * min(photo.size)
    left, top = (photo.width - side) / 2, (photo.height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(photo.resize(({size}, {size}), Image.Resampling.{filter}, box))
"""
_SQUASH = """\
    return np.asarray(photo.resize(({size}, {size}), Image.Resampling.{filter}))
"""
_PAD = """\
    share = {size} / max(photo.size)
    width, height = (max(1, round(side * share)) for side in photo.size)
    square = Image.new("RGB", ({size}, {size}), {colour})
    small = photo.resize((width, height), Image.Resampling.{filter})
    square.paste(small, (({size} - width) // 2, ({size} - height) // 2))
    return np.asarray(square)
"""
_COSINE = """\
score = np.sort(direction @ basis @ familiar["references"].T.astype(float))[-int(familiar["k"])]
"""
_JOINED = """\
outputs = row @ familiar["weights"].astype(float) + familiar["bias"]
values = np.array([score, np.log(np.exp(outputs - outputs.max()).sum()) + outputs.max()])
depth = (familiar["tails"][:, 0] - values) / familiar["tails"][:, 1]
score = -((depth + np.hypot(depth, 2)) / 2).sum()
"""


def template(name: str) -> bytes:
    """Return the text of that ``name``, a template."""
    return (files("fursure.exporting") / "texts" / name).read_bytes()


def example_of(preprocess: Preprocess) -> str:
    """Return the lines of Python that crop, squash or pad an upright photo."""
    lines = {"crop": _CROP, "squash": _SQUASH, "pad": _PAD}[preprocess.mode]
    return lines.format(
        size=preprocess.size,
        crop=preprocess.crop,
        filter=preprocess.interpolation.upper(),
        colour=tuple(round(255 * value) for value in preprocess.mean),
    ).rstrip()


def formula_of(familiar: Familiar) -> str:
    """Return the lines of Python from the features of a photo to its score of familiarity."""
    features = f"features[0, {familiar.first}:]" if familiar.first else "features[0]"
    lines = f"row = {features}.astype(float)\n" + (
        'direction = unit(unit(row) - familiar["centre"])\n'
        'basis = familiar["basis"].astype(float) * familiar["scale"].astype(float)\n'
    )
    return (lines + _COSINE + (_JOINED if familiar.readout else "")).rstrip()
