"""The Stylize tab: a photo and a style in, a portrait out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from core.config import ASSETS_DIR
from core.engines.base import DrawOptions
from core.options import Option
from core.ui.components import before_after, kept_portraits, settings, widgets
from core.ui.components.settings import Controls
from core.ui.i18n import fragment, label
from core.ui.server.runtime import ACCELERATOR, FACES, LONG_WORK
from core.ui.server.session import CropChoice
from core.ui.tabs.events import AS_SENT, DIRECT, HIDDEN, PRIVATE, Options
from core.ui.tabs.stylize_handlers import StylizeTab, example_paths
from core.ui.tabs.stylize_parts import InputColumn, ResultColumn, Several, VisitorState

SHOWN_STYLES = ("watercolour", "cross-hatching", "cel", "paper-cut", "charcoal", "halftone")  # on the first screen
PAIR_PX = 220  # width of a slider that shares its line with another

# On a phone portrait, photo and styles share the screen: bring them into view.
SHOW_RESULT = """() => {
  const result = document.querySelector('#result');
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  if (result && window.innerWidth <= 640) result.scrollIntoView({behavior: still ? 'auto' : 'smooth', block: 'start'});
}"""


# Another photo than an example: no example is the chosen one any more.
NO_EXAMPLE = """() => document.querySelectorAll('#examples [aria-pressed=true]').forEach(
  (button) => button.setAttribute('aria-pressed', 'false'))"""


def photo_input(*, height: int, elem_id: str) -> gr.Image:
    """Return an uploader (file, webcam, clipboard); listen to it with `AS_SENT`."""
    return gr.Image(
        label=label("Your photo"),
        type="filepath",
        image_mode=None,
        sources=["upload", "webcam", "clipboard"],
        height=height,
        buttons=[],
        elem_id=elem_id,
        placeholder=label("# Drop a photo here\nor click to choose one. Both eyes should be visible."),
        webcam_options=gr.WebcamOptions(mirror=True),
    )


def _examples() -> gr.HTML | None:
    paths = example_paths()
    if not paths:
        return None
    pictures = [_data_address(path, side_px=160) for path in paths]
    hint = fragment(lambda: widgets.hint("Or try one of these"))
    return gr.HTML(hint, html_template=widgets.examples(pictures), js_on_load=widgets.CLICKS, elem_id="examples")


def _empty_result() -> gr.HTML:
    """Return what stands in the portrait's place before there is one: a photo that goes through the styles."""
    drawings = [ASSETS_DIR / "styles" / f"{slug}.webp" for slug in SHOWN_STYLES]
    paths = [*example_paths()[:1], *(path for path in drawings if path.exists())]
    photo, *drawn = [_data_address(path, side_px=384) for path in paths] or [""]
    text = fragment(widgets.no_portrait_text)
    return gr.HTML(text, html_template=widgets.no_portrait(photo, drawn), elem_id="empty")


def _data_address(path: Path, *, side_px: int) -> str:
    from PIL import Image

    with Image.open(path) as picture:
        return widgets.data_address(picture, side_px=side_px)


def _several() -> Several:
    with gr.Accordion(label("Several photos at once"), open=False, elem_id="several"):
        uploads = gr.Gallery(
            label=label("Photos"),
            interactive=True,
            columns=4,
            height=180,
            object_fit="cover",
            buttons=[],
            type="filepath",
            elem_id="several-photos",
        )
        with gr.Row():
            button = gr.Button(label("Draw them all"), variant="primary")
            stop = gr.Button(label("Stop"), variant="stop", visible=False, elem_id="several-stop")
        return Several(
            uploads,
            button,
            stop,
            notes=gr.HTML("", elem_id="several-notes"),
            results=gr.HTML("", elem_id="several-results"),
            archive=gr.DownloadButton(label("Download all (zip)"), interactive=False, elem_id="several-archive"),
        )


