"""Sharpness, protocol `laplacian_deviation`: standard deviation of the 4-neighbour Laplacian of the grey picture.

The widely used focus measure (Pech-Pacheco et al. 2000) is its square. It depends on the size: compare pictures of the
same side only, which `sharpness_ratio` enforces.
"""

from __future__ import annotations

import numpy as np


def laplacian_deviation(gray: np.ndarray) -> float:
    """Measure the deviation of `4 x - up - down - left - right` over the inner pixels, in grey levels (0 is flat).

    Args:
        gray: [H, W], levels 0-255 of any number type, sides of 3 px or more; `ValueError` otherwise.
    """
    if gray.ndim != 2 or min(gray.shape) < 3:
        raise ValueError(f"expected [H, W] of 3 px or more, got {gray.shape}")
    x = gray.astype(np.float64)
    laplacian = 4 * x[1:-1, 1:-1] - x[:-2, 1:-1] - x[2:, 1:-1] - x[1:-1, :-2] - x[1:-1, 2:]
    return float(laplacian.std())


def sharpness_ratio(result: np.ndarray, original: np.ndarray) -> float:
    """Divide `result`'s sharpness by `original`'s (1: alike, below 1: softer); both [H, W] grey of one shape."""
    if result.shape != original.shape:
        raise ValueError(f"the pictures differ in shape: {result.shape} and {original.shape}")
    return laplacian_deviation(result) / max(laplacian_deviation(original), 1e-6)
