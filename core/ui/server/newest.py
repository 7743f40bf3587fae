"""Which drawings of a visitor run, and how they are asked to end: after the level, or the photo, that they are at."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Drawings:
    """The drawings that run, by session; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: defaultdict[str, set[threading.Event]] = defaultdict(set)

    @contextmanager
    def begin(self, session_hash: str | None) -> Iterator[Callable[[], bool]]:
        """Note a drawing until the block ends; gives a function that tells whether it was superseded."""
        superseded, session = threading.Event(), session_hash or ""
        with self._lock:
            self._running[session].add(superseded)
        try:
            yield superseded.is_set
        finally:
            with self._lock:
                self._running[session].discard(superseded)
                if not self._running[session]:
                    del self._running[session]

    def supersede(self, session_hash: str | None) -> int:
        """Ask the session's drawings to end; return how many there are."""
        with self._lock:
            running = self._running.get(session_hash or "", set())
            for drawing in running:
                drawing.set()
            return len(running)


DRAWINGS = Drawings()  # of one portrait, which another one ends
BATCHES = Drawings()  # of several photos in one go
