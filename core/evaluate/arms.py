"""JoJoGAN and ours, one-shot and few-shot, over the same photos and references with one seed; and their ablations.

Every arm draws every photo and is measured against the photo and against all references (also the one-shot arms: the
style is the group's). Differences between arms are paired by photo.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.config import PAPER_ARMS, Arm, CropMode
from core.engines.fewshot_gan.measure.ablations import Ablation, Value
from core.errors import PicturesUnusable
from core.evaluate.metric_networks import MetricNetworks
from core.evaluate.panel import Panel, Trained, make_panel, train_and_draw
from core.evaluate.plans import TrainingPlan
from core.evaluate.scores import Scores, StyleTarget, Subject, score, subject_of
from core.evaluate.train_arms import arm_config, arm_references
from core.imaging.listing import Listed
from core.imaging.photo import save_png, to_tensor
from core.metrics.crops import at_side
from core.progress import OnProgress, ignore_progress
from core.studio import Studio

ABLATED = next(arm for arm in PAPER_ARMS if arm.id == "ours-few")


@dataclass(frozen=True)
class Comparison:
    """Everything that arms are compared on.

    Attributes:
        panel: photos and references.
        subjects: the photos, ready to be compared with.
        style: the references' statistics.
    """

    panel: Panel
    subjects: tuple[Subject, ...]
    style: StyleTarget


@dataclass(frozen=True)
class ArmRun(Trained):
    """A trained arm with its scores, by photo."""

    arm: Arm
    rows: tuple[Scores, ...]


def make_comparison(
    studio: Studio,
    listed: Sequence[Listed],
    references: Sequence[Path],
    networks: MetricNetworks,
    *,
    crop: CropMode = "detect",
    reference_crop: CropMode = "detect",
    on_progress: OnProgress = ignore_progress,
) -> Comparison:
    """Align and read everything once; the arguments are those of `make_panel`.

    Raises:
        PicturesUnusable: fewer than two references or usable photos, since few-shot needs several and intervals too.
        NoReferences, TooManyReferences, StyleIdentityError: as `make_panel`.
    """
    if len(references) == 1:
        raise PicturesUnusable(references[0].name, "is the only reference, and few-shot needs two or more; add another")
    cuts = {"crop": crop, "reference_crop": reference_crop}
    panel = make_panel(studio, listed, references, **cuts, on_progress=on_progress)
    if len(panel.photos) == 1:
        name = panel.photos[0].face.name
        raise PicturesUnusable(name, "is the only usable photo, and intervals over photos need two or more")
    subjects = tuple(subject_of(photo.face, networks) for photo in panel.photos)
    return Comparison(
        panel, subjects, StyleTarget([to_tensor(at_side(face.image)) for face in panel.references], networks)
    )


def run_arm(
    studio: Studio,
    arm: Arm,
    comparison: Comparison,
    plan: TrainingPlan,
    *,
    references: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    label: str = "",
    on_progress: OnProgress = ignore_progress,
) -> ArmRun:
    """Train one arm, draw and measure every photo.

    Args:
        studio, arm, comparison, plan: what runs.
        references: only the first so many of the panel's.
        overrides: hyper-parameters of an ablation.
        label: for the progress bar; the arm's id where empty.
        on_progress: hears of every step and every drawing.
    """
    panel = comparison.panel
    config = arm_config(studio, arm, preset=plan.preset, seed=plan.seed, steps=plan.steps, overrides=overrides)
    used = arm_references(arm, panel.references[:references])
    trained = train_and_draw(studio, panel.photos, used, config, name=arm.id, label=label, on_progress=on_progress)
    pairs = zip(trained.drawings, comparison.subjects, strict=True)
    rows = tuple(score(drawing, photo, comparison.style) for drawing, photo in pairs)
    return ArmRun(**vars(trained), arm=arm, rows=rows)


def run_arms(
    studio: Studio,
    comparison: Comparison,
    plan: TrainingPlan,
    save: Path,
    *,
    on_progress: OnProgress = ignore_progress,
) -> list[ArmRun]:
    """Run all four arms; writes `save/<arm>/<photo>.png` and `save/styles/<arm>.safetensors`."""
    (save / "styles").mkdir(parents=True, exist_ok=True)
    runs = []
    for arm in PAPER_ARMS:
        run = run_arm(studio, arm, comparison, plan, on_progress=on_progress)
        (save / arm.id).mkdir(exist_ok=True)
        for photo, drawing in zip(comparison.subjects, run.drawings, strict=True):
            save_png(drawing, save / arm.id / f"{Path(photo.name).stem}.png")
        studio.save_style(run.style, save / "styles" / f"{arm.id}.safetensors")
        runs.append(run)
    return runs


def check_counts(ablations: Sequence[Ablation], given: int, name: str) -> None:
    """Refuse more references than there are, before anything is trained. Raises PicturesUnusable."""
    wanted = max((ablation.most_references for ablation in ablations), default=0)
    if wanted > given:
        raise PicturesUnusable(name, f"has {given} references, and --ablate references={wanted} needs {wanted}")


def run_ablation(
    studio: Studio,
    ablation: Ablation,
    comparison: Comparison,
    plan: TrainingPlan,
    known: Sequence[ArmRun] = (),
    *,
    on_progress: OnProgress = ignore_progress,
) -> list[tuple[Value, ArmRun]]:
    """Run our few-shot arm once per value; one in `known` with the same settings and references is reused."""
    default = arm_config(studio, ABLATED, preset=plan.preset, seed=plan.seed, steps=plan.steps)
    runs = []
    for value in ablation.values:
        overrides, count = ablation.overrides(value, default), ablation.references(value)
        config = replace(default, **overrides)
        used = count or len(comparison.panel.references)
        run = next((run for run in known if run.config == config and run.references == used), None)
        if run is None:
            label = f"{ablation.axis} {value.label}"
            run = run_arm(
                studio, ABLATED, comparison, plan,
                references=count, overrides=overrides, label=label, on_progress=on_progress,
            )  # fmt: skip
        runs.append((value, run))
    return runs
