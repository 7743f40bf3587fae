"""Closed forms of the Williams square, balance over participants, flags at their edges."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from core.study.protocol import design
from core.study.records import LABELS
from core.study.storage.flags import flags_of, is_one_sided, is_quick
from tests.study_parts import ARMS, small_pack


def test_the_four_by_four_square_is_the_published_one() -> None:
    assert design.williams_square(4).tolist() == [[0, 1, 3, 2], [1, 2, 0, 3], [2, 3, 1, 0], [3, 0, 2, 1]]


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_every_place_and_every_neighbour_is_balanced(n: int) -> None:
    square = design.williams_square(n)
    copies = 1 if n % 2 == 0 else 2
    assert square.shape == (copies * n, n) == (design.rows(n), n)
    assert all(sorted(row) == list(range(n)) for row in square.tolist())
    for column in square.T:
        assert Counter(column.tolist()) == dict.fromkeys(range(n), copies)
    neighbours = Counter(pair for row in square.tolist() for pair in itertools.pairwise(row))
    assert neighbours == dict.fromkeys(itertools.permutations(range(n), 2), copies)


def test_one_treatment_makes_no_square() -> None:
    with pytest.raises(ValueError, match="at least 2 treatments, got 1"):
        design.williams_square(1)


@pytest.mark.parametrize("row0", range(4))
def test_trials_take_the_rows_in_turn(row0: int) -> None:
    square = design.williams_square(4)
    orders = design.position_orders(4, trials=11, row0=row0)
    for trial in range(11):
        assert orders[trial].tolist() == square[(row0 + trial) % 4].tolist()


def test_rows_are_given_out_evenly_in_each_group_and_over_both() -> None:
    use = {"artist": Counter(), "viewer": Counter()}
    generator = np.random.default_rng(5)
    for _ in range(200):
        group = "artist" if generator.random() < 0.4 else "viewer"
        both = use["artist"] + use["viewer"]
        row = design.next_row(4, {row: (use[group][row], both[row]) for row in range(4) if both[row]})
        use[group][row] += 1
    for counts in use.values():
        assert max(counts.values()) - min(counts[row] for row in range(4)) <= 1


def test_a_trial_order_is_a_permutation_and_follows_the_seed() -> None:
    orders = [design.trial_order(11, np.random.default_rng(seed)).tolist() for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert all(sorted(order) == list(range(11)) for order in orders)
    first = Counter(int(design.trial_order(4, np.random.default_rng(seed))[0]) for seed in range(400))
    assert all(60 <= first[trial] <= 140 for trial in range(4)), "100 each, 4.6 standard deviations"


@pytest.mark.parametrize(("trials", "earliest", "latest"), [(1, 1, 1), (3, 3, 3), (6, 4, 6), (11, 4, 8), (30, 4, 8)])
def test_the_check_follows_the_fourth_to_the_eighth_trial(trials: int, earliest: int, latest: int) -> None:
    places = {design.check_after(trials, np.random.default_rng(seed)) for seed in range(200)}
    assert places == set(range(earliest, latest + 1))


def test_a_draw_covers_the_pack_once(tmp_path: Path) -> None:
    pack = small_pack(tmp_path, trials=5, arms=ARMS[1:])
    drawn = design.draw(pack, 2, np.random.default_rng(0))
    assert sorted(screen.trial_key for screen in drawn.screens) == sorted(trial.key for trial in pack.trials)
    rows = design.position_orders(3, trials=5, row0=2)
    assert [screen.order for screen in drawn.screens] == [tuple(pack.arms[arm] for arm in row) for row in rows]
    letters = {design.draw(pack, 0, np.random.default_rng(seed)).check_label for seed in range(60)}
    assert letters == set(LABELS[:3])


def test_a_single_comparison_takes_any_row() -> None:
    orders = {design.one_order(ARMS, np.random.default_rng(seed)) for seed in range(100)}
    assert orders == {tuple(ARMS[arm] for arm in row) for row in design.williams_square(4)}


@pytest.mark.parametrize(
    ("dwell_ms", "quick"),
    [([], False), ([1499], True), ([1500], False), ([100, 1499, 9000], True), ([1000, 2000], False), ([1, 2998], True)],
)
def test_quick_is_a_median_under_a_second_and_a_half(dwell_ms: list[int], quick: bool) -> None:
    assert is_quick(dwell_ms) is quick


@pytest.mark.parametrize(
    ("positions", "places", "one_sided"),
    [
        ([0] * 9 + [1, 2], 4, True),
        ([0] * 8 + [1, 2, 3], 4, False),
        ([3] * 7, 4, False),
        ([3] * 7 + [None] * 4, 4, False),
        ([3] * 8 + [None] * 3, 4, True),
        ([2] * 7 + [1], 4, False),
        ([2] * 8 + [1, 0], 4, False),
        ([2] * 7 + [1, 0], 4, False),
        ([0] * 9 + [1, 1], 2, False),
        ([0] * 10 + [1], 2, False),
        ([1] * 11, 2, True),
        ([1] * 10, 2, False),
        ([], 4, False),
    ],
)
def test_one_sided_is_four_of_five_of_at_least_eight_choices_and_more_than_chance(
    positions: list[int | None], places: int, one_sided: bool
) -> None:
    assert is_one_sided(positions, places=places) is one_sided


@pytest.mark.parametrize("places", [2, 3, 4])
def test_hardly_any_even_chooser_is_one_sided(places: int) -> None:
    runs = np.random.default_rng(0).integers(0, places, (10_000, 11)).tolist()
    assert sum(is_one_sided(run, places=places) for run in runs) <= 20  # 0.1 % of 10,000 is 10


def test_flags_stand_side_by_side() -> None:
    assert flags_of([5000] * 11, [0, 1, 2, 3] * 2, places=4, check_passed=None) == frozenset()
    assert flags_of([5000] * 11, [0, 1, 2, 3] * 2, places=4, check_passed=True) == frozenset()
    assert flags_of([500] * 11, [1] * 11, places=4, check_passed=False) == {"quick", "one-sided", "check-failed"}
