"""Statistics of the preference study: pure functions of counts, one protocol each, named after it.

A tally has one column per arm and a last one for "can't decide": [..., A + 1]. Shares are of all choices, undecided
ones included, as in the paper, whose four shares sum to 94.96 %. Nothing here is stored; everything is recomputed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 2000  # the ends of a 95 % interval then differ by about 2 % of its width from seed to seed
PRIOR = 0.5  # pseudo-choices per arm: Jeffreys' prior of a multinomial; keeps an arm that never lost or won finite
LEAST_EXPECTED = 5.0  # choices per position below which the chi-square approximation is not used
POWER = 0.8
SETTLED = 1e-8  # a step of the strengths that changes nothing any more
LARGEST_EFFECT = 5.0  # means over standard deviations; more makes the power solver leave its range
_CELLS_AT_ONCE = 4_000_000  # resamples x participants in memory


def preference_share_of_all_choices(tally: np.ndarray) -> np.ndarray:
    """Return each arm's choices over all choices, can't-decide ones included: [..., A + 1] -> [..., A].

    NaN without choices. The protocol of the paper's Table 1, as far as its figures show it: they leave a rest.
    """
    tally = np.asarray(tally, dtype=float)
    total = tally.sum(axis=-1, keepdims=True)
    shares = np.full_like(tally, np.nan)
    np.divide(tally, total, out=shares, where=total > 0)
    return shares[..., :-1]


def wilson_interval_of_independent_votes(
    count: np.ndarray, total: int, *, confidence: float = CONFIDENCE
) -> np.ndarray:
    """Return Wilson's score interval of each share: count [A] -> [A, 2]; (0, 1) without votes.

    It treats votes as independent. Votes of one participant are alike, so it is usually too narrow; it stays useful
    where everybody agrees, since a bootstrap then has nothing to vary.
    """
    from statsmodels.stats.proportion import proportion_confint

    count = np.asarray(count, dtype=float)
    if total == 0:
        return np.tile([0.0, 1.0], (len(count), 1))
    low, high = proportion_confint(count, total, alpha=1 - confidence, method="wilson")
    return np.stack([low, high], axis=-1)


def resampled_over_participants(tallies: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Sum over participants drawn with replacement: [P, ...] -> [resamples, ...].

    A cluster bootstrap: a participant's votes enter or leave together, so their likeness widens the intervals.
    """
    tallies = np.asarray(tallies)
    people, shape = tallies.shape[0], tallies.shape[1:]
    sums = np.zeros((resamples, int(np.prod(shape))))
    if people:
        generator = np.random.default_rng(seed)
        flat = tallies.reshape(people, -1).astype(float)
        step = max(1, _CELLS_AT_ONCE // people)
        for start in range(0, resamples, step):
            drawn = min(step, resamples - start)
            weights = generator.multinomial(people, np.full(people, 1 / people), size=drawn)  # [drawn, P]
            sums[start : start + drawn] = weights @ flat
    return sums.reshape(resamples, *shape)


def expanded_percentile_interval(values: np.ndarray, people: int, *, confidence: float = CONFIDENCE) -> np.ndarray:
    """Return the percentile interval over resamples, those without a value left out: [R, ...] -> [..., 2].

    Percentiles lie further out than for many participants, as Student's t lies outside the normal distribution
    (T. C. Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 69, 2015): plain
    ones cover about 90 % instead of 95 % with 10 participants. With 200 there is no difference to see. The interval of
    an arm that hardly anybody chose stays too narrow with few participants; Wilson's, beside it, is then wider.

    Args:
        people: participants that were resampled; fewer than 2 have no interval (NaN).
    """
    from scipy.stats import norm, t

    usable = values[np.isfinite(values).reshape(len(values), -1).all(axis=1)]
    if not len(usable) or people < 2:
        return np.full((*values.shape[1:], 2), np.nan)
    reach = np.sqrt(people / (people - 1)) * t.ppf((1 + confidence) / 2, people - 1)
    tail = 100 * norm.sf(reach)
    return np.moveaxis(np.percentile(usable, [tail, 100 - tail], axis=0), 0, -1)


def wider_at_each_end(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the lower of two lower ends and the higher of two upper ends, NaN ignored: [..., 2].

    Shown intervals are Wilson's and the bootstrap's joined this way: as wide as participants differ, and never a
    point when all of them agree. It covers at least as often as either.
    """
    return np.stack([np.fmin(first[..., 0], second[..., 0]), np.fmax(first[..., 1], second[..., 1])], axis=-1)


def share_intervals(tally: np.ndarray, *, confidence: float = CONFIDENCE, seed: int = 0) -> np.ndarray:
    """Return the interval of each arm's share that reports show: tally [P, A + 1] -> [A, 2].

    At each end it is the wider of Wilson's and of the bootstrap over participants.

    Args:
        tally: choices of each participant; the last column counts "can't decide".
        seed: of the bootstrap.
    """
    tally = np.asarray(tally)
    total = tally.sum(axis=0)
    resampled = resampled_over_participants(tally, seed=seed)
    wilson = wilson_interval_of_independent_votes(total[:-1], int(total.sum()), confidence=confidence)
    return wider_at_each_end(wilson, bootstrap_interval_of_shares(resampled, len(tally), confidence=confidence))


def bootstrap_interval_of_shares(resampled: np.ndarray, people: int, *, confidence: float = CONFIDENCE) -> np.ndarray:
    """Return the interval of each arm's share over participants: `resampled_over_participants` [R, A + 1] -> [A, 2]."""
    return expanded_percentile_interval(preference_share_of_all_choices(resampled), people, confidence=confidence)


def plackett_luce_top1(wins: np.ndarray, shown: np.ndarray, *, prior: float = PRIOR) -> np.ndarray:
    """Return log-strengths of the arms from top-1 choices, mean zero, by `choix.mm_top1`.

    Undecided votes say nothing here. P(an arm is chosen) is its exponentiated strength over the sum of those shown.
    Caron and Doucet's Gamma prior (`prior` pseudo-choices per arm) keeps an unbeaten arm finite. With a single choice
    set this is log(wins + prior).

    Args:
        wins: [S, A], how often an arm was chosen from choice set S.
        shown: [S, A] bool, the arms of each choice set.
        prior: greater than 0.
    """
    import choix

    wins, shown = np.asarray(wins), np.asarray(shown, dtype=bool)
    _check_choice_sets(wins, shown, prior)
    data = [
        (arm, tuple(int(other) for other in np.flatnonzero(members) if other != arm))
        for row, members in zip(wins, shown, strict=True)
        for arm, count in enumerate(row)
        for _ in range(int(count))
    ]
    return np.asarray(choix.mm_top1(wins.shape[1], data, alpha=prior))


def plackett_luce_top1_resampled(wins: np.ndarray, shown: np.ndarray, *, limit: int = 10_000) -> np.ndarray:
    """Do `plackett_luce_top1` for many resamples at once: wins [R, S, A], shown [S, A] -> [R, A].

    The same minorize-maximize steps (Hunter 2004; Caron and Doucet 2012) on sums instead of single votes.
    `RuntimeError` when they don't settle within `limit` steps.
    """
    wins, shown = np.asarray(wins, dtype=float), np.asarray(shown, dtype=float)
    _check_choice_sets(wins[:1].sum(axis=0), shown, PRIOR)
    chosen, votes = wins.sum(axis=1), wins.sum(axis=2)  # [R, A], [R, S]
    strengths: np.ndarray = np.zeros_like(chosen)
    for _ in range(limit):
        weights = np.exp(strengths)
        weights *= weights.shape[1] / weights.sum(axis=1, keepdims=True)
        exposure = (votes / (weights @ shown.T)) @ shown  # [R, A]
        updated = np.log((chosen + PRIOR) / (exposure + PRIOR))
        updated -= updated.mean(axis=1, keepdims=True)
        moved = np.abs(updated - strengths).max(initial=0.0)
        strengths = updated
        if moved <= SETTLED:
            return strengths
    raise RuntimeError(f"Plackett-Luce strengths did not settle within {limit} steps")


def _check_choice_sets(wins: np.ndarray, shown: np.ndarray, prior: float) -> None:
    if wins.shape != shown.shape:
        raise ValueError(f"expected wins and shown of one shape, got {wins.shape} and {shown.shape}")
    if prior <= 0:
        raise ValueError(f"expected a prior above 0, which keeps strengths finite, got {prior}")
    if np.any(wins[shown == 0]):
        raise ValueError("an arm was chosen from a set that did not show it")


@dataclass(frozen=True)
class PositionBias:
    """Choices per position against what the orders shown make of the arms' shares alone.

    Attributes:
        observed: [A] choices of each position, first on the left.
        expected: [A] choices if only the arm mattered; equal when orders are balanced.
        statistic: Pearson's chi-square, A - 1 degrees of freedom; None with too few choices.
        p_value: None with too few choices.
    """

    observed: tuple[int, ...]
    expected: tuple[float, ...]
    statistic: float | None
    p_value: float | None


def position_bias_chi_square(order: np.ndarray, choice: np.ndarray) -> PositionBias:
    """Test by Pearson's chi-square that the position made no difference.

    Expected counts follow from the orders shown, so that an arm that happened to stand first more often does not
    count as a bias. Positions are balanced by design and votes are taken as independent; strong preferences make
    the test cautious (fewer false alarms than its level says).

    Args:
        order: [V, A] arm at each position.
        choice: [V] arm chosen; A or more for "can't decide", which is left out.
    """
    from scipy.stats import chisquare

    arms = order.shape[1]
    order, choice = order[choice < arms], choice[choice < arms]
    observed = np.bincount(np.nonzero(order == choice[:, None])[1], minlength=arms)
    shares = np.bincount(choice, minlength=arms) / max(1, len(choice))
    expected = shares[order].sum(axis=0)
    statistic = p_value = None
    if expected.min() >= LEAST_EXPECTED:
        test = chisquare(observed, expected)
        statistic, p_value = float(test.statistic), float(test.pvalue)
    return PositionBias(tuple(map(int, observed)), tuple(map(float, expected)), statistic, p_value)


def fleiss_kappa_over_trials(by_trial: np.ndarray) -> float | None:
    """Return participants' agreement on the trials' choices beyond chance, "can't decide" being a choice of its own.

    Fleiss' kappa for numbers of votes that may differ between trials (Gwet, Handbook of Inter-Rater Reliability,
    2014): observed agreement is the mean of the trials' own, chance agreement comes from the mean of their shares.
    None when no trial has two votes, or when all votes are the same and chance agreement is complete.

    Args:
        by_trial: [T, A + 1] votes.
    """
    votes = np.asarray(by_trial, dtype=float)
    votes = votes[votes.sum(axis=1) >= 2]
    if np.count_nonzero(votes.sum(axis=0)) < 2:
        return None
    raters = votes.sum(axis=1)
    observed = ((votes**2).sum(axis=1) - raters) / (raters * (raters - 1))
    chance = float(((votes / raters[:, None]).mean(axis=0) ** 2).sum())
    return float((observed.mean() - chance) / (1 - chance))


@dataclass(frozen=True)
class Separation:
    """Whether the best arm and the second are told apart, and how many participants that takes.

    Attributes:
        best, second: the arms.
        difference: of their shares.
        interval: of the difference, by bootstrap over participants.
        separated: whether the interval leaves out 0.
        participants_for_power: participants that a repetition needs to tell them apart with the stated power if the
            difference is as measured; None when they are level or fewer than two participants voted.
        participants_still_needed: the same less those who took part; 0 once separated.
    """

    best: str
    second: str
    difference: float
    interval: tuple[float, float]
    separated: bool
    participants_for_power: int | None
    participants_still_needed: int | None


def separation_of_best_two(arms: Sequence[str], tallies: np.ndarray, resampled: np.ndarray) -> Separation:
    """Compare the two most chosen of A arms: tallies [P, A + 1], their resampled sums [R, A + 1].

    The sample size is that of a one-sample t-test on the participants' own differences between the two arms
    (statsmodels). Participants are its unit, so the likeness of one person's votes is in it. It takes the measured
    difference at face value and therefore tends to promise too much while there are few participants.
    """
    shares = preference_share_of_all_choices(tallies.sum(axis=0))
    best, second = (int(arm) for arm in np.argsort(-np.nan_to_num(shares), kind="stable")[:2])
    spread = preference_share_of_all_choices(resampled)
    own = preference_share_of_all_choices(tallies[tallies.sum(axis=1) > 0])
    gaps = spread[:, best] - spread[:, second]
    low, high = expanded_percentile_interval(gaps, len(own))
    needed = participants_for_paired_difference(own[:, best] - own[:, second])
    separated = bool(low > 0)
    still = None if needed is None else max(0, needed - len(own))
    return Separation(
        best=arms[best],
        second=arms[second],
        difference=float(shares[best] - shares[second]),
        interval=(float(low), float(high)),
        separated=separated,
        participants_for_power=needed,
        participants_still_needed=0 if separated else still,
    )


def participants_for_paired_difference(differences: Sequence[float] | np.ndarray) -> int | None:
    """Return how many participants a two-sided one-sample t-test needs to find a mean difference like theirs.

    None with fewer than two participants or a mean of 0. Never fewer than 3, also where nobody differs.
    """
    from statsmodels.stats.power import TTestPower

    differences = np.asarray(differences, dtype=float)
    if len(differences) < 2 or abs(mean := differences.mean()) < 1e-9:
        return None
    spread = differences.std(ddof=1)
    effect = min(abs(mean) / spread, LARGEST_EFFECT) if spread > 0 else LARGEST_EFFECT
    return int(np.ceil(TTestPower().solve_power(effect, alpha=1 - CONFIDENCE, power=POWER, alternative="two-sided")))
