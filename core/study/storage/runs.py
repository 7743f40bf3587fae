"""A participant's run as the store knows it, and where it stands: pure values and what follows from them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from core.study.protocol.packs import Arm
from core.study.protocol.records import Group

CHECK, REVIEW = "check", "review"  # names of screens beside the trials' places


@dataclass(frozen=True)
class Assignment:
    """One screen as it was drawn at the beginning: its place from 1, the trial, the arms from A on."""

    position: int
    trial_key: str
    order: tuple[Arm, ...]


@dataclass(frozen=True)
class Given:
    """A counted answer: the vote's event and the arm, None for "can't decide"."""

    uuid: str
    choice: Arm | None


@dataclass(frozen=True)
class Run:
    """Everything that decides what a participant sees next.

    Attributes:
        answers: by trial key.
        undone: how many answers were taken back.
        check_answer: the letter pressed on the attention check, None for "can't decide" or none yet.
        check_passed: None before the check.
    """

    participant: str
    group: Group
    pack: str
    pack_digest: str
    assignments: tuple[Assignment, ...]
    answers: Mapping[str, Given]
    undone: int
    check_after: int
    check_label: str
    check_answer: str | None
    check_passed: bool | None
    finished: bool
    withdrawn: bool

    @property
    def answered(self) -> int:
        """How many trials have an answer."""
        return len(self.answers)

    @property
    def next_screen(self) -> str:
        """Name of the screen to show: a trial's place, "check" or "review"."""
        if self.check_passed is None and self.answered >= self.check_after:
            return CHECK
        open_ones = (screen for screen in self.assignments if screen.trial_key not in self.answers)
        first = next(open_ones, None)
        return REVIEW if first is None else str(first.position)

    @property
    def last_answered(self) -> Assignment | None:
        """The trial that going back reopens: the answered one that was shown last."""
        answered = (screen for screen in reversed(self.assignments) if screen.trial_key in self.answers)
        return next(answered, None)

    def assignment(self, screen: str) -> Assignment:
        """The trial at a place."""
        return self.assignments[int(screen) - 1]


def read_run(connection: sqlite3.Connection, participant: str) -> Run | None:
    """The run with this identifier, or None. Call it inside a transaction."""
    row = connection.execute(
        "SELECT cohort, pack, pack_digest, check_after, check_label, answer, passed, finished_utc, withdrawn_utc "
        "FROM participants LEFT JOIN checks ON participant = id WHERE id = ?",
        (participant,),
    ).fetchone()
    if row is None:
        return None
    group, pack, digest, check_after, check_label, answer, passed, finished_utc, withdrawn_utc = row
    assigned = connection.execute(
        "SELECT position, trial_key, arm_order FROM assignments WHERE participant = ? ORDER BY position", (participant,)
    )
    assignments = tuple(Assignment(position, key, tuple(json.loads(order))) for position, key, order in assigned)
    votes = connection.execute("SELECT trial_key, uuid, choice FROM votes WHERE participant = ?", (participant,))
    (undone,) = connection.execute(
        "SELECT count(*) FROM undone_votes WHERE participant = ? AND reason = 'undone'", (participant,)
    ).fetchone()
    return Run(
        participant=participant,
        group=group,
        pack=pack,
        pack_digest=digest,
        assignments=assignments,
        answers={key: Given(uuid, choice) for key, uuid, choice in votes},
        undone=undone,
        check_after=check_after,
        check_label=check_label,
        check_answer=answer,
        check_passed=None if passed is None else bool(passed),
        finished=finished_utc is not None,
        withdrawn=withdrawn_utc is not None,
    )
