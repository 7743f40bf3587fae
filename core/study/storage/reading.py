"""What statistics and export read from the tables; flags are worked out anew each time."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping

from core.study.protocol.records import ParticipantRow, QuickVoteRow, VoteRow
from core.study.storage.flags import flags_of


def read_votes(connection: sqlite3.Connection, pack: str | None) -> list[VoteRow]:
    """Counted votes of all or one study, in the order they came."""
    flags = _flags(connection)
    rows = connection.execute(
        "SELECT v.participant, cohort, pack, v.pack_digest, v.trial_key, a.position, v.arm_order, choice, v.position, "
        "dwell_ms, v.app_version, utc, finished_utc FROM votes v JOIN participants p ON p.id = v.participant "
        "JOIN assignments a ON a.participant = v.participant AND a.trial_key = v.trial_key "
        "WHERE withdrawn_utc IS NULL AND (:pack IS NULL OR pack = :pack) ORDER BY v.id",
        {"pack": pack},
    )
    return [
        VoteRow(*row[:6], tuple(json.loads(row[6])), *row[7:12], row[12] is not None, flags[row[0]]) for row in rows
    ]


def read_participants(connection: sqlite3.Connection, pack: str | None, *, withdrawn: bool) -> list[ParticipantRow]:
    """Runs of all or one study, in the order they began; the withdrawn ones only if asked for."""
    flags = _flags(connection)
    rows = connection.execute(
        "SELECT id, cohort, pack, pack_digest, consent_version, started_utc, finished_utc, withdrawn_utc, passed "
        "FROM participants p LEFT JOIN checks c ON c.participant = p.id "
        "WHERE (:pack IS NULL OR pack = :pack) AND (:withdrawn OR withdrawn_utc IS NULL) ORDER BY p.rowid",
        {"pack": pack, "withdrawn": withdrawn},
    )
    return [ParticipantRow(*row[:8], _truth(row[8]), flags[row[0]]) for row in rows]


def read_quick_votes(connection: sqlite3.Connection) -> list[QuickVoteRow]:
    """Every quick vote, in the order they came."""
    rows = connection.execute("SELECT token, arm_order, choice, cohort, style, utc FROM quick_votes ORDER BY rowid")
    return [QuickVoteRow(row[0], tuple(json.loads(row[1])), *row[2:]) for row in rows]


def _flags(connection: sqlite3.Connection) -> Mapping[str, frozenset[str]]:
    dwell_ms, positions, places = defaultdict(list), defaultdict(list), defaultdict(int)
    for participant, dwell, position, order in connection.execute(
        "SELECT participant, dwell_ms, position, arm_order FROM votes"
    ):
        dwell_ms[participant].append(dwell)
        positions[participant].append(position)
        places[participant] = len(json.loads(order))
    passed = dict(connection.execute("SELECT participant, passed FROM checks"))
    flags: defaultdict[str, frozenset[str]] = defaultdict(frozenset)
    for participant in dwell_ms.keys() | passed.keys():
        outcome = _truth(passed.get(participant))
        flags[participant] = flags_of(
            dwell_ms[participant], positions[participant], places=places[participant], check_passed=outcome
        )
    return flags


def _truth(value: int | None) -> bool | None:
    return None if value is None else bool(value)
