"""How a process shares the cores with others; imports nothing, since it has to come before torch."""

from __future__ import annotations

import os


def share_cores() -> None:
    """Let threads that wait for each other sleep instead of spin. Call it before torch is imported."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
