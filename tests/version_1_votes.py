"""A file of votes as version 1 of the app kept it: facts in tables, and the events that they were folded from."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

_VOTE = """uuid TEXT NOT NULL UNIQUE, participant TEXT NOT NULL, trial_key TEXT NOT NULL, pack_digest TEXT NOT NULL,
    arm_order TEXT NOT NULL, choice TEXT, position INTEGER CHECK (position BETWEEN 0 AND 3),
    dwell_ms INTEGER NOT NULL CHECK (typeof(dwell_ms) = 'integer'), app_version TEXT NOT NULL, utc TEXT NOT NULL,
    CHECK ((choice IS NULL) = (position IS NULL))"""
SCHEMA = f"""
CREATE TABLE events (seq INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, payload TEXT NOT NULL,
    utc TEXT NOT NULL, clock INTEGER NOT NULL, logged INTEGER NOT NULL);
CREATE INDEX events_clock ON events (clock);
CREATE TABLE log_state (one INTEGER PRIMARY KEY CHECK (one = 1), written_seq INTEGER NOT NULL);
CREATE TABLE participants (id TEXT PRIMARY KEY, cohort TEXT NOT NULL CHECK (cohort IN ('artist', 'viewer')),
    pack TEXT NOT NULL, pack_digest TEXT NOT NULL, consent_version TEXT NOT NULL, app_version TEXT NOT NULL,
    row0 INTEGER NOT NULL, check_after INTEGER NOT NULL, check_label TEXT NOT NULL, started_utc TEXT NOT NULL,
    finished_utc TEXT, withdrawn_utc TEXT);
CREATE INDEX participants_pack ON participants (pack);
CREATE TABLE assignments (participant TEXT NOT NULL, position INTEGER NOT NULL CHECK (position >= 1),
    trial_key TEXT NOT NULL, arm_order TEXT NOT NULL, PRIMARY KEY (participant, position),
    UNIQUE (participant, trial_key));
CREATE TABLE votes (id INTEGER PRIMARY KEY, {_VOTE}, UNIQUE (participant, trial_key));
CREATE TABLE undone_votes (id INTEGER PRIMARY KEY,
    reason TEXT NOT NULL CHECK (reason IN ('undone', 'duplicate')), {_VOTE});
CREATE TABLE checks (participant TEXT PRIMARY KEY, expected TEXT NOT NULL, answer TEXT, passed INTEGER NOT NULL,
    dwell_ms INTEGER NOT NULL, utc TEXT NOT NULL);
CREATE TABLE studies (slug TEXT PRIMARY KEY, is_open INTEGER NOT NULL);
CREATE TABLE quick_votes (token TEXT PRIMARY KEY, arm_order TEXT NOT NULL, choice TEXT,
    cohort TEXT CHECK (cohort IN ('artist', 'viewer')), style TEXT NOT NULL, app_version TEXT NOT NULL,
    utc TEXT NOT NULL);
PRAGMA user_version = 1;
"""

ANNA, BEN, CARA = "e007ff4869226f4d", "a85b2f665a1a652c", "ae0980a96678b50d"  # finished, on the way, withdrawn
ONE, TWO = "bfb385c92b2b9219", "b2ec3ac1f2f5e8a1"  # trials
DIGEST = "6c5e010a7c67f0eca06672f39ee7720ffff869f7ce785cf76afe9f7c4fe5f9bf"
ORDER = ("ours-one", "ours-few")


def _begun(who: str, group: str, row0: int, trials: Sequence[str]) -> tuple[str, dict[str, object]]:
    screens = [{"trial_key": trial, "order": ORDER[:: 1 - 2 * (row0 ^ place)]} for place, trial in enumerate(trials)]
    payload = {
        "participant": who, "group": group, "pack": "small", "pack_digest": DIGEST, "consent_version": "1",
        "app_version": "0.9", "row0": row0, "screens": screens, "check_after": 2, "check_label": "B",
    }  # fmt: skip
    return "begun", payload


def _voted(who: str, trial: str, order: Sequence[str], position: int | None, ms: int) -> tuple[str, dict[str, object]]:
    choice = None if position is None else order[position]
    payload = {
        "participant": who, "trial_key": trial, "pack_digest": DIGEST, "order": order, "choice": choice,
        "position": position, "dwell_ms": ms, "app_version": "0.9",
    }  # fmt: skip
    return "voted", payload


def _checked(who: str) -> tuple[str, dict[str, object]]:
    return "checked", {"participant": who, "expected": "B", "answer": "B", "passed": True, "dwell_ms": 4000}


EVENTS: tuple[tuple[str, dict[str, object]], ...] = (
    _begun(ANNA, "artist", 0, (ONE, TWO)),
    _voted(ANNA, ONE, ORDER, 0, 4000),
    _voted(ANNA, TWO, ORDER[::-1], 0, 4000),
    _checked(ANNA),
    ("finished", {"participant": ANNA}),
    _begun(BEN, "viewer", 1, (ONE, TWO)),
    _voted(BEN, ONE, ORDER[::-1], 0, 2100),
    ("undone", {"participant": BEN, "trial_key": ONE, "vote": f"{7:032x}"}),
    _voted(BEN, ONE, ORDER[::-1], None, 900),
    _begun(CARA, "viewer", 0, (TWO, ONE)),
    _voted(CARA, TWO, ORDER, 1, 4000),
    _voted(CARA, ONE, ORDER[::-1], 1, 4000),
    _checked(CARA),
    ("finished", {"participant": CARA}),
    ("withdrawn", {"participant": CARA}),
    ("study", {"pack": "small", "open": False}),
    ("quick", {"token": "a-token-of-one", "order": ORDER, "choice": "ours-few", "position": 1, "style": "ink",
               "group": "artist", "app_version": "0.9"}),
)  # fmt: skip


def utc(number: int) -> str:
    """When an event was taken."""
    return f"2026-01-02T03:04:{number:02d}.000+00:00"


def write(path: Path, *, written: int = 0) -> None:
    """Writes the file; the events up to number `written` stand in an event log already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(SCHEMA)
        connection.execute("INSERT INTO log_state VALUES (1, ?)", (written,))
        connection.executemany(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, 0)",
            (
                (number, f"{number:032x}", kind, json.dumps(payload), utc(number), number)
                for number, (kind, payload) in enumerate(EVENTS, start=1)
            ),
        )
        connection.execute(
            "INSERT INTO participants VALUES (?, 'artist', 'small', ?, '1', '0.9', 0, 2, 'B', ?, ?, NULL)",
            (ANNA, DIGEST, utc(1), utc(5)),
        )
