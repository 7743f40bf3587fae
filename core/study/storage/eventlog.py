"""The event log: one JSON object per line, one file per process, only ever appended to.

A line that a crash cut off is passed over: its event was not yet marked as written, so the next process writes it
again. Readers know events by their uuid, so an event that stands in two files counts once.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from core.study.records import Event

_MAX_SEQ = 2**53  # leaves SQLite's integers room to count on

_logger = logging.getLogger(__name__)


def append(path: Path, events: Sequence[Event]) -> None:
    """Append events in the order given and wait until they are on the disk; a failed write leaves nothing behind."""
    lines = "".join(_line(event) for event in events).encode("utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        size = file.tell()
        try:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                os.truncate(path, size)
            raise


def read(paths: Iterable[Path]) -> list[Event]:
    """Return the events of these files by (seq, uuid), each uuid once; a warning counts lines that are none."""
    found: dict[str, Event] = {}
    for path in paths:
        skipped = 0
        for line in path.read_bytes().split(b"\n"):
            if line.strip():
                event = _event(line)
                skipped += event is None
                if event is not None:
                    found.setdefault(event.uuid, event)
        if skipped:
            _logger.warning("Passed over %d damaged line(s) in the event log '%s'.", skipped, path.name)
    return sorted(found.values(), key=lambda event: (event.seq, event.uuid))


def _line(event: Event) -> str:
    fields = {"seq": event.seq, "uuid": event.uuid, "kind": event.kind, "payload": event.payload, "utc": event.utc}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"


def _event(line: bytes) -> Event | None:
    """Return the event of one line, None if it is none: another program may have written to the log."""
    try:
        fields = json.loads(line, parse_constant=_refuse)
        event = Event(fields["seq"], fields["uuid"], fields["kind"], fields["payload"], fields["utc"])
        "".join((event.uuid, event.kind, event.utc)).encode("utf-8")
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    sound = type(event.seq) is int and 0 < event.seq < _MAX_SEQ and isinstance(event.payload, dict)
    return event if sound else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")
