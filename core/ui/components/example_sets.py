"""Small sets of style pictures for visitors who have none at hand, from `assets/sets`.

`python -m core.make_assets.gallery.sets` made them.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

from core.config import ASSETS_DIR
from core.ui.components import widgets

SETS_DIR = ASSETS_DIR / "sets"
TILE_PX = 160


@dataclass(frozen=True)
class ExampleSet:
    """Pictures in one style, each cropped to a face."""

    slug: str
    title: str
    pictures: tuple[Path, ...]


@functools.cache
def example_sets() -> tuple[ExampleSet, ...]:
    """Return the sets that ship; none where the folder is missing."""
    listing = SETS_DIR / "sets.json"
    if not listing.exists():
        return ()
    return tuple(
        ExampleSet(entry["slug"], entry["title"], tuple(sorted((SETS_DIR / entry["slug"]).glob("*.webp"))))
        for entry in json.loads(listing.read_text(encoding="utf-8"))
    )


def example_set(slug: str) -> ExampleSet | None:
    """Return the set of this name."""
    return next((found for found in example_sets() if found.slug == slug), None)


def is_example(path: str) -> bool:
    """Tell whether a picture is one of a set's, not the visitor's own."""
    return Path(path).is_relative_to(SETS_DIR)


@functools.cache
def _tile_picture(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as picture:
        return widgets.data_address(picture, side_px=TILE_PX)


def tiles() -> list[widgets.Tile]:
    """Return a tile for each set."""
    return [
        widgets.Tile(found.slug, found.title, _tile_picture(found.pictures[0]), len(found.pictures))
        for found in example_sets()
    ]
