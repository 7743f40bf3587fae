"""What is SQLite's alone: how its file is opened, what its failures mean, what becomes of damaged and older files.

WAL with `synchronous=FULL`: a commit that returned survives a killed process and a power cut. A connection lives for
one call, so threads, forks and processes share nothing but the file.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from core.errors import DiskFull, VotesUnavailable
from core.files import is_disk_full, replacing
from core.study.records import Event
from core.study.storage.events import as_text

VERSION = 2
BUSY_S = 30.0
_BEGIN = "votes_begin"  # execution option: how a transaction begins


class Damaged(Exception):
    """The file's content is broken."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file (an empty one if there is none); transactions are begun and ended in so many words."""
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def make_engine(path: Path, *, decode: Callable[[bytes], object] | None = None) -> Engine:
    """Return SQLAlchemy's way into the file.

    Args:
        decode: of stored text, UTF-8 by default; a damaged file may hold something else.
    """

    def opened() -> sqlite3.Connection:
        connection = connect(path)
        connection.text_factory = decode or str
        return connection

    engine = create_engine("sqlite://", creator=opened, poolclass=NullPool, json_serializer=as_text)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get(_BEGIN, 'DEFERRED')}")


@contextmanager
def transaction(engine: Engine, *, writes: bool) -> Iterator[Connection]:
    """Open a transaction that is kept whole or not at all; one that writes waits for its turn at the beginning."""
    with engine.connect() as connection:
        connection = connection.execution_options(**{_BEGIN: "IMMEDIATE" if writes else "DEFERRED"})
        with connection.begin():
            yield connection


def version(connection: Connection) -> int:
    """Return the version of the tables; 0 in an empty file."""
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def set_version(connection: Connection) -> None:
    """Note that the tables are of this version, inside the caller's transaction."""
    connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")


def use_wal(path: Path) -> None:
    """Let readers and one writer work side by side from now on."""
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def structural_damage(path: Path) -> str:
    """Say what SQLite finds wrong with the file's pages and indexes; "" for nothing."""
    try:
        with closing(connect(path)) as connection:
            found = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
            return "" if found == "ok" else found
    except sqlite3.DatabaseError as error:
        if _is_damage(error):
            return str(error)
        raise


def move_aside(path: Path) -> Path:
    """Rename a damaged file and what belongs to it, keeping every byte; return the new path."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S%f")
    aside = path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}")
    for suffix in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            os.replace(f"{path}{suffix}", f"{aside}{suffix}")  # noqa: PTH105 - the names are texts here
    return aside


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn failures of the disk and of SQLite into sentences, and broken content into `Damaged`."""
    try:
        yield
    except json.JSONDecodeError as error:
        raise Damaged(str(error)) from error
    except (DBAPIError, sqlite3.DatabaseError, OSError) as error:
        expected = _expected(error.orig if isinstance(error, DBAPIError) else error, path)
        if expected is None:
            raise
        raise expected from error


def _expected(error: BaseException | None, path: Path) -> Exception | None:
    text = str(error)
    if _is_damage(error):
        return Damaged(text)
    if is_disk_full(error) if isinstance(error, OSError) else "disk is full" in text:
        return DiskFull(str(path))
    if isinstance(error, OSError):
        return VotesUnavailable(error.strerror or text)
    if isinstance(error, sqlite3.IntegrityError) and "UNIQUE" in text:
        return VotesUnavailable("another program has just saved the same")
    if isinstance(error, sqlite3.OperationalError):
        return VotesUnavailable("another program is writing to them" if "locked" in text else text)
    return None


def _is_damage(error: BaseException | None) -> bool:
    # Python 3.10 gives no code, so by its words.
    return isinstance(error, sqlite3.DatabaseError) and any(
        part in str(error) for part in ("malformed", "not a database", "unsupported file format", "decode to UTF-8")
    )


# --- files of version 1, which folded the events into tables -------------------------------------------------

_VERSION_1_TABLES = (
    "participants", "assignments", "votes", "undone_votes", "checks", "studies", "quick_votes", "log_state", "events",
)  # fmt: skip
_VERSION_1_EVENTS = "SELECT clock, uuid, kind, payload, utc, logged, seq FROM events ORDER BY seq"


def copy_version_1(path: Path) -> Path:
    """Keep a whole copy of a file of version 1 beside it and return its path; one that is there already stays."""
    aside = path.with_name(f"{path.stem}.version-1{path.suffix}")
    if not aside.exists():
        with replacing(aside) as part, closing(connect(path)) as source, closing(connect(part)) as copy:
            source.backup(copy)
    return aside


def take_version_1(connection: Connection) -> tuple[list[Event], list[Event]]:
    """Return a version-1 file's events, those that a log holds and the others, and drop its tables."""
    written = connection.exec_driver_sql("SELECT written_seq FROM log_state").scalar_one()
    rows = connection.exec_driver_sql(_VERSION_1_EVENTS).all()
    logged = _version_1_events(row for row in rows if row.logged or row.seq <= written)
    others = _version_1_events(row for row in rows if not row.logged and row.seq > written)
    for table in _VERSION_1_TABLES:
        connection.exec_driver_sql(f"DROP TABLE {table}")
    return logged, others


def salvage_version_1(path: Path) -> list[Event]:
    """Return the events that can still be read from a damaged version-1 file, from the first up to the break."""
    rows: list[Sequence[Any]] = []
    with suppress(sqlite3.Error), closing(connect(path)) as connection:
        for row in connection.execute(_VERSION_1_EVENTS):
            rows.append(row)
    return _version_1_events(rows)


def _version_1_events(rows: Iterable[Sequence[Any]]) -> list[Event]:
    events = []
    for clock, uuid, kind, payload, utc, *_ in rows:
        with suppress(ValueError, TypeError):
            events.append(Event(int(clock), str(uuid), str(kind), dict(json.loads(payload)), str(utc)))
    return events
