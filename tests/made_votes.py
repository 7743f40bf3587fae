"""Made-up votes for tests of the study's statistics: known preferences in, `VoteRow`s or tallies out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.study.records import VoteRow
from tests.study_parts import ARMS

PAPER_PER_10_000 = (300, 1_400, 2_922, 4_874, 504)  # Table 1's four arms, then undecided


def vote(participant: str, choice: str | None, *, order: Sequence[str] = ARMS, **changes: object) -> VoteRow:
    """One vote of a finished viewer on trial "t0" of the pack "water"."""
    values: dict[str, object] = {
        "participant": participant,
        "group": "viewer",
        "pack": "water",
        "pack_digest": "d" * 64,
        "trial_key": "t0",
        "place": 1,
        "order": tuple(order),
        "choice": choice,
        "position": None if choice is None else tuple(order).index(choice),
        "dwell_ms": 4000,
        "app_version": "1.0.0",
        "utc": "2026-01-01T00:00:00.000+00:00",
        "finished": True,
        "flags": frozenset(),
    }
    return VoteRow(**{**values, **changes})


def votes_of(
    people: int,
    *,
    arms: Sequence[str] = ARMS,
    preferences: Sequence[float] = (0.03, 0.14, 0.29, 0.49, 0.05),
    likeness: float = 6.0,
    trials: int = 11,
    name: str = "p",
    seed: int = 0,
    **changes: object,
) -> list[VoteRow]:
    """Votes of people whose own preferences scatter around common ones; every third is an artist.

    Args:
        preferences: of the arms, then of "can't decide".
        likeness: sum of the Dirichlet's parameters; small makes one person's votes alike.
    """
    generator = np.random.default_rng(seed)
    rows = []
    for person in range(people):
        own = generator.dirichlet(np.asarray(preferences) * likeness)
        group = "artist" if person % 3 == 0 else "viewer"
        for trial in range(trials):
            order = tuple(arms[index] for index in generator.permutation(len(arms)))
            chosen = int(generator.choice(len(own), p=own))
            choice = arms[chosen] if chosen < len(arms) else None
            row = vote(
                f"{name}{person}",
                choice,
                order=order,
                **{"group": group, "trial_key": f"t{trial}", "place": trial + 1, **changes},
            )
            rows.append(row)
    return rows


def tallies_of(
    generator: np.random.Generator, people: int, *, preferences: Sequence[float], likeness: float, trials: int = 11
) -> np.ndarray:
    """The same as counts per person, without orders: [people, arms + 1]."""
    own = generator.dirichlet(np.asarray(preferences) * likeness, size=people)
    return generator.multinomial(trials, own)


def paper_votes() -> list[VoteRow]:
    """10,000 votes of 1,000 people in the proportions of the paper's Table 1."""
    choices = [arm for arm, count in zip((*ARMS, None), PAPER_PER_10_000, strict=True) for _ in range(count)]
    shuffled = np.random.default_rng(0).permutation(len(choices))
    return [
        vote(f"p{number // 10}", choices[index], order=tuple(np.roll(ARMS, number % 4)), trial_key=f"t{number % 10}")
        for number, index in enumerate(shuffled)
    ]
