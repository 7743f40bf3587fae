"""What an event may say, and the checksum that chains the events of a participant. Pure functions.

Every event is checked here when it is recorded and when it comes in from elsewhere, so the views (`schema`) take each
payload at its word.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from core.study.records import GROUPS, are_arms

_LARGEST = 2**53  # every program that reads JSON keeps whole numbers up to here
CHECKED_COLUMNS = (
    "previous",
    "uuid",
    "kind",
    "participant",
    "subject",
    "occurrence",
    "payload",
    "utc",
    "clock",
    "logged",
)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 256 and value.isprintable()


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST


def _is_answer(value: object) -> bool:
    return value is None or _is_text(value)


def _are_screens(value: object) -> bool:
    if not isinstance(value, list) or not all(isinstance(screen, dict) for screen in value):
        return False
    keys = [screen.get("trial_key") for screen in value]
    return (
        all(map(_is_text, keys)) and len(set(keys)) == len(keys) and all(are_arms(item.get("order")) for item in value)
    )


def _is_in_place(choice: object, position: object, order: object) -> bool:
    if choice is None or not isinstance(position, int):
        return choice is None and position is None
    return isinstance(order, (list, tuple)) and 0 <= position < len(order) and order[position] == choice


_FIELDS: Mapping[str, Mapping[str, Callable[[object], bool]]] = {
    "begun": {
        **dict.fromkeys(
            ("participant", "pack", "pack_digest", "consent_version", "app_version", "check_label"), _is_text
        ),
        "group": lambda value: value in GROUPS,
        "row0": _is_count,
        "check_after": _is_count,
        "screens": _are_screens,
    },
    "voted": {
        **dict.fromkeys(("participant", "trial_key", "pack_digest", "app_version"), _is_text),
        "order": are_arms,
        "dwell_ms": _is_count,
    },
    "undone": dict.fromkeys(("participant", "vote"), _is_text),
    "checked": {
        **dict.fromkeys(("participant", "expected"), _is_text),
        "answer": _is_answer,
        "passed": lambda value: isinstance(value, bool),
        "dwell_ms": _is_count,
    },
    "finished": {"participant": _is_text},
    "withdrawn": {"participant": _is_text},
    "study": {"pack": _is_text, "open": lambda value: isinstance(value, bool)},
    "quick": {
        **dict.fromkeys(("token", "style", "app_version"), _is_text),
        "order": are_arms,
        "group": lambda value: value is None or value in GROUPS,
    },
}
# What an event is about beside its participant: a study's pictures, a trial, a vote, a comparison.
_SUBJECTS = {"begun": "pack_digest", "voted": "trial_key", "undone": "vote", "study": "pack", "quick": "token"}


def problem(kind: str, payload: Mapping[str, object]) -> str:
    """Say which part of a payload is not what its kind needs; "" where all fits, and for kinds of other versions."""
    for name, fits in _FIELDS.get(kind, {}).items():
        if name not in payload or not fits(payload[name]):
            return f"'{kind}' needs another '{name}', got {payload.get(name)!r}"
    if kind in ("voted", "quick") and not _is_in_place(
        payload.get("choice"), payload.get("position"), payload["order"]
    ):
        return (
            f"'{kind}' needs the chosen arm and its place, got {payload.get('choice')!r} at {payload.get('position')!r}"
        )
    return ""


def participant_of(payload: Mapping[str, object]) -> str:
    """Return the run that an event belongs to; "" for none."""
    participant = payload.get("participant")
    return participant if isinstance(participant, str) and _is_text(participant) else ""


def subject_of(kind: str, payload: Mapping[str, object]) -> str | None:
    """Return what an event is about beside its participant; None where its payload makes no sense."""
    return None if problem(kind, payload) else str(payload[_SUBJECTS[kind]]) if kind in _SUBJECTS else ""


def as_text(payload: object) -> str:
    """Return JSON as it is stored: keys sorted, no spaces, ASCII. Raises ValueError for NaN and infinity."""
    return json.dumps(payload, sort_keys=True, separators=(",", ":"), allow_nan=False)


def checksum(row: Mapping[str, object]) -> str:
    """Return the sha256 of an event's row and of the checksum before it; `payload` as text."""
    return hashlib.sha256(json.dumps([row[name] for name in CHECKED_COLUMNS], default=repr).encode()).hexdigest()


@dataclass(frozen=True)
class DamagedRow:
    """A stored event that is not as it was written, or that has lost the one before it.

    Attributes:
        sequence: the row's number in the file.
        kind: of the event.
        problem: what is wrong, for the owner.
    """

    sequence: int
    kind: str
    problem: str


@dataclass(frozen=True)
class Verification:
    """What a look for damage found.

    Attributes:
        events: rows that were read.
        file: what is wrong with the file as a whole, in SQLite's words; "" for nothing. No row is then read.
        rows: damaged ones, in the order in which they came into the file.
    """

    events: int = 0
    file: str = ""
    rows: tuple[DamagedRow, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether nothing is damaged."""
        return not self.file and not self.rows


def damaged_rows(rows: Iterable[Mapping[str, object]]) -> Iterator[DamagedRow]:
    """Find what doesn't fit into the chains of checksums; rows by sequence number, `payload` as text."""
    last: dict[object, object] = {}
    of_damaged: set[object] = set()  # what may stand before a sound row although its own row is damaged
    for row in rows:
        expected = checksum(row)
        if expected != row["checksum"]:
            of_damaged |= {expected, row["checksum"]}
            yield DamagedRow(int(str(row["sequence"])), str(row["kind"]), "it was altered")
        elif row["previous"] != last.get(row["participant"], "") and row["previous"] not in of_damaged:
            yield DamagedRow(int(str(row["sequence"])), str(row["kind"]), "an event before it is missing")
        last[row["participant"]] = row["checksum"]
