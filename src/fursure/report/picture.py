"""Photos and predictions → one picture: every photo over its answer and how sure it is."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

from fursure.prediction import Prediction

TILE = 200  # pixels, side of a photo
CAPTION = 58  # pixels below it
GAP = 16  # pixels around it
PAPER, FAINT = "#fbfaf7", "#6a6a74"
MARKS = {"unsure": "#c98a00", "stranger": "#8a4fbf"}  # of those answers; a label's is below
_SURE = "#2e7d4f"


def contact_sheet(
    photos: Sequence[Image.Image], predictions: Sequence[Prediction], *, columns: int = 6
) -> Image.Image:
    """Return a sheet of ``photos`` with the answer to each in words and as a bar."""
    rows = -(-len(photos) // columns)
    width = columns * (TILE + GAP) + GAP
    height = rows * (TILE + CAPTION + GAP) + GAP
    sheet = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(20), ImageFont.load_default(14)
    for number, (photo, prediction) in enumerate(zip(photos, predictions, strict=True)):
        row, column = divmod(number, columns)
        left = GAP + column * (TILE + GAP)
        top = GAP + row * (TILE + CAPTION + GAP)
        sheet.paste(ImageOps.fit(photo.convert("RGB"), (TILE, TILE)), (left, top))
        colour = MARKS.get(prediction.answer, _SURE)
        below = top + TILE + 6
        pen.rectangle((left, below, left + TILE, below + 4), "#e6e3dc")
        filled = round(
            TILE
            * (prediction.familiarity if prediction.answer == "stranger" else prediction.confidence)
        )
        pen.rectangle((left, below, left + filled, below + 4), colour)
        pen.text((left, below + 8), prediction.answer, colour, large)
        pen.text((left, below + 33), _explained(prediction), FAINT, small)
    return sheet


def grid(rows: Sequence[Sequence[Image.Image]], *, tile: int = 140) -> Image.Image:
    """Return a sheet of pictures, ``tile`` pixels each; the first of a row stands apart."""
    columns = max(len(row) for row in rows)
    width = columns * (tile + 4) + 3 * GAP - 4
    sheet = Image.new("RGB", (width, len(rows) * (tile + 4) + 2 * GAP - 4), PAPER)
    for line, row in enumerate(rows):
        for column, picture in enumerate(row):
            left = GAP + column * (tile + 4) + (GAP if column else 0)
            sheet.paste(ImageOps.fit(picture, (tile, tile)), (left, GAP + line * (tile + 4)))
    return sheet


def _explained(prediction: Prediction) -> str:
    match prediction.answer:
        case "stranger":
            return "unlike the training pictures"
        case "unsure":
            return f"{prediction.label}, only {prediction.confidence:.0%} sure"
        case _:
            return f"{prediction.confidence:.1%} sure"
