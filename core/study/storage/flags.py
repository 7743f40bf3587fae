"""Signs of a careless run, as pure functions. Flagged votes are shown apart, never deleted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import comb
from statistics import median

from core.study.records import Flag

QUICK_MEDIAN_MS = 1500
ONE_SIDED_SHARE = 0.8  # 9 of 11
ONE_SIDED_MIN_CHOICES = 8
ONE_SIDED_CHANCE = 0.001  # of an even chooser, at most; with two places the share alone would flag one in fifteen


def flags_of(
    dwell_ms: Sequence[int], positions: Sequence[int | None], *, places: int, check_passed: bool | None
) -> frozenset[Flag]:
    """Return every flag that a participant's counted votes and attention check earn.

    Args:
        dwell_ms: of each vote.
        positions: 0 to 3 of each vote, None for "can't decide".
        places: how many there were to choose from.
        check_passed: None before the check.
    """
    earned: dict[Flag, bool] = {
        "quick": is_quick(dwell_ms),
        "one-sided": is_one_sided(positions, places=places),
        "check-failed": check_passed is False,
    }
    return frozenset(flag for flag, is_earned in earned.items() if is_earned)


def is_quick(dwell_ms: Sequence[int]) -> bool:
    """Tell whether the median time on a screen is under 1.5 s."""
    return bool(dwell_ms) and median(dwell_ms) < QUICK_MEDIAN_MS


def is_one_sided(positions: Sequence[int | None], *, places: int) -> bool:
    """Tell whether at least 80 % of at least 8 choices went to one place, and more than chance.

    "Can't decide" is no choice. Chance: `places * P(X >= most)` for X ~ Binomial(choices, 1 / places), at least the
    probability that an even chooser picks any one place so often.
    """
    chosen = [position for position in positions if position is not None]
    if len(chosen) < ONE_SIDED_MIN_CHOICES:
        return False
    count, most = len(chosen), max(Counter(chosen).values())
    ways = sum(comb(count, hits) * (places - 1) ** (count - hits) for hits in range(most, count + 1))
    return most >= ONE_SIDED_SHARE * count and places * ways / places**count < ONE_SIDED_CHANCE
