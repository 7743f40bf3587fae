"""Paint a photo's tones: calm patches that end at edges, without pores and compression; hair in strands."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from core.brushwork.palette import blurred, laplacian_bands, luminance, resized
from core.imaging.layout import FaceLayout
from core.procedural.techniques.fields import Array, noise, soft_step
from core.procedural.techniques.flow import edge_flow, smooth_along
from core.procedural.techniques.portrait import Portrait
from core.procedural.techniques.study import draw_eye, iris_colour

_SECTORS = 8
_SHARPNESS = 8.0  # power by which the calmest sector wins
_NOISE = 0.012  # deviation of luminance that counts as calm
_SOFT = 0.2, 0.32  # finest detail in the eyes against four times coarser: quite blurred, and sharp
_DRAWN = 0.6  # of an eye that is drawn anew
_COMBED = 0.8  # of hair that is drawn anew
_CALM_RADIUS = 4  # at 512 px
_SOFTER, _SOFT_COLOUR, _SOFT_SIGMA = 0.75, 0.1, 3.5  # share, and deviations of RGB and of pixels at 512 px
_RESTORED_PX = 512  # a blurred photo has no detail beyond
_FLOW_PX = 256
_ALONG, _STRAND = 10.0, 18.0  # sigma along the hair of its tones and of a strand, at 512 px
_RELIEF = 0.16  # of strands, in the logarithm of the light


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


def combed(pixels: np.ndarray, hair: np.ndarray, *, seed: int = 0, threads: int = 1) -> np.ndarray:
    """Draw hair anew in strands: tones smoothed along its flow, with a relief of long, fine streaks.

    Args:
        pixels: [S, S, 3] float32 RGB in 0..1.
        hair: [S, S] in 0..1.
        seed: of the streaks.
        threads: that share the rows.

    Returns:
        [S, S, 3] float32.
    """
    size = pixels.shape[0]
    rows, columns = np.flatnonzero(hair.max(1) > 0.02), np.flatnonzero(hair.max(0) > 0.02)
    if len(rows) < size // 32 or len(columns) < size // 32:
        return pixels
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    flow = edge_flow(resized(pixels, _FLOW_PX), 2.0)
    tangents: Array = cv2.resize(flow.tangents, (size, size), interpolation=cv2.INTER_NEAREST)[window]  # type: ignore[assignment]
    clear = soft_step(resized(flow.strength, size)[window], 0.3, 0.4)
    scale = size / 512
    streaks = noise(clear.shape, 1.2 * scale, np.random.default_rng(seed))
    streaks = smooth_along(streaks, tangents, _STRAND * scale, step_px=2.0 * scale, threads=threads)
    relief = np.exp(_RELIEF * clear * streaks / max(float(streaks.std()), 1e-6))
    smooth = smooth_along(pixels[window], tangents, _ALONG * scale, step_px=max(1.0, scale), threads=threads)
    drawn = pixels.copy()
    drawn[window] += hair[window][..., None] * ((smooth * relief[..., None]).clip(0, 1) - pixels[window])
    return drawn


def cleaned(pixels: np.ndarray, layout: FaceLayout, hair: np.ndarray, blur: float) -> np.ndarray:
    """Make a photo, small or compressed, fit to be drawn, as far as it is blurred.

    A sharp one stays as it is to the bit.

    Args:
        pixels: [H, H, 3] float32 RGB in 0..1.
        layout: of the same crop.
        hair: [H, H] in 0..1.
        blur: how far it is blurred (`blur_of`).

    Returns:
        [H, H, 3] float32.
    """
    if blur == 0:
        return pixels
    clean: np.ndarray = pixels + np.float32(blur) * (restored(pixels, layout, hair) - pixels)
    return clean


def restored(pixels: np.ndarray, layout: FaceLayout, hair: np.ndarray) -> np.ndarray:
    """Draw a blurred photo anew: calm patches, hair in strands, eyes with iris, highlight and lashes.

    Blocks of compression would become scars, and nobody can draw a smear by its light and shade.

    Args:
        pixels: [H, H, 3] float32 RGB in 0..1.
        layout: of the same crop.
        hair: [H, H] in 0..1.

    Returns:
        [H, H, 3] float32, without detail finer than `_RESTORED_PX` has it.
    """
    size = min(pixels.shape[0], _RESTORED_PX)
    small, hair = resized(pixels, size).clip(0, 1), resized(hair, size)
    drawn = painted(small, round(_CALM_RADIUS * size / 512))
    soft = cv2.bilateralFilter(small.astype(np.float32), -1, _SOFT_COLOUR, _SOFT_SIGMA * size / 512)
    drawn += _SOFTER * (blurred(soft, _SOFT_SIGMA * size / 1536) - drawn)  # calm patches alone have hard edges
    drawn += _COMBED * hair[..., None] * (combed(small, hair) - drawn)
    none = np.zeros((size, size), np.float32)
    face, eyes = Portrait(layout.landmarks68(size), none, none, none), drawn
    iris = iris_colour(small, face)
    for eye in face.eyes:
        eyes = draw_eye(eyes, eye, small, iris)
    drawn += np.float32(_DRAWN) * (eyes - drawn)
    return resized(drawn, pixels.shape[0]).clip(0, 1)


def blur_of(pixels: np.ndarray, layout: FaceLayout) -> float:
    """Say how blurred a photo is, 0..1, by how strong the finest detail in the eyes is beside a coarser one."""
    size = 512
    bands = list(laplacian_bands(luminance(resized(pixels, size))[..., None], 4))
    eyes = blurred(layout.mask("eyes", size), size / 85) > 0.3
    if eyes.sum() < 64:
        return 0.0
    fine, coarse = (float(np.sqrt((bands[number][..., 0][eyes] ** 2).mean())) for number in (0, 3))
    return float(np.clip((_SOFT[1] - fine / max(coarse, 1e-6)) / (_SOFT[1] - _SOFT[0]), 0, 1))
