"""Whose turn it is in a process with one processor for all: quick work at once, long work in the time between.

A training on two cores takes minutes; a visitor who wants a portrait meanwhile shall not wait for its end. So both run
in threads of their own, and long work stops after each of its steps while quick work runs. It keeps a share of its own:
however many portraits are drawn, it works at least `LEAST_SHARE` of the time, and never stops for longer than
`LONGEST_STOP_S`, so that a wish to end it is heard soon.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar, cast

T = TypeVar("T")
LEAST_SHARE = 0.2
LONGEST_STOP_S = 4.0


class Turns:
    """Who works; safe from any thread.

    Args:
        clock: seconds that only grow.
    """

    _END = object()

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._quick = 0

    def at_once(self, results: Iterator[T]) -> Iterator[T]:
        """Give the results of quick work; while it is at work, long work stops.

        It is not at work while nobody asks for its next result: a visitor may have left in the middle of it.
        """
        with closing(cast("Generator[T, None, None]", results)) as steps:
            while True:
                with self._at_work():
                    result = next(steps, self._END)
                if result is self._END:
                    return
                yield cast(T, result)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        with self._changed:
            self._quick += 1
        try:
            yield
        finally:
            with self._changed:
                self._quick -= 1
                self._changed.notify_all()

    def between(self, results: Iterator[T]) -> Iterator[T]:
        """Give the results of long work, and stop after each of them as long as others may go first."""
        with closing(cast("Generator[T, None, None]", results)) as steps:
            started = self._clock()
            for result in steps:
                worked_s = self._clock() - started
                yield result
                self._stop(min(worked_s * (1 - LEAST_SHARE) / LEAST_SHARE, LONGEST_STOP_S))
                started = self._clock()

    def _stop(self, at_most_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._quick == 0, timeout=at_most_s)
