"""The New style tab: a few pictures in, a style out, in three steps on one page."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.i18n import I18nData

from core.ui.components import advanced, example_sets, widgets
from core.ui.i18n import fragment, label
from core.ui.server.limits import limits
from core.ui.server.runtime import ACCELERATOR, FACES
from core.ui.tabs import stylize_handlers
from core.ui.tabs import train_handlers as on
from core.ui.tabs.events import AS_SENT, DIRECT, PRIVATE, Options
from core.ui.tabs.stylize_tab import StylizeTab, photo_input


def hint(text: str) -> I18nData:
    """Return a quiet line of help for a component that is there from the start."""
    return fragment(lambda: widgets.hint(text))


@dataclass(frozen=True)
class StepOne:
    """The pictures."""

    head: gr.HTML
    drop: gr.File
    aligned: gr.Checkbox
    cards: gr.HTML


@dataclass(frozen=True)
class StepTwo:
    """What kind of style, made for whom, and the settings of the training."""

    head: gr.HTML
    preset: gr.Radio
    anchor: gr.Radio
    upload: gr.Image
    complaint: gr.HTML
    controls: list[Any]


@dataclass(frozen=True)
class StepThree:
    """The training, and what is done with its style."""

    head: gr.HTML
    start: gr.Button
    stop: gr.Button
    run: gr.HTML
    preview: gr.HTML
    finish: gr.Column
    name: gr.Textbox
    use: gr.Button
    download: gr.DownloadButton


def _head(number: int) -> str:
    return on.heads(())[number]


def _step_one(head: I18nData) -> StepOne:
    with gr.Column(elem_classes="step-box", min_width=320):
        return StepOne(
            head=gr.HTML(head),
            drop=gr.File(
                label=label("1 to {limit} portraits in one style", limit=limits().references),
                file_count="multiple",
                file_types=["image"],
                height=150,
                elem_id="references",
            ),
            aligned=gr.Checkbox(
                False, label=label("These pictures are already cropped to the face"), elem_id="aligned"
            ),
            cards=gr.HTML(
                fragment(lambda: widgets.reference_cards((), limit=limits().references, sets=example_sets.tiles())),
                js_on_load=widgets.CLICKS,
                elem_id="cards",
            ),
        )


def _step_two(head: I18nData) -> StepTwo:
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
    return StepTwo(title, preset, anchor, upload, complaint, controls)


def _step_three(head: I18nData) -> StepThree:
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
    return StepThree(title, start, stop, run, preview, finish, name, use, download)


def build(tabs: gr.Tabs, stylize: StylizeTab) -> None:
    """Lay out the tab inside the current `gr.Tab` and connect its events."""
    heads = [fragment(functools.partial(_head, number)) for number in range(3)]
    first = _step_one(heads[0])
    with gr.Row(equal_height=False):
        second, third = _step_two(heads[1]), _step_three(heads[2])
    references = gr.State(())
    _connect_pictures(first, second, third, references)
    _connect_training(second, third, references, tabs, stylize)


def _connect_pictures(first: StepOne, second: StepTwo, third: StepThree, references: gr.State) -> None:
    """Connect what collects the pictures, and their kind."""
    removed = gr.State(set())  # keys of pictures; changed in place, so that running events see it
    page = [references, first.cards, first.head, second.head, third.head, third.start]
    looking: Options = {**PRIVATE, **ACCELERATOR}
    shown: Options = {**looking, "show_progress_on": first.drop}
    first.drop.upload(
        on.add_references,
        [first.drop, references, removed, first.aligned],
        [first.drop, *page],
        **shown | AS_SENT,
    )
    first.cards.select(on.take_set, [references, removed], page, **shown)
    first.cards.submit(on.remove_card, [references, removed], page, **DIRECT)
    first.cards.click(on.use_as_it_is, [references, removed], page, **shown)
    first.aligned.input(on.toggle_aligned, [references, removed, first.aligned], page, **shown)
    second.preset.input(on.preset_steps, second.preset, second.controls[advanced.FIELDS.index("steps")], **DIRECT)


def _connect_training(
    second: StepTwo, third: StepThree, references: gr.State, tabs: gr.Tabs, stylize: StylizeTab
) -> None:
    """Connect the training and what is done with its style."""
    made, own = gr.State(None), gr.State(None)
    looking: Options = {**PRIVATE, **ACCELERATOR}
    second.upload.change(
        on.upload_own,
        second.upload,
        [own, second.complaint],
        show_progress_on=second.upload,
        **AS_SENT,
        **FACES,
    ).failure(lambda: None, None, second.upload, **DIRECT)

    shown = [made, third.run, third.preview, third.start, third.stop, third.finish, third.name, third.download]
    parts = [*shown, second.head, third.head]
    third.start.click(on.line_up, references, parts, **DIRECT)
    training = third.start.click(
        on.train,
        [references, stylize.photo, own, second.preset, second.anchor, *second.controls],
        parts,
        show_progress="minimal",
        show_progress_on=third.run,
        **looking,
    )
    training.failure(lambda: on.stopped(""), None, parts, **DIRECT)
    keeping = [on.add_to_gallery, [made, stylize.mine, stylize.chosen], [stylize.mine, stylize.gallery]]
    training.success(*keeping, **DIRECT)
    third.stop.click(on.stop, None, parts, **DIRECT)
    renamed: Options = {"fn": on.rename, "inputs": [made, third.name], "outputs": [made, third.download], **DIRECT}
    third.name.input(trigger_mode="always_last", **renamed).success(*keeping, **DIRECT)
    drawing = (
        third.use.click(**renamed)
        .success(on.use_style, [made, stylize.mine], [stylize.mine, stylize.chosen, stylize.gallery, tabs], **DIRECT)
        .success(stylize_handlers.ensure_photo, stylize.photo, stylize.photo_page, **PRIVATE, **FACES)
        .success(
            stylize_handlers.draw,
            stylize.settings,
            stylize.result,
            show_progress_on=stylize.result[1:3],
            **looking,
        )
    )
    for event in stylize.other_photo:
        event(None, cancels=drawing, **DIRECT)
