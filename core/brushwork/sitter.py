"""Who is portrayed: a photo, its layout and its regions; where a face is bare, and where it is itself."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from core.brushwork.painted import blur_of, cleaned
from core.brushwork.palette import blurred
from core.brushwork.regions import Regions, features_of, find_regions, inner_face
from core.brushwork.synthesize import Reference
from core.imaging.layout import FaceLayout

_STRONG = 2.0  # times the usual detail in a face, from which it is glasses rather than wrinkles
_ROUGH, _DARK = 0.9, 0.15  # times the usual detail, and share of the light, from which it may be a beard
_UNDER_NOSE, _FADING = 2, 0.03  # landmark; share of the side over which a beard may begin
_ELSEWHERE = 0.5  # how far strong lines are kept away from the eyes


@dataclass(frozen=True)
class Sitter:
    """Who is portrayed: a photo [H, H, 3] float32 RGB in 0..1, its layout and regions, and how blurred it was, 0..1."""

    pixels: np.ndarray
    layout: FaceLayout
    regions: Regions
    blur: float = 0.0

    @classmethod
    def of(cls, pixels: np.ndarray, layout: FaceLayout) -> Sitter:
        """Read the regions of a photo; a blurred one is cleaned."""
        regions, blur = find_regions(pixels, layout), blur_of(pixels, layout)
        return cls(cleaned(pixels, layout, regions.at(pixels.shape[0]).hair, blur), layout, regions, blur)


def soft_features(portrait: Sitter | Reference, size: int) -> np.ndarray:
    """Say where brows, eyes, lips and mouth are, and a little around: [S, S] in 0..1."""
    soft: np.ndarray = np.clip(2 * blurred(features_of(portrait.layout, size), size / 48), 0, 1)
    return soft


def bare_skin(portrait: Sitter | Reference, size: int) -> np.ndarray:
    """Say where skin surely is, without features: [S, S] in 0..1. Under the brows, for over them may be a fringe."""
    wide = max(3, size // 24)
    skin = cv2.erode(portrait.regions.at(size).skin, np.ones((wide, wide), np.uint8))
    bare: np.ndarray = skin * (soft_features(portrait, size) < 0.2) * (inner_face(portrait.layout, size) > 0.5)
    return bare


def own_lines(grey: np.ndarray, sitter: Sitter) -> np.ndarray:
    """Say where a face is itself: eyes, mouth, detail too strong to be skin, as glasses are: [S, S] in 0..1."""
    size = grey.shape[0]
    face = blurred(sitter.layout.mask("face", size), size / 64)
    energy = np.sqrt(blurred((grey - blurred(grey, size / 128)) ** 2, size / 200).clip(1e-8))
    inside = energy[face > 0.6]
    if inside.size == 0:
        return np.zeros_like(grey)
    usual = float(np.quantile(inside, 0.5)) + 0.004
    eyes, mouth = (
        blurred(np.maximum(*(sitter.layout.mask(part, size) for part in parts)), size / 90).clip(0, 1)
        for parts in (("eyes", "brows"), ("lips", "mouth"))
    )
    around = 0.6 * np.clip(4 * blurred(sitter.layout.mask("eyes", size), size / 24), 0, 1)  # where glasses are
    strong = np.clip((energy / usual - _STRONG) / 2, 0, 1)
    glasses = np.clip(6 * blurred(sitter.layout.mask("eyes", size), size / 14), 0, 1)
    sharp = 1 - sitter.blur  # or a fold's smear would be a scar
    strong = face * np.maximum(glasses * strong, sharp * _ELSEWHERE * blurred(strong, size / 128))
    beard = sharp * _rough_and_dark(grey, energy / usual, sitter)
    share: np.ndarray = np.maximum.reduce([strong, beard, around, eyes, 0.8 * mouth])
    return share


def _rough_and_dark(grey: np.ndarray, energy: np.ndarray, sitter: Sitter) -> np.ndarray:
    """Say where a beard is: under the nose, of more detail than the face usually has, and darker: [S, S] in 0..1."""
    size = grey.shape[0]
    bare = bare_skin(sitter, size) > 0.5
    light = float(np.quantile(grey[bare], 0.6)) if bare.any() else 0.0
    rough = np.clip((blurred(energy, size / 85) - _ROUGH) / _ROUGH, 0, 1)
    dark = np.clip((light - blurred(grey, size / 85)) / max(_DARK * light, 1e-3) - 1, 0, 1)
    below = np.clip((np.arange(size)[:, None] / size - sitter.layout.landmarks[_UNDER_NOSE, 1]) / _FADING, 0, 1)
    inner = cv2.erode(sitter.layout.mask("face", size), np.ones((size // 24, size // 24), np.uint8))
    under = size // 14  # a beard hangs
    inner[under:] = np.maximum(inner[under:], inner[:-under])
    share: np.ndarray = rough * dark * below * blurred(inner, size / 64).clip(0, 1)
    return share
