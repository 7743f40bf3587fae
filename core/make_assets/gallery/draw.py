"""Draws the references of the ready-made styles, trains them, and writes what ships of them.

Everything is made from invented faces: `engine` is one with the embedded backbone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from core.engines.base import Style, TrainingStep, run_to_end
from core.engines.fewshot_gan.engine import FewShotGan
from core.imaging.align import AlignedFace, use_as_aligned
from core.imaging.photo import Photo, to_image, to_tensor
from core.procedural.drawings import READY_MADE, DrawnStyle, draw

REFERENCE_FACES = (2, 4, 9, 12, 16, 23)  # rows of the sample faces that the references are drawn from
EXAMPLE_FACES = (22, 1, 14)  # rows that are shown as example photos
THUMBNAIL_FACE = 22
SEED = 7


def draw_references(
    engine: FewShotGan, slug: str, style: DrawnStyle, rows: Sequence[int] = REFERENCE_FACES
) -> list[AlignedFace]:
    """Draw these invented faces in a drawing style."""
    rng = torch.Generator().manual_seed(SEED)
    drawings = [to_image(draw(style, to_tensor(engine.sampled_face(row).image), rng)) for row in rows]
    size_px = engine.capabilities.resolution_px
    return [
        use_as_aligned(Photo(drawing, f"{slug} {number}"), size_px=size_px)
        for number, drawing in enumerate(drawings, start=1)
    ]


def train_style(engine: FewShotGan, slug: str, *, steps: int | None = None) -> Style:
    """Draw the references of a ready-made style and train it, telling of every 25th step.

    Args:
        steps: instead of those of the style's preset.
    """
    style = READY_MADE[slug]

    def tell(item: TrainingStep) -> None:
        if item.step % 25 == 0:
            print(f"{slug}: step {item.step} of {item.steps}, loss {item.loss:.3f}", flush=True)

    config = engine.config(style.preset, seed=SEED, **({} if steps is None else {"steps": steps}))
    return run_to_end(engine.train(draw_references(engine, slug, style), config, name=style.title), tell)


def write_styles(engine: FewShotGan, slugs: Sequence[str], assets: Path, *, steps: int | None = None) -> None:
    """Train these ready-made styles and write `styles/SLUG.safetensors`; `steps` as in `train_style`."""
    for slug in slugs:
        engine.save_style(train_style(engine, slug, steps=steps), assets / "styles" / f"{slug}.safetensors")


def write_pictures(engine: FewShotGan, assets: Path) -> None:
    """Write the example photos, every ready-made style's picture, and the index of the styles."""
    examples, styles = assets / "examples", assets / "styles"
    examples.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(EXAMPLE_FACES, start=1):
        engine.sampled_face(row).image.save(examples / f"face_{number}.png")
    shown = engine.prepare(engine.sampled_face(THUMBNAIL_FACE))
    for slug in READY_MADE:
        trained = engine.load_style(styles / f"{slug}.safetensors")
        engine.draw(shown, trained).image.save(styles / f"{slug}.webp", quality=90)
    index = [
        {"slug": slug, "title": style.title, "references": len(REFERENCE_FACES)} for slug, style in READY_MADE.items()
    ]
    (styles / "index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
