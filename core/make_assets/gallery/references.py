"""`python -m core.make_assets.gallery.references STYLE --out DIR`: drawings in a technique of ours, to train on.

The first four are those that the style was trained on; more come from the other invented faces.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from core.config import MAX_REFERENCES
from core.engines.base import LoadRequest
from core.engines.fewshot_gan.engine import load
from core.make_assets.gallery.draw import REFERENCE_FACES, draw_technique
from core.procedural.techniques import TECHNIQUES


def main(arguments: list[str]) -> None:
    """Parse the options, draw, write `STYLE_01.png` and so on."""
    parser = argparse.ArgumentParser(prog="python -m core.make_assets.gallery.references", description=__doc__)
    parser.add_argument("style", choices=sorted(TECHNIQUES))
    parser.add_argument("--out", type=Path, required=True, help="folder for the drawings")
    parser.add_argument(
        "--count", type=int, default=len(REFERENCE_FACES), choices=range(1, MAX_REFERENCES + 1), metavar="1-14"
    )
    options = parser.parse_args(arguments)
    engine = load(LoadRequest("mini"))
    others = [row for row in range(engine.sampled_faces) if row not in REFERENCE_FACES]
    rows = [*REFERENCE_FACES, *others][: options.count]
    options.out.mkdir(parents=True, exist_ok=True)
    drawn = draw_technique(engine, options.style, rows)
    for number, face in enumerate(drawn, start=1):
        face.image.save(options.out / f"{options.style}_{number:02}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
