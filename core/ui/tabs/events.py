"""How the page's events run, as options of Gradio's listeners. No event of the page is for programs."""

from __future__ import annotations

from typing import Any

Options = dict[str, Any]

PRIVATE: Options = {"api_visibility": "private"}
# The handler gets the values unread: a broken picture, or a set that was offered before a restart, meets our sentence.
AS_SENT: Options = {**PRIVATE, "preprocess": False}
# Past the queue: nothing quick waits behind a drawing or a training run.
DIRECT: Options = {**PRIVATE, "queue": False, "show_progress": "hidden"}
HIDDEN: Options = {"show_progress": "hidden", "show_progress_on": None}
# A line of its own: a report never waits behind a training run, nor a vote behind a report.
REPORT: Options = {**PRIVATE, "concurrency_id": "report", "concurrency_limit": 1}
