"""The comparison of arms as a report: the numbers, and what they say of the paper's claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from core.engines.base import TrainingConfig
from core.engines.fewshot_gan.measure.ablations import Ablation, Axis, Value
from core.evaluate.arms import ArmRun, Comparison
from core.evaluate.intervals import Interval
from core.evaluate.plans import TrainingPlan
from core.evaluate.scores import (
    MEASURES,
    NamedScores,
    SetScores,
    StyleTarget,
    differences,
    named,
    protocols,
    score,
    summarise,
)
from core.reports import Failed
from core.studio import Studio

COMPARED = (
    ("ours-one", "jojogan-one"),
    ("ours-few", "jojogan-few"),
    ("ours-few", "ours-one"),
    ("jojogan-few", "jojogan-one"),
)
CLAIMS = (  # pair, measure, what the paper or the project claims
    ("ours-one - jojogan-one", "identity", "one-shot, ours keeps more identity than JoJoGAN"),
    ("ours-few - jojogan-few", "identity", "few-shot, ours keeps more identity than JoJoGAN"),
    ("ours-one - jojogan-one", "style", "one-shot, ours is as near to the style as JoJoGAN, or nearer"),
    ("ours-few - jojogan-few", "style", "few-shot, ours is as near to the style as JoJoGAN, or nearer"),
    ("ours-few - jojogan-few", "patches", "few-shot, ours is as near to the patches as JoJoGAN, or nearer"),
    ("ours-few - ours-one", "style", "few-shot is nearer to the style than one-shot (ours)"),
    ("jojogan-few - jojogan-one", "style", "few-shot is nearer to the style than one-shot (JoJoGAN)"),
)
LEAST_PHOTOS = 6  # of which all must point one way for a sign test at the 5 % level

Verdict = Literal["better", "worse", "not told apart"]


@dataclass(frozen=True)
class ArmReport(SetScores):
    """One arm: its scores, its settings, and what its training cost."""

    title: str
    references: int
    config: TrainingConfig
    train_seconds: float
    peak_bytes: int | None
    peak_is_of_this_arm: bool
    device_peak_bytes: int | None


@dataclass(frozen=True)
class Claim(Interval):
    """What a paired difference says of a claim: `found` is the verdict on the first arm against the second."""

    claim: str
    found: Verdict
    measure: str
    pair: str


@dataclass(frozen=True)
class AblationPoint(ArmReport):
    """One value of an ablation: as typed, and as a place on the axis."""

    value: str
    number: float


@dataclass(frozen=True)
class AblationReport:
    """An ablation: what varied, the name of its picture, and its points."""

    axis: Axis
    curve: str
    points: tuple[AblationPoint, ...]


@dataclass(frozen=True)
class ArmsReport:
    """The comparison.

    Attributes:
        backbone, fingerprint, preset, seed: what trained.
        n: photos.
        references: names of the style pictures.
        protocols, notes: what the numbers are, and what a reader must know.
        photo_as_it_is: the undrawn photos, scored like drawings.
        arms, differences, pictures: by arm, by pair of arms and measure, by arm and photo.
        claims: what the differences say.
        failed: photos left out.
        sheet: name of the contact sheet.
        ablations: in the order asked for.
    """

    backbone: str
    fingerprint: str
    preset: str
    seed: int
    n: int
    references: tuple[str, ...]
    protocols: dict[str, str]
    notes: tuple[str, ...]
    photo_as_it_is: SetScores
    arms: dict[str, ArmReport]
    differences: dict[str, dict[str, Interval]]
    claims: tuple[Claim, ...]
    failed: tuple[Failed, ...]
    pictures: dict[str, tuple[NamedScores, ...]]
    sheet: str
    ablations: tuple[AblationReport, ...] = ()
    task: Literal["arms"] = "arms"


def arms_report(
    studio: Studio,
    comparison: Comparison,
    plan: TrainingPlan,
    runs: Sequence[ArmRun],
    *,
    sheet: str,
) -> ArmsReport:
    """Bring everything but ablations together; `sheet` is the contact sheet's name."""
    engine, style, photos = studio.describe(), comparison.style, comparison.subjects
    as_they_are = [score(photo.image, photo, style) for photo in photos]
    by_arm = {run.arm.id: run for run in runs}
    compared = {
        f"{first} - {second}": differences(by_arm[first].rows, by_arm[second].rows)
        for first, second in COMPARED
        if first in by_arm and second in by_arm
    }
    names = [photo.name for photo in photos]
    return ArmsReport(
        backbone=engine.variant,
        fingerprint=engine.fingerprint,
        preset=plan.preset,
        seed=plan.seed,
        n=len(photos),
        references=tuple(face.name for face in comparison.panel.references),
        protocols=protocols(style.networks),
        notes=style.networks.notes,
        photo_as_it_is=summarise(as_they_are, [photo.image for photo in photos], style),
        arms={run.arm.id: arm_report(run, style) for run in runs},
        differences=compared,
        claims=claims(compared),
        failed=comparison.panel.failed,
        pictures={run.arm.id: named(names, run.rows) for run in runs},
        sheet=sheet,
    )


def arm_report(run: ArmRun, style: StyleTarget) -> ArmReport:
    """One arm's part of the report."""
    return ArmReport(
        **vars(summarise(run.rows, run.drawings, style)),
        title=run.arm.title,
        references=run.references,
        config=run.config,
        train_seconds=run.cost.seconds,
        peak_bytes=run.cost.peak_bytes,
        peak_is_of_this_arm=run.cost.peak_of_run,
        device_peak_bytes=run.cost.device_peak_bytes,
    )


def ablation_report(
    ablation: Ablation, runs: Sequence[tuple[Value, ArmRun]], style: StyleTarget, curve: str
) -> AblationReport:
    """One entry per value; `curve` is the name of their picture."""
    points = (
        AblationPoint(**vars(arm_report(run, style)), value=value.label, number=ablation.position(value, run.config))
        for value, run in runs
    )
    return AblationReport(ablation.axis, curve, tuple(points))


def claims(compared: Mapping[str, Mapping[str, Interval]]) -> tuple[Claim, ...]:
    """What the paired differences say of each claim whose arms were compared."""
    higher = {measure.name: measure.higher_is_better for measure in MEASURES}
    return tuple(
        Claim(
            **vars(compared[pair][measure]),
            claim=sentence,
            found=verdict(compared[pair][measure], higher_is_better=higher[measure]),
            measure=measure,
            pair=pair,
        )
        for pair, measure, sentence in CLAIMS
        if pair in compared
    )


def verdict(interval: Interval, *, higher_is_better: bool) -> Verdict:
    """Say "better" or "worse" where the whole interval of enough photos lies there from 0, else "not told apart"."""
    if interval.low is None or interval.high is None or interval.n < LEAST_PHOTOS:
        return "not told apart"
    low, high = (interval.low, interval.high) if higher_is_better else (-interval.high, -interval.low)
    return "better" if low > 0 else "worse" if high < 0 else "not told apart"
