"""One results table: the votes of one comparison and group, turned into shares, strengths and checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from core.errors import Sentence
from core.study.analysis import statistics
from core.study.analysis.ballots import count_by, orders_and_choices
from core.study.analysis.statistics import PositionBias, Separation
from core.study.records import Group, VoteRow, arm_title

# With ten participants intervals still cover nearly as often as they say (tests/test_study_simulation.py), with fewer
# they soon don't. The paper's smaller group had 11 people.
MINIMUM_PARTICIPANTS = 10
# Below this a Wilson interval around one half spans more than 19 points: nothing worth a table.
MINIMUM_CHOICES = 100

TableGroup = Literal["all", "artist", "viewer"]
Interval = tuple[float, float]


@dataclass(frozen=True)
class ArmResult:
    """One row of a table. Shares are of all choices, can't-decide ones included, from 0 to 1; intervals are 95 %.

    Attributes:
        arm: identifier.
        title: for people.
        choices: how often it was chosen.
        share: `choices` over all choices.
        wilson: interval of the share if votes were independent.
        bootstrap: interval of the share over participants.
        interval: the wider of the two at each end; the one to show.
        strength: top-1 Plackett-Luce log-strength, mean zero over the arms.
        strength_interval: of the strength, by bootstrap over participants.
    """

    arm: str
    title: str
    choices: int
    share: float
    wilson: Interval
    bootstrap: Interval
    interval: Interval
    strength: float
    strength_interval: Interval


@dataclass(frozen=True)
class Table:
    """Results of one pack, or of all packs with the same arms, for one group.

    Attributes:
        pack: slug; "" for all packs with these arms.
        pack_digest: of the stimuli; "" for all packs with these arms.
        title: for people.
        group: "all", "artist" or "viewer".
        arms: compared ones, in the order of `records.arms_in_order`.
        participants: finished runs that count.
        choices: their votes, can't-decide ones included.
        withheld: what is still missing, as a sentence; "" when the table is shown. The fields below are then empty.
        trials: how many were voted on.
        undecided: votes for "can't decide".
        results: one row per arm.
        positions: whether the place on the screen mattered.
        kappa: agreement of participants on trials; None where it is undefined.
        best_two: whether the leading arm is told apart.
        undecided_share: `undecided` over `choices`.
    """

    pack: str
    pack_digest: str
    title: str
    group: TableGroup
    arms: tuple[str, ...]
    participants: int
    choices: int
    withheld: str
    trials: int = 0
    undecided: int = 0
    results: tuple[ArmResult, ...] = ()
    positions: PositionBias | None = None
    kappa: float | None = None
    best_two: Separation | None = None
    undecided_share: float | None = None

    @property
    def ranked(self) -> tuple[ArmResult, ...]:
        """The rows, most chosen first."""
        return tuple(sorted(self.results, key=lambda row: -row.choices))


@dataclass(frozen=True)
class Scope:
    """What a table is about: a pack, or all packs with the same arms; what its arms are called; votes that count."""

    pack: str
    pack_digest: str
    title: str
    arms: tuple[str, ...]
    votes: tuple[VoteRow, ...]
    arm_titles: Mapping[str, str]


@dataclass(frozen=True)
class Settings:
    """How tables are made.

    Attributes:
        minimum: finished participants a table needs.
        minimum_choices: choices a table needs.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """

    minimum: int = MINIMUM_PARTICIPANTS
    minimum_choices: int = MINIMUM_CHOICES
    resamples: int = statistics.RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        if self.minimum < 2 or self.minimum_choices < 1 or self.resamples < 1:
            raise ValueError(f"Settings need minimum >= 2, minimum_choices >= 1 and resamples >= 1, got {self}")


def make_table(scope: Scope, group: Group | None, settings: Settings) -> Table:
    """Make the table of a scope for one group, or for everybody where `group` is None."""
    votes = [vote for vote in scope.votes if group is None or vote.group == group]
    people = [vote.participant for vote in votes]
    count, arms = len(set(people)), len(scope.arms)
    table = Table(
        pack=scope.pack,
        pack_digest=scope.pack_digest,
        title=scope.title,
        group=group or "all",
        arms=scope.arms,
        participants=count,
        choices=len(votes),
        withheld=still_missing(count, len(votes), settings),
    )
    if table.withheld:
        return table
    orders, choices = orders_and_choices(votes, scope.arms)
    tallies = count_by(people, choices, arms=arms)
    by_trial = count_by([(vote.pack_digest, vote.trial_key) for vote in votes], choices, arms=arms)
    resampled = statistics.resampled_over_participants(tallies, resamples=settings.resamples, seed=settings.seed)
    undecided = int(tallies[:, -1].sum())
    return replace(
        table,
        trials=len(by_trial),
        undecided=undecided,
        results=_rows(scope, tallies, resampled),
        positions=statistics.position_bias_chi_square(orders, choices),
        kappa=statistics.fleiss_kappa_over_trials(by_trial),
        best_two=statistics.separation_of_best_two(scope.arms, tallies, resampled),
        undecided_share=undecided / len(votes),
    )


def still_missing(participants: int, choices: int, settings: Settings) -> str:
    """Say what a table still needs, as a sentence; "" when it may be shown."""
    if participants < settings.minimum:
        lack = settings.minimum - participants
        if lack == 1:
            return Sentence("1 more person must finish before results are shown here.")
        return Sentence("{count} more people must finish before results are shown here.", count=f"{lack:,}")
    return choices_still_missing(choices, settings.minimum_choices)


def choices_still_missing(choices: int, minimum: int) -> str:
    """Say how many choices a table still needs, as a sentence; "" when there are enough."""
    lack = minimum - choices
    if lack <= 0:
        return ""
    if lack == 1:
        return Sentence("1 more choice is needed before results are shown here.")
    return Sentence("{count} more choices are needed before results are shown here.", count=f"{lack:,}")


def _rows(scope: Scope, tallies: np.ndarray, resampled: np.ndarray) -> tuple[ArmResult, ...]:
    tally = tallies.sum(axis=0)
    shares = statistics.preference_share_of_all_choices(tally)
    wilson = statistics.wilson_interval_of_independent_votes(tally[:-1], int(tally.sum()))
    bootstrap = statistics.bootstrap_interval_of_shares(resampled, len(tallies))
    interval = statistics.wider_at_each_end(wilson, bootstrap)
    shown = np.ones((1, len(scope.arms)), dtype=bool)
    strengths = statistics.plackett_luce_top1(tally[None, :-1], shown)
    spread = statistics.plackett_luce_top1_resampled(resampled[:, None, :-1], shown)
    strength_intervals = statistics.expanded_percentile_interval(spread, len(tallies))
    return tuple(
        ArmResult(
            arm=arm,
            title=arm_title(arm, scope.arm_titles),
            choices=int(tally[index]),
            share=float(shares[index]),
            wilson=_pair(wilson[index]),
            bootstrap=_pair(bootstrap[index]),
            interval=_pair(interval[index]),
            strength=float(strengths[index]),
            strength_interval=_pair(strength_intervals[index]),
        )
        for index, arm in enumerate(scope.arms)
    )


def _pair(ends: np.ndarray) -> Interval:
    return float(ends[0]), float(ends[1])
