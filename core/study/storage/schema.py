"""The one table of events, and the views that say what follows from it, in SQL that SQLite and PostgreSQL both speak.

Rows are only ever added. What counts follows from all of them by (clock, uuid), in whatever order they came in, so two
stores with the same events agree. Only events whose payload makes sense have a subject, and only those are looked at.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    FromClause,
    Index,
    Integer,
    MetaData,
    Select,
    Table,
    TableClause,
    Text,
    UniqueConstraint,
    case,
    column,
    func,
    not_,
    or_,
    select,
    table,
    text,
    tuple_,
)

METADATA = MetaData()
EVENTS = Table(
    "events",
    METADATA,
    Column("sequence", Integer, primary_key=True),  # in the order in which they came into this file
    Column("uuid", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("participant", Text, nullable=False),  # "" for events of no run
    Column("subject", Text),  # what it is about beside its participant; NULL where the payload makes no sense
    Column("occurrence", Integer),  # how many like it were here when it was recorded; NULL for events from elsewhere
    Column("payload", JSON, nullable=False),
    Column("utc", Text, nullable=False),
    Column("clock", BigInteger, nullable=False),  # given at its birth, orders events everywhere
    Column("logged", Boolean, nullable=False),  # it came out of an event log, so it needs no writing to one
    Column("previous", Text, nullable=False),  # checksum of the participant's event before it in this file
    Column("checksum", Text, nullable=False),
    # Two processes that record an answer at once count the same ones before it, so the second one is refused.
    UniqueConstraint("participant", "kind", "subject", "occurrence"),
    Index("events_in_order", "kind", "participant", "subject", "clock", "uuid"),
    Index("events_of_participant", "participant", "sequence"),
    Index("events_by_clock", "clock"),
)
LOG_POSITION = Table("log_position", METADATA, Column("sequence", Integer, nullable=False))  # handed over up to here

_VIEWS: dict[str, Select[Any]] = {}


def create(connection: Connection) -> None:
    """Make the table and its views, inside the caller's transaction."""
    METADATA.create_all(connection)
    connection.execute(LOG_POSITION.insert().values(sequence=0))
    for name, query in _VIEWS.items():
        body = query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
        connection.execute(text(f"CREATE VIEW {name} AS {body}".replace(":", r"\:")))


def participants_of(events: FromClause) -> Select[Any]:
    """Select the runs of these events: what was drawn at the beginning, and when each was finished and withdrawn."""
    kinds = ("begun", "finished", "withdrawn")
    first = _numbered(events, *kinds, by=("participant", "kind")).cte("first_of_kind")
    marks = (
        select(
            first.c.participant,
            *(func.max(case((first.c.kind == kind, first.c.sequence))).label(kind) for kind in kinds),
        )
        .where(first.c.nth == 1)
        .group_by(first.c.participant)
        .cte("marks")
    )
    begun, finished, withdrawn = (EVENTS.alias(kind) for kind in kinds)
    drawn = begun.c.payload
    texts = ("pack", "pack_digest", "consent_version", "app_version", "check_label")
    return select(
        begun.c.participant,
        drawn["group"].as_string().label("cohort"),
        *(drawn[name].as_string().label(name) for name in texts),
        *(drawn[name].as_integer().label(name) for name in ("row0", "check_after")),
        drawn["screens"].label("screens"),
        begun.c.utc.label("started_utc"),
        finished.c.utc.label("finished_utc"),
        withdrawn.c.utc.label("withdrawn_utc"),
        begun.c.clock,
        begun.c.uuid,
    ).select_from(
        marks.join(begun, begun.c.sequence == marks.c.begun)
        .outerjoin(finished, finished.c.sequence == marks.c.finished)
        .outerjoin(withdrawn, withdrawn.c.sequence == marks.c.withdrawn)
    )


def checks_of(events: FromClause) -> Select[Any]:
    """Select the first answer of each run to its attention check."""
    first = _numbered(events, "checked", by=("participant",)).cte("first_check")
    said = EVENTS.c.payload
    return (
        select(
            EVENTS.c.participant,
            *(said[name].as_string().label(name) for name in ("expected", "answer")),
            said["passed"].as_boolean().label("passed"),
            said["dwell_ms"].as_integer().label("dwell_ms"),
            EVENTS.c.utc,
        )
        .join_from(first, EVENTS, EVENTS.c.sequence == first.c.sequence)
        .where(first.c.nth == 1)
    )


