"""The last touch: edges as crisp as the reference's, skin as calm, hair as rich in detail."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from core.brushwork.palette import blurred, laplacian_bands, luminance, resized
from core.brushwork.sitter import Sitter, bare_skin, own_lines, soft_features
from core.brushwork.synthesize import KEPT, Reference

_CRISPEST = 2.0, 1.7, 1.5  # times which bands of 0.8, 1.6 and 3.2 px may be strengthened
_EDGES = 0.93  # quantile of a band's strength that stands for edges
_FAINT = 0.012  # strength of detail below which it isn't strengthened
_DETAIL_BANDS, _SURELY = 4, 0.8  # in which skin is calmed and hair enriched
_GAINS = 0.4, 2.0


def crisp(pixels: np.ndarray, sitter: Sitter, reference: Reference) -> np.ndarray:
    """Make edges as crisp as the reference's where they are softer, skin as calm, and hair as rich in detail.

    Faint detail isn't strengthened, or noise would come out; features and glasses are not calmed.
    """
    size = pixels.shape[0]
    regions, there = sitter.regions.at(size), _details_of(reference, size)
    cover = 1 - regions.background
    bare, hairy = _surely(sitter, size)
    own = np.maximum(0.8 * soft_features(sitter, size), np.clip(1.3 * own_lines(luminance(pixels), sitter), 0, 1))
    made = pixels.astype(np.float32)
    bands = laplacian_bands(made, len(there.skin), cover)
    for number, (skin, hair, band) in enumerate(zip(there.skin, there.hair, bands, strict=False)):
        grey, gain = luminance(band), np.zeros_like(cover)
        if number < len(_CRISPEST):
            now = float(np.quantile(np.abs(grey[cover > 0.5]), _EDGES)) if (cover > 0.5).any() else 0.0
            more = min(max(there.edges[number] / max(now, 1e-4), 1.0), _CRISPEST[number]) - 1
            energy = np.sqrt(blurred(grey**2, 2.0 ** (number + 1)).clip(1e-10))
            gain = more * (cover - regions.hair) * np.clip(energy / _FAINT - 0.5, 0, 1)
        crisper = band + (gain * grey)[..., None]
        calmer = min(_gain(luminance(crisper), bare, skin), 1.0) - 1
        richer = max(_gain(grey, hairy, hair), 1.0) - 1
        made += crisper - band + (calmer * regions.skin * (1 - own) + richer * regions.hair)[..., None] * crisper
    return made.clip(0, 1)


def _surely(portrait: Sitter | Reference, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Say where bare skin and hair surely are: each [S, S] bool."""
    hair = cv2.erode(portrait.regions.at(size).hair, np.ones((5, 5), np.uint8))
    return bare_skin(portrait, size) > _SURELY, hair > _SURELY


def _gain(band: np.ndarray, mask: np.ndarray, wanted: float) -> float:
    """Say by what to multiply a band [S, S] for a wanted deviation under a mask [S, S], within bounds."""
    now = float(band[mask].std()) if mask.any() else 0.0
    return float(np.clip(wanted / now, *_GAINS)) if now > 0 and wanted > 0 else 1.0


@dataclass(frozen=True)
class _Details:
    """How strong bands of luminance are: at edges, and their deviations on bare skin and in hair; 0 without any."""

    edges: list[float]
    skin: list[float]
    hair: list[float]


@lru_cache(maxsize=KEPT)
def _details_of(reference: Reference, size: int) -> _Details:
    """Read them from a reference."""
    cover, (bare, hairy) = 1 - reference.regions.at(size).background, _surely(reference, size)
    grey = luminance(resized(reference.pixels, size))[..., None]
    count = _DETAIL_BANDS + (size > 512)
    bands = [band[..., 0] for band in laplacian_bands(grey, count, cover)][:count]
    edges = [float(np.quantile(np.abs(band[cover > 0.5]), _EDGES)) for band in bands[: len(_CRISPEST)]]
    deviations = [[float(band[mask].std()) if mask.any() else 0.0 for band in bands] for mask in (bare, hairy)]
    return _Details(edges, *deviations)
