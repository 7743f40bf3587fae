"""The one module that uses what Gradio keeps to itself: its queue, sessions, event context and file cache.

Written against Gradio 6.31, to which requirements.txt pins us. `tests/test_gradio_adapter.py` says which member moved
when another release changes one; then this is the only module to mend.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import safehttpx
from gradio import processing_utils, routes
from gradio.context import LocalContext
from gradio.queueing import Event
from gradio.route_utils import API_PREFIX
from gradio.server_messages import ProcessCompletedMessage
from gradio.utils import get_upload_folder
from jinja2 import BaseLoader, Environment

API = API_PREFIX  # where Gradio's own routes begin
UPLOAD_FOLDER_ENV = "GRADIO_TEMP_DIR"
MIN_SALT_BYTES = 16
_PREVIEW_TAG = re.compile(r"<meta\s+(?:property=\"og:|name=\"twitter:)[^>]*>")
# `launch` calls its own address unless told not to, and fails where returning visitors crowd that call out.
LAUNCH_WITHOUT_CALLING_ITSELF: Mapping[str, object] = {"_frontend": False}
# A table of the last events is worked through after each one, for a page that is closed here.
UNUSED_STATISTICS: Mapping[str, str] = {
    "GRADIO_ANALYTICS_MAX_EVENTS": "1",
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000",
}


# --- the event that is being handled -----------------------------------------------------------------------


def header_of_event(name: str) -> str:
    """Return a header of the request whose event is being handled, "" outside of events."""
    request = LocalContext.request.get(None)
    return str((getattr(request, "headers", None) or {}).get(name, ""))


def values_sent(event: gr.EventData) -> Mapping[str, Any]:
    """Return what the browser sent with an event; nothing where it is forged."""
    return event._data if isinstance(event._data, Mapping) else {}


# --- handlers and the queue --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """A call of an event handler in the queue.

    Attributes:
        session_hash: of the visitor's tab.
        lane: the concurrency id that it waits under.
        is_wanted: whether somebody still waits for its result.
    """

    session_hash: str
    lane: str
    is_wanted: bool


def has_handler(page: gr.Blocks, number: object) -> bool:
    """Whether the page has an event handler of this number."""
    return type(number) is int and number in page.fns


def lane_of(page: gr.Blocks, number: object) -> str | None:
    """Return the concurrency id of an event handler, None where there is no such handler."""
    return page.fns[number].concurrency_id if isinstance(number, int) and number in page.fns else None


def number_of(page: gr.Blocks, name: str) -> int | None:
    """Return the number of the event handler that programs call by this name."""
    return next((number for number, handler in page.fns.items() if handler.api_name == name), None)


def _calls(events: Iterable[Event]) -> list[Call]:
    return [Call(event.session_hash, event.concurrency_id, event.alive) for event in events]


def waiting_calls(page: gr.Blocks) -> list[Call]:
    """Return the calls that wait; safe from any thread."""
    lanes = list(page._queue.event_queue_per_concurrency_id.values())
    return _calls(event for lane in lanes for event in list(lane.queue))


def running_calls(page: gr.Blocks) -> list[Call]:
    """Return the calls that run; safe from any thread."""
    return _calls(event for job in list(page._queue.active_jobs) for event in job or ())


def unfinished_calls(page: gr.Blocks) -> list[Call]:
    """Return the calls that wait or run; safe from any thread."""
    return _calls(list(page._queue.event_ids_to_events.values()))


async def drop_waiting_calls(session_hash: str, handler: Callable[..., Any]) -> int:
    """Take a session's waiting calls of `handler` out of the queue, as Gradio's own cancelling does; count them.

    Call it from a handler of the page that is a coroutine.
    """
    page = LocalContext.blocks.get(None)
    if page is None:
        return 0
    queue, dropped = page._queue, 0
    for event in list(queue.event_ids_to_events.values()):
        if event.session_hash != session_hash or event.fn.fn != handler:
            continue
        if event not in queue.event_queue_per_concurrency_id[event.concurrency_id].queue:
            continue
        await queue.remove_from_queue(event._id)
        if event._id not in queue.event_ids_to_events:  # else its turn has just come
            unchanged = {"data": [gr.skip() for _ in event.fn.outputs]}  # without any, the page sees a failure
            queue.send_message(event, ProcessCompletedMessage(output=unchanged, success=True))
            queue.broadcast_estimations(event.concurrency_id)
            dropped += 1
    return dropped


def end_calls(page: gr.Blocks) -> None:
    """Empty the queue and let every running call end at its next step, as when its visitor leaves."""
    for lane in list(page._queue.event_queue_per_concurrency_id.values()):
        lane.queue.clear()
    for job in list(page._queue.active_jobs):
        for event in job or ():
            event.alive = False


def forget_states(page: gr.Blocks, session_hash: str | None) -> None:
    """Drop everything that Gradio keeps of a session: its states, and what it showed."""
    page.state_holder.session_data.pop(session_hash or "", None)


def forget_shown_values(page: gr.Blocks, session_hash: str | None) -> None:
    """Drop Gradio's copy of all that a closed tab showed, about a megabyte that only deep links (off here) would read.

    The visitor's states stay for Gradio's hour, since a phone that lost its connection comes back to them.
    """
    session = page.state_holder.session_data.get(session_hash or "")
    if session is not None:
        session.config_values.clear()


# --- the page's own file -----------------------------------------------------------------------------------


def use_link_preview(tags: str) -> None:
    """Let the page's file itself say what a link to it shows, in place of Gradio's words: programs run no scripts.

    Args:
        tags: HTML for the head; braces would be Jinja's.
    """
    env = routes.templates.env
    inner = env.loader.inner if isinstance(env.loader, _PageLoader) else env.loader
    if inner is not None:
        env.loader = _PageLoader(inner, tags)
        if env.cache is not None:
            env.cache.clear()


class _PageLoader(BaseLoader):
    """Gradio's templates with other words for links in their heads."""

    def __init__(self, inner: BaseLoader, tags: str) -> None:
        self.inner, self.tags = inner, tags

    def get_source(self, environment: Environment, template: str) -> tuple[str, str | None, Callable[[], bool] | None]:
        """Return a template's source, its file and whether it is up to date."""
        source, file, fresh = self.inner.get_source(environment, template)
        ours = iter([self.tags])  # in the place of the first one; the others go
        return _PREVIEW_TAG.sub(lambda _: next(ours, ""), source), file, fresh


