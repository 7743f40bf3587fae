"""`/health`: what a load balancer or an operator asks, answered without accelerator and visitors' data."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from core.config import VERSION
from core.ui.server import queueing
from core.ui.server.queueing import Line
from core.ui.server.runtime import LOADER

if TYPE_CHECKING:
    import gradio as gr

PATH = "/health"


@dataclass(frozen=True)
class Health:
    """How the server is. The model's fields are None until the Studio is open.

    Attributes:
        votes: sentence that says where votes are kept; None while no study is open.
    """

    status: Literal["starting", "ok", "failed", "stopping"]
    version: str
    engine: str | None
    backbone: str | None
    fingerprint: str | None
    device: str | None
    queue: Line
    votes: str | None
    uptime_s: int

    @property
    def http_status(self) -> HTTPStatus:
        """503 while the Studio failed to open or the server is stopping."""
        unwell = self.status in ("failed", "stopping")
        return HTTPStatus.SERVICE_UNAVAILABLE if unwell else HTTPStatus.OK


def report(page: gr.Blocks, *, votes: str, stopping: bool, uptime_s: float) -> Health:
    """Return how the server is; `votes` is empty while no study is open."""
    state, studio = LOADER.state()
    about = None if studio is None else studio.describe()
    return Health(
        status="stopping" if stopping else state,
        version=VERSION,
        engine=None if about is None else about.engine,
        backbone=None if about is None else about.variant,
        fingerprint=None if about is None else about.fingerprint,
        device=None if about is None else about.device,
        queue=queueing.line(page),
        votes=votes or None,
        uptime_s=round(uptime_s),
    )


def route(page: Callable[[], gr.Blocks], *, votes: Callable[[], str], stopping: Callable[[], bool]) -> Route:
    """Return the route, to be given to `launch(app_kwargs={"routes": [...]})`."""
    started = time.monotonic()

    async def health(_: Request) -> JSONResponse:
        uptime_s = time.monotonic() - started
        now = report(page(), votes=votes(), stopping=stopping(), uptime_s=uptime_s)
        return JSONResponse(asdict(now), status_code=now.http_status, headers={"cache-control": "no-store"})

    return Route(PATH, health, methods=["GET"])
