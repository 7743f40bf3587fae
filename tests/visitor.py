"""A visitor without a browser: speaks HTTP as Gradio's page does, and keeps on its side what a browser would.

One `Visitor` has one session: it opens the page with a heartbeat, uploads, fires events at components named by their
`elem_id`, follows `.then`, `.success` and `.failure` chains, and reads the queue's stream of messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from gradio_client.utils import apply_diff

from tests.app_process import end
from tests.forked import ROOT, Forked

API = "/gradio_api"
PATIENCE = httpx.Timeout(60.0, read=None)


@dataclass
class Outcome:
    """How one event ended: the values it sent, or the sentence the visitor reads."""

    name: str
    data: list[Any] | None = None
    error: str | None = None
    title: str | None = None
    positions: list[tuple[int, int]] = field(default_factory=list)  # (rank, size) while it waited
    seconds: float = 0.0
    messages: int = 0

    @property
    def succeeded(self) -> bool:
        """Whether the event ended without an error."""
        return self.error is None


class Visitor:
    """One tab of the page at `address`."""

    def __init__(self, address: str, *, session: str | None = None, tab_key: str | None = None) -> None:
        self.address = address.rstrip("/")
        self.session = session or secrets.token_hex(6)
        self.tab_key = tab_key or secrets.token_hex(16)
        self.http = httpx.AsyncClient(base_url=self.address, timeout=PATIENCE)
        self.values: dict[int, Any] = {}
        self.props: dict[int, dict[str, Any]] = defaultdict(dict)
        self.statuses: Counter[int] = Counter()
        self.light_s: list[float] = []
        self.event_ids: dict[str, str] = {}
        self._tasks: list[asyncio.Task] = []
        self._inbox: dict[str, asyncio.Queue] = defaultdict(asyncio.Queue)
        self._stream: asyncio.Task | None = None
        self._awaited: set[str] = set()

    async def __aenter__(self) -> Visitor:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- opening and closing -------------------------------------------------------------------------------

    async def open(self) -> list[Outcome]:
        """Load the page, start the heartbeat and run the page's load events."""
        page = await self.get("/")
        assert page.status_code == 200, page.text[:300]
        self.config = (await self.get("/config")).json()
        self.by_elem_id = {}
        for component in self.config["components"]:
            props = component.get("props", {})
            self.values[component["id"]] = props.get("value")
            if props.get("elem_id"):
                self.by_elem_id[props["elem_id"]] = component["id"]
        self._tasks.append(asyncio.create_task(self._beat()))
        await asyncio.sleep(0)
        return await self._run_all(
            [d for d in self.config["dependencies"] if any(e == "load" for _, e in d["targets"])]
        )

    async def _beat(self) -> None:
        with contextlib.suppress(httpx.HTTPError):
            async with self.http.stream("GET", f"{API}/heartbeat/{self.session}") as reply:
                async for _ in reply.aiter_raw():
                    pass

    async def close(self) -> None:
        """Close the tab: heartbeat and streams end."""
        for task in [*self._tasks, *([self._stream] if self._stream else [])]:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, httpx.HTTPError):
                await task
        await self.http.aclose()

    # --- plain requests ------------------------------------------------------------------------------------

    async def get(self, path: str, **options: Any) -> httpx.Response:
        """GET a path or an address of this server."""
        reply = await self.http.get(path, **options)
        self.statuses[reply.status_code] += 1
        return reply

    async def post(self, path: str, **options: Any) -> httpx.Response:
        """POST to a path."""
        reply = await self.http.post(path, **options)
        self.statuses[reply.status_code] += 1
        return reply

    async def upload(self, name: str, content: bytes) -> dict[str, Any]:
        """Upload a file and return what the page then passes to events."""
        reply = await self.post(f"{API}/upload", files={"files": (name, content)})
        reply.raise_for_status()
        return {"path": reply.json()[0], "orig_name": name, "meta": {"_type": "gradio.FileData"}}

    async def file(self, payload: Mapping[str, Any]) -> bytes:
        """Fetch a file that an event returned."""
        reply = await self.get(f"{API}/file={payload['path']}")
        reply.raise_for_status()
        return reply.content

    # --- events --------------------------------------------------------------------------------------------

    def id_of(self, elem_id: str) -> int:
        """Number of a component."""
        return self.by_elem_id[elem_id]

    def value(self, elem_id: str) -> Any:
        """What the component shows."""
        return self.values.get(self.id_of(elem_id))

    def set(self, elem_id: str, value: Any) -> None:
        """Type or choose a value without firing an event."""
        self.values[self.id_of(elem_id)] = value

    def listeners(self, elem_id: str, event: str) -> list[dict[str, Any]]:
        """Event handlers of a component."""
        target = [self.id_of(elem_id), event]
        return [d for d in self.config["dependencies"] if target in [list(t) for t in d["targets"]]]

    async def fire(self, elem_id: str, event: str, data: Any = None) -> list[Outcome]:
        """Fire an event with everything that follows it; outcomes in the order of their ends."""
        found = self.listeners(elem_id, event)
        assert found, f"nothing listens to {event} of {elem_id}"
        return await self._run_all(found, data, self.id_of(elem_id))

    async def choose(self, elem_id: str, value: Any, event: str = "input") -> list[Outcome]:
        """Change a value as a visitor does."""
        self.set(elem_id, value)
        return await self.fire(elem_id, event)

    async def _run_all(
        self, found: Sequence[dict[str, Any]], data: Any = None, trigger: int | None = None
    ) -> list[Outcome]:
        ended: list[Outcome] = []

        async def follow(dependency: dict[str, Any]) -> None:
            outcome = Outcome(_name(dependency), data=[])
            if dependency.get("backend_fn"):
                outcome = await self.run(dependency, data, trigger)
                ended.append(outcome)
            after = [d for d in self.config["dependencies"] if d.get("trigger_after") == dependency["id"]]
            wanted = [
                d
                for d in after
                if (outcome.succeeded and not d.get("trigger_only_on_failure"))
                or (not outcome.succeeded and not d.get("trigger_only_on_success"))
            ]
            await asyncio.gather(*(follow(d) for d in wanted))

        await asyncio.gather(*(follow(d) for d in found))
        return ended

    def body(self, dependency: Mapping[str, Any], data: Any = None, trigger: int | None = None) -> dict[str, Any]:
        """What the page posts for an event."""
        values = [self.values.get(number) for number in dependency["inputs"]]
        if "styleidentity-tab" in str(dependency.get("js") or ""):
            values[-1] = self.tab_key
        return {
            "data": values,
            "fn_index": dependency["id"],
            "session_hash": self.session,
            "event_data": data,
            "trigger_id": trigger,
        }

    async def run(self, dependency: Mapping[str, Any], data: Any = None, trigger: int | None = None) -> Outcome:
        """Run one event handler, queued or not, and take its values over."""
        started = time.monotonic()
        body = self.body(dependency, data, trigger)
        if dependency["queue"] is False:
            outcome = await self._run_directly(dependency, body)
            self.light_s.append(time.monotonic() - started)
        else:
            outcome = await self._run_queued(dependency, body)
        outcome.seconds = time.monotonic() - started
        return outcome

    async def _run_directly(self, dependency: Mapping[str, Any], body: dict[str, Any]) -> Outcome:
        reply = await self.post(f"{API}/run/predict", json=body)
        outcome = Outcome(_name(dependency))
        if reply.status_code != 200:
            outcome.error = _sentence(reply)
            return outcome
        outcome.data = reply.json()["data"]
        self._take(dependency, outcome.data)
        return outcome

    async def _run_queued(self, dependency: Mapping[str, Any], body: dict[str, Any]) -> Outcome:
        outcome = Outcome(_name(dependency))
        reply = await self.post(f"{API}/queue/join", json=body)
        if reply.status_code != 200:
            outcome.error = _sentence(reply)
            return outcome
        event_id = reply.json()["event_id"]
        self.event_ids[outcome.name] = event_id
        self._awaited.add(event_id)
        self._listen()
        try:
            return await self._follow(dependency, event_id, outcome)
        finally:
            self._awaited.discard(event_id)
            self._inbox.pop(event_id, None)

    async def _follow(self, dependency: Mapping[str, Any], event_id: str, outcome: Outcome) -> Outcome:
        """Read an event's messages until it ends."""
        last: list[Any] | None = None
        while True:
            message = await self._inbox[event_id].get()
            outcome.messages += 1
            kind, output = message.get("msg"), message.get("output") or {}
            if kind == "estimation":
                outcome.positions.append((message["rank"], message["queue_size"]))
            elif kind == "process_generating" and message.get("success"):
                new = output["data"]
                last = new if last is None else [apply_diff(old, diff) for old, diff in zip(last, new, strict=True)]
                self._take(dependency, last)
            elif kind == "process_completed":
                if not message.get("success"):
                    outcome.error, outcome.title = output.get("error") or "", output.get("title")
                else:
                    outcome.data = output.get("data") or last or []
                    self._take(dependency, outcome.data)
                return outcome
            elif kind in ("unexpected_error", "lost"):
                outcome.error = message.get("message") or "the connection was lost"
                return outcome

    def _listen(self) -> None:
        if self._stream is None or self._stream.done():
            self._stream = asyncio.create_task(self._read_stream())

    async def _read_stream(self) -> None:
        """Read the session's messages until the server has none left for the events that are awaited."""
        try:
            while self._awaited:
                await self._read_once()
        except httpx.HTTPError:
            pass
        for event_id in self._awaited:
            self._inbox[event_id].put_nowait({"msg": "lost"})

    async def _read_once(self) -> None:
        """Read one stream. The server ends it when nothing is pending, while the next event may just be joining."""
        async with self.http.stream("GET", f"{API}/queue/data", params={"session_hash": self.session}) as reply:
            self.statuses[reply.status_code] += 1
            async for line in reply.aiter_lines():
                if not line.startswith("data:"):
                    continue
                message = json.loads(line[5:])
                if message.get("event_id"):  # maybe one whose join was not answered yet
                    self._inbox[message["event_id"]].put_nowait(message)
                if message.get("msg") == "process_completed":
                    self._awaited.discard(message["event_id"])
                if message.get("msg") == "close_stream":
                    return
                if message.get("msg") == "unexpected_error":
                    raise httpx.RemoteProtocolError(str(message.get("message")))

    def _take(self, dependency: Mapping[str, Any], data: Sequence[Any]) -> None:
        for number, value in zip(dependency["outputs"], data, strict=False):
            if isinstance(value, dict) and value.get("__type__") == "update":
                self.props[number].update(value)
                if "value" in value:
                    self.values[number] = value["value"]
            else:
                self.values[number] = value


