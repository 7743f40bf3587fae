"""How the page's events run, as options of Gradio's listeners. No event of the page is for programs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, cast

import gradio as gr
from gradio.blocks import Block

Options = dict[str, Any]
Shown = dict[Any, Any]  # what components show, by component: the one argument where an event's inputs are a set
Changes = dict[Block, Any]  # what an event changes, by component; the other outputs stay as they are

PRIVATE: Options = {"api_visibility": "private"}
# The handler gets the values unread: a broken picture, or a set that was offered before a restart, meets our sentence.
AS_SENT: Options = {**PRIVATE, "preprocess": False}
# Past the queue: nothing quick waits behind a drawing or a training run.
DIRECT: Options = {**PRIVATE, "queue": False, "show_progress": "hidden"}
HIDDEN: Options = {"show_progress": "hidden", "show_progress_on": None}
# A line of its own: a report never waits behind a training run, nor a vote behind a report.
REPORT: Options = {**PRIVATE, "concurrency_id": "report", "concurrency_limit": 1}


def unchanged() -> Changes:
    """Return what changes nothing: Gradio takes no empty dictionary."""
    return cast(Changes, gr.skip())


def by_part(handler: Callable[..., Any], parts: Mapping[str, Block]) -> Callable[..., Changes]:
    """Return a handler whose result, a dataclass, goes to the parts that are called as its fields.

    What is None stays as it is.
    """

    @functools.wraps(handler)
    def call(*values: Any, **options: Any) -> Changes:
        page = handler(*values, **options)
        said = {field.name: getattr(page, field.name) for field in fields(page)}
        return {parts[name]: value for name, value in said.items() if value is not None} or unchanged()

    return call
