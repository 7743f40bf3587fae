"""Colour, protocols `mean_absolute_rgb` and `face_region_rgb`: plain 8-bit sRGB levels, no colour management.

The face region is an ellipse in the FFHQ crop around eyes, nose and mouth, free of hair and background in most crops.
"""

from __future__ import annotations

import numpy as np

FACE_CENTRE = (0.5, 0.585)  # x, y as shares of the side; between the crop's eye line (0.474) and mouth (0.745)
FACE_RADII = (0.19, 0.24)


def _check_rgb(name: str, picture: np.ndarray) -> None:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ValueError(f"{name} must be [H, W, 3] uint8, got {picture.shape} {picture.dtype}")


def mean_absolute_colour_error(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over pixels and channels of |a - b|, in levels 0-255; `a`, `b`: [H, W, 3] uint8 RGB of one shape."""
    _check_rgb("a", a)
    _check_rgb("b", b)
    if a.shape != b.shape:
        raise ValueError(f"the pictures differ in shape: {a.shape} and {b.shape}")
    return float(np.abs(a.astype(np.int16) - b.astype(np.int16)).mean())


def face_mask(height_px: int, width_px: int) -> np.ndarray:
    """[H, W] bool: pixels of an FFHQ crop whose centre lies in the face ellipse."""
    y = (np.arange(height_px) + 0.5) / height_px
    x = (np.arange(width_px) + 0.5) / width_px
    horizontal = ((x - FACE_CENTRE[0]) / FACE_RADII[0]) ** 2
    vertical = ((y - FACE_CENTRE[1]) / FACE_RADII[1]) ** 2
    return vertical[:, None] + horizontal[None, :] <= 1


def mean_face_colour(crop: np.ndarray) -> np.ndarray:
    """Mean RGB inside the face ellipse: [3] float64, levels 0-255; `crop`: [H, W, 3] uint8, an FFHQ crop."""
    _check_rgb("crop", crop)
    return crop[face_mask(*crop.shape[:2])].astype(np.float64).mean(axis=0)


def face_colour_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Euclidean distance of the two mean face colours, in levels; crops as in `mean_face_colour`, sizes may differ."""
    return float(np.linalg.norm(mean_face_colour(a) - mean_face_colour(b)))


def colour_gap_closed(result: np.ndarray, start: np.ndarray, target: np.ndarray) -> float:
    """Share of the way from `start`'s face colour to `target`'s that `result` has gone: 0 none, 1 all of it.

    `(|start - target| - |result - target|) / |start - target|`; negative when it moved away, at most 1.
    `ValueError` when start and target have the same face colour.
    """
    gap = face_colour_distance(start, target)
    if gap == 0:
        raise ValueError("start and target have the same face colour, so there is no gap to close")
    return (gap - face_colour_distance(result, target)) / gap
