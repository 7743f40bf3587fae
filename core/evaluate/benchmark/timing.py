"""Seconds of repeated work, by PyTorch's own timer, and their ratio to the machine's convolution speed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.utils.benchmark import Timer

from core.engines.devices import wait_for


@dataclass(frozen=True)
class Seconds:
    """Seconds of repeated runs."""

    median_s: float
    min_s: float
    max_s: float
    repeats: int


@dataclass(frozen=True)
class TimedRow(Seconds):
    """One line of the report.

    Attributes:
        name: what was timed, with its shapes.
        backbone: "mini" or "ffhq" (random weights).
        dtype: of the arithmetic: "bfloat16", "float32", or "none" where no network runs.
        work_gflop: billions of operations that the machine's own convolution does in the median time; compares
            between machines, smaller is better. None where no network runs.
        peak_bytes: largest resident memory, where a process of its own was measured.
        note: what a reader should know.
    """

    name: str
    backbone: str
    dtype: str
    work_gflop: float | None
    peak_bytes: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Point(Seconds):
    """One measurement of a curve: `x` is what varies along `axis`."""

    curve: str
    axis: str
    x: int


def summarise(seconds: Sequence[float]) -> Seconds:
    """Median, least and most of at least one measurement."""
    if not seconds:
        raise ValueError("expected at least one measurement, got none")
    return Seconds(statistics.median(seconds), min(seconds), max(seconds), len(seconds))


def time_once(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of one run, until the device has done what it was given."""
    wait_for(device)
    started = time.perf_counter()
    work()
    wait_for(device)
    return time.perf_counter() - started


def time_repeated(work: Callable[[], object], device: torch.device, *, repeats: int) -> Seconds:
    """Time so many runs after a warm-up, with as many threads as PyTorch uses now.

    `Timer.timeit` gives the mean of its runs alone, so each run notes its own time.
    """
    noted: list[float] = []
    timer = Timer(
        "note(time_once(work, device))",
        globals={"note": noted.append, "time_once": time_once, "work": work, "device": device},
        num_threads=torch.get_num_threads(),
    )
    timer.timeit(repeats)
    return summarise(noted[-repeats:])
