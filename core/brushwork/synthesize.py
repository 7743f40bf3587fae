"""Guided patch synthesis: a picture made of a reference's own patches, coarse to fine.

Source: Fiser et al. 2017 (Example-based synthesis of stylized facial animations) and StyLit (2016) for the guides;
Kwatra et al. 2005 (Texture optimization) for search and vote in turns; Ashikhmin 2001 and Tong et al. 2002 for the
search: exact at the coarsest level, then what neighbours found (coherence) and a small window. There is no random
search. The same input gives the same picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from core.brushwork.guides import GuideWeights, at_home, guide_stack, own_place, place_map
from core.brushwork.kernels import CHANNELS, RADIUS, refine, vote
from core.brushwork.palette import blurred, luminance, resized
from core.brushwork.regions import Regions, find_regions
from core.imaging.layout import FaceLayout
from core.threads import in_rows

COARSEST_PX = 64
KEPT = 8  # references of which findings are remembered
_WHIM = 0.05  # what a source is charged at most for another seed
ROUNDS = {64: 4, 128: 3, 256: 2, 512: 1, 1024: 1}
_GROUND_ROUNDS = {64: 4, 128: 3, 256: 2, 512: 1, 1024: 1}
_GROUND_BASE, _GROUND_PLACE, _GROUND_CROWDING = 0.3, 0.05, 1e-4


@dataclass(frozen=True, eq=False)
class Reference:
    """An artwork to take patches from.

    Attributes:
        pixels: [K, K, 3] float32 RGB in 0..1, in the FFHQ framing.
        layout: where its parts lie.
        regions: skin, hair, clothes and background.
    """

    pixels: np.ndarray
    layout: FaceLayout
    regions: Regions

    @classmethod
    def of(cls, pixels: np.ndarray, layout: FaceLayout) -> Reference:
        """Read the regions of an artwork."""
        return cls(pixels, layout, find_regions(pixels, layout))


@dataclass(frozen=True)
class BrushSettings:
    """How patches are chosen.

    Attributes:
        weights: of the guides.
        crowding: what it costs a source to be used as often as it is there once more.
        window_px: half side of the search around what neighbours found.
        threads: that share the rows of a level.
        seed: 0 takes the patches that fit best; others start from ones that fit a little less, and draw otherwise.
    """

    weights: GuideWeights = field(default_factory=GuideWeights)
    crowding: float = 5e-4
    window_px: int = 2
    threads: int = 2
    seed: int = 0


@dataclass(frozen=True)
class Level:
    """A finished level.

    Attributes:
        pixels: [S, S, 3] float32 RGB in 0..1.
        size_px: S.
        sources: [S, S, 2] int32 row and column in the reference of each pixel's patch.
        cost: [S, S] float32 how badly the patches fit.
    """

    pixels: np.ndarray
    size_px: int
    sources: np.ndarray
    cost: np.ndarray


def brush_levels(
    guide: np.ndarray,
    layout: FaceLayout,
    regions: Regions,
    reference: Reference,
    *,
    size_px: int,
    settings: BrushSettings = BrushSettings(),
) -> Iterator[Level]:
    """Draw a guide with a reference's patches, level by level, 64 px first.

    Args:
        guide: [H, H, 3] float32 RGB in 0..1: what shall be drawn, in about the reference's tones.
        layout, regions: of the guide.
        reference: where the patches come from.
        size_px: of the last level, a power of two times 64.
        settings: weights, rounds, threads.

    Raises:
        ValueError: a size that is none of 64, 128, ..., 1024.
    """
    if size_px not in ROUNDS:
        raise ValueError(f"expected a size among {', '.join(map(str, ROUNDS))}, got {size_px}")
    sources = np.zeros((0, 0, 2), np.int32)
    estimate = resized(guide, COARSEST_PX)
    size = COARSEST_PX
    while size <= size_px:
        there, here = resized(guide, size), resized(reference.pixels, size)
        places = at_home(place_map(layout, reference.layout, size), regions, reference.regions)
        target_guide = guide_stack(layout, regions, places, there, settings.weights)
        own_guide = guide_stack(reference.layout, reference.regions, own_place(size), here, settings.weights)
        grey, own_grey = luminance(there), luminance(here)
        tone = np.float32(np.sqrt(settings.weights.tone))
        own_patches = _patches(here, own_grey * tone)
        if size > COARSEST_PX:
            sources = _doubled(sources, size)
            estimate = _voted(sources, np.ones((size, size), np.float32), here, settings, 1)
        cost = np.zeros((size, size), np.float32)
        for turn in range(ROUNDS[size]):
            patches = _patches(estimate, grey * tone)
            crowd = _crowding(sources, size, settings.crowding) if sources.size else np.zeros((size, size), np.float32)
            if size == COARSEST_PX:
                crowd = crowd + _whims(settings.seed, size)
                sources, cost = _exact(patches, target_guide, own_patches, own_guide, crowd)
            else:
                sources, cost = _refined(sources, patches, target_guide, own_patches, own_guide, crowd, settings)
            last = turn == ROUNDS[size] - 1 and size == size_px
            estimate = _voted(sources, _trust(cost), here, settings, 1 if last else RADIUS)
        yield Level(estimate, size, sources, cost)
        size *= 2


def voted_details(level: Level, pictures: Sequence[np.ndarray], settings: BrushSettings) -> list[np.ndarray]:
    """Let a level's patches vote on pictures [S, S, C] that lie over the reference: each [S, S, C]."""
    channels = [picture.shape[2] for picture in pictures]
    drawn = _voted(level.sources, _trust(level.cost), np.dstack(list(pictures)), settings, RADIUS)
    return np.split(drawn, np.cumsum(channels)[:-1], axis=2)


