"""Statistics of the study against closed forms, published examples and plain loops."""

from __future__ import annotations

import itertools

import choix
import numpy as np
import pytest
from scipy.stats import chisquare
from statsmodels.stats.inter_rater import fleiss_kappa

from core.study.analysis import statistics
from core.study.analysis.ballots import count_by, orders_and_choices
from core.study.analysis.report import report
from tests.made_votes import PAPER_PER_10_000, tallies_of, vote, votes_of
from tests.study_parts import ARMS

ONE_SET = np.ones((1, 4), dtype=bool)


def random_tallies(people: int = 40, seed: int = 0) -> np.ndarray:
    """Counts of made-up people over four arms and "can't decide"."""
    generator = np.random.default_rng(seed)
    return tallies_of(generator, people, preferences=(0.1, 0.2, 0.25, 0.35, 0.1), likeness=4)


def test_share_of_all_choices_prints_the_papers_table() -> None:
    shares = statistics.preference_share_of_all_choices(np.array(PAPER_PER_10_000))
    assert [f"{100 * share:.2f}" for share in shares] == ["3.00", "14.00", "29.22", "48.74"]


def test_share_counts_undecided_votes_and_has_no_value_without_votes() -> None:
    shares = statistics.preference_share_of_all_choices(np.array([[1, 3, 4], [0, 0, 0], [0, 0, 2]]))
    assert shares[0] == pytest.approx([1 / 8, 3 / 8])
    assert np.isnan(shares[1]).all()
    assert (shares[2] == 0).all()


# Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), Table I,
# method 3 (score without continuity correction).
@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_as_published(count: int, total: int, low: float, high: float) -> None:
    interval = statistics.wilson_interval_of_independent_votes(np.array([count]), total)
    assert interval == pytest.approx(np.array([[low, high]]), abs=5e-5)


def test_wilson_interval_without_votes_is_everything() -> None:
    assert statistics.wilson_interval_of_independent_votes(np.zeros(3), 0).tolist() == [[0, 1]] * 3


def test_bootstrap_sums_whole_participants() -> None:
    """Every resample is a sum of as many rows as there are people, with the same seed the same."""
    tallies = np.array([[1, 0, 0], [0, 10, 0], [0, 0, 100]])
    sums = statistics.resampled_over_participants(tallies, resamples=500, seed=3)
    times = sums / [1, 10, 100]
    assert (times == np.round(times)).all()
    assert (times.sum(axis=1) == 3).all()
    assert (sums == statistics.resampled_over_participants(tallies, resamples=500, seed=3)).all()
    assert (sums != statistics.resampled_over_participants(tallies, resamples=500, seed=4)).any()


def test_bootstrap_spread_is_that_of_clusters() -> None:
    """Standard deviation of a resampled share against the linearised one over participants (equal votes each)."""
    tallies = random_tallies(60)
    own = tallies[:, 3] / tallies.sum(axis=1)
    expected = own.std() / np.sqrt(len(own))
    sums = statistics.resampled_over_participants(tallies, resamples=20_000)
    assert statistics.preference_share_of_all_choices(sums)[:, 3].std() == pytest.approx(expected, rel=0.03)
    assert expected > 1.2 * np.sqrt(own.mean() * (1 - own.mean()) / tallies.sum()), "likeness must matter here"


def test_bootstrap_does_not_depend_on_its_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    tallies = random_tallies()
    whole = statistics.resampled_over_participants(tallies, resamples=101)
    monkeypatch.setattr(statistics, "_CELLS_AT_ONCE", 300)
    assert (statistics.resampled_over_participants(tallies, resamples=101) == whole).all()


def test_bootstrap_of_nobody_is_empty() -> None:
    sums = statistics.resampled_over_participants(np.zeros((0, 5)), resamples=7)
    assert sums.shape == (7, 5) and not sums.any()
    interval = statistics.expanded_percentile_interval(statistics.preference_share_of_all_choices(sums), 0)
    assert interval.shape == (4, 2) and np.isnan(interval).all()


