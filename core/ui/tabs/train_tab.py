"""The New style tab: a few pictures in, a style out, in three steps on one page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.i18n import I18nData

from core.engines import registry
from core.engines.base import DrawOptions, TrainingConfig
from core.ui.components import example_sets, settings, widgets
from core.ui.components.settings import Controls
from core.ui.i18n import fragment, label
from core.ui.server.limits import limits
from core.ui.server.runtime import FACES, LONG_WORK, READING, WATCHING
from core.ui.server.session import Edits
from core.ui.tabs.events import AS_SENT, DIRECT, PRIVATE, Options
from core.ui.tabs.stylize_handlers import StylizeTab
from core.ui.tabs.stylize_tab import drawing_after, photo_input
from core.ui.tabs.train_handlers import TrainTab, heads
from core.ui.tabs.train_parts import Settings, StepOne, StepThree, StepTwo

KEEPS_PICTURES = (
    "A downloaded style file contains your style pictures, since portraits are drawn from them. "
    "Share it only if you may share the pictures."
)


SHOW_EDITOR = "() => document.querySelector('#crop-editor')?.scrollIntoView({block: 'nearest'})"


def hint(text: str) -> I18nData:
    """Return a quiet line of help for a component that is there from the start."""
    return fragment(lambda: widgets.hint(text))


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
            editor=gr.HTML("", js_on_load=widgets.CLICKS + widgets.FRAME, elem_id="crop-editor"),
            cards=gr.HTML(
                fragment(lambda: widgets.reference_cards((), limit=limits().references, sets=example_sets.tiles())),
                js_on_load=widgets.CLICKS,
                elem_id="cards",
            ),
        )


def _settings() -> dict[str, Settings]:
    """Lay out the settings of every engine that trains; those of the first one can be seen."""
    made: dict[str, Settings] = {}
    for entry in registry.entries():
        if entry.training is not None:
            with gr.Column(visible=not made) as column:
                made[entry.name] = Settings(column, _controls(entry.training, prefix=f"{entry.name}-" if made else ""))
    return made


def _controls(kind: type[TrainingConfig], *, prefix: str) -> Controls:
    items = [item for item in settings.offered(kind) if item.name != kind.person_option]  # asked for in the open
    taken = {item.name for item in settings.offered(DrawOptions)}
    made = {}
    for start in range(0, len(items), 2):
        with gr.Row():
            for item in items[start : start + 2]:
                elem_id = f"{prefix}{'training-' if item.name in taken else ''}{item.name}".replace("_", "-")
                made[item.name] = settings.control(item, elem_id=elem_id)
    return Controls(kind, made)


def _step_two(head: I18nData) -> StepTwo:
    kind = next((entry.training for entry in registry.entries() if entry.training is not None), TrainingConfig)
    with gr.Column(elem_classes="step-box", min_width=320):
        title = gr.HTML(head)
        preset = gr.Radio(
            [(label(kind.preset_title(name)), name) for name in kind.presets],
            value=next(iter(kind.presets), None),
            label=label("Kind of picture"),
            elem_id="preset",
        )
        person = gr.Radio(
            [(label("Any face"), "style"), (label("Only my photo"), "photo")],
            value="style",
            label=label("Works on"),
            visible=kind.person_option is not None,
            elem_id="anchor",
        )
        with gr.Accordion(label("Your photo, for the preview"), open=False, elem_id="own-photo"):
            gr.HTML(hint("Left empty, the preview uses your photo from Stylize, or an example."))
            upload = photo_input(height=200, elem_id="train-photo")
            complaint = gr.HTML("")
        with gr.Accordion(label("Advanced"), open=False, elem_id="advanced"):
            return StepTwo(title, preset, person, upload, complaint, _settings())


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
            gr.HTML(hint(KEEPS_PICTURES))
            with gr.Row():
                use = gr.Button(label("Use it in Stylize"), variant="primary", elem_id="use")
                download = gr.DownloadButton(label("Download the style"), interactive=False, elem_id="download-style")
        preview = gr.HTML("", visible=False, elem_id="preview")
    return StepThree(title, start, stop, run, preview, finish, name, use, download)


def build(stylize: StylizeTab) -> TrainTab:
    """Lay out the tab inside the current `gr.Tab` and connect its events."""
    cannot = gr.HTML("", visible=False, elem_id="no-training")
    with gr.Column() as steps:
        first = _step_one(fragment(lambda: heads(()).first))
        with gr.Row(equal_height=False):
            second = _step_two(fragment(lambda: heads(()).second))
            third = _step_three(fragment(lambda: heads(()).third))
    tab = TrainTab(
        cannot,
        steps,
        first,
        second,
        third,
        references=gr.State(()),
        edits=gr.State(Edits()),
        own=gr.State(None),
        made=gr.State(None),
        stylize=stylize,
    )
    _connect_pictures(tab)
    _connect_training(tab)
    _connect_style(tab)
    return tab


def _connect_pictures(tab: TrainTab) -> None:
    """Connect what collects the pictures, and their kind."""
    first, second, engine = tab.first, tab.second, tab.stylize.state.engine
    known: list[Any] = [tab.references, tab.edits]
    shown: Options = {**PRIVATE, **READING, "show_progress_on": first.drop}
    dropped = [first.drop, *known, first.aligned, engine]
    first.drop.upload(tab.add_references, dropped, [first.drop, *tab.page], **shown | AS_SENT)
    first.cards.select(tab.take_set, [*known, engine], tab.page, **shown)
    first.cards.submit(tab.remove_card, known, tab.page, **DIRECT)
    cropped = [first.editor, *tab.page]
    cut = (
        (first.cards.click, tab.use_as_it_is),
        (first.editor.click, tab.use_as_it_is),
        (first.editor.input, tab.use_crop),
        (first.editor.undo, tab.find_face),
    )
    for event, handler in cut:
        event(handler, known, cropped, trigger_mode="multiple", **DIRECT).success(
            tab.read_new, [*known, engine], tab.page, trigger_mode="multiple", **shown
        )
    adjusting = first.cards.edit(tab.adjust_crop, tab.references, first.editor, **{**DIRECT, "queue": True}, **FACES)
    adjusting.success(None, js=SHOW_EDITOR)
    first.editor.clear(lambda: "", None, first.editor, **DIRECT)
    first.aligned.input(tab.toggle_aligned, [*known, engine, first.aligned], tab.page, **shown)
    second.preset.input(tab.preset_steps, [second.preset, engine], tab.step_counts, **DIRECT)
    second.upload.change(
        tab.upload_own,
        [second.upload, engine],
        [tab.own, second.complaint],
        show_progress_on=second.upload,
        **AS_SENT,
        **FACES,
    ).failure(lambda: None, None, second.upload, **DIRECT)


def _adding(tab: TrainTab) -> Options:
    """Return the options of the event that puts the trained style into Stylize's gallery."""
    state = tab.stylize.state
    return {
        "fn": tab.add_to_gallery,
        "inputs": [tab.made, state.mine, state.chosen, state.engine],
        "outputs": [state.mine, tab.stylize.left.gallery],
        **DIRECT,
    }


