"""Where work runs: jobs are values, an executor takes them and streams what they give.

A job knows how to work on a Studio and nothing of the page; an executor knows where a Studio is (this process, a
borrowed accelerator) and nothing of the jobs. Handlers of page and API make one job and give it to one executor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar

from core.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from core.engines.base import Drawing, DrawOptions, Prepared, TrainingConfig, TrainingStep
    from core.imaging.align import AlignedFace
    from core.studio import Studio

T = TypeVar("T")
Result = TypeVar("Result", covariant=True)


@dataclass(frozen=True)
class Update(Generic[T]):
    """A moment of a job over several pictures: how far it is, and what has just been finished, if anything."""

    progress: Progress
    value: T | None = None


@dataclass(frozen=True)
class Drawn:
    """A face with what the engine made of it (kept, so that the next drawing needs no reading), once in every style."""

    prepared: Prepared
    drawings: tuple[Drawing, ...]


class Accelerated(Protocol):
    """What needs the accelerator, each as one call, since a borrowed one costs seconds to take.

    `engine` is a name in the registry; the Studio's own where None.
    """

    def draw(
        self,
        face: AlignedFace,
        prepared: Prepared | None,
        style_paths: Sequence[Path],
        options: DrawOptions,
        engine: str | None,
    ) -> Drawn:
        """Draw a face in every style; `prepared` is what was made of it before.

        Raises StyleFileInvalid, StyleForOtherBackbone.
        """
        ...

    def draw_levels(
        self,
        face: AlignedFace,
        prepared: Prepared | None,
        style_path: Path,
        options: DrawOptions,
        engine: str | None,
    ) -> Iterator[Drawn]:
        """Draw a face in one style, showing what is there so far: the last drawing is the finished one.

        Raises as `draw`.
        """
        ...

    def draw_many(
        self, faces: Sequence[AlignedFace], style_path: Path, options: DrawOptions, engine: str | None
    ) -> Iterator[Drawing]:
        """Draw faces in one style, in order."""
        ...

    def read_as_photos(self, faces: Sequence[AlignedFace], engine: str | None) -> Iterator[Image.Image]:
        """Show references as training sees them, in order."""
        ...

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
        """Train a style; it stops when the file `stop_flag` appears. Raises TrainingStopped."""
        ...


class Job(Protocol[Result]):
    """A piece of work as a frozen value that can be pickled.

    Attributes:
        is_long: it takes more than a few seconds, and gives way to work that doesn't.
    """

    is_long: ClassVar[bool]

    def run(self, studio: Studio, accelerated: Accelerated) -> Iterator[Result]:
        """Work, and give what is finished as soon as it is; closing the iterator ends the work at its next step."""
        ...


class Executor(Protocol):
    """Runs jobs."""

    def stream(self, job: Job[T]) -> Iterator[T]:
        """Run a job and give its results as they come. Raises what the job raises."""
        ...

    def result(self, job: Job[T]) -> T:
        """Run a job and return the last thing it gives: its one result, or the finished one of several."""
        ...

    def accelerator_seconds(self, config: TrainingConfig, references: int, engine: str | None = None) -> float | None:
        """Estimate what a training takes of a shared accelerator; None where nobody shares one."""
        ...


def last_result(results: Iterator[T]) -> T:
    """Return what a job gives last. Raises RuntimeError where it gives nothing."""
    found = False
    for value in results:
        last, found = value, True
    if not found:
        raise RuntimeError("expected a result, got none")
    return last
