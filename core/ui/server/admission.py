"""What every request passes before Gradio sees it, and every answer before it leaves.

Requests: sizes, how many jobs one visitor may have in line, and routes of Gradio that this page doesn't use. Answers:
headers, so that no file is taken for a page, and sentences of ours. Written against HTTP alone;
`core.ui.server.queueing` counts the queue.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.files import is_disk_full
from core.ui.server import gradio_adapter, queueing
from core.ui.server.gradio_adapter import API
from core.ui.server.limits import DemoLimits
from core.ui.server.uploads import UPLOADS

if TYPE_CHECKING:
    import gradio as gr

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
STARLETTE_SAYS_TOO_LARGE = b"Content Too Large"

SECURITY_HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "same-origin"}
FILE_HEADERS = {
    "content-security-policy": "default-src 'none'; sandbox",
    "cache-control": "private, max-age=3600",
}


class _Refused(Exception):
    """A request that goes no further."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class AdmissionControl:
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
        path = scope["path"]
        limit = self._limit(path)
        answer = _with_headers(_reworded(send, limit, is_run=_is_run(path)), is_file=_is_file(path))
        await RequestBodyLimitMiddleware(self._answer, max_body_size=limit)(scope, receive, answer)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let Gradio answer an admitted request, and refuse any other."""
        started = read = False

        async def answer(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        async def ask() -> Message:
            nonlocal read
            message = await receive()
            read = message["type"] == "http.disconnect" or not message.get("more_body", False)
            return message

        try:
            admitted, body = await self._admit(scope, ask)
            await self.app(admitted, body, answer)
        except _Refused as refused:
            await _refusal(refused.status, refused.sentence)(scope, ask, answer)
        except OSError as error:
            if started or not is_disk_full(error):
                raise
            while not read:  # a browser that is still sending would not read the answer
                await ask()
            await _refusal(HTTPStatus.INSUFFICIENT_STORAGE, NO_SPACE)(scope, ask, answer)

    async def _admit(self, scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
        """Return what Gradio may see of a request. Raises `_Refused`, and HTTPException for a body over its limit."""
        path = scope["path"]
        if path.startswith(UNUSED) or path.lower().startswith(WEB_ADDRESSES):
            raise _Refused(HTTPStatus.NOT_FOUND, NOT_HERE)
        if _is_file(path):
            return _without_header(scope, "range"), receive  # Gradio echoes such a request's headers
        if scope["method"] != "POST":
            return scope, receive
        if _is_upload(path):
            self._check_space()
        if not _is_join(path) and not _is_run(path):
            return scope, receive
        try:
            body = await Request(scope, receive).body()
        except ClientDisconnect as error:
            raise _Refused(HTTPStatus.BAD_REQUEST, UNREADABLE) from error
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
        page, session, number = self.page(), values.get("session_hash"), values.get("fn_index")
        named = gradio_adapter.number_of(page, _last_name(scope["path"]))
        known = named is not None if number is None else gradio_adapter.has_handler(page, number) and "data" in values
        if not known or not (session is None or (isinstance(session, str) and 0 < len(session) <= MAX_SESSION_HASH)):
            raise _Refused(HTTPStatus.BAD_REQUEST, UNREADABLE)
        if not _is_join(scope["path"]):
            return
        if self.stopping():
            raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, STOPPING)
        if queueing.line(page).waiting >= self.limits.waiting:
            raise _Refused(HTTPStatus.TOO_MANY_REQUESTS, BUSY)
        goes_by_name = scope["path"].startswith(f"{API}/call/")  # there it goes before any number in the body
        if queueing.is_job(page, named if goes_by_name else number):
            self._check_share(page, session, is_agent=Headers(scope=scope).get("x-gradio-user") == "mcp")

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


# --- kinds of requests -------------------------------------------------------------------------------------


def _is_file(path: str) -> bool:
    return path.startswith((f"{API}/file=", f"{API}/file/"))


def _is_upload(path: str) -> bool:
    return path.rstrip("/") == f"{API}/upload"


def _is_join(path: str) -> bool:
    return path.rstrip("/") == f"{API}/queue/join" or path.startswith(f"{API}/call/")


def _last_name(path: str) -> str:
    """Return the endpoint that a path names, as in `run/stylize`."""
    return path.rstrip("/").rpartition("/")[2]


def _is_run(path: str) -> bool:
    return path.startswith((f"{API}/run/", f"{API}/api/"))


def _without_header(scope: Scope, name: str) -> Scope:
    headers = MutableHeaders(raw=list(scope["headers"]))
    del headers[name]
    return {**scope, "headers": headers.raw}


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


# --- answers -----------------------------------------------------------------------------------------------


def _refusal(status: HTTPStatus, sentence: str) -> JSONResponse:
    return JSONResponse({"detail": sentence, "error": sentence}, status_code=status)


def _with_headers(send: Send, *, is_file: bool) -> Send:
    """`send` with the headers of the house; those of files replace what Gradio says."""

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            MutableHeaders(scope=message).update(SECURITY_HEADERS | (FILE_HEADERS if is_file else {}))
        await send(message)

    return answer


def _reworded(send: Send, limit: int, *, is_run: bool) -> Send:
    """Make a `send` that puts right what others say.

    That is a sentence of ours for a body over its limit, and for direct calls a status that is no fault, since Gradio
    answers 500 also to a sentence for the visitor.
    """
    held: list[Message] = []
    doubtful = {HTTPStatus.REQUEST_ENTITY_TOO_LARGE, *([HTTPStatus.INTERNAL_SERVER_ERROR] if is_run else [])}

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] in doubtful:
            held.append(message)
            return
        if held and message["type"] == "http.response.body":
            start, body = held.pop(), message.get("body", b"")
            if start["status"] == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and STARLETTE_SAYS_TOO_LARGE in body:
                refusal = _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE.format(limit=f"{limit / 1e6:.0f}"))
                headers = MutableHeaders(raw=list(start["headers"]))
                headers.update(refusal.headers)
                start, message = {**start, "headers": headers.raw}, {**message, "body": refusal.body}
            elif start["status"] == HTTPStatus.INTERNAL_SERVER_ERROR and _tells_why(body):
                start = {**start, "status": int(HTTPStatus.UNPROCESSABLE_ENTITY)}
            await send(start)
        await send(message)

    return answer


def _tells_why(body: bytes) -> bool:
    try:
        return bool(json.loads(body).get("error"))
    except (ValueError, AttributeError):
        return False
