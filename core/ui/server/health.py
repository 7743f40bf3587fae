"""`/health`: what a load balancer or an operator asks, answered without accelerator and visitors' data."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from core.config import VERSION
from core.ui.server import queueing
from core.ui.server.runtime import LOADER

if TYPE_CHECKING:
    import gradio as gr

PATH = "/health"


def report(page: gr.Blocks, *, votes: str, stopping: bool, uptime_s: float) -> tuple[dict[str, object], HTTPStatus]:
    """Return the answer and its status: 503 while the Studio failed to open or the server is stopping.

    Args:
        votes: sentence that says where votes are kept; empty while no study is open.
    """
    state, studio = LOADER.state()
    line = queueing.line(page)
    answer = {
        "status": "stopping" if stopping else state,
        "version": VERSION,
        "backbone": None if studio is None else studio.backbone.name,
        "fingerprint": None if studio is None else studio.backbone.fingerprint,
        "device": None if studio is None else str(studio.backbone.device),
        "queue": {
            "waiting": line.waiting,
            "running": line.running,
            "waiting_jobs": line.waiting_jobs,
            "running_jobs": line.running_jobs,
        },
        "votes": votes or None,
        "uptime_s": round(uptime_s),
    }
    unwell = stopping or state == "failed"
    return answer, HTTPStatus.SERVICE_UNAVAILABLE if unwell else HTTPStatus.OK


def route(page: Callable[[], gr.Blocks], *, votes: Callable[[], str], stopping: Callable[[], bool]) -> Route:
    """Return the route, to be given to `launch(app_kwargs={"routes": [...]})`."""
    started = time.monotonic()

    async def health(_: Request) -> JSONResponse:
        uptime_s = time.monotonic() - started
        answer, status = report(page(), votes=votes(), stopping=stopping(), uptime_s=uptime_s)
        return JSONResponse(answer, status_code=status, headers={"cache-control": "no-store"})

    return Route(PATH, health, methods=["GET"])
