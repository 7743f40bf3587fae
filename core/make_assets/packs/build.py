"""Renders a study pack: every photo drawn by each arm, trained on the same references with the same seed.

The paper's study shows JoJoGAN and StyleIdentityGAN, each one-shot and few-shot (Table 1), and in a second round
one-shot against few-shot of StyleIdentityGAN. Here several groups of references may share a pack; trial i uses group
i mod n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from PIL import Image

from core.config import MAX_REFERENCES, PAPER_ARMS, Arm
from core.engines.base import TrainingStep
from core.engines.fewshot_gan.finetune import check_reference_count
from core.errors import PicturesUnusable, StyleIdentityError
from core.evaluate.train_arms import arm_config, train_arm
from core.imaging.align import AlignedFace
from core.imaging.listing import pictures_in
from core.metrics.crops import read_picture
from core.progress import OnProgress, Progress, ignore_progress
from core.reports import as_json
from core.studio import Crop, Studio
from core.study.protocol.packs import Pack
from core.study.protocol.packwriter import TrialPictures, write_pack


@dataclass(frozen=True)
class PackPlan:
    """What a pack is made with.

    Attributes:
        slug, title: the pack's name on disk and for participants; the title must not tell a method.
        arms: ids of the arms that are compared.
        preset: "sketch" or "cartoon".
        steps: instead of the preset's.
        seed: of every training.
    """

    slug: str
    title: str
    arms: tuple[str, ...]
    preset: str = "cartoon"
    steps: int | None = None
    seed: int = 0

    def chosen_arms(self) -> list[Arm]:
        """Return the arms in the order of `PAPER_ARMS`. Raises ValueError for other than two to four known ones."""
        found = [arm for arm in PAPER_ARMS if arm.id in self.arms]
        if len(found) < 2 or len(found) != len(self.arms):
            raise ValueError(f"a pack compares two to four different arms, got {self.arms}")
        return found


@dataclass(frozen=True)
class Provenance:
    """How a pack's pictures came about; stands in its pack.json."""

    backbone: str
    fingerprint: str
    preset: str
    steps: int
    seed: int
    references_per_group: tuple[int, ...]


def faces_in(folder: Path, studio: Studio, crop: Crop = "detect") -> list[AlignedFace]:
    """Align the largest face of every picture directly in a folder, by name.

    Raises:
        PicturesUnusable: no folder, no pictures, or one without a usable face, which the sentence names.
    """
    faces = []
    for path in pictures_in(folder):
        try:
            faces.append(studio.align(read_picture(path), crop=crop))
        except StyleIdentityError as error:
            raise PicturesUnusable(path.name, f"can't be used ({error})") from error
    return faces


def check_reference_folders(folders: Sequence[Path]) -> None:
    """Refuse folders of more than 14 pictures before anything slow is done. Raises PicturesUnusable."""
    for folder in folders:
        count = len(pictures_in(folder))
        if count > MAX_REFERENCES:
            raise PicturesUnusable(folder.name, f"holds {count} style pictures; keep the best {MAX_REFERENCES}")


def build_pack(
    studio: Studio,
    photos: Sequence[AlignedFace],
    references: Sequence[Sequence[AlignedFace]],
    plan: PackPlan,
    out: Path,
    *,
    keep_styles: Path | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Pack:
    """Train the arms on every group of references, draw every photo, write the pack.

    Args:
        studio: trains and draws.
        photos: one trial each.
        references: groups of 1 to 14 artworks; the one-shot arms see the first of a group.
        plan: arms and settings.
        out: the pack's folder; an older pack in it is replaced.
        keep_styles: folder in which the styles trained on the first group are kept, one file per arm.
        on_progress: hears of trainings and drawings, which name no arm: whoever builds a pack may also vote on it.

    Raises:
        ValueError: no photo, no group, arms as in `PackPlan.chosen_arms`, or `out` holds something other than a pack.
        NoReferences, TooManyReferences: a group of another size.
    """
    if not photos or not references:
        raise ValueError(f"needs photos and groups of references, got {len(photos)} and {len(references)}")
    arms = plan.chosen_arms()
    for group in references:
        check_reference_count(len(group))
    prepared = cache(lambda row: studio.prepare(photos[row]))
    drawn: list[dict[str, Image.Image]] = [{} for _ in photos]
    runs = [(number, arm) for number in range(len(references)) for arm in arms]
    for done, (number, arm) in enumerate(runs, start=1):
        what = f"training {done} of {len(runs)}"
        style = train_arm(
            studio,
            arm,
            references[number],
            preset=plan.preset,
            seed=plan.seed,
            steps=plan.steps,
            on_step=partial(_tell_of_step, what, on_progress),
        )
        if keep_styles is not None and number == 0:
            studio.save_style(style, keep_styles / f"{arm.id}.safetensors")
        rows = range(number, len(photos), len(references))
        for step, row in enumerate(rows):
            on_progress(Progress("drawing", step, len(rows)))
            drawn[row][arm.id] = studio.draw(prepared(row), style).image
        on_progress(Progress("drawing", len(rows), len(rows)))
    side_px = max(picture.width for pictures in drawn for picture in pictures.values())
    trials = [
        TrialPictures(
            _at(face.image, side_px),
            tuple(_at(item.image, side_px) for item in references[row % len(references)]),
            {arm: _at(picture, side_px) for arm, picture in drawn[row].items()},
        )
        for row, face in enumerate(photos)
    ]
    return write_pack(
        out,
        slug=plan.slug,
        title=plan.title,
        arms=tuple(arm.id for arm in arms),
        trials=trials,
        provenance=as_json(_provenance(studio, plan, references)),
    )


def _at(picture: Image.Image, side_px: int) -> Image.Image:
    """Bring a square picture to the size of its trial."""
    small = (side_px, side_px)
    return picture if picture.size == small else picture.resize(small, Image.Resampling.LANCZOS)


def _tell_of_step(what: str, on_progress: OnProgress, item: TrainingStep) -> None:
    on_progress(Progress(what, item.step, item.steps))


def _provenance(studio: Studio, plan: PackPlan, references: Sequence[Sequence[AlignedFace]]) -> Provenance:
    model = studio.describe()
    config = arm_config(studio, plan.chosen_arms()[0], preset=plan.preset, seed=plan.seed, steps=plan.steps)
    counts = tuple(len(group) for group in references)
    return Provenance(model.variant, model.fingerprint, plan.preset, config.steps, plan.seed, counts)
