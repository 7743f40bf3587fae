"""`python -m core.make_assets.packs`: render the two study packs that ship, and the styles of the blind comparison.

Photos are eleven of the embedded backbone's invented faces, references the shelf's drawings of six others; the few-shot
arm of ours is the ready-made style itself, so build the shelf first. Writes `assets/study/watercolour` (four arms),
`assets/study/cartoon` (one-shot against few-shot of ours) and `assets/study/arms/watercolour/ARM.safetensors`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from core.config import ASSETS_DIR
from core.imaging.align import AlignedFace
from core.make_assets.gallery.__main__ import SEED, as_face, draw_references, face_picture
from core.make_assets.packs.build import PackPlan, build_pack
from core.procedural.drawings import READY_MADE
from core.studio import Studio
from core.study.protocol.packs import ARMS, Arm

PHOTO_FACES = (0, 1, 3, 7, 14, 15, 17, 18, 19, 20, 22)  # rows of the sample faces, none of them a reference
PLANS = {
    "watercolour": PackPlan("watercolour", "Watercolour portraits", ARMS, READY_MADE["watercolour"].preset, seed=SEED),
    "cartoon": PackPlan(
        "cartoon", "Cartoon portraits", ("ours-one", "ours-few"), READY_MADE["cartoon"].preset, seed=SEED
    ),
}
READY_ARM: Arm = "ours-few"  # what the shelf trains
# Whose other arms are kept for comparisons on a visitor's own photo; what ships stays under 60 MB together.
COMPARED_LIVE = ("watercolour",)


def photo_faces(studio: Studio) -> list[AlignedFace]:
    """The eleven photos of both packs."""
    size_px = studio.backbone.resolution
    return [as_face(face_picture(studio, row), f"face {row}", size_px) for row in PHOTO_FACES]


def rebuild(studio: Studio, slug: str, study: Path) -> None:
    """Render one of the shipped packs again in place of the old one."""
    kept = study / "arms" / slug if slug in COMPARED_LIVE else None
    ready = studio.load_style(ASSETS_DIR / "styles" / f"{slug}.safetensors")
    pack = build_pack(
        studio,
        photo_faces(studio),
        [draw_references(studio, slug, READY_MADE[slug])],
        PLANS[slug],
        study / slug,
        trained={READY_ARM: ready},
        keep_styles=kept,
        on_progress=_tell,
    )
    print(f"{slug}: {len(pack.trials)} trials, {pack.digest}", flush=True)


def _tell(what: str, done: int, of: int) -> None:
    if done % 100 == 0:
        print(f"{what}: {done} of {of}", flush=True)


def main(arguments: list[str]) -> None:
    """Parse the options and build."""
    parser = argparse.ArgumentParser(prog="python -m core.make_assets.packs", description=__doc__)
    parser.add_argument("--study", type=Path, default=ASSETS_DIR / "study")
    parser.add_argument("--only", nargs="*", choices=sorted(PLANS), default=list(PLANS), metavar="SLUG")
    options = parser.parse_args(arguments)
    studio = Studio.open("mini")
    for slug in options.only:
        rebuild(studio, slug, options.study)


if __name__ == "__main__":
    main(sys.argv[1:])
