"""The executor of a ZeroGPU Space: the accelerated operations run in forked workers that hold a GPU for a while.

There, arguments and results are pickled, a worker is forked from this process, and an exception reaches this process
as a bare class name only. So an expected failure travels as a value and is raised again on this side. Outside of
ZeroGPU `spaces.GPU` changes nothing, and everything here works the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import spaces

from core.errors import StyleIdentityError
from core.execution.base import Drawn, last_result
from core.execution.in_process import InProcessExecutor
from core.execution.local import LocalAccelerator

if TYPE_CHECKING:
    from PIL import Image

    from core.engines.base import Drawing, DrawOptions, Prepared, TrainingConfig, TrainingStep
    from core.imaging.align import AlignedFace
    from core.studio import Studio

# Accelerator seconds to declare, the longest that a call may take, since ZeroGPU ends it there. They are estimates with
# room to spare, to be replaced by measurements: a worker starts and takes the weights over, every step launches some
# thousand kernels whatever their size, and a picture's way forward and back through the networks costs as its pixels.
START_S = 10.0
STEP_S = 0.05
TRAINING_S_PER_MEGAPIXEL = 0.03
DRAWING_S = 0.5
BRUSHWORK_S = {"512": 12.0, "1024": 36.0}  # of a portrait by its size; the worker's processor draws it
PRACTICE_S = 5.0  # of a face that is drawn before the first step

_STREAMS = frozenset({"draw_levels", "draw_many", "read_as_photos", "train"})  # these give their results one by one


@dataclass(frozen=True)
class _Failure:
    """An expected failure on its way out of a worker."""

    error: StyleIdentityError


def _declared(seconds: float, *_: object) -> int:
    """Answer `spaces`, which asks with the arguments of the call how long it may take."""
    return math.ceil(seconds)


class ZeroGpuAccelerator:
    """Runs each accelerated operation of `local` in a worker, declaring how long it may take.

    Every operation goes through one decorated function: `spaces` keeps workers by function, so all of them share the
    worker that holds the weights already.
    """

    def __init__(self, studio: Callable[[], Studio], local: LocalAccelerator) -> None:
        self._studio = studio

        def on_gpu(_: float, operation: str, arguments: tuple[Any, ...]) -> Generator[Any, None, None]:
            try:
                results = getattr(local, operation)(*arguments)
                yield from results if operation in _STREAMS else (results,)
            except StyleIdentityError as error:
                yield _Failure(error)

        self._on_gpu: Callable[[float, str, tuple[Any, ...]], Generator[Any, None, None]]
        self._on_gpu = spaces.GPU(duration=_declared)(on_gpu)

    def _results(self, seconds: float, operation: str, *arguments: Any) -> Iterator[Any]:
        failure = None
        with closing(self._on_gpu(seconds, operation, arguments)) as results:  # closed early, it ends the worker's run
            for item in results:  # a failure is the last one; to the end, so that the worker is known to be idle again
                if isinstance(item, _Failure):
                    failure = item.error
                else:
                    yield item
        if failure is not None:
            raise failure

    def draw(
        self,
        face: AlignedFace,
        prepared: Prepared | None,
        style_paths: Sequence[Path],
        options: DrawOptions,
        engine: str | None,
    ) -> Drawn:
        """Draw a face in every style; see `Accelerated.draw`."""
        seconds = START_S + DRAWING_S * (prepared is None) + len(style_paths) * drawing_seconds(options)
        drawn: Drawn = last_result(self._results(seconds, "draw", face, prepared, tuple(style_paths), options, engine))
        return drawn

    def draw_levels(
        self,
        face: AlignedFace,
        prepared: Prepared | None,
        style_path: Path,
        options: DrawOptions,
        engine: str | None,
    ) -> Iterator[Drawn]:
        """Draw a face in one style, a quick drawing first; see `Accelerated.draw_levels`."""
        seconds = START_S + DRAWING_S * (prepared is None) + drawing_seconds(options)
        return self._results(seconds, "draw_levels", face, prepared, style_path, options, engine)

    def draw_many(
        self, faces: Sequence[AlignedFace], style_path: Path, options: DrawOptions, engine: str | None
    ) -> Iterator[Drawing]:
        """Draw faces in one style, in order."""
        seconds = START_S + len(faces) * (DRAWING_S + drawing_seconds(options))
        return self._results(seconds, "draw_many", tuple(faces), style_path, options, engine)

    def read_as_photos(self, faces: Sequence[AlignedFace], engine: str | None) -> Iterator[Image.Image]:
        """Show references as training sees them, in order."""
        seconds = START_S + 2 * DRAWING_S * len(faces)
        return self._results(seconds, "read_as_photos", tuple(faces), engine)

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
        return self._results(seconds, "train", tuple(references), config, name, photo, preview, stop_flag, engine)


class ZeroGpuExecutor(InProcessExecutor):
    """Runs jobs here, and their accelerated operations in workers."""

    def __init__(self, studio: Callable[[], Studio], local: LocalAccelerator) -> None:
        super().__init__(studio, ZeroGpuAccelerator(studio, local))

    def accelerator_seconds(self, config: TrainingConfig, references: int, engine: str | None = None) -> float:
        """Seconds that a training will declare: they grow with steps, pictures per step and the pictures' pixels."""
        return training_seconds(config, references, self._studio().capabilities(engine).resolution_px)


def training_seconds(config: TrainingConfig, references: int, resolution_px: int) -> float:
    """Accelerator seconds to declare for a training."""
    pictures = config.pictures_per_step(references) + 1 / config.preview_every
    step_s = STEP_S + pictures * TRAINING_S_PER_MEGAPIXEL * resolution_px**2 / 1e6
    return START_S + references * DRAWING_S + config.practice_faces * PRACTICE_S + config.steps * step_s


def drawing_seconds(options: DrawOptions) -> float:
    """Accelerator seconds to declare for a drawing of a face that was read before."""
    return DRAWING_S + (BRUSHWORK_S[options.size] if options.brush > 0 else 0)
