"""Simulated people with known preferences: do shares, strengths and tests say what was put in, as often as claimed?

Coverage is counted over repeated small studies with fixed seeds and compared with binomial bounds. 200 people go
through the real store, screen by screen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from core.study.analysis import statistics
from core.study.analysis.export import export
from core.study.analysis.report import report
from core.study.protocol.design import position_orders
from core.study.protocol.flow import Study
from core.study.protocol.packs import Pack
from core.study.records import LABELS, Screen, VoteRow
from tests.made_votes import tallies_of
from tests.study_parts import ARMS, kept_open, run_through, small_pack, study_on

PREFERENCES = (0.10, 0.20, 0.25, 0.35, 0.10)  # four arms, then undecided
LIKENESS = 6.0
TRUE_SHARES = np.array(PREFERENCES[:4])
TRUE_STRENGTHS = np.log(TRUE_SHARES) - np.log(TRUE_SHARES).mean()
ONE_SET = np.ones((1, 4), dtype=bool)
TRIALS = 11


def inside(intervals: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Which of the intervals [A, 2] hold the truth [A]."""
    return (intervals[:, 0] <= truth) & (truth <= intervals[:, 1])


def coverage(people: int, *, repetitions: int, likeness: float = LIKENESS) -> dict[str, np.ndarray]:
    """How often each kind of interval held the truth, [A] per kind."""
    generator = np.random.default_rng(people)
    hits = {kind: np.zeros(4) for kind in ("bootstrap", "wilson", "shown", "strength")}
    for seed in range(repetitions):
        tallies = tallies_of(generator, people, preferences=PREFERENCES, likeness=likeness, trials=TRIALS)
        sums = statistics.resampled_over_participants(tallies, resamples=400, seed=seed)
        tally = tallies.sum(axis=0)
        shares = statistics.preference_share_of_all_choices(sums)
        strengths = statistics.plackett_luce_top1_resampled(sums[:, None, :-1], ONE_SET)
        found = {
            "bootstrap": statistics.expanded_percentile_interval(shares, people),
            "wilson": statistics.wilson_interval_of_independent_votes(tally[:-1], int(tally.sum())),
            "strength": statistics.expanded_percentile_interval(strengths, people),
        }
        found["shown"] = statistics.wider_at_each_end(found["bootstrap"], found["wilson"])
        for kind, intervals in found.items():
            hits[kind] += inside(intervals, TRUE_STRENGTHS if kind == "strength" else TRUE_SHARES)
    return {kind: count / repetitions for kind, count in hits.items()}


def at_least(rate: float, repetitions: int) -> float:
    """The share of hits that a true rate undercuts once in 10,000 times."""
    return binom.ppf(1e-4, repetitions, rate) / repetitions


def at_most(rate: float, repetitions: int) -> float:
    """The share of hits that a true rate exceeds once in 10,000 times."""
    return binom.isf(1e-4, repetitions, rate) / repetitions


def test_intervals_hold_the_truth_at_the_stated_rate() -> None:
    """95 % intervals of 60 people: within binomial bounds of 95 %, with one point for the bootstrap's own error."""
    repetitions = 300
    found = coverage(60, repetitions=repetitions)
    for kind in ("bootstrap", "shown", "strength"):
        assert (found[kind] >= at_least(0.94, repetitions)).all(), (kind, found[kind])
        assert (found[kind] <= at_most(0.96, repetitions)).all(), (kind, found[kind])


def test_votes_of_one_person_are_no_independent_votes() -> None:
    """Wilson's interval falls short where people differ, which is why the bootstrap is over participants."""
    found = coverage(60, repetitions=200)
    assert (found["wilson"] < at_least(0.94, 200)).all()
    independent = coverage(60, repetitions=200, likeness=1e6)
    assert (independent["wilson"] >= at_least(0.94, 200)).all()


def test_the_smallest_study_that_is_shown_nearly_keeps_its_word() -> None:
    """With the minimum of 10 people the intervals shown hold the truth in nine of ten studies at the very least."""
    found = coverage(10, repetitions=300)
    assert (found["shown"] >= at_least(0.92, 300)).all(), found["shown"]


