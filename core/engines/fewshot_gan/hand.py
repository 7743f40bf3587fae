"""The artist's hand of a style: its references with their layouts, and portraits drawn with their brushwork."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from PIL import Image

from core.brushwork.palette import lightness, mean_in, resized
from core.brushwork.portrait import portrait_levels
from core.brushwork.settings import PortraitSettings
from core.brushwork.sitter import Sitter
from core.brushwork.synthesize import BrushSettings, Reference
from core.engines.base import DrawOptions
from core.imaging.align import AlignedFace
from core.imaging.deform import ANCHORS, fit_warp, shaped, warp_layout, warp_picture
from core.imaging.layout import FaceLayout, LayoutReader
from core.imaging.photo import to_array

STORED_PX = 1024  # references are kept at most so large
QUALITY = 88
MIN_STORED_PX = 64


@dataclass(frozen=True, eq=False)
class HandReference:
    """One reference as a style keeps it.

    Attributes:
        webp: the aligned artwork, square RGB, encoded.
        layout: where its parts lie.
    """

    webp: bytes = field(repr=False)
    layout: FaceLayout = field(repr=False)


@dataclass(frozen=True, eq=False)
class Hand:
    """The references of a style, 1 to 14."""

    references: tuple[HandReference, ...]

    @property
    def proportions(self) -> np.ndarray:
        """Mean landmarks [468, 2] of the references, in shares of the FFHQ crop."""
        mean: np.ndarray = np.mean([reference.layout.landmarks for reference in self.references], axis=0)
        return mean


def read_hand(faces: Sequence[AlignedFace], reader: LayoutReader) -> Hand:
    """Keep aligned artworks as a style's hand."""
    layouts = reader.read_all([face.image for face in faces])
    return Hand(tuple(HandReference(_encoded(face.image), layout) for face, layout in zip(faces, layouts, strict=True)))


def read_sitter(face: AlignedFace, reader: LayoutReader, hand: Hand, shape: float) -> Sitter:
    """Read a photo's layout and give the face the hand's proportions as far as `shape` says."""
    layout = reader.read(face.image)
    pixels = to_array(face.image)
    if shape > 0:
        landmarks = shaped(layout, hand.proportions, shape)
        warp = fit_warp(landmarks[ANCHORS], layout.landmarks[ANCHORS])
        pixels, layout = warp_picture(pixels, warp), warp_layout(layout, warp, landmarks)
    return Sitter.of(pixels, layout)


def lead_reference(hand: Hand, sitter: Sitter) -> Reference:
    """Choose the reference that is most like the sitter in layout, tone of skin and hair.

    References of several hands would make patchwork, so a portrait has one lead.
    """
    if len(hand.references) == 1:
        return decoded(hand.references[0])
    own = _tones(sitter.pixels, sitter.layout)
    return decoded(min(hand.references, key=lambda reference: _unlikeness(sitter.layout, own, reference)))


def brushed_levels(sitter: Sitter, hand: Hand, options: DrawOptions, *, threads: int) -> Iterator[np.ndarray]:
    """Draw a sitter with the hand's brushwork, rough levels first: [S, S, 3] float32 RGB in 0..1."""
    settings = PortraitSettings(
        size_px=int(options.size),
        skin_tone=options.skin_tone,
        background=options.background,
        brush=BrushSettings(threads=threads, seed=options.seed),
    )
    return portrait_levels(sitter, lead_reference(hand, sitter), settings)


@lru_cache(maxsize=8)
def decoded(reference: HandReference) -> Reference:
    """Decode a reference; the last ones stay in memory, 17 MB each."""
    return Reference.of(_pixels(reference), reference.layout)


@lru_cache(maxsize=64)
def _tones_of(reference: HandReference) -> tuple[float, float]:
    return _tones(_pixels(reference), reference.layout)


def _pixels(reference: HandReference) -> np.ndarray:
    with Image.open(io.BytesIO(reference.webp), formats=["WEBP"]) as image:
        return to_array(image)


def _encoded(image: Image.Image) -> bytes:
    kept = image.convert("RGB")
    if kept.width > STORED_PX:
        kept = kept.resize((STORED_PX, STORED_PX), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    kept.save(buffer, format="WEBP", quality=QUALITY, method=4)
    return buffer.getvalue()


def _unlikeness(layout: FaceLayout, tones: tuple[float, float], reference: HandReference) -> float:
    """Sum differences of landmarks (in shares of the side), and of the lightness of skin and hair."""
    apart = layout.landmarks - reference.layout.landmarks
    points = float(np.abs(apart - apart.mean(0)).mean())
    return 20 * points + sum(abs(a - b) / 100 for a, b in zip(tones, _tones_of(reference), strict=True))


def _tones(pixels: np.ndarray, layout: FaceLayout) -> tuple[float, float]:
    """Return the mean L* of face and hair."""
    light = lightness(resized(pixels, 128))
    return mean_in(light, layout.mask("face", 128)), mean_in(light, layout.mask("hair", 128))
