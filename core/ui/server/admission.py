"""What every request passes before Gradio sees it, and every answer before it leaves.

Requests: sizes, how many jobs one visitor may have in line, and routes of Gradio that this page doesn't use. Answers:
headers, so that no file is taken for a page. Written against HTTP alone; `core.ui.server.queueing` knows Gradio's queue.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.config import DemoLimits
from core.ui.server import queueing
from core.ui.server.uploads import UPLOADS

if TYPE_CHECKING:
    import gradio as gr

API = "/gradio_api"
MAX_SESSION_HASH = 64
PROGRAMS_SHARE = 4  # of the line, one part in this many for callers that can't be told apart
UNUSED = ("/monitoring", *(f"{API}/{name}" for name in ("process_recording", "deep_link", "vibe-", "dev/", "proxy=")))
WEB_ADDRESSES = (f"{API}/file=http:", f"{API}/file=https:", f"{API}/file/http:", f"{API}/file/https:")

NOT_HERE = "There is nothing here."
BUSY = "Many people are drawing just now, and the line is full. Please try again in a minute."
STOPPING = "The demo is restarting. Please try again in a minute."
ENOUGH = "You already have {count} drawings or trainings in line. Wait until one is done, then press again."
TOO_LARGE = "This is too large ({limit} MB at most). Send less at once, or smaller pictures."
UNREADABLE = "This request can't be read. Reload the page and try again."
NO_SPACE = "There is no space for uploads just now. Please try again in a few minutes."

SECURITY_HEADERS = {b"x-content-type-options": b"nosniff", b"referrer-policy": b"same-origin"}
FILE_HEADERS = {
    b"content-security-policy": b"default-src 'none'; sandbox",
    b"cache-control": b"private, max-age=3600",
}


class _TooLarge(Exception):
    """The body went over its limit while it was read."""


class _Refused(Exception):
    """A request that goes no further."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class Gate:
    """ASGI middleware. Refusals carry their sentence under `detail` and `error`, where Gradio's page looks for it.

    Args:
        page: function that returns the page; asked at each request, since the app is made before it is launched.
        limits: sizes and counts.
        stopping: whether the server is about to end, so that no new work is taken.
    """

    def __init__(
        self, app: ASGIApp, *, page: Callable[[], gr.Blocks], limits: DemoLimits, stopping: Callable[[], bool]
    ) -> None:
        self.app, self.page, self.limits, self.stopping = app, page, limits, stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        guarded = _with_headers(send, is_file=_is_file(scope["path"]))
        started = read = False

        async def answer(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await guarded(message)

        async def ask() -> Message:
            nonlocal read
            message = await receive()
            read = message["type"] == "http.disconnect" or not message.get("more_body", False)
            return message

        try:
            admitted, body = await self._admit(scope, ask)
            await self.app(admitted, body, _sentences_are_no_faults(answer) if _is_run(scope["path"]) else answer)
        except _TooLarge:
            if not started:
                limit = f"{self._limit(scope['path']) / 1e6:.0f}"
                refusal = _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE.format(limit=limit))
                await refusal(scope, ask, guarded)
        except _Refused as refused:
            await _refusal(refused.status, refused.sentence)(scope, ask, guarded)
        except OSError as error:
            if started or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            while not read:  # a browser that is still sending would not read the answer
                await ask()
            await _refusal(HTTPStatus.INSUFFICIENT_STORAGE, NO_SPACE)(scope, ask, guarded)

    async def _admit(self, scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
        """Return what Gradio may see of a request. Raises `_Refused` or `_TooLarge`."""
        path = scope["path"]
        if path.startswith(UNUSED) or path.lower().startswith(WEB_ADDRESSES):
            raise _Refused(HTTPStatus.NOT_FOUND, NOT_HERE)
        if _is_file(path):
            return _without_header(scope, b"range"), receive  # Gradio echoes such a request's headers
        if scope["method"] != "POST":
            return scope, receive
        if _is_upload(path):
            self._check_space()
        if not _is_join(path) and not _is_run(path):
            return scope, _counted(scope, receive, self._limit(path))
        body = await _body(scope, receive, self._limit(path))
        self._check_call(scope, body)
        return scope, _replayed(body, receive)

    def _limit(self, path: str) -> int:
        """Bytes that a request's body may have."""
        if _is_upload(path):
            return self.limits.request_bytes
        if path.startswith(f"{API}/mcp"):
            return self.limits.payload_bytes + self.limits.photo_bytes * 4 // 3  # agents may send a picture as text
        return self.limits.payload_bytes

    def _check_space(self) -> None:
        folder = UPLOADS.path
        if folder is not None and shutil.disk_usage(folder).free < self.limits.free_disk_bytes:
            raise _Refused(HTTPStatus.INSUFFICIENT_STORAGE, NO_SPACE)

    def _check_call(self, scope: Scope, body: bytes) -> None:
        """Refuse calls that can't be read, and new work where the line or the visitor's share of it is full."""
        try:
            values = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise _Refused(HTTPStatus.BAD_REQUEST, UNREADABLE) from error
        if not isinstance(values, dict):
            raise _Refused(HTTPStatus.BAD_REQUEST, UNREADABLE)
        page, session = self.page(), values.get("session_hash")
        known = values.get("fn_index") is None or (
            type(values["fn_index"]) is int and values["fn_index"] in page.fns and "data" in values
        )
        if not known or not (session is None or (isinstance(session, str) and 0 < len(session) <= MAX_SESSION_HASH)):
            raise _Refused(HTTPStatus.BAD_REQUEST, UNREADABLE)
        if not _is_join(scope["path"]):
            return
        if self.stopping():
            raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, STOPPING)
        if queueing.line(page).waiting >= self.limits.waiting:
            raise _Refused(HTTPStatus.TOO_MANY_REQUESTS, BUSY)
        name = _called_name(scope["path"])
        if queueing.is_job(page, queueing.index_of(page, name) if name else values.get("fn_index")):
            self._check_share(page, session, is_agent=_header(scope, b"x-gradio-user") == b"mcp")

    def _check_share(self, page: gr.Blocks, session: str | None, *, is_agent: bool) -> None:
        """Refuse a job of a visitor who has enough of them, and of programs once they would fill the line.

        All agents come in one session, Gradio's own; a program may have none, and is counted with everybody.
        """
        if session and not is_agent:
            count = queueing.jobs_of(page, session)
            if count >= self.limits.jobs:
                raise _Refused(HTTPStatus.TOO_MANY_REQUESTS, ENOUGH.format(count=count))
            return
        count = queueing.jobs_of(page, session) if session else queueing.line(page).waiting_jobs
        if count >= max(self.limits.jobs, self.limits.waiting // PROGRAMS_SHARE):
            raise _Refused(HTTPStatus.TOO_MANY_REQUESTS, BUSY)


def _is_file(path: str) -> bool:
    return path.startswith((f"{API}/file=", f"{API}/file/"))


def _is_upload(path: str) -> bool:
    return path.rstrip("/") == f"{API}/upload"


def _is_join(path: str) -> bool:
    return path.rstrip("/") == f"{API}/queue/join" or path.startswith(f"{API}/call/")


def _called_name(path: str) -> str:
    """The endpoint that a path names, which for Gradio goes before any number in the body."""
    return path.rstrip("/").rpartition("/")[2] if path.startswith(f"{API}/call/") else ""


def _is_run(path: str) -> bool:
    return path.startswith((f"{API}/run/", f"{API}/api/"))


def _refusal(status: HTTPStatus, sentence: str) -> JSONResponse:
    return JSONResponse({"detail": sentence, "error": sentence}, status_code=status)


def _header(scope: Scope, name: bytes) -> bytes | None:
    return next((value for key, value in scope["headers"] if key.lower() == name), None)


def _without_header(scope: Scope, name: bytes) -> Scope:
    return {**scope, "headers": [(key, value) for key, value in scope["headers"] if key.lower() != name]}


def _declared(scope: Scope) -> int:
    text = _header(scope, b"content-length") or b"0"
    return int(text) if text.isdigit() else 0


def _counted(scope: Scope, receive: Receive, limit: int) -> Receive:
    """`receive`, ending with `_TooLarge` once the body is larger than `limit` bytes."""
    if _declared(scope) > limit:
        raise _TooLarge
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise _TooLarge
        return message

    return counted


async def _body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body of a request."""
    counted, parts = _counted(scope, receive, limit), []
    while True:
        message = await counted()
        parts.append(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """`receive` for a body that was read already."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _with_headers(send: Send, *, is_file: bool) -> Send:
    """`send` with the headers of the house; those of files replace what Gradio says."""
    added = SECURITY_HEADERS | (FILE_HEADERS if is_file else {})

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [(key, value) for key, value in message.get("headers", ()) if key.lower() not in added]
            message = {**message, "headers": [*kept, *added.items()]}
        await send(message)

    return answer


def _sentences_are_no_faults(send: Send) -> Send:
    """`send` for direct calls: Gradio answers 500 also to a sentence for the visitor, which is no server fault."""
    held: dict[str, Any] = {}

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == HTTPStatus.INTERNAL_SERVER_ERROR:
            held["start"] = message
            return
        if held and message["type"] == "http.response.body":
            start = held.pop("start")
            if _tells_why(message.get("body", b"")):
                start = {**start, "status": int(HTTPStatus.UNPROCESSABLE_ENTITY)}
            await send(start)
        await send(message)

    return answer


def _tells_why(body: bytes) -> bool:
    try:
        return bool(json.loads(body).get("error"))
    except (ValueError, AttributeError):
        return False
