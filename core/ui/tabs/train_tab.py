"""The New style tab: a few pictures in, a style out, in three steps on one page."""

from __future__ import annotations

from typing import Any

import gradio as gr

from core.ui.components import advanced, example_sets, widgets
from core.ui.i18n import fragment, label
from core.ui.server import runtime as engine
from core.ui.server.limits import limits
from core.ui.tabs import stylize_handlers as stylizing
from core.ui.tabs import train_handlers as on
from core.ui.tabs.stylize_tab import AS_SENT, QUICK, StylizeTab, photo_input

PRIVATE = {"api_visibility": "private"}


def hint(text: str) -> Any:
    """Return a quiet line of help for a component that is there from the start."""
    return fragment(lambda: widgets.hint(text))


def _step_one(head: str) -> tuple[Any, ...]:
    with gr.Column(elem_classes="step-box", min_width=320):
        title = gr.HTML(head)
        drop = gr.File(
            label=label("1 to {limit} portraits in one style", limit=limits().references),
            file_count="multiple",
            file_types=["image"],
            height=150,
            elem_id="references",
        )
        aligned = gr.Checkbox(False, label=label("These pictures are already cropped to the face"), elem_id="aligned")
        empty = fragment(lambda: widgets.reference_cards((), limit=limits().references, sets=example_sets.tiles()))
        cards = gr.HTML(empty, js_on_load=widgets.CLICKS, elem_id="cards")
    return title, drop, aligned, cards


def _step_two(head: str) -> tuple[Any, ...]:
    with gr.Column(elem_classes="step-box", min_width=320):
        title = gr.HTML(head)
        preset = gr.Radio(
            [
                (label("Sketch: lines and tone, quickest"), "sketch"),
                (label("Cartoon: new shapes and colours"), "cartoon"),
            ],
            value="sketch",
            label=label("Kind of picture"),
            elem_id="preset",
        )
        anchor = gr.Radio(
            [
                (label("Everyone: use it on any photo"), "style"),
                (label("One person: closest to your photo"), "photo"),
            ],
            value="style",
            label=label("Made for"),
            elem_id="anchor",
        )
        with gr.Accordion(label("Your photo, for the preview"), open=False, elem_id="own-photo"):
            gr.HTML(hint("Left empty, the preview uses your photo from Stylize, or an example."))
            upload = photo_input(height=200, elem_id="train-photo")
            complaint = gr.HTML("")
        with gr.Accordion(label("Advanced"), open=False, elem_id="advanced"):
            controls = advanced.controls()
    return title, preset, anchor, upload, complaint, controls


def _step_three(head: str) -> tuple[Any, ...]:
    with gr.Column(elem_classes="step-box", min_width=320):
        title = gr.HTML(head)
        with gr.Row():
            start = gr.Button(
                label("Train the style"), variant="primary", size="lg", interactive=False, elem_id="train"
            )
            stop = gr.Button(label("Stop"), variant="stop", size="lg", visible=False, elem_id="stop")
        run = gr.HTML(hint("You can watch it learn here, on your own photo, and stop at any time."), elem_id="run")
        with gr.Column(visible=False, elem_id="finish") as finish:
            name = gr.Textbox("", label=label("Name"), max_length=60, elem_id="style-name")
            with gr.Row():
                use = gr.Button(label("Use it in Stylize"), variant="primary", elem_id="use")
                download = gr.DownloadButton(label("Download the style"), interactive=False, elem_id="download-style")
        preview = gr.HTML("", visible=False, elem_id="preview")
    return title, start, stop, run, preview, finish, name, use, download


def build(tabs: gr.Tabs, stylize: StylizeTab) -> None:
    """Lay out the tab inside the current `gr.Tab` and connect its events."""
    references, made, own = gr.State(()), gr.State(None), gr.State(None)
    removed = gr.State(set())  # keys of pictures; changed in place, so that running events see it
    first, second, third = (fragment(lambda i=i: on.heads(())[i]) for i in range(3))
    title_one, drop, aligned, cards = _step_one(first)
    with gr.Row(equal_height=False):
        title_two, preset, anchor, upload, complaint, controls = _step_two(second)
        title_three, start, stop, run, preview, finish, name, use, download = _step_three(third)

    page = [references, cards, title_one, title_two, title_three, start]
    looking = {**PRIVATE, **engine.ACCELERATOR}
    drop.upload(
        on.add_references,
        [drop, references, removed, aligned],
        [drop, *page],
        show_progress_on=drop,
        **looking | AS_SENT,
    )
    cards.select(on.take_set, [references, removed], page, show_progress_on=drop, **looking)
    cards.submit(on.remove_card, [references, removed], page, **QUICK)
    cards.click(on.use_as_it_is, [references, removed], page, show_progress_on=drop, **looking)
    aligned.input(on.toggle_aligned, [references, removed, aligned], page, show_progress_on=drop, **looking)
    preset.input(on.preset_steps, preset, controls[advanced.FIELDS.index("steps")], **QUICK)

    upload.change(on.upload_own, upload, [own, complaint], show_progress_on=upload, **AS_SENT, **engine.FACES).failure(
        lambda: None, None, upload, **QUICK
    )

    parts = [made, run, preview, start, stop, finish, name, download, title_two, title_three]
    start.click(on.line_up, references, parts, **QUICK)
    training = start.click(
        on.train,
        [references, stylize.photo, own, preset, anchor, *controls],
        parts,
        show_progress="minimal",
        show_progress_on=run,
        **looking,
    )
    training.failure(lambda: on.stopped(""), None, parts, **QUICK)
    shelving = [on.shelve, [made, stylize.mine, stylize.chosen], [stylize.mine, stylize.shelf]]
    training.success(*shelving, **QUICK)
    stop.click(on.stop, None, parts, **QUICK)
    name.input(on.rename, [made, name], [made, download], trigger_mode="always_last", **QUICK).success(
        *shelving, **QUICK
    )
    drawing = (
        use.click(on.rename, [made, name], [made, download], **QUICK)
        .success(on.use_style, [made, stylize.mine], [stylize.mine, stylize.chosen, stylize.shelf, tabs], **QUICK)
        .success(stylizing.ensure_photo, stylize.photo, stylize.photo_page, **PRIVATE, **engine.FACES)
        .success(
            stylizing.draw,
            stylize.settings,
            stylize.result,
            show_progress_on=stylize.result[1:3],
            **looking,
        )
    )
    for event in stylize.other_photo:
        event(None, cancels=drawing, **QUICK)
