"""Signs of a careless run, as pure functions. Flagged votes are shown apart, never deleted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from core.study.records import Flag

QUICK_MEDIAN_MS = 1500
ONE_SIDED_SHARE = 0.8  # 9 of 11
ONE_SIDED_MIN_CHOICES = 8


def flags_of(dwell_ms: Sequence[int], positions: Sequence[int | None], *, check_passed: bool | None) -> frozenset[Flag]:
    """Every flag that a participant's counted votes and attention check earn.

    Args:
        dwell_ms: of each vote.
        positions: 0 to 3 of each vote, None for "can't decide".
        check_passed: None before the check.
    """
    found: set[Flag] = set()
    if is_quick(dwell_ms):
        found.add("quick")
    if is_one_sided(positions):
        found.add("one-sided")
    if check_passed is False:
        found.add("check-failed")
    return frozenset(found)


def is_quick(dwell_ms: Sequence[int]) -> bool:
    """Whether the median time on a screen is under 1.5 s."""
    return bool(dwell_ms) and median(dwell_ms) < QUICK_MEDIAN_MS


def is_one_sided(positions: Sequence[int | None]) -> bool:
    """Whether at least 80 % of at least 8 choices went to one place; "can't decide" is no choice."""
    chosen = [position for position in positions if position is not None]
    if len(chosen) < ONE_SIDED_MIN_CHOICES:
        return False
    return max(Counter(chosen).values()) >= ONE_SIDED_SHARE * len(chosen)
