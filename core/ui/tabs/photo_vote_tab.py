"""The folded panel under a portrait: the methods on the visitor's own photo, side by side, without their names."""

from __future__ import annotations

import gradio as gr

from core.ui.components import widgets
from core.ui.i18n import fragment, label
from core.ui.server.runtime import ACCELERATOR
from core.ui.tabs import photo_vote_handlers as on
from core.ui.tabs.events import AS_SENT, DIRECT, PRIVATE
from core.ui.tabs.stylize_handlers import StylizeTab
from core.ui.tabs.vote_tab import TELL_STAGE, stage_html

ABOUT = (
    "Your face in this style, drawn in different ways, side by side and without their names. Your choice helps to "
    "compare them; your photo and the drawings are not stored."
)


def build(stylize: StylizeTab, runs: gr.BrowserState) -> None:
    """Lay out the panel inside the Stylize tab and connect its events."""
    ballot, offered = gr.State(None), gr.State(None)
    with gr.Accordion(label("Which drawing of you is best?"), open=False, visible=False, elem_id="photo-vote") as panel:
        gr.HTML(fragment(lambda: widgets.hint(ABOUT)))
        start = gr.Button(label("Show them"), elem_id="photo-vote-start")
        stage = stage_html("photo-vote-stage")
    tab = on.PhotoVote(panel, stage, offered, ballot)
    state = stylize.state
    drawn = [stylize.right.download, state.photo, state.crop, state.chosen, state.engine, offered]
    stylize.right.download.change(tab.offer, drawn, [offered, panel, stage, ballot], **AS_SENT | DIRECT)
    start.click(
        tab.compare,
        [state.photo, state.portrait, state.crop, state.chosen],
        [stage, ballot],
        show_progress_on=stage,
        **PRIVATE,
        **ACCELERATOR,
    )
    stage.choose(tab.vote, [ballot, runs], [stage, ballot], **DIRECT).failure(None, js=TELL_STAGE)
