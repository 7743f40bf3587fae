"""Two processes that draw on the same cores at once: threads sleep while they wait, so neither stalls the other."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DRAWINGS = 5
PROGRAM = f"""
from core.threads import share_cores
share_cores()
import time
from core.engines.base import LoadRequest
from core.engines.fewshot_gan.engine import load
engine = load(LoadRequest("mini", "cpu"))
face = engine.sampled_face(22)
engine.draw(engine.prepare(face), None)
print("ready", flush=True)
input()
for _ in range({DRAWINGS}):
    started = time.monotonic()
    engine.draw(engine.prepare(face), None)
    print(time.monotonic() - started, flush=True)
"""


def medians(processes: int) -> list[float]:
    """The median seconds of an inversion with a drawing, for each of so many processes that start at one time."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "MKL_"))}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            cwd=ROOT,
            env=clean,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    try:
        for process in running:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [process.communicate(timeout=240)[0].split() for process in running]
    finally:
        for process in running:
            process.kill()
            process.communicate()
    return [statistics.median(map(float, seconds)) for seconds in told]


@pytest.mark.slow
def test_two_processes_that_draw_at_once_do_not_stall() -> None:
    """With threads that spin while they wait, a drawing of 0.3 s took up to half a minute beside another process."""
    (alone,) = medians(1)
    together = medians(2)
    assert max(together) < 5 * alone, f"{together} s beside each other, {alone:.2f} s alone"
