"""The app in a process of its own, which tests may kill and start again at the same address."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

from tests.forked import Forked

START_LIMIT_S = 120.0


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def end(process: subprocess.Popen | Forked, *, timeout_s: float) -> None:
    """Ask a process to stop, if it still runs; kill it if it doesn't."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class AppProcess:
    """The app with a data folder of its own. Use it as a context manager.

    Args:
        folder: for data, uploads and the log.
        start_limit_s: seconds after which a start has failed.
    """

    def __init__(self, folder: Path, *, start_limit_s: float = START_LIMIT_S) -> None:
        self.start_limit_s = start_limit_s
        self.data = folder / "data"
        self.log = folder / "app.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self._process: Forked | None = None

    def start(self) -> None:
        """Start the app and wait until it answers."""
        environment = {
            **os.environ,
            "GRADIO_SERVER_NAME": "127.0.0.1",
            "GRADIO_SERVER_PORT": str(self.port),
            "STYLEIDENTITY_DATA": str(self.data),
            "STYLEIDENTITY_BACKBONE": "mini",
        }
        environment.pop("GRADIO_TEMP_DIR", None)
        self._process = Forked("app", environment, self.log)
        started = time.monotonic()
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() - started > self.start_limit_s:
                raise AssertionError(f"app.py did not start:\n{self.log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.1)

    def answers(self) -> bool:
        """Whether the server is up."""
        try:
            with urllib.request.urlopen(f"{self.url}health", timeout=5):
                return True
        except urllib.error.HTTPError:
            return True
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """SIGKILL, in the middle of whatever it does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Ask it to stop; kill it if it doesn't."""
        if self._process is not None:
            end(self._process, timeout_s=20)

    def __enter__(self) -> AppProcess:
        self.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