def continued(
    pixels: np.ndarray, known: np.ndarray, base: np.ndarray, first: np.ndarray, *, threads: int = 1
) -> np.ndarray:
    """Continue a picture by its own patches where it isn't known.

    Args:
        pixels: [S, S, 3] float32 RGB in 0..1; S is 64 times a power of two.
        known: [H, H] of 0 or 1: what stays, and what patches come from.
        base: [H, H, 3] colours that the rest shall have roughly.
        first: [H, H, 3] what the rest is thought to be, before patches are looked for.
        threads: that share the rows.

    Returns:
        [S, S, 3].
    """
    settings = BrushSettings(threads=threads, crowding=_GROUND_CROWDING)
    last, size = pixels.shape[0], COARSEST_PX
    sources, estimate = np.zeros((0, 0, 2), np.int32), resized(first, size)
    while size <= last:
        here, stays = resized(pixels, size), (resized(known, size) > 0.99).astype(np.float32)
        soft, nowhere = resized(base, size) * np.sqrt(_GROUND_BASE), np.zeros((size, size), np.float32)
        outside = cv2.dilate(1 - stays, np.ones((2 * RADIUS + 1, 2 * RADIUS + 1), np.uint8)) * 10
        if size == COARSEST_PX and outside.all():  # what is known is narrower than a patch
            estimate = resized(base, last)
            break
        place = own_place(size) * np.sqrt(_GROUND_PLACE)
        guide, own = np.dstack([soft, place, nowhere]), np.dstack([soft, place, outside])
        own_patches = _patches(here, nowhere)
        itself = np.dstack(tuple(np.indices((size, size), dtype=np.int32)))
        if size > COARSEST_PX:
            sources = np.where(stays[..., None] > 0, itself, _doubled(sources, size))
            estimate = _voted(sources, np.ones((size, size), np.float32), here, settings, 1)
        for turn in range(_GROUND_ROUNDS[size]):
            estimate = estimate + stays[..., None] * (here - estimate)
            patches = _patches(estimate, nowhere)
            crowd = _crowding(sources, size, settings.crowding) if sources.size else nowhere
            if size == COARSEST_PX:
                sources, cost = _exact(patches, guide, own_patches, own, crowd, outside == 0)
            else:
                sources, cost = _refined(sources, patches, guide, own_patches, own, crowd, settings)
            sources = np.where(stays[..., None] > 0, itself, sources)
            final = size == last and turn == _GROUND_ROUNDS[size] - 1
            estimate = _voted(sources, _trust(cost), here, settings, 1 if final else RADIUS)
        size *= 2
    edge = blurred(cv2.erode(resized(known, last), np.ones((5, 5), np.uint8)), last / 200)[..., None]
    whole: np.ndarray = estimate + edge * (pixels - estimate)
    return whole


def _whims(seed: int, size_px: int) -> np.ndarray:
    """Charge sources at random, the same for the same seed: [S, S] float32; nothing for seed 0."""
    if seed == 0:
        return np.zeros((size_px, size_px), np.float32)
    drawn: np.ndarray = np.random.default_rng(seed).random((size_px, size_px), dtype=np.float32) * np.float32(_WHIM)
    return drawn