def test_shuffled_votes_give_equal_ratings() -> None:
    """Votes dealt out at random over the four arms: equal shares and strengths lie inside the intervals as often."""
    repetitions, equal = 200, np.full(4, 0.25)
    hits, strength_hits = np.zeros(4), np.zeros(4)
    generator = np.random.default_rng(11)
    for seed in range(repetitions):
        tallies = tallies_of(generator, 40, preferences=PREFERENCES, likeness=LIKENESS)
        decided = tallies[:, :4].sum(axis=1)
        shuffled = np.column_stack([generator.multinomial(decided, equal), np.zeros(40, dtype=int)])
        sums = statistics.resampled_over_participants(shuffled, resamples=400, seed=seed)
        shares = statistics.preference_share_of_all_choices(sums)
        strengths = statistics.plackett_luce_top1_resampled(sums[:, None, :-1], ONE_SET)
        hits += inside(statistics.expanded_percentile_interval(shares, 40), equal)
        strength_hits += inside(statistics.expanded_percentile_interval(strengths, 40), np.zeros(4))
    for count in (hits, strength_hits):
        assert (count / repetitions >= at_least(0.94, repetitions)).all()


def test_told_apart_is_said_wrongly_at_most_at_its_level() -> None:
    """Two arms with the same true share: one of them "leads" in one of twenty studies, no more."""
    repetitions, generator = 300, np.random.default_rng(4)
    wrong = 0
    for seed in range(repetitions):
        tallies = tallies_of(generator, 40, preferences=(0.45, 0.45, 0.1), likeness=LIKENESS)
        sums = statistics.resampled_over_participants(tallies, resamples=400, seed=seed)
        wrong += statistics.separation_of_best_two(ARMS, tallies, sums).separated
    assert wrong / repetitions <= at_most(0.06, repetitions)


def test_the_promised_number_of_participants_tells_arms_apart() -> None:
    """The sample size for 80 % power, worked out from many people, gives about that power when it is used."""
    generator, preferences = np.random.default_rng(8), (0.30, 0.42, 0.28)
    many = tallies_of(generator, 20_000, preferences=preferences, likeness=LIKENESS)
    own = (many[:, 1] - many[:, 0]) / TRIALS
    needed = statistics.participants_for_paired_difference(own)
    repetitions = 200
    found = 0
    for seed in range(repetitions):
        tallies = tallies_of(generator, needed, preferences=preferences, likeness=LIKENESS)
        sums = statistics.resampled_over_participants(tallies, resamples=400, seed=seed)
        apart = statistics.separation_of_best_two(ARMS, tallies, sums)
        found += apart.separated and apart.best == ARMS[1]
    assert at_least(0.76, repetitions) <= found / repetitions <= at_most(0.84, repetitions)


def positions_p(bias: tuple[float, ...], *, people: int, seed: int) -> float:
    """p-value of a study with the app's own orders; `bias` multiplies an arm's chance at each position."""
    generator = np.random.default_rng(seed)
    orders = np.concatenate([position_orders(4, trials=TRIALS, row0=person % 4) for person in range(people)])
    chances = np.array(PREFERENCES[:4])[orders] * np.asarray(bias)  # [V, 4] by position
    steps = (chances / chances.sum(axis=1, keepdims=True)).cumsum(axis=1)
    position = (generator.random((len(orders), 1)) > steps).sum(axis=1).clip(max=3)
    choice = orders[np.arange(len(orders)), position]
    return statistics.position_bias_chi_square(orders, choice).p_value


def test_position_bias_is_found_where_it_was_planted_and_not_elsewhere() -> None:
    planted = [positions_p((1.5, 1, 1, 1), people=100, seed=seed) for seed in range(100)]
    assert np.mean(np.array(planted) < 0.05) > 0.95
    none = np.array([positions_p((1, 1, 1, 1), people=30, seed=seed) for seed in range(400)])
    assert np.mean(none < 0.05) <= at_most(0.05, 400)
    assert np.mean(none < 0.5) > 0.2, "the test is not blind either"


