"""Structural similarity, protocol `gray_gauss11` (Wang et al. 2004, as StyleIdentityGAN's Table 2 measures it).

Both pictures in 8-bit grey, Gaussian window of 11 taps with sigma 1.5, population covariances, K1 = 0.01, K2 = 0.03,
range 255, mean over the window positions that lie fully inside. `read_gray512` adds the rest of that protocol: grey by
the BT.601 weights of PIL's mode "L", and 512 px. On the published watercolour results this gives 0.411 (the paper's
method) and 0.404 (JoJoGAN); letting the JPEG decoder drop the colour instead changes the third decimal.
"""
# scikit-image declares no types:
# mypy: disallow-untyped-calls=False

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity

WINDOW_PX = 11  # what scikit-image makes of sigma 1.5 and its 3.5 deviations to either side
SIDE_PX = 512


def ssim_gray_gauss11(a: np.ndarray, b: np.ndarray) -> float:
    """Measure structural similarity: 1 for equal pictures, lower is less alike; symmetric.

    Args:
        a, b: [H, W] uint8 grey, same shape, sides of 11 px or more. No resizing takes place here.

    Raises:
        ValueError: for other types or shapes.
    """
    for name, picture in (("a", a), ("b", b)):
        if picture.dtype != np.uint8 or picture.ndim != 2 or min(picture.shape) < WINDOW_PX:
            raise ValueError(f"{name} must be [H, W] uint8, 11 px or more, got {picture.shape} {picture.dtype}")
    if a.shape != b.shape:
        raise ValueError(f"the pictures differ in shape: {a.shape} and {b.shape}")
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    return float(structural_similarity(a, b, **options))


def to_gray(image: Image.Image) -> np.ndarray:
    """Turn a PIL picture into [H, W] uint8 grey, BT.601 weights with rounding."""
    return np.asarray(image.convert("RGB").convert("L"))


def read_gray512(path: Path) -> np.ndarray:
    """Read a picture file as [512, 512] uint8 grey; other sizes are resampled bilinearly, reduced with antialias.

    Raises:
        OSError: when the file is not a readable picture.
    """
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    if image.size != (SIDE_PX, SIDE_PX):
        image = image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
    return to_gray(image)
