"""The demo's limits as the page's handlers ask for them."""

from __future__ import annotations

import functools

import spaces

from core.config import DemoLimits, FinetuneConfig, demo_limits
from core.errors import TooManyReferences, TrainingTooLong

MAX_SEED = 2**31 - 1  # what every random generator in use takes


@functools.cache
def limits() -> DemoLimits:
    """The limits of this process, read from the environment at the first call."""
    return demo_limits()


def pictures_per_step(config: FinetuneConfig, references: int) -> int:
    """How many pictures pass through the generator in one step of a run; `config` with the model's defaults."""
    anchors = config.anchors_per_step if config.identity_weight or config.style_weight else 0
    return min(config.references_per_step or references, references) + anchors


def check_training(config: FinetuneConfig, references: int, *, seconds: float) -> None:
    """Refuse a training run that would keep others waiting for too long.

    Args:
        config: with the model's defaults filled in.
        references: number of style pictures.
        seconds: estimate of its time on a shared accelerator; counts on ZeroGPU only.

    Raises:
        TooManyReferences, TrainingTooLong: with the limit.
    """
    allowed = limits()
    if references > allowed.references:
        raise TooManyReferences(references, allowed.references)
    if config.steps > allowed.steps:
        raise TrainingTooLong(f"{config.steps} steps", f"{allowed.steps}")
    pictures = pictures_per_step(config, references)
    if config.steps * pictures > allowed.pictures:
        raise TrainingTooLong(f"{config.steps} steps of {pictures} pictures each", f"{allowed.pictures} in all")
    if spaces.config.Config.zero_gpu and seconds > allowed.accelerator_s:
        raise TrainingTooLong(f"about {seconds:.0f} seconds of accelerator time", f"{allowed.accelerator_s}")
