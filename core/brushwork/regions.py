"""The four regions of a portrait that are coloured apart: skin, hair, clothes, background.

The layout's masks say roughly where they lie; the picture's own colours decide at their edges. Each region's colours
are a smoothed histogram, estimated and applied in turns (expectation and maximisation). A guided filter (He, Sun and
Tang 2013, with coefficients of a reduced picture as in He and Sun 2015) then lets the masks follow strands and edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from core.brushwork.palette import resized
from core.imaging.layout import FaceLayout

WORK_PX = 160
FINE_PX = 512
_GUIDED_PX, _GUIDED_RADIUS, _GUIDED_EPS = 256, 5, 1e-4
_CHIN, _BROWS, _LEFT, _RIGHT = 152, (105, 334), 234, 454
_ROUNDS = 6
_TRUST = 0.8  # power of the colours' likelihood: neighbouring pixels are no independent witnesses


@dataclass(frozen=True)
class Regions:
    """Soft masks that sum to 1, each [S, S] float32."""

    skin: np.ndarray
    hair: np.ndarray
    clothes: np.ndarray
    background: np.ndarray

    def all(self) -> tuple[np.ndarray, ...]:
        """List them in one order."""
        return self.skin, self.hair, self.clothes, self.background

    def at(self, size_px: int) -> Regions:
        """Resize them."""
        if self.skin.shape[0] == size_px:
            return self
        made = [resized(mask, size_px).clip(0, 1) for mask in self.all()]
        whole = np.maximum(sum(made), 1e-6)
        return Regions(*(mask / whole for mask in made))


def find_regions(pixels: np.ndarray, layout: FaceLayout) -> Regions:
    """Find the regions of a portrait.

    Args:
        pixels: [H, H, 3] float32 RGB in 0..1.
        layout: of the same crop.

    Returns:
        Masks of 512 px.
    """
    small = cv2.resize(pixels, (WORK_PX, WORK_PX), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(cv2.GaussianBlur(small, (0, 0), 0.7).clip(0, 1), cv2.COLOR_RGB2LAB)
    prior = _prior(layout)
    belief = prior
    bins = _bins(lab)
    for _ in range(_ROUNDS):
        likeness = np.stack([_density(bins, plane) for plane in belief])
        belief = prior * likeness**_TRUST
        belief = np.stack([cv2.GaussianBlur(plane, (0, 0), 1.0) for plane in belief])
        belief /= np.maximum(belief.sum(0), 1e-9)
    belief = _without_strangers(belief, cv2.cvtColor(small.clip(0, 1), cv2.COLOR_RGB2LAB), layout)
    return Regions(*along_edges(belief.astype(np.float32), pixels))


def _without_strangers(belief: np.ndarray, lab: np.ndarray, layout: FaceLayout) -> np.ndarray:
    """Give to the hair what of the skin has another colour than the face has between brows and chin.

    A fringe, a hat's brim or a beard would otherwise count as skin. In a face lit in many colours, little is strange.
    """
    features = np.maximum.reduce([layout.mask(part, WORK_PX) for part in ("brows", "eyes", "lips", "mouth")])
    features = cv2.dilate(features, np.ones((7, 7), np.uint8))
    points = layout.landmarks * WORK_PX
    rows = np.arange(WORK_PX)[:, None]
    cheeks = _inside(points) * (rows > points[list(_BROWS), 1].mean()) * (1 - features)
    moved = belief[0] * _oddness(lab, cheeks > 0.7) * (1 - features)
    kept = belief.copy()
    kept[0] -= moved
    kept[1] += moved
    return kept


def _oddness(lab: np.ndarray, core: np.ndarray) -> np.ndarray:
    """Say how far each colour lies from those of a core [S, S], in their own spread: 0 within 3, 1 from 5 on."""
    if core.sum() < 50:
        return np.zeros(core.shape, np.float32)
    typical = np.median(lab[core], axis=0)
    spread = 1.48 * np.median(np.abs(lab[core] - typical), axis=0) + (3.0, 2.0, 2.0)
    away = np.abs(lab - typical) / spread
    odd: np.ndarray = np.clip((np.sqrt((away**2).mean(-1)) - 3) / 2, 0, 1)
    return odd


def along_edges(masks: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Let masks [N, H, H] that sum to 1 follow a picture's edges: [N, 512, 512], summing to 1.

    Around each place a mask becomes the linear function of red, green and blue that fits it best.
    """
    small = resized(pixels, _GUIDED_PX)
    mean = _boxed(small)
    spread = [[_boxed(small[..., i] * small[..., j]) - mean[..., i] * mean[..., j] for j in range(3)] for i in range(3)]
    inverse = _inverse(spread, _GUIDED_EPS)
    large = resized(pixels, FINE_PX)
    fine = []
    for mask in masks:
        coarse = resized(mask, _GUIDED_PX).clip(0, 1)
        level = _boxed(coarse)
        shared = [_boxed(small[..., i] * coarse) - mean[..., i] * level for i in range(3)]
        slopes = np.stack([sum(inverse[i][j] * shared[j] for j in range(3)) for i in range(3)], axis=-1)
        offset = _boxed(level - (slopes * mean).sum(-1))
        fit = resized(np.dstack([_boxed(slopes), offset]), FINE_PX)
        fine.append(((fit[..., :3] * large).sum(-1) + fit[..., 3]).clip(0, 1))
    stacked = np.stack(fine)
    whole: np.ndarray = stacked / np.maximum(stacked.sum(0), 1e-6)
    return whole


def _boxed(values: np.ndarray) -> np.ndarray:
    side = 2 * _GUIDED_RADIUS + 1
    mean: np.ndarray = cv2.blur(values, (side, side))
    return mean


