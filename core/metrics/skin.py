"""Lightness of skin, protocol `face_lightness_lab`: mean CIE L* (D65, 0..100) where a mask says that there is a face.

The mask is the caller's, from each picture's own layout; a drawing's mean minus its photo's says whether a style
lightened (more than 0) or darkened a person. `mean_chroma` tells grey artworks, which have no skin colour to give, from
the others.
"""

from __future__ import annotations

import cv2
import numpy as np

PROTOCOL = "face_lightness_lab"
FACE_SHARE = 0.6  # of the mask, above which a pixel is the face's
GREY_CHROMA = 6.0  # mean chroma below which an artwork counts as grey


def lab(picture: np.ndarray) -> np.ndarray:
    """Turn RGB [H, W, 3] uint8 into CIE L*, a*, b*: [H, W, 3] float32, L* in 0..100."""
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ValueError(f"expected [H, W, 3] uint8, got {list(picture.shape)} {picture.dtype}")
    found: np.ndarray = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return found


def face_lightness(picture: np.ndarray, face: np.ndarray) -> float | None:
    """Average L* where the mask is above `FACE_SHARE`; None where it is nowhere.

    Args:
        picture: [H, W, 3] uint8 RGB.
        face: [H, W] in 0..1.
    """
    if face.shape != picture.shape[:2]:
        raise ValueError(f"expected a mask of the picture's size, got {list(face.shape)} and {list(picture.shape)}")
    inside = face > FACE_SHARE
    return float(lab(picture)[..., 0][inside].mean()) if inside.any() else None


def mean_chroma(picture: np.ndarray) -> float:
    """Average the chroma (length of a*, b*) of [H, W, 3] uint8 RGB: 0 is grey; see `GREY_CHROMA`."""
    return float(np.linalg.norm(lab(picture)[..., 1:], axis=2).mean())
