"""Flatten a photo as a painter would: calm patches that end at edges, without pores, strands and compression."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from core.brushwork.palette import luminance

_SECTORS = 8
_SHARPNESS = 8.0  # power by which the calmest sector wins
_NOISE = 0.012  # deviation of luminance that counts as calm


def painted(pixels: np.ndarray, radius_px: int) -> np.ndarray:
    """Replace each pixel by a mean of the calmest sectors around it (generalised Kuwahara filter, Papari 2007).

    Args:
        pixels: [H, W, 3] float32 RGB in 0..1.
        radius_px: of the disc that is cut into eight overlapping sectors.

    Returns:
        [H, W, 3] float32.
    """
    grey = luminance(pixels)
    four = np.dstack([pixels, grey**2])
    total, whole = np.zeros_like(pixels), np.zeros_like(grey)
    for sector in _sectors(radius_px):
        means = cv2.filter2D(four, -1, sector, borderType=cv2.BORDER_REFLECT_101)
        spread = np.sqrt(np.maximum(means[..., 3] - luminance(means[..., :3]) ** 2, 0))
        weight = (_NOISE / (spread + _NOISE)) ** _SHARPNESS
        total += weight[..., None] * means[..., :3]
        whole += weight
    flat: np.ndarray = total / whole[..., None]
    return flat


@lru_cache(maxsize=8)
def _sectors(radius_px: int) -> list[np.ndarray]:
    """Cut a Gaussian disc into sectors, blurred at their edges: kernels [2 R + 1, 2 R + 1] that sum to 1."""
    rows, columns = np.mgrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1].astype(np.float32)
    away = np.hypot(rows, columns) / (radius_px + 0.5)
    disc = np.exp(-3 * away**2) * (away <= 1)
    kernels = []
    for number in range(_SECTORS):
        turn = np.arctan2(rows, columns) - 2 * np.pi * number / _SECTORS
        apart = np.abs(np.angle(np.exp(1j * turn))) / (2 * np.pi / _SECTORS)
        kernel = disc * np.clip(1.25 - apart, 0, 1)
        kernel[radius_px, radius_px] = disc[radius_px, radius_px] / 2
        kernels.append((kernel / kernel.sum()).astype(np.float32))
    return kernels