def _inverse(spread: list[list[np.ndarray]], floor: float) -> list[list[np.ndarray]]:
    """Invert symmetric 3 x 3 matrices, whose entries are planes [S, S], with `floor` added to the diagonal."""
    a, b, c = spread[0][0] + floor, spread[0][1], spread[0][2]
    d, e, f = spread[1][1] + floor, spread[1][2], spread[2][2] + floor
    minors = d * f - e * e, c * e - b * f, b * e - c * d
    whole = a * minors[0] + b * minors[1] + c * minors[2]
    rest = a * f - c * c, b * c - a * e, a * d - b * b
    p, q, r, s, t, u = (entry / whole for entry in (*minors, *rest))
    return [[p, q, r], [q, s, t], [r, t, u]]


def _prior(layout: FaceLayout) -> np.ndarray:
    """Say before looking at colours where the regions lie: [4, S, S], summing to 1."""
    points = layout.landmarks * WORK_PX
    rows, columns = np.mgrid[:WORK_PX, :WORK_PX].astype(np.float32)
    chin, brow = points[_CHIN, 1], points[list(_BROWS), 1].mean()
    width = max(abs(points[_RIGHT, 0] - points[_LEFT, 0]), 4.0)
    middle = points[[_LEFT, _RIGHT], 0].mean()
    face, hair, person = (layout.mask(part, WORK_PX) for part in ("face", "hair", "person"))
    below = 1 / (1 + np.exp(-(rows - chin + 0.02 * WORK_PX) / (0.02 * WORK_PX)))  # below the chin
    head_here, shoulders = _bust(rows, columns, points)
    tresses = _tresses(rows, columns, points)
    person = np.maximum.reduce([0.75 * person + 0.25 * head_here, face, 0.6 * hair, 0.7 * shoulders, 0.35 * tresses])
    neck = below * np.exp(-(((columns - middle) / (0.42 * width)) ** 2)) * np.exp(-np.maximum(rows - chin, 0) / width)
    inner = _inside(points) * (rows > brow - 0.1 * width)
    near = np.clip(4 - 4 * np.abs(columns - middle) / width, 0, 1)
    maybe_skin = near * ((1 - below) * np.maximum(face, 0.35) + 0.04) + 0.6 * neck + 1e-3
    maybe_hair = np.maximum(hair, 0.03) * (1 - 0.5 * below) + 0.1 * (1 - below) + 0.25 * tresses
    clothes = below * (1 - 0.6 * neck) * 0.9 + 0.005
    planes = np.stack([maybe_skin, maybe_hair * (1 - inner), clothes * (1 - inner)]) * person
    planes[0] = np.maximum(planes[0], inner)
    planes /= np.maximum(planes.sum(0), 1e-9)
    background = (1 - person) * (1 - inner)
    return np.concatenate([planes * (1 - background), background[None]])


def _bust(rows: np.ndarray, columns: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Say where head and shoulders usually are around a face: each [S, S] in 0..1."""
    width = max(abs(points[_RIGHT, 0] - points[_LEFT, 0]), 4.0)
    middle, chin = points[[_LEFT, _RIGHT], 0].mean(), points[_CHIN, 1]
    crown = points[list(_BROWS), 1].mean() - 0.75 * width
    head = ((columns - middle) / (0.72 * width)) ** 2 + ((rows - (chin + crown) / 2) / (0.62 * (chin - crown))) ** 2
    reach = 0.45 * width + 1.6 * np.maximum(rows - chin, 0)
    head_in, shoulders_in = 1 / (1 + np.exp(6 * (head - 1))), np.abs(columns - middle) < reach
    shoulders = cv2.GaussianBlur((shoulders_in & (rows > chin)).astype(np.float32), (0, 0), 0.03 * WORK_PX)
    return head_in, shoulders


def _tresses(rows: np.ndarray, columns: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Say where long hair may fall beside a face, for colours to decide: [S, S] in 0..1."""
    width = max(abs(points[_RIGHT, 0] - points[_LEFT, 0]), 4.0)
    aside = np.abs(columns - points[[_LEFT, _RIGHT], 0].mean()) / width
    brow = points[list(_BROWS), 1].mean()
    beside = np.clip((aside - 0.45) / 0.1, 0, 1) * np.clip((1.2 - aside) / 0.3, 0, 1)
    fall: np.ndarray = beside * np.clip((rows - brow) / (0.3 * width), 0, 1)
    return fall


def _inside(points: np.ndarray) -> np.ndarray:
    """Fill the landmarks' hull, drawn in a little, softly: [S, S]."""
    hull = cv2.convexHull(points.astype(np.float32))[:, 0]
    hull = hull.mean(0) + (hull - hull.mean(0)) * 0.86
    canvas = np.zeros((WORK_PX, WORK_PX), np.float32)
    cv2.fillConvexPoly(canvas, np.round(hull).astype(np.int32), 1.0)
    return cv2.GaussianBlur(canvas, (0, 0), 1.5)


def _bins(lab: np.ndarray) -> tuple[np.ndarray, ...]:
    """Sort LAB [S, S, 3] into 20 x 24 x 24 bins."""
    scaled = (lab + np.array([0, 128, 128])) / (100, 256, 256) * (20, 48, 48)
    return tuple(scaled.astype(int).clip(0, (19, 47, 47)).transpose(2, 0, 1))


def _density(bins: tuple[np.ndarray, ...], weight: np.ndarray) -> np.ndarray:
    """Estimate how usual each pixel's colour is in a region [S, S]."""
    counts = np.zeros((20, 48, 48))
    np.add.at(counts, bins, weight)
    smooth = gaussian_filter(counts, 1.2)
    density: np.ndarray = (smooth / max(smooth.sum(), 1e-6) + 1e-6)[bins]
    return density
