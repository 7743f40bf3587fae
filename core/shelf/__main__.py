"""`python -m core.shelf`: draw the references of the ready-made styles, train them, and write `assets/`.

Writes `assets/styles/SLUG.safetensors`, its picture `SLUG.webp`, `shelf.json`, and the example photos in
`assets/examples/`. Everything is made from the embedded backbone's invented faces.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from PIL import Image

from core.align import AlignedFace, use_as_aligned
from core.config import ASSETS_DIR
from core.images import Photo, to_image, to_tensor
from core.shelf.drawings import LOOKS, Look, draw
from core.studio import Studio
from core.style import Style

REFERENCES = 6
EXAMPLES = (3, 10, 17)  # rows of the sample faces that are shown as example photos
THUMBNAIL_FACE = 3
SEED = 7


def face_picture(studio: Studio, row: int) -> Image.Image:
    """One of the backbone's invented faces as a picture."""
    faces = studio.backbone.sample_faces
    if faces is None:
        raise ValueError(f"the backbone {studio.backbone.name!r} has no sample faces")
    generator = studio.backbone.generator
    w_plus = faces.codes[row][None, None].expand(-1, generator.n_latent, -1)
    device, part = studio.backbone.device, faces.features[row][None]
    with torch.no_grad():
        return to_image(generator(w_plus.to(device), features=part.to(device), dtype=studio.backbone.dtype))


def as_face(image: Image.Image, name: str, size_px: int) -> AlignedFace:
    """A picture that already is an aligned crop."""
    return use_as_aligned(Photo(image, name), size_px=size_px)


def train_look(studio: Studio, slug: str, look: Look, reference_rows: list[int]) -> tuple[Style, list[Image.Image]]:
    """Draw the references of a look and train it; returns the style and the drawings."""
    rng = torch.Generator().manual_seed(SEED)
    drawings = [to_image(draw(look, to_tensor(face_picture(studio, row)), rng)) for row in reference_rows]
    size_px = studio.backbone.resolution
    references = [as_face(drawing, f"{slug} {i + 1}", size_px) for i, drawing in enumerate(drawings)]
    for item in studio.train(references, studio.config(look.preset, seed=SEED), name=look.title):
        if isinstance(item, Style):
            return item, drawings
        if item.step % 25 == 0:
            print(f"{slug}: step {item.step} of {item.steps}, loss {item.loss:.3f}", flush=True)
    raise RuntimeError("training ended without a style")


def build(studio: Studio, assets: Path, slugs: list[str]) -> None:
    """Write examples, styles, their pictures and the shelf."""
    (assets / "examples").mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(EXAMPLES, start=1):
        face_picture(studio, row).save(assets / "examples" / f"face_{number}.png")
    styles = assets / "styles"
    rows = [row for row in range(len(studio.backbone.sample_faces.codes)) if row not in EXAMPLES]  # type: ignore[union-attr]
    shown = as_face(face_picture(studio, THUMBNAIL_FACE), "example", studio.backbone.resolution)
    for slug in slugs:
        style, _ = train_look(studio, slug, LOOKS[slug], rows[:REFERENCES])
        studio.save_style(style, styles / f"{slug}.safetensors")
        studio.stylize(shown, style).image.save(styles / f"{slug}.webp", quality=90)
    cards = [{"slug": slug, "title": look.title, "references": REFERENCES} for slug, look in LOOKS.items()]
    (styles / "shelf.json").write_text(json.dumps(cards, indent=2) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> None:
    """Parse the options and build."""
    parser = argparse.ArgumentParser(prog="python -m core.shelf", description=__doc__)
    parser.add_argument("--assets", type=Path, default=ASSETS_DIR)
    parser.add_argument("--only", nargs="+", choices=sorted(LOOKS), default=list(LOOKS), metavar="SLUG")
    options = parser.parse_args(arguments)
    build(Studio.open("mini"), options.assets, options.only)


if __name__ == "__main__":
    main(sys.argv[1:])
