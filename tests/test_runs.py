"""Runs that outlive a connection: who watches them, when they end by themselves, one at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.engines.base import TrainingStep
from core.errors import DiskFull, TrainingStopped
from core.ui.server import runs, visitors
from core.ui.server.runs import GRACE_S, KEEP_S, Run, Runs
from core.ui.server.session import MyStyle

PATIENCE_S = 10.0
MADE = MyStyle("my-1", "Ink", 2, "data:,", "ink.safetensors")


class Clock:
    """Seconds that tests turn on."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Training:
    """A training that takes a step whenever it is told to; the last one has the style."""

    def __init__(self, steps: int) -> None:
        self.steps, self.taken, self.closed = steps, 0, False
        self._go = threading.Semaphore(0)

    def go(self, steps: int = 1) -> None:
        """Let it take steps."""
        self._go.release(steps)

    def __call__(self, flag: Path) -> Iterator[TrainingStep]:
        try:
            for step in range(1, self.steps + 1):
                while not self._go.acquire(timeout=0.01):
                    if flag.exists():
                        raise TrainingStopped
                self.taken = step
                style = SimpleNamespace() if step == self.steps else None
                yield TrainingStep(step, self.steps, 1 / step, style=style)
        finally:
            self.closed = True


@pytest.fixture
def clock() -> Clock:
    """The runs' clock."""
    return Clock()


@pytest.fixture
def book(clock: Clock, monkeypatch: pytest.MonkeyPatch, own_data_dir: object) -> Runs:
    """The runs of a process of its own."""
    monkeypatch.setattr(runs, "SESSIONS", visitors.Sessions())
    return Runs(clock)


def kept(style: object) -> MyStyle:
    """What became of a style."""
    return MADE


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    ends = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.005)


def steps_of(run: Run) -> list[int]:
    """The steps that a watcher sees to the end."""
    return [moment.step for moment in run.watch() if moment is not None]


def test_every_step_is_seen_and_the_end_is_kept_for_a_while(book: Runs, clock: Clock) -> None:
    training = Training(3)
    run = book.begin("anna", training, kept)
    training.go(3)
    assert steps_of(run)[-3:] == [1, 2, 3] and run.made == MADE and run.failure is None
    assert book.of("anna") is run and book.of("boris") is None
    assert steps_of(run) == [3], "who comes later sees where it ended"
    clock.now_s += KEEP_S + 1
    assert book.of("anna") is None


def test_a_watcher_who_comes_back_in_time_keeps_it_alive(book: Runs, clock: Clock) -> None:
    training = Training(4)
    run = book.begin("anna", training, kept)
    watching = run.watch()
    next(watching)
    training.go()
    watching.close()
    eventually(lambda: training.taken == 1)
    clock.now_s += GRACE_S - 1
    again = run.watch()
    next(again)
    clock.now_s += GRACE_S
    training.go(3)
    assert [moment.step for moment in again if moment is not None][-1] == 4 and run.made == MADE


def test_a_run_that_nobody_watches_ends(book: Runs, clock: Clock) -> None:
    training = Training(1000)
    run = book.begin("anna", training, kept)
    watching = run.watch()
    next(watching)
    watching.close()
    clock.now_s += GRACE_S + 1
    training.go(2)
    eventually(lambda: run.has_ended)
    assert isinstance(run.failure, TrainingStopped) and training.closed and training.taken <= 2


def test_one_works_at_a_time_and_an_unwatched_one_in_line_ends_at_once(
    book: Runs, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "LOOK_S", 0.01)
    first, second, third = Training(2), Training(2), Training(2)
    working = book.begin("anna", first, kept)
    watching = working.watch()
    next(watching)
    eventually(book._turn.locked)
    waits, left = book.begin("boris", second, kept), book.begin("clara", third, kept)
    still_there = waits.watch()
    next(still_there)
    second.go(2), third.go(2)
    clock.now_s += 10
    eventually(lambda: left.has_ended)
    assert isinstance(left.failure, TrainingStopped) and third.taken == 0 and second.taken == 0
    first.go(2)
    assert [moment.step for moment in still_there if moment is not None][-1] == 2 and waits.made == MADE


def test_a_stop_ends_it_with_its_flag(book: Runs) -> None:
    training = Training(5)
    run = book.begin("anna", training, kept)
    assert runs.SESSIONS.stop_runs("anna") == 1
    assert steps_of(run) == [0] and isinstance(run.failure, TrainingStopped)
    eventually(lambda: runs.SESSIONS.stop_runs("anna") == 0)


def test_a_failure_reaches_who_watches(book: Runs) -> None:
    def full(style: object) -> MyStyle:
        raise DiskFull("your style")

    training = Training(1)
    run = book.begin("anna", training, full)
    training.go()
    assert steps_of(run)[-1] == 1 and isinstance(run.failure, DiskFull)


def test_a_visitor_who_deletes_everything_leaves_no_run_behind(book: Runs) -> None:
    training = Training(3)
    run = book.begin("anna", training, kept)
    runs.SESSIONS.when_removed(book.forget)
    runs.SESSIONS.forget("anna")
    assert book.of("anna") is None
    eventually(lambda: run.has_ended)
    assert isinstance(run.failure, TrainingStopped) and run.made is None
