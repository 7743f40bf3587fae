"""What the public page takes from strangers, and how a training run is measured by it."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

import spaces

from core.config import MAX_REFERENCES, PhotoLimits
from core.engines.base import TrainingConfig
from core.errors import Sentence, TooManyReferences, TrainingTooLong

LIMIT_ENV = "STYLEIDENTITY_LIMIT_"  # followed by a field of DemoLimits in capitals
ZERO_GPU: bool = spaces.config.Config.zero_gpu  # whether this runs on the Hub's shared accelerators


@dataclass(frozen=True)
class DemoLimits:
    """What the public page takes from strangers; `$STYLEIDENTITY_LIMIT_<FIELD>` changes one (`demo_limits`).

    Attributes:
        upload_bytes: one uploaded file; a style file of the full-size model has 60 MB.
        request_bytes: one upload request with all its files.
        payload_bytes: the values of one event, without files.
        photo_bytes, photo_megapixels: one photo or style picture.
        photos: photos drawn in one go.
        references: style pictures of one training run.
        steps: steps of one training run.
        pictures: steps x pictures per step of one training run, which decides how long others wait for it.
        accelerator_s: longest time on a shared accelerator that one training run may ask for.
        styles: styles of one visitor's own.
        jobs: drawings and training runs that one visitor may have waiting or running.
        waiting: events of all visitors that may wait.
        visitors: visitors whose state is kept in memory; the one idle for longest goes first.
        free_disk_bytes: uploads are refused below this much free space.
    """

    upload_bytes: int = 150_000_000
    request_bytes: int = 400_000_000
    payload_bytes: int = 2_000_000
    photo_bytes: int = 30_000_000
    photo_megapixels: int = 80
    photos: int = 24
    references: int = MAX_REFERENCES
    steps: int = 1000
    pictures: int = 8000
    accelerator_s: int = 300
    styles: int = 12
    jobs: int = 4
    waiting: int = 120
    visitors: int = 400
    free_disk_bytes: int = 500_000_000

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise ValueError(f"DemoLimits needs {field.name} >= 1, got {getattr(self, field.name)}")
        if self.references > MAX_REFERENCES:
            raise ValueError(f"DemoLimits needs references <= {MAX_REFERENCES}, got {self.references}")

    @property
    def photo(self) -> PhotoLimits:
        """The limits of one photo."""
        return PhotoLimits(max_bytes=self.photo_bytes, max_megapixels=float(self.photo_megapixels))


def demo_limits(environment: Mapping[str, str] | None = None) -> DemoLimits:
    """Return the limits that the environment asks for, the default where it names none.

    Raises:
        ValueError: a value that is no whole number or out of range, or an unknown limit.
    """
    names = {field.name for field in fields(DemoLimits)}
    given: dict[str, int] = {}
    for variable, text in (os.environ if environment is None else environment).items():
        if not variable.startswith(LIMIT_ENV):
            continue
        name = variable.removeprefix(LIMIT_ENV).lower()
        if name not in names:
            raise ValueError(f"{variable} names no limit; there are {', '.join(sorted(names))}")
        try:
            given[name] = int(text)
        except ValueError as error:
            raise ValueError(f"{variable} must be a whole number, got {text!r}") from error
    return DemoLimits(**given)


@functools.cache
def limits() -> DemoLimits:
    """Return the limits of this process, read from the environment at the first call."""
    return demo_limits()


def check_training(config: TrainingConfig, references: int, *, seconds: float | None) -> None:
    """Refuse a training run that would keep others waiting for too long.

    Args:
        config: with the model's defaults filled in.
        references: number of style pictures.
        seconds: estimate of its time on a shared accelerator; None where nobody shares one.

    Raises:
        TooManyReferences, TrainingTooLong: with the limit.
    """
    allowed = limits()
    if references > allowed.references:
        raise TooManyReferences(references, allowed.references)
    if config.steps > allowed.steps:
        raise TrainingTooLong(Sentence("{count} steps", count=config.steps), allowed.steps)
    pictures = config.pictures_per_step(references)
    if config.steps * pictures > allowed.pictures:
        asked = Sentence("{count} steps of {pictures} pictures each", count=config.steps, pictures=pictures)
        raise TrainingTooLong(asked, Sentence("{limit} in all", limit=allowed.pictures))
    if seconds is not None and seconds > allowed.accelerator_s:
        asked = Sentence("about {seconds} seconds of accelerator time", seconds=f"{seconds:.0f}")
        raise TrainingTooLong(asked, allowed.accelerator_s)
