"""Starts and ends the server: checks before the first visitor, what runs while it is up, a stop that takes seconds.

A stop (SIGTERM, SIGINT, or Ctrl+C) takes no new work, lets the running job end at its next step, hands over the votes,
deletes the uploads and ends the process; a second signal ends it at once.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import structlog
from starlette.middleware import Middleware

from core.config import VERSION, data_dir
from core.engines.allocator import keep_freed_memory
from core.errors import DataFolderUnwritable, StyleIdentityError
from core.ui.server import fetching, gradio_adapter, health, link_preview, logs, queueing, study_pictures
from core.ui.server.admission import AdmissionControl
from core.ui.server.compression import CompressPage
from core.ui.server.limits import ZERO_GPU, limits
from core.ui.server.study_service import STUDY
from core.ui.server.uploads import UPLOADS
from core.ui.server.visitors import SESSIONS

if TYPE_CHECKING:
    import gradio as gr

    from core.studio import Studio

SWEEP_S = 300.0
GRACE_S = 4.0  # for the running job
HANDOVER_S = 8.0  # for the votes
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def check_data_folder() -> Path:
    """Return the data folder, made and found writable. Raises DataFolderUnwritable."""
    folder = data_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".check-") as probe:
            probe.write(b"1")
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise DataFolderUnwritable(str(folder), error.strerror or type(error).__name__) from error
    return folder


def prepare() -> None:
    """Check the settings and folders, and tell Gradio where uploads go; call it before the page is built.

    Ends the process with a sentence where something must be put right first.
    """
    try:
        keep_freed_memory()  # before threads have heaps of their own, each of which would keep what a drawing took
        logs.configure()
        logs.log_printed_failures()
        limits()
        check_data_folder()
        SESSIONS.sweep()
        UPLOADS.open()
        fetching.use_in_gradio()
    except (StyleIdentityError, ValueError, OSError) as error:
        sys.exit(f"StyleIdentity can't start: {error}")
    if not ZERO_GPU:  # there, sockets of workers live in the folder, whose paths must be short
        tempfile.tempdir = str(UPLOADS.scratch)
    for name, value in gradio_adapter.UNUSED_STATISTICS.items():
        os.environ.setdefault(name, value)


class Server:
    """One page being served, from the checks to the end of the process.

    Args:
        votes: gives the sentence that says where votes are kept, empty while no study is open.
        on_stop: called at the end, to hand over what must outlive the process.
    """

    def __init__(
        self,
        page: gr.Blocks,
        *,
        votes: Callable[[], str] = lambda: "",
        on_stop: Callable[[], object] = lambda: None,
    ) -> None:
        self.page, self.votes, self.on_stop = page, votes, on_stop
        self.log = structlog.get_logger("styleidentity")
        self._asked = threading.Event()

    def app_options(self) -> dict[str, Any]:
        """Return `launch`'s `app_kwargs`: admission control, `/health`, and pictures."""
        stopping = self._asked.is_set
        return {
            "middleware": [
                Middleware(AdmissionControl, page=lambda: self.page, limits=limits(), stopping=stopping),
                Middleware(CompressPage),
            ],
            "routes": [
                health.route(lambda: self.page, votes=self.votes, stopping=stopping),
                study_pictures.route(STUDY.pictures),
                link_preview.route(),
            ],
        }

    def launch(self, **options: Any) -> str:
        """Start serving in threads of its own and return the local address; `options` are `launch`'s."""
        try:
            _, address, _ = self.page.launch(
                prevent_thread_lock=True,
                quiet=True,
                state_session_capacity=limits().visitors,
                app_kwargs=self.app_options(),
                **options,
            )
        except OSError as error:  # the port is taken
            UPLOADS.close()
            sys.exit(f"StyleIdentity can't start: {error}")
        logs.take_over("uvicorn", "uvicorn.error", "uvicorn.access")
        self.log.info("serving", address=address, version=VERSION)
        return address

    def log_when_open(self, opening: Future[Studio]) -> None:
        """Log which model, device, data folder and vote sink are in use once the Studio is open, or why it is not."""

        def log(done: Future[Studio]) -> None:
            failure = done.exception()
            if failure is not None:
                self.log.error("the model could not be opened", exc_info=failure, reason=_reason(failure))
                return
            about = done.result().describe()
            self.log.info(
                "ready",
                engine=about.engine,
                backbone=about.variant,
                fingerprint=about.fingerprint,
                device=about.device,
                precision=about.precision,
                data_folder=str(data_dir()),
                votes=self.votes() or "the study is being opened",
                zero_gpu=ZERO_GPU,
            )

        opening.add_done_callback(log)

    def wait(self) -> None:
        """Serve until a signal asks to stop, sweeping up after visitors meanwhile; then stop. Never returns."""
        for number in SIGNALS:
            signal.signal(number, self._on_signal)
        swept = time.monotonic()
        while not self._asked.wait(0.2):  # short, since a signal's handler runs between two waits only
            if time.monotonic() - swept > SWEEP_S:
                self._sweep()
                swept = time.monotonic()
        self.stop()
        self._end(0)

    def _sweep(self) -> None:
        """Delete what visitors left behind; a failure is no reason to stop serving."""
        try:
            SESSIONS.sweep()
        except Exception:
            self.log.error("the sweep failed", exc_info=True)
        try:
            UPLOADS.sweep(SESSIONS.uploads_in_use() | gradio_adapter.files_of_page(self.page))
        except Exception:
            self.log.error("the sweep failed", exc_info=True)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self._asked.is_set():
            self._end(128 + number)
        self._asked.set()

    def stop(self, *, grace_s: float = GRACE_S) -> None:
        """Take no new work, end what runs, hand over the votes, delete the uploads and close the server."""
        self._asked.set()
        runs, line = SESSIONS.stop_all(), queueing.line(self.page)
        self.log.info("stopping", runs=runs, waiting=line.waiting, running=line.running)
        gradio_adapter.end_calls(self.page)
        deadline = time.monotonic() + grace_s
        while queueing.line(self.page).running_jobs and time.monotonic() < deadline:
            time.sleep(0.05)
        left = queueing.line(self.page).running_jobs
        self._hand_over()
        self.page.close(verbose=False)
        UPLOADS.close()
        self.log.info("stopped", cut_off=left)

    def _hand_over(self) -> None:
        """Call `on_stop`, but wait for a slow network only for so long."""

        def work() -> None:
            try:
                self.on_stop()
            except Exception:
                self.log.error("what must outlive the process could not be handed over", exc_info=True)

        thread = threading.Thread(target=work, name="hand-over", daemon=True)
        thread.start()
        thread.join(HANDOVER_S)

    def _end(self, code: int) -> None:
        """End the process without waiting for threads that may be inside a step."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _reason(failure: BaseException) -> str:
    """Return an expected failure's sentence, which tells the operator what to do and names no visitor's file."""
    return str(failure) if isinstance(failure, StyleIdentityError) else type(failure).__name__
