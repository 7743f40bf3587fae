"""The votes' home: facts in SQLite, each also an event that is only ever appended.

Every change is one short transaction that takes the write lock first (`BEGIN IMMEDIATE`), decides on what it then
reads, appends one event and folds it into the tables (`fold`). A returned call is on the disk. Events are
ordered by their sequence number; clocks are only written down. A file found damaged is moved aside, and the store is
built anew from what can be read of it and from the event log beside it (`votes-log/*.jsonl`, `durable`).
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock

from core.config import data_dir
from core.errors import VotesUnavailable
from core.study.protocol.records import Event, Group, ParticipantRow, QuickVoteRow, VoteRow
from core.study.storage import eventlog, fold, schema
from core.study.storage.reading import read_participants, read_quick_votes, read_votes
from core.study.storage.runs import Run, read_run

FILE_NAME = "votes.sqlite3"
LOG_NAME = "votes-log"

_EVENTS = "SELECT clock, uuid, kind, payload, utc, seq FROM events"
_logger = logging.getLogger(__name__)


class Transaction:
    """What may be read and recorded while a transaction of `Store.atomic` is open."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.recorded = 0

    def run(self, participant: str) -> Run | None:
        """The participant's run as it stands now, or None."""
        return read_run(self._connection, participant)

    def is_open(self, pack: str) -> bool:
        """Whether a study takes new participants; every study does until it is closed."""
        row = self._connection.execute("SELECT is_open FROM studies WHERE slug = ?", (pack,)).fetchone()
        return row is None or bool(row[0])

    def row_use(self, pack_digest: str, group: Group) -> Mapping[int, tuple[int, int]]:
        """How often a starting row was given out, withdrawn runs left out: by row (in this group, in both)."""
        counted = self._connection.execute(
            "SELECT row0, sum(cohort = ?), count(*) FROM participants "
            "WHERE pack_digest = ? AND withdrawn_utc IS NULL GROUP BY row0",
            (group, pack_digest),
        )
        return {row0: (own, both) for row0, own, both in counted}

    def has_quick_vote(self, token: str) -> bool:
        """Whether this quick vote was taken before."""
        return bool(self._connection.execute("SELECT 1 FROM quick_votes WHERE token = ?", (token,)).fetchone())

    def record(self, kind: str, payload: Mapping[str, object]) -> Event:
        """Appends an event and folds it into the tables."""
        seq = self._next_seq()
        event = Event(
            seq, uuid.uuid4().hex, kind, payload, datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        )
        _insert(self._connection, event, seq=seq, logged=False)
        fold.apply(self._connection, event)
        self.recorded += 1
        return event

    def _next_seq(self) -> int:
        # Higher than everything this store has seen, also from others: so a later event sorts later everywhere.
        seq, clock = self._connection.execute(
            "SELECT (SELECT max(seq) FROM events), (SELECT max(clock) FROM events)"
        ).fetchone()
        return 1 + max(seq or 0, clock or 0)


