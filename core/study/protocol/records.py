"""The study's values: what the store keeps and hands to statistics, and what the page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.study.protocol.packs import Arm

Group = Literal["artist", "viewer"]
GROUPS: tuple[Group, ...] = ("artist", "viewer")
Flag = Literal["quick", "one-sided", "check-failed"]
Choice = Literal["A", "B", "C", "D"]
LABELS: tuple[Choice, ...] = ("A", "B", "C", "D")
ScreenKind = Literal["trial", "check", "review", "finished"]


@dataclass(frozen=True)
class VoteRow:
    """One counted vote of a participant who has not withdrawn.

    Attributes:
        participant: identifier of the run; a hash of the code, so that exports and logs can't resume or withdraw it.
        group: "artist" or "viewer".
        pack: slug.
        pack_digest: of the stimuli that were shown.
        place: the trial's number in the run, from 1.
        order: arms in the order shown, A first.
        choice: the arm chosen, None for "can't decide".
        position: 0 to 3 in `order`, None for "can't decide".
        dwell_ms: time on the screen, clipped to a sane range.
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
    order: tuple[Arm, ...]
    choice: Arm | None
    position: int | None
    dwell_ms: int
    app_version: str
    utc: str
    finished: bool
    flags: frozenset[str]


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
    flags: frozenset[str]


@dataclass(frozen=True)
class QuickVoteRow:
    """One vote on a visitor's own photo, which is not kept. It stands apart from the study's votes."""

    token: str
    order: tuple[Arm, ...]
    choice: Arm | None
    group: Group | None
    style: str
    utc: str


@dataclass(frozen=True)
class Event:
    """One accepted change, append-only. `seq`, given at its birth, orders events everywhere; `uuid` names one."""

    seq: int
    uuid: str
    kind: str
    payload: Mapping[str, object]
    utc: str


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
        ticket: opaque name of this screen, goes back with the answer. "" after the run.
        photo: the trial's photo, None where there is none to show.
        references: the style's pictures.
        candidates: in shown order; their labels are A, B, ...
        check_label: the letter to press on a check screen, "" elsewhere.
        can_undo: whether `Study.undo` goes back one trial.
        resumed: whether at least one answer was given before this page was opened.
        pack_title: for people.
        revealed: after the run: (arm's title, how often it was chosen), in the order of the arms.
    """

    kind: ScreenKind
    number: int
    of: int
    ticket: str
    photo: Path | None
    references: tuple[Path, ...]
    candidates: tuple[Path, ...]
    check_label: str
    can_undo: bool
    resumed: bool
    pack_title: str
    revealed: tuple[tuple[str, int], ...] = ()
