"""How far a long piece of work is: one value and one kind of listener for downloads, trainings and measurements."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Progress:
    """A moment of a piece of work.

    Attributes:
        what: names the piece of work: "training", "photos", a file's name.
        done: how much is done, in `unit`.
        of: how much there is; 0 while that is not known.
        unit: what is counted.
    """

    what: str
    done: int
    of: int
    unit: Literal["pieces", "bytes"] = "pieces"

    @property
    def fraction(self) -> float:
        """Share that is done, in [0, 1]; all of it where there is nothing to do."""
        return self.done / self.of if self.of else 1.0


OnProgress = Callable[[Progress], None]


def ignore_progress(_: Progress) -> None:
    """Listen to nothing: the default of every `on_progress`."""


def peak_memory_bytes() -> int | None:
    """Return the most resident memory that this process has had, in bytes; None where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the parent's memory before exec
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
