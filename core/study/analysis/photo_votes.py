"""Results of quick votes: comparisons on visitors' own photos, which stand apart from the study's votes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from core.study.analysis import statistics
from core.study.analysis.statistics import PositionBias
from core.study.analysis.tables import Interval, choices_still_missing
from core.study.protocol.packs import ARM_TITLES, ARMS, Arm
from core.study.protocol.records import QuickVoteRow

QUICK_NOTE = (
    "Quick votes are about visitors' own photos. They belong to no run: nothing tells whether several come from one "
    "person, so Wilson's interval takes each as independent and may be too narrow. They count in no other table."
)


@dataclass(frozen=True)
class QuickResult:
    """One row: how often an arm was chosen, its share of all choices from 0 to 1, and Wilson's 95 % interval."""

    arm: Arm
    title: str
    choices: int
    share: float
    interval: Interval


@dataclass(frozen=True)
class QuickTable:
    """The quick votes in one style between the same arms.

    Attributes:
        style: slug of the ready-made style.
        arms: compared ones, in the order of `packs.ARMS`.
        choices: votes, "can't decide" included.
        withheld: what is still missing, as a sentence; "" when the table is shown. The fields below are then empty.
        undecided: votes for "can't decide".
        results: one row per arm.
        positions: whether the place on the screen mattered.
    """

    style: str
    arms: tuple[Arm, ...]
    choices: int
    withheld: str
    undecided: int = 0
    results: tuple[QuickResult, ...] = ()
    positions: PositionBias | None = None


def quick_tables(votes: Iterable[QuickVoteRow], *, minimum_choices: int) -> Iterator[QuickTable]:
    """One table per style and set of arms, in the order of their first votes.

    Args:
        votes: all quick votes of a store.
        minimum_choices: votes that a table needs.
    """
    found: dict[tuple[str, tuple[Arm, ...]], list[QuickVoteRow]] = {}
    for vote in votes:
        arms = tuple(arm for arm in ARMS if arm in vote.order)
        found.setdefault((vote.style, arms), []).append(vote)
    for (style, arms), mine in found.items():
        withheld = choices_still_missing(len(mine), minimum_choices)
        yield QuickTable(style, arms, len(mine), withheld) if withheld else _table(style, arms, mine)


def _table(style: str, arms: tuple[Arm, ...], votes: list[QuickVoteRow]) -> QuickTable:
    place = {arm: index for index, arm in enumerate(arms)}
    order = np.array([[place[arm] for arm in vote.order] for vote in votes])  # [V, A]
    choice = np.array([len(arms) if vote.choice is None else place[vote.choice] for vote in votes])  # [V]
    tally = np.bincount(choice, minlength=len(arms) + 1)
    shares = statistics.preference_share_of_all_choices(tally)
    wilson = statistics.wilson_interval_of_independent_votes(tally[:-1], len(votes))
    return QuickTable(
        style,
        arms,
        len(votes),
        withheld="",
        undecided=int(tally[-1]),
        results=tuple(
            QuickResult(
                arm, ARM_TITLES[arm], int(tally[i]), float(shares[i]), (float(wilson[i][0]), float(wilson[i][1]))
            )
            for i, arm in enumerate(arms)
        ),
        positions=statistics.position_bias_chi_square(order, choice),
    )
