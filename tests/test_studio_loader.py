"""The process's Studio: opened once, in the background or right here, and again after a failure."""

from __future__ import annotations

import concurrent.futures
import threading

import pytest

from core.errors import WeightsUnavailable
from core.execution.loader import StudioLoader


class Opening:
    """Opens "the studio"; the first attempts fail."""

    def __init__(self, *, failures: int = 0) -> None:
        self.failures = failures
        self.threads: list[threading.Thread] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self) -> object:
        self.go_on.wait(10)
        self.threads.append(threading.current_thread())
        if len(self.threads) <= self.failures:
            raise WeightsUnavailable("model.pt", "no network")
        return "the studio"


def test_it_opens_once_in_the_background_and_warms_up() -> None:
    loader, opening, warmed = StudioLoader(), Opening(), threading.Event()
    opening.go_on.clear()
    loader.open_in_background(opening, warm_up=lambda studio: warmed.set())
    assert loader.state() == ("starting", None)
    with pytest.raises(concurrent.futures.TimeoutError):
        loader.studio(timeout_s=0.01)
    opening.go_on.set()
    assert loader.studio(timeout_s=10) == loader.studio() == "the studio"
    assert loader.state() == ("ok", "the studio") and warmed.wait(10)
    assert len(opening.threads) == 1 and opening.threads[0] is not threading.main_thread()


def test_a_failure_is_given_and_the_next_call_tries_again() -> None:
    loader, opening, warmed = StudioLoader(), Opening(failures=1), threading.Event()
    future = loader.open_in_background(opening, warm_up=lambda studio: warmed.set())
    assert isinstance(future.exception(timeout=10), WeightsUnavailable) and loader.state() == ("failed", None)
    assert loader.studio(timeout_s=10) == "the studio" and warmed.wait(10)
    assert len(opening.threads) == 2


def test_a_failed_warm_up_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    loader, tried = StudioLoader(), threading.Event()

    def warm_up(studio: object) -> None:
        tried.set()
        raise RuntimeError("no picture to draw")

    loader.open_in_background(Opening(), warm_up=warm_up)
    assert loader.studio(timeout_s=10) == "the studio" and tried.wait(10)


def test_opening_here_uses_this_thread_and_keeps_the_failure() -> None:
    loader, opening = StudioLoader(), Opening(failures=1)
    assert isinstance(loader.open_here(opening).exception(), WeightsUnavailable)
    assert loader.state() == ("failed", None)
    assert loader.open_here(opening).result() == loader.studio() == "the studio"
    assert opening.threads == [threading.main_thread()] * 2


def test_an_open_studio_is_given_without_a_lock() -> None:
    """A forked worker may inherit the lock held by a thread that doesn't exist there."""
    loader = StudioLoader()
    loader.open_here(Opening())
    with loader._lock:
        assert loader.studio() == "the studio" and loader.state() == ("ok", "the studio")


def test_nothing_was_opened_yet() -> None:
    with pytest.raises(RuntimeError, match=r"open_in_background\(\) was not called"):
        StudioLoader().studio()