class Store:
    """Votes, participants and studies of one SQLite file. Safe to share between threads; processes share the file.

    Args:
        path: of the file; it and its folder are made when first needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log_dir = path.with_name(LOG_NAME)
        self._checked = False
        self._preparing = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    @contextmanager
    def atomic(self) -> Iterator[Transaction]:
        """A writing transaction: all of it is kept, or none.

        Raises:
            DiskFull, VotesUnavailable: nothing was kept.
        """
        with self._transaction("IMMEDIATE") as connection:
            transaction = Transaction(connection)
            yield transaction
        if transaction.recorded:
            for listener in self._listeners:
                listener()

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Calls `listener` after every transaction of this object that recorded something. It must return at once."""
        self._listeners.append(listener)

    def votes(self, pack: str | None = None) -> list[VoteRow]:
        """Counted votes of all or one study, in the order they came; never those of withdrawn participants."""
        with self._transaction("DEFERRED") as connection:
            return read_votes(connection, pack)

    def participants(self, pack: str | None = None, *, withdrawn: bool = False) -> list[ParticipantRow]:
        """Runs of all or one study, in the order they began; the withdrawn ones only if asked for."""
        with self._transaction("DEFERRED") as connection:
            return read_participants(connection, pack, withdrawn=withdrawn)

    def quick_votes(self) -> list[QuickVoteRow]:
        """Every quick vote, in the order they came."""
        with self._transaction("DEFERRED") as connection:
            return read_quick_votes(connection)

    def is_open(self, pack: str) -> bool:
        """Whether a study takes new participants."""
        with self._transaction("DEFERRED") as connection:
            return Transaction(connection).is_open(pack)

    def set_open(self, pack: str, is_open: bool) -> None:
        """Opens or closes a study for new participants; runs that have begun may be finished."""
        with self.atomic() as transaction:
            if transaction.is_open(pack) != is_open:
                transaction.record("study", {"pack": pack, "open": is_open})

    def run(self, participant: str) -> Run | None:
        """The run with this identifier as it stands now, or None."""
        with self._transaction("DEFERRED") as connection:
            return read_run(connection, participant)

    def events_after(self, seq: int) -> list[Event]:
        """Events of this store with a higher number, in the order that counts."""
        with self._transaction("DEFERRED") as connection:
            rows = connection.execute(f"{_EVENTS} WHERE clock > ? ORDER BY clock, uuid", (seq,)).fetchall()
        return [_event(row) for row in rows]

    def replay(self, events: Iterable[Event], *, logged: bool = False) -> int:
        """Takes in events of this or other stores, but for those known by their uuid; returns how many were new.

        The tables then follow from all events, whatever the order in which they came in.

        Args:
            logged: they stand in an event log already, so `hand_over` need not give them out.
        """
        events = list(events)
        if not events:
            return 0
        with self._transaction("IMMEDIATE") as connection:
            added = _take_in(connection, events, logged=logged)
        if added and not logged:
            for listener in self._listeners:
                listener()
        return added

    def hand_over(self, write: Callable[[Sequence[Event]], None]) -> int:
        """Gives `write` the events that no log holds yet, in the order they came, and then marks them as written.

        If `write` raises, or the process dies before the mark is on the disk, they are given out again.

        Returns:
            How many events were written.
        """
        with self._transaction("IMMEDIATE") as connection:
            (written,) = connection.execute("SELECT written_seq FROM log_state").fetchone()
            rows = connection.execute(f"{_EVENTS} WHERE seq > ? AND NOT logged ORDER BY seq", (written,)).fetchall()
            if rows:
                write([_event(row) for row in rows])
                connection.execute("UPDATE log_state SET written_seq = ?", (rows[-1][-1],))
        return len(rows)

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[sqlite3.Connection]:
        try:
            with schema.translated(self.path), closing(self._connected()) as connection:
                connection.execute(f"BEGIN {kind}")
                try:
                    yield connection
                    connection.execute("COMMIT")
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
        except sqlite3.DatabaseError as error:
            if not schema.is_damage(error):
                raise
            self._checked = False
            with suppress(sqlite3.DatabaseError), schema.translated(self.path):
                self._prepare()
            raise VotesUnavailable("their file was damaged and has just been built anew") from error

    def _connected(self) -> sqlite3.Connection:
        if not self._checked:
            self._prepare()
        connection = schema.connect(self.path)
        try:
            if schema.version(connection) == schema.VERSION:
                return connection
        except BaseException:
            connection.close()
            raise
        connection.close()
        self._prepare()  # somebody removed the file, or another version of the app wrote it
        return schema.connect(self.path)

    def _prepare(self) -> None:
        """Checks the file once, makes what is missing, and mends it from the log where that is needed."""
        with self._preparing:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.path}.lock", timeout=schema.BUSY_S):
                salvaged = self._set_damaged_file_aside()
                with closing(schema.connect(self.path)) as connection:
                    found = schema.version(connection)
                    if found not in (0, schema.VERSION):
                        raise VotesUnavailable("a newer version of the app wrote their file; update the app")
                    if found == 0:
                        self._make_tables(connection, salvaged)
            self._checked = True

    def _set_damaged_file_aside(self) -> list[Event]:
        if not self.path.exists() or schema.is_sound(self.path):
            return []
        aside = schema.move_aside(self.path)
        salvaged = schema.salvage(aside)
        _logger.error(
            "The file of votes '%s' is damaged. It was moved to '%s', and a new one is being built from %d event(s) "
            "that could still be read and from the event log.",
            self.path,
            aside.name,
            len(salvaged),
        )
        return salvaged

    def _make_tables(self, connection: sqlite3.Connection, salvaged: list[Event]) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            schema.create(connection)
            from_log = _take_in(connection, eventlog.read(sorted(self.log_dir.glob("*.jsonl"))), logged=True)
            from_file = _take_in(connection, salvaged, logged=False)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        if from_log or from_file:
            _logger.warning("Built the votes anew from %d event(s).", from_log + from_file)


def default_store() -> Store:
    """The store in the data folder."""
    return Store(data_dir() / FILE_NAME)


def _take_in(connection: sqlite3.Connection, events: Iterable[Event], *, logged: bool) -> int:
    (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
    added = 0
    for event in sorted(events, key=lambda event: (event.seq, event.uuid)):
        added += _insert(connection, event, seq=last + added + 1, logged=logged)
    if added:
        fold.rebuild(connection)
    return added


def _insert(connection: sqlite3.Connection, event: Event, *, seq: int, logged: bool) -> int:
    payload = json.dumps(dict(event.payload), allow_nan=False)
    row = (seq, event.uuid, event.kind, payload, event.utc, event.seq, logged)
    cursor = connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (uuid) DO NOTHING", row)
    return cursor.rowcount


def _event(row: tuple) -> Event:
    clock, event_uuid, kind, payload, utc, _ = row
    return Event(clock, event_uuid, kind, json.loads(payload), utc)
