"""Timing of repeated work: warm-up, medians, and the ratio to the machine's own convolution speed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch


@dataclass(frozen=True)
class Summary:
    """Seconds of repeated runs."""

    median_s: float
    min_s: float
    max_s: float
    repeats: int


@dataclass(frozen=True)
class Row:
    """One line of the report.

    Attributes:
        name: what was timed, with its shapes.
        backbone: "mini" or "ffhq" (random weights).
        dtype: of the arithmetic: "bfloat16", "float32", or "none" where no network runs.
        summary: seconds.
        work_gflop: billions of operations that the machine's own convolution does in the median time; compares
            between machines, smaller is better. None where no network runs.
        peak_bytes: largest resident memory, where a process of its own was measured.
        note: what a reader should know.
    """

    name: str
    backbone: str
    dtype: str
    summary: Summary
    work_gflop: float | None = None
    peak_bytes: int | None = None
    note: str = ""

    def as_report(self) -> dict[str, object]:
        """Flat plain values."""
        values = asdict(self)
        return {**{name: values.pop(name) for name in ("name", "backbone", "dtype")}, **values.pop("summary"), **values}


def summarise(seconds: Sequence[float]) -> Summary:
    """Median, least and most of at least one measurement."""
    if not seconds:
        raise ValueError("expected at least one measurement, got none")
    return Summary(statistics.median(seconds), min(seconds), max(seconds), len(seconds))


def work_gflop(seconds: float, gflop_per_s: float) -> float:
    """What the machine's convolution would have done in `seconds`, in billions of operations."""
    return seconds * gflop_per_s


def wait_for(device: torch.device) -> None:
    """Return when the device has done what it was given; at once on a CPU."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


@dataclass(frozen=True)
class Stopwatch:
    """Times work on one device.

    Attributes:
        device: waited for before the clock is read.
        repeats: timed runs after `warm_ups` untimed ones.
    """

    device: torch.device
    repeats: int
    warm_ups: int = 1

    def seconds(self, work: Callable[[], object]) -> float:
        """One run."""
        wait_for(self.device)
        started = time.perf_counter()
        work()
        wait_for(self.device)
        return time.perf_counter() - started

    def time(self, work: Callable[[], object], *, repeats: int | None = None) -> Summary:
        """Warm up, then repeat; `repeats` overrides the stopwatch's."""
        for _ in range(self.warm_ups):
            work()
        return summarise([self.seconds(work) for _ in range(repeats or self.repeats)])
