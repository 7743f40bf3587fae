"""`python -m core.make_assets.gallery.references STYLE --out DIR`: drawings in a ready-made style, as pictures to train on.

The first six are those that the style was trained on; more come from the other invented faces.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from core.config import MAX_REFERENCES
from core.make_assets.gallery.__main__ import REFERENCE_FACES, draw_references
from core.procedural.drawings import READY_MADE
from core.studio import Studio


def main(arguments: list[str]) -> None:
    """Parse the options, draw, write `STYLE_01.png` and so on."""
    parser = argparse.ArgumentParser(prog="python -m core.make_assets.gallery.references", description=__doc__)
    parser.add_argument("style", choices=sorted(READY_MADE))
    parser.add_argument("--out", type=Path, required=True, help="folder for the drawings")
    parser.add_argument(
        "--count", type=int, default=len(REFERENCE_FACES), choices=range(1, MAX_REFERENCES + 1), metavar="1-14"
    )
    options = parser.parse_args(arguments)
    studio = Studio.open("mini")
    others = [row for row in range(len(studio.backbone.sample_faces.codes)) if row not in REFERENCE_FACES]
    rows = [*REFERENCE_FACES, *others][: options.count]
    options.out.mkdir(parents=True, exist_ok=True)
    for number, face in enumerate(draw_references(studio, options.style, READY_MADE[options.style], rows), start=1):
        face.image.save(options.out / f"{options.style}_{number:02}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
