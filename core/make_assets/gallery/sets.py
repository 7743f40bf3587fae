"""`python -m core.make_assets.gallery.sets`: draw `assets/sets`, small sets of pictures to train a style on.

They are for whoever has no pictures at hand. Each `assets/sets/SLUG/N.webp` is an invented face, drawn by our own code;
`sets.json` names the sets in order.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from core.config import ASSETS_DIR
from core.engines.base import LoadRequest
from core.engines.fewshot_gan.engine import load
from core.make_assets.gallery.draw import draw_references
from core.procedural.drawings import EXAMPLE_SETS

SET_FACES = (19, 8, 15, 0)  # rows of the sample faces; the first is shown
QUALITY = 88


def main(arguments: list[str]) -> None:
    """Parse the options, draw and write."""
    parser = argparse.ArgumentParser(prog="python -m core.make_assets.gallery.sets", description=__doc__)
    parser.add_argument("--out", type=Path, default=ASSETS_DIR / "sets")
    options = parser.parse_args(arguments)
    engine = load(LoadRequest("mini"))
    for slug, style in EXAMPLE_SETS.items():
        (options.out / slug).mkdir(parents=True, exist_ok=True)
        for number, face in enumerate(draw_references(engine, slug, style, SET_FACES), start=1):
            face.image.save(options.out / slug / f"{number}.webp", quality=QUALITY, method=6)
    listing = [{"slug": slug, "title": style.title} for slug, style in EXAMPLE_SETS.items()]
    (options.out / "sets.json").write_text(json.dumps(listing, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