# --- files -------------------------------------------------------------------------------------------------


def upload_folder() -> Path:
    """Return the folder of uploads and of files that the page may fetch."""
    return Path(get_upload_folder()).resolve()


def copy_for_page(path: str | Path) -> str:
    """Copy a file to where the page may fetch it, below a salted hash of its content; return the copy's path."""
    return str(processing_utils.save_file_to_cache(path, get_upload_folder()))


def ensure_salt() -> None:
    """Replace the salt of those hashes where its file was cut off when it was made."""
    if len(processing_utils.hash_seed) < MIN_SALT_BYTES:
        processing_utils.hash_seed = secrets.token_hex(MIN_SALT_BYTES).encode()


def files_of_page(page: gr.Blocks) -> set[str]:
    """Return the files of the page itself, such as an example's picture."""
    return {str(path) for block in page.blocks.values() for path in getattr(block, "keep_in_cache", ())}


# --- web addresses -----------------------------------------------------------------------------------------


def download(address: str, folder: str) -> Path:
    """Fetch a public web address into a folder. Raises ValueError, and what the fetcher in use raises."""
    return Path(processing_utils.ssrf_protected_download(address, cache_dir=folder))


def use_fetcher(fetch: Callable[[str], Awaitable[httpx.Response]]) -> None:
    """Let Gradio fetch with `fetch`, wherever it takes a web address for a file."""

    async def fetched(url: str) -> httpx.Response:
        return await fetch(url)

    processing_utils.async_ssrf_protected_get = fetched


def is_trusted_host(host: str) -> bool:
    """Whether Gradio fetches from a host without looking whether its number is public."""
    return bool(safehttpx.matches_domain_whitelist(host, processing_utils.PUBLIC_HOSTNAME_WHITELIST))
