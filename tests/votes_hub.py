"""A small Hub on loopback that keeps datasets: creates them, takes commits, lists and serves their files."""

from __future__ import annotations

import base64
import hashlib
import json
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote, urlsplit

from tests.hub_stand_in import StandIn, serving

TOKEN = "hf_writes"


@dataclass
class VotesHub(StandIn):
    """What the stand-in keeps and how it misbehaves; switches may change between requests.

    Attributes:
        datasets: content by path, by dataset ("owner/name").
        private: the datasets that were made as private ones.
        commits: (dataset, paths) in order.
        served: paths of the files that were downloaded, in order.
        listings: how often a dataset's files were listed.
        fail_commit: HTTP status of every commit while set.
        fail_all: HTTP status of every request while set.
        lose_answers: so many of the next commits are taken, but their answers never arrive.
        hang: requests are read and not answered before `released` is set.
    """

    datasets: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    commits: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    served: list[str] = field(default_factory=list)
    listings: int = 0
    fail_commit: int | None = None
    fail_all: int | None = None
    lose_answers: int = 0
    hang: bool = False

    def lines(self, dataset: str) -> list[dict]:
        """Every line of the dataset's event logs, file after file."""
        files = self.datasets.get(dataset, {})
        logs = [files[path] for path in sorted(files) if path.endswith(".jsonl")]
        return [json.loads(line) for content in logs for line in content.splitlines()]

    def commit_id(self, dataset: str) -> str:
        """A commit hash that follows from the dataset's content."""
        content = self.datasets[dataset]
        return hashlib.sha1(repr(sorted(content.items())).encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: VotesHub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        if self.hub.hang:
            self.hub.released.wait(30)
        if self.hub.fail_all:
            self._say({"error": "out of order"}, status=self.hub.fail_all)
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._say({"error": "Invalid credentials"}, status=401)
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path.startswith("/api/datasets/"):
            owner, name, *rest = path.removeprefix("/api/datasets/").split("/")
            self._dataset(f"{owner}/{name}", rest, body)
        elif path.startswith("/datasets/"):
            owner, name, _, _, *rest = path.removeprefix("/datasets/").split("/")
            self._file(f"{owner}/{name}", "/".join(rest))
        else:
            self._say({"error": "no such address"}, status=404)

    def _create(self, wanted: dict) -> None:
        dataset = f"{wanted['organization']}/{wanted['name']}"
        known = dataset in self.hub.datasets
        if not known:
            self.hub.datasets[dataset] = {".gitattributes": b""}
            if wanted.get("private") or wanted.get("visibility") == "private":
                self.hub.private.add(dataset)
        self._say({"url": f"{self.hub.url}/datasets/{dataset}"}, status=409 if known else 200)

    def _dataset(self, dataset: str, rest: list[str], body: bytes) -> None:
        if dataset not in self.hub.datasets:
            self._say({"error": "not found"}, status=404, headers={"X-Error-Code": "RepoNotFound"})
        elif not rest or rest[0] == "revision":
            siblings = [{"rfilename": path} for path in sorted(self.hub.datasets[dataset])]
            self._say({"id": dataset, "sha": self.hub.commit_id(dataset), "siblings": siblings})
        elif rest[0] == "tree":
            self.hub.listings += 1
            self._say([_entry(path, content) for path, content in sorted(self.hub.datasets[dataset].items())])
        elif rest[0] == "preupload":
            files = [file["path"] for file in json.loads(body)["files"]]
            self._say({"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in files]})
        elif rest[0] == "commit":
            self._commit(dataset, [json.loads(line) for line in body.splitlines()])
        else:
            self._say({"error": "no such address"}, status=404)

    def _commit(self, dataset: str, operations: list[dict]) -> None:
        if self.hub.fail_commit:
            self._say({"error": "out of order"}, status=self.hub.fail_commit)
            return
        files = {step["value"]["path"]: step["value"]["content"] for step in operations if step["key"] == "file"}
        for path, content in files.items():
            self.hub.datasets[dataset][path] = base64.b64decode(content)
        self.hub.commits.append((dataset, tuple(files)))
        if self.hub.lose_answers:
            self.hub.lose_answers -= 1
            self.close_connection = True
            return
        commit = self.hub.commit_id(dataset)
        self._say({"commitUrl": f"{self.hub.url}/datasets/{dataset}/commit/{commit}", "commitOid": commit})

    def _file(self, dataset: str, path: str) -> None:
        content = self.hub.datasets.get(dataset, {}).get(path)
        if content is None:
            self._say({"error": "not found"}, status=404, headers={"X-Error-Code": "EntryNotFound"})
            return
        if self.command == "GET":
            self.hub.served.append(path)
        etag = hashlib.sha256(content).hexdigest()
        headers = {"X-Repo-Commit": self.hub.commit_id(dataset), "ETag": f'"{etag}"'}
        self._say(content, headers=headers)

    def _say(self, answer: object, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        kind = "application/octet-stream" if isinstance(answer, bytes) else "application/json"
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Tests look at `commits` and `datasets` instead."""


def _entry(path: str, content: bytes) -> dict[str, object]:
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return {"type": "file", "path": path, "size": len(content), "oid": blob}


def running_votes_hub() -> AbstractContextManager[VotesHub]:
    """Serves a `VotesHub` on a free loopback port until the block ends."""
    return serving(VotesHub(), _Handler)
