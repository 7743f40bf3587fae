"""`python -m core.make_assets.gallery`: draw the references of the ready-made styles, train them, and write `assets/`.

Writes `assets/styles/SLUG.safetensors`, its picture `SLUG.webp`, `shelf.json`, and the example photos in
`assets/examples/`. Everything is made from the embedded backbone's invented faces.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from core.config import ASSETS_DIR
from core.engines.fewshot_gan.style_file import Style
from core.engines.fewshot_gan.synthesize import synthesize
from core.imaging.align import AlignedFace, use_as_aligned
from core.imaging.photo import Photo, to_image, to_tensor
from core.procedural.drawings import READY_MADE, DrawnStyle, draw
from core.studio import Studio

REFERENCE_FACES = (2, 4, 9, 12, 16, 23)  # rows of the sample faces that the references are drawn from
EXAMPLE_FACES = (22, 1, 14)  # rows that are shown as example photos
THUMBNAIL_FACE = 22
SEED = 7


def face_picture(studio: Studio, row: int) -> Image.Image:
    """One of the backbone's invented faces as a picture."""
    faces = studio.backbone.sample_faces
    if faces is None:
        raise ValueError(f"the backbone {studio.backbone.name!r} has no sample faces")
    w_plus = faces.codes[row][None, None].expand(-1, studio.backbone.generator.n_latent, -1)
    return to_image(synthesize(w_plus, faces.features[row][None], studio.backbone))


def as_face(image: Image.Image, name: str, size_px: int) -> AlignedFace:
    """A picture that already is an aligned crop."""
    return use_as_aligned(Photo(image, name), size_px=size_px)


def draw_references(
    studio: Studio, slug: str, look: DrawnStyle, rows: Sequence[int] = REFERENCE_FACES
) -> list[AlignedFace]:
    """The references of a look, drawn from these invented faces."""
    rng = torch.Generator().manual_seed(SEED)
    drawings = [to_image(draw(look, to_tensor(face_picture(studio, row)), rng)) for row in rows]
    return [as_face(drawing, f"{slug} {i + 1}", studio.backbone.resolution) for i, drawing in enumerate(drawings)]


def train_look(studio: Studio, slug: str, look: DrawnStyle) -> Style:
    """Draw the references of a look and train it."""
    references = draw_references(studio, slug, look)
    for item in studio.train(references, studio.config(look.preset, seed=SEED), name=look.title):
        if isinstance(item, Style):
            return item
        if item.step % 25 == 0:
            print(f"{slug}: step {item.step} of {item.steps}, loss {item.loss:.3f}", flush=True)
    raise RuntimeError("training ended without a style")


def train_all(studio: Studio, styles: Path, slugs: list[str]) -> None:
    """Train and write the styles of these slugs."""
    for slug in slugs:
        studio.save_style(train_look(studio, slug, READY_MADE[slug]), styles / f"{slug}.safetensors")


def draw_pictures(studio: Studio, assets: Path) -> None:
    """Write the example photos, every style's picture, and the shelf."""
    (assets / "examples").mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(EXAMPLE_FACES, start=1):
        face_picture(studio, row).save(assets / "examples" / f"face_{number}.png")
    styles = assets / "styles"
    shown = as_face(face_picture(studio, THUMBNAIL_FACE), "example", studio.backbone.resolution)
    for slug in READY_MADE:
        style = studio.load_style(styles / f"{slug}.safetensors")
        studio.stylize(shown, style).image.save(styles / f"{slug}.webp", quality=90)
    cards = [
        {"slug": slug, "title": look.title, "references": len(REFERENCE_FACES)} for slug, look in READY_MADE.items()
    ]
    (styles / "shelf.json").write_text(json.dumps(cards, indent=2) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> None:
    """Parse the options and build."""
    parser = argparse.ArgumentParser(prog="python -m core.make_assets.gallery", description=__doc__)
    parser.add_argument("--assets", type=Path, default=ASSETS_DIR)
    parser.add_argument("--only", nargs="*", choices=sorted(READY_MADE), default=list(READY_MADE), metavar="SLUG")
    options = parser.parse_args(arguments)
    studio = Studio.open("mini")
    train_all(studio, options.assets / "styles", options.only)
    draw_pictures(studio, options.assets)


if __name__ == "__main__":
    main(sys.argv[1:])
