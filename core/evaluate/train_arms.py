"""The four arms that are compared: JoJoGAN and ours, each from one reference and from all of them.

The study's packs and `python -m core evaluate` train them here, so that both show the same pictures for the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from core.config import FinetuneConfig, Method
from core.engines.fewshot_gan.style_file import Style
from core.errors import NoReferences
from core.imaging.align import AlignedFace
from core.studio import Studio, TrainingStep

ArmName = Literal["jojogan-one", "jojogan-few", "ours-one", "ours-few"]


@dataclass(frozen=True)
class ArmSpec:
    """One arm.

    Attributes:
        name: as in `core.study.protocol.packs.ARMS`.
        title: for readers.
        method: training method.
        few: trains on all references; on the first one otherwise.
    """

    name: ArmName
    title: str
    method: Method
    few: bool

    def references(self, given: Sequence[AlignedFace]) -> list[AlignedFace]:
        """The references that this arm sees; `NoReferences` when there are none."""
        if not given:
            raise NoReferences
        return list(given) if self.few else [given[0]]


ARM_SPECS: tuple[ArmSpec, ...] = (
    ArmSpec("jojogan-one", "JoJoGAN, one-shot", "jojogan", few=False),
    ArmSpec("jojogan-few", "JoJoGAN, few-shot", "jojogan", few=True),
    ArmSpec("ours-one", "Ours, one-shot", "ours", few=False),
    ArmSpec("ours-few", "Ours, few-shot", "ours", few=True),
)


def arm_config(
    studio: Studio,
    spec: ArmSpec,
    *,
    preset: str,
    seed: int,
    steps: int | None = None,
    overrides: Mapping[str, object] | None = None,
) -> FinetuneConfig:
    """Hyper-parameters of an arm: the preset's and the backbone's, with the arm's method and the shared seed.

    Args:
        steps: instead of the preset's.
        overrides: other fields of `FinetuneConfig`, for ablations.
    """
    given = {} if steps is None else {"steps": steps}
    return studio.config(preset, **given, **(overrides or {}), method=spec.method, seed=seed)


def train_arm(
    studio: Studio,
    spec: ArmSpec,
    references: Sequence[AlignedFace],
    *,
    preset: str,
    seed: int,
    steps: int | None = None,
    overrides: Mapping[str, object] | None = None,
    on_step: Callable[[TrainingStep], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Style:
    """Train one arm: one style that serves every later photo, named after the arm.

    Args:
        references: of the whole comparison; the arm takes the first one or all.
        on_step: hears of every step.
        stop: asked before every step.

    Raises:
        NoReferences, TooManyReferences: other than 1 to 14 references.
        TrainingStopped: `stop` said so.
    """
    config = arm_config(studio, spec, preset=preset, seed=seed, steps=steps, overrides=overrides)
    for item in studio.train(spec.references(references), config, name=spec.name, stop=stop):
        if isinstance(item, Style):
            return item
        if on_step is not None:
            on_step(item)
    raise RuntimeError("Studio.train ended without a style")
