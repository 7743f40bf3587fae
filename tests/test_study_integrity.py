"""Files of older versions are taken over whole, and rows that were altered or lost are found and named."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from core.errors import DiskFull
from core.study.protocol.packs import Pack
from core.study.records import Event, ParticipantRow, PhotoVoteRow
from core.study.storage import eventlog, sqlite
from core.study.storage.store import Store
from tests import version_1_votes as version_1
from tests.study_parts import run_through, small_pack, study_on
from tests.version_1_votes import ANNA, BEN, CARA, DIGEST, ONE, ORDER, TWO, utc


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Two trials of four arms."""
    return small_pack(tmp_path_factory.mktemp("packs"), trials=2)


def assert_holds_the_old_votes(store: Store) -> None:
    """What version 1 itself answers for the same file."""
    votes = store.votes()
    assert [
        (vote.participant, vote.trial_key, vote.order, vote.choice, vote.position, vote.place) for vote in votes
    ] == [
        (ANNA, ONE, ORDER, "ours-one", 0, 1),
        (ANNA, TWO, ORDER[::-1], "ours-few", 0, 2),
        (BEN, ONE, ORDER[::-1], None, None, 1),
    ]
    assert [(vote.dwell_ms, vote.utc, vote.finished, vote.flags) for vote in votes] == [
        (4000, utc(2), True, frozenset()),
        (4000, utc(3), True, frozenset()),
        (900, utc(9), False, {"quick"}),
    ]
    assert store.participants(withdrawn=True) == [
        ParticipantRow(ANNA, "artist", "small", DIGEST, "1", utc(1), utc(5), None, True, frozenset()),
        ParticipantRow(BEN, "viewer", "small", DIGEST, "1", utc(6), None, None, None, frozenset({"quick"})),
        ParticipantRow(CARA, "viewer", "small", DIGEST, "1", utc(10), utc(14), utc(15), True, frozenset()),
    ]
    assert store.photo_votes() == [PhotoVoteRow("a-token-of-one", ORDER, "ours-few", "artist", "ink", utc(17))]
    assert not store.is_open("small")
    run = store.run(BEN)
    assert (run.undone, run.next_screen, run.check_after) == (1, "2", 2)


def test_votes_of_version_1_are_taken_over_and_their_file_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "votes.sqlite3"
    version_1.write(path, written=12)
    store = Store(path)
    with caplog.at_level(logging.WARNING):
        assert_holds_the_old_votes(store)
    assert "Took over 17 event(s) of an older version; its file is kept as 'votes.version-1.sqlite3'" in caplog.text
    assert store.verify().is_sound and store.verify().events == len(version_1.EVENTS)
    numbers = [(event.seq, event.uuid) for event in store.events_after(0)]
    assert numbers == [(number, f"{number:032x}") for number in range(1, 18)]
    given: list[Event] = []
    store.hand_over(given.extend)
    assert [event.seq for event in given] == [13, 14, 15, 16, 17], "the others stand in a log"
    with closing(sqlite3.connect(tmp_path / "votes.version-1.sqlite3")) as kept:
        assert kept.execute("PRAGMA user_version").fetchone() == (1,)
        assert kept.execute("SELECT count(*) FROM events").fetchone() == (17,)
        assert kept.execute("SELECT id FROM participants").fetchall() == [(ANNA,)]
    caplog.clear()
    assert_holds_the_old_votes(Store(path))
    assert not caplog.text, "taken over once"


def test_a_failed_take_over_changes_nothing_and_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "votes.sqlite3"
    version_1.write(path)

    def full(connection: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "set_version", full)
        with pytest.raises(DiskFull):
            Store(path).votes()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM votes").fetchone() == (0,)
    assert_holds_the_old_votes(Store(path))


def test_a_damaged_file_of_version_1_gives_what_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "votes.sqlite3"
    version_1.write(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'participants'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    assert_holds_the_old_votes(Store(path))
    assert len(list(tmp_path.glob("votes.damaged-*.sqlite3"))) == 1


def change(path: Path, statement: str) -> None:
    """Change the file behind the store's back."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def flip_a_bit_of_a_choice(path: Path) -> None:
    """Flip one bit in the third row's payload, in the file's own bytes."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (payload,) = connection.execute("SELECT payload FROM events WHERE sequence = 3").fetchone()
    content = bytearray(path.read_bytes())
    place = content.index(payload.encode()) + payload.index('"choice":"') + len('"choice":"')
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "sequence", "kind", "problem"),
    [
        (flip_a_bit_of_a_choice, 3, "voted", "it was altered"),
        (lambda path: change(path, "UPDATE events SET clock = 1 WHERE sequence = 4"), 4, "checked", "it was altered"),
        (lambda path: change(path, "UPDATE events SET kind = 'x' WHERE sequence = 4"), 4, "x", "it was altered"),
        (lambda path: change(path, "UPDATE events SET payload = 'x' WHERE sequence = 3"), 3, "voted", "it was altered"),
        (
            lambda path: change(path, "DELETE FROM events WHERE sequence = 2"),
            3,
            "voted",
            "an event before it is missing",
        ),
    ],
)
def test_one_damaged_row_is_named_and_mended_at_the_next_start(
    pack: Pack,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
    sequence: int,
    kind: str,
    problem: str,
) -> None:
    study = study_on(tmp_path / "votes.sqlite3", pack)
    run_through(study)
    kinds = [event.kind for event in study.store.events_after(0)]
    assert kinds == ["begun", "voted", "voted", "checked", "finished"]
    before = study.store.votes()
    study.store.hand_over(lambda events: eventlog.append(study.store.log_dir / "a.jsonl", events))
    assert study.store.verify().is_sound
    damage(study.store.path)
    found = Store(study.store.path).verify()
    assert not found.is_sound and not found.file
    assert [(row.sequence, row.kind, row.problem) for row in found.rows] == [(sequence, kind, problem)]
    assert Store(study.store.path).verify() == found, "looking mends nothing"
    with caplog.at_level(logging.ERROR):
        again = Store(study.store.path)
        assert again.votes() == before, "from the log"
    assert "is damaged. It was moved to" in caplog.text
    assert again.verify().is_sound


def test_without_a_log_the_sound_rows_stay(pack: Pack, tmp_path: Path) -> None:
    study = study_on(tmp_path / "votes.sqlite3", pack)
    run_through(study)
    flip_a_bit_of_a_choice(study.store.path)
    again = Store(study.store.path)
    kinds = [event.kind for event in again.events_after(0)]
    assert sorted(kinds) == ["begun", "checked", "finished", "voted"] and again.verify().is_sound


def test_chains_of_participants_are_apart(pack: Pack, tmp_path: Path) -> None:
    study = study_on(tmp_path / "votes.sqlite3", pack)
    for _ in range(2):
        run_through(study)
    study.store.set_open("small", False)
    with closing(sqlite3.connect(study.store.path)) as connection:
        rows = connection.execute("SELECT participant, previous, checksum FROM events ORDER BY sequence").fetchall()
    last: dict[str, str] = {}
    for participant, previous, checksum in rows:
        assert previous == last.get(participant, "") and len(checksum) == 64
        last[participant] = checksum
    assert len(last) == 3, "events of no run have a chain of their own"
