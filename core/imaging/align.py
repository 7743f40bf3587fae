"""The align stage: from a photo to the face in the generator's framing, by detector, by hand, or as it is.

The framing itself is in `core.imaging.geometry`, the detector in `core.imaging.faces`. One thing differs from the
published scripts: a picture that has the framing already is resized, not resampled along a new square.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from core.config import PhotoLimits
from core.errors import FaceCutOff, FaceIndexOutOfRange, FaceTooSmall, NoFaceFound, PhotoTooSmall
from core.imaging.faces import DetectedFace, FaceFinder
from core.imaging.geometry import box_quad
from core.imaging.geometry import ffhq_quad as ffhq_quad  # other programs take both from here
from core.imaging.geometry import warp_to_quad as warp_to_quad

if TYPE_CHECKING:
    from core.imaging.photo import Photo
    from core.imaging.square import Square


MIN_FACE_PX = 60  # width of the detector's box; below, a 256 px crop is mostly guesswork
MAX_CUT_SHARE = 0.1  # of the face's width that may lie outside of the photo
ALIGNED_TOLERANCE = 0.12  # of the side, between the FFHQ square's corners and the picture's


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
    box = (left, top, left + side, top + side)
    image = photo.image.resize((size_px, size_px), Image.Resampling.LANCZOS, box=box)
    return AlignedFace(image, box_quad(*box), None, photo.name)


def crop_square(photo: Photo, square: Square, *, size_px: int) -> AlignedFace:
    """Crop a square that a visitor laid over the photo; what reaches beyond is filled as around a found face.

    Raises:
        PhotoTooSmall: its side is shorter than `PhotoLimits.min_side_px`.
    """
    if square.side < PhotoLimits().min_side_px:
        raise PhotoTooSmall(photo.name, int(square.side), PhotoLimits().min_side_px)
    quad = square.quad()
    return AlignedFace(warp_to_quad(photo.image, quad, size_px), quad, None, photo.name)
