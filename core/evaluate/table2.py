"""SSIM of finished results against their inputs, as in Table 2 of StyleIdentityGAN (`core.metrics.ssim`).

On the authors' published watercolour pictures: 0.411 for their method, 0.404 for JoJoGAN.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from core.errors import PhotoUnreadable, PicturesUnusable
from core.imaging.listing import check_levels, pictures_in
from core.metrics.ssim import read_gray512, ssim_gray_gauss11

PROTOCOL = "ssim_gray_gauss11 at 512 px"
_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow raises on damaged files


def pair_pictures(inputs: Path, results: Path) -> list[tuple[Path, Path]]:
    """Pair the two folders' pictures by name: `7.jpeg` goes with `7.png`, else with `7-<anything>.png`.

    Raises:
        PicturesUnusable: a folder is empty, a picture has no partner, or more than one.
    """
    left, remaining = pictures_in(inputs), pictures_in(results)
    pairs: list[tuple[Path, Path]] = []
    unmatched: list[Path] = []
    for path in left:
        partner = next((other for other in remaining if other.stem == path.stem), None)
        if partner is None:
            unmatched.append(path)
        else:
            pairs.append((path, partner))
            remaining.remove(partner)
    for path in unmatched:
        partners = [other for other in remaining if other.stem.startswith(f"{path.stem}-")]
        if len(partners) != 1:
            found = "no result" if not partners else f"{len(partners)} results"
            raise PicturesUnusable(path.name, f"has {found} in the folder '{results.name}'; one is needed")
        pairs.append((path, partners[0]))
        remaining.remove(partners[0])
    if remaining:
        raise PicturesUnusable(remaining[0].name, f"has no input in the folder '{inputs.name}'")
    return pairs


@dataclass(frozen=True)
class Table2Pair:
    """One input and its result, with their SSIM."""

    input: str
    result: str
    ssim: float


@dataclass(frozen=True)
class Table2Report:
    """Mean SSIM over `n` pairs with three decimals, as printed in papers, and every pair's value."""

    n: int
    ssim: float
    pairs: tuple[Table2Pair, ...]
    protocol: str = PROTOCOL
    task: Literal["table2"] = "table2"


def evaluate_table2(inputs: Path, results: Path) -> Table2Report:
    """Compare every result with its input.

    Raises:
        PicturesUnusable: from `pair_pictures`, when the two pictures of a pair differ in size, or one holds NaN.
        PhotoUnreadable: a damaged picture, or one of absurdly many pixels.
    """
    pairs, values = [], []
    for before, after in sorted(pair_pictures(inputs, results)):
        sizes = _size(before), _size(after)
        if sizes[0] != sizes[1]:
            shown = " and ".join(f"{width} x {height}" for width, height in sizes)
            raise PicturesUnusable(after.name, f"and its input '{before.name}' differ in size ({shown} pixels)")
        values.append(ssim_gray_gauss11(_gray(before), _gray(after)))
        pairs.append(Table2Pair(before.name, after.name, round(values[-1], 6)))
    return Table2Report(len(pairs), round(sum(values) / len(values), 3), tuple(pairs))


def _size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return image.size
    except _UNREADABLE as error:
        raise PhotoUnreadable(path.name) from error


def _gray(path: Path) -> np.ndarray:
    check_levels(path)
    try:
        return read_gray512(path)
    except _UNREADABLE as error:
        raise PhotoUnreadable(path.name) from error