def answers_of(events: FromClause) -> Select[Any]:
    """Select every answer to a trial, with its state: "counted", "undone" or "duplicate".

    The first answer to a trial stands until it is taken back, then the first one after that, and so on. Others came
    from stores that knew nothing of each other: duplicates, which count nowhere.
    """
    voted = _numbered(events, "voted", by=("participant", "subject")).cte("voted")
    again = voted.alias("again")
    undone = _numbered(events, "undone", by=("participant", "subject")).cte("undone")
    taken_back = (
        select(voted, undone.c.clock.label("back_clock"), undone.c.uuid.label("back_uuid"))
        .add_columns(_number((undone.c.clock, undone.c.uuid), by=(voted.c.sequence,)).label("time"))
        .where(undone.c.participant == voted.c.participant, undone.c.subject == voted.c.uuid, _at(undone) > _at(voted))
        .cte("taken_back")
    )
    back = tuple_(taken_back.c.back_clock, taken_back.c.back_uuid)
    given_again = (
        select(again.c.sequence, taken_back.c.sequence.label("after"), taken_back.c.nth.label("nth_before"))
        .add_columns(_number((again.c.clock, again.c.uuid), by=(taken_back.c.sequence,)).label("nth"))
        .where(taken_back.c.time == 1, _at(again) > back)
        .where(again.c.participant == taken_back.c.participant, again.c.subject == taken_back.c.subject)
        .cte("given_again")
    )
    first_again = select(given_again).where(given_again.c.nth == 1).cte("first_again")
    reopened = select(first_again.c.sequence).where(first_again.c.nth_before == 1).cte("reopened", recursive=True)
    reopened = reopened.union_all(select(first_again.c.sequence).where(first_again.c.after == reopened.c.sequence))
    stood = or_(voted.c.nth == 1, voted.c.sequence.in_(select(reopened.c.sequence)))
    undone_votes = select(taken_back.c.sequence)
    said, begun = EVENTS.c.payload, EVENTS.alias("begun")
    return (
        select(
            EVENTS.c.participant,
            EVENTS.c.subject.label("trial_key"),
            said["pack_digest"].as_string().label("pack_digest"),
            said["order"].label("arm_order"),
            said["choice"].as_string().label("choice"),
            *(said[name].as_integer().label(name) for name in ("position", "dwell_ms")),
            said["app_version"].as_string().label("app_version"),
            EVENTS.c.utc,
            EVENTS.c.clock,
            EVENTS.c.uuid,
            case((not_(stood), "duplicate"), (voted.c.sequence.in_(undone_votes), "undone"), else_="counted").label(
                "state"
            ),
        )
        .join_from(voted, EVENTS, EVENTS.c.sequence == voted.c.sequence)
        .where(
            voted.c.participant.in_(
                select(begun.c.participant).where(begun.c.kind == "begun", begun.c.subject.is_not(None))
            )
        )
    )


def _photo_votes() -> Select[Any]:
    first = _numbered(EVENTS, "quick", by=("subject",)).cte("first_of_token")
    said = EVENTS.c.payload
    return (
        select(
            EVENTS.c.subject.label("token"),
            said["order"].label("arm_order"),
            said["choice"].as_string().label("choice"),
            said["group"].as_string().label("cohort"),
            *(said[name].as_string().label(name) for name in ("style", "app_version")),
            EVENTS.c.utc,
            EVENTS.c.clock,
            EVENTS.c.uuid,
        )
        .join_from(first, EVENTS, EVENTS.c.sequence == first.c.sequence)
        .where(first.c.nth == 1)
    )


def _studies() -> Select[Any]:
    last = EVENTS.alias("later")
    is_last = (
        ~select(last)
        .where(last.c.kind == "study", last.c.subject == EVENTS.c.subject, _at(last) > _at(EVENTS))
        .exists()
    )
    is_open = EVENTS.c.payload["open"].as_boolean()
    return select(EVENTS.c.subject.label("slug"), is_open.label("is_open")).where(EVENTS.c.kind == "study", is_last)


def _numbered(events: FromClause, *kinds: str, by: tuple[str, ...]) -> Select[Any]:
    """Sensible events of some kinds, numbered from 1 in the order that counts, apart for each value of `by`."""
    names = ("sequence", "uuid", "kind", "participant", "subject", "clock")
    number = _number((events.c.clock, events.c.uuid), by=tuple(events.c[name] for name in by))
    kind = events.c.kind == kinds[0] if len(kinds) == 1 else events.c.kind.in_(kinds)
    return select(*(events.c[name] for name in names), number.label("nth")).where(kind, events.c.subject.is_not(None))


def _number(order: tuple[ColumnElement[Any], ...], *, by: tuple[ColumnElement[Any], ...]) -> ColumnElement[int]:
    return func.row_number().over(partition_by=by, order_by=order)


def _at(events: FromClause) -> ColumnElement[Any]:
    return tuple_(events.c.clock, events.c.uuid)


def _view(name: str, query: Select[Any]) -> TableClause:
    """Note a view for `create`, and return it to select from."""
    _VIEWS[name] = query
    return table(name, *(column(item.name, item.type) for item in query.selected_columns))


PARTICIPANTS = _view("participants", participants_of(EVENTS))
CHECKS = _view("checks", checks_of(EVENTS))
ANSWERS = _view("answers", answers_of(EVENTS))
_STATE = ANSWERS.c.state
VOTES = _view("votes", select(*(item for item in ANSWERS.c if item is not _STATE)).where(_STATE == "counted"))
_view("undone_votes", select(ANSWERS).where(_STATE != "counted"))
PHOTO_VOTES = _view("photo_votes", _photo_votes())
STUDIES = _view("studies", _studies())
