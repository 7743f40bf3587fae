"""`python -m core.make_assets.gallery`: draw the references of the ready-made styles, train them, and write `assets/`.

Writes `assets/styles/SLUG.safetensors`, its picture `SLUG.webp`, `index.json`, and the example photos in
`assets/examples/`. Everything is made from the embedded backbone's invented faces.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from core.config import ASSETS_DIR
from core.threads import share_cores


def main(arguments: list[str]) -> None:
    """Parse the options, train and draw."""
    share_cores()  # before torch is imported
    from core.engines.base import LoadRequest
    from core.engines.fewshot_gan.engine import load
    from core.make_assets.gallery.draw import READY_MADE, write_pictures, write_styles

    parser = argparse.ArgumentParser(prog="python -m core.make_assets.gallery", description=__doc__)
    parser.add_argument("--assets", type=Path, default=ASSETS_DIR)
    parser.add_argument("--only", nargs="*", choices=sorted(READY_MADE), default=list(READY_MADE), metavar="SLUG")
    options = parser.parse_args(arguments)
    engine = load(LoadRequest("mini"))
    write_styles(engine, options.only, options.assets)
    write_pictures(engine, options.assets)


if __name__ == "__main__":
    main(sys.argv[1:])
