"""From a listed picture to the 256 px crop that every measurement uses, with the eyes in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from core.config import CropMode
from core.errors import FaceCutOff, FaceTooSmall, NoFaceFound
from core.imaging.align import AlignedFace, align, use_as_aligned
from core.imaging.faces import FaceFinder
from core.imaging.geometry import to_crop
from core.imaging.listing import check_levels
from core.imaging.photo import Photo, load_photo
from core.metrics.identity import Eyes, eye_centres, ffhq_eyes

SIDE_PX = 256  # every measurement of a crop is made at this side


def read_picture(path: Path) -> Photo:
    """Read one picture to measure, as `core.imaging.photo.load_photo` does, but make nothing up for missing values.

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


def at_side(image: Image.Image, side_px: int = SIDE_PX) -> Image.Image:
    """Bring a square picture to RGB at 256 px, or another side (Lanczos when it has a different one)."""
    image = image.convert("RGB")
    return image if image.size == (side_px, side_px) else image.resize((side_px, side_px), Image.Resampling.LANCZOS)


def rgb(image: Image.Image) -> np.ndarray:
    """Return a picture's levels, [H, W, 3] uint8."""
    return np.asarray(image.convert("RGB"))


def eyes_in_crop(face: AlignedFace) -> Eyes:
    """Find the eye centres in the 256 px crop: from the photo's landmarks, else FFHQ's mean positions."""
    if face.landmarks is None:
        return ffhq_eyes(SIDE_PX)
    left, right = eyes = eye_centres(to_crop(face.landmarks, face.quad, SIDE_PX) + 0.5)
    inside = all(0 < value < SIDE_PX for eye in eyes for value in eye)
    return eyes if inside and right[0] - left[0] > 0.1 * SIDE_PX else ffhq_eyes(SIDE_PX)


def mean_of(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are known, None where there are none."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
