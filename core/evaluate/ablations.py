"""The paper's ablations: ours, few-shot, with other values of lambda or alpha, or with other numbers of references.

The paper tries lambda 0.0005, 0.001 and 0.002 with LPIPS on the 1024 px backbone, whose default is 0.001. The embedded
backbone measures identity by another distance, of another scale, and defaults to 0.05, so the same numbers mean
something else there: `lambda=0.5x,1x,2x` are the paper's steps as multiples of the running backbone's default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.config import MAX_REFERENCES
from core.errors import PicturesUnusable
from core.evaluate.arms import ArmRun, Panel, TrainingPlan, run_arm
from core.evaluate.arms_report import arm_report
from core.evaluate.metric_networks import Judges
from core.evaluate.train_arms import ARM_SPECS, ArmSpec, arm_config
from core.studio import Studio

Axis = Literal["lambda", "references", "alpha"]
AXES: tuple[Axis, ...] = ("lambda", "references", "alpha")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Value:
    """One point of an ablation: as typed, and as a number; `relative` to the backbone's default."""

    label: str
    number: float
    relative: bool = False


@dataclass(frozen=True)
class Ablation:
    """What varies, and over which values, in the order typed."""

    axis: Axis
    values: tuple[Value, ...]


def parse_ablation(text: str) -> Ablation:
    """`"lambda=0.5x,1x,2x"`, `"references=1,2,7,14"` or `"alpha=0,0.25,0.5"`; `ValueError` for anything else."""
    axis, equals, listed = text.partition("=")
    if axis not in AXES or not equals:
        raise ValueError(f"--ablate takes lambda=..., references=... or alpha=..., got '{text}'")
    values = tuple(_value(axis, part.strip()) for part in listed.split(","))
    if len({(value.number, value.relative) for value in values}) < len(values):
        raise ValueError(f"--ablate {axis} names a value twice: '{listed}'")
    return Ablation(axis, values)


def _value(axis: Axis, text: str) -> Value:
    relative = text.endswith("x") and axis == "lambda"
    try:
        number = float(text[:-1] if relative else text)
    except ValueError:
        raise ValueError(f"--ablate {axis} takes numbers, got '{text}'") from None
    fits = {
        "lambda": 0 <= number < float("inf"),
        "alpha": 0 <= number <= 1,
        "references": number in range(1, MAX_REFERENCES + 1),
    }
    if not fits[axis]:
        wanted = {"lambda": "0 or more", "alpha": "0 to 1", "references": f"1 to {MAX_REFERENCES}, whole"}
        raise ValueError(f"--ablate {axis} takes values of {wanted[axis]}, got '{text}'")
    return Value(text, number, relative)


def check_counts(ablations: Sequence[Ablation], given: int, name: str) -> None:
    """Refuse more references than there are, before anything is trained: `PicturesUnusable`."""
    wanted = max((v.number for a in ablations if a.axis == "references" for v in a.values), default=0)
    if wanted > given:
        raise PicturesUnusable(name, f"has {given} references, and --ablate references={wanted:g} needs {wanted:g}")


def run_ablation(
    studio: Studio,
    ablation: Ablation,
    panel: Panel,
    plan: TrainingPlan,
    judges: Judges,
    known: Sequence[ArmRun] = (),
    *,
    on_progress: Progress = lambda what, done, of: None,
) -> list[tuple[Value, ArmRun]]:
    """Our few-shot arm once per value; a run in `known` with the same hyper-parameters and references is reused."""
    spec = next(spec for spec in ARM_SPECS if spec.name == "ours-few")
    runs = []
    for value in ablation.values:
        overrides, count = _settings(studio, ablation.axis, value, spec, plan)
        config = arm_config(studio, spec, preset=plan.preset, seed=plan.seed, steps=plan.steps, overrides=overrides)
        used = count or len(panel.references)
        run = next((run for run in known if run.config == config and run.references == used), None)
        if run is None:
            label = f"{ablation.axis} {value.label}"
            run = run_arm(
                studio, spec, panel, plan, judges,
                references=count, overrides=overrides, label=label, on_progress=on_progress,
            )  # fmt: skip
        runs.append((value, run))
    return runs


def _settings(
    studio: Studio, axis: Axis, value: Value, spec: ArmSpec, plan: TrainingPlan
) -> tuple[Mapping[str, object], int | None]:
    """Overrides and the number of references of one point."""
    if axis == "references":
        return {}, int(value.number)
    if axis == "alpha":
        return {"alpha": value.number}, None
    default = arm_config(studio, spec, preset=plan.preset, seed=plan.seed).identity_weight or 0.0
    return {"identity_weight": value.number * default if value.relative else value.number}, None


def ablation_report(
    ablation: Ablation, runs: Sequence[tuple[Value, ArmRun]], panel: Panel, judges: Judges, curve: Path
) -> dict[str, object]:
    """JSON-ready: one entry per value, and the picture of the curves."""
    return {
        "axis": ablation.axis,
        "curve": curve.name,
        "points": [
            {"value": value.label, "number": point_number(ablation.axis, value, run)}
            | arm_report(run, panel.style, judges)
            for value, run in runs
        ],
    }


def point_number(axis: Axis, value: Value, run: ArmRun) -> float:
    """Where a run lies on the axis: the absolute lambda also for relative ones."""
    return float(run.config.identity_weight or 0.0) if axis == "lambda" else value.number
