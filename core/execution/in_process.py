"""The default executor: everything in this process, on the device that the engine chose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from core.execution.base import Accelerated, Job, last_result
from core.execution.turns import Turns

if TYPE_CHECKING:
    from core.engines.base import TrainingConfig
    from core.studio import Studio

T = TypeVar("T")


class InProcessExecutor:
    """Runs jobs on the Studio that `studio` gives, in the calling thread; long ones stop while others are quick.

    Args:
        studio: gives the Studio, waiting for it if need be.
        accelerated: does what needs the accelerator.
    """

    def __init__(self, studio: Callable[[], Studio], accelerated: Accelerated) -> None:
        self._studio, self._accelerated = studio, accelerated
        self._turns = Turns()

    def stream(self, job: Job[T]) -> Iterator[T]:
        """Run a job and give its results as they come."""
        results = job.run(self._studio(), self._accelerated)
        return self._turns.between(results) if job.is_long else self._turns.at_once(results)

    def result(self, job: Job[T]) -> T:
        """Run a job and return the last thing it gives."""
        return last_result(self.stream(job))

    def accelerator_seconds(self, config: TrainingConfig, references: int, engine: str | None = None) -> float | None:
        """None: nobody shares this process's device by the second."""
        return None
