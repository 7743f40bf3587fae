"""Who sees what, in which order and place: Williams squares for positions, random orders for trials.

A Williams square (E. J. Williams, "Experimental designs balanced for the estimation of residual effects of
treatments", Aust. J. Sci. Res. 2, 1949) shows every treatment equally often in every place, and every treatment
equally often right after every other one. Participants of a study get its rows in turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.study.protocol.packs import Pack
from core.study.records import LABELS

CHECK_EARLIEST, CHECK_LATEST = 4, 8  # the attention check follows one of these trials


@dataclass(frozen=True)
class DrawnScreen:
    """One trial, and its arms from A on."""

    trial_key: str
    order: tuple[str, ...]


@dataclass(frozen=True)
class Drawn:
    """A run's screens in the order they will be shown, and place and letter of its attention check."""

    screens: tuple[DrawnScreen, ...]
    check_after: int
    check_label: str


def williams_square(n: int) -> np.ndarray:
    """Return orders of the treatments 0..n-1 as rows: [n, n] for even `n`, [2n, n] for odd.

    The first row is 0, 1, n-1, 2, n-2, ...; every next row adds 1 modulo n. For odd `n` the mirrored rows follow,
    since neighbours are balanced only over both.
    """
    if n < 2:
        raise ValueError(f"a Williams square needs at least 2 treatments, got {n}")
    first = [0]
    for step in range(1, n):
        first.append((step + 1) // 2 if step % 2 else n - step // 2)
    square = (np.array(first)[None, :] + np.arange(n)[:, None]) % n  # [n, n]
    return square if n % 2 == 0 else np.concatenate([square, square[:, ::-1]])


def rows(n: int) -> int:
    """Return how many rows `williams_square(n)` has."""
    return n if n % 2 == 0 else 2 * n


def position_orders(n: int, *, trials: int, row0: int) -> np.ndarray:
    """Return orders of `n` treatments for the trials as shown, [trials, n]: rows row0, row0 + 1, ... of the square."""
    square = williams_square(n)
    return square[(row0 + np.arange(trials)) % len(square)]


def trial_order(trials: int, generator: np.random.Generator) -> np.ndarray:
    """Draw a random order of the trials 0..trials-1, [trials]."""
    return generator.permutation(trials)


def check_after(trials: int, generator: np.random.Generator) -> int:
    """Draw after how many answers the attention check comes: the 4th to the 8th, earlier ones in shorter studies."""
    first, last = min(CHECK_EARLIEST, trials), min(CHECK_LATEST, trials)
    return int(generator.integers(first, last, endpoint=True))


def one_order(arms: Sequence[str], generator: np.random.Generator) -> tuple[str, ...]:
    """Return the arms in a random row of their Williams square, for a single comparison."""
    square = williams_square(len(arms))
    return tuple(arms[index] for index in square[generator.integers(len(square))])


def next_row(n: int, use: Mapping[int, tuple[int, int]]) -> int:
    """Choose the starting row for the next participant: given out least in the own group, then least in both.

    Args:
        use: by row, how often it was given out (in the own group, in both); rows never given out may be missing.
    """
    return min(range(rows(n)), key=lambda row: (*use.get(row, (0, 0)), row))


def draw(pack: Pack, row0: int, generator: np.random.Generator) -> Drawn:
    """Draw what a run shows."""
    count = len(pack.trials)
    orders = position_orders(len(pack.arms), trials=count, row0=row0)
    return Drawn(
        screens=tuple(
            DrawnScreen(pack.trials[trial].key, tuple(pack.arms[arm] for arm in order))
            for trial, order in zip(trial_order(count, generator), orders, strict=True)
        ),
        check_after=check_after(count, generator),
        check_label=LABELS[generator.integers(len(pack.arms))],
    )
