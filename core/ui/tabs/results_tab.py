"""The Results tab: headline, figure, tables, how it was computed, and the data."""

from __future__ import annotations

import gradio as gr
from gradio.blocks import Block

from core.ui.components import widgets
from core.ui.i18n import label
from core.ui.tabs import results_handlers as on
from core.ui.tabs.events import DIRECT, REPORT, by_part

FETCH = "() => setTimeout(() => document.querySelector('#results-download')?.click(), 100)"


def build(tab: gr.Tab, tabs: gr.Tabs, runs: gr.BrowserState) -> None:
    """Lay out the tab inside the current `gr.Tab` and connect its events. Nothing is in it before it may be seen."""
    top = gr.HTML("", js_on_load=widgets.CLICKS, apply_default_css=False, elem_id="results-top")
    with gr.Row(visible=False, elem_id="results-settings", elem_classes="si-row") as settings:
        leave_out = gr.Checkbox(
            False, label=label("Leave out hurried, one-sided and inattentive answers"), min_width=240
        )
        prepare = gr.Button(label("Download the answers"), min_width=200, elem_id="results-prepare")
        download = gr.DownloadButton("Download", visible="hidden", elem_id="results-download")
    body = gr.HTML("", apply_default_css=False, elem_id="results-body")
    parts: dict[str, Block] = {"top": top, "settings": settings, "body": body}
    page, show = [*parts.values()], by_part(on.show, parts)

    tab.select(show, [runs, leave_out], page, show_progress_on=top, **REPORT)
    leave_out.input(show, [runs, leave_out], page, show_progress_on=top, **REPORT)
    prepare.click(on.download, runs, download, show_progress_on=prepare, **REPORT).success(None, js=FETCH)
    top.click(on.go_to_vote, None, tabs, **DIRECT)
