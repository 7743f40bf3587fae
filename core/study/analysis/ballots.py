"""Votes as arrays: comparisons of the same arms, indexed by vote, place and arm."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from core.study.records import PhotoVoteRow, VoteRow, arms_in_order


def orders_and_choices(
    votes: Sequence[VoteRow] | Sequence[PhotoVoteRow], arms: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return what V votes between the same A arms showed and chose.

    Returns:
        [V, A] int, the arm (its place in `arms`) at each position; [V] int, the arm chosen, A for "can't decide".

    Raises:
        ValueError: a vote compared other arms.
    """
    for vote in votes:
        if arms_in_order(vote.order) != tuple(arms):
            raise ValueError(f"expected a vote between {tuple(arms)}, got one between {vote.order}")
    place: dict[str | None, int] = {arm: index for index, arm in enumerate((*arms, None))}
    orders = np.array([[place[arm] for arm in vote.order] for vote in votes], dtype=int).reshape(-1, len(arms))
    return orders, np.array([place[vote.choice] for vote in votes], dtype=int)


def count_by(keys: Sequence[Hashable], choices: np.ndarray, *, arms: int) -> np.ndarray:
    """Count choices apart for each key, in the order of their first votes: [V] -> [K, arms + 1] int.

    "Can't decide" is the last column.
    """
    rows = {key: row for row, key in enumerate(dict.fromkeys(keys))}
    counts = np.zeros((len(rows), arms + 1), dtype=int)
    for key, choice in zip(keys, choices, strict=True):
        counts[rows[key], choice] += 1
    return counts
