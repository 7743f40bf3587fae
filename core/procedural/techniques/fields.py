"""Scalar and colour fields: noise, paper, blurs, colour arithmetic.

Pictures are [H, W, 3] RGB in [0, 1], fields [H, W]; lengths in pixels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array = npt.NDArray[np.floating[Any]]
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_LIGHT = -2.3  # where it comes from: radians, 0 right, clockwise


def luma(picture: Array) -> Array:
    """Return the grey [H, W] of a picture, Rec. 601."""
    return picture @ LUMA


def blur(values: Array, sigma_px: float) -> Array:
    """Blur rows and columns by a Gaussian; wide ones on a coarser grid."""
    if sigma_px < 0.3:
        return values
    step = max(1, int(sigma_px // 4))
    height, width = values.shape[:2]
    if step > 1 and min(height, width) >= 8 * step:
        small = ndimage.uniform_filter1d(ndimage.uniform_filter1d(values, step, axis=0), step, axis=1)[::step, ::step]
        small = blur(small, sigma_px / step)
        # Sample (0, 0) of the coarse grid is pixel (0, 0): the mean around it.
        rows, columns = np.arange(height) / step, np.arange(width) / step
        return _bilinear(small, rows, columns)
    out = ndimage.gaussian_filter1d(values, sigma_px, axis=0, mode="nearest", truncate=3.0)
    return np.asarray(ndimage.gaussian_filter1d(out, sigma_px, axis=1, mode="nearest", truncate=3.0), np.float32)


def _bilinear(small: Array, rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]) -> Array:
    """Read a grid at rows [H] x columns [W], which may lie a little beyond its end."""
    top = np.minimum(rows.astype(int), small.shape[0] - 1)
    left = np.minimum(columns.astype(int), small.shape[1] - 1)
    down, right = np.minimum(top + 1, small.shape[0] - 1), np.minimum(left + 1, small.shape[1] - 1)
    extra = (1,) * (small.ndim - 2)
    v = (rows - top).astype(np.float32).reshape(-1, 1, *extra)
    u = (columns - left).astype(np.float32).reshape(1, -1, *extra)
    upper = small[top] * (1 - v) + small[down] * v
    return np.asarray(upper[:, left] * (1 - u) + upper[:, right] * u, np.float32)


def soft_step(values: Array, edge: float | Array, width: float | Array) -> Array:
    """Rise from 0 to 1 around `edge`, smoothly over `width`."""
    t = np.clip((values - edge) / width + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def mix(a: Array, b: Array, share: Array | float) -> Array:
    """Lay `b` over `a` where `share` [H, W] (or a number) is 1: pictures or fields."""
    if isinstance(share, np.ndarray) and share.ndim < a.ndim:
        share = share[..., None]
    return np.asarray(a + (b - a) * share, np.float32)


def colour(red: int, green: int, blue: int) -> Array:
    """Make a colour [3] from 8-bit values."""
    return np.array([red, green, blue], np.float32) / 255


def bound(values: Array) -> Array:
    """Clip to [0, 1], as float32."""
    return np.asarray(np.clip(values, 0, 1), np.float32)


def plain(shape: tuple[int, int], tint: Array) -> Array:
    """Make a picture of one colour."""
    return np.broadcast_to(tint, (*shape, 3)).astype(np.float32)


def saturate(picture: Array, gain: float | Array) -> Array:
    """Multiply the distance of colours to their grey."""
    grey = luma(picture)[..., None]
    return np.clip(grey + (picture - grey) * gain, 0, 1)


def noise(shape: tuple[int, int], scale_px: float, rng: np.random.Generator, *, stretch: float = 1.0) -> Array:
    """Make smooth noise [H, W] of mean 0 and deviation 1.

    Args:
        shape: (height, width).
        scale_px: sigma of its bumps in height.
        rng: chance.
        stretch: how much longer the bumps are than high.
    """
    down = max(1.0, scale_px / 2)
    right = max(1.0, scale_px * stretch / 2)
    grid = (math.ceil(shape[0] / down) + 8, math.ceil(shape[1] / right) + 8)
    coarse = rng.standard_normal(grid).astype(np.float32)
    sigmas = (min(2.0, scale_px), min(2.0, scale_px * stretch))
    coarse = ndimage.gaussian_filter(coarse, sigmas, mode="wrap")
    coarse = (coarse - coarse.mean()) / (coarse.std() + 1e-9)
    return _bilinear(coarse, np.arange(shape[0]) / down + 2, np.arange(shape[1]) / right + 2)


def cloud(shape: tuple[int, int], scale_px: float, rng: np.random.Generator, *, octaves: int = 4) -> Array:
    """Make fractal noise [H, W] of deviation about 1: each octave has half of the size and of the weight."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        total += noise(shape, max(0.7, scale_px / 2**octave), rng) * 0.5**octave
    return np.asarray(total / total.std(), np.float32)


def paper(shape: tuple[int, int], rng: np.random.Generator, *, scale: float, laid: float = 0.0) -> Array:
    """Make the relief of paper [H, W], uniform in [0, 1]: bumps of cold-pressed paper, with the lines of laid paper.

    Args:
        shape: (height, width).
        rng: chance.
        scale: picture side / 1024.
        laid: share of the laid lines.
    """
    relief = (
        noise(shape, 1.6 * scale + 0.3, rng) + 0.7 * noise(shape, 3.5 * scale, rng) + 0.3 * noise(shape, 9 * scale, rng)
    )
    if laid:
        columns = np.arange(shape[1], dtype=np.float32)[None] + 1.5 * scale * noise(shape, 30 * scale, rng)
        relief = relief / relief.std() + laid * 1.4 * np.cos(columns * (2 * math.pi / (7.0 * scale)))
    return uniform(relief)


def uniform(values: Array) -> Array:
    """Map values monotonically to [0, 1] so that all are about equally frequent."""
    sample = np.sort(values.ravel()[:: max(1, values.size // 20000)])
    return np.interp(values, sample, np.linspace(0, 1, sample.size)).astype(np.float32)


def shift(picture: Array, right: Array | float, down: Array | float) -> Array:
    """Read the picture at (column + right, row + down), bilinearly; edges repeat."""
    height, width = picture.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    at = np.stack([rows + down, columns + right])
    if picture.ndim == 2:
        return np.asarray(ndimage.map_coordinates(picture, at, order=1, mode="nearest"), np.float32)
    parts = [ndimage.map_coordinates(c, at, order=1, mode="nearest") for c in np.moveaxis(picture, -1, 0)]
    return np.stack(parts, axis=-1).astype(np.float32)


def lit(height: Array, *, strength: float) -> Array:
    """Shade a relief [H, W] by light from the upper left: about 0, positive where lit."""
    down, right = np.gradient(height)
    slope = right * math.cos(_LIGHT) + down * math.sin(_LIGHT)
    return np.asarray(-strength * slope / np.sqrt(1 + (strength * slope) ** 2), np.float32)
