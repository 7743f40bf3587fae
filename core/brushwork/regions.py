"""The four regions of a portrait that are coloured apart: skin, hair, clothes, background.

The layout's masks say roughly where they lie; the picture's own colours decide at their edges. Each region's colours
are a smoothed histogram, estimated and applied in turns (expectation and maximisation).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from core.imaging.layout import FaceLayout

WORK_PX = 160
_CHIN, _BROWS, _LEFT, _RIGHT = 152, (105, 334), 234, 454
_ROUNDS = 3
_TRUST = 0.6  # power of the colours' likelihood: neighbouring pixels are no independent witnesses


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
        how = cv2.INTER_AREA if size_px < self.skin.shape[0] else cv2.INTER_CUBIC
        made = [cv2.resize(mask, (size_px, size_px), interpolation=how).clip(0, 1) for mask in self.all()]
        whole = np.maximum(sum(made), 1e-6)
        return Regions(*(mask / whole for mask in made))


def find_regions(pixels: np.ndarray, layout: FaceLayout) -> Regions:
    """Find the regions of a portrait.

    Args:
        pixels: [H, H, 3] float32 RGB in 0..1.
        layout: of the same crop.

    Returns:
        Masks of 160 px.
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
    return Regions(*(plane.astype(np.float32) for plane in belief))


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
    person = np.maximum.reduce([0.75 * person + 0.25 * head_here, face, 0.6 * hair, 0.85 * shoulders])
    neck = below * np.exp(-(((columns - middle) / (0.42 * width)) ** 2)) * np.exp(-np.maximum(rows - chin, 0) / width)
    inner = _inside(points) * (rows > brow - 0.1 * width)
    maybe_skin = (1 - below) * np.maximum(face, 0.35) + 0.6 * neck + 0.04
    maybe_hair = np.maximum(hair, 0.03) * (1 - 0.5 * below) + 0.1 * (1 - below)
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
