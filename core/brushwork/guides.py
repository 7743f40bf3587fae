"""What guides the patches: how unlike two places are, besides their pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.brushwork.palette import blurred, luminance
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
        skin, hair, clothes, background: regions.
        brows, eyes, nose, lips, mouth: the layout's masks.
    """

    tone: float = 0.5
    place: float = 8.0
    contrast: float = 0.3
    skin: float = 5.0
    hair: float = 4.0
    clothes: float = 1.5
    background: float = 2.0
    brows: float = 2.0
    eyes: float = 3.0
    nose: float = 0.7
    lips: float = 3.0
    mouth: float = 2.0


_REGIONS = ("skin", "hair", "clothes", "background")
_PARTS: tuple[Part, ...] = ("brows", "eyes", "nose", "lips", "mouth")


def place_map(photo: FaceLayout, reference: FaceLayout, size_px: int) -> np.ndarray:
    """Say where in the reference each pixel of the photo belongs: [S, S, 2] x, y in shares of its side."""
    warp = fit_warp(photo.landmarks[ANCHORS], reference.landmarks[ANCHORS])
    places: np.ndarray = warp.grid(size_px).clip(-0.1, 1.1)
    return places


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


def guide_stack(
    layout: FaceLayout, regions: Regions, place: np.ndarray, picture: np.ndarray, weights: GuideWeights
) -> np.ndarray:
    """Stack the guides that are compared at patch centres, each times the root of its weight: [S, S, G] float32."""
    size = picture.shape[0]
    planes = [place[..., axis] * np.sqrt(weights.place) for axis in (0, 1)]
    planes.append(local_contrast(luminance(picture)) * np.sqrt(weights.contrast))
    here = regions.at(size)
    planes += [getattr(here, region) * np.sqrt(getattr(weights, region)) for region in _REGIONS]
    planes += [layout.mask(part, size) * np.sqrt(getattr(weights, part)) for part in _PARTS]
    return np.stack(planes, axis=-1).astype(np.float32)
