"""Photos and predictions → one picture: every photo over its answer and how sure it is."""

from collections.abc import Sequence

from PIL import Image, ImageColor, ImageDraw, ImageFont, ImageOps

from fursure.prediction import Prediction

TILE = 200  # pixels, side of a photo
CAPTION = 58  # pixels below it
GAP = 16  # pixels around it
PAPER, FAINT = "#fbfaf7", "#6a6a74"
MARKS = {"unsure": "#c98a00", "stranger": "#8a4fbf"}  # of those answers; a label's is below
_INK = "#24242b"
_SURE, _WRONG = "#2e7d4f", "#b3402e"
_LONGEST = 24  # characters of a class


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


def confusion_picture(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> Image.Image:
    """Return the table of true classes (rows) and answers (columns), the darker the more photos.

    A cell's shade is its share of the row, so that a rare class shows as well as a common one.
    """
    cell = max(12, min(96, 960 // len(labels)))  # pixels
    size = max(10, min(18, cell // 3))
    font = ImageFont.load_default(size)
    names = [label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…" for label in labels]
    margin = GAP + round(max(font.getlength(name) for name in names)) + GAP
    side = margin + cell * len(labels) + GAP
    sheet = Image.new("RGB", (side, side), PAPER)
    pen = ImageDraw.Draw(sheet)
    for row, counts in enumerate(matrix):
        top = margin + row * cell
        pen.text((margin - 8, top + cell / 2), names[row], _INK, font, anchor="rm")
        for column, count in enumerate(counts):
            left = margin + column * cell
            share = count / max(1, sum(counts))
            fill = _shade(share, _SURE if row == column else _WRONG)
            pen.rectangle((left, top, left + cell - 2, top + cell - 2), fill)
            if count and cell >= 24:
                colour = PAPER if share > 0.5 else _INK
                pen.text((left + cell / 2, top + cell / 2), f"{count:,}", colour, font, "mm")
    sheet.paste(_upright(names, font, margin, cell), (margin, 0))
    return sheet


def _upright(
    names: Sequence[str], font: ImageFont.FreeTypeFont | ImageFont.ImageFont, height: int, cell: int
) -> Image.Image:
    """Return names that stand above their columns, to be read from below."""
    lying = Image.new("RGB", (height, cell * len(names)), PAPER)
    pen = ImageDraw.Draw(lying)
    for number, name in enumerate(names):
        pen.text((8, (number + 0.5) * cell), name, _INK, font, anchor="lm")
    return lying.transpose(Image.Transpose.ROTATE_90)


def _shade(share: float, colour: str) -> tuple[int, int, int]:
    """Return the paper, coloured the more the larger the share; little is seen too."""
    strength = 0.0 if share == 0 else 0.12 + 0.88 * share
    paper, full = ImageColor.getrgb(PAPER), ImageColor.getrgb(colour)
    red, green, blue = (
        round(blank + strength * (value - blank)) for blank, value in zip(paper, full, strict=True)
    )
    return red, green, blue


def _explained(prediction: Prediction) -> str:
    match prediction.answer:
        case "stranger":
            return "unlike the training pictures"
        case "unsure":
            return f"{prediction.label}, only {prediction.confidence:.0%} sure"
        case _:
            return f"{prediction.confidence:.1%} sure"
