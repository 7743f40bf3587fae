"""Results of votes on visitors' own photos, which stand apart from the study's votes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from core.study.analysis import statistics
from core.study.analysis.ballots import orders_and_choices
from core.study.analysis.statistics import PositionBias
from core.study.analysis.tables import Interval, choices_still_missing
from core.study.records import PhotoVoteRow, arm_title, arms_in_order

PHOTO_VOTES_NOTE = (
    "Quick votes are about visitors' own photos. They belong to no run: nothing tells whether several come from one "
    "person, so Wilson's interval takes each as independent and may be too narrow. They count in no other table."
)


@dataclass(frozen=True)
class PhotoResult:
    """One row: how often an arm was chosen, its share of all choices from 0 to 1, and Wilson's 95 % interval."""

    arm: str
    title: str
    choices: int
    share: float
    interval: Interval


@dataclass(frozen=True)
class PhotoTable:
    """The photo votes in one style between the same arms.

    Attributes:
        style: slug of the ready-made style.
        arms: compared ones, in the order of `records.arms_in_order`.
        choices: votes, "can't decide" included.
        withheld: what is still missing, as a sentence; "" when the table is shown. The fields below are then empty.
        undecided: votes for "can't decide".
        results: one row per arm.
        positions: whether the place on the screen mattered.
    """

    style: str
    arms: tuple[str, ...]
    choices: int
    withheld: str
    undecided: int = 0
    results: tuple[PhotoResult, ...] = ()
    positions: PositionBias | None = None


def photo_tables(votes: Iterable[PhotoVoteRow], *, minimum_choices: int) -> Iterator[PhotoTable]:
    """Make one table per style and set of arms, in the order of their first votes.

    Args:
        votes: all photo votes of a store.
        minimum_choices: votes that a table needs.
    """
    found: dict[tuple[str, tuple[str, ...]], list[PhotoVoteRow]] = {}
    for vote in votes:
        arms = arms_in_order(vote.order)
        found.setdefault((vote.style, arms), []).append(vote)
    for (style, arms), mine in found.items():
        withheld = choices_still_missing(len(mine), minimum_choices)
        yield PhotoTable(style, arms, len(mine), withheld) if withheld else _table(style, arms, mine)


def _table(style: str, arms: tuple[str, ...], votes: list[PhotoVoteRow]) -> PhotoTable:
    orders, choices = orders_and_choices(votes, arms)
    tally = np.bincount(choices, minlength=len(arms) + 1)
    shares = statistics.preference_share_of_all_choices(tally)
    wilson = statistics.wilson_interval_of_independent_votes(tally[:-1], len(votes))
    rows = zip(arms, tally, shares, wilson, strict=False)  # the tally has a column more
    return PhotoTable(
        style,
        arms,
        len(votes),
        withheld="",
        undecided=int(tally[-1]),
        results=tuple(
            PhotoResult(arm, arm_title(arm), int(count), float(share), (float(low), float(high)))
            for arm, count, share, (low, high) in rows
        ),
        positions=statistics.position_bias_chi_square(orders, choices),
    )