def _name(dependency: Mapping[str, Any]) -> str:
    return str(dependency.get("api_name") or dependency["id"])


def _sentence(reply: httpx.Response) -> str:
    try:
        told = reply.json()
    except ValueError:
        return reply.text
    return str(told.get("error") or told.get("detail") or "") if isinstance(told, dict) else str(told)


# --- the server --------------------------------------------------------------------------------------------


@dataclass
class Running:
    """A server in a process of its own."""

    process: subprocess.Popen | Forked
    address: str
    data: Path
    log: Path

    def logged(self) -> list[dict[str, Any]]:
        """Events it logged as JSON; other lines are left out."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def end(self, number: int = signal.SIGTERM, *, timeout_s: float = 30.0) -> int:
        """Send a signal and wait; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def environment(data: Path, **more: str) -> dict[str, str]:
    """Environment of a server whose files all go below `data`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GRADIO_", "STYLEIDENTITY_"))}
    return kept | {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "STYLEIDENTITY_BACKBONE": "mini",
        "STYLEIDENTITY_DATA": str(data),
        "STYLEIDENTITY_LOG": "json",
        **more,
    }


@contextlib.contextmanager
def serve(
    data: Path, *, module: str = "tests.tiny_app", fresh: bool = False, start_limit_s: float = 180.0, **more: str
) -> Iterator[Running]:
    """Run the app (`app`) or its tiny twin (`tests.tiny_app`) until the block ends.

    Args:
        data: its folder.
        module: what `python -m` runs.
        fresh: in a process that imports everything itself, instead of a fork.
        start_limit_s: seconds after which a start has failed.
        more: environment variables.
    """
    data.mkdir(parents=True, exist_ok=True)
    log = data.parent / f"{data.name}-{secrets.token_hex(4)}.log"
    log.touch()
    surroundings = environment(data, **more)
    if fresh:
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", module], cwd=ROOT, env=surroundings, stdout=sink, stderr=sink
            )
    else:
        process = Forked(module, surroundings, log)
    try:
        yield Running(process, _address(process, log, start_limit_s), data, log)
    finally:
        end(process, timeout_s=30)


def _address(process: subprocess.Popen, log: Path, limit_s: float) -> str:
    """Where the server listens, once it is ready for visitors."""
    started = time.monotonic()
    while time.monotonic() - started < limit_s and process.poll() is None:
        text = log.read_text(encoding="utf-8", errors="replace")
        serving = re.search(r'"address": "([^"]+)"', text)
        if serving and '"event": "ready"' in text:
            return serving[1]
        time.sleep(0.1)
    raise AssertionError(f"the server did not start:\n{log.read_text(errors='replace')[-4000:]}")
