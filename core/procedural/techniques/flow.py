"""Directions in a picture, and filters that work along or across them.

The direction field is the minor eigenvector of the smoothed colour structure tensor (Di Zenzo 1986; Brox et al. 2006),
made dense by falling back on coarser tensors where the fine one is weak. Filters: line integral convolution (Cabral and
Leedom 1993), flow-based difference of Gaussians (Kang, Lee and Chui 2007; Winnemoeller, Kyprianidis and Olsen 2012),
coherence-enhancing smoothing with shocks (Kyprianidis and Kang 2011).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy import ndimage

from core.procedural.techniques.fields import Array, blur, bound, luma, mix, soft_step
from core.threads import in_rows


@dataclass(frozen=True)
class Flow:
    """A direction at each pixel.

    Attributes:
        tangents: [H, W, 2] unit vectors (right, down) along edges; their sign means nothing.
        strength: [H, W] in [0, 1], how much one direction prevails.
    """

    tangents: Array
    strength: Array

    @property
    def normals(self) -> Array:
        """[H, W, 2] unit vectors across edges."""
        return np.stack([-self.tangents[..., 1], self.tangents[..., 0]], axis=-1)


def tensor(picture: Array) -> Array:
    """Return the structure tensor [H, W, 3] (xx, xy, yy) of a picture [H, W, C], unsmoothed."""
    parts = np.zeros((*picture.shape[:2], 3), np.float32)
    for channel in np.moveaxis(picture, -1, 0):
        right, down = ndimage.sobel(channel, axis=1) / 8, ndimage.sobel(channel, axis=0) / 8
        parts += np.stack([right * right, right * down, down * down], axis=-1)
    return parts


def flow_of_tensor(parts: Array) -> Flow:
    """Read directions from a smoothed structure tensor [H, W, 3]."""
    xx, xy, yy = np.moveaxis(parts, -1, 0)
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + math.pi / 2  # the major eigenvector's, turned by a right angle
    spread = np.sqrt((xx - yy) ** 2 + 4 * xy * xy)
    tangents = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return Flow(tangents.astype(np.float32), (spread / (xx + yy + 1e-9)).astype(np.float32))


def edge_flow(picture: Array, sigma_px: float) -> Flow:
    """Find directions along a picture's edges, in flat places those of the edges around.

    Args:
        picture: [H, W, 3].
        sigma_px: smoothing of the finest tensor; each of the two fallbacks is four times coarser.
    """
    parts = tensor(picture)
    total = np.zeros_like(parts)
    share = 1.0
    for level in range(3):
        smooth = blur(parts, sigma_px * 4.0**level)
        energy = smooth[..., :1] + smooth[..., 2:]
        total += share * smooth / (energy + 1e-4 + 0.02 * energy.mean())
        share *= 0.12
    return flow_of_tensor(blur(total, sigma_px * 0.5))


@njit(nogil=True, cache=True)
def _walk(
    values: Array, tangents: Array, weights: Array, out: Array, step: float, first: int, last: int
) -> None:  # pragma: no cover - compiled
    height, width, channels = values.shape
    steps = weights.shape[0]
    total = np.zeros(channels, np.float32)
    for row in range(first, last):
        for column in range(width):
            mass = weights[0]
            for c in range(channels):
                total[c] = weights[0] * values[row, column, c]
            for side in (-1.0, 1.0):
                x, y = float(column), float(row)
                dx, dy = side * tangents[row, column, 0], side * tangents[row, column, 1]
                for k in range(1, steps):
                    x += dx * step
                    y += dy * step
                    if x < 0 or y < 0 or x > width - 1 or y > height - 1:
                        break
                    j, i = int(x + 0.5), int(y + 0.5)
                    tx, ty = tangents[i, j, 0], tangents[i, j, 1]
                    if tx * dx + ty * dy < 0:
                        tx, ty = -tx, -ty
                    dx, dy = tx, ty
                    mass += weights[k]
                    for c in range(channels):
                        total[c] += weights[k] * values[i, j, c]
            for c in range(channels):
                out[row, column, c] = total[c] / mass


def smooth_along(values: Array, tangents: Array, sigma_px: float, *, step_px: float = 1.0, threads: int = 1) -> Array:
    """Average along streamlines with a Gaussian weight.

    Args:
        values: [H, W] or [H, W, C].
        tangents: [H, W, 2]; a `Flow`'s normals smooth across edges instead.
        sigma_px: of the weight; it ends at 2.4 sigma.
        step_px: of the walk.
        threads: that share the rows.
    """
    steps = max(2, math.ceil(2.4 * sigma_px / step_px) + 1)
    weights = np.exp(-0.5 * (np.arange(steps) * step_px / sigma_px) ** 2).astype(np.float32)
    deep = np.ascontiguousarray(values.reshape(*values.shape[:2], -1), dtype=np.float32)
    out = np.empty_like(deep)
    ways = np.ascontiguousarray(tangents, dtype=np.float32)

    def work(first: int, last: int) -> None:
        _walk(deep, ways, weights, out, step_px, first, last)

    in_rows(work, len(deep), threads)
    return out.reshape(values.shape)


def line_energy(grey: Array, flow: Flow, *, width_px: float, length_px: float, surround: float = 0.98) -> Array:
    """Return the flow-based difference of Gaussians [H, W]: negative on dark lines (Kang et al. 2007, eq. 6 to 9).

    Args:
        grey: [H, W] in [0, 1].
        flow: the edges' directions.
        width_px: sigma of the centre Gaussian, about half of the line's width.
        length_px: sigma of the smoothing along the line.
        surround: the surround's share; 1 answers to edges alone, less lets dark areas stay dark.
    """
    centre = smooth_along(grey, flow.normals, width_px, step_px=max(0.5, width_px / 2))
    around = smooth_along(grey, flow.normals, 1.6 * width_px, step_px=max(0.5, width_px / 2))
    return smooth_along(centre - surround * around, flow.tangents, length_px)


def lines(
    grey: Array,
    flow: Flow,
    *,
    width_px: float,
    length_px: float,
    threshold: float = 0.004,
    softness: float = 0.004,
) -> Array:
    """Draw a picture's dark lines: coverage [H, W] in [0, 1], wider and darker where contrast is greater.

    Args:
        grey: [H, W] in [0, 1].
        flow: the edges' directions.
        width_px, length_px: as in `line_energy`.
        threshold: contrast at which half of the ink is there.
        softness: contrast between no ink and all of it.
    """
    energy = -line_energy(grey, flow, width_px=width_px, length_px=length_px, surround=1.0)
    return bound((energy - threshold) / softness + 0.5)


def _slope(grey: Array, sigma_px: float) -> Array:
    down, right = np.gradient(blur(grey, sigma_px))
    return np.asarray(np.hypot(down, right), np.float32)


def abstract(picture: Array, *, radius_px: float, rounds: int = 3, calm: Array | None = None) -> tuple[Array, Flow]:
    """Smooth a picture along its edges and make these crisp (Kyprianidis and Kang 2011).

    Args:
        picture: [H, W, 3] in [0, 1].
        radius_px: sigma of the smoothing along the flow.
        rounds: repetitions; each finds the flow anew.
        calm: [H, W] from 0 to 1, where weak texture is to go.

    Returns:
        The picture and its last flow.
    """
    # Low contrast is skin's or cloth's unevenness: only what stands out of its surroundings is kept sharp.
    around = blur(picture, radius_px * 0.7)
    away = blur(np.abs(luma(picture - around)), radius_px * 0.5)
    weak = 0.02 if calm is None else 0.02 + 0.05 * calm
    out = mix(around, picture, soft_step(away, weak, 1.2 * weak))
    # A step's gradient falls with the scale, a ramp's does not: only steps are to become crisp.
    step = soft_step(_slope(luma(out), 0.8 * radius_px) / (_slope(luma(out), 2.6 * radius_px) + 1e-4), 1.75, 0.9)
    flow = edge_flow(out, max(1.0, radius_px * 0.6))
    side = max(3, 2 * round(radius_px * 0.45) + 1)
    for _ in range(rounds):
        out = smooth_along(out, flow.tangents, radius_px)
        grey = luma(out)
        bend = blur(grey, radius_px * 0.4) - blur(grey, radius_px * 0.7)  # > 0 on the light side of an edge
        push = np.clip((np.abs(bend) - 0.0025) / 0.008, 0, 1) * step
        high = ndimage.maximum_filter(grey, side)
        low = ndimage.minimum_filter(grey, side)
        goal = np.where(bend > 0, high, low)
        sharp = out * ((goal + 0.02) / (grey + 0.02))[..., None]
        out = out + 0.8 * push[..., None] * (np.clip(sharp, 0, 1) - out)
        out = smooth_along(out, flow.tangents, max(1.0, radius_px * 0.4))
        flow = edge_flow(out, max(1.0, radius_px * 0.6))
    return np.clip(out, 0, 1), flow
