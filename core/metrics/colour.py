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
    """Average |a - b| over pixels and channels, in levels 0-255; `a`, `b`: [H, W, 3] uint8 RGB of one shape."""
    _check_rgb("a", a)
    _check_rgb("b", b)
    if a.shape != b.shape:
        raise ValueError(f"the pictures differ in shape: {a.shape} and {b.shape}")
    return float(np.abs(a.astype(np.int16) - b.astype(np.int16)).mean())


def face_mask(height_px: int, width_px: int) -> np.ndarray:
    """Mark the pixels of an FFHQ crop whose centre lies in the face ellipse: [H, W] bool."""
    y = (np.arange(height_px) + 0.5) / height_px
    x = (np.arange(width_px) + 0.5) / width_px
    horizontal = ((x - FACE_CENTRE[0]) / FACE_RADII[0]) ** 2
    vertical = ((y - FACE_CENTRE[1]) / FACE_RADII[1]) ** 2
    inside: np.ndarray = vertical[:, None] + horizontal[None, :] <= 1
    return inside


def mean_face_colour(crop: np.ndarray) -> np.ndarray:
    """Average the RGB inside the face ellipse: [3] float64, levels 0-255; `crop`: [H, W, 3] uint8, an FFHQ crop."""
    _check_rgb("crop", crop)
    mean: np.ndarray = crop[face_mask(*crop.shape[:2])].astype(np.float64).mean(axis=0)
    return mean


def face_colour_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Measure how far two mean face colours are apart, in levels; crops as in `mean_face_colour`, of any sizes."""
    return float(np.linalg.norm(mean_face_colour(a) - mean_face_colour(b)))


def colour_gap_closed(result: np.ndarray, start: np.ndarray, target: np.ndarray) -> float:
    """Measure how far `result`'s face colour has gone from `start`'s to `target`'s: 0 not at all, 1 all the way.

    `(|start - target| - |result - target|) / |start - target|`; negative when it moved away, at most 1.

    Raises:
        ValueError: start and target have the same face colour.
    """
    gap = face_colour_distance(start, target)
    if gap == 0:
        raise ValueError("start and target have the same face colour, so there is no gap to close")
    return (gap - face_colour_distance(result, target)) / gap
