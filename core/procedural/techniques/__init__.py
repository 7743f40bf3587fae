"""Techniques of drawing a portrait, by our own code at 1024 px: references that look like an artist's hand.

Each takes an aligned photo, what is known of its face, and a source of chance; the same three give the same drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from core.procedural.techniques import caricature, cel, glass, lines, paint, prints, washes
from core.procedural.techniques.fields import Array
from core.procedural.techniques.portrait import Portrait

Draw = Callable[[Array, Portrait, np.random.Generator], Array]

__all__ = ["TECHNIQUES", "Draw", "Portrait", "Technique"]


@dataclass(frozen=True)
class Technique:
    """A way to draw.

    Attributes:
        title: for visitors.
        draw: (photo [H, W, 3] RGB in [0, 1], its portrait, chance) -> drawing of the same shape.
    """

    title: str
    draw: Draw


TECHNIQUES: Mapping[str, Technique] = MappingProxyType(
    {
        "ink-line": Technique("Brush and ink", lines.ink_line),
        "cross-hatching": Technique("Pen cross-hatching", lines.cross_hatching),
        "scratchboard": Technique("Scratchboard", lines.scratchboard),
        "stipple": Technique("Stipple", lines.stipple),
        "woodcut": Technique("Woodcut", prints.woodcut),
        "charcoal": Technique("Charcoal", paint.charcoal),
        "pastel": Technique("Soft pastel", paint.pastel),
        "watercolour": Technique("Watercolour", washes.watercolour),
        "ink-wash": Technique("Ink wash", washes.ink_wash),
        "gouache": Technique("Gouache", paint.gouache),
        "oil": Technique("Oil, impasto", paint.oil),
        "caricature": Technique("Caricature", caricature.caricature),
        "cel": Technique("Cel animation", cel.cel),
        "halftone": Technique("Pop-art halftone", prints.halftone),
        "paper-cut": Technique("Layered paper", prints.paper_cut),
        "stained-glass": Technique("Stained glass", glass.stained_glass),
        "mosaic": Technique("Mosaic", glass.mosaic),
    }
)