def _input_column() -> InputColumn:
    with gr.Column(scale=5, min_width=320):
        uploader = photo_input(height=widgets.PHOTO_AREA_PX, elem_id="photo")
        view = gr.HTML("", visible=False, js_on_load=widgets.CLICKS + widgets.FRAME, elem_id="photo-view")
        examples = _examples()
        with gr.Row(elem_classes="si-row"):
            gr.HTML(fragment(lambda: widgets.heading("Style")))
            style_file = gr.UploadButton(
                label("Open a style file"), file_types=[".safetensors"], size="sm", elem_id="open-style", min_width=150
            )
        gallery = gr.HTML(
            widgets.styles_loading(), faces={}, js_on_load=widgets.CLICKS + widgets.FACES, elem_id="styles"
        )
    return InputColumn(uploader, view, examples, style_file, gallery)


def _result_column() -> ResultColumn:
    """Lay out the portrait, and the options of a drawing: shares and choices in pairs, switches, the rest folded."""
    made: dict[str, Component] = {}

    def add(items: Iterable[Option]) -> None:
        for item in items:
            made[item.name] = settings.control(item, elem_id=item.name.replace("_", "-"), min_width=PAIR_PX)

    items = settings.offered(DrawOptions)
    shares = [item for item in items if settings.in_percent(item)]
    choices = [item for item in items if item.choices]
    switches = [item for item in items if item.type is bool]
    with gr.Column(scale=6, min_width=320):
        empty = _empty_result()
        slider = gr.HTML("", visible=False, file="", js_on_load=before_after.SCRIPT, elem_id="result")
        for alike in (shares, choices):
            for start in range(0, len(alike), 2):
                with gr.Row(equal_height=True):
                    add(alike[start : start + 2])
        with gr.Row(elem_classes="si-row"):
            add(switches)
            blend = gr.Checkbox(False, label=label("Blend into original photo"), elem_id="into-photo", min_width=150)
        forms = [(label(title), form) for form, title in kept_portraits.FORMS.items()]
        form = gr.Radio(forms, value="png", label=label("Save as"), elem_id="save-as")
        download = gr.DownloadButton(
            label("Download the portrait"), variant="primary", interactive=False, elem_id="download"
        )
        strip = gr.HTML(fragment(lambda: kept_portraits.strip(())), js_on_load=widgets.CLICKS, elem_id="strip")
        with gr.Accordion(label("Advanced"), open=False):
            add(item for item in items if item not in (*shares, *choices, *switches))
        return ResultColumn(empty, slider, Controls(DrawOptions, made), blend, form, download, strip, _several())


def build(tabs: gr.Tabs, engine: gr.State) -> StylizeTab:
    """Lay out the tab inside the current `gr.Tab` and connect its events."""
    state = VisitorState(
        engine,
        photo=gr.State(None),
        portrait=gr.State(None),
        crop=gr.State(CropChoice()),
        chosen=gr.State(None),
        mine=gr.State(()),
        tried=gr.State(None),
        kept=gr.State(()),
        shown=gr.State(None),
    )
    with gr.Row(equal_height=False, elem_id="stylize"):
        tab = StylizeTab(state, _input_column(), _result_column(), tabs)
    draws = [*_connect_crop(tab), *_connect_styles(tab)]
    _connect_photo(tab, draws)
    _connect_kept(tab)
    _connect_several(tab)
    return tab


def _drawing(tab: StylizeTab) -> Options:
    return {
        "inputs": tab.drawn_from,
        "outputs": tab.result,
        "show_progress_on": [tab.right.slider, tab.right.empty],
        **PRIVATE,
        **ACCELERATOR,
    }


def drawing_after(tab: StylizeTab, event: Callable[..., Any], handler: Callable[..., Any]) -> Any:
    """Let an event draw: it ends the drawing that runs, and the last one of several that wait takes its place.

    Returns:
        The event that draws.
    """
    drawn = event(tab.supersede, None, None, **DIRECT).success(handler, trigger_mode="always_last", **_drawing(tab))
    drawn.failure(tab.no_result, None, tab.shown, **DIRECT)  # else a rough level would say for ever that it is drawn
    return drawn


def _looking(tab: StylizeTab) -> Options:
    return {"outputs": tab.photo_page, "show_progress_on": [tab.left.uploader, tab.left.view], **PRIVATE, **FACES}


