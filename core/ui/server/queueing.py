"""Who waits and who runs: the page's queue in numbers, and how to leave it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.ui.server import gradio_adapter
from core.ui.server.gradio_adapter import Call
from core.ui.server.runtime import JOBS


@dataclass(frozen=True)
class Line:
    """How many calls wait and run, and how many of those are jobs: they need the accelerator."""

    waiting: int = 0
    running: int = 0
    waiting_jobs: int = 0
    running_jobs: int = 0


def line(page: gr.Blocks) -> Line:
    """Count the calls of a page; safe from any thread."""
    waiting, running = gradio_adapter.waiting_calls(page), gradio_adapter.running_calls(page)
    return Line(len(waiting), len(running), _jobs(waiting), _jobs(running))


def jobs_of(page: gr.Blocks, session_hash: str) -> int:
    """Count a session's drawings and training runs, waiting or running."""
    calls = gradio_adapter.unfinished_calls(page)
    return _jobs([call for call in calls if call.session_hash == session_hash and call.is_wanted])


def is_job(page: gr.Blocks, handler_number: object) -> bool:
    """Whether an event handler of the page needs the accelerator."""
    return gradio_adapter.lane_of(page, handler_number) in JOBS


def _jobs(calls: Sequence[Call]) -> int:
    return sum(call.lane in JOBS for call in calls)


async def leave_line(session_hash: str | None, handler: Callable[..., Any]) -> int:
    """Take a session's waiting calls of `handler` out of the line and count them; for handlers that are coroutines."""
    return await gradio_adapter.drop_waiting_calls(session_hash, handler) if session_hash else 0
