"""What a piece of work costs: seconds, and the most memory while it ran."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from core.engines.allocator import give_back_freed_memory
from core.engines.devices import wait_for
from core.progress import peak_memory_bytes

Result = TypeVar("Result")
_RESET = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Cost:
    """Seconds and memory of one piece of work.

    Attributes:
        seconds: by the wall clock, the device's work included.
        peak_bytes: the most resident memory of this process, loaded networks included; None where unknown.
        peak_of_run: whether that is the work's own peak, or the process's since its start.
        device_peak_bytes: the most memory of an accelerator; None on a CPU.
    """

    seconds: float
    peak_bytes: int | None
    peak_of_run: bool
    device_peak_bytes: int | None


def measure_cost(work: Callable[[], Result], device: torch.device) -> tuple[Result, Cost]:
    """Run the work once."""
    own = reset_peak_memory()
    accelerated = device.type != "cpu"
    if accelerated:
        torch.accelerator.reset_peak_memory_stats(device)
    wait_for(device)
    started = time.perf_counter()
    result = work()
    wait_for(device)
    seconds = time.perf_counter() - started
    peak = torch.accelerator.max_memory_allocated(device) if accelerated else None
    return result, Cost(seconds, peak_memory_bytes(), own, peak)


def reset_peak_memory() -> bool:
    """Let the system's record of this process's peak begin anew; False where it can't (only Linux can).

    What was freed before goes back to the system first, or it would count as in use.
    """
    give_back_freed_memory()
    try:
        _RESET.write_text("5")
    except OSError:
        return False
    return True