def _connect_photo(tab: StylizeTab, draws: list[Any]) -> None:
    left, engine = tab.left, tab.state.engine
    chosen = left.uploader.change(
        tab.upload_photo, [left.uploader, engine], cancels=draws, **{**_looking(tab), **AS_SENT}
    )
    chosen.failure(lambda: None, None, left.uploader, **DIRECT)
    left.uploader.upload(None, js=NO_EXAMPLE)
    left.view.submit(None, js=NO_EXAMPLE)
    drawing_after(tab, chosen.success, tab.redraw)
    if left.examples is not None:
        picked = left.examples.click(tab.pick_example, engine, cancels=draws, **_looking(tab))
        drawing_after(tab, picked.success, tab.redraw)
    left.view.submit(tab.leave_photo, None, tab.photo_page, cancels=draws, **DIRECT)


def _connect_crop(tab: StylizeTab) -> list[Any]:
    """Connect what cuts the face out; return the events that draw."""
    view, state = tab.left.view, tab.state
    view.select(tab.edit_crop, [state.photo, state.crop], view, **DIRECT)
    clicked = view.click(tab.click_photo, [state.photo, state.crop], tab.photo_page, **DIRECT)
    moved = view.input(tab.move_frame, state.photo, state.crop, trigger_mode="multiple", **DIRECT)
    return [drawing_after(tab, event.success, tab.redraw) for event in (clicked, moved)]


def _connect_styles(tab: StylizeTab) -> list[Any]:
    """Connect what chooses and changes a style; return the events that draw."""
    left, right, state = tab.left, tab.right, tab.state
    gallery, own = left.gallery, [state.mine, state.chosen, state.engine]
    styles: list[Any] = [state.mine, state.chosen, gallery]
    gallery.submit(tab.go_to_training, None, tab.tabs, **DIRECT)
    picked = gallery.click(tab.pick_style, None, state.chosen, **DIRECT).success(
        tab.ensure_photo, [state.photo, state.engine], **_looking(tab)
    )
    gallery.delete(tab.remove_style, own, [*styles, *tab.shown], **DIRECT)
    gallery.undo(tab.undo_remove, [state.chosen, state.engine], styles, **DIRECT)
    opened = left.style_file.upload(
        tab.open_style, [left.style_file, state.mine, state.engine], styles, **AS_SENT, **FACES
    )
    asked = drawing_after(tab, picked.success, tab.draw)
    asked.success(None, js=SHOW_RESULT)
    parts = (*right.drawing.by_option.values(), right.blend)
    changed = [drawing_after(tab, _settled(part), tab.redraw) for part in parts]
    drawn = drawing_after(tab, opened.success, tab.redraw)
    opened.success(tab.picture_styles, own, [state.mine, gallery], **PRIVATE, **ACCELERATOR, **HIDDEN)
    return [asked, *changed, drawn]


def _connect_kept(tab: StylizeTab) -> None:
    right, state = tab.right, tab.state
    saved: list[Any] = [right.download, right.slider]
    right.form.input(tab.save_as, [state.shown, right.form], saved, trigger_mode="always_last", **DIRECT)
    right.strip.click(tab.look_back, [state.kept, right.form], tab.shown, **DIRECT)


def _settled(part: Component) -> Any:
    """Return the event that tells of a control's new value: of a number, when it was typed to the end."""
    return part.submit if isinstance(part, (gr.Number, gr.Textbox)) else part.input  # type: ignore[attr-defined]


def _connect_several(tab: StylizeTab) -> None:
    several, state = tab.right.several, tab.state
    inputs = {several.uploads, state.engine, state.chosen, state.mine, *tab.right.drawing.components()}
    several.uploads.upload(tab.claim_photos, several.uploads, None, **{**AS_SENT, **DIRECT})
    several.button.click(lambda: gr.update(visible=True), None, several.stop, **DIRECT)
    running = several.button.click(
        tab.draw_several,
        inputs,
        [several.results, several.archive, several.notes],
        show_progress="minimal",
        show_progress_on=several.notes,
        **AS_SENT,
        **LONG_WORK,
    )
    running.failure(lambda: ("", ""), None, [several.notes, several.results], **DIRECT)
    running.then(lambda: gr.update(visible=False), None, several.stop, **DIRECT)
    several.stop.click(tab.stop_several, None, several.notes, **DIRECT)
