"""Folders of pictures for the measurements: what is in them, and what an index says of it. Imports no torch."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from core.errors import PhotoUnreadable, PicturesUnusable

T = TypeVar("T")

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True)
class Listed:
    """One picture to measure; `source` and `colour` come from an index and are None without one."""

    path: Path
    source: str | None = None
    colour: bool | None = None


def pictures_in(folder: Path) -> list[Path]:
    """List the picture files of a folder by name. `PicturesUnusable` when there are none, or two with one stem."""
    if not folder.is_dir():
        raise PicturesUnusable(folder.name, "is not a folder")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())
    if not found:
        raise PicturesUnusable(folder.name, "holds no pictures")
    stems: dict[str, Path] = {}
    for path in found:
        other = stems.setdefault(path.stem, path)
        if other is not path:
            raise PicturesUnusable(path.name, f"has the same name as {other.name}, and so would its result")
    return found


def pictures_at(place: Path) -> list[Path]:
    """List the pictures of a folder, of a pattern such as `folder/portrait_*`, or the one picture itself, by name.

    Raises:
        PicturesUnusable: there are none, or two of a folder with one stem.
    """
    if place.is_dir():
        return pictures_in(place)
    if place.is_file():
        return [place]
    found = [path for path in sorted(place.parent.glob(place.name)) if path.suffix.lower() in PICTURE_SUFFIXES]
    if not found:
        raise PicturesUnusable(place.name, "is no folder, no picture, and no pattern that pictures fit")
    return found


def check_levels(path: Path) -> None:
    """Refuse a picture whose values are not all finite: `PicturesUnusable`; damaged files: `PhotoUnreadable`."""
    try:
        with Image.open(path) as image:
            finite = image.mode != "F" or bool(np.isfinite(np.asarray(image)).all())
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise PhotoUnreadable(path.name) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return  # too large: `load_photo` has the sentence
    if not finite:
        raise PicturesUnusable(path.name, "holds values that are not numbers (NaN or infinity); save it again as PNG")


def find_index(folder: Path) -> Path | None:
    """Find `index.csv` in the folder or beside it."""
    return next((path for path in (folder / "index.csv", folder.parent / "index.csv") if path.is_file()), None)


def list_photos(
    folder: Path, *, index: Path | None = None, split: str | None = None, limit: int | None = None
) -> list[Listed]:
    """List the pictures of a folder with what the index says of them.

    Args:
        folder: holds the pictures.
        index: CSV with the columns file, source, split and colour (0 or 1); by default the folder's own, if any.
        split: keep only pictures of this split; needs an index.
        limit: keep at most this many, evenly spread over the list.

    Raises:
        PicturesUnusable: no picture left, or the index is missing, unreadable or lacks a column.
    """
    paths = pictures_in(folder)
    index = index or find_index(folder)
    if index is None:
        if split is not None:
            raise PicturesUnusable(folder.name, "has no index.csv, so --split can't be used; give one with --index")
        listed = [Listed(path) for path in paths]
    else:
        rows = _read_index(index)
        kept = [path for path in paths if split is None or rows.get(path.name, {}).get("split") == split]
        listed = [_with_row(path, rows.get(path.name)) for path in kept]
    if not listed:
        raise PicturesUnusable(folder.name, f"holds no picture of the split '{split}'")
    return spread(listed, limit) if limit is not None else listed


def spread(items: list[T], count: int) -> list[T]:
    """Keep at most `count` items, evenly spaced, first one included."""
    if count >= len(items):
        return items
    return [items[position * len(items) // count] for position in range(count)]


def _with_row(path: Path, row: dict[str, str] | None) -> Listed:
    return Listed(path) if row is None else Listed(path, row["source"], row["colour"] == "1")


def _read_index(path: Path) -> dict[str, dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PicturesUnusable(path.name, f"could not be read as an index ({type(error).__name__})") from error
    missing = {"file", "source", "split", "colour"} - set(rows[0] if rows else ())
    if missing:
        raise PicturesUnusable(path.name, f"is not an index: it lacks the column(s) {', '.join(sorted(missing))}")
    return {row["file"]: row for row in rows}
