"""The reference's strokes, laid over a person's tones, without what is another person's."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from core.brushwork.palette import ColourRamp, blurred, blurred_apart, chroma_of, flatness, luminance, resized
from core.brushwork.regions import features_of
from core.brushwork.settings import PortraitSettings, Reach
from core.brushwork.sitter import Sitter, bare_skin, own_lines
from core.brushwork.synthesize import KEPT, Level, Reference, voted_details
from core.brushwork.tones import Palettes, is_line_art

_FLAT = 0.15, 0.35  # share of flat colours from which strokes get wider, and where they are widest
_USUAL = 1.6  # times the reference's usual detail on skin, beyond which strokes on skin are weakened
_STRAYS = 3.0, 3.5  # in LAB, added to a ramp's spread; times that by which skin may stray from it
_DARKER = 6.0  # L* by which skin may be darker than its ramp usually is
_COLOUR_SIGMA = 12.0  # of colours that come from their place, in pixels of a 512 px portrait


@lru_cache(maxsize=KEPT)
def _flat_share(reference: Reference) -> float:
    """Say how far a reference is of flat colours, 0..1; line art is not."""
    if is_line_art(reference):
        return 0.0
    size = 512
    flat = flatness(resized(reference.pixels, size), reference.regions.at(size).skin)
    return float(np.clip((flat - _FLAT[0]) / (_FLAT[1] - _FLAT[0]), 0, 1))


def _reach(reference: Reference, settings: PortraitSettings) -> Reach:
    """Return the reach of strokes, wider as far as a reference is of flat colours."""
    share, reach = _flat_share(reference), settings.reach
    return Reach(reach.features * (1 + share / 3), reach.skin * (1 + 2.5 * share))


def stroked(
    level: Level,
    tones: np.ndarray,
    sitter: Sitter,
    reference: Reference,
    palettes: Palettes,
    settings: PortraitSettings,
) -> np.ndarray:
    """Lay the reference's strokes over the person's tones: [S, S, 3].

    Patches bring their fine scales alone. Their means would break cheeks and foreheads into patches of light and
    shade, and no person would be left in them (compare bias-adjusted patches, Darabi et al. 2012, Image Melding).
    """
    size = level.size_px
    scale = size / 512
    here, own_cover = resized(reference.pixels, size), 1 - reference.regions.at(size).background
    cover = 1 - sitter.regions.at(size).background
    reach = _reach(reference, settings)
    sigmas = [scale * sigma for sigma in (reach.skin, reach.features)]
    details = [here - blurred_apart(here, own_cover, sigma) for sigma in sigmas]
    strokes = voted_details(level, details, settings.brush)
    kept = 1 - sitter.regions.at(size).skin[..., None] * (1 - _skin_coloured(level.pixels, palettes.ramps[0]))
    calm = kept * _calm(strokes[0], details[0], sitter, reference)
    wide = _COLOUR_SIGMA * scale
    lips = blurred(sitter.layout.mask("lips", size), size / 64).clip(0, 1)[..., None]  # lipstick is not everybody's
    moved = (
        settings.place_colour * kept * (1 - 0.6 * lips) * chroma_of(blurred_apart(level.pixels - tones, cover, wide))
    )
    shares = (np.ones((size, size), np.float32), _finely(sitter, size))
    own = np.maximum(settings.own_lines * own_lines(luminance(tones), sitter), _unlike(level, sitter))[..., None]
    made = np.zeros_like(tones)
    for sigma, stroke, share in zip(sigmas, strokes, shares, strict=True):
        smooth = blurred_apart(tones, cover, sigma)
        layer = smooth + moved + calm * stroke
        layer += own * (tones - smooth - calm * stroke)
        made += share[..., None] * (layer - made)
    if settings.background != "photo":
        made = tones + cover[..., None] * (made - tones)
    return made


def _skin_coloured(pixels: np.ndarray, ramp: ColourRamp | None) -> np.ndarray:
    """Say where a picture [S, S, 3] has the colours of skin by its ramp: [S, S, 1] in 0..1; all over without one.

    A fringe or a shadow of the hair that lies where a face's forehead is would come along as stains and scratches.
    """
    if ramp is None:
        return np.ones((*pixels.shape[:2], 1), np.float32)
    lab = cv2.cvtColor(pixels.clip(0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)
    away = np.linalg.norm(lab[..., 1:] - ramp.at(lab[..., 0]), axis=-1) / (ramp.spread + _STRAYS[0])
    darker = (ramp.lights[len(ramp.lights) // 4] - lab[..., 0]) / _DARKER
    share: np.ndarray = (_STRAYS[1] - away).clip(0, 1) * (1.5 - darker).clip(0, 1)
    return blurred(share.astype(np.float32), pixels.shape[0] / 128)[..., None]


def _calm(strokes: np.ndarray, details: np.ndarray, sitter: Sitter, reference: Reference) -> np.ndarray:
    """Say how much of the strokes on skin to keep: less where they are far stronger than the reference's skin is.

    Such strokes are the edge of a fringe, a brim or a shadow that the regions took for skin.

    Args:
        strokes: [S, S, 3] as patches brought them.
        details: [S, S, 3] of the reference, from which they came.

    Returns:
        [S, S, 1] in 0..1.
    """
    size = strokes.shape[0]
    there, here = (np.sqrt(blurred((plane**2).mean(-1), size / 128).clip(1e-8)) for plane in (details, strokes))
    bare = bare_skin(reference, size) > 0.5
    if bare.sum() < 64:
        return np.ones((size, size, 1), np.float32)
    usual = _USUAL * float(np.quantile(there[bare], 0.6))
    skin = sitter.regions.at(size).skin
    share: np.ndarray = 1 - skin * (1 - np.minimum(1, usual / here))
    return share[..., None]


def _unlike(level: Level, sitter: Sitter) -> np.ndarray:
    """Say where in the face no patch fits, so that a fringe or another's glasses would come along: [S, S] in 0..1."""
    face = blurred(sitter.layout.mask("face", level.size_px), level.size_px / 64)
    usual = float(np.median(level.cost[face > 0.6])) if (face > 0.6).any() else 1.0
    misfit = np.clip((level.cost / max(usual, 1e-6) - 2) / 3, 0, 1)
    share: np.ndarray = 0.9 * face * blurred(misfit, level.size_px / 128).clip(0, 1)
    return share


def _finely(sitter: Sitter, size: int) -> np.ndarray:
    """Say where strokes are fine: all over the person but on bare skin: [S, S] in 0..1.

    Hair has strands of its own, and a collar would melt in wide strokes.
    """
    features = np.maximum(features_of(sitter.layout, size), 0.7 * sitter.layout.mask("nose", size))
    regions = sitter.regions.at(size)
    fine: np.ndarray = np.maximum(blurred(features, size / 90).clip(0, 1), regions.clothes + regions.hair)
    return fine
