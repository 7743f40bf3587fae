"""The ground of an artwork without the person before it: what it hid is made of the artwork's other ground."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import cv2
import numpy as np

from core.brushwork.palette import blurred, blurred_within, resized
from core.brushwork.regions import CHIN, Regions
from core.brushwork.synthesize import Reference, continued

_KNOWN_PX = 512
_ODD = 12.0  # in LAB, from the ground around, beyond which a colour may be the person's
_OTHERS = 0.15  # share of a ground with colours that the person has not, from which colours tell them apart
_KEPT = 0.35  # share of a ground that must be left; or what was taken for the person's is the ground itself
_CLUSTERS = 8
_JAW = 0.12  # of the side: shoulders begin so far above the chin, in a head that is turned or bent
_FAR = 0.6  # share of a ground that must lie far from the model to do without what is near
_LITTLE = 0.02  # share of the picture below which there is no ground to go by
_made: WeakKeyDictionary[Reference, dict[int, np.ndarray]] = WeakKeyDictionary()


def ground_of(reference: Reference, size_px: int, threads: int = 1) -> np.ndarray:
    """Return an artwork's ground as if nobody stood before it: [S, S, 3] float32 RGB in 0..1.

    It is made once for a reference and a size, by patches of the ground that is seen (image completion by texture
    optimisation: Wexler, Shechtman and Irani 2007; searched as the strokes are).
    """
    kept = _made.setdefault(reference, {})
    if size_px not in kept:
        kept[size_px] = (_continued(reference, size_px, threads).clip(0, 1) * 255).round().astype(np.uint8)
    return kept[size_px].astype(np.float32) / 255


def _mean_colour(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the mean colour [3] of a picture [S, S, 3] under a mask [S, S]; of all of it if that is nearly empty."""
    weight = mask if mask.mean() > _LITTLE / 2 else np.ones_like(mask)
    return np.asarray((pixels * weight[..., None]).sum((0, 1)) / weight.sum(), dtype=np.float32)


def _continued(reference: Reference, size_px: int, threads: int) -> np.ndarray:
    pixels = resized(reference.pixels, _KNOWN_PX)
    known = _surely_ground(pixels, reference.regions.at(_KNOWN_PX), float(reference.layout.landmarks[CHIN, 1]))
    if known.mean() < _LITTLE:
        plain: np.ndarray = np.broadcast_to(_mean_colour(pixels, known), (size_px, size_px, 3))
        return plain
    base = _base(pixels, known)
    first = base + _moved_in(pixels - base, known)
    return continued(resized(reference.pixels, size_px), known, base, first, threads=threads)


def _surely_ground(pixels: np.ndarray, regions: Regions, chin: float) -> np.ndarray:
    """Say what of an artwork [S, S, 3] is ground: [S, S] of 0 or 1.

    What is coloured like the person rather than like the ground, as loose hair or a hand, is none; nor is what has a
    colour of its own below the chin, at this share of the side, as a shoulder.
    """
    size = pixels.shape[0]
    behind = (regions.background > 0.9).astype(np.uint8)
    known, far = (cv2.erode(behind, np.ones((size // part, size // part), np.uint8)) > 0 for part in (24, 8))
    if far.mean() > _FAR * known.mean():  # strands fly around a head
        known = far
    person = cv2.erode((regions.background < 0.1).astype(np.uint8), np.ones((size // 64, size // 64), np.uint8)) > 0
    if known.mean() < _LITTLE or person.mean() < _LITTLE:
        return known.astype(np.float32)
    lab = cv2.cvtColor(blurred(pixels, size / 128).clip(0, 1), cv2.COLOR_RGB2LAB)
    from_person = _nearest(lab, _colours(lab[person]))
    sure = known & (from_person > _ODD)
    if sure.sum() < _OTHERS * known.sum():  # the ground has the person's colours
        return known.astype(np.float32)
    above = np.arange(size)[:, None] < (chin - _JAW) * size
    high = sure & above
    from_ground = _nearest(lab, _colours(lab[high if high.sum() > 0.3 * sure.sum() else sure]))
    odd = ((from_person < 0.55 * from_ground) | ~above) & (from_ground > _ODD)
    odd = odd.astype(np.uint8)
    odd = cv2.morphologyEx(odd, cv2.MORPH_OPEN, np.ones((size // 96, size // 96), np.uint8))
    clean = (known & (cv2.dilate(odd, np.ones((size // 20, size // 20), np.uint8)) == 0)).astype(np.float32)
    return clean if clean.mean() > max(_LITTLE, _KEPT * known.mean()) else known.astype(np.float32)


def _colours(values: np.ndarray) -> np.ndarray:
    """Return the usual ones [K, 3] of colours [N, 3]."""
    some = np.ascontiguousarray(values[:: max(1, len(values) // 6000)])
    cv2.setRNGSeed(0)
    end = (cv2.TERM_CRITERIA_MAX_ITER, 12, 0.0)
    _, _, means = cv2.kmeans(some, min(_CLUSTERS, len(some)), np.empty(0, np.int32), end, 1, cv2.KMEANS_PP_CENTERS)
    return np.asarray(means)


def _nearest(lab: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Say how far each colour [S, S, 3] is from the nearest of some [K, 3]: [S, S]."""
    nearest: np.ndarray = np.min([np.linalg.norm(lab - colour, axis=-1) for colour in colours], axis=0)
    return nearest


def _base(pixels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Carry the ground's colours on softly, from near where there is some: [S, S, 3]."""
    size = pixels.shape[0]
    base = np.broadcast_to(_mean_colour(pixels, known), pixels.shape)
    for sigma in (size / 4, size / 8, size / 16):
        weight = blurred(known, sigma)[..., None]
        base = base + np.clip(weight * 4, 0, 1) * (blurred_within(pixels, known, sigma) - base)
    return base


def _moved_in(detail: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Continue detail [S, S, 3] outside a mask [S, S] by whole pieces of it, from the nearest sides that have them."""
    size = known.shape[0]
    made, missing = detail * known[..., None], 1 - known
    for step in size * np.array([0.12, 0.25, 0.4, 0.6, 0.8]):
        for turn in range(8):
            along = np.array([[np.cos(turn * np.pi / 4)], [np.sin(turn * np.pi / 4)]]) * step
            shift = np.hstack([np.eye(2), along])
            there = cv2.warpAffine(known, shift, (size, size), flags=cv2.INTER_NEAREST) * missing
            if there.any():
                made += there[..., None] * cv2.warpAffine(detail, shift, (size, size), flags=cv2.INTER_NEAREST)
                missing = missing - there
    continued: np.ndarray = made
    return continued
