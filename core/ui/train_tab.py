"""The New style tab: a few pictures in, a style out, in three steps on one page."""

from __future__ import annotations

from typing import Any

import gradio as gr

from core.config import MAX_REFERENCES
from core.ui import advanced, engine, widgets
from core.ui import stylize_handlers as stylizing
from core.ui import train_handlers as on
from core.ui.stylize_tab import AS_SENT, QUICK, StylizeTab, photo_input

PRIVATE = {"api_visibility": "private"}


def _step_one(head: str) -> tuple[Any, ...]:
    with gr.Column(elem_classes="step-box", min_width=320):
        title = gr.HTML(head)
        drop = gr.File(
            label=f"1 to {MAX_REFERENCES} portraits in one style",
            file_count="multiple",
            file_types=["image"],
            height=150,
            elem_id="references",
        )
        aligned = gr.Checkbox(False, label="These pictures are already cropped to the face", elem_id="aligned")
        cards = gr.HTML(widgets.reference_cards((), limit=MAX_REFERENCES), js_on_load=widgets.CLICKS, elem_id="cards")
    return title, drop, aligned, cards


def _step_two(head: str) -> tuple[Any, ...]:
    with gr.Column(elem_classes="step-box", min_width=320):
        title = gr.HTML(head)
        preset = gr.Radio(
            [("Sketch: lines and tone, quickest", "sketch"), ("Cartoon: new shapes and colours", "cartoon")],
            value="sketch",
            label="Kind of picture",
            elem_id="preset",
        )
        anchor = gr.Radio(
            [("Everyone: use it on any photo", "style"), ("This photo: closest to one person", "photo")],
            value="style",
            label="Made for",
            elem_id="anchor",
        )
        with gr.Accordion("Your photo, for the preview", open=False, elem_id="own-photo"):
            gr.HTML(widgets.hint("Left empty, the preview uses your photo from Stylize, or an example."))
            upload = photo_input(label="Your photo", height=200, elem_id="train-photo")
            complaint = gr.HTML("")
        with gr.Accordion("Advanced", open=False, elem_id="advanced"):
            controls = advanced.controls()
    return title, preset, anchor, upload, complaint, controls


def _step_three(head: str) -> tuple[Any, ...]:
    with gr.Column(elem_classes="step-box", min_width=320):
        title = gr.HTML(head)
        with gr.Row():
            start = gr.Button("Train the style", variant="primary", size="lg", interactive=False, elem_id="train")
            stop = gr.Button("Stop", variant="stop", size="lg", visible=False, elem_id="stop")
        run = gr.HTML(
            widgets.hint("You can watch it learn here, on your own photo, and stop at any time."), elem_id="run"
        )
        with gr.Column(visible=False, elem_id="finish") as finish:
            name = gr.Textbox("My style", label="Name", max_length=60, elem_id="style-name")
            with gr.Row():
                use = gr.Button("Use it in Stylize", variant="primary", elem_id="use")
                download = gr.DownloadButton("Download the style", interactive=False, elem_id="download-style")
        preview = gr.Image(
            label="Preview",
            show_label=False,
            interactive=False,
            visible=False,
            format="png",
            height=440,
            buttons=[],
            elem_id="preview",
        )
    return title, start, stop, run, preview, finish, name, use, download


def build(tabs: gr.Tabs, stylize: StylizeTab) -> None:
    """Lay out the tab inside the current `gr.Tab` and connect its events."""
    references, made, own = gr.State(()), gr.State(None), gr.State(None)
    first, second, third = on.heads(())
    title_one, drop, aligned, cards = _step_one(first)
    with gr.Row(equal_height=False):
        title_two, preset, anchor, upload, complaint, controls = _step_two(second)
        title_three, start, stop, run, preview, finish, name, use, download = _step_three(third)

    page = [references, cards, title_one, title_two, title_three, start]
    looking = {**PRIVATE, **engine.ACCELERATOR}
    drop.upload(on.add_references, [drop, references, aligned], [drop, *page], show_progress_on=drop, **looking)
    cards.click(on.click_card, references, page, show_progress="hidden", **looking)
    aligned.input(on.toggle_aligned, [references, aligned], page, show_progress_on=drop, **looking)
    preset.input(on.preset_steps, preset, controls[advanced.FIELDS.index("steps")], **QUICK)

    upload.change(on.upload_own, upload, [own, complaint], show_progress_on=upload, **AS_SENT, **engine.FACES).failure(
        lambda: None, None, upload, **QUICK
    )

    parts = [made, run, preview, start, stop, finish, name, download, title_two, title_three]
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
    stop.click(on.stop, None, run, **QUICK)
    name.input(on.rename, [made, name], [made, download], trigger_mode="always_last", **QUICK).success(
        *shelving, **QUICK
    )
    use.click(on.rename, [made, name], [made, download], **QUICK).success(
        on.use_style, [made, stylize.mine], [stylize.mine, stylize.chosen, stylize.shelf, tabs], **QUICK
    ).success(stylizing.ensure_photo, stylize.photo, stylize.photo_page, **PRIVATE, **engine.FACES).success(
        stylizing.draw,
        stylize.settings,
        stylize.result,
        show_progress_on=stylize.result[1:3],
        **looking,
    )
