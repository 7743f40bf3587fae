"""The votes' home: one append-only table of events in SQLite, from which every result follows (`schema`).

Every change is one short transaction that takes the write lock first, decides on what it then reads, and appends one
event. A returned call is on the disk. Events are ordered by the number given at their birth; clocks are only written
down. Checksums chain the events of a participant. A file found damaged is moved aside, and the store is built anew from
what can be read of it and from the event log beside it (`votes-log/*.jsonl`, `durable`).
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock
from sqlalchemy import Connection, Row, Select, Text, cast, func, select

from core.config import data_dir
from core.errors import VotesUnavailable
from core.study.records import Event, Group, ParticipantRow, PhotoVoteRow, Run, VoteRow
from core.study.storage import eventlog, reading, schema, sqlite
from core.study.storage.events import Verification, as_text, checksum, damaged_rows, participant_of, problem, subject_of
from core.study.storage.schema import EVENTS, LOG_POSITION

FILE_NAME = "votes.sqlite3"
LOG_NAME = "votes-log"

_AS_TEXT = [cast(item, Text).label(item.name) if item.name == "payload" else item for item in EVENTS.c]
_STORED: Select[Any] = select(*_AS_TEXT).order_by(EVENTS.c.sequence)
_logger = logging.getLogger(__name__)


class Transaction:
    """What may be read and recorded while a transaction of `Store.atomic` is open."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.recorded = 0

    def run(self, participant: str) -> Run | None:
        """Return the participant's run as it stands now, or None."""
        return reading.read_run(self._connection, participant)

    def is_open(self, pack: str) -> bool:
        """Tell whether a study takes new participants; every study does until it is closed."""
        return reading.is_open(self._connection, pack)

    def row_use(self, pack_digest: str, group: Group) -> Mapping[int, tuple[int, int]]:
        """Count how often a starting row was given out, withdrawn runs left out: by row (in this group, in both)."""
        return reading.read_row_use(self._connection, pack_digest, group)

    def has_photo_vote(self, token: str) -> bool:
        """Tell whether this photo vote was taken before."""
        return reading.has_photo_vote(self._connection, token)

    def record(self, kind: str, payload: Mapping[str, object]) -> Event:
        """Append an event. Raises ValueError for a payload that is not what its kind needs."""
        if wrong := problem(kind, payload):
            raise ValueError(wrong)
        same = (EVENTS.c[name] == value for name, value in _about(kind, payload).items())
        occurrence = self._connection.execute(select(func.count()).select_from(EVENTS).where(*same)).scalar_one()
        # Higher than everything this store has seen, also from others: so a later event sorts later everywhere.
        clock = 1 + (self._connection.execute(select(func.max(EVENTS.c.clock))).scalar() or 0)
        utc = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        event = Event(clock, uuid.uuid4().hex, kind, payload, utc)
        _append(self._connection, [event], logged=False, occurrence=occurrence)
        self.recorded += 1
        return event


