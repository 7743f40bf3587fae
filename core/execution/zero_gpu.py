"""The executor of a ZeroGPU Space: the accelerated operations run in forked workers that hold a GPU for a while.

There, arguments and results are pickled, a worker is forked from this process, and an exception reaches this process
as a bare class name only. So an expected failure travels as a value and is raised again on this side. Outside of
ZeroGPU `spaces.GPU` changes nothing, and everything here works the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import spaces

from core.errors import StyleIdentityError
from core.execution.base import Drawn, Job, only_result
from core.execution.local import LocalAccelerator

if TYPE_CHECKING:
    from PIL import Image

    from core.engines.base import Drawing, DrawOptions, Prepared, TrainingConfig, TrainingStep
    from core.imaging.align import AlignedFace
    from core.studio import Studio

T = TypeVar("T")

# Accelerator seconds to declare, the longest that a call may take, since ZeroGPU ends it there. They are estimates with
# room to spare, to be replaced by measurements: a worker starts and takes the weights over, every step launches some
# thousand kernels whatever their size, and a picture's way forward and back through the networks costs as its pixels.
START_S = 10.0
STEP_S = 0.05
TRAINING_S_PER_MEGAPIXEL = 0.03
DRAWING_S = 0.5


@dataclass(frozen=True)
class _Failure:
    """An expected failure on its way out of a worker."""

    error: StyleIdentityError


def _declared(seconds: float, *_: object) -> int:
    return math.ceil(seconds)


class ZeroGpuAccelerator:
    """Runs each accelerated operation of `local` in a worker, declaring how long it may take."""

    def __init__(self, studio: Callable[[], Studio], local: LocalAccelerator) -> None:
        self._studio = studio

        @spaces.GPU(duration=_declared)
        def on_gpu(_: float, operation: str, arguments: tuple[Any, ...]) -> Iterator[Any]:
            try:
                results = getattr(local, operation)(*arguments)
                yield from results if operation in _STREAMS else (results,)
            except StyleIdentityError as error:
                yield _Failure(error)

        self._on_gpu = on_gpu

    def _results(self, seconds: float, operation: str, *arguments: Any) -> Iterator[Any]:
        for item in self._on_gpu(seconds, operation, arguments):
            if isinstance(item, _Failure):
                raise item.error
            yield item

    def draw(self, face: AlignedFace, prepared: Prepared | None, style_path: Path, options: DrawOptions) -> Drawn:
        """Draw a face; see `Accelerated.draw`."""
        seconds = START_S + DRAWING_S * (2 if prepared is None else 1)
        drawn: Drawn = only_result(self._results(seconds, "draw", face, prepared, style_path, options))
        return drawn

    def draw_many(self, faces: Sequence[AlignedFace], style_path: Path, options: DrawOptions) -> Iterator[Drawing]:
        """Draw faces in one style, in order."""
        return self._results(_many(faces), "draw_many", tuple(faces), style_path, options)

    def read_as_photos(self, faces: Sequence[AlignedFace], engine: str | None) -> Iterator[Image.Image]:
        """Show references as training sees them, in order."""
        return self._results(_many(faces), "read_as_photos", tuple(faces), engine)

    def train(
        self,
        references: Sequence[AlignedFace],
        config: TrainingConfig,
        name: str,
        photo: AlignedFace | None,
        preview: AlignedFace | None,
        stop_flag: Path,
        engine: str | None,
    ) -> Iterator[TrainingStep]:
        """Train a style; see `Accelerated.train`."""
        seconds = training_seconds(config, len(references), self._studio().capabilities(engine).resolution_px)
        arguments = (tuple(references), config, name, photo, preview, stop_flag, engine)
        return self._results(seconds, "train", *arguments)


_STREAMS = frozenset({"draw_many", "read_as_photos", "train"})


class ZeroGpuExecutor:
    """Runs jobs here, and their accelerated operations in workers."""

    def __init__(self, studio: Callable[[], Studio], local: LocalAccelerator) -> None:
        self._studio = studio
        self._accelerated = ZeroGpuAccelerator(studio, local)

    def stream(self, job: Job[T]) -> Iterator[T]:
        """Run a job and give its results as they come."""
        return job.run(self._studio(), self._accelerated)

    def result(self, job: Job[T]) -> T:
        """Run a job that gives one result."""
        return only_result(self.stream(job))

    def accelerator_seconds(self, config: TrainingConfig, references: int, engine: str | None = None) -> float | None:
        """Seconds that a training will declare: they grow with steps, pictures per step and the pictures' pixels."""
        return training_seconds(config, references, self._studio().capabilities(engine).resolution_px)


def training_seconds(config: TrainingConfig, references: int, resolution_px: int) -> float:
    """Accelerator seconds to declare for a training."""
    pictures = config.pictures_per_step(references) + 1 / config.preview_every
    step_s = STEP_S + pictures * TRAINING_S_PER_MEGAPIXEL * resolution_px**2 / 1e6
    return START_S + references * DRAWING_S + config.steps * step_s


def _many(faces: Sequence[AlignedFace]) -> float:
    return START_S + 2 * DRAWING_S * len(faces)
