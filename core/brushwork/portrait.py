"""A portrait in a reference's hand: toned by its palette, drawn with its patches, finished so that the person stays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.brushwork.crisp import crisp
from core.brushwork.ground import ground_of
from core.brushwork.painted import combed, painted
from core.brushwork.palette import blurred_within, resized
from core.brushwork.settings import PortraitSettings
from core.brushwork.sitter import Sitter
from core.brushwork.strands import Strips, with_strands
from core.brushwork.strokes import stroked
from core.brushwork.synthesize import Reference, brush_levels
from core.brushwork.tones import Palettes, in_palette

_STRAY, _STRAY_STROKES = 0.5, 0.8  # share of what strays from a ramp that stays, before strokes are laid and after
_BLURRED = 0.6  # how far a blurred photo isn't painted: its edges would come out hard
_PAINTED_RADIUS, _CLOTHES_RADIUS = 6, 10  # at 512 px; patterns of clothes become a few patches


def portrait_levels(
    sitter: Sitter, reference: Reference, settings: PortraitSettings = PortraitSettings()
) -> Iterator[np.ndarray]:
    """Draw a portrait: rough ones of 64 px and more first, the finished one last; [S, S, 3] float32 RGB in 0..1."""
    size = settings.size_px
    palettes = Palettes.of(reference, size, settings.bands + (size > 512))
    photo = resized(sitter.pixels, size)
    hair, clothes = sitter.regions.at(size).hair, sitter.regions.at(size).clothes[..., None]
    calm = settings.painted * (1 - _BLURRED * sitter.blur) * (1 - hair)[..., None]
    flat = painted(photo, round(_PAINTED_RADIUS * size / 512))
    calmer = painted(resized(flat, size // 2), round(_CLOTHES_RADIUS / 2 * size / 512))
    flat += clothes * (resized(calmer, size) - flat)
    plain = photo + calm * (flat - photo)
    if Strips.of(reference, size) is None:
        plain = combed(plain, settings.painted * hair, seed=settings.brush.seed, threads=settings.brush.threads)
    posed = _with_background(plain, sitter, reference, settings)
    tones = in_palette(posed, sitter, reference, palettes, settings, stray=_STRAY)
    for level in brush_levels(tones, sitter.layout, sitter.regions, reference, size_px=size, settings=settings.brush):
        drawn = stroked(level, resized(tones, level.size_px), sitter, reference, palettes, settings)
        if level.size_px < size:
            yield drawn.clip(0, 1)
        else:
            made = in_palette(drawn, sitter, reference, palettes, settings, stray=_STRAY_STROKES)
            yield crisp(with_strands(made, hair, reference, seed=settings.brush.seed), sitter, reference)


def _with_background(
    pixels: np.ndarray, sitter: Sitter, reference: Reference, settings: PortraitSettings
) -> np.ndarray:
    """Put behind the person what is wanted: the photo without its clutter, a colour, or the reference's ground."""
    size = settings.size_px
    behind = sitter.regions.at(size).background
    if settings.background == "photo":
        ground = blurred_within(pixels, behind, size / 24)
    else:
        ground = ground_of(reference, size, settings.brush.threads)
        if settings.background == "plain":
            ground = np.broadcast_to(ground.mean((0, 1)), pixels.shape)
    here_alone = _without_backdrop(pixels, 1 - behind, size / 40)
    mixed: np.ndarray = here_alone + behind[..., None] * (ground - here_alone)
    return mixed


def _without_backdrop(pixels: np.ndarray, cover: np.ndarray, sigma_px: float) -> np.ndarray:
    """Estimate the person's own colours where strands and backdrop mix (blurred fusion, Forte 2021): [S, S, 3]."""
    person, backdrop = (blurred_within(pixels, mask, sigma_px) for mask in (cover, 1 - cover))
    alpha = cover[..., None]
    own: np.ndarray = person + alpha * (pixels - alpha * person - (1 - alpha) * backdrop)
    return own.clip(0, 1)
