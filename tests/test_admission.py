"""Admission before Gradio: sizes, shapes and counts of requests, and the headers of every answer."""

from __future__ import annotations

import asyncio
import errno
import json
import shutil
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core.ui.server import admission, queueing
from core.ui.server.admission import API, AdmissionControl
from core.ui.server.limits import DemoLimits, demo_limits

LIMITS = DemoLimits(payload_bytes=2000, request_bytes=5000, photo_bytes=3000, waiting=3, jobs=2)
JOB, LIGHT = 4, 5
PAGE = SimpleNamespace(
    fns={
        JOB: SimpleNamespace(concurrency_id="accelerator", api_name="stylize"),
        LIGHT: SimpleNamespace(concurrency_id="1", api_name="list_styles"),
    }
)


async def gradio(scope: dict, receive: Callable, send: Callable) -> None:
    """What stands behind admission control here: tells what arrived, or answers as the path asks."""
    if scope["path"] == f"{API}/upload/full":
        raise OSError(errno.ENOSPC, "No space left on device")
    request = Request(scope, receive)
    body = await request.body()
    answer: Response = JSONResponse({"body": len(body), "range": request.headers.get("range")})
    if scope["path"].endswith("/sentence"):
        answer = JSONResponse({"error": "Choose a photo first."}, status_code=500)
    elif scope["path"].endswith("/fault"):
        answer = JSONResponse({"error": None}, status_code=500)
    elif scope["path"].endswith("/full"):
        raise OSError(errno.ENOSPC, "No space left on device")
    elif scope["path"].endswith("/broken"):
        raise OSError(errno.EIO, "Input/output error")
    elif scope["path"].startswith(f"{API}/file="):
        answer = Response(b"<script>", media_type="text/html", headers={"cache-control": "public"})
    await answer(scope, receive, send)


def ask(method: str, path: str, *, stopping: bool = False, **options: Any) -> httpx.Response:
    """One request through admission control."""
    guarded = AdmissionControl(gradio, page=lambda: PAGE, limits=LIMITS, stopping=lambda: stopping)

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=guarded)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **options)

    return asyncio.run(send())


