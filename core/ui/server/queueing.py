"""The one place that looks into Gradio's queue and sessions: who waits and runs, and how to leave the line or page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.context import LocalContext
from gradio.server_messages import ProcessCompletedMessage

from core.ui.server.runtime import ACCELERATOR


@dataclass(frozen=True)
class Line:
    """How many events wait and run, and how many of those need the accelerator."""

    waiting: int = 0
    running: int = 0
    waiting_jobs: int = 0
    running_jobs: int = 0


def line(page: gr.Blocks) -> Line:
    """Count the events of a page; safe from any thread."""
    queue = page._queue
    waiting = [event for lane in list(queue.event_queue_per_concurrency_id.values()) for event in list(lane.queue)]
    running = [event for job in list(queue.active_jobs) if job is not None for event in job]
    return Line(len(waiting), len(running), sum(map(_is_job, waiting)), sum(map(_is_job, running)))


def jobs_of(page: gr.Blocks, session_hash: str) -> int:
    """Count a session's drawings and training runs, waiting or running."""
    events = list(page._queue.event_ids_to_events.values())
    return sum(event.session_hash == session_hash and event.alive and _is_job(event) for event in events)


def is_job(page: gr.Blocks, function_index: object) -> bool:
    """Whether an event handler of the page, given by its number, needs the accelerator."""
    function = page.fns.get(function_index) if isinstance(function_index, int) else None
    return function is not None and function.concurrency_id == ACCELERATOR["concurrency_id"]


def index_of(page: gr.Blocks, name: str) -> int | None:
    """Return the number of the event handler that programs call by this name."""
    return next((number for number, function in page.fns.items() if function.api_name == name), None)


def _is_job(event: Any) -> bool:
    return event.concurrency_id == ACCELERATOR["concurrency_id"]


async def leave_line(session_hash: str | None, handler: Callable[..., Any]) -> int:
    """Take a session's waiting calls of `handler` out of the line, as Gradio's own cancelling does; count them.

    Call it from a handler of the page that is a coroutine.
    """
    page = LocalContext.blocks.get(None)
    if page is None or not session_hash:
        return 0
    queue, left = page._queue, 0
    for event in list(queue.event_ids_to_events.values()):
        if event.session_hash != session_hash or event.fn.fn is not handler:
            continue
        if event not in queue.event_queue_per_concurrency_id[event.concurrency_id].queue:
            continue
        await queue.remove_from_queue(event._id)
        if event._id not in queue.event_ids_to_events:  # else its turn has just come
            unchanged = {"data": [gr.skip() for _ in event.fn.outputs]}  # without any, the page sees a failure
            queue.send_message(event, ProcessCompletedMessage(output=unchanged, success=True))
            queue.broadcast_estimations(event.concurrency_id)
            left += 1
    return left


def end_all(page: gr.Blocks) -> None:
    """Empty the line and let every running event end at its next step, as when its visitor leaves."""
    queue = page._queue
    for lane in list(queue.event_queue_per_concurrency_id.values()):
        lane.queue.clear()
    for job in list(queue.active_jobs):
        for event in job or ():
            event.alive = False


def forget_page(page: gr.Blocks, session_hash: str | None) -> None:
    """Drop Gradio's copy of all that a closed tab showed, about a megabyte that only deep links (off here) would read.

    The visitor's states stay for Gradio's hour, since a phone that lost its connection comes back to them.
    """
    session = page.state_holder.session_data.get(session_hash)
    if session is not None:
        session.config_values.clear()
