"""What the page, statistics and export read: runs, votes and studies as values. Flags are worked out anew each time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, case, func, select

from core.study.records import Answer, Assignment, Flag, Group, ParticipantRow, PhotoVoteRow, Run, VoteRow
from core.study.storage.flags import flags_of
from core.study.storage.schema import (
    CHECKS,
    EVENTS,
    PARTICIPANTS,
    PHOTO_VOTES,
    STUDIES,
    VOTES,
    answers_of,
    checks_of,
    participants_of,
)

# The views' own definitions over one participant's events: they are few, and found by an index.
_OWN_EVENTS = select(EVENTS).where(EVENTS.c.participant == bindparam("participant")).cte("own")
_OWN_BEGINNING, _OWN_CHECK, _OWN_ANSWERS = participants_of(_OWN_EVENTS), checks_of(_OWN_EVENTS), answers_of(_OWN_EVENTS)


def read_run(connection: Connection, participant: str) -> Run | None:
    """Return the run with this identifier, or None. Call it inside a transaction."""
    who = {"participant": participant}
    begun = connection.execute(_OWN_BEGINNING, who).one_or_none()
    if begun is None:
        return None
    check = connection.execute(_OWN_CHECK, who).one_or_none()
    answers = connection.execute(_OWN_ANSWERS, who).all()
    return Run(
        participant=participant,
        group=begun.cohort,
        pack=begun.pack,
        pack_digest=begun.pack_digest,
        assignments=tuple(
            Assignment(place, screen["trial_key"], tuple(screen["order"]))
            for place, screen in enumerate(begun.screens, start=1)
        ),
        answers={row.trial_key: Answer(row.uuid, row.choice) for row in answers if row.state == "counted"},
        undone=sum(row.state == "undone" for row in answers),
        check_after=begun.check_after,
        check_label=begun.check_label,
        check_answer=None if check is None else check.answer,
        check_passed=None if check is None else check.passed,
        finished=begun.finished_utc is not None,
        withdrawn=begun.withdrawn_utc is not None,
    )


def read_votes(connection: Connection, pack: str | None) -> list[VoteRow]:
    """Return the counted votes of all or one study, in the order they came, without those of withdrawn runs."""
    runs = {row.participant: row for row in _runs(connection, pack, withdrawn=False)}
    places = {
        (who, screen["trial_key"]): place
        for who, row in runs.items()
        for place, screen in enumerate(row.screens, start=1)
    }
    votes = connection.execute(select(VOTES).order_by(VOTES.c.clock, VOTES.c.uuid)).all()
    flags = _flags(connection, votes, runs.values())
    return [
        VoteRow(
            participant=row.participant,
            group=run.cohort,
            pack=run.pack,
            pack_digest=row.pack_digest,
            trial_key=row.trial_key,
            place=places[row.participant, row.trial_key],
            order=tuple(row.arm_order),
            choice=row.choice,
            position=row.position,
            dwell_ms=row.dwell_ms,
            app_version=row.app_version,
            utc=row.utc,
            finished=run.finished_utc is not None,
            flags=flags[row.participant],
        )
        for row in votes
        if (run := runs.get(row.participant)) is not None and (row.participant, row.trial_key) in places
    ]


def read_participants(connection: Connection, pack: str | None, *, withdrawn: bool) -> list[ParticipantRow]:
    """Return the runs of all or one study, in the order they began; the withdrawn ones only if asked for."""
    passed = {row.participant: row.passed for row in connection.execute(select(CHECKS))}
    runs = _runs(connection, pack, withdrawn=withdrawn)
    needed = (VOTES.c.participant, VOTES.c.dwell_ms, VOTES.c.position)
    flags = _flags(connection, connection.execute(select(*needed)), runs)
    return [
        ParticipantRow(
            participant=row.participant,
            group=row.cohort,
            pack=row.pack,
            pack_digest=row.pack_digest,
            consent_version=row.consent_version,
            started_utc=row.started_utc,
            finished_utc=row.finished_utc,
            withdrawn_utc=row.withdrawn_utc,
            check_passed=passed.get(row.participant),
            flags=flags[row.participant],
        )
        for row in runs
    ]


def read_photo_votes(connection: Connection) -> list[PhotoVoteRow]:
    """Return every photo vote, in the order they came."""
    rows = connection.execute(select(PHOTO_VOTES).order_by(PHOTO_VOTES.c.clock, PHOTO_VOTES.c.uuid))
    return [PhotoVoteRow(row.token, tuple(row.arm_order), row.choice, row.cohort, row.style, row.utc) for row in rows]


def has_photo_vote(connection: Connection, token: str) -> bool:
    """Tell whether this photo vote was taken before."""
    same = (EVENTS.c.participant == "", EVENTS.c.kind == "quick", EVENTS.c.subject == token)
    return connection.execute(select(EVENTS.c.sequence).where(*same)).first() is not None


def is_open(connection: Connection, pack: str) -> bool:
    """Tell whether a study takes new participants; every study does until it is closed."""
    found: bool | None = connection.execute(select(STUDIES.c.is_open).where(STUDIES.c.slug == pack)).scalar()
    return found is None or found


def read_row_use(connection: Connection, pack_digest: str, group: Group) -> Mapping[int, tuple[int, int]]:
    """Count how often a starting row was given out, withdrawn runs left out: by row, (in this group, in both)."""
    row0, own = EVENTS.c.payload["row0"].as_integer(), EVENTS.c.payload["group"].as_string() == group
    gone = EVENTS.alias("gone")
    is_gone = (
        select(gone.c.sequence).where(gone.c.participant == EVENTS.c.participant, gone.c.kind == "withdrawn").exists()
    )
    counted = (
        select(row0, func.sum(case((own, 1), else_=0)), func.count())
        .where(EVENTS.c.kind == "begun", EVENTS.c.subject == pack_digest, ~is_gone)
        .group_by(row0)
    )
    return {row: (in_group, in_both) for row, in_group, in_both in connection.execute(counted)}


def _runs(connection: Connection, pack: str | None, *, withdrawn: bool) -> Sequence[Row[Any]]:
    query: Select[Any] = select(PARTICIPANTS).order_by(PARTICIPANTS.c.clock, PARTICIPANTS.c.uuid)
    query = query if pack is None else query.where(PARTICIPANTS.c.pack == pack)
    return connection.execute(query if withdrawn else query.where(PARTICIPANTS.c.withdrawn_utc.is_(None))).all()


def _flags(
    connection: Connection, votes: Iterable[Row[Any]], runs: Iterable[Row[Any]]
) -> Mapping[str, frozenset[Flag]]:
    """Work out the flags of these runs from all counted votes."""
    dwell_ms: defaultdict[str, list[int]] = defaultdict(list)
    positions: defaultdict[str, list[int | None]] = defaultdict(list)
    for vote in votes:
        dwell_ms[vote.participant].append(vote.dwell_ms)
        positions[vote.participant].append(vote.position)
    passed = {row.participant: row.passed for row in connection.execute(select(CHECKS))}
    return {
        run.participant: flags_of(
            dwell_ms[run.participant],
            positions[run.participant],
            places=len(run.screens[0]["order"]) if run.screens else 0,
            check_passed=passed.get(run.participant),
        )
        for run in runs
    }
