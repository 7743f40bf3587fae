"""Trains the arms that are compared: JoJoGAN and ours, each from one reference and from all of them.

The study's packs and `python -m core evaluate` train them here, so that both show the same pictures for the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.config import Arm
from core.engines.base import Stop, Style, TrainingConfig, TrainingStep, run_to_end
from core.errors import NoReferences
from core.imaging.align import AlignedFace
from core.studio import Studio


def arm_references(arm: Arm, given: Sequence[AlignedFace]) -> list[AlignedFace]:
    """Return the references that an arm sees. Raises NoReferences when there are none."""
    if not given:
        raise NoReferences
    return list(given) if arm.few else [given[0]]


def arm_config(
    studio: Studio,
    arm: Arm,
    *,
    preset: str,
    seed: int,
    steps: int | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> TrainingConfig:
    """Return an arm's settings: the preset's and the engine's, with the arm's method and the shared seed.

    Args:
        studio: whose default engine trains.
        arm: which one.
        preset, seed: of all arms.
        steps: instead of the preset's.
        overrides: other settings, for ablations.
    """
    given: dict[str, Any] = {} if steps is None else {"steps": steps}
    return studio.config(preset, **given, **(overrides or {}), method=arm.method, seed=seed)


def train_arm(
    studio: Studio,
    arm: Arm,
    references: Sequence[AlignedFace],
    *,
    preset: str,
    seed: int,
    steps: int | None = None,
    on_step: Callable[[TrainingStep], None] = lambda _: None,
    stop: Stop = lambda: False,
) -> Style:
    """Train one arm: one style that serves every later photo, named after the arm.

    Args:
        studio, arm, preset, seed, steps: as for `arm_config`.
        references: of the whole comparison; the arm takes the first one or all.
        on_step: hears of every step.
        stop: asked before every step.

    Raises:
        NoReferences, TooManyReferences: other than 1 to 14 references.
        TrainingStopped: `stop` said so.
    """
    config = arm_config(studio, arm, preset=preset, seed=seed, steps=steps)
    return run_to_end(studio.train(arm_references(arm, references), config, name=arm.id, stop=stop), on_step)
