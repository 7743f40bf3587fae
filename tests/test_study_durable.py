"""Durable votes against a Hub on loopback: pushes, failures, restarts with an empty disk, merging, closing."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import close_session, constants
from huggingface_hub.errors import HfHubHTTPError

from core.errors import VotesUnavailable
from core.study.protocol.flow import Study
from core.study.protocol.packs import Pack
from core.study.storage import durable, hub_log
from core.study.storage.durable import DATASET_ENV, Durability
from core.study.storage.store import Store
from tests.study_parts import begin, run_through, small_pack, study_on
from tests.votes_hub import TOKEN, VotesHub, running_votes_hub

ROOT = Path(__file__).resolve().parent.parent
DATASET = "somebody/votes"
STARTED: list[Durability] = []


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """3 trials of 2 arms."""
    return small_pack(tmp_path_factory.mktemp("packs"), trials=3, arms=("ours-one", "ours-few"))


@pytest.fixture
def votes_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[VotesHub]:
    """A Hub without datasets, and little patience."""
    with running_votes_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(durable, "_RETRY_S", 0.05)
        monkeypatch.setattr(durable, "_LOOK_EVERY_S", 0.05)
        yield hub
        hub.released.set()
        while STARTED:  # also those that a failed test left open
            STARTED.pop().close()
    close_session()


def opened(store: Store, *, every_min: float = 60.0, token: str | None = TOKEN) -> Durability:
    """A started `Durability` that pushes only when told to: the scheduler's push at its start is over."""
    STARTED.append(Durability(store, dataset=DATASET, token=token, every_min=every_min))
    durability = STARTED[-1].start()
    if durability.is_saved:
        soon(lambda: hasattr(durability._scheduler, "last_future"))
        assert durability._scheduler.last_future.exception(10) is None
    return durability


def soon(holds: Callable[[], object]) -> None:
    """Waits until something holds, ten seconds at most."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.01)


def uuids(study: Study) -> list[str]:
    """The store's events in order."""
    return [event.uuid for event in study.store.events_after(0)]


def test_without_a_dataset_votes_stay_here_and_the_log_is_kept(pack: Pack, tmp_path: Path) -> None:
    study = study_on(tmp_path / "votes.sqlite3", pack)
    with Durability.from_environment(study.store) as durability:
        assert durability.sentence == "Votes are kept on this machine only."
        assert not durability.is_saved
        run_through(study)
        (log,) = study.store.log_dir.glob("*.jsonl") if durability.flush() is not None else ()
    assert [json.loads(line)["uuid"] for line in log.read_text(encoding="utf-8").splitlines()] == uuids(study)


def test_the_log_is_written_without_being_asked_also_for_other_processes(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "_LOOK_EVERY_S", 0.05)
    study = study_on(tmp_path / "votes.sqlite3", pack)

    def logged() -> list[str]:
        paths = study.store.log_dir.glob("*.jsonl")
        return [json.loads(line)["uuid"] for path in paths for line in path.read_text(encoding="utf-8").splitlines()]

    with Durability(study.store, dataset=None, token=None):
        begin(study)
        soon(lambda: logged() == uuids(study) != [])
        Store(study.store.path).set_open("small", False)
        soon(lambda: len(logged()) == 2)


