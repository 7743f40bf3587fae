"""What the load run's visitors bring: a photo each that nobody else has, and what it must become."""

from __future__ import annotations

import colorsys
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

if TYPE_CHECKING:
    from core.engines.base import DrawOptions
    from core.studio import Studio

EXAMPLES = Path(__file__).resolve().parents[2] / "assets" / "examples"
COMPARED_PX = 64


@dataclass(frozen=True)
class Marked:
    """One visitor's photo, the style they take, and the picture that a direct call of the Studio makes of them.

    Attributes:
        photo: encoded PNG.
        slug: of a ready-made style.
        expected: [64, 64, 3] float32 in [0, 255].
    """

    photo: bytes
    slug: str
    expected: np.ndarray


def photo(number: int) -> bytes:
    """An example face, tinted, mirrored and lit as no other number's."""
    paths = sorted(EXAMPLES.glob("*.png"))
    image = Image.open(paths[number % len(paths)]).convert("RGB")
    if number // len(paths) % 2:
        image = ImageOps.mirror(image)
    tint = colorsys.hsv_to_rgb((number * 0.381966) % 1.0, 0.5, 1.0)
    pixels = np.asarray(image, dtype=np.float32) * (0.35 + 0.65 * np.array(tint, dtype=np.float32))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def small(image: Image.Image) -> np.ndarray:
    """A picture as it is compared: [64, 64, 3] float32."""
    reduced = image.convert("RGB").resize((COMPARED_PX, COMPARED_PX), Image.Resampling.BOX)
    return np.asarray(reduced, dtype=np.float32)


def scene(studio: Studio, count: int, options: DrawOptions) -> list[Marked]:
    """Photos, styles and expected pictures of `count` visitors, made without a server."""
    from core.imaging.photo import load_photo

    ready, made = studio.ready_styles(), []
    for number in range(count):
        card, content = ready[number % len(ready)], photo(number)
        face = studio.align(load_photo(content, name="me.png"))
        drawn = studio.stylize(face, studio.load_style(card.path), options)
        made.append(Marked(content, card.slug, small(drawn.image)))
    return made


def nearest(picture: np.ndarray, scenes: list[Marked], slug: str) -> tuple[int, float]:
    """Which visitor's expected picture a result in a style is closest to, and the mean difference to it."""
    away = [
        float(np.abs(picture - marked.expected).mean()) if marked.slug == slug else float("inf") for marked in scenes
    ]
    best = int(np.argmin(away))
    return best, away[best]