@pytest.fixture(autouse=True)
def line(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How long the line is and how many jobs the visitor has in it."""
    counts = {"waiting": 0, "waiting_jobs": 0, "jobs": 0}

    def counted(page: object) -> queueing.Line:
        return queueing.Line(waiting=counts["waiting"], waiting_jobs=counts["waiting_jobs"])

    monkeypatch.setattr(queueing, "line", counted)
    monkeypatch.setattr(queueing, "jobs_of", lambda page, session: counts["jobs"])
    return counts


def join(**values: Any) -> httpx.Response:
    """A visitor's click."""
    return ask("POST", f"{API}/queue/join", json={"data": [], "fn_index": JOB, "session_hash": "abc"} | values)


@pytest.mark.parametrize(
    "path",
    [
        "/monitoring",
        "/monitoring/summary",
        f"{API}/process_recording",
        f"{API}/deep_link?session_hash=abc",
        f"{API}/vibe-edit/",
        f"{API}/proxy=http://127.0.0.1/",
        f"{API}/file=http://127.0.0.1:22/",
        f"{API}/file=HTTPS://example.org/x.html",
        f"{API}/file/https://example.org/x.html",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_routes_that_the_page_doesn_t_use_are_closed(method: str, path: str) -> None:
    reply = ask(method, path)
    assert reply.status_code == 404
    assert reply.json() == {"detail": admission.NOT_HERE, "error": admission.NOT_HERE}


def test_ordinary_requests_pass_untouched() -> None:
    assert ask("GET", "/config").json() == {"body": 0, "range": None}
    assert join().json()["body"] > 20
    assert ask("POST", f"{API}/run/predict", json={"data": [1], "fn_index": LIGHT}).status_code == 200
    assert ask("POST", f"{API}/call/stylize", json={"data": [1]}).status_code == 200
    assert ask("POST", f"{API}/upload", content=b"x" * 4999).json()["body"] == 4999


@pytest.mark.parametrize(
    ("path", "size"),
    [
        (f"{API}/upload", LIMITS.request_bytes),
        (f"{API}/queue/join", LIMITS.payload_bytes),
        (f"{API}/cancel", LIMITS.payload_bytes),
        (f"{API}/component_server", LIMITS.payload_bytes),
        (f"{API}/mcp/", LIMITS.payload_bytes + LIMITS.photo_bytes * 4 // 3),
    ],
)
@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
def test_a_body_that_is_too_large_is_cut_off(path: str, size: int, told: bool) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(size // 100 + 1):
            yield b"x" * 100

    reply = ask("POST", path, content=b"x" * (size + 1) if told else parts())
    assert reply.status_code == 413
    assert "too large" in reply.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"3", b"\xff", b"[" * 1900, b'{"data": 1e999999, "fn_index": true}', b'{"fn_index": "4"}'],
)
def test_what_is_no_call_is_refused(body: bytes) -> None:
    for path in ("queue/join", "run/predict", "call/stylize"):
        reply = ask("POST", f"{API}/{path}", content=body)
        assert reply.status_code == 400, body
        assert reply.json()["error"] == admission.UNREADABLE


@pytest.mark.parametrize(
    "values",
    [
        {"fn_index": 99},
        {"fn_index": -1},
        {"fn_index": 4.0},
        {"fn_index": [4]},
        {"session_hash": "x" * 65},
        {"session_hash": ""},
        {"session_hash": 7},
        {"session_hash": ["abc"]},
    ],
)
def test_forged_calls_are_refused(values: dict[str, Any]) -> None:
    assert join(**values).status_code == 400


def test_a_full_line_takes_nobody_more(line: dict[str, int]) -> None:
    line["waiting"] = LIMITS.waiting - 1
    assert join().status_code == 200
    line["waiting"] = LIMITS.waiting
    reply = join(fn_index=LIGHT)
    assert reply.status_code == 429, "no server fault, and a sentence of our own"
    assert reply.json()["detail"] == admission.BUSY
    assert ask("POST", f"{API}/run/predict", json={"data": [], "fn_index": LIGHT}).status_code == 200


def test_one_visitor_has_only_so_many_jobs(line: dict[str, int]) -> None:
    line["jobs"] = LIMITS.jobs - 1
    assert join().status_code == 200
    line["jobs"] = LIMITS.jobs
    reply = join()
    assert reply.status_code == 429
    assert reply.json()["detail"].startswith("You already have 2 drawings or trainings in line.")
    assert join(fn_index=LIGHT).status_code == 200, "light events go on"


@pytest.mark.parametrize("path", ["call/stylize", "call/stylize/", "call/v2/stylize"])
def test_calls_by_name_are_counted_too(path: str, line: dict[str, int]) -> None:
    line["jobs"] = LIMITS.jobs - 1
    body = {"data": [], "session_hash": "abc", "fn_index": LIGHT}  # the number that Gradio doesn't read here
    assert ask("POST", f"{API}/{path}", json=body).status_code == 200
    line["jobs"] = LIMITS.jobs
    reply = ask("POST", f"{API}/{path}", json=body)
    assert reply.status_code == 429
    assert reply.json()["detail"].startswith("You already have 2 drawings or trainings in line.")
    assert ask("POST", f"{API}/call/list_styles", json=body).status_code == 200


def test_agents_share_one_session_and_a_part_of_the_line(line: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    limits = DemoLimits(waiting=40, jobs=2)
    monkeypatch.setitem(globals(), "LIMITS", limits)
    body = {"data": [], "fn_index": JOB, "session_hash": "agents"}

    def call(agent: str) -> httpx.Response:
        return ask("POST", f"{API}/queue/join", json=body, headers={"x-gradio-user": agent})

    line["jobs"] = limits.waiting // admission.PROGRAMS_SHARE - 1
    assert call("api").status_code == 429, "a program of its own counts as one visitor"
    assert call("mcp").status_code == 200
    line["jobs"] += 1
    reply = call("mcp")
    assert reply.status_code == 429 and reply.json()["detail"] == admission.BUSY


def test_programs_without_a_session_don_t_fill_the_line(line: dict[str, int]) -> None:
    line["waiting_jobs"] = LIMITS.jobs - 1
    assert ask("POST", f"{API}/call/stylize", json={"data": []}).status_code == 200
    line["waiting_jobs"] = LIMITS.jobs
    reply = ask("POST", f"{API}/call/stylize", json={"data": []})
    assert reply.status_code == 429 and reply.json()["detail"] == admission.BUSY
    assert ask("POST", f"{API}/call/list_styles", json={"data": []}).status_code == 200
    assert join().status_code == 200, "a visitor on the page comes before"


def test_a_stopping_server_takes_no_new_work() -> None:
    body = {"data": [], "fn_index": JOB, "session_hash": "abc"}
    reply = ask("POST", f"{API}/queue/join", json=body, stopping=True)
    assert reply.status_code == 503 and reply.json()["error"] == admission.STOPPING
    assert ask("GET", "/", stopping=True).status_code == 200


def test_a_full_disk_takes_no_uploads(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(admission.UPLOADS, "path", tmp_path)
    assert ask("POST", f"{API}/upload", content=b"x").status_code == 200
    usage = SimpleNamespace(free=LIMITS.free_disk_bytes - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    reply = ask("POST", f"{API}/upload", content=b"x")
    assert reply.status_code == 507 and reply.json()["detail"] == admission.NO_SPACE


def test_a_disk_that_fills_up_meanwhile_is_told_too() -> None:
    body = {"data": [], "fn_index": LIGHT}
    reply = ask("POST", f"{API}/run/full", json=body)
    assert reply.status_code == 507 and reply.json()["detail"] == admission.NO_SPACE
    reply = ask("POST", f"{API}/upload/full", content=b"x" * 1500)
    assert reply.status_code == 507, "before anything was read"
    with pytest.raises(OSError, match="Input/output error"):
        ask("POST", f"{API}/run/broken", json=body)


def test_no_answer_is_taken_for_something_else() -> None:
    for reply in (ask("GET", "/"), ask("GET", "/monitoring"), join(fn_index=99)):
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "same-origin"
        assert "content-security-policy" not in reply.headers


def test_files_run_no_scripts_and_stay_private() -> None:
    reply = ask("GET", f"{API}/file=/data/x.html", headers={"Range": "bytes=0-1", "Cookie": "secret"})
    assert "sandbox" in reply.headers["content-security-policy"]
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert reply.headers.get_list("cache-control") == ["private, max-age=3600"]
    assert ask("GET", "/x", headers={"Range": "bytes=0-1"}).json()["range"] == "bytes=0-1"
    assert "secret" not in str(reply.headers)


def test_a_sentence_is_no_server_fault() -> None:
    body = {"data": [], "fn_index": LIGHT}
    reply = ask("POST", f"{API}/run/sentence", json=body)
    assert reply.status_code == 422 and reply.json() == {"error": "Choose a photo first."}
    assert ask("POST", f"{API}/run/fault", json=body).status_code == 500


def test_other_connections_pass() -> None:
    seen: list[str] = []

    async def inner(scope: dict, receive: object, send: object) -> None:
        seen.append(scope["type"])

    guarded = AdmissionControl(inner, page=lambda: PAGE, limits=LIMITS, stopping=lambda: False)
    asyncio.run(guarded({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]


# --- the limits --------------------------------------------------------------------------------------------


def test_limits_come_from_the_environment() -> None:
    assert demo_limits({}) == DemoLimits()
    given = demo_limits({"STYLEIDENTITY_LIMIT_STEPS": "200", "STYLEIDENTITY_LIMIT_PHOTO_MEGAPIXELS": "12", "HOME": "/"})
    assert (given.steps, given.photo.max_megapixels, given.jobs) == (200, 12.0, DemoLimits().jobs)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("STEPS", "many", "must be a whole number"),
        ("STEPS", "0", "steps >= 1"),
        ("REFERENCES", "15", "references <= 14"),
        ("PHOTOES", "3", "names no limit; there are"),
    ],
)
def test_wrong_limits_are_refused(name: str, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        demo_limits({f"STYLEIDENTITY_LIMIT_{name}": text})


def test_the_reply_is_what_gradio_s_page_reads() -> None:
    """Its client shows `detail` of a refused join and `error` of a refused direct call."""
    assert set(json.loads(join(fn_index=99).text)) == {"detail", "error"}
