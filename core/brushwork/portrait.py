"""A portrait in a reference's hand: toned by its palette, drawn with its patches, finished so that the person stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from core.brushwork.palette import blurred, keep_lightness, lightness, matched_bands, mean_chroma
from core.brushwork.regions import Regions, find_regions
from core.brushwork.synthesize import BrushSettings, Reference, brush_levels, resized
from core.imaging.layout import FaceLayout

LINE_ART_CHROMA = 12.0  # an artwork with less is of lines and tones on paper, whose white belongs to it:
LINE_ART_SKIN_TONE = 0.5  # there the skin's lightness goes half the way to the photo's


@dataclass(frozen=True)
class PortraitSettings:
    """How a portrait is put together.

    Attributes:
        size_px: of the finished portrait.
        bands: of the pyramid in which values are matched, at 512 px.
        skin_tone, keep_hair: how far the lightness of skin and hair stays the photo's, 0..1.
        background: calmed from the photo, one colour of the reference, or the reference's own.
        own_face, own_features: how much of the toned photo shows in the face, and in brows, eyes, nose and mouth.
        brush: patch synthesis.
    """

    size_px: int = 512
    bands: int = 5
    skin_tone: float = 1.0
    keep_hair: float = 0.4
    background: Literal["photo", "plain", "style"] = "style"
    own_face: float = 0.06
    own_features: float = 0.25
    brush: BrushSettings = field(default_factory=BrushSettings)


@dataclass(frozen=True)
class Sitter:
    """Who is portrayed: a photo [H, H, 3] float32 RGB in 0..1, its layout and its regions."""

    pixels: np.ndarray
    layout: FaceLayout
    regions: Regions

    @classmethod
    def of(cls, pixels: np.ndarray, layout: FaceLayout) -> Sitter:
        """Read the regions of a photo."""
        return cls(pixels, layout, find_regions(pixels, layout))


def toned(sitter: Sitter, reference: Reference, settings: PortraitSettings) -> np.ndarray:
    """Give the photo the reference's tones and grain, but keep how light or dark the person is: [S, S, 3] in 0..1."""
    pixels = resized(sitter.pixels, settings.size_px)
    return _in_palette(_with_background(pixels, sitter, reference, settings), sitter, reference, settings)


def portrait_levels(
    sitter: Sitter, reference: Reference, settings: PortraitSettings = PortraitSettings()
) -> Iterator[np.ndarray]:
    """Draw a portrait: rough ones of 64 px and more first, the finished one last; [S, S, 3] float32 RGB in 0..1."""
    tones = toned(sitter, reference, settings)
    for level in brush_levels(
        tones, sitter.layout, sitter.regions, reference, size_px=settings.size_px, settings=settings.brush
    ):
        if level.size_px < settings.size_px:
            yield level.pixels
            continue
        own = _own_share(sitter, settings)
        mixed = level.pixels + own[..., None] * (tones - level.pixels)
        yield _in_palette(mixed, sitter, reference, settings)


def _with_background(
    pixels: np.ndarray, sitter: Sitter, reference: Reference, settings: PortraitSettings
) -> np.ndarray:
    """Put behind the person what is wanted: the photo without its clutter, a colour, or the reference's ground."""
    size = settings.size_px
    behind = sitter.regions.at(size).background
    if settings.background == "photo":
        ground = _spread(pixels, behind, size / 24)
    else:
        here, own = resized(reference.pixels, size), reference.regions.at(size).background
        if settings.background == "plain":
            ground = np.broadcast_to(_mean_colour(here, own), pixels.shape)
        else:
            ground = _filled(here, own)
    mixed: np.ndarray = pixels + behind[..., None] * (ground - pixels)
    return mixed


def _spread(pixels: np.ndarray, mask: np.ndarray, sigma_px: float) -> np.ndarray:
    """Blur what lies inside a mask, taking nothing from outside."""
    weight = blurred(mask, sigma_px)[..., None]
    spread: np.ndarray = blurred(pixels * mask[..., None], sigma_px) / np.maximum(weight, 1e-3)
    return spread


def _mean_colour(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    weight = mask if mask.mean() > 0.01 else np.ones_like(mask)
    return np.asarray((pixels * weight[..., None]).sum((0, 1)) / weight.sum(), dtype=np.float32)


def _filled(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Continue what lies inside a mask over the rest, coarser with the distance."""
    size = pixels.shape[0]
    known = (mask > 0.9).astype(np.float32)
    filled = np.broadcast_to(_mean_colour(pixels, mask), pixels.shape).copy()
    for sigma in (size / 8, size / 16, size / 32, size / 64):
        weight = blurred(known, sigma)[..., None]
        near = blurred(pixels * known[..., None], sigma) / np.maximum(weight, 1e-3)
        share = np.clip(weight * 4, 0, 1)
        filled += share * (near - filled)
    whole: np.ndarray = filled + known[..., None] * (pixels - filled)
    return whole


def _own_share(sitter: Sitter, settings: PortraitSettings) -> np.ndarray:
    """Say how much of the toned photo shows at each pixel [S, S]."""
    size = settings.size_px
    features = np.maximum.reduce([sitter.layout.mask(part, size) for part in ("eyes", "brows", "lips", "mouth")])
    features = np.maximum(features, 0.7 * sitter.layout.mask("nose", size))
    features = blurred(features, size / 90).clip(0, 1)
    share: np.ndarray = settings.own_face * sitter.layout.mask("face", size)
    shown: np.ndarray = share + (settings.own_features - share) * features
    return shown


def _in_palette(pixels: np.ndarray, sitter: Sitter, reference: Reference, settings: PortraitSettings) -> np.ndarray:
    """Match values region by region, then give skin and hair the photo's lightness back."""
    size = settings.size_px
    regions = sitter.regions.at(size)
    here = resized(reference.pixels, size)
    bands = settings.bands + (size > 512)
    own = reference.regions.at(size).all()
    made = matched_bands(pixels, regions.all(), here, own, bands=bands).clip(0, 1)
    light = lightness(resized(sitter.pixels, size))
    skin_tone = settings.skin_tone * (LINE_ART_SKIN_TONE if mean_chroma(here) < LINE_ART_CHROMA else 1.0)
    for mask, amount in ((regions.skin, skin_tone), (regions.hair, settings.keep_hair)):
        if amount > 0 and mask.sum() > 64:
            wanted = float((light * mask).sum() / mask.sum())
            made = keep_lightness(made, mask, wanted, amount=amount)
    return made
