"""Opens the process's Studio once, in the background or here; a failed opening is tried again when next asked."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from core.studio import Studio

LOGGER = logging.getLogger(__name__)


class StudioLoader:
    """Opens the Studio once.

    Whoever asks once it is open takes no lock: a ZeroGPU worker is forked at any moment, and a lock that another
    thread holds just then would stay held in the worker for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: Callable[[], Studio] | None = None
        self._warm_up: Callable[[Studio], object] | None = None
        self._opening: Future[Studio] | None = None
        self._ready: Studio | None = None

    def open_in_background(
        self, open_studio: Callable[[], Studio], *, warm_up: Callable[[Studio], object] | None = None
    ) -> Future[Studio]:
        """Open the Studio in a thread, then let `warm_up` make the first visitor's wait shorter; return its future."""
        with self._lock:
            self._open, self._warm_up, self._ready = open_studio, warm_up, None
            self._opening = self._start(open_studio)
            return self._opening

    def open_here(self, open_studio: Callable[[], Studio]) -> Future[Studio]:
        """Open the Studio in the calling thread and return its future, done.

        ZeroGPU emulates the accelerator in the main thread alone, so weights must be placed from there.
        """
        future: Future[Studio] = Future()
        try:
            opened = open_studio()
        except Exception as error:
            future.set_exception(error)
        else:
            self._ready = opened
            future.set_result(opened)
        with self._lock:
            self._open, self._warm_up, self._opening = open_studio, None, future
        return future

    def _start(self, open_studio: Callable[[], Studio]) -> Future[Studio]:
        future: Future[Studio] = Future()

        def work() -> None:
            try:
                opened = open_studio()
            except Exception as error:
                future.set_exception(error)  # kept for whoever asks for the Studio
                return
            self._ready = opened
            future.set_result(opened)
            if self._warm_up is not None:
                try:
                    self._warm_up(opened)
                except Exception:
                    LOGGER.warning("the first drawing, made to warm up, failed", exc_info=True)

        threading.Thread(target=work, name="open-studio", daemon=True).start()
        return future

    def studio(self, *, timeout_s: float | None = None) -> Studio:
        """Return the Studio, waiting until it is open.

        Raises what the opening raised, and `concurrent.futures.TimeoutError` if it takes longer than `timeout_s`.
        """
        if self._ready is not None:
            return self._ready
        with self._lock:
            if self._opening is None or self._open is None:
                raise RuntimeError("open_in_background() was not called")
            if self._opening.done() and self._opening.exception() is not None:
                self._opening = self._start(self._open)
            opening = self._opening
        return opening.result(timeout=timeout_s)

    def state(self) -> tuple[Literal["starting", "ok", "failed"], Studio | None]:
        """Return how the opening stands, without waiting and without trying again."""
        if self._ready is not None:
            return "ok", self._ready
        opening = self._opening
        failed = opening is not None and opening.done() and opening.exception() is not None
        return ("failed" if failed else "starting"), None
