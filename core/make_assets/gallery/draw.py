"""Draws the references of the ready-made styles, trains them, and writes what ships of them.

Everything is made from invented faces: `engine` is one with the embedded backbone. The styles are trained as a
visitor's own would be, from the drawings that `core.procedural.techniques` makes of a few faces.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from core.brushwork.painted import restored
from core.brushwork.palette import blurred, laplacian_bands
from core.brushwork.regions import find_regions
from core.engines.base import DrawOptions, Style, TrainingStep, run_to_end
from core.engines.fewshot_gan.engine import FewShotGan
from core.engines.layouts import layout_reader
from core.imaging.align import AlignedFace, use_as_aligned
from core.imaging.photo import Photo, array_to_image, to_array, to_image, to_tensor
from core.procedural.drawings import DrawnStyle, draw
from core.procedural.techniques import TECHNIQUES, Portrait

REFERENCE_FACES = (2, 4, 12, 16)  # rows of the sample faces that the references are drawn from
PACK_FACES = (2, 4, 9, 12, 16, 23)  # the same for the study packs
EXAMPLE_FACES = (22, 1, 14, 17)  # rows that are shown as example photos
EXAMPLE_PX = 512
THUMBNAIL_FACE = 22
THUMBNAIL_PX = 384
DRAWING_PX = 1024
STEPS = 60
SEED = 7
_CRISPER = 2.2, 1.6, 1.15, 1.0  # times the bands of an invented face, the finest first
_GRAIN, _GRAIN_SIGMA = 0.012, 0.7  # of skin, as a camera has it
# In the order to show; techniques that are left out look too much like another one.
READY_MADE = (
    *("watercolour", "oil", "cross-hatching", "halftone", "charcoal", "paper-cut", "gouache", "woodcut"),
    *("stained-glass", "ink-wash", "cel", "scratchboard"),
)


def draw_references(
    engine: FewShotGan, slug: str, style: DrawnStyle, rows: Sequence[int] = PACK_FACES
) -> list[AlignedFace]:
    """Draw these invented faces in a drawing style of the packs or sets, at the model's own resolution."""
    rng = torch.Generator().manual_seed(SEED)
    drawings = [to_image(draw(style, to_tensor(engine.sampled_face(row).image), rng)) for row in rows]
    size_px = engine.capabilities.resolution_px
    return [
        use_as_aligned(Photo(drawing, f"{slug} {number}"), size_px=size_px)
        for number, drawing in enumerate(drawings, start=1)
    ]


def invented_face(engine: FewShotGan, row: int, size_px: int) -> Image.Image:
    """Return one of the model's invented faces as a photo would show it, square.

    The model is small and leaves eyes dull and hair a smear; those are drawn anew, and edges made crisp.
    """
    face = engine.sampled_face(row).image.resize((size_px, size_px), Image.Resampling.LANCZOS)
    pixels, layout = to_array(face), layout_reader().read(face)
    regions = find_regions(pixels, layout).at(size_px)
    bands = laplacian_bands(restored(pixels, layout, regions.hair), len(_CRISPER) - 1)
    crisp = np.sum([gain * band for gain, band in zip(_CRISPER, bands, strict=True)], axis=0)
    grain = blurred(np.random.default_rng(row).normal(size=(size_px, size_px)).astype(np.float32), _GRAIN_SIGMA)
    crisp += _GRAIN / grain.std() * (grain * regions.skin)[..., None]
    return array_to_image(crisp)


def draw_technique(
    engine: FewShotGan, slug: str, rows: Sequence[int] = REFERENCE_FACES, *, size_px: int = DRAWING_PX
) -> list[AlignedFace]:
    """Draw these invented faces in a technique."""
    drawn = []
    for number, row in enumerate(rows, start=1):
        face = engine.sampled_face(row).image.resize((size_px, size_px), Image.Resampling.LANCZOS)
        pixels = to_array(face)
        made = TECHNIQUES[slug].draw(pixels, _portrait(face, pixels), np.random.default_rng(SEED + row))
        drawn.append(use_as_aligned(Photo(array_to_image(made), f"{slug} {number}"), size_px=size_px))
    return drawn


def _portrait(face: Image.Image, pixels: np.ndarray) -> Portrait:
    layout = layout_reader().read(face)
    regions = find_regions(pixels, layout).at(face.width)
    skin = np.maximum(layout.mask("face", face.width), regions.skin) * (1 - regions.hair)
    return Portrait(layout.landmarks68(face.width), 1 - regions.background, regions.hair, skin)


def train_style(engine: FewShotGan, slug: str, *, steps: int = STEPS, size_px: int = DRAWING_PX) -> Style:
    """Draw the references of a ready-made style and train it, telling of every 25th step."""

    def tell(item: TrainingStep) -> None:
        if item.step % 25 == 0:
            print(f"{slug}: step {item.step} of {item.steps}, loss {item.loss:.3f}", flush=True)

    references = draw_technique(engine, slug, size_px=size_px)
    config = engine.config("sketch", seed=SEED, steps=steps)
    return run_to_end(engine.train(references, config, name=TECHNIQUES[slug].title), tell)


def write_styles(
    engine: FewShotGan, slugs: Sequence[str], assets: Path, *, steps: int = STEPS, size_px: int = DRAWING_PX
) -> None:
    """Train these ready-made styles and write `styles/SLUG.safetensors`; `steps`, `size_px` as in `train_style`."""
    for slug in slugs:
        style = train_style(engine, slug, steps=steps, size_px=size_px)
        engine.save_style(style, assets / "styles" / f"{slug}.safetensors")


def write_pictures(engine: FewShotGan, assets: Path, slugs: Sequence[str] = READY_MADE) -> None:
    """Write the example photos, every ready-made style's picture, and the index of the styles."""
    examples, styles = assets / "examples", assets / "styles"
    examples.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(EXAMPLE_FACES, start=1):
        invented_face(engine, row, EXAMPLE_PX).save(examples / f"face_{number}.png", optimize=True)
    photo = Photo(invented_face(engine, THUMBNAIL_FACE, EXAMPLE_PX), "face")
    shown = engine.prepare(use_as_aligned(photo, size_px=EXAMPLE_PX))
    small = (THUMBNAIL_PX, THUMBNAIL_PX)
    index = []
    for slug in slugs:
        style = engine.load_style(styles / f"{slug}.safetensors")
        picture = engine.draw(shown, style, DrawOptions()).image.resize(small, Image.Resampling.LANCZOS)
        picture.save(styles / f"{slug}.webp", quality=85)
        index.append({"slug": slug, "title": style.name, "references": style.references})
    (styles / "index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