def test_percentile_interval_of_many_participants_and_of_few() -> None:
    values = np.stack([np.arange(1001.0), 1000 - np.arange(1001.0)], axis=1)
    many = statistics.expanded_percentile_interval(values, 10**9)
    assert many == pytest.approx(np.array([[25, 975]] * 2), abs=0.01)
    assert statistics.expanded_percentile_interval(values, 10**9, confidence=0.8) == pytest.approx(
        np.array([[100, 900]] * 2), abs=0.01
    )
    # Student's t with 9 degrees of freedom is 2.2622 at 97.5 %; times sqrt(10 / 9) is 2.3845, whose tail is 0.8550 %.
    few = statistics.expanded_percentile_interval(values, 10)
    assert few == pytest.approx(np.array([[8.55, 991.45]] * 2), abs=0.01)
    assert np.isnan(statistics.expanded_percentile_interval(values, 1)).all()


def test_wider_at_each_end() -> None:
    first, second = np.array([[0.2, 0.5], [0.1, 0.9]]), np.array([[0.1, 0.4], [np.nan, np.nan]])
    assert statistics.wider_at_each_end(first, second).tolist() == [[0.1, 0.5], [0.1, 0.9]]


def test_strengths_of_one_choice_set_are_logs_of_counts() -> None:
    wins = np.array([[3, 14, 29, 49]])
    expected = np.log(wins[0] + 0.5)
    strengths = statistics.plackett_luce_top1(wins, ONE_SET)
    assert strengths == pytest.approx(expected - expected.mean(), abs=1e-7)


def test_strengths_are_the_maximum_of_the_likelihood() -> None:
    """With a vanishing prior, against choix's Newton solver of the likelihood, on choice sets of different sizes."""
    shown = np.array([[1, 1, 1, 1], [0, 0, 1, 1], [1, 0, 1, 0]], dtype=bool)
    wins = np.array([[5, 9, 14, 20], [0, 0, 11, 30], [4, 0, 13, 0]])
    data = [
        (arm, [other for other in np.flatnonzero(members) if other != arm])
        for row, members in zip(wins, shown, strict=True)
        for arm in range(4)
        for _ in range(row[arm])
    ]
    oracle = choix.opt_top1(4, data, alpha=1e-9, tol=1e-10)
    strengths = statistics.plackett_luce_top1(wins, shown, prior=1e-9)
    assert strengths == pytest.approx(oracle - oracle.mean(), abs=1e-4)


@pytest.mark.parametrize(
    "sets", [[[1, 1, 1, 1]], [[1, 1, 1, 1], [0, 0, 1, 1]], [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]]
)
def test_resampled_strengths_equal_choix_one_by_one(sets: list[list[int]]) -> None:
    shown = np.array(sets, dtype=bool)
    generator = np.random.default_rng(1)
    wins = generator.integers(0, 25, size=(6, *shown.shape)) * shown
    wins[0] = 0  # nobody chose anything
    wins[1, :, 1:] = 0  # one arm always won where it was shown
    at_once = statistics.plackett_luce_top1_resampled(wins, shown)
    for row, one in zip(at_once, wins, strict=True):
        assert row == pytest.approx(statistics.plackett_luce_top1(one, shown), abs=1e-5)
    assert (at_once[0] == 0).all()


def test_an_unbeaten_arm_stays_finite() -> None:
    strengths = statistics.plackett_luce_top1(np.array([[0, 0, 0, 308]]), ONE_SET)
    assert np.isfinite(strengths).all()
    assert strengths[3] - strengths[0] == pytest.approx(np.log(308.5 / 0.5), abs=1e-6)
    many = statistics.plackett_luce_top1_resampled(np.array([[[0, 0, 0, 308]]] * 3), ONE_SET)
    assert np.isfinite(many).all()


def test_strengths_refuse_what_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="one shape"):
        statistics.plackett_luce_top1(np.zeros((1, 3)), ONE_SET)
    with pytest.raises(ValueError, match="prior above 0"):
        statistics.plackett_luce_top1(np.zeros((1, 4)), ONE_SET, prior=0)
    with pytest.raises(ValueError, match="did not show"):
        statistics.plackett_luce_top1_resampled(np.array([[[1, 2]]]), np.array([[True, False]]))
    with pytest.raises(RuntimeError, match="did not settle"):
        statistics.plackett_luce_top1_resampled(np.array([[[9, 1]]]), np.array([[True, True]]), limit=1)


