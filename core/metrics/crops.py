"""From a listed picture to the 256 px crop that every measurement uses, with the eyes in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from core.errors import FaceCutOff, FaceTooSmall, NoFaceFound
from core.imaging.align import AlignedFace, FaceFinder, align, use_as_aligned
from core.imaging.listing import check_levels
from core.imaging.photo import Photo, load_photo
from core.metrics.identity import Eyes, eye_centres, ffhq_eyes

SIDE_PX = 256  # every measurement of a crop is made at this side
CropMode = Literal["detect", "aligned"]


def read_picture(path: Path) -> Photo:
    """One picture to measure, as `core.imaging.photo.load_photo` reads it, but nothing made up for missing values.

    Raises:
        PicturesUnusable: values that are no numbers (float pictures can hold NaN).
        PhotoUnreadable, PhotoTooLarge, PhotoTooSmall: as `load_photo`.
    """
    check_levels(path)
    return load_photo(path)


def align_for_measuring(
    photo: Photo, finder: FaceFinder, crop: CropMode, *, size_px: int
) -> tuple[AlignedFace, CropMode]:
    """Crop a face at `size_px`, and tell how it was cut.

    Square pictures in which no whole face is found (small crops, drawings) count as already aligned.

    Raises:
        NoFaceFound, FaceTooSmall, FaceCutOff: of a picture that is not square.
    """
    if crop == "detect":
        try:
            return align(photo, finder, size_px=size_px), "detect"
        except (NoFaceFound, FaceTooSmall, FaceCutOff):
            if photo.image.width != photo.image.height:
                raise
    return use_as_aligned(photo, size_px=size_px), "aligned"


def at_side(image: Image.Image) -> Image.Image:
    """Square RGB picture at 256 px (Lanczos when it has another side)."""
    image = image.convert("RGB")
    return image if image.size == (SIDE_PX, SIDE_PX) else image.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)


def rgb(image: Image.Image) -> np.ndarray:
    """PIL RGB -> [H, W, 3] uint8."""
    return np.asarray(image.convert("RGB"))


def eyes_in_crop(face: AlignedFace) -> Eyes:
    """Eye centres in the 256 px crop: from the photo's landmarks through the quad, else FFHQ's mean positions."""
    if face.landmarks is None:
        return ffhq_eyes(SIDE_PX)
    top_left, bottom_left, _, top_right = np.asarray(face.quad, dtype=np.float64)
    sides = np.stack([top_right - top_left, bottom_left - top_left], axis=1)  # [xy, crop axis]
    shares = np.linalg.solve(sides, (np.asarray(face.landmarks, dtype=np.float64) - top_left).T).T  # [68, 2]
    eyes = np.asarray(eye_centres(shares)) * SIDE_PX
    plausible = bool((eyes > 0).all() and (eyes < SIDE_PX).all() and eyes[1, 0] - eyes[0, 0] > 0.1 * SIDE_PX)
    return (tuple(eyes[0]), tuple(eyes[1])) if plausible else ffhq_eyes(SIDE_PX)


def mean_of(values: Iterable[float]) -> float | None:
    """Mean, or None of nothing."""
    values = list(values)
    return float(np.mean(values)) if values else None
