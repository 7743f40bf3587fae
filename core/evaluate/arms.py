"""JoJoGAN and ours, one-shot and few-shot, over the same photos and references with one seed.

Every arm is trained by `core.evaluate.train_arms`, draws every photo, and is measured against the photo and against all references
(also the one-shot arms: the style is the group's). Differences between arms are paired by photo.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from core.config import FinetuneConfig
from core.engines.fewshot_gan.finetune import check_reference_count
from core.engines.fewshot_gan.invert import Inversion
from core.engines.fewshot_gan.style_file import Style
from core.errors import PicturesUnusable, StyleIdentityError
from core.evaluate.cost import Cost, measure_cost
from core.evaluate.measure import Scores, StyleTarget, Subject, score, subject_of
from core.evaluate.metric_networks import Judges
from core.evaluate.train_arms import ARM_SPECS, ArmSpec, arm_config, train_arm
from core.imaging.align import AlignedFace, CropMode
from core.imaging.listing import Listed
from core.imaging.photo import save_png, to_tensor
from core.metrics.crops import align_for_measuring, at_side, read_picture
from core.studio import Studio

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class TrainingPlan:
    """What all arms share.

    Attributes:
        preset: "sketch" or "cartoon".
        seed: of every arm.
        steps: instead of the preset's.
    """

    preset: str = "sketch"
    seed: int = 0
    steps: int | None = None


@dataclass(frozen=True)
class Panel:
    """Everything that arms are compared on.

    Attributes:
        photos: subjects with their inversions.
        references: aligned artworks, the first of which trains one-shot.
        style: their statistics.
        failed: photos that could not be used, with the sentence.
    """

    photos: list[tuple[Subject, Inversion]]
    references: list[AlignedFace]
    style: StyleTarget
    failed: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class ArmRun:
    """A trained arm with its drawings (256 px) and scores, by photo."""

    spec: ArmSpec
    config: FinetuneConfig
    references: int
    style: Style
    cost: Cost
    drawings: list[Image.Image]
    rows: list[Scores]


def align_references(studio: Studio, paths: Sequence[Path], crop: CropMode) -> list[AlignedFace]:
    """Aligned artworks. Raises what aligning raises, `NoReferences` and `TooManyReferences`."""
    check_reference_count(len(paths))
    return [
        align_for_measuring(read_picture(path), studio.backbone.finder, crop, size_px=studio.backbone.resolution)[0]
        for path in paths
    ]


def make_panel(
    studio: Studio,
    listed: Sequence[Listed],
    references: Sequence[Path],
    judges: Judges,
    *,
    crop: CropMode = "detect",
    reference_crop: CropMode = "detect",
    on_progress: Progress = lambda what, done, of: None,
) -> Panel:
    """Align and invert everything once.

    Args:
        crop: how photos are cut, as in `evaluate_reconstruction`.
        reference_crop: how references are cut, likewise.

    Raises:
        PicturesUnusable: fewer than two references or usable photos, since few-shot needs several and intervals too.
        StyleIdentityError: a reference can't be used. Photos that can't are listed under `failed`.
    """
    if len(references) == 1:
        raise PicturesUnusable(references[0].name, "is the only reference, and few-shot needs two or more; add another")
    faces = align_references(studio, references, reference_crop)
    photos, failed = [], []
    for done, item in enumerate(listed):
        on_progress("photos", done, len(listed))
        try:
            face, _ = align_for_measuring(
                read_picture(item.path), studio.backbone.finder, crop, size_px=studio.backbone.resolution
            )
        except StyleIdentityError as error:
            failed.append({"name": item.path.name, "message": str(error)})
            continue
        photos.append((subject_of(face, studio.backbone.finder), studio.invert(face)))
    on_progress("photos", len(listed), len(listed))
    if not photos:
        raise PicturesUnusable(listed[0].path.parent.name, f"holds no usable face ({failed[0]['message']})")
    if len(photos) == 1:
        raise PicturesUnusable(
            photos[0][0].name, "is the only usable photo, and intervals over photos need two or more"
        )
    style = StyleTarget([to_tensor(at_side(face.image)) for face in faces], judges)
    return Panel(photos, faces, style, failed)


def run_arm(
    studio: Studio,
    spec: ArmSpec,
    panel: Panel,
    plan: TrainingPlan,
    judges: Judges,
    *,
    references: int | None = None,
    overrides: Mapping[str, object] | None = None,
    label: str | None = None,
    on_progress: Progress = lambda what, done, of: None,
) -> ArmRun:
    """Train one arm, draw and measure every photo.

    Args:
        references: only the first so many of the panel's.
        overrides: hyper-parameters of an ablation.
        label: for the progress bar; the arm's name by default.
    """
    what, used = label or spec.name, panel.references[:references]
    training = {"preset": plan.preset, "seed": plan.seed, "steps": plan.steps, "overrides": overrides}
    style, cost = measure_cost(
        lambda: train_arm(
            studio, spec, used, **training, on_step=lambda step: on_progress(f"train {what}", step.step, step.steps)
        ),
        studio.backbone.device,
    )
    drawings, rows = [], []
    for done, (photo, inversion) in enumerate(panel.photos):
        on_progress(f"draw {what}", done, len(panel.photos))
        drawings.append(at_side(studio.stylize_inverted(inversion, style).image))
        rows.append(score(drawings[-1], photo, panel.style, judges, studio.backbone.finder))
    on_progress(f"draw {what}", len(panel.photos), len(panel.photos))
    count = len(spec.references(used))
    return ArmRun(spec, arm_config(studio, spec, **training), count, style, cost, drawings, rows)


def run_arms(
    studio: Studio,
    panel: Panel,
    plan: TrainingPlan,
    judges: Judges,
    save: Path,
    *,
    on_progress: Progress = lambda what, done, of: None,
) -> list[ArmRun]:
    """All four arms; writes `save/<arm>/<photo>.png` and `save/styles/<arm>.safetensors`."""
    (save / "styles").mkdir(parents=True, exist_ok=True)
    runs = []
    for spec in ARM_SPECS:
        run = run_arm(studio, spec, panel, plan, judges, on_progress=on_progress)
        (save / spec.name).mkdir(exist_ok=True)
        for (photo, _), drawing in zip(panel.photos, run.drawings, strict=True):
            save_png(drawing, save / spec.name / f"{Path(photo.name).stem}.png")
        studio.save_style(run.style, save / "styles" / f"{spec.name}.safetensors")
        runs.append(run)
    return runs
