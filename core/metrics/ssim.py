"""Structural similarity, protocol `gray_gauss11` (Wang et al. 2004, as StyleIdentityGAN's Table 2 measures it).

Both pictures in 8-bit grey, Gaussian window of 11 taps with sigma 1.5, population covariances, K1 = 0.01, K2 = 0.03,
range 255, mean over the window positions that lie fully inside. `read_gray512` adds the rest of that protocol: grey by
the BT.601 weights of PIL's mode "L", and 512 px. On the published watercolour results this gives 0.411 (the paper's
method) and 0.404 (JoJoGAN); letting the JPEG decoder drop the colour instead changes the third decimal.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

WINDOW_TAPS = 11
SIGMA_PX = 1.5
C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2
SIDE_PX = 512


def gaussian_window() -> np.ndarray:
    """One-dimensional window: [11] float64, sums to 1; the two-dimensional one is its outer product."""
    offsets = np.arange(WINDOW_TAPS) - WINDOW_TAPS // 2
    weights = np.exp(-(offsets**2) / (2 * SIGMA_PX**2))
    return weights / weights.sum()


def _blur_valid(x: np.ndarray) -> np.ndarray:  # [H, W] -> [H - 10, W - 10]
    """Separable Gaussian mean at the positions where the window fits."""
    window = gaussian_window()
    rows, columns = x.shape[0] - WINDOW_TAPS + 1, x.shape[1] - WINDOW_TAPS + 1
    x = sum(weight * x[tap : tap + rows] for tap, weight in enumerate(window))
    return sum(weight * x[:, tap : tap + columns] for tap, weight in enumerate(window))


def ssim_map_gray_gauss11(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """SSIM at every valid window position.

    Args:
        a, b: [H, W] uint8 grey, same shape, sides of 11 px or more.

    Returns:
        [H - 10, W - 10] float64 in (-1, 1].

    Raises:
        ValueError: for other types or shapes.
    """
    for name, picture in (("a", a), ("b", b)):
        if picture.dtype != np.uint8 or picture.ndim != 2 or min(picture.shape) < WINDOW_TAPS:
            raise ValueError(f"{name} must be [H, W] uint8, 11 px or more, got {picture.shape} {picture.dtype}")
    if a.shape != b.shape:
        raise ValueError(f"the pictures differ in shape: {a.shape} and {b.shape}")
    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_x, mean_y = _blur_valid(x), _blur_valid(y)
    variance_x = _blur_valid(x * x) - mean_x**2
    variance_y = _blur_valid(y * y) - mean_y**2
    covariance = _blur_valid(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    return luminance * (2 * covariance + C2) / (variance_x + variance_y + C2)


def ssim_gray_gauss11(a: np.ndarray, b: np.ndarray) -> float:
    """Mean of `ssim_map_gray_gauss11`: 1 for equal pictures, lower is less alike; symmetric.

    Args:
        a, b: [H, W] uint8 grey, same shape, sides of 11 px or more. No resizing takes place here.
    """
    return float(ssim_map_gray_gauss11(a, b).mean())


def to_gray(image: Image.Image) -> np.ndarray:
    """PIL picture -> [H, W] uint8 grey, BT.601 weights with rounding."""
    return np.asarray(image.convert("RGB").convert("L"))


def read_gray512(path: Path) -> np.ndarray:
    """Picture file -> [512, 512] uint8 grey. Other sizes are resampled bilinearly (reducing pictures with antialias).

    Raises:
        OSError: when the file is not a readable picture.
    """
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    if image.size != (SIDE_PX, SIDE_PX):
        image = image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
    return to_gray(image)
