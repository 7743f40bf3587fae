"""Trainings that outlive the connection of the tab that began them.

A run works in a thread of its own and belongs to a visitor's tab, not to a request: whoever has the tab's key watches
it, also after a reload. Without anybody who watches it goes on for `GRACE_S`, then it ends, so that no abandoned run
keeps others waiting; one that still waits for its turn ends at once. One run works at a time in a process, and a
visitor has one at most. What came of it is kept for `KEEP_S`.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from core.errors import StyleIdentityError, TrainingStopped
from core.ui.server.visitors import SESSIONS

if TYPE_CHECKING:
    from PIL import Image

    from core.engines.base import Style, TrainingStep
    from core.ui.server.session import MyStyle, Reference

LOGGER = logging.getLogger(__name__)

GRACE_S = 120.0  # without a watcher
KEEP_S = 900.0  # after the end
LOOK_S = 0.5  # between two looks at the flag of a run that waits for its turn
SIGN_S = 2.0  # between two signs of life to a watcher, who can be found gone only then
BACKLOG = 64  # moments that a watcher may be behind; older ones are left out


@dataclass(frozen=True)
class Moment:
    """How far a run is.

    Attributes:
        practised, practice_faces: faces drawn to learn from, and how many there will be.
        step, steps, seconds_left: of the training; step 0 before the first one.
        losses: of every step so far.
        preview: the latest picture.
        is_new: that picture came with this moment.
    """

    practice_faces: int
    practised: int = 0
    step: int = 0
    steps: int = 0
    seconds_left: float | None = None
    losses: tuple[float, ...] = ()
    preview: Image.Image | None = None
    is_new: bool = False

    def after(self, item: TrainingStep) -> Moment:
        """Return the moment after another thing that a training gave."""
        shown = self.preview if bool(item.step) == bool(self.step) else None  # no practice face during the steps
        new = replace(self, is_new=item.preview is not None, preview=item.preview or shown)
        if item.step == 0:
            return replace(new, practised=self.practised + (item.preview is not None))
        losses = (*self.losses, float(item.loss))
        return replace(new, step=item.step, steps=item.steps, seconds_left=item.seconds_left, losses=losses)


class Run:
    """One training. Safe from any thread.

    Attributes:
        references: what it learns from.
        made: the style, once the run has ended well.
        failure: why it ended without one.
    """

    def __init__(
        self, first: Moment, references: tuple[Reference, ...], flag: Path, clock: Callable[[], float]
    ) -> None:
        self._clock, self._flag = clock, flag
        self._changed = threading.Condition()
        self._watchers: list[deque[Moment]] = []
        self._latest = first
        self._left_s: float = clock()  # when the last watcher left
        self._ended_s: float | None = None
        self.references = references
        self.made: MyStyle | None = None
        self.failure: Exception | None = None

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing more to watch."""
        return self._ended_s is not None

    def is_old(self) -> bool:
        """Whether it ended so long ago that nobody asks for it any more."""
        return self._ended_s is not None and self._clock() - self._ended_s > KEEP_S

    def watch(self) -> Iterator[Moment | None]:
        """Give the latest moment, then every newer one until the run has ended; None every now and then between them.

        As long as the iterator is open, the run has a watcher. It may be behind, and then leaves moments out.
        """
        backlog: deque[Moment] = deque(maxlen=BACKLOG)
        with self._changed:
            backlog.append(replace(self._latest, is_new=self._latest.preview is not None))
            self._watchers.append(backlog)
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: backlog or self.has_ended, timeout=SIGN_S)
                    moment = backlog.popleft() if backlog else None
                    if moment is None and self.has_ended:
                        return
                yield moment
        finally:
            with self._changed:
                self._watchers = [other for other in self._watchers if other is not backlog]
                self._left_s = self._clock()

    def watched(self, grace_s: float) -> bool:
        """Tell whether somebody watches, or did until `grace_s` seconds ago."""
        with self._changed:
            return bool(self._watchers) or self._clock() - self._left_s <= grace_s

    def take(self, item: TrainingStep) -> None:
        """Note what the training gave. Raises TrainingStopped where nobody has watched for too long."""
        if not self.watched(GRACE_S):
            raise TrainingStopped
        with self._changed:
            self._latest = self._latest.after(item)
            for backlog in self._watchers:
                backlog.append(self._latest)
            self._changed.notify_all()

    def end(self, *, made: MyStyle | None = None, failure: Exception | None = None) -> None:
        """Note how it ended."""
        with self._changed:
            self.made, self.failure, self._ended_s = made, failure, self._clock()
            self._changed.notify_all()

    def is_stopped(self) -> bool:
        """Whether somebody asked it to stop."""
        return self._flag.exists()


class Runs:
    """The runs of this process, by visitor; safe from any thread.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._runs: dict[str, Run] = {}

    def of(self, session_hash: str | None) -> Run | None:
        """Return the visitor's run, which may have ended; None where there is none, or only an old one."""
        owner = SESSIONS.name_of(session_hash)
        with self._lock:
            self._runs = {name: run for name, run in self._runs.items() if not run.is_old()}
            return self._runs.get(owner)

    def forget(self, folder: Path) -> None:
        """Drop what is known of a visitor whose folder was deleted."""
        with self._lock:
            self._runs.pop(folder.name, None)

    def begin(
        self,
        session_hash: str | None,
        train: Callable[[Path], Iterator[TrainingStep]],
        keep: Callable[[Style], MyStyle],
        *,
        references: tuple[Reference, ...] = (),
        practice_faces: int = 0,
    ) -> Run:
        """Begin a run, which takes the place of the visitor's earlier one; watch it at once.

        Args:
            train: gives the training's steps, the last of which has the style; it ends when the file it gets appears.
            keep: puts the style among the visitor's own.
            references: what it learns from, to be shown with it.
            practice_faces: how many are drawn first.

        Raises DiskFull.
        """
        flag = SESSIONS.begin_run(session_hash, outlives_tab=True)
        run = Run(Moment(practice_faces), references, flag, self._clock)
        with self._lock:
            self._runs[flag.parent.name] = run

        def work() -> None:
            try:
                run.end(made=self._style(run, train(flag), keep))
            except Exception as failure:
                if not isinstance(failure, StyleIdentityError) and not run.watched(0):
                    LOGGER.error("unexpected failure of a training that nobody watched", exc_info=failure)
                run.end(failure=failure)
            finally:
                SESSIONS.end_run(session_hash, flag, outlives_tab=True)

        context = contextvars.copy_context()  # whose request asks for an accelerator
        threading.Thread(target=context.run, args=(work,), name="training", daemon=True).start()
        return run

    def _style(self, run: Run, steps: Iterator[TrainingStep], keep: Callable[[Style], MyStyle]) -> MyStyle:
        with self._in_turn(run), closing(cast("Generator[TrainingStep, None, None]", steps)):
            for item in steps:
                run.take(item)
                if item.style is not None:
                    if run.is_stopped():  # the visitor may have deleted everything
                        raise TrainingStopped
                    return keep(item.style)
        raise RuntimeError("a training gave no style")

    @contextmanager
    def _in_turn(self, run: Run) -> Iterator[None]:
        """Wait until no other run works. Raises TrainingStopped where this one isn't wanted any more."""
        while not self._turn.acquire(timeout=LOOK_S):
            if run.is_stopped() or not run.watched(2 * SIGN_S):
                raise TrainingStopped
        try:
            yield
        finally:
            self._turn.release()


RUNS = Runs()
SESSIONS.when_removed(RUNS.forget)