class Crowd:
    """People who choose by a known preference of their own; every tenth is hasty and presses anything."""

    def __init__(self, pack: Pack, seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        self._arm_of = {path: arm for trial in pack.trials for arm, path in trial.candidates.items()}

    def person(self) -> Callable[[Screen], str | None]:
        """How one person answers a trial, by recognising the pictures."""
        own = self._generator.dirichlet(np.array(PREFERENCES) * LIKENESS)

        def choose(screen: Screen) -> str | None:
            chosen = int(self._generator.choice(5, p=own))
            shown = [self._arm_of[path] for path in screen.candidates]
            return None if chosen == 4 else LABELS[shown.index(ARMS[chosen])]

        return choose


def drive(study: Study, pack: Pack, people: int, *, seed: int) -> list[str]:
    """Sends people through the real study; returns their codes."""
    crowd = Crowd(pack, seed)
    return [
        run_through(study, group=("artist", "viewer")[number % 5 > 1], choice=crowd.person())
        for number in range(people)
    ]


def test_a_small_crowd_through_the_real_store(tmp_path: Path) -> None:
    """What people did arrives in the report vote by vote; a withdrawn person leaves it and the export."""
    pack = small_pack(tmp_path, trials=9)
    study = study_on(tmp_path / "votes.sqlite3", pack)
    codes = drive(study, pack, 12, seed=0)
    revealed = [dict(study.screen(code).revealed) for code in codes]
    made = report(study.store.votes(), resamples=200, titles={"small": pack.title})
    table = made.main_table
    assert (table.participants, table.choices, table.trials, table.title) == (12, 108, 9, "Small")
    for row in table.results:
        assert row.choices == sum(person[row.title] for person in revealed)
    assert sum(table.positions.observed) == 108 - table.undecided
    assert [part.participants for part in made.tables] == [12, 6, 6]
    study.withdraw(codes[3])
    after = report(study.store.votes(), resamples=200)
    assert (after.participants, after.choices) == (11, 99)
    written = export(
        tmp_path / "out",
        votes=study.store.votes(),
        participants=study.store.participants(withdrawn=True),
        salt=b"grains",
    )
    assert written.rows == {"votes": 99, "participants": 11, "quick_votes": 0}


@pytest.fixture(scope="module")
def crowd_votes(tmp_path_factory: pytest.TempPathFactory) -> list[VoteRow]:
    """Votes of 200 people, driven screen by screen through the real study and store."""
    folder = tmp_path_factory.mktemp("crowd")
    pack = small_pack(folder, trials=TRIALS)
    study = study_on(folder / "votes.sqlite3", pack)
    with kept_open(study):
        drive(study, pack, 200, seed=20)
    return study.store.votes()


@pytest.mark.slow
def test_two_hundred_people_reveal_their_preferences(crowd_votes: list[VoteRow]) -> None:
    """200 people on 11 trials: all shares and strengths inside their intervals, positions and groups balanced."""
    made = report(crowd_votes)
    table = made.main_table
    assert (table.participants, table.choices, table.trials) == (200, 2200, 11)
    for row, share, strength in zip(table.results, TRUE_SHARES, TRUE_STRENGTHS, strict=True):
        assert row.interval[0] <= share <= row.interval[1]
        assert row.strength_interval[0] <= strength <= row.strength_interval[1]
        assert row.interval[1] - row.interval[0] < 0.07
    assert table.ranked[0].arm == "ours-few" and table.best_two.separated
    assert table.positions.p_value > 1e-4
    expected = np.array(table.positions.expected)
    assert np.abs(expected / expected.mean() - 1).max() < 0.02, "the design balances positions"
    assert [part.participants for part in made.tables] == [200, 80, 120]


@pytest.mark.slow
def test_two_hundred_peoples_shuffled_votes_are_level(crowd_votes: list[VoteRow]) -> None:
    """Every decided vote dealt to a random arm, thirty times over: all arms level as often as the intervals claim."""
    generator, repetitions = np.random.default_rng(3), 30
    hits, strength_hits, apart = np.zeros(4), np.zeros(4), 0
    for _ in range(repetitions):
        table = report(_dealt_anew(crowd_votes, generator), resamples=400).main_table
        even = np.full(4, (1 - table.undecided_share) / 4)
        hits += inside(np.array([row.interval for row in table.results]), even)
        strength_hits += inside(np.array([row.strength_interval for row in table.results]), np.zeros(4))
        apart += table.best_two.separated
        assert abs(table.kappa) < 0.02
        assert all(abs(row.strength) < 0.3 for row in table.results)
    for count in (hits, strength_hits):
        assert (count / repetitions >= at_least(0.94, repetitions)).all()
    assert apart <= repetitions // 3, "the best of four leads the second by chance more often than a chosen pair"


def _dealt_anew(votes: list[VoteRow], generator: np.random.Generator) -> list[VoteRow]:
    positions = generator.integers(4, size=len(votes))
    return [
        vote if vote.choice is None else replace(vote, choice=vote.order[position], position=int(position))
        for vote, position in zip(votes, positions, strict=True)
    ]
