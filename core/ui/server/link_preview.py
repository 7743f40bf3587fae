"""What a link to the page shows elsewhere: title, sentence and picture."""

from __future__ import annotations

import os

from starlette.responses import FileResponse
from starlette.routing import Route

from core.config import ASSETS_DIR

PATH = "/preview.png"
PICTURE = ASSETS_DIR / "readme" / "thumbnail.png"
HOST_ENV = "SPACE_HOST"  # set on a Space: the name under which the page is reached


def address() -> str:
    """Return the picture's address: a whole one where the page's host is known, as most programs want it."""
    host = os.environ.get(HOST_ENV, "")
    return f"https://{host}{PATH}" if host else PATH


def route() -> Route:
    """Return the picture's route, to be given to `launch(app_kwargs={"routes": [...]})`."""

    async def preview(_: object) -> FileResponse:
        return FileResponse(PICTURE, headers={"cache-control": "public, max-age=86400"})

    return Route(PATH, preview, methods=["GET"])
