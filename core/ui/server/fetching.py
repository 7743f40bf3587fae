"""Fetches files from web addresses: public ones only, as Gradio does, but bounded in bytes and in time.

Gradio fetches the addresses that callers send in a place of their own, however large and slow they are; `use_in_gradio`
puts `fetch` there.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from urllib.parse import urljoin

import httpx
import safehttpx

from core.ui.friendly_errors import PageProblem, for_gradio
from core.ui.server import gradio_adapter
from core.ui.server.limits import limits

FETCH_S = 20.0
MAX_REDIRECTS = 5
UNREACHABLE = "This web address can't be fetched. Check that it is public, or upload the file instead."
TOO_SLOW = "This web address takes too long to answer. Try again, or upload the file instead."
TOO_LARGE = "This web address leads to more than {limit} MB. Upload the file instead."


async def fetch(address: str) -> httpx.Response:
    """Return the answer of a public web address, read in full. Raises gr.Error, since Gradio is who calls it."""
    try:
        return await asyncio.wait_for(_followed(address, limits().photo_bytes), FETCH_S)
    except PageProblem as problem:
        raise for_gradio(problem) from problem
    except (asyncio.TimeoutError, httpx.TimeoutException) as error:
        raise for_gradio(PageProblem(TOO_SLOW)) from error
    except Exception as error:
        raise for_gradio(PageProblem(UNREACHABLE)) from error


def use_in_gradio() -> None:
    """Let Gradio fetch this way too, wherever it takes a web address for a file."""
    gradio_adapter.use_fetcher(fetch)


async def _followed(address: str, limit: int) -> httpx.Response:
    """Follow redirects, each to a public host. Raises ValueError for any other, and PageProblem."""
    for _ in range(1 + MAX_REDIRECTS):
        answer = await read(address, limit, await _transport(httpx.URL(address).host))
        if not answer.has_redirect_location:
            return answer
        address = urljoin(address, answer.headers["location"])
    raise ValueError(f"got more than {MAX_REDIRECTS} redirects")


async def _transport(host: str) -> httpx.AsyncBaseTransport | None:
    """Return a transport that is tied to the host's public number, as `safehttpx.get` does; none for a trusted host."""
    if gradio_adapter.is_trusted_host(host):
        return None
    # Shielded, since safehttpx keeps its look-ups: one that is cancelled would cancel whoever asks for the host again.
    transport: httpx.AsyncBaseTransport = safehttpx.AsyncSecureTransport(
        await asyncio.shield(safehttpx.async_validate_url(host))
    )
    return transport


async def read(address: str, limit: int, transport: httpx.AsyncBaseTransport | None) -> httpx.Response:
    """Return one answer: a redirect unread, a file of at most `limit` bytes. Raises PageProblem for a larger one.

    The bytes stay as they were sent, since a small packed answer may hold any amount.
    """
    async with (
        httpx.AsyncClient(transport=transport, headers={"accept-encoding": "identity"}) as client,
        client.stream("GET", address, follow_redirects=False) as answer,
    ):
        body = bytearray()
        if not answer.has_redirect_location:
            if answer.status_code != HTTPStatus.OK:
                raise ValueError(f"got status {answer.status_code}, expected 200")
            async for part in answer.aiter_raw():
                body += part
                if len(body) > limit:
                    raise PageProblem(TOO_LARGE, limit=limit // 10**6)
        kept = {name: answer.headers[name] for name in ("content-type", "location") if name in answer.headers}
        return httpx.Response(
            answer.status_code, headers=kept, content=bytes(body), request=httpx.Request("GET", address)
        )
