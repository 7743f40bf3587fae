"""What guides the patches: how unlike two places are, besides their pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from core.brushwork.palette import blurred, luminance, resized
from core.brushwork.regions import Regions
from core.imaging.deform import ANCHORS, fit_warp
from core.imaging.layout import FaceLayout, Part


@dataclass(frozen=True)
class GuideWeights:
    """How much each guide counts against the squared difference of RGB in 0..1; hand-tuned.

    Attributes:
        tone: luminance of the guide against the reference's, over whole patches.
        place: distance from where the face's geometry puts the pixel in the reference, in sides.
        contrast: luminance against its surroundings, in local deviations.
        detail: strength of detail against what is usual on the picture's skin.
        skin, hair, clothes, background: regions.
        brows, eyes, nose, lips, mouth: the layout's masks.
    """

    tone: float = 0.5
    place: float = 6.0
    contrast: float = 0.3
    detail: float = 1.0
    skin: float = 5.0
    hair: float = 4.0
    clothes: float = 1.5
    background: float = 2.0
    brows: float = 2.0
    eyes: float = 3.0
    nose: float = 0.7
    lips: float = 3.0
    mouth: float = 2.0


_HOME_PX = 128
_REGIONS = ("skin", "hair", "clothes", "background")
_PARTS: tuple[Part, ...] = ("brows", "eyes", "nose", "lips", "mouth")


def place_map(photo: FaceLayout, reference: FaceLayout, size_px: int) -> np.ndarray:
    """Say where in the reference each pixel of the photo belongs: [S, S, 2] x, y in shares of its side."""
    warp = fit_warp(photo.landmarks[ANCHORS], reference.landmarks[ANCHORS])
    places: np.ndarray = warp.grid(size_px).clip(-0.1, 1.1)
    return places


def at_home(places: np.ndarray, regions: Regions, own: Regions) -> np.ndarray:
    """Move places in the reference that lie outside a pixel's own region into it: [S, S, 2].

    They are mirrored at its edge, or go to its nearest pixel. Otherwise a bare forehead would be drawn from the fringe
    that lies there in the reference, and the ground beside a narrow head from its wide hair.

    Args:
        places: [S, S, 2] x, y in shares of the reference's side.
        regions, own: of the picture that is drawn and of the reference.
    """
    size = places.shape[0]
    small = resized(places, _HOME_PX)
    column, row = (small[..., axis] * _HOME_PX for axis in (0, 1))
    column, row = (index.astype(int).clip(0, _HOME_PX - 1) for index in (column, row))
    which = np.stack(regions.at(_HOME_PX).all()).argmax(0)
    moved = np.zeros_like(small)
    for number, mask in enumerate(own.at(_HOME_PX).all()):
        home = cv2.erode((mask > 0.8).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        abroad = (which == number) & ~home[row, column]
        if home.sum() < 60 or not abroad.any():
            continue
        nearest = distance_transform_edt(~home, return_distances=False, return_indices=True)[:, row, column]
        mirrored = (2 * nearest - np.stack([row, column])).clip(0, _HOME_PX - 1)
        goal = np.where(home[tuple(mirrored)], mirrored, nearest)
        shift = np.dstack([goal[1] - column, goal[0] - row]) / _HOME_PX
        moved[abroad] = shift[abroad]
    home_again: np.ndarray = places + cv2.resize(moved.astype(np.float32), (size, size))
    return home_again


def own_place(size_px: int) -> np.ndarray:
    """Return each pixel's own place [S, S, 2] in shares of the side."""
    centres = ((np.arange(size_px) + 0.5) / size_px).astype(np.float32)
    return np.stack(np.meshgrid(centres, centres), axis=-1)


def local_contrast(grey: np.ndarray) -> np.ndarray:
    """Return luminance [S, S] against its surroundings, in their deviations, clipped at 2 and divided by 4."""
    size = grey.shape[0]
    mean = blurred(grey, size / 40)
    spread = np.sqrt(np.maximum(blurred((grey - mean) ** 2, size / 24), 1e-6))
    contrast: np.ndarray = np.clip((grey - mean) / (spread + 0.02), -2, 2) / 4
    return contrast


def local_detail(grey: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """Return how strong detail is [S, S], in 4 times the skin's median: skin is at 1/4, be it smooth or hatched."""
    size = grey.shape[0]
    energy = np.sqrt(blurred((grey - blurred(grey, size / 100)) ** 2, size / 80).clip(1e-8))
    bare = skin > 0.7
    usual = float(np.median(energy[bare] if bare.any() else energy)) + 0.004
    detail: np.ndarray = np.clip(energy / usual, 0, 4) / 4
    return detail


def guide_stack(
    layout: FaceLayout, regions: Regions, place: np.ndarray, picture: np.ndarray, weights: GuideWeights
) -> np.ndarray:
    """Stack the guides that are compared at patch centres, each times the root of its weight: [S, S, G] float32."""
    size = picture.shape[0]
    planes = [place[..., axis] * np.sqrt(weights.place) for axis in (0, 1)]
    here, grey = regions.at(size), luminance(picture)
    planes.append(local_contrast(grey) * np.sqrt(weights.contrast))
    planes.append(local_detail(grey, here.skin) * np.sqrt(weights.detail))
    planes += [getattr(here, region) * np.sqrt(getattr(weights, region)) for region in _REGIONS]
    planes += [layout.mask(part, size) * np.sqrt(getattr(weights, part)) for part in _PARTS]
    return np.stack(planes, axis=-1).astype(np.float32)
