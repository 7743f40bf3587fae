"""The two study packs that ship: which photos and arms they have, and how they are rendered again."""

from __future__ import annotations

from pathlib import Path

from core.config import PAPER_ARMS
from core.engines.fewshot_gan.engine import FewShotGan
from core.make_assets.gallery.draw import SEED, draw_references
from core.make_assets.packs.build import PackPlan, build_pack
from core.procedural.drawings import PACK_STYLES
from core.progress import OnProgress, ignore_progress
from core.studio import Studio
from core.study.protocol.packs import Pack

PHOTO_FACES = (0, 1, 3, 7, 14, 15, 17, 18, 19, 20, 22)  # rows of the sample faces, none of them a reference
PLANS = {
    plan.slug: plan
    for plan in (
        PackPlan(
            "watercolour",
            "Watercolour portraits",
            tuple(arm.id for arm in PAPER_ARMS),
            PACK_STYLES["watercolour"].preset,
            seed=SEED,
        ),
        PackPlan("cartoon", "Cartoon portraits", ("ours-one", "ours-few"), PACK_STYLES["cartoon"].preset, seed=SEED),
    )
}
# Whose arms are kept for comparisons on a visitor's own photo.
COMPARED_LIVE = ("watercolour",)


def rebuild(engine: FewShotGan, slug: str, study: Path, on_progress: OnProgress = ignore_progress) -> Pack:
    """Render one of the shipped packs again in place of the old one.

    Args:
        engine: with the embedded backbone, whose invented faces are photos and references.
        slug: of the pack.
        study: folder of the packs, and of the arms' styles.
        on_progress: hears of trainings and drawings.
    """
    return build_pack(
        Studio(engine),
        [engine.sampled_face(row) for row in PHOTO_FACES],
        [draw_references(engine, slug, PACK_STYLES[slug])],
        PLANS[slug],
        study / slug,
        keep_styles=study / "arms" / slug if slug in COMPARED_LIVE else None,
        on_progress=on_progress,
    )