def test_position_bias_of_balanced_orders_is_the_plain_test() -> None:
    order = np.array([np.roll(np.arange(4), shift) for shift in range(4)] * 30)  # [120, 4]
    choice = np.array([row[place] for row, place in zip(order, [0] * 60 + [1] * 20 + [2] * 20 + [3] * 20, strict=True)])
    bias = statistics.position_bias_chi_square(order, choice)
    assert bias.observed == (60, 20, 20, 20)
    assert bias.expected == pytest.approx([30] * 4)
    assert bias.statistic == pytest.approx(40.0)  # 900 / 30 + 3 * 100 / 30
    assert bias.p_value == pytest.approx(chisquare([60, 20, 20, 20]).pvalue)


def test_position_bias_is_not_the_arms_doing() -> None:
    """An arm that everybody likes and that always stood first is no bias: the orders explain it."""
    order = np.tile([3, 0, 1, 2], (100, 1))
    choice = np.repeat([3, 0, 1, 2], [70, 10, 10, 10])
    bias = statistics.position_bias_chi_square(order, choice)
    assert bias.observed == (70, 10, 10, 10)
    assert bias.expected == pytest.approx([70, 10, 10, 10])
    assert bias.p_value == pytest.approx(1)


def test_position_bias_leaves_out_undecided_votes_and_needs_enough() -> None:
    order = np.tile(np.arange(2), (30, 1))
    choice = np.repeat([0, 1, 2], [9, 3, 18])
    bias = statistics.position_bias_chi_square(order, choice)
    assert bias.observed == (9, 3)
    assert bias.p_value is None and bias.statistic is None
    nobody = statistics.position_bias_chi_square(np.zeros((0, 4), dtype=int), np.zeros(0, dtype=int))
    assert nobody.observed == (0, 0, 0, 0) and nobody.p_value is None


# The worked example that textbooks give for J. L. Fleiss, "Measuring nominal scale agreement among many raters" (1971):
# ten subjects, fourteen raters, five categories.
FLEISS_EXAMPLE = np.array(
    [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]
)  # fmt: skip


def test_kappa_as_published() -> None:
    assert statistics.fleiss_kappa_over_trials(FLEISS_EXAMPLE) == pytest.approx(0.210, abs=5e-4)
    assert statistics.fleiss_kappa_over_trials(FLEISS_EXAMPLE) == pytest.approx(fleiss_kappa(FLEISS_EXAMPLE))


def test_kappa_of_unequal_raters_counts_pairs() -> None:
    votes = np.array([[5, 1, 0], [2, 2, 2], [0, 7, 1], [1, 0, 1]])
    agreements = []
    for row in votes:
        given = [category for category, count in enumerate(row) for _ in range(count)]
        pairs = list(itertools.permutations(given, 2))
        agreements.append(sum(first == second for first, second in pairs) / len(pairs))
    chance = sum(np.mean([row[category] / row.sum() for row in votes]) ** 2 for category in range(3))
    expected = (np.mean(agreements) - chance) / (1 - chance)
    assert statistics.fleiss_kappa_over_trials(votes) == pytest.approx(expected)
    with_single = np.vstack([votes, [[1, 0, 0]]])
    assert statistics.fleiss_kappa_over_trials(with_single) == pytest.approx(expected), "one vote agrees with nobody"


@pytest.mark.parametrize("votes", [np.zeros((0, 5)), np.zeros((3, 5)), [[1, 0, 0]] * 4, [[9, 0, 0], [4, 0, 0]]])
def test_kappa_is_undefined_without_pairs_or_variety(votes: list) -> None:
    assert statistics.fleiss_kappa_over_trials(np.asarray(votes, dtype=float)) is None


def test_kappa_of_full_agreement_is_one() -> None:
    assert statistics.fleiss_kappa_over_trials(np.array([[6, 0], [0, 6], [6, 0]])) == pytest.approx(1)


def test_sample_size_of_a_medium_effect() -> None:
    """Cohen's d = 0.5 at 5 % and 80 % power: the textbook's 34 for one sample."""
    differences = np.tile([0.5 - 1, 0.5 + 1], 50)  # mean 0.5, deviation 1 for n -> infinity
    scale = differences.std(ddof=1)
    assert statistics.participants_for_paired_difference((differences - 0.5) / scale + 0.5) == 34


