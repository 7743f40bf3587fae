"""The SQLite file: its tables, how it is opened, and what its failures mean.

WAL with `synchronous=FULL`: a commit that returned survives a killed process and a power cut. A connection lives for
one call, so threads, forks and processes share nothing but the file.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from core.errors import DiskFull, VotesUnavailable
from core.study.protocol.records import Event

VERSION = 1
BUSY_S = 30.0

_VOTE_COLUMNS = """
    uuid TEXT NOT NULL UNIQUE,
    participant TEXT NOT NULL,
    trial_key TEXT NOT NULL,
    pack_digest TEXT NOT NULL,
    arm_order TEXT NOT NULL,
    choice TEXT,
    position INTEGER CHECK (position BETWEEN 0 AND 3),
    dwell_ms INTEGER NOT NULL CHECK (typeof(dwell_ms) = 'integer'),
    app_version TEXT NOT NULL,
    utc TEXT NOT NULL,
    CHECK ((choice IS NULL) = (position IS NULL))
"""
TABLES = (
    """CREATE TABLE events (
        seq INTEGER PRIMARY KEY,  -- the order in which they came into this file
        uuid TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        payload TEXT NOT NULL,
        utc TEXT NOT NULL,
        clock INTEGER NOT NULL,  -- seq where the event was born: orders events everywhere
        logged INTEGER NOT NULL  -- 1: came out of an event log, so it needs no writing to one
    )""",
    "CREATE INDEX events_clock ON events (clock)",
    "CREATE TABLE log_state (one INTEGER PRIMARY KEY CHECK (one = 1), written_seq INTEGER NOT NULL)",
    "INSERT INTO log_state VALUES (1, 0)",
    """CREATE TABLE participants (
        id TEXT PRIMARY KEY,
        cohort TEXT NOT NULL CHECK (cohort IN ('artist', 'viewer')),
        pack TEXT NOT NULL,
        pack_digest TEXT NOT NULL,
        consent_version TEXT NOT NULL,
        app_version TEXT NOT NULL,
        row0 INTEGER NOT NULL,
        check_after INTEGER NOT NULL,
        check_label TEXT NOT NULL,
        started_utc TEXT NOT NULL,
        finished_utc TEXT,
        withdrawn_utc TEXT
    )""",
    "CREATE INDEX participants_pack ON participants (pack)",
    """CREATE TABLE assignments (
        participant TEXT NOT NULL,
        position INTEGER NOT NULL CHECK (position >= 1),
        trial_key TEXT NOT NULL,
        arm_order TEXT NOT NULL,
        PRIMARY KEY (participant, position),
        UNIQUE (participant, trial_key)
    )""",
    f"CREATE TABLE votes (id INTEGER PRIMARY KEY, {_VOTE_COLUMNS}, UNIQUE (participant, trial_key))",
    f"""CREATE TABLE undone_votes (
        id INTEGER PRIMARY KEY,
        reason TEXT NOT NULL CHECK (reason IN ('undone', 'duplicate')),
        {_VOTE_COLUMNS}
    )""",
    """CREATE TABLE checks (
        participant TEXT PRIMARY KEY,
        expected TEXT NOT NULL,
        answer TEXT,
        passed INTEGER NOT NULL,
        dwell_ms INTEGER NOT NULL,
        utc TEXT NOT NULL
    )""",
    "CREATE TABLE studies (slug TEXT PRIMARY KEY, is_open INTEGER NOT NULL)",
    """CREATE TABLE quick_votes (
        token TEXT PRIMARY KEY,
        arm_order TEXT NOT NULL,
        choice TEXT,
        cohort TEXT CHECK (cohort IN ('artist', 'viewer')),
        style TEXT NOT NULL,
        app_version TEXT NOT NULL,
        utc TEXT NOT NULL
    )""",
)


def connect(path: Path) -> sqlite3.Connection:
    """Opens the file (an empty one if there is none); transactions are begun and ended in so many words."""
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def version(connection: sqlite3.Connection) -> int:
    """Version of the tables; 0 in an empty file."""
    return connection.execute("PRAGMA user_version").fetchone()[0]


def create(connection: sqlite3.Connection) -> None:
    """Makes the tables, inside the caller's transaction."""
    for statement in TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def is_damage(error: BaseException) -> bool:
    """Whether an SQLite error says that the file's content is broken. Python 3.10 gives no code, so by its words."""
    return isinstance(error, sqlite3.DatabaseError) and any(
        words in str(error) for words in ("malformed", "not a database", "unsupported file format")
    )


def is_sound(path: Path) -> bool:
    """Whether SQLite finds the file in order."""
    try:
        with closing(connect(path)) as connection:
            return connection.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok"
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return False
        raise


def move_aside(path: Path) -> Path:
    """Renames a damaged file and what belongs to it, keeping every byte; returns the new path."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S%f")
    aside = path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}")
    for suffix in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            os.replace(f"{path}{suffix}", f"{aside}{suffix}")  # noqa: PTH105 - the names are texts here
    return aside


def salvage(path: Path) -> list[Event]:
    """Events that can still be read from a damaged file, from the first up to the break."""
    events: list[Event] = []
    with suppress(sqlite3.Error, ValueError, TypeError), closing(connect(path)) as connection:
        for clock, uuid, kind, payload, utc in connection.execute(
            "SELECT clock, uuid, kind, payload, utc FROM events ORDER BY seq"
        ):
            events.append(Event(int(clock), str(uuid), str(kind), dict(json.loads(payload)), str(utc)))
    return events


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turns failures of the disk and of SQLite into sentences; damage passes through for the store to mend."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        text = str(error)
        if is_damage(error) or not isinstance(error, sqlite3.OperationalError):
            raise
        if "disk is full" in text:
            raise DiskFull(str(path)) from error
        reason = "another program is writing to them" if "locked" in text else text
        raise VotesUnavailable(reason) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull(str(path)) from error
        raise VotesUnavailable(error.strerror or str(error)) from error