@pytest.mark.parametrize(
    ("dataset", "token", "words"),
    [
        (DATASET, None, "set HF_TOKEN to a token that may write to the dataset somebody/votes"),
        ("votes", TOKEN, "set STYLEIDENTITY_VOTES_DATASET to 'owner/name' of a dataset, not 'votes'"),
        ("https://hub/x/y", TOKEN, "not 'https://hub/x/y'"),
    ],
)
def test_half_a_setting_is_told(
    dataset: str, token: str | None, words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Durability(Store(tmp_path / "votes.sqlite3"), dataset=dataset, token=token) as durability:
        assert durability.sentence.startswith("Votes are kept on this machine only: ")
        assert words in durability.sentence and words in caplog.text


def test_the_environment_names_dataset_and_token(
    votes_hub: VotesHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATASET_ENV, f" {DATASET} ")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with Durability.from_environment(Store(tmp_path / "votes.sqlite3")) as durability:
        assert durability.sentence == "Votes are saved to the dataset somebody/votes every 5 minutes."
        assert durability.is_saved
    assert votes_hub.private == {DATASET}


def test_votes_are_pushed_in_order_to_a_private_dataset_and_only_what_is_new(
    votes_hub: VotesHub, pack: Pack, tmp_path: Path
) -> None:
    study = study_on(tmp_path / "votes.sqlite3", pack)
    with opened(study.store) as durability:
        assert votes_hub.private == {DATASET}
        run_through(study)
        durability.push()
        assert [line["uuid"] for line in votes_hub.lines(DATASET)] == uuids(study)
        commits = len(votes_hub.commits)
        durability.push()
        assert len(votes_hub.commits) == commits, "nothing new, no commit"
        for _ in range(5):
            begin(study)
            durability.push()
        assert len(votes_hub.commits) == commits + 5
        assert [line["uuid"] for line in votes_hub.lines(DATASET)] == uuids(study)
    assert len({path for _, paths in votes_hub.commits for path in paths}) == 1
    seqs = [line["seq"] for line in votes_hub.lines(DATASET)]
    assert seqs == sorted(seqs)


def test_a_change_within_one_tick_of_the_files_clock_is_pushed(
    votes_hub: VotesHub, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = durable.eventlog.append

    def stopped_clock(path: Path, events: object) -> None:
        append(path, events)
        os.utime(path, (1_800_000_000, 1_800_000_000))

    monkeypatch.setattr(durable.eventlog, "append", stopped_clock)
    study = study_on(tmp_path / "votes.sqlite3", pack)
    with opened(study.store) as durability:
        for count in range(1, 4):
            begin(study)
            durability.push()
            assert len(votes_hub.lines(DATASET)) == count


def test_the_scheduler_pushes_by_itself(votes_hub: VotesHub, pack: Pack, tmp_path: Path) -> None:
    study = study_on(tmp_path / "votes.sqlite3", pack)
    with opened(study.store, every_min=0.2 / 60) as durability:
        begin(study)
        soon(lambda: len(votes_hub.lines(DATASET)) == 1)
        votes_hub.fail_commit = 503
        begin(study)
        soon(lambda: "could not be reached, trying again" in durability.sentence)
        assert not durability.is_saved
        votes_hub.fail_commit = None
        soon(lambda: len(votes_hub.lines(DATASET)) == 2)
        soon(lambda: durability.is_saved)
        assert durability.sentence.startswith("Votes are saved to the dataset")


def test_a_failed_push_loses_nothing_and_a_lost_answer_doubles_nothing(
    votes_hub: VotesHub, pack: Pack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = study_on(tmp_path / "votes.sqlite3", pack)
    durability = opened(study.store)
    run_through(study)
    for status, words in ((503, "could not be reached"), (403, "refused the token")):
        votes_hub.fail_commit = status
        with pytest.raises(HfHubHTTPError):
            durability.push()
        assert f"the dataset {DATASET} {words}, trying again" in durability.sentence
    assert votes_hub.lines(DATASET) == []
    votes_hub.fail_commit, votes_hub.lose_answers = None, 1
    with pytest.raises(Exception, match=r"[Dd]isconnected|closed"):
        durability.push()
    run_through(study)
    durability.push()
    assert [line["uuid"] for line in votes_hub.lines(DATASET)] == uuids(study)
    durability.close()
    assert TOKEN not in caplog.text


def test_a_vote_never_waits_for_the_network(votes_hub: VotesHub, pack: Pack, tmp_path: Path) -> None:
    votes_hub.fail_all = 501
    study = study_on(tmp_path / "votes.sqlite3", pack)
    durability = opened(study.store)
    assert "could not be reached, trying again" in durability.sentence
    run_through(study)
    votes_hub.fail_all = None
    soon(lambda: durability.is_saved)
    durability.push()
    assert [line["uuid"] for line in votes_hub.lines(DATASET)] == uuids(study)
    durability.close()


def test_a_wrong_token_is_told(votes_hub: VotesHub, tmp_path: Path) -> None:
    durability = opened(Store(tmp_path / "votes.sqlite3"), token="hf_other")
    assert f"the dataset {DATASET} refused the token, trying again" in durability.sentence
    durability.close()


def test_a_restart_with_an_empty_disk_resumes_every_run(votes_hub: VotesHub, pack: Pack, tmp_path: Path) -> None:
    first = study_on(tmp_path / "one" / "votes.sqlite3", pack)
    with opened(first.store):
        done, midway = run_through(first, group="artist"), begin(first)
        first.choose(midway, first.screen(midway).ticket, "A", 2000)
        first.withdraw(run_through(first))
        first.store.set_open("small", False)

    second = study_on(tmp_path / "two" / "votes.sqlite3", pack)
    with opened(second.store):
        assert uuids(second) == uuids(first)
        assert second.store.votes() == first.store.votes()
        assert second.store.participants(withdrawn=True) == first.store.participants(withdrawn=True)
        assert second.screen(done) == first.screen(done)
        assert second.screen(midway) == first.screen(midway)
        assert second.packs_open() == []
        second.choose(midway, second.screen(midway).ticket, "B", 2000)
        second.undo(midway, second.screen(midway).ticket)
    lines = votes_hub.lines(DATASET)
    assert len(lines) == len({line["uuid"] for line in lines}), "what was read back is not pushed again"

    third = study_on(tmp_path / "three" / "votes.sqlite3", pack)
    with opened(third.store):
        assert uuids(third) == uuids(second)
        assert third.store.votes() == second.store.votes()
        assert third.screen(midway) == second.screen(midway)
    assert len(votes_hub.datasets[DATASET]) == 3, "two logs and .gitattributes: the third process had nothing to say"


def test_a_restart_on_the_same_disk_pushes_what_never_left(votes_hub: VotesHub, pack: Pack, tmp_path: Path) -> None:
    study = study_on(tmp_path / "votes.sqlite3", pack)
    with Durability(study.store, dataset=None, token=None):
        run_through(study)
    run_through(study)
    with opened(study.store) as durability:
        durability.push()
        assert sorted(line["uuid"] for line in votes_hub.lines(DATASET)) == sorted(uuids(study))
    with opened(Store(study.store.path)) as durability:
        durability.push()
        assert len(votes_hub.lines(DATASET)) == len(uuids(study)), "nothing is pushed twice"


def test_two_processes_files_merge_and_doubles_are_ignored(votes_hub: VotesHub, pack: Pack, tmp_path: Path) -> None:
    one, two = (study_on(tmp_path / name / "votes.sqlite3", pack) for name in ("one", "two"))
    with opened(one.store), opened(two.store):
        codes = [run_through(one), run_through(two), run_through(one)]
    files = votes_hub.datasets[DATASET]
    logs = [path for path in files if path.endswith(".jsonl")]
    assert len(logs) == 2
    files["votes/copied-by-hand.jsonl"] = files[logs[0]] + b"{half a line"
    both = study_on(tmp_path / "both" / "votes.sqlite3", pack)
    with opened(both.store):
        assert len(both.store.votes()) == 9
        assert all(both.screen(code).kind == "finished" for code in codes)
        assert set(uuids(both)) == {*uuids(one), *uuids(two)}


def test_votes_taken_before_the_dataset_was_reached_join_those_in_it(
    votes_hub: VotesHub, pack: Pack, tmp_path: Path
) -> None:
    before = study_on(tmp_path / "before" / "votes.sqlite3", pack)
    with opened(before.store):
        code = begin(before)
        before.choose(code, before.screen(code).ticket, "A", 2000)
    votes_hub.fail_all = 501
    after = study_on(tmp_path / "after" / "votes.sqlite3", pack)
    durability = opened(after.store)
    run_through(after)
    votes_hub.fail_all = None
    soon(lambda: durability.is_saved)
    assert len(after.store.votes()) == 4
    assert after.screen(code).number == 2
    durability.close()
    assert len(votes_hub.lines(DATASET)) == len(uuids(after))


def test_a_running_process_learns_what_the_owner_does_elsewhere(
    votes_hub: VotesHub, pack: Pack, tmp_path: Path
) -> None:
    running = study_on(tmp_path / "running" / "votes.sqlite3", pack)
    with opened(running.store, every_min=0.1 / 60) as durability:
        code = run_through(running)
        durability.push()
        owner = study_on(tmp_path / "owner" / "votes.sqlite3", pack)
        with opened(owner.store):
            assert owner.withdraw(code) == 3
            owner.store.set_open("small", False)
        soon(lambda: running.store.votes() == [] and running.packs_open() == [])
        votes_hub.fail_all = 501
        time.sleep(0.2)
        votes_hub.fail_all = None
        with opened(owner.store):
            owner.store.set_open("small", True)
        soon(lambda: running.packs_open() != [])
    lines = votes_hub.lines(DATASET)
    assert len(lines) == len({line["uuid"] for line in lines})


def test_what_another_process_logged_and_never_pushed_is_pushed(
    votes_hub: VotesHub, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "_LOOK_EVERY_S", 600)
    study = study_on(tmp_path / "votes.sqlite3", pack)
    with opened(study.store, every_min=0.05 / 60):
        other = Store(study.store.path)
        other.set_open("small", False)
        assert other.hand_over(lambda events: None) == 1, "it took the event for its own log, and died"
        soon(lambda: [line["uuid"] for line in votes_hub.lines(DATASET)] == uuids(study))


def test_only_what_others_changed_is_downloaded(votes_hub: VotesHub, pack: Pack, tmp_path: Path) -> None:
    with opened(study_on(tmp_path / "earlier" / "votes.sqlite3", pack).store) as earlier:
        earlier._store.set_open("small", False)
    (theirs,) = (path for path in votes_hub.datasets[DATASET] if path.endswith(".jsonl"))
    study = study_on(tmp_path / "votes.sqlite3", pack)
    with opened(study.store, every_min=0.05 / 60):
        study.store.set_open("small", True)
        soon(lambda: len(votes_hub.lines(DATASET)) == 2)
        before = votes_hub.listings
        soon(lambda: votes_hub.listings >= before + 3)
    assert votes_hub.served == [theirs]


def test_what_could_not_be_kept_is_read_again(
    votes_hub: VotesHub, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(study_on(tmp_path / "earlier" / "votes.sqlite3", pack).store) as earlier:
        earlier._store.set_open("small", False)
    store = Store(tmp_path / "votes.sqlite3")
    replay, calls = store.replay, []

    def locked_at_first(*events: object, **options: object) -> int:
        calls.append(events)
        if len(calls) == 1:
            raise VotesUnavailable("another program is writing to them")
        return replay(*events, **options)

    monkeypatch.setattr(store, "replay", locked_at_first)
    opened(store)
    soon(lambda: not store.is_open("small"))


def test_a_dataset_that_opens_while_closing_still_takes_the_votes(
    votes_hub: VotesHub, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "_OPEN_S", 0.1)
    votes_hub.hang = True
    study = study_on(tmp_path / "votes.sqlite3", pack)
    durability = opened(study.store)
    assert not durability.is_read
    run_through(study)
    durability.flush()
    threading.Timer(0.3, votes_hub.released.set).start()
    durability.close()
    assert durability.is_read and len(votes_hub.lines(DATASET)) == len(uuids(study))


def test_closing_pushes_the_rest_and_stops(votes_hub: VotesHub, pack: Pack, tmp_path: Path) -> None:
    study = study_on(tmp_path / "votes.sqlite3", pack)
    durability = opened(study.store)
    run_through(study)
    durability.close()
    durability.close()
    assert len(votes_hub.lines(DATASET)) == len(uuids(study))
    assert not [thread for thread in durability._threads if thread.is_alive()]
    commits = len(votes_hub.commits)
    begin(study)
    assert durability._scheduler.trigger().result() is None, "a stopped scheduler pushes nothing"
    assert len(votes_hub.commits) == commits


def test_closing_does_not_wait_for_a_silent_hub(
    votes_hub: VotesHub, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_on(tmp_path / "votes.sqlite3", pack)
    durability = opened(study.store)
    run_through(study)
    votes_hub.hang = True
    monkeypatch.setattr(durable, "_CLOSE_S", 0.3)
    start = time.monotonic()
    durability.close()
    assert time.monotonic() - start < 3
    (log,) = study.store.log_dir.glob("*.jsonl")
    assert len(log.read_text(encoding="utf-8").splitlines()) == len(uuids(study)), "it is on the disk"
    votes_hub.released.set()
    for thread in durability._threads:
        thread.join(10)


def test_the_network_client_does_not_wait_without_end(votes_hub: VotesHub, tmp_path: Path) -> None:
    with opened(Store(tmp_path / "votes.sqlite3")):
        assert hub_log.get_session().timeout.read == hub_log._ANSWER_TIMEOUT_S


def test_a_process_that_just_ends_has_pushed_everything(votes_hub: VotesHub, pack: Pack, tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from core.study.storage import durable
from core.study.storage.durable import Durability
from core.study.protocol.packs import load_pack
from tests.study_parts import run_through, study_on
study = study_on(Path({str(tmp_path / "votes.sqlite3")!r}), load_pack(Path({str(pack.folder)!r})))
durable._LOOK_EVERY_S = 600
durability = Durability.from_environment(study.store).start()
study.store._listeners.clear()  # so that nothing but the end of the process writes the log
run_through(study)
print(durability.sentence)
"""
    environment = {**os.environ, DATASET_ENV: DATASET, "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Votes are saved to the dataset somebody/votes every 5 minutes.\n"
    assert len(votes_hub.lines(DATASET)) == 6


def test_trouble_is_logged_and_the_threads_live_on(
    votes_hub: VotesHub, pack: Pack, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_on(tmp_path / "votes.sqlite3", pack)
    append, calls = durable.eventlog.append, []

    def full_at_first(*args: object) -> None:
        calls.append(args)
        if len(calls) < 3:
            raise OSError(28, "No space left on device")
        append(*args)

    with opened(study.store) as durability:
        monkeypatch.setattr(durable.eventlog, "append", full_at_first)
        with caplog.at_level(logging.WARNING):
            begin(study)
            soon(lambda: len(calls) >= 3)
        assert "could not be written to the event log (There is no space left" in caplog.text
        durability.push()
        assert len(votes_hub.lines(DATASET)) == 1
