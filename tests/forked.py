"""Servers that begin as forks of a process which has imported everything, since the imports take most of a start.

Each test worker has one such process of its own (Python's fork server). What starts here must not depend on environment
variables that imports read, as those of huggingface_hub and `spaces`: such a server needs `subprocess`.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The last one is what torch imports when the first optimizer is made.
IMPORTS = ("app", "core.engines.fewshot_gan.engine", "tests.fake_engine", "tests.tiny_backbone", "torch._dynamo")
_CONTEXT = multiprocessing.get_context("forkserver")


class Forked:
    """`python -m module ...`, with as much of a `subprocess.Popen` as tests use.

    Args:
        module: what to run.
        environment: all of its environment variables.
        log: what it prints is added to this file.
        arguments: of its command line.
    """

    def __init__(self, module: str, environment: Mapping[str, str], log: Path, *arguments: str) -> None:
        _CONTEXT.set_forkserver_preload([*IMPORTS])
        self._module = module
        self._process = _CONTEXT.Process(target=_run, args=(module, dict(environment), log, arguments), daemon=True)
        self._process.start()
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit code, -N after signal N; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it ended."""
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(self._module, timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to stop."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


def _run(module: str, environment: dict[str, str], log: Path, arguments: tuple[str, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    sink = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for standard in (sys.stdout.fileno(), sys.stderr.fileno()):
        os.dup2(sink, standard)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
