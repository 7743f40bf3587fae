"""`python -m core.make_assets.gallery.thumbnail`: draw `assets/readme/thumbnail.png`, which links to the app show.

Title and promise, and below them two of the example faces in every ready-made style, drawn by the present model.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

from core.config import ASSETS_DIR
from core.imaging.photo import load_photo
from core.studio import Studio

SIZE_PX = (1200, 630)  # what social networks ask for
MARGIN_PX, GAP_PX, CORNER_PX = 56, 10, 14
FIRST_GAP_PX = 28  # between the face and its drawings
FACES = 2
MAX_STYLES = 6
PAPER, INK, QUIET = "#faf6ee", "#1f1b16", "#62594d"  # the page's light colours
TITLE, PROMISE = "StyleIdentity", "Your portrait in any art style. Still you."
COLOURS = 256  # of the file's palette; dithering hides the rest


def font(name: str, size_px: int) -> ImageFont.FreeTypeFont:
    """Load one of the fonts that come with Matplotlib."""
    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"), size_px)


def rows_of_faces(studio: Studio, faces: list[Path]) -> list[list[Image.Image]]:
    """Draw the rows: each face, then the face in every ready-made style."""
    styles = [studio.load_style(ready.path) for ready in studio.ready_styles()[:MAX_STYLES]]
    rows = []
    for path in faces:
        face = studio.align(load_photo(path), crop="aligned")
        prepared = studio.prepare(face)
        rows.append([face.image, *(studio.draw(prepared, style).image for style in styles)])
    return rows


def rounded(image: Image.Image, side_px: int) -> tuple[Image.Image, Image.Image]:
    """Return the picture as a square of `side_px`, and the mask of its round corners."""
    mask = Image.new("L", (4 * side_px, 4 * side_px))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 4 * side_px - 1, 4 * side_px - 1), 4 * CORNER_PX, fill=255)
    small = (side_px, side_px)
    return image.resize(small, Image.Resampling.LANCZOS), mask.resize(small, Image.Resampling.LANCZOS)


def thumbnail(studio: Studio, faces: list[Path]) -> Image.Image:
    """Draw the whole picture, RGB of `SIZE_PX`."""
    rows = rows_of_faces(studio, faces)
    canvas = Image.new("RGB", SIZE_PX, PAPER)
    drawing = ImageDraw.Draw(canvas)
    drawing.text((MARGIN_PX - 4, 48), TITLE, fill=INK, font=font("DejaVuSerif-Bold", 76))
    drawing.text((MARGIN_PX, 156), PROMISE, fill=QUIET, font=font("DejaVuSans", 31))
    columns = len(rows[0])
    extra = FIRST_GAP_PX - GAP_PX
    side_px = (SIZE_PX[0] - 2 * MARGIN_PX - (columns - 1) * GAP_PX - extra) // columns
    top = SIZE_PX[1] - MARGIN_PX - len(rows) * side_px - (len(rows) - 1) * GAP_PX
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            left = MARGIN_PX + column * (side_px + GAP_PX) + (extra if column else 0)
            square, mask = rounded(picture, side_px)
            canvas.paste(square, (left, top + row * (side_px + GAP_PX)), mask)
    return canvas


def main(arguments: list[str]) -> None:
    """Parse the options, draw and write."""
    parser = argparse.ArgumentParser(prog="python -m core.make_assets.gallery.thumbnail", description=__doc__)
    parser.add_argument("--save", type=Path, default=ASSETS_DIR / "readme" / "thumbnail.png")
    options = parser.parse_args(arguments)
    faces = sorted((ASSETS_DIR / "examples").glob("*.png"))[:FACES]
    picture = thumbnail(Studio.open("fewshot_gan", backbone="mini"), faces)
    options.save.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(COLOURS, dither=Image.Dither.FLOYDSTEINBERG).save(options.save, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
