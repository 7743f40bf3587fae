"""core.study.storage.store: many threads, a killed process, full and damaged files, replay and merging of stores."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from core.config import data_dir
from core.errors import DiskFull, VoteRejected, VotesUnavailable
from core.study.protocol import codes
from core.study.protocol.flow import Study
from core.study.protocol.packs import Pack
from core.study.records import LABELS, Event
from core.study.storage import eventlog, sqlite, store
from core.study.storage.store import Store, default_store
from tests.study_parts import answer, begin, run_through, study_on

ROOT = Path(__file__).resolve().parent.parent
VIEWS = ("participants", "votes", "undone_votes", "checks", "studies", "photo_votes")


def views(path: Path) -> dict[str, list[tuple]]:
    """Every row of every view."""
    with closing(sqlite3.connect(path)) as connection:
        return {view: sorted(connection.execute(f"SELECT * FROM {view}"), key=repr) for view in VIEWS}


def everything_that_can_happen(study: Study) -> None:
    """At least one event of every kind."""
    run_through(study, group="artist")
    code = begin(study)
    answer(study, code, lambda screen: LABELS[screen.number % 4])
    study.undo(code, study.screen(code).ticket)
    study.choose(code, study.screen(code).ticket, None, 2000)
    study.withdraw(run_through(study))
    study.store.set_open("small", False)
    study.photo_vote("a-quick-one", order=("ours-one", "ours-few"), choice="B", style="own", group="artist")


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Runs `work(0)`, `work(1)`, ... at once; raises what any of them raised."""
    failures: list[BaseException] = []
    gate = threading.Barrier(count)

    def one(number: int) -> None:
        try:
            gate.wait()
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_the_default_file_lies_in_the_data_folder_and_is_made_when_needed(own_data_dir: Path) -> None:
    default = default_store()
    assert default.path == data_dir() / "votes.sqlite3"
    assert not own_data_dir.exists()
    assert default.votes() == default.participants() == default.photo_votes() == default.events_after(0) == []
    with closing(sqlite3.connect(default.path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with closing(sqlite.connect(default.path)) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_the_file_itself_refuses_a_second_vote_on_a_trial(study: Study) -> None:
    code = begin(study)
    study.choose(code, study.screen(code).ticket, "A", 2000)
    with (
        closing(sqlite3.connect(study.store.path)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="UNIQUE"),
    ):
        connection.execute(
            "INSERT INTO events SELECT sequence + 1, 'other', kind, participant, subject, occurrence, payload, utc, "
            "clock + 1, logged, previous, checksum FROM events WHERE kind = 'voted'"
        )


def test_sixty_four_threads_vote_at_once(study: Study) -> None:
    codes_begun = [None] * 64

    def vote(number: int) -> None:
        code = codes_begun[number] = begin(study, group=("artist", "viewer")[number % 2])
        screen = study.screen(code)
        for _ in range(2):
            screen = study.choose(code, screen.ticket, LABELS[number % 4], 2000)

    in_threads(64, vote)
    votes = study.store.votes()
    assert Counter(vote.participant for vote in votes) == {codes.participant_id(code): 2 for code in codes_begun}
    seqs = [event.seq for event in study.store.events_after(0)]
    assert seqs == list(range(1, 64 * 3 + 1)), "no gap, no double"
    rows = Counter(study.store.run(codes.participant_id(code)).assignments[0].order for code in codes_begun)
    assert set(rows.values()) == {16}


def test_one_answer_sent_by_many_counts_once(study: Study) -> None:
    code = begin(study)
    ticket = study.screen(code).ticket
    outcomes: list[str] = []

    def send(number: int) -> None:
        try:
            study.choose(code, ticket, LABELS[number % 2], 2000)
            outcomes.append(LABELS[number % 2])
        except VoteRejected:
            outcomes.append("rejected")

    in_threads(16, send)
    (vote,) = study.store.votes()
    assert Counter(outcomes) == {LABELS[vote.position]: 8, "rejected": 8}


def test_processes_share_the_file_and_a_killed_one_loses_no_acknowledged_vote(pack: Pack, tmp_path: Path) -> None:
    path = tmp_path / "votes.sqlite3"
    command = [sys.executable, "-W", "error", "-m", "tests.voter_process", str(path), str(pack.folder)]
    voters = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        acknowledged = [[voter.stdout.readline() for _ in range(15)] for voter in voters]
        time.sleep(random.random() / 20)  # somewhere in the middle of a step
    finally:
        for voter in voters:
            os.kill(voter.pid, signal.SIGKILL)
    for voter, lines in zip(voters, acknowledged, strict=True):
        rest, _ = voter.communicate()
        lines += [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
        assert all(lines), "a voter died of itself"

    after = Store(path)
    stored: Counter[tuple[str, int, str]] = Counter()
    for vote in after.votes():
        places = {screen.trial_key: screen.position for screen in after.run(vote.participant).assignments}
        stored[vote.participant, places[vote.trial_key], LABELS[vote.position]] += 1
    promised = [line.split() for line in [*acknowledged[0], *acknowledged[1]]]
    assert len(promised) >= 30
    for participant, place, letter in promised:
        assert stored[participant, int(place), letter] == 1
    assert set(stored.values()) == {1}
    assert len(stored) <= len(promised) + 2, "at most one per process was stored and not yet told"
    assert after.verify().is_sound


def test_events_are_ordered_by_number_whatever_the_clock_says(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    class Jumping(store.datetime):
        year_now = 2090

        @classmethod
        def now(cls, zone: object) -> store.datetime:
            cls.year_now -= 1
            return cls(cls.year_now, 1, 1, tzinfo=zone)

    monkeypatch.setattr(store, "datetime", Jumping)
    run_through(study)
    votes = study.store.votes()
    years = [int(vote.utc[:4]) for vote in votes]
    assert years == sorted(years, reverse=True) and votes[0].utc.endswith("+00:00")
    order = [screen.trial_key for screen in study.store.run(votes[0].participant).assignments]
    assert [vote.trial_key for vote in votes] == order
    assert [vote.place for vote in votes] == list(range(1, 12))
    copy = Store(study.store.path.with_name("copy.sqlite3"))
    copy.replay(random.Random(1).sample(study.store.events_after(0), 14))
    assert [vote.trial_key for vote in copy.votes()] == order


def test_a_failed_transaction_leaves_no_trace(study: Study) -> None:
    begin(study)
    before = views(study.store.path)

    def half() -> None:
        with study.store.atomic() as transaction:
            transaction.record("study", {"pack": "small", "open": False})
            transaction.record("finished", {})

    with pytest.raises(ValueError, match="needs another 'participant'"):
        half()
    assert views(study.store.path) == before
    assert len(study.store.events_after(0)) == 1


def test_listeners_hear_of_commits_and_of_nothing_else(study: Study) -> None:
    heard: list[int] = []
    study.store.on_commit(lambda: heard.append(len(study.store.events_after(0))))
    code = begin(study)
    ticket = study.screen(code).ticket
    study.choose(code, ticket, "A", 2000)
    study.choose(code, ticket, "A", 2000)
    with pytest.raises(VoteRejected):
        study.choose(code, ticket, "B", 2000)
    study.store.votes()
    assert heard == [1, 2], "after the commit, once per change"


def test_a_full_disk_is_told_and_costs_nothing(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    code = begin(study)
    connect = sqlite.connect

    def small(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    monkeypatch.setattr(sqlite, "connect", small)
    with pytest.raises(DiskFull, match="no space left"):
        answer(study, code)
    told = study.screen(code)
    monkeypatch.setattr(sqlite, "connect", connect)
    assert study.screen(code) == told
    answer(study, code)
    assert study.finish(code).kind == "finished"
    assert len(study.store.votes()) == 11


def test_a_locked_file_is_told_and_costs_nothing(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    code = begin(study)
    monkeypatch.setattr(sqlite, "BUSY_S", 0.05)
    with closing(sqlite3.connect(study.store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        screen = study.screen(code)
        with pytest.raises(VotesUnavailable, match="another program is writing"):
            study.choose(code, screen.ticket, "A", 2000)
        other.execute("ROLLBACK")
    assert study.choose(code, screen.ticket, "A", 2000).number == 2


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(VotesUnavailable, match=r"File exists|Not a directory"):
        Store(tmp_path / "file" / "votes.sqlite3").votes()


def test_a_newer_apps_file_is_left_alone(study: Study) -> None:
    begin(study)
    with closing(sqlite3.connect(study.store.path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    for again in (study.store, Store(study.store.path)):
        with pytest.raises(VotesUnavailable, match="newer version of the app"):
            again.votes()


def test_replaying_all_events_builds_the_same_store_twice_over(study: Study, tmp_path: Path) -> None:
    everything_that_can_happen(study)
    events = study.store.events_after(0)
    kinds = {"begun", "voted", "undone", "checked", "finished", "withdrawn", "study", "quick"}
    assert {event.kind for event in events} == kinds
    copy = Store(tmp_path / "copy" / "votes.sqlite3")
    assert copy.replay(random.Random(3).sample(events, len(events))) == len(events)
    assert copy.replay(events) == 0
    assert views(copy.path) == views(study.store.path)
    assert copy.votes() == study.store.votes()
    assert copy.participants(withdrawn=True) == study.store.participants(withdrawn=True)
    assert [event.uuid for event in copy.events_after(0)] == [event.uuid for event in events]
    assert copy.events_after(events[-3].seq) == events[-2:]


def test_events_arriving_piecemeal_and_backwards_end_in_the_same_views(study: Study, tmp_path: Path) -> None:
    everything_that_can_happen(study)
    copy = Store(tmp_path / "copy" / "votes.sqlite3")
    events = study.store.events_after(0)
    for start in range(len(events), -10, -10):
        copy.replay(events[max(start, 0) : start + 10])
    assert views(copy.path) == views(study.store.path)


def test_two_stores_that_took_different_answers_merge_to_the_same(study: Study, pack: Pack, tmp_path: Path) -> None:
    code = begin(study)
    twin = study_on(tmp_path / "twin" / "votes.sqlite3", pack)
    twin.store.replay(study.store.events_after(0))
    study.choose(code, study.screen(code).ticket, "A", 2000)
    twin.choose(code, twin.screen(code).ticket, "B", 2000)
    run_through(twin)
    mine, theirs = study.store.events_after(0), twin.store.events_after(0)
    study.store.replay(theirs)
    twin.store.replay(mine)
    assert views(study.store.path) == views(twin.store.path)
    owner = codes.participant_id(code)
    assert [vote.participant for vote in study.store.votes()].count(owner) == 1
    with closing(sqlite3.connect(study.store.path)) as connection:
        assert connection.execute("SELECT participant, state FROM undone_votes").fetchall() == [(owner, "duplicate")]


def test_what_follows_a_replay_is_later_than_all_of_it(study: Study, tmp_path: Path) -> None:
    code = begin(study)
    study.choose(code, study.screen(code).ticket, "A", 2000)
    begun, voted = study.store.events_after(0)
    far = Store(tmp_path / "far" / "votes.sqlite3")
    far.replay([dataclasses.replace(begun, seq=900), dataclasses.replace(voted, seq=901)])
    elsewhere = Study(far, study.packs, app_version="test")
    elsewhere.undo(code, elsewhere.screen(code).ticket)
    (undone,) = (event for event in far.events_after(0) if event.kind == "undone")
    assert undone.seq > 901
    third = Store(tmp_path / "third" / "votes.sqlite3")
    third.replay([undone])
    third.replay([dataclasses.replace(voted, seq=901), dataclasses.replace(begun, seq=900)])
    assert third.votes() == []


def test_events_that_make_no_sense_change_nothing(study: Study, caplog: pytest.LogCaptureFixture) -> None:
    run_through(study)
    before = views(study.store.path)
    vote = next(event for event in study.store.events_after(0) if event.kind == "voted")
    wrong = [
        ("voted", {}),
        ("voted", {**vote.payload, "trial_key": "other", "choice": "ours-one", "position": 7}),
        ("voted", {**vote.payload, "trial_key": "other", "dwell_ms": "soon"}),
        ("voted", {**vote.payload, "trial_key": "other", "order": "abcd"}),
        ("voted", {**vote.payload, "trial_key": "other", "dwell_ms": 10**30}),
        ("begun", {**study.store.events_after(0)[0].payload, "participant": "x", "group": "judge"}),
        ("quick", {"token": {}, "order": ["ours-one"], "choice": None, "position": None}),
        ("from the future", {"x": 1}),
        ("undone", {"participant": "x", "vote": "y"}),
    ]
    events = [Event(100 + number, f"u{number}", kind, load, "now") for number, (kind, load) in enumerate(wrong)]
    with caplog.at_level(logging.WARNING):
        assert study.store.replay(events) == len(wrong)
    assert views(study.store.path) == before
    assert "Passed over 7 of" in caplog.text


def test_hand_over_gives_every_event_once_and_again_after_a_failure(study: Study) -> None:
    given: list[int] = []

    def fail(events: object) -> None:
        raise OSError(28, "No space left on device")

    def keep(events: list[Event]) -> None:
        given.extend(event.seq for event in events)

    code = begin(study)
    with pytest.raises(DiskFull):
        study.store.hand_over(fail)
    assert study.store.hand_over(keep) == 1
    assert study.store.hand_over(keep) == 0
    study.choose(code, study.screen(code).ticket, "A", 2000)
    study.store.replay([Event(50, "from-a-log", "study", {"pack": "small", "open": False}, "now")], logged=True)
    study.store.replay([Event(51, "from-elsewhere", "study", {"pack": "small", "open": True}, "now")])
    assert study.store.hand_over(keep) == 2
    assert given == [1, 2, 51]


def test_a_rebuilt_store_logs_events_under_the_numbers_they_were_born_with(study: Study, tmp_path: Path) -> None:
    """Else a withdrawal whose number is new and small would be folded before the beginning of its run."""
    far = Event(100, "far", "study", {"pack": "other", "open": True}, "now")
    study.store.replay([far], logged=True)
    study.withdraw(run_through(study))
    pushed, withdrawn = study.store.events_after(0)[:-1], study.store.events_after(0)[-1]
    study.store.hand_over(lambda events: eventlog.append(study.store.log_dir / "own.jsonl", events))
    before = views(study.store.path)
    study.store.path.unlink()
    rebuilt = Store(study.store.path)
    relogged = {event.uuid: event for event in rebuilt.events_after(0)}
    assert relogged[withdrawn.uuid] == withdrawn
    taken: list[Event] = []
    salvaged = Store(tmp_path / "salvaged" / "votes.sqlite3")
    salvaged.replay([withdrawn])
    salvaged.hand_over(taken.extend)
    assert taken == [withdrawn]
    third = Store(tmp_path / "third" / "votes.sqlite3")
    third.replay([*pushed, relogged[withdrawn.uuid]], logged=True)
    assert third.votes() == [] and views(third.path) == before


@pytest.mark.parametrize("damage", ["head", "middle", "cut"])
def test_a_damaged_file_is_moved_aside_and_built_anew_from_the_log(
    study: Study, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    everything_that_can_happen(study)
    path = study.store.path
    study.store.hand_over(lambda events: eventlog.append(study.store.log_dir / "a.jsonl", events))
    before, votes = views(path), study.store.votes()
    content = bytearray(path.read_bytes())
    if damage == "head":
        content[:100] = b"x" * 100
    elif damage == "middle":
        content[8192:] = bytes(len(content) - 8192)
    else:
        del content[len(content) // 2 :]
    path.write_bytes(content)

    with caplog.at_level(logging.WARNING):
        again = Store(path)
        assert again.votes() == votes
    assert views(path) == before
    (aside,) = path.parent.glob("votes.damaged-*.sqlite3")
    assert aside.read_bytes() == content, "nothing of it is lost"
    assert f"is damaged. It was moved to '{aside.name}'" in caplog.text and "Built the votes anew" in caplog.text
    again.set_open("small", True)
    assert again.is_open("small")


def test_without_a_log_what_can_be_read_is_kept(study: Study, caplog: pytest.LogCaptureFixture) -> None:
    everything_that_can_happen(study)
    before = views(study.store.path)
    with closing(sqlite3.connect(study.store.path, isolation_level=None)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events_by_clock'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with study.store.path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    assert study.store.verify().file
    again = Store(study.store.path)
    again.votes()
    assert views(study.store.path) == before
    given: list[Event] = []
    again.hand_over(given.extend)
    assert len(given) == len(again.events_after(0)), "no log holds them yet"


def test_damage_in_mid_flight_is_mended_for_the_next_press(study: Study, caplog: pytest.LogCaptureFixture) -> None:
    code = begin(study)
    screen = study.choose(code, study.screen(code).ticket, "A", 2000)
    study.store.hand_over(lambda events: eventlog.append(study.store.log_dir / "a.jsonl", events))
    study.store.path.write_bytes(b"not a database" * 1000)
    with pytest.raises(VotesUnavailable, match="has just been built anew"):
        study.choose(code, screen.ticket, "B", 2000)
    assert study.choose(code, screen.ticket, "B", 2000).number == 3
    assert len(study.store.votes()) == 2


def test_a_removed_file_comes_back_from_the_log(study: Study) -> None:
    run_through(study)
    votes = study.store.votes()
    study.store.hand_over(lambda events: eventlog.append(study.store.log_dir / "a.jsonl", events))
    for path in study.store.path.parent.glob("votes.sqlite3*"):
        path.unlink()
    assert study.store.votes() == votes


def test_a_log_with_a_cut_line_gives_the_rest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    events = [Event(seq, f"u{seq}", "study", {"pack": "größe", "open": True}, "now") for seq in (3, 1, 2)]
    path = tmp_path / "log" / "a.jsonl"
    eventlog.append(path, events)
    eventlog.append(tmp_path / "log" / "b.jsonl", [dataclasses.replace(events[0], seq=3)])
    with path.open("ab") as file:
        file.write(b'{"seq": 4, "uuid": "u4", "kind"\nnull\n[1]\n{"seq":"x"}\n')
        for seq, text, payload in ((1e999, "u", "{}"), (2**60, "u", "{}"), (5, "\\ud800", "{}"), (5, "u", '{"x":NaN}')):
            line = f'{{"seq":{seq},"uuid":"{text}","kind":"study","payload":{payload},"utc":"now"}}\n'
            file.write(line.encode())
    with caplog.at_level(logging.WARNING):
        assert eventlog.read(sorted((tmp_path / "log").iterdir())) == [events[1], events[2], events[0]]
    assert "8 damaged line(s) in the event log 'a.jsonl'" in caplog.text


def test_a_failed_append_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    event = Event(1, "u1", "study", {"pack": "p", "open": True}, "now")
    eventlog.append(path, [event])
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(eventlog.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            eventlog.append(path, [dataclasses.replace(event, seq=2, uuid="u2")])
    assert path.read_bytes() == before
    assert json.loads(before) == {"seq": 1, "uuid": "u1", "kind": "study", "payload": event.payload, "utc": "now"}