def _connect_training(tab: TrainTab) -> None:
    third, state = tab.third, tab.stylize.state
    third.start.click(tab.line_up, tab.references, tab.run, **DIRECT)
    training = third.start.click(
        tab.train,
        {state.photo, state.engine, *tab.trained_from},
        tab.run,
        show_progress="minimal",
        show_progress_on=third.run,
        **PRIVATE,
        **LONG_WORK,
    )
    training.failure(lambda: tab.stopped(""), None, tab.run, **DIRECT)
    training.success(**_adding(tab))
    third.stop.click(tab.stop, None, tab.run, **DIRECT)


def resume_after(tab: TrainTab, opened: Callable[..., Any]) -> None:
    """Let a page that was opened show the run that its tab had begun before."""
    watched = opened(
        tab.resume, None, [*tab.found_again, tab.stylize.tabs], show_progress="hidden", **PRIVATE, **WATCHING
    )
    watched.success(**_adding(tab))


def _connect_style(tab: TrainTab) -> None:
    """Connect what is done with the trained style."""
    third, stylize, state = tab.third, tab.stylize, tab.stylize.state
    renamed: Options = {
        "fn": tab.rename,
        "inputs": [tab.made, third.name],
        "outputs": [tab.made, third.download],
        **DIRECT,
    }
    third.name.change(trigger_mode="always_last", **renamed).success(**_adding(tab))
    styles: list[Any] = [state.mine, state.chosen, stylize.left.gallery, stylize.tabs]
    used = (
        third.use.click(**renamed)
        .success(tab.use_style, [tab.made, state.mine, state.engine], styles, **DIRECT)
        .success(stylize.ensure_photo, [state.photo, state.engine], stylize.photo_page, **PRIVATE, **FACES)
    )
    drawing = drawing_after(stylize, used.success, stylize.draw)
    for event in stylize.other_photo:
        event(None, cancels=drawing, **DIRECT)
