"""How a study's pictures reach the browser: as bytes behind addresses that tell nothing.

An address is a keyed digest, so nobody can get from it to the name in a published pack, nor the other way round. The
reply carries no file name, date or entity tag.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.study.protocol.packs import Pack

PATH = "study/picture"  # beside the page itself, so that it works behind any prefix
_KEEP = {"Cache-Control": "private, max-age=86400, immutable", "X-Content-Type-Options": "nosniff"}


class Pictures:
    """The pictures of every pack, by address."""

    def __init__(self, packs: Iterable[Pack], *, key: bytes) -> None:
        self._key = key
        self._files: dict[str, Path] = {}
        self._packs: dict[Path, tuple[str, ...]] = {}
        for pack in packs:
            names = {self._name(path): path for path in _paths(pack)}
            self._files |= names
            self._packs[pack.folder] = tuple(sorted(names))

    def _name(self, path: Path) -> str:
        return hmac.new(self._key, str(path).encode(), hashlib.sha256).hexdigest()[:32]

    def address(self, path: Path) -> str:
        """Return the address of a pack's picture, relative to the page. Raises ValueError for any other file."""
        name = self._name(path)
        if name not in self._files:
            raise ValueError(f"expected a picture of an open pack, got {path}")
        return f"{PATH}/{name}"

    def ahead(self, path: Path) -> tuple[str, ...]:
        """Return all addresses of the pack that holds `path`, in an order that follows from the key alone."""
        for folder, names in self._packs.items():
            if path.is_relative_to(folder):
                return tuple(f"{PATH}/{name}" for name in names)
        return ()

    def read(self, name: str) -> bytes | None:
        """Return a picture's bytes, None for an unknown name."""
        path = self._files.get(name)
        return None if path is None else path.read_bytes()


def _paths(pack: Pack) -> Iterable[Path]:
    for trial in pack.trials:
        yield trial.photo
        yield from trial.references
        yield from trial.candidates.values()


def route(pictures: Callable[[], Pictures]) -> Route:
    """Return the web server's route to the pictures; `pictures` is asked at every request."""

    def picture(request: Request) -> Response:
        content = pictures().read(request.path_params["name"])
        if content is None:
            return Response("There is no such picture.", status_code=404, media_type="text/plain")
        return Response(content, media_type="image/png", headers=_KEEP)

    return Route(f"/{PATH}/{{name}}", picture, methods=["GET"], include_in_schema=False)
