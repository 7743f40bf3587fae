"""Votes as arrays: one comparison (the same arms in every trial), indexed by participant, trial and place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from core.study.protocol.packs import ARMS, Arm
from core.study.protocol.records import VoteRow


@dataclass(frozen=True)
class Ballots:
    """V votes of P participants on T trials with the same A arms; each trial shows all of them.

    Attributes:
        arms: in the order of `packs.ARMS`.
        participants: identifiers; `participant` indexes them.
        participant: [V] int.
        trials: (pack digest, trial key); `trial` indexes them.
        trial: [V] int.
        order: [V, A] int, the arm shown at each position.
        choice: [V] int, the arm chosen; A stands for "can't decide".
    """

    arms: tuple[Arm, ...]
    participants: tuple[str, ...]
    participant: np.ndarray
    trials: tuple[tuple[str, str], ...]
    trial: np.ndarray
    order: np.ndarray
    choice: np.ndarray

    def tallies(self) -> np.ndarray:
        """Choices of each participant, [P, A + 1] int; "can't decide" is the last column."""
        return _count(self.participant, self.choice, (len(self.participants), len(self.arms) + 1))

    def by_trial(self) -> np.ndarray:
        """Choices in each trial, [T, A + 1] int; "can't decide" is the last column."""
        return _count(self.trial, self.choice, (len(self.trials), len(self.arms) + 1))


def _count(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    flat = np.ravel_multi_index((rows, columns), shape) if len(rows) else np.zeros(0, dtype=int)
    return np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)


def arms_of(vote: VoteRow) -> tuple[Arm, ...]:
    """The arms a vote compared, in the order of `packs.ARMS`."""
    return tuple(arm for arm in ARMS if arm in vote.order)


def make_ballots(votes: Iterable[VoteRow], arms: Sequence[Arm]) -> Ballots:
    """Arrays of the votes; `ValueError` when one of them compared other arms."""
    votes = tuple(votes)
    arms = tuple(arm for arm in ARMS if arm in arms)
    for vote in votes:
        if arms_of(vote) != arms:
            raise ValueError(f"expected a vote between {arms}, got one between {vote.order}")
    place = {arm: index for index, arm in enumerate(arms)}
    participants = tuple(dict.fromkeys(vote.participant for vote in votes))
    trials = tuple(dict.fromkeys((vote.pack_digest, vote.trial_key) for vote in votes))
    who = {name: index for index, name in enumerate(participants)}
    which = {name: index for index, name in enumerate(trials)}
    return Ballots(
        arms=arms,
        participants=participants,
        participant=np.array([who[vote.participant] for vote in votes], dtype=int),
        trials=trials,
        trial=np.array([which[vote.pack_digest, vote.trial_key] for vote in votes], dtype=int),
        order=np.array([[place[arm] for arm in vote.order] for vote in votes], dtype=int).reshape(-1, len(arms)),
        choice=np.array([len(arms) if vote.choice is None else place[vote.choice] for vote in votes], dtype=int),
    )
