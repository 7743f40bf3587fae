"""64 voters at once over HTTP as browsers send it, the server killed in the middle: nothing acknowledged is lost."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path

import numpy as np
import pytest

from core.study.protocol import codes
from core.study.records import LABELS
from core.study.storage.store import Store
from tests import drawn_pack
from tests.app_process import AppProcess
from tests.study_parts import ARMS

pytestmark = pytest.mark.slow

VOTERS = 64
TRIALS = 6
PATIENCE_S = 120.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AppProcess]:
    """The app with a drawn study, not started yet."""
    app = AppProcess(tmp_path)
    drawn_pack.write(app.data / "packs" / "drawn", trials=TRIALS, side_px=24)
    yield app
    app.stop()


class Voter:
    """One browser: what it sends, what was acknowledged, and what it does when nobody answers."""

    given_up = threading.Event()

    def __init__(self, number: int, url: str, events: dict[str, tuple[int, int]], acknowledged: threading.Semaphore):
        self.number, self.url, self.events, self.acknowledged = number, url, events, acknowledged
        self.taste = np.random.default_rng(number)
        self.codes: list[str] = []
        self.answers: list[str | None] = []  # acknowledged ones, in order; None for "can't decide"
        self.check: str | None = None
        self.resent = 0

    def run(self) -> Voter:
        """Go from consent to the end."""
        assert self.send("open_tab", [self.memory, ""]) == ""
        stage = self.send("begin", [{"codes": []}, "drawn", True, "viewer" if self.number % 2 else "artist"])
        while kind(stage) in ("trial", "check"):
            stage = self.answer(stage)
        assert kind(stage) == "review", stage[:400]
        assert kind(self.send("finish", [self.memory])) == "finished"
        return self

    @property
    def memory(self) -> dict[str, list[str]]:
        """What the browser remembers."""
        return {"codes": self.codes}

    def answer(self, stage: str) -> str:
        """Answer the screen; the acknowledgement is a reply that shows the next one."""
        check = re.search(r"please select ([A-D])<", stage)
        choice = check[1] if check else [*LABELS, None][self.taste.integers(5)]
        data = {"ticket": ticket(stage), "choice": choice, "dwell_ms": 2000 + self.number}
        clicks = 2 if self.taste.random() < 0.1 else 1
        with ThreadPoolExecutor(clicks) as fingers:
            sent = [fingers.submit(self.send, "choose", [self.memory], data) for _ in range(clicks)]
        after = sent[0].result()
        assert {ticket(click.result()) for click in sent} == {ticket(after)}
        assert ticket(after) != data["ticket"]
        if check:
            self.check = choice
        else:
            self.answers.append(choice)
            self.acknowledged.release()
        return after

    def send(self, name: str, inputs: list[object], event_data: object = None) -> str:
        """Send an event until it is answered, as a page does that is loaded again; return the stage."""
        number, trigger = self.events[name]
        body = {
            "data": inputs, "event_data": event_data, "fn_index": number, "trigger_id": trigger,
            "session_hash": f"voter{self.number}",
        }  # fmt: skip
        request = urllib.request.Request(
            f"{self.url}gradio_api/run/predict", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                with urllib.request.urlopen(request, timeout=60) as reply:
                    values = json.load(reply)["data"]
                break
            except urllib.error.HTTPError as refused:
                pytest.fail(f"{name} was refused: {refused.read().decode()[:400]}")
            except (urllib.error.URLError, HTTPException, OSError):
                assert time.monotonic() < until, f"{name} was not answered for {PATIENCE_S} s"
                assert not self.given_up.is_set()
                self.resent += 1
                time.sleep(0.2)
        if isinstance(values[0], dict) and "codes" in values[0]:
            self.codes = values[0]["codes"]
        return values[4]


def kind(stage: str) -> str:
    """What a stage shows."""
    return re.search(r'data-kind="(\w+)"', stage)[1]


def ticket(stage: str) -> str:
    """The ticket of the screen that a stage shows."""
    return re.search(r'data-ticket="(\w*)"', stage)[1]


def events_of(url: str) -> dict[str, tuple[int, int]]:
    """Number and trigger of the events that vote, as the page's configuration tells every browser."""
    with urllib.request.urlopen(f"{url}config", timeout=30) as reply:
        listed = json.load(reply)["dependencies"]
    found = {item["api_name"]: (item["id"], item["targets"][0][0]) for item in listed if item["targets"]}
    private = {item["api_name"] for item in listed if item["api_visibility"] == "private" and not item["queue"]}
    names = {"open_tab", "begin", "choose", "finish"}
    assert names <= private
    return {name: found[name] for name in names}


def test_no_acknowledged_vote_is_lost_and_none_doubled_when_the_server_is_killed(server: AppProcess) -> None:
    server.start()
    acknowledged = threading.Semaphore(0)
    events = events_of(server.url)
    voters = [Voter(number, server.url, events, acknowledged) for number in range(VOTERS)]
    with ThreadPoolExecutor(VOTERS) as pool:
        runs = [pool.submit(voter.run) for voter in voters]
        for _ in range(VOTERS * TRIALS // 3):
            while not acknowledged.acquire(timeout=1):
                for run in runs:
                    assert not run.done() or run.exception() is None, run.exception()
        server.kill()
        try:
            server.start()  # while everybody is already asking
        except AssertionError:
            Voter.given_up.set()
            raise
        for run in runs:
            run.result()
    assert sum(voter.resent for voter in voters) >= VOTERS // 4, "the kill must hit voters in the middle"

    store = Store(server.data / "votes.sqlite3")
    counted: dict[str, list] = {}
    for vote in store.votes("drawn"):
        counted.setdefault(vote.participant, []).append(vote)
    by_code = {codes.participant_id(codes.normalised(voter.codes[-1])): voter for voter in voters}
    assert len(by_code) == VOTERS
    for participant, voter in by_code.items():
        votes = counted.pop(participant)
        assert [None if vote.position is None else LABELS[vote.position] for vote in votes] == voter.answers
        assert len({vote.trial_key for vote in votes}) == len(votes) == TRIALS
        assert all(vote.finished and vote.dwell_ms == 2000 + voter.number for vote in votes)
        assert all(vote.choice == (None if vote.position is None else vote.order[vote.position]) for vote in votes)
        assert all(sorted(vote.order) == sorted(ARMS) for vote in votes)
    assert not counted, "a run whose beginning was not acknowledged has no votes"
    kinds = [event.kind for event in store.events_after(0)]
    assert kinds.count("voted") == VOTERS * TRIALS
    assert kinds.count("checked") == kinds.count("finished") == VOTERS
    assert all(row.check_passed for row in store.participants() if row.finished_utc)
    positions = [vote.order[0] for vote in store.votes("drawn")]
    shares = np.array([positions.count(arm) for arm in ARMS]) / len(positions)
    assert np.abs(shares - 0.25).max() < 0.03, "places stay balanced over the kill"
