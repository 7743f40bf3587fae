"""A small Hub on loopback: `resolve` addresses with the headers huggingface_hub reads, and switches for failures."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class StandIn:
    """Where a hub answers, and what lets go of the requests that hang."""

    released: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> str:
        """The endpoint for `HF_ENDPOINT`."""
        return f"http://127.0.0.1:{self.port}"


@dataclass
class HubStandIn(StandIn):
    """What the stand-in serves and how it misbehaves; the counters and switches may change between requests.

    Attributes:
        files: content by "owner/name/file".
        announced: sha256 told instead of the content's, by the same key.
        missing: repositories ("owner/name") that answer 404.
        drop_after: bytes after which the next transfers break off, one entry per transfer.
        fail_get: HTTP status of every transfer while set; HEAD still works.
        fail_all: HTTP status of every request while set.
        hang: requests are read and never answered while set.
        ignore_range: transfers always start at the first byte.
        redirect: contents come from another origin, as the Hub's CDN does it.
        requests: (method, path, Range header or None) in order.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    announced: dict[str, str] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    drop_after: list[int] = field(default_factory=list)
    fail_get: int | None = None
    fail_all: int | None = None
    hang: bool = False
    ignore_range: bool = False
    redirect: bool = False
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)

    def transfers(self) -> list[str | None]:
        """Range headers of the requests that asked for content, None where all of it was asked for."""
        return [wanted for method, path, wanted in self.requests if method == "GET" and "/cdn/" not in path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubStandIn

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def _answer(self, *, with_content: bool) -> None:
        hub, path = self.hub, unquote(self.path)
        hub.requests.append((self.command, path, self.headers.get("Range")))
        if hub.hang:
            hub.released.wait(30)
            self.close_connection = True
            return
        key, repo, revision = self._key(path)
        commit = revision if re.fullmatch(r"[0-9a-f]{40}", revision) else COMMIT
        failure = hub.fail_all or (hub.fail_get if with_content else None)
        if failure:
            self._say(failure)
        elif key not in hub.files or repo in hub.missing:
            self._say(404, {"X-Error-Code": "EntryNotFound"})
        elif hub.redirect and "/resolve/" in path:
            self._say(302, {"Location": f"http://localhost:{hub.port}/cdn/{key}", **self._description(key, commit)})
        else:
            self._send(key, commit, with_content=with_content)

    def _key(self, path: str) -> tuple[str, str, str]:
        """Key of the content, repository and revision that a path asks for."""
        if path.startswith("/cdn/"):
            return path.removeprefix("/cdn/"), "", ""
        repo, _, rest = path.strip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        return f"{repo}/{name}", repo, revision

    def _description(self, key: str, commit: str) -> dict[str, str]:
        content = self.hub.files[key]
        sha256 = self.hub.announced.get(key) or hashlib.sha256(content).hexdigest()
        return {"X-Repo-Commit": commit, "X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(content))}

    def _send(self, key: str, commit: str, *, with_content: bool) -> None:
        content, first = self.hub.files[key], 0
        wanted = self.headers.get("Range")
        headers = {**self._description(key, commit), "Accept-Ranges": "bytes"}
        headers |= {"Content-Type": "application/octet-stream", "ETag": headers["X-Linked-Etag"]}
        if wanted and not self.hub.ignore_range:
            first = int(wanted.removeprefix("bytes=").removesuffix("-"))
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        body = content[first:]
        self._say(206 if first else 200, headers, length=len(body))
        if not with_content:
            return
        if self.hub.drop_after:
            body = body[: self.hub.drop_after.pop(0)]
            self.close_connection = True
        self.wfile.write(body)

    def _say(self, status: int, headers: dict[str, str] | None = None, *, length: int = 0) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Tests read `requests` instead."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is part of some tests; what a test needs to know is noted by the hub."""


@contextmanager
def serving(hub: StandIn, handler: type[BaseHTTPRequestHandler]) -> Iterator[StandIn]:
    """Answers for `hub` on a free loopback port until the block ends; requests that hang are let go then."""
    server = _Server(("127.0.0.1", 0), type("Handler", (handler,), {"hub": hub}))
    hub.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def running_hub() -> AbstractContextManager[HubStandIn]:
    """Serves a `HubStandIn` on a free loopback port until the block ends."""
    return serving(HubStandIn(), _Handler)
