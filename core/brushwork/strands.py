"""Hair in the artist's strands: strips of a reference's own hair, bent along the person's and laid one over another.

Patches know no direction, so a strand of theirs ends after five pixels. A strip follows the hair's flow in the
reference, and is bent to follow it in the portrait; it keeps its colours but for a shift to the tone that is wanted
where it comes to lie. Source: painting by curved strokes along a direction field (Hertzmann 1998), with strokes from
examples (RealBrush, Lu et al. 2013); here the examples are cut from the one artwork.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from core.brushwork.kernels import lay_strips
from core.brushwork.palette import blurred, blurred_within, luminance, resized
from core.brushwork.synthesize import KEPT, Reference
from core.procedural.techniques.flow import edge_flow

_LENGTH, _WIDTH = 90.0, 16.0  # of a strip, in pixels of a 512 px portrait
_APART, _CUT_APART = 7.0, 9.0  # between strips that are laid, and between those that are cut
_STEP_PX, _SMOOTH = 0.5, 0.3  # between a strip's samples: at more, some pixels would get none; sigma at 512 px
_FLOW_PX = 256
_CUT_SIGMA, _FLOW_SIGMA = 3.0, 5.0  # of the flow in the reference, and in the portrait: few swirls, where it is curly
_TURN = 0.3  # share of the way into the flow's direction that a strip turns in a step, at 512 px
_TONE_SIGMA = 5.0  # of the tones that a strip takes over, at 512 px
_TONE = 0.7  # how far it takes them over
_NEAR = 0.3  # what the distance between places counts against tones
_WHIM = 0.02  # and chance
_OVER = 40.0  # logarithm by which the uppermost strip outweighs the lowest
_PURE = 0.85  # share of a strip that must be hair
_FEWEST = 20
_ENDS, _SIDES = 0.35, 0.5  # share of half a strip over which it fades
_SURE = 1e-3  # weight from which a place is covered


@dataclass(frozen=True)
class Lines:
    """Middle lines of strips: points and directions [M, N, 2], right and down, in pixels."""

    points: np.ndarray
    ways: np.ndarray

    def __getitem__(self, which: np.ndarray) -> Lines:
        """Select some."""
        return Lines(self.points[which], self.ways[which])

    def turned(self, which: np.ndarray) -> Lines:
        """Let those that are marked [M] run the other way round."""
        points, ways = self.points.copy(), self.ways.copy()
        points[which], ways[which] = points[which, ::-1], -ways[which, ::-1]
        return Lines(points, ways)

    def read(self, picture: np.ndarray, aside_px: float = 0.0) -> np.ndarray:
        """Read a picture [S, S, C] along the lines, or beside them: [M, N, C]."""
        at = self.points + aside_px * np.stack([-self.ways[..., 1], self.ways[..., 0]], axis=-1)
        x, y = (np.ascontiguousarray(at[..., axis], dtype=np.float32) for axis in (0, 1))
        found = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return found.reshape(*x.shape, -1)


@dataclass(frozen=True)
class Strips:
    """Strips that can be cut from a reference's hair.

    Attributes:
        lines: their middle lines.
        tones: [M, N, 3] its soft colours along them.
    """

    lines: Lines
    tones: np.ndarray

    @classmethod
    @lru_cache(maxsize=KEPT)
    def of(cls, reference: Reference, size_px: int) -> Strips | None:
        """Find them at a size, or none where there is hardly any hair."""
        pixels, hair = resized(reference.pixels, size_px), reference.regions.at(size_px).hair
        lines = _traced(pixels, hair > 0.7, _CUT_APART, _CUT_SIGMA, np.random.default_rng(1))
        if len(lines.points) < _FEWEST:
            return None
        half = _WIDTH / 2 * size_px / 512
        pure = np.mean([lines.read(hair, aside).mean((1, 2)) for aside in (-half, 0, half)], axis=0)
        lines = lines[pure > _PURE]
        if len(lines.points) < _FEWEST:
            return None
        return cls(lines, lines.read(_tones(pixels, hair)))


def with_strands(pixels: np.ndarray, hair: np.ndarray, reference: Reference, *, seed: int = 0) -> np.ndarray:
    """Draw hair with strips of a reference's.

    Args:
        pixels: [S, S, 3] float32 RGB in 0..1, whose tones the strips take over.
        hair: [S, S] in 0..1.
        reference: whose hair is cut up.
        seed: of places and order.

    Returns:
        [S, S, 3] float32; as it was where the reference has no hair.
    """
    size = pixels.shape[0]
    strips = Strips.of(reference, size)
    if strips is None:
        return pixels
    rng = np.random.default_rng(seed)
    lines = _traced(pixels, hair > 0.5, _APART, _FLOW_SIGMA, rng)
    if len(lines.points) == 0:
        return pixels
    wanted = lines.read(_tones(pixels, hair))
    chosen, backwards = _chosen(lines, wanted, strips, size, rng)
    cut, own = strips.lines[chosen].turned(backwards), strips.tones[chosen]
    own[backwards] = own[backwards, ::-1]
    over = np.exp(_OVER * (rng.random(len(chosen)) - 1)).astype(np.float32)
    laid = np.zeros((size, size, 4), np.float32)
    across = 2 * round(_WIDTH * size / 512 / 2 / _STEP_PX) + 1
    fades = np.outer(_fading(wanted.shape[1], _ENDS), _fading(across, _SIDES)).astype(np.float32) ** 2
    shift = (_TONE * (wanted - own)).astype(np.float32)
    source = np.ascontiguousarray(resized(reference.pixels, size), np.float32)
    step = np.float32(_STEP_PX)
    lay_strips(lines.points, lines.ways, cut.points, cut.ways, shift, over, fades, step, source, laid)
    laid = blurred(laid, _SMOOTH * size / 512)
    share = (np.clip(laid[..., 3] / _SURE, 0, 1) * hair)[..., None]
    drawn: np.ndarray = pixels + share * (laid[..., :3] / np.maximum(laid[..., 3:], 1e-12) - pixels)
    return drawn


def _tones(pixels: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """Blur hair, with nothing from beside it: [S, S, 3]."""
    return blurred_within(pixels, hair + 1e-3, _TONE_SIGMA * pixels.shape[0] / 512)


def _fading(count: int, share: float) -> np.ndarray:
    """Fade in and out: [count] in 0..1."""
    return np.clip((1 - np.abs(np.linspace(-1, 1, count))) / share, 0, 1)


def _traced(pixels: np.ndarray, inside: np.ndarray, apart: float, sigma: float, rng: np.random.Generator) -> Lines:
    """Follow a picture's flow both ways from places inside a mask [S, S], `apart` from each other at 512 px."""
    size = pixels.shape[0]
    scale = size / 512
    steps = round(_LENGTH * scale / _STEP_PX / 2)
    flow = edge_flow(resized(pixels, _FLOW_PX), sigma).tangents
    columns = np.arange(0, size, apart * scale)
    seeds = np.stack(np.meshgrid(columns, columns), axis=-1).reshape(-1, 2)
    seeds = (seeds + rng.uniform(-0.5, 0.5, seeds.shape) * apart * scale).clip(0, size - 1)
    column, row = seeds.astype(int).T
    seeds = seeds[inside[row, column]].astype(np.float32)

    def way_at(points: np.ndarray, before: np.ndarray) -> np.ndarray:
        column, row = (points * (_FLOW_PX / size)).astype(int).clip(0, _FLOW_PX - 1).T
        way = flow[row, column]
        turned: np.ndarray = np.where((way * before).sum(1, keepdims=True) < 0, -way, way)
        return turned

    down = way_at(seeds, np.broadcast_to(np.array([1e-3, 1], np.float32), seeds.shape))
    turn = 1 - (1 - _TURN) ** (1 / max(scale, 1e-3))
    points, ways = (np.repeat(start[:, None], 2 * steps + 1, axis=1) for start in (seeds, down))
    for side in (1, -1):
        place, way = seeds, side * down
        for step in range(1, steps + 1):
            place = place + _STEP_PX * way
            way = way + turn * (way_at(place, way) - way)
            way = way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-6)
            points[:, steps + side * step], ways[:, steps + side * step] = place, side * way
    return Lines(points.astype(np.float32), ways.astype(np.float32))


def _chosen(
    lines: Lines, wanted: np.ndarray, strips: Strips, size_px: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Choose for each line the strip of the likest tones, from a like place: its number, and if it is turned: [K]."""

    def known(tones: np.ndarray) -> np.ndarray:
        parts = np.array_split(luminance(tones), 6, axis=1)
        return np.stack([part.mean(1) for part in parts], axis=1)

    def middles(which: Lines) -> np.ndarray:
        shares: np.ndarray = np.sqrt(_NEAR) * which.points[:, which.points.shape[1] // 2] / size_px
        return shares

    there = np.hstack([known(strips.tones), middles(strips.lines)])
    around = np.hstack([known(strips.tones[:, ::-1]), middles(strips.lines)])
    here, both = np.hstack([known(wanted), middles(lines)]), np.concatenate([there, around])
    apart = (here**2).sum(1)[:, None] + (both**2).sum(1) - 2 * here @ both.T
    best = (apart + _WHIM * rng.random(apart.shape)).argmin(1)
    return best % len(there), best >= len(there)
