"""Sends the page itself compressed: it holds its first pictures and texts, and is more than half of what a visit loads.

Nothing else is: scripts and styles come compressed already, pictures can't become smaller, and streams must not wait.
"""

from __future__ import annotations

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

LEVEL = 5  # 30 ms of a processor for the page


class CompressPage:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._compressed = app, GZipMiddleware(app, compresslevel=LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on."""
        is_page = scope["type"] == "http" and scope["method"] == "GET" and scope["path"] in ("", "/")
        await (self._compressed if is_page else self._app)(scope, receive, send)