def _trust(cost: np.ndarray) -> np.ndarray:
    """Say how much each patch counts: [S, S] float32."""
    share: np.ndarray = np.exp(-cost / max(2 * float(np.quantile(cost, 0.6)), 1e-6)).astype(np.float32) + 1e-4
    return share


def _patches(pixels: np.ndarray, fourth: np.ndarray) -> np.ndarray:
    """Lay a picture and a fourth channel out for the kernels, in the root of a patch's share: [S + 4, (S + 4) * 4]."""
    side = 2 * RADIUS + 1
    four = np.concatenate([pixels, fourth[..., None]], axis=2) / np.float32(side)
    wide = np.pad(four, ((RADIUS, RADIUS), (RADIUS, RADIUS), (0, 0)), mode="reflect")
    return np.ascontiguousarray(wide.reshape(wide.shape[0], -1), dtype=np.float32)


def _exact(
    target: np.ndarray,
    guide: np.ndarray,
    reference: np.ndarray,
    own: np.ndarray,
    crowd: np.ndarray,
    among: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Find each pixel's best source among all, or some [S, S], by one matrix product: [S, S, 2] int32, costs [S, S]."""
    size = guide.shape[0]
    allowed = np.arange(size * size) if among is None else np.flatnonzero(among)
    a, b = _vectors(target, guide), _vectors(reference, own)[allowed]
    distances = ((b**2).sum(1) + crowd.ravel()[allowed])[None] - 2 * a @ b.T
    best = distances.argmin(1)
    cost = np.take_along_axis(distances, best[:, None], 1)[:, 0] + (a**2).sum(1)
    sources = np.stack(np.divmod(allowed[best], size), axis=-1).reshape(size, size, 2)
    return sources.astype(np.int32), cost.reshape(size, size).clip(0).astype(np.float32)


def _vectors(patches: np.ndarray, guide: np.ndarray) -> np.ndarray:
    """Flatten patches and guides to one vector a pixel [S * S, 25 * 4 + G]."""
    size = guide.shape[0]
    rows = patches.reshape(size + 2 * RADIUS, size + 2 * RADIUS, CHANNELS)
    side = 2 * RADIUS + 1
    views = np.lib.stride_tricks.sliding_window_view(rows, (side, side), axis=(0, 1))
    return np.concatenate([views.reshape(size * size, -1), guide.reshape(size * size, -1)], axis=1)


def _refined(
    sources: np.ndarray,
    target: np.ndarray,
    guide: np.ndarray,
    reference: np.ndarray,
    own: np.ndarray,
    crowd: np.ndarray,
    settings: BrushSettings,
) -> tuple[np.ndarray, np.ndarray]:
    out, cost = np.empty_like(sources), np.empty(sources.shape[:2], np.float32)
    window = settings.window_px if sources.shape[0] < 1024 else 0

    def work(first: int, last: int) -> None:
        refine(sources, out, cost, target, guide, reference, own, crowd, window, first, last)

    in_rows(work, sources.shape[0], settings.threads)
    return out, cost


def _voted(
    sources: np.ndarray, weight: np.ndarray, reference: np.ndarray, settings: BrushSettings, radius: int
) -> np.ndarray:
    out = np.empty((*sources.shape[:2], reference.shape[2]), np.float32)
    plain = np.ascontiguousarray(reference, dtype=np.float32)

    def work(first: int, last: int) -> None:
        vote(sources, weight, plain, out, radius, first, last)

    in_rows(work, sources.shape[0], settings.threads)
    return out


def _doubled(sources: np.ndarray, size_px: int) -> np.ndarray:
    """Carry sources to the next level: each becomes a block of four."""
    wide = np.repeat(np.repeat(sources, 2, axis=0), 2, axis=1) * 2
    wide[..., 0] += (np.arange(size_px) % 2)[:, None]
    wide[..., 1] += (np.arange(size_px) % 2)[None]
    return np.ascontiguousarray(wide.clip(0, size_px - 1), dtype=np.int32)


def _crowding(sources: np.ndarray, size_px: int, weight: float) -> np.ndarray:
    """Charge sources for being used often: [S, S] float32."""
    flat = np.bincount((sources[..., 0].astype(np.int64) * size_px + sources[..., 1]).ravel(), minlength=size_px**2)
    counts = flat.reshape(size_px, size_px).astype(np.float32)
    return np.ascontiguousarray(cv2.blur(counts, (5, 5)) * np.float32(weight))