def test_sample_size_at_the_edges() -> None:
    assert statistics.participants_for_paired_difference([]) is None
    assert statistics.participants_for_paired_difference([0.4]) is None
    assert statistics.participants_for_paired_difference([0.5, -0.5]) is None
    assert statistics.participants_for_paired_difference([1.0] * 30) == 3
    assert statistics.participants_for_paired_difference([1.0] * 30 + [0.999]) == 3
    assert statistics.participants_for_paired_difference([0.001, -1.0, 1.0]) > 1_000_000


def test_likeness_of_votes_asks_for_more_participants() -> None:
    """The same shares, once from people of one mind each, once from mixed ones."""
    of_one_mind = np.array([[11, 0, 0]] * 12 + [[0, 11, 0]] * 8)
    mixed = np.array([[7, 4, 0]] * 10 + [[6, 5, 0]] * 8 + [[7, 4, 0]] * 1 + [[7, 4, 0]] * 1)
    assert of_one_mind.sum(axis=0)[0] == pytest.approx(mixed.sum(axis=0)[0], abs=1)

    def needed(tallies: np.ndarray) -> int | None:
        resampled = statistics.resampled_over_participants(tallies, resamples=500)
        return statistics.separation_of_best_two(ARMS, tallies, resampled).participants_for_power

    assert needed(of_one_mind) > 20 * needed(mixed)


def test_separation_of_clear_and_level_arms() -> None:
    tallies = random_tallies(200)
    clear = statistics.separation_of_best_two(ARMS, tallies, statistics.resampled_over_participants(tallies))
    shares = statistics.preference_share_of_all_choices(tallies.sum(axis=0))
    assert (clear.best, clear.second) == (ARMS[3], ARMS[2])
    assert clear.difference == pytest.approx(shares[3] - shares[2])
    assert clear.interval[0] < clear.difference < clear.interval[1]
    assert clear.separated and clear.participants_still_needed == 0
    tied = np.array([[3, 3, 0], [2, 4, 0], [4, 2, 0]] * 5)
    level = statistics.separation_of_best_two(ARMS, tied, statistics.resampled_over_participants(tied))
    assert level.difference == 0 and not level.separated
    assert level.participants_for_power is None and level.participants_still_needed is None
    close = np.array([[6, 5, 0], [2, 8, 1], [9, 2, 0]] * 4)
    some = statistics.separation_of_best_two(ARMS, close, statistics.resampled_over_participants(close))
    assert not some.separated and some.participants_still_needed == some.participants_for_power - 12 > 0


def test_arrays_are_the_votes() -> None:
    rows = [
        vote("a", "ours-few", trial_key="x", order=("ours-few", "jojogan-one", "ours-one", "jojogan-few")),
        vote("b", None, trial_key="x"),
        vote("a", "jojogan-one", trial_key="y"),
    ]
    orders, choices = orders_and_choices(rows, ARMS)
    assert orders[0].tolist() == [3, 0, 2, 1] and orders[1].tolist() == [0, 1, 2, 3]
    assert choices.tolist() == [3, 4, 0]
    by_participant = count_by([row.participant for row in rows], choices, arms=4)
    assert by_participant.tolist() == [[1, 0, 0, 1, 0], [0, 0, 0, 0, 1]]
    assert count_by([row.trial_key for row in rows], choices, arms=4).tolist() == [[0, 0, 0, 1, 1], [1, 0, 0, 0, 0]]
    orders, choices = orders_and_choices([], ("ours-one", "ours-few"))
    assert count_by([], choices, arms=2).shape == (0, 3) and orders.shape == (0, 2)
    with pytest.raises(ValueError, match="expected a vote between"):
        orders_and_choices(rows, ("ours-one", "ours-few"))


def test_share_intervals_are_those_of_reports() -> None:
    """At each end the wider of Wilson's and the bootstrap's, with the report's own resamples and seed."""
    votes = votes_of(20, seed=3)
    _, choices = orders_and_choices(votes, ARMS)
    tally = count_by([row.participant for row in votes], choices, arms=len(ARMS))
    (table, *_) = report(votes).tables
    assert statistics.share_intervals(tally).tolist() == [list(row.interval) for row in table.results]
    wider = statistics.share_intervals(tally, confidence=0.99)
    assert np.all(wider[:, 1] > statistics.share_intervals(tally)[:, 1])
    assert not np.array_equal(statistics.share_intervals(tally, seed=1), statistics.share_intervals(tally))
