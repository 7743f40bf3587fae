"""The study's values: what the store keeps, what statistics count, what the page shows, and what arms are called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from core.config import DRAWING_ARMS, PAPER_ARMS

Group = Literal["artist", "viewer"]
GROUPS: tuple[Group, ...] = ("artist", "viewer")
Flag = Literal["quick", "one-sided", "check-failed"]
Choice = Literal["A", "B", "C", "D"]
LABELS: tuple[Choice, ...] = ("A", "B", "C", "D")
ScreenKind = Literal["trial", "check", "review", "finished"]
CHECK, REVIEW = "check", "review"  # names of screens beside the trials' places
MAX_DWELL_MS = 30 * 60 * 1000  # longer means that the participant was away

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_OUR_TITLES: Mapping[str, str] = MappingProxyType({arm.id: arm.title for arm in PAPER_ARMS} | dict(DRAWING_ARMS))
_PAPER_PLACES = {arm.id: place for place, arm in enumerate(PAPER_ARMS)}


def is_slug(text: object) -> bool:
    """Tell whether a text can name a pack, an arm or a style: small letters, digits and dashes, 64 at most."""
    return isinstance(text, str) and bool(_SLUG.fullmatch(text))


def are_arms(arms: object) -> bool:
    """Tell whether these are the arms of a comparison: two to four different slugs."""
    return (
        isinstance(arms, (list, tuple))
        and 2 <= len(arms) <= len(LABELS)
        and all(is_slug(arm) for arm in arms)
        and len(set(arms)) == len(arms)
    )


def arms_in_order(arms: Iterable[str]) -> tuple[str, ...]:
    """Return different arms in the order of every table: the paper's as the paper lists them, then others by name."""
    return tuple(sorted(set(arms), key=lambda arm: (_PAPER_PLACES.get(arm, len(_PAPER_PLACES)), arm)))


def arm_title(arm: str, titles: Mapping[str, str] = _OUR_TITLES) -> str:
    """Return what people read for an arm: its pack's title, else ours, else its identifier."""
    return titles.get(arm) or _OUR_TITLES.get(arm, arm)


@dataclass(frozen=True)
class Event:
    """One accepted change, append-only. `seq`, given at its birth, orders events everywhere; `uuid` names one."""

    seq: int
    uuid: str
    kind: str
    payload: Mapping[str, object]
    utc: str


@dataclass(frozen=True)
class VoteRow:
    """One counted vote of a participant who has not withdrawn.

    Attributes:
        participant: identifier of the run; a hash of the code, so that exports and logs can't resume or withdraw it.
        group: "artist" or "viewer".
        pack: slug.
        pack_digest: of the stimuli that were shown.
        trial_key: of the trial in its pack.
        place: the trial's number in the run, from 1.
        order: arms in the order shown, A first.
        choice: the arm chosen, None for "can't decide".
        position: 0 to 3 in `order`, None for "can't decide".
        dwell_ms: time on the screen, clipped to a sane range.
        app_version: of the app that took it.
        utc: ISO 8601, for people; never used for ordering.
        finished: whether the participant confirmed the whole run.
        flags: the participant's.
    """

    participant: str
    group: Group
    pack: str
    pack_digest: str
    trial_key: str
    place: int
    order: tuple[str, ...]
    choice: str | None
    position: int | None
    dwell_ms: int
    app_version: str
    utc: str
    finished: bool
    flags: frozenset[Flag]


@dataclass(frozen=True)
class ParticipantRow:
    """One run through one pack. `participant` is as in `VoteRow`; `check_passed` is None before the attention check."""

    participant: str
    group: Group
    pack: str
    pack_digest: str
    consent_version: str
    started_utc: str
    finished_utc: str | None
    withdrawn_utc: str | None
    check_passed: bool | None
    flags: frozenset[Flag]


@dataclass(frozen=True)
class PhotoVoteRow:
    """One vote on a visitor's own photo, which is not kept. It stands apart from the study's votes."""

    token: str
    order: tuple[str, ...]
    choice: str | None
    group: Group | None
    style: str
    utc: str


@dataclass(frozen=True)
class Assignment:
    """One screen as it was drawn at the beginning: its place from 1, the trial, the arms from A on."""

    position: int
    trial_key: str
    order: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """A counted answer: the vote's event and the arm, None for "can't decide"."""

    uuid: str
    choice: str | None


@dataclass(frozen=True)
class Run:
    """Everything that decides what a participant sees next.

    Attributes:
        participant: as in `VoteRow`.
        assignments: in the order of their places.
        answers: by trial key.
        undone: how many answers were taken back.
        check_after: after how many answers the attention check comes.
        check_label: the letter that it asks for.
        check_answer: the letter pressed on it, None for "can't decide" or none yet.
        check_passed: None before the check.
    """

    participant: str
    group: Group
    pack: str
    pack_digest: str
    assignments: tuple[Assignment, ...]
    answers: Mapping[str, Answer]
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
        waiting = (screen for screen in self.assignments if screen.trial_key not in self.answers)
        first = next(waiting, None)
        return REVIEW if first is None else str(first.position)

    @property
    def last_answered(self) -> Assignment | None:
        """The trial that going back reopens: the answered one that was shown last."""
        answered = (screen for screen in reversed(self.assignments) if screen.trial_key in self.answers)
        return next(answered, None)

    def assignment(self, screen: str) -> Assignment:
        """Return the trial at a place."""
        return self.assignments[int(screen) - 1]


@dataclass(frozen=True)
class PackCard:
    """An open study as the page offers it."""

    slug: str
    title: str
    trials: int


@dataclass(frozen=True)
class Screen:
    """What a participant sees next. Nothing in it names an arm before the run is finished.

    Attributes:
        kind: "trial"; "check" (press `check_label`); "review" (all answered, confirm); "finished".
        number: trials answered before this one, plus one; `of` at the end. Attention checks don't count.
        of: trials of the run.
        pack_title: for people.
        ticket: opaque name of this screen, goes back with the answer. "" after the run.
        photo: the trial's photo, None where there is none to show.
        references: the style's pictures.
        candidates: in shown order; their labels are A, B, ...
        check_label: the letter to press on a check screen, "" elsewhere.
        can_undo: whether `Study.undo` goes back one trial.
        resumed: whether at least one answer was given before this page was opened.
        revealed: after the run: (arm's title, how often it was chosen), in the order of the arms.
    """

    kind: ScreenKind
    number: int
    of: int
    pack_title: str
    ticket: str = ""
    photo: Path | None = None
    references: tuple[Path, ...] = ()
    candidates: tuple[Path, ...] = ()
    check_label: str = ""
    can_undo: bool = False
    resumed: bool = False
    revealed: tuple[tuple[str, int], ...] = ()
