"""Everyone's results, under the Vote tab: headline, figure, tables, how it was computed, and the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block

from core.ui.components import widgets
from core.ui.i18n import fragment, label
from core.ui.tabs import results_handlers as on
from core.ui.tabs.events import HIDDEN, REPORT, by_part

FETCH = "() => setTimeout(() => document.querySelector('#results-download')?.click(), 100)"


@dataclass(frozen=True)
class Results:
    """The part with what it is made from.

    Attributes:
        column: all of it; hidden until it may be seen.
        top: headline and figure; a click on its button asks for another set to vote on.
        settings: the row of settings.
        body: tables and notes.
        leave_out: whether hurried, one-sided and inattentive answers are left out.
        runs: the browser's memory of its runs.
    """

    column: gr.Column
    top: gr.HTML
    settings: gr.Row
    body: gr.HTML
    leave_out: gr.Checkbox
    runs: gr.BrowserState

    def show_after(self, event: Callable[..., Any]) -> Any:
        """Let an event fold the results out, or in where they may not be seen any more."""
        parts: dict[str, Block] = {
            "column": self.column,
            "top": self.top,
            "settings": self.settings,
            "body": self.body,
        }
        shown = {**REPORT, **HIDDEN}
        return event(by_part(on.show, parts), [self.runs, self.leave_out], [*parts.values()], **shown)


def build(runs: gr.BrowserState) -> Results:
    """Lay out the part in the current column and connect its own events. Nothing is in it before it may be seen."""
    with gr.Column(visible=False, elem_id="results") as column:
        gr.HTML(fragment(lambda: widgets.heading("Everyone's results")))
        top = gr.HTML("", js_on_load=widgets.CLICKS, apply_default_css=False, elem_id="results-top")
        with gr.Row(visible=False, elem_id="results-settings", elem_classes="si-row") as settings:
            leave_out = gr.Checkbox(
                False, label=label("Leave out hurried, one-sided and inattentive answers"), min_width=240
            )
            prepare = gr.Button(label("Download the answers"), min_width=200, elem_id="results-prepare")
            download = gr.DownloadButton("Download", visible="hidden", elem_id="results-download")
        body = gr.HTML("", apply_default_css=False, elem_id="results-body")
    results = Results(column, top, settings, body, leave_out, runs)
    results.show_after(leave_out.input)
    prepare.click(on.download, runs, download, show_progress_on=prepare, **REPORT).success(None, js=FETCH)
    return results
