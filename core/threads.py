"""How a process shares the cores; imports nothing that is not Python's own, since it has to come before torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise


def share_cores() -> None:
    """Let threads that wait for each other sleep instead of spin. Call it before torch is imported."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")


def in_rows(work: Callable[[int, int], None], rows: int, threads: int) -> None:
    """Call `work(first, last)` for bands of rows, in as many threads."""
    if threads <= 1:
        work(0, rows)
        return
    edges = [rows * number // threads for number in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, first, last) for first, last in pairwise(edges)]:
            done.result()
