"""The align stage: from a photo to the face in the generator's framing, by detector, by hand, or as it is.

The framing itself is in `core.imaging.geometry`, the detector in `core.imaging.faces`; what other rooms need of both is
offered here. One thing differs from the published scripts: a picture that has the framing already is resized, not
resampled along a new square.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from core.config import CropMode, PhotoLimits
from core.errors import FaceCutOff, FaceIndexOutOfRange, FaceTooSmall, NoFaceFound, PhotoTooSmall
from core.imaging.faces import DetectedFace, FaceFinder
from core.imaging.geometry import Box, box_quad, ffhq_quad, warp_to_quad
from core.imaging.square import Square

if TYPE_CHECKING:
    from core.imaging.photo import Photo


MIN_FACE_PX = 60  # width of the detector's box; below, a 256 px crop is mostly guesswork
MAX_CUT_SHARE = 0.1  # of the face's width that may lie outside of the photo
ALIGNED_TOLERANCE = 0.12  # of the side, between the FFHQ square's corners and the picture's

__all__ = [
    "AlignedFace",
    "Box",
    "CropMode",
    "DetectedFace",
    "FaceFinder",
    "Square",
    "align",
    "align_face",
    "align_one_of",
    "crop_manually",
    "crop_square",
    "ffhq_quad",
    "looks_aligned",
    "use_as_aligned",
    "warp_to_quad",
]


@dataclass(frozen=True)
class AlignedFace:
    """A face in the generator's framing.

    Attributes:
        image: square RGB.
        quad: [4, 2] corners in the photo's pixels, in the order top left, bottom left, bottom right, top right.
        landmarks: [68, 2] in the photo's pixels, or None where no detector was asked.
        name: the photo's name.
    """

    image: Image.Image
    quad: np.ndarray
    landmarks: np.ndarray | None
    name: str


def looks_aligned(photo: Photo, face: DetectedFace) -> bool:
    """Tell whether a square picture has the FFHQ framing: the face's square nearly has the picture's corners."""
    width, height = photo.image.size
    side = max(width, height)
    if abs(width - height) > 0.02 * side:
        return False
    away = np.abs(ffhq_quad(face.landmarks) - box_quad(0, 0, width, height))
    return bool(away.max() <= ALIGNED_TOLERANCE * side)


def align(photo: Photo, finder: FaceFinder, *, face_index: int = 0, size_px: int = 256) -> AlignedFace:
    """Find the faces and crop one of them.

    Args:
        photo: the picture.
        finder: the detector.
        face_index: 0 is the largest face.
        size_px: side of the crop.

    Raises:
        NoFaceFound, FaceIndexOutOfRange: nothing to crop.
        FaceTooSmall: its box is narrower than `MIN_FACE_PX`.
        FaceCutOff: more than a tenth of the face lies outside of the photo. Missing hair or chin is filled in.
    """
    return align_one_of(photo, finder.find(photo), face_index=face_index, size_px=size_px)


def align_one_of(
    photo: Photo, faces: Sequence[DetectedFace], *, face_index: int = 0, size_px: int = 256
) -> AlignedFace:
    """Crop one of the faces that were found before; raises as `align` does."""
    if not faces:
        raise NoFaceFound(photo.name)
    if not 0 <= face_index < len(faces):
        raise FaceIndexOutOfRange(photo.name, face_index, len(faces))
    return align_face(photo, faces[face_index], size_px=size_px)


def align_face(photo: Photo, face: DetectedFace, *, size_px: int = 256) -> AlignedFace:
    """Crop a face that was found before; raises FaceTooSmall and FaceCutOff as `align` does."""
    face_px = face.box[2] - face.box[0]
    if face_px < MIN_FACE_PX:
        raise FaceTooSmall(photo.name, face_px, MIN_FACE_PX)
    last = np.array(photo.image.size) - 1
    outside = max(-face.landmarks.min(), (face.landmarks - last).max())
    if outside > MAX_CUT_SHARE * face_px:
        raise FaceCutOff(photo.name)
    if looks_aligned(photo, face):
        return replace(use_as_aligned(photo, size_px=size_px), landmarks=face.landmarks)
    quad = ffhq_quad(face.landmarks)
    return AlignedFace(warp_to_quad(photo.image, quad, size_px), quad, face.landmarks, photo.name)


def use_as_aligned(photo: Photo, *, size_px: int) -> AlignedFace:
    """Take the centre square of the picture as the crop, for pictures that are aligned already."""
    width, height = photo.image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return _crop(photo, (left, top, left + side, top + side), size_px)


def crop_manually(photo: Photo, box: Box, *, size_px: int) -> AlignedFace:
    """Crop the square around a box that the visitor drew, kept inside the photo.

    Raises:
        PhotoTooSmall: the box's part inside the photo is shorter than `PhotoLimits.min_side_px`.
    """
    width, height = photo.image.size
    left, right = (round(min(max(float(v), 0), width)) for v in (box[0], box[2]))
    top, bottom = (round(min(max(float(v), 0), height)) for v in (box[1], box[3]))
    shortest = max(0, min(right - left, bottom - top))
    if shortest < PhotoLimits().min_side_px:
        raise PhotoTooSmall(photo.name, shortest, PhotoLimits().min_side_px)
    side = min(max(right - left, bottom - top), width, height)
    left = min(max((left + right - side) // 2, 0), width - side)
    top = min(max((top + bottom - side) // 2, 0), height - side)
    return _crop(photo, (left, top, left + side, top + side), size_px)


def crop_square(photo: Photo, square: Square, *, size_px: int) -> AlignedFace:
    """Crop a square that a visitor laid over the photo; what reaches beyond is filled as around a found face.

    Raises:
        PhotoTooSmall: its side is shorter than `PhotoLimits.min_side_px`.
    """
    if square.side < PhotoLimits().min_side_px:
        raise PhotoTooSmall(photo.name, int(square.side), PhotoLimits().min_side_px)
    quad = square.quad()
    return AlignedFace(warp_to_quad(photo.image, quad, size_px), quad, None, photo.name)


def _crop(photo: Photo, box: Box, size_px: int) -> AlignedFace:
    """Cut an upright square out of the photo, resized without another resampling."""
    image = photo.image.resize((size_px, size_px), Image.Resampling.LANCZOS, box=box)
    return AlignedFace(image, box_quad(*box), None, photo.name)
