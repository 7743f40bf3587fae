"""How a portrait is put together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from core.brushwork.synthesize import BrushSettings


@dataclass(frozen=True)
class Reach:
    """Up to which scale a portrait is the reference's strokes: sigma in pixels of a 512 px portrait.

    What is coarser follows the person. Less where a face is recognised, more where it is not; and more where the
    reference is of flat colours with hard edges, which soft light would give a metal's shine. Lines on paper are no
    such colours: their wide scales are another person's beard and shadows.
    """

    features: float = 3.0
    skin: float = 6.0


@dataclass(frozen=True)
class PortraitSettings:
    """How a portrait is put together.

    Attributes:
        size_px: of the finished portrait.
        bands: of the pyramid in which values are matched, at 512 px.
        skin_tone: how far the lightness of the skin stays the photo's, 0..1.
        background: calmed from the photo, one colour of the reference, or the reference's own.
        reach: of the strokes.
        painted: how far the photo is flattened to calm patches before it is drawn, 0..1.
        place_colour: how far colours come from the same place of the reference (red lips, a blue light from the
            left) instead of from like tones, 0..1.
        own_lines: how much of the person's own stays where a face has strong lines, 0..1.
        keep_hair: how far the lightness of the hair stays the photo's, 0..1.
        whole: how far values are matched to the reference's as a whole after they were region by region, 0..1; there
            may be more hair or ground in the one picture than in the other.
        brush: patch synthesis.
    """

    size_px: int = 512
    bands: int = 5
    skin_tone: float = 1.0
    background: Literal["photo", "plain", "style"] = "style"
    reach: Reach = Reach()
    painted: float = 0.8
    place_colour: float = 0.45
    own_lines: float = 0.8
    keep_hair: float = 0.1
    whole: float = 0.7
    brush: BrushSettings = field(default_factory=BrushSettings)