class Store:
    """Votes, participants and studies of one SQLite file. Safe to share between threads; processes share the file.

    Args:
        path: of the file; it and its folder are made when first needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log_dir = path.with_name(LOG_NAME)
        self._engine = sqlite.make_engine(path)
        self._checked = False
        self._preparing = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    @contextmanager
    def atomic(self) -> Iterator[Transaction]:
        """Open a writing transaction: all of it is kept, or none.

        Raises:
            DiskFull, VotesUnavailable: nothing was kept.
        """
        with self._transaction(writes=True) as connection:
            transaction = Transaction(connection)
            yield transaction
        if transaction.recorded:
            self._tell()

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every transaction of this object that recorded something. It must return at once."""
        self._listeners.append(listener)

    def votes(self, pack: str | None = None) -> list[VoteRow]:
        """Return the counted votes of all or one study, in the order they came; never those of withdrawn runs."""
        with self._transaction() as connection:
            return reading.read_votes(connection, pack)

    def participants(self, pack: str | None = None, *, withdrawn: bool = False) -> list[ParticipantRow]:
        """Return the runs of all or one study, in the order they began; the withdrawn ones only if asked for."""
        with self._transaction() as connection:
            return reading.read_participants(connection, pack, withdrawn=withdrawn)

    def photo_votes(self) -> list[PhotoVoteRow]:
        """Return every photo vote, in the order they came."""
        with self._transaction() as connection:
            return reading.read_photo_votes(connection)

    def is_open(self, pack: str) -> bool:
        """Tell whether a study takes new participants."""
        with self._transaction() as connection:
            return reading.is_open(connection, pack)

    def set_open(self, pack: str, is_open: bool) -> None:
        """Open or close a study for new participants; runs that have begun may be finished."""
        with self.atomic() as transaction:
            if transaction.is_open(pack) != is_open:
                transaction.record("study", {"pack": pack, "open": is_open})

    def run(self, participant: str) -> Run | None:
        """Return the run with this identifier as it stands now, or None."""
        with self._transaction() as connection:
            return reading.read_run(connection, participant)

    def events_after(self, seq: int) -> list[Event]:
        """Return the events of this store with a higher number, in the order that counts."""
        query = select(EVENTS).where(EVENTS.c.clock > seq).order_by(EVENTS.c.clock, EVENTS.c.uuid)
        with self._transaction() as connection:
            return [_event(row) for row in connection.execute(query)]

    def replay(self, events: Iterable[Event], *, logged: bool = False) -> int:
        """Take in events of this or other stores, but for those known by their uuid; return how many were new.

        What counts then follows from all events, whatever the order in which they came in.

        Args:
            logged: they stand in an event log already, so `hand_over` need not give them out.
        """
        events = list(events)
        if not events:
            return 0
        with self._transaction(writes=True) as connection:
            added = _take_in(connection, events, logged=logged)
        if added and not logged:
            self._tell()
        return added

    def hand_over(self, write: Callable[[Sequence[Event]], None]) -> int:
        """Give `write` the events that no log holds yet, in the order they came, and then mark them as written.

        If `write` raises, or the process dies before the mark is on the disk, they are given out again.

        Returns:
            How many events were written.
        """
        with self._transaction(writes=True) as connection:
            position = connection.execute(select(LOG_POSITION.c.sequence)).scalar_one()
            waiting = select(EVENTS).where(EVENTS.c.sequence > position, ~EVENTS.c.logged).order_by(EVENTS.c.sequence)
            rows = connection.execute(waiting).all()
            if rows:
                write([_event(row) for row in rows])
                connection.execute(LOG_POSITION.update().values(sequence=rows[-1].sequence))
        return len(rows)

    def verify(self) -> Verification:
        """Look for damage and mend nothing; a file of another version is not looked into."""
        if not self.path.exists():
            return Verification()
        with sqlite.translated(self.path):
            if found := sqlite.structural_damage(self.path):
                return Verification(file=found)
            with sqlite.transaction(sqlite.make_engine(self.path, decode=_lenient), writes=False) as connection:
                if sqlite.version(connection) != sqlite.VERSION:
                    return Verification()
                count = connection.execute(select(func.count()).select_from(EVENTS)).scalar_one()
                rows = (row._asdict() for row in connection.execute(_STORED))
                return Verification(count, rows=tuple(damaged_rows(rows)))

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    @contextmanager
    def _transaction(self, *, writes: bool = False) -> Iterator[Connection]:
        try:
            with sqlite.translated(self.path):
                if not self._checked:
                    self._prepare()
                with sqlite.transaction(self._engine, writes=writes) as connection:
                    if sqlite.version(connection) == sqlite.VERSION:
                        yield connection
                        return
                self._prepare()  # somebody removed the file, or another version of the app wrote it
                with sqlite.transaction(self._engine, writes=writes) as connection:
                    yield connection
        except sqlite.Damaged as error:
            self._checked = False
            with suppress(sqlite.Damaged), sqlite.translated(self.path):
                self._prepare()
            raise VotesUnavailable("their file was damaged and has just been built anew") from error

    def _prepare(self) -> None:
        """Check the file once, make what is missing, and mend it from the log where that is needed."""
        with self._preparing:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.path}.lock", timeout=sqlite.BUSY_S):
                salvaged = self._set_damaged_file_aside()
                sqlite.use_wal(self.path)
                with sqlite.transaction(self._engine, writes=True) as connection:
                    found = sqlite.version(connection)
                    if found == 0:
                        self._build(connection, salvaged)
                    elif found == 1:
                        self._import_version_1(connection)
                    elif found != sqlite.VERSION:
                        raise VotesUnavailable("a newer version of the app wrote their file; update the app")
            self._checked = True

    def _set_damaged_file_aside(self) -> list[Event]:
        if self.verify().is_sound:
            return []
        aside = sqlite.move_aside(self.path)
        salvaged = _salvage(aside)
        _logger.error(
            "The file of votes '%s' is damaged. It was moved to '%s', and a new one is being built from %d event(s) "
            "that could still be read and from the event log.",
            self.path,
            aside.name,
            len(salvaged),
        )
        return salvaged

    def _build(self, connection: Connection, salvaged: list[Event]) -> None:
        _make_tables(connection)
        from_log = _take_in(connection, eventlog.read(sorted(self.log_dir.glob("*.jsonl"))), logged=True)
        from_file = _take_in(connection, salvaged, logged=False)
        if from_log or from_file:
            _logger.warning("Built the votes anew from %d event(s).", from_log + from_file)

    def _import_version_1(self, connection: Connection) -> None:
        aside = sqlite.copy_version_1(self.path)
        logged, others = sqlite.take_version_1(connection)
        _make_tables(connection)
        taken_in = _take_in(connection, logged, logged=True) + _take_in(connection, others, logged=False)
        _logger.warning("Took over %d event(s) of an older version; its file is kept as '%s'.", taken_in, aside.name)


