"""Palette and grain: give a picture a reference's values, region by region and band by band.

Histograms are matched in each band of a Laplacian pyramid (Heeger and Bergen 1995, for faces and regions here), in
opponent colours. The last step, the skin's lightness, is ours: a style should not lighten or darken anybody.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

# Luminance, blue against yellow, red against green; orthogonal, so that the way back is the transpose.
_OPPONENT = np.array([[1, 1, 1], [-1, -1, 2], [1, -1, 0]], dtype=np.float32)
_OPPONENT /= np.linalg.norm(_OPPONENT, axis=1, keepdims=True)
LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def luminance(pixels: np.ndarray) -> np.ndarray:
    """Return the luminance [H, W] of RGB [H, W, 3]."""
    grey: np.ndarray = pixels @ LUMINANCE
    return grey


def laplacian_bands(pixels: np.ndarray, count: int) -> list[np.ndarray]:
    """Split [H, H, C] into `count` bands of full size and what is left; their sum is the picture."""
    bands, rest = [], pixels
    for band in range(count):
        smooth = blurred(pixels, 0.8 * 2**band)
        bands.append(rest - smooth)
        rest = smooth
    return [*bands, rest]


def blurred(pixels: np.ndarray, sigma_px: float) -> np.ndarray:
    """Blur [H, H, C] or [H, H] by a Gaussian; wide ones on a reduced picture."""
    factor = max(1, int(2 ** np.floor(np.log2(max(sigma_px / 2.5, 1)))))
    small = pixels
    if factor > 1:
        side = pixels.shape[1] // factor, pixels.shape[0] // factor
        small = cv2.resize(pixels, side, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma_px / factor, borderType=cv2.BORDER_REFLECT_101)
    if factor > 1:
        small = cv2.resize(small, (pixels.shape[1], pixels.shape[0]), interpolation=cv2.INTER_CUBIC)
    return small.reshape(pixels.shape)


def matched_bands(
    pixels: np.ndarray,
    regions: Sequence[np.ndarray],
    reference: np.ndarray,
    own_regions: Sequence[np.ndarray],
    *,
    bands: int,
    amount: float = 1.0,
) -> np.ndarray:
    """Give a picture the reference's distribution of values in every band of every region.

    Args:
        pixels: [H, H, 3] float32 RGB in 0..1.
        regions: masks [H, H] in 0..1 of the picture's regions; together they cover it.
        reference: [K, K, 3] RGB in 0..1.
        own_regions: the same regions of the reference [K, K]; one that is nearly empty there borrows from the whole.
        bands: of the pyramid, besides what is left.
        amount: 0 leaves the picture, 1 matches it in full.

    Returns:
        [H, H, 3] float32, not clipped.
    """
    target, source = pixels @ _OPPONENT.T, reference @ _OPPONENT.T
    weights = np.stack(regions)
    weights = weights / np.maximum(weights.sum(0), 1e-6)
    result = np.zeros_like(target)
    for there, here in zip(laplacian_bands(target, bands), laplacian_bands(source, bands), strict=True):
        for weight, own in zip(weights, own_regions, strict=True):
            inside, from_inside = weight > 0.5, own > 0.5
            if inside.sum() < 16:
                inside = weight > 0.05
            if not inside.any():
                continue
            if from_inside.mean() < 0.004:
                from_inside = np.ones_like(from_inside)
            for c in range(3):
                plane = there[..., c]
                matched = _transfer(plane, plane[inside], here[..., c][from_inside])
                result[..., c] += weight * (plane + amount * (matched - plane))
    back: np.ndarray = result @ _OPPONENT
    return back


def _transfer(plane: np.ndarray, from_values: np.ndarray, to_values: np.ndarray) -> np.ndarray:
    """Map a plane by the monotonous curve that takes one set of values to the other's distribution."""
    share = np.linspace(0, 1, 129)
    low, high = np.quantile(_some(from_values), share), np.quantile(_some(to_values), share)
    low = np.maximum.accumulate(low + np.arange(len(low)) * 1e-7)
    mapped: np.ndarray = np.interp(plane, low, high)
    below, above = plane < low[0], plane > low[-1]
    mapped[below] += plane[below] - low[0]
    mapped[above] += plane[above] - low[-1]
    return mapped.astype(np.float32)


def _some(values: np.ndarray, most: int = 40_000) -> np.ndarray:
    """Thin out a long list of values evenly."""
    return values[:: max(1, len(values) // most)]


def lightness(pixels: np.ndarray) -> np.ndarray:
    """Return CIE L* in 0..100 [H, W] of RGB [H, W, 3] in 0..1."""
    light: np.ndarray = cv2.cvtColor(pixels.clip(0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)[..., 0]
    return light


def keep_lightness(pixels: np.ndarray, region: np.ndarray, wanted: float, *, amount: float) -> np.ndarray:
    """Bring a region's mean lightness towards a value; half by a power, half by scaling.

    A power leaves black and white, so that lines stay, but sharpens contrast; scaling softens it.

    Args:
        pixels: [H, W, 3] float32 RGB in 0..1.
        region: [H, W] mask in 0..1.
        wanted: mean L* of the region, 0..100.
        amount: 0 leaves the picture, 1 goes all the way.
    """
    lab = cv2.cvtColor(pixels.clip(0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)
    weight = region / max(float(region.sum()), 1e-6)
    share = lab[..., 0] / 100
    now = float((share * weight).sum())
    goal = float(np.clip(now + amount * (wanted / 100 - now), 0.01, 0.99))
    bent = share
    for _ in range(12):  # Newton's steps towards the exponent
        mean = float((bent * weight).sum())
        slope = float((bent * np.log(np.maximum(bent, 1e-4)) * weight).sum())
        if abs(mean - goal) < 1e-3 or abs(slope) < 1e-6:
            break
        bent = bent ** float(np.clip(1 + (goal - mean) / slope, 0.7, 1.4))
    scaled = share * (goal / max(now, 1e-3)) if goal < now else 1 - (1 - share) * ((1 - goal) / max(1 - now, 1e-3))
    sure = np.clip(1.5 * region, 0, 1)  # a mask that is soft everywhere would hold back the shift
    lab[..., 0] = lab[..., 0] + (50 * (bent + scaled) - lab[..., 0]) * sure
    back: np.ndarray = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return back


def mean_chroma(pixels: np.ndarray) -> float:
    """Return the mean CIE chroma of RGB [H, W, 3] in 0..1."""
    small = cv2.resize(pixels.clip(0, 1).astype(np.float32), (64, 64), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    return float(np.hypot(lab[..., 1], lab[..., 2]).mean())
