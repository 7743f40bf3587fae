"""`python -m core.make_assets.gallery.icon`: draw `assets/icon.png`, the page's icon.

A portrait, half plain and half in strokes, as the page shows one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw

from core.config import ASSETS_DIR

SIDE_PX, FINER = 512, 4  # drawn larger, then reduced
PAPER, INK, ACCENT = "#faf6ee", "#1f1b16", "#24437a"  # the page's light colours
CORNER, STROKE, GAP = 0.22, 0.034, 0.072  # in sides


def icon() -> Image.Image:
    """Draw the icon, RGBA of `SIDE_PX`."""
    side = SIDE_PX * FINER

    def at(*shares: float) -> tuple[float, ...]:
        return tuple(side * share for share in shares)

    square, person, strokes = (Image.new("L", (side, side)) for _ in range(3))
    ImageDraw.Draw(square).rounded_rectangle(at(0, 0, 1, 1), side * CORNER, fill=255)
    pen = ImageDraw.Draw(person)
    pen.ellipse(at(0.31, 0.16, 0.69, 0.60), fill=255)
    pen.ellipse(at(0.14, 0.66, 0.86, 1.4), fill=255)
    pen = ImageDraw.Draw(strokes)
    for number in range(-14, 15):
        start = 0.5 + number * GAP
        pen.line(at(start, 1.0, start + 0.7, 0.0), fill=255, width=round(side * STROKE))
    left = Image.new("L", (side, side))
    ImageDraw.Draw(left).rectangle(at(0, 0, 0.5, 1), fill=255)
    drawn = Image.new("RGBA", (side, side), PAPER)
    drawn.paste(INK, mask=ImageChops.multiply(person, left))
    drawn.paste(ACCENT, mask=ImageChops.multiply(ImageChops.multiply(person, strokes), ImageChops.invert(left)))
    drawn.putalpha(square)
    return drawn.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)


def main(arguments: list[str] | None = None) -> int:
    """Draw the icon and write it."""
    parser = argparse.ArgumentParser(prog="python -m core.make_assets.gallery.icon", description=__doc__)
    parser.add_argument("--save", type=Path, default=ASSETS_DIR / "icon.png")
    given = parser.parse_args(arguments)
    icon().quantize(64).save(given.save, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