def default_store() -> Store:
    """Return the store in the data folder."""
    return Store(data_dir() / FILE_NAME)


def _make_tables(connection: Connection) -> None:
    schema.create(connection)
    sqlite.set_version(connection)


def _lenient(stored: bytes) -> str:
    return stored.decode("utf-8", "backslashreplace")


def _salvage(path: Path) -> list[Event]:
    """Return the events of a damaged file that can still be read and are as they were written."""
    events: list[Event] = []
    engine = sqlite.make_engine(path, decode=_lenient)
    with (
        suppress(sqlite.Damaged, VotesUnavailable),
        sqlite.translated(path),
        sqlite.transaction(engine, writes=False) as connection,
    ):
        for row in connection.execute(_STORED):
            if checksum(row._asdict()) == row.checksum:
                events.append(Event(row.clock, row.uuid, row.kind, json.loads(row.payload), row.utc))
    return events or sqlite.salvage_version_1(path)


def _take_in(connection: Connection, events: Iterable[Event], *, logged: bool) -> int:
    """Append events from elsewhere but for those that are here; say how many make no sense."""
    known = set(connection.execute(select(EVENTS.c.uuid)).scalars())
    fresh = {event.uuid: event for event in reversed(list(events)) if event.uuid not in known}
    in_order = sorted(fresh.values(), key=lambda event: (event.seq, event.uuid))
    broken = _append(connection, in_order, logged=logged)
    if broken:
        _logger.warning("Passed over %d of %d events that make no sense.", broken, len(fresh))
    return len(fresh)


def _append(connection: Connection, events: Sequence[Event], *, logged: bool, occurrence: int | None = None) -> int:
    """Add rows, each with the checksum that chains it to its participant's last one; count those that make no sense."""
    last: dict[str, str] = {}
    rows: list[dict[str, object]] = []
    for event in events:
        about = _about(event.kind, event.payload)
        who = str(about["participant"])
        if who not in last:
            newest = select(EVENTS.c.checksum).where(EVENTS.c.participant == who).order_by(EVENTS.c.sequence.desc())
            last[who] = connection.execute(newest.limit(1)).scalar() or ""
        row = {
            **about, "uuid": event.uuid, "occurrence": occurrence, "payload": event.payload, "utc": event.utc,
            "clock": event.seq, "logged": logged, "previous": last[who],
        }  # fmt: skip
        row["checksum"] = last[who] = checksum({**row, "payload": as_text(event.payload)})
        rows.append(row)
    if rows:
        connection.execute(EVENTS.insert(), rows)
    return sum(row["subject"] is None for row in rows)


def _about(kind: str, payload: Mapping[str, object]) -> dict[str, object]:
    return {"participant": participant_of(payload), "kind": kind, "subject": subject_of(kind, payload)}


def _event(row: Row[Any]) -> Event:
    return Event(row.clock, row.uuid, row.kind, row.payload, row.utc)
