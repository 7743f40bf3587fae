"""Which photos and artworks a run takes. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.config import CropMode
from core.errors import PicturesUnusable
from core.evaluate.plans import Subset
from core.imaging.listing import Listed, find_index, list_photos, pictures_at, spread

SMALL = 4  # photos, and artworks, of the subset for every day


@dataclass(frozen=True)
class Chosen:
    """A picture that takes part.

    Attributes:
        path: of its file.
        name: in the report; the file's without suffix, with the folder's before it where two files share one.
        crop: how it is cut.
    """

    path: Path
    name: str
    crop: CropMode


def choose_photos(
    places: Sequence[Path],
    *,
    crop: CropMode | None = None,
    index: Path | None = None,
    split: str | None = None,
    limit: int | None = None,
    subset: Subset = "all",
) -> list[Chosen]:
    """List photos of several folders, files or patterns.

    Args:
        places: in the order of the report.
        crop: how they are cut; where None, a folder with an index holds aligned crops and any other whole photos.
        index: of all folders; each folder's own by default.
        split: only this split, in folders with an index.
        limit: only the first so many of each place.
        subset: "small" takes the first four of all.

    Raises:
        PicturesUnusable: a place holds nothing, or a split is asked for and no folder has an index.
    """
    found: dict[Path, CropMode] = {}
    indexed = False
    for place in places:
        at = (index or find_index(place)) if place.is_dir() else None
        indexed = indexed or at is not None
        listed = list_photos(place, index=at, split=split) if at else [Listed(path) for path in pictures_at(place)]
        for item in listed[:limit]:
            found.setdefault(item.path, crop or ("aligned" if at else "detect"))
    if split is not None and not indexed:
        raise PicturesUnusable(places[0].name, "has no index.csv, so --split can't be used; give one with --index")
    chosen = _named(list(found.items()))
    return chosen[:SMALL] if subset == "small" else chosen


def choose_artworks(
    places: Sequence[Path], *, crop: CropMode = "detect", limit: int | None = None, subset: Subset = "all"
) -> list[Chosen]:
    """List artworks likewise; `limit` and the small subset of four take evenly spread ones. Raises PicturesUnusable."""
    paths = dict.fromkeys(path for place in places for path in pictures_at(place))
    chosen = _named([(path, crop) for path in paths])
    if limit is not None:
        chosen = spread(chosen, limit)
    return spread(chosen, SMALL) if subset == "small" else chosen


def _named(found: Sequence[tuple[Path, CropMode]]) -> list[Chosen]:
    stems = [path.stem for path, _ in found]
    named: list[Chosen] = []
    for path, crop in found:
        name = path.stem if stems.count(path.stem) == 1 else f"{path.resolve().parent.name}_{path.stem}"
        if any(other.name == name for other in named):
            raise PicturesUnusable(path.name, f"has the same name as another picture ('{name}'); rename one of them")
        named.append(Chosen(path, name, crop))
    return named
