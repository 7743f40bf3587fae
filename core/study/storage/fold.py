"""The tables as a fold over the events: what one event changes, and all tables anew from all events.

The live path and a replay go through the same functions, so a rebuilt store equals the one that was lost. Events of
several stores are folded by (clock, uuid): the result depends on the set of events and on nothing else.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Mapping

from core.study.protocol.packs import ARMS
from core.study.protocol.records import Event

_FOLDED = ("participants", "assignments", "votes", "undone_votes", "checks", "studies", "quick_votes")
_VOTE = "uuid, participant, trial_key, pack_digest, arm_order, choice, position, dwell_ms, app_version, utc"

# What a payload from elsewhere can raise; a full disk or a busy file is none of them.
_NONSENSE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, sqlite3.IntegrityError,
             sqlite3.InterfaceError, sqlite3.ProgrammingError)  # fmt: skip

_logger = logging.getLogger(__name__)


def apply(connection: sqlite3.Connection, event: Event) -> None:
    """Changes the tables as one event says. Kinds this version doesn't know change nothing.

    Raises:
        LookupError, TypeError, ValueError, sqlite3.Error: the payload is not what its kind needs.
    """
    change = _CHANGES.get(event.kind)
    if change is not None:
        change(connection, event.payload, event)


def rebuild(connection: sqlite3.Connection) -> None:
    """Empties the tables and folds every stored event again, inside the caller's transaction."""
    for table in _FOLDED:
        connection.execute(f"DELETE FROM {table}")
    broken = 0
    stored = connection.execute("SELECT clock, uuid, kind, payload, utc FROM events ORDER BY clock, uuid").fetchall()
    for clock, uuid, kind, payload, utc in stored:
        connection.execute("SAVEPOINT one")
        try:
            apply(connection, Event(clock, uuid, kind, json.loads(payload), utc))
        except _NONSENSE:
            connection.execute("ROLLBACK TO one")
            broken += 1
        connection.execute("RELEASE one")
    if broken:
        _logger.warning("Passed over %d of %d events that make no sense.", broken, len(stored))


def _begun(connection: sqlite3.Connection, payload: Mapping, event: Event) -> None:
    names = ("participant", "group", "pack", "pack_digest", "consent_version", "app_version", "row0", "check_after")
    connection.execute(
        "INSERT INTO participants VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
        (*(payload[name] for name in names), payload["check_label"], event.utc),
    )
    for position, screen in enumerate(payload["screens"], start=1):
        connection.execute(
            "INSERT INTO assignments VALUES (?, ?, ?, ?)",
            (payload["participant"], position, screen["trial_key"], _order(screen["order"])),
        )


def _voted(connection: sqlite3.Connection, payload: Mapping, event: Event) -> None:
    if not connection.execute("SELECT 1 FROM participants WHERE id = ?", (payload["participant"],)).fetchone():
        return  # its beginning is in a log that is not here; once it is, all is folded again
    _check_choice(payload)
    row = (
        event.uuid,
        *(payload[name] for name in ("participant", "trial_key", "pack_digest")),
        _order(payload["order"]),
        *(payload[name] for name in ("choice", "position", "dwell_ms", "app_version")),
        event.utc,
    )
    marks = ", ".join("?" * len(row))
    first = connection.execute(
        f"INSERT INTO votes ({_VOTE}) VALUES ({marks}) ON CONFLICT (participant, trial_key) DO NOTHING", row
    )
    if first.rowcount == 0:  # two stores that knew nothing of each other took a vote on the same trial
        connection.execute(f"INSERT INTO undone_votes (reason, {_VOTE}) VALUES ('duplicate', {marks})", row)


def _undone(connection: sqlite3.Connection, payload: Mapping, event: Event) -> None:
    key = (payload["vote"], payload["participant"])
    connection.execute(
        f"INSERT INTO undone_votes (reason, {_VOTE}) SELECT 'undone', {_VOTE} FROM votes "
        "WHERE uuid = ? AND participant = ?",
        key,
    )
    connection.execute("DELETE FROM votes WHERE uuid = ? AND participant = ?", key)


def _checked(connection: sqlite3.Connection, payload: Mapping, event: Event) -> None:
    names = ("participant", "expected", "answer", "passed", "dwell_ms")
    connection.execute(
        "INSERT INTO checks VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (*(payload[name] for name in names), event.utc),
    )


def _finished(connection: sqlite3.Connection, payload: Mapping, event: Event) -> None:
    connection.execute(
        "UPDATE participants SET finished_utc = coalesce(finished_utc, ?) WHERE id = ?",
        (event.utc, payload["participant"]),
    )


def _withdrawn(connection: sqlite3.Connection, payload: Mapping, event: Event) -> None:
    connection.execute(
        "UPDATE participants SET withdrawn_utc = coalesce(withdrawn_utc, ?) WHERE id = ?",
        (event.utc, payload["participant"]),
    )


def _study(connection: sqlite3.Connection, payload: Mapping, event: Event) -> None:
    connection.execute("INSERT OR REPLACE INTO studies VALUES (?, ?)", (payload["pack"], bool(payload["open"])))


def _quick(connection: sqlite3.Connection, payload: Mapping, event: Event) -> None:
    _check_choice(payload)
    connection.execute(
        "INSERT INTO quick_votes (token, arm_order, choice, cohort, style, app_version, utc) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            payload["token"],
            _order(payload["order"]),
            *(payload[name] for name in ("choice", "group", "style", "app_version")),
            event.utc,
        ),
    )


def _order(arms: object) -> str:
    if not isinstance(arms, (list, tuple)) or not all(arm in ARMS for arm in arms) or len(set(arms)) != len(arms):
        raise ValueError(f"an order is different arms of {ARMS}, got {arms!r}")
    return json.dumps(list(arms))


def _check_choice(payload: Mapping) -> None:
    choice, position = payload["choice"], payload["position"]
    if choice is not None and payload["order"][position] != choice:
        raise ValueError(f"{choice!r} is not at place {position} of {payload['order']!r}")


_CHANGES: Mapping[str, Callable[[sqlite3.Connection, Mapping, Event], None]] = {
    "begun": _begun,
    "voted": _voted,
    "undone": _undone,
    "checked": _checked,
    "finished": _finished,
    "withdrawn": _withdrawn,
    "study": _study,
    "quick": _quick,
}
