"""The Stylize tab: a photo and a style in, a portrait out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from core.config import ASSETS_DIR
from core.ui.components import before_after, widgets
from core.ui.i18n import fragment, label
from core.ui.server.limits import MAX_SEED
from core.ui.server.runtime import ACCELERATOR, FACES
from core.ui.server.session import Crop
from core.ui.tabs import stylize_handlers as on
from core.ui.tabs.events import AS_SENT, DIRECT, HIDDEN, PRIVATE, Options

# On a phone the portrait is below the styles: bring it into view.
SHOW_RESULT = """() => {
  const result = document.querySelector('#result');
  if (result && window.innerWidth < 700) result.scrollIntoView({behavior: 'smooth', block: 'center'});
}"""
# A secret of this tab, gone with it: after a reload the visitor finds their own styles again.
TAB_KEY = """(chosen, mine) => {
  try {
    const known = sessionStorage.getItem('styleidentity-tab');
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    const key = known || Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
    sessionStorage.setItem('styleidentity-tab', key);
    return [chosen, mine, key];
  } catch (error) { return [chosen, mine, '']; }
}"""


@dataclass(frozen=True)
class StylizeTab:
    """What other tabs use of this one: the visitor's state and the parts that show a style and its portrait."""

    photo: gr.State
    chosen: gr.State
    mine: gr.State
    gallery: gr.HTML
    photo_page: list[Any]
    settings: list[Any]
    result: list[Any]
    other_photo: list[Any]  # the events that choose another photo or none; a portrait of the one before is out of date


@dataclass(frozen=True)
class CropSettings:
    """How the face is cut out; the sliders place a square by hand."""

    panel: gr.Group
    mode: gr.Radio
    manual: gr.Group
    sliders: list[gr.Slider]


@dataclass(frozen=True)
class InputColumn:
    """Photo and style, and the button that draws."""

    uploader: gr.Image
    view: gr.HTML
    examples: gr.HTML | None
    crop: CropSettings
    style_file: gr.UploadButton
    gallery: gr.HTML
    button: gr.Button


@dataclass(frozen=True)
class ResultColumn:
    """The portrait and how it is drawn."""

    empty: gr.HTML
    slider: gr.HTML
    strength: gr.Slider
    keep: gr.Checkbox
    into: gr.Checkbox
    download: gr.DownloadButton
    seed: gr.Number


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
    paths = on.example_paths()
    if not paths:
        return None
    pictures = [_data_address(path, side_px=160) for path in paths]
    hint = fragment(lambda: widgets.hint("Or try one of these"))
    return gr.HTML(hint, html_template=widgets.examples(pictures), js_on_load=widgets.CLICKS, elem_id="examples")


def _empty_result() -> gr.HTML:
    """Return what stands in the portrait's place before there is one: a photo, a drawing, and what to do."""
    photos, drawings = on.example_paths()[:1], sorted((ASSETS_DIR / "styles").glob("*.webp"))[:1]
    pictures = [_data_address(path, side_px=200) for path in (*photos, *drawings)]
    text = fragment(widgets.no_portrait_text)
    return gr.HTML(text, html_template=widgets.no_portrait(pictures), elem_id="empty")


def _data_address(path: Path, *, side_px: int) -> str:
    from PIL import Image

    with Image.open(path) as picture:
        return widgets.data_address(picture, side_px=side_px)


def _crop_settings() -> CropSettings:
    with gr.Group(visible=False, elem_id="crop") as panel:
        mode = gr.Radio(
            [
                (label("Find the face"), "detect"),
                (label("The picture is already cropped"), "aligned"),
                (label("Choose a square"), "manual"),
            ],
            value="detect",
            label=label("How to cut out the face"),
        )
        with gr.Group(visible=False) as manual:
            sliders = [
                gr.Slider(0, 100, 50, step=1, label=label("Across (%)"), buttons=[]),
                gr.Slider(0, 100, 50, step=1, label=label("Down (%)"), buttons=[]),
                gr.Slider(10, 100, 70, step=1, label=label("Size (%)"), buttons=[]),
            ]
    return CropSettings(panel, mode, manual, sliders)


def _several(chosen: gr.State, mine: gr.State, drawing: list[Any]) -> None:
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
        notes = gr.HTML("")
        results = gr.Gallery(
            label=label("Portraits"), interactive=False, columns=4, visible=False, format="png", buttons=["download"]
        )
        archive = gr.DownloadButton(label("Download all (zip)"), interactive=False)
    button.click(lambda: gr.update(visible=True), None, stop, **DIRECT)
    running = button.click(
        on.draw_several,
        [uploads, chosen, mine, *drawing],
        [results, archive, notes],
        show_progress_on=notes,
        **AS_SENT,
        **ACCELERATOR,
    )
    running.then(lambda: gr.update(visible=False), None, stop, **DIRECT)
    stop.click(None, cancels=running, **DIRECT)


def _input_column() -> InputColumn:
    with gr.Column(scale=5, min_width=320):
        uploader = photo_input(height=widgets.PHOTO_AREA_PX, elem_id="photo")
        view = gr.HTML("", visible=False, js_on_load=widgets.CLICKS, elem_id="photo-view")
        examples = _examples()
        crop = _crop_settings()
        with gr.Row(elem_classes="si-row"):
            gr.HTML(fragment(lambda: widgets.heading("Style")))
            style_file = gr.UploadButton(
                label("Open a style file"), file_types=[".safetensors"], size="sm", elem_id="open-style", min_width=150
            )
        gallery = gr.HTML(widgets.styles_loading(), js_on_load=widgets.CLICKS, elem_id="styles")
        button = gr.Button(label("Draw my portrait"), variant="primary", size="lg", elem_id="draw")
    return InputColumn(uploader, view, examples, crop, style_file, gallery, button)


def _result_column(chosen: gr.State, mine: gr.State) -> ResultColumn:
    with gr.Column(scale=6, min_width=320):
        empty = _empty_result()
        slider = gr.HTML("", visible=False, js_on_load=before_after.CUT, elem_id="result")
        strength = gr.Slider(0, 100, 100, step=5, label=label("Strength (%)"), buttons=[], elem_id="strength")
        with gr.Row(elem_classes="si-row"):
            keep = gr.Checkbox(False, label=label("Keep my colours"), elem_id="keep-colour", min_width=150)
            into = gr.Checkbox(False, label=label("Put back into my photo"), elem_id="into-photo", min_width=150)
        download = gr.DownloadButton(label("Download the portrait"), interactive=False, elem_id="download")
        with gr.Accordion(label("Advanced"), open=False):
            seed = gr.Number(
                0, label=label("Seed"), info=label("Same seed, same picture."), precision=0, minimum=0, maximum=MAX_SEED
            )
        _several(chosen, mine, [strength, keep, seed])
    return ResultColumn(empty, slider, strength, keep, into, download, seed)


def build(tabs: gr.Tabs, status_line: gr.HTML, page: gr.Blocks) -> StylizeTab:
    """Lay out the tab inside the current `gr.Tab` and connect its events."""
    photo, portrait, chosen = gr.State(None), gr.State(None), gr.State(None)
    mine, crop = gr.State(()), gr.State(Crop())
    with gr.Row(equal_height=False):
        left = _input_column()
        right = _result_column(chosen, mine)
    result = [portrait, right.slider, right.empty, right.download]
    crop_parts = [left.crop.panel, left.crop.mode, left.crop.manual]
    photo_page = [photo, portrait, crop, left.uploader, left.view, *crop_parts, *result[1:]]
    settings = [photo, portrait, crop, chosen, mine, right.strength, right.keep, right.into, right.seed]
    examples = [] if left.examples is None else [left.examples.click]
    other_photo = [left.uploader.change, *examples, left.view.submit]
    tab = StylizeTab(photo, chosen, mine, left.gallery, photo_page, settings, result, other_photo)

    tab_key = gr.Textbox(visible=False)  # its value comes from the browser's tab
    page.load(
        on.greet,
        [chosen, mine, tab_key],
        [status_line, left.gallery, chosen, mine],
        js=TAB_KEY,
        show_progress="hidden",
        **PRIVATE,
    )
    draws = [*_connect_crop(tab, left, crop), *_connect_styles(tab, left, right, tabs)]
    _connect_photo(tab, left, draws)
    return tab


def _drawing(tab: StylizeTab) -> Options:
    return {"show_progress_on": tab.result[1:3], **PRIVATE, **ACCELERATOR}


def _looking(left: InputColumn) -> Options:
    return {"show_progress_on": [left.uploader, left.view], **PRIVATE, **FACES}


def _connect_photo(tab: StylizeTab, left: InputColumn, draws: list[Any]) -> None:
    looking = _looking(left)
    left.uploader.change(
        on.upload_photo, left.uploader, tab.photo_page, cancels=draws, **{**looking, **AS_SENT}
    ).failure(lambda: None, None, left.uploader, **DIRECT)
    if left.examples is not None:
        left.examples.click(on.pick_example, None, tab.photo_page, cancels=draws, **looking)
    left.view.submit(on.leave_photo, None, _photo_parts(tab, left), cancels=draws, **DIRECT)


def _photo_parts(tab: StylizeTab, left: InputColumn) -> list[Any]:
    return [tab.photo, left.uploader, left.view, left.crop.panel, *tab.result[1:]]


def _connect_crop(tab: StylizeTab, left: InputColumn, crop: gr.State) -> list[Any]:
    """Connect what cuts the face out; return the events that draw."""
    again: Options = {"fn": on.redraw, "inputs": tab.settings, "outputs": tab.result, **_drawing(tab)}
    draws = [left.view.click(on.click_photo, [tab.photo, crop], _photo_parts(tab, left), **DIRECT).success(**again)]
    for event in (left.crop.mode.input, *(slider.release for slider in left.crop.sliders)):
        changed = event(
            on.change_crop,
            [tab.photo, left.crop.mode, *left.crop.sliders],
            [crop, left.view, left.crop.manual],
            **DIRECT,
        )
        draws.append(changed.success(**again))
    return draws


def _connect_styles(tab: StylizeTab, left: InputColumn, right: ResultColumn, tabs: gr.Tabs) -> list[Any]:
    """Connect what chooses and changes a style; return the events that draw."""
    drawing, gallery = _drawing(tab), left.gallery
    gallery.submit(on.go_to_training, None, tabs, **DIRECT)
    picked = gallery.click(on.pick_style, None, tab.chosen, **DIRECT).success(
        on.ensure_photo, tab.photo, tab.photo_page, **_looking(left)
    )
    gallery.delete(on.remove_style, [tab.mine, tab.chosen], [tab.mine, tab.chosen, gallery], **DIRECT)
    gallery.undo(on.undo_remove, tab.chosen, [tab.mine, gallery], **DIRECT)
    opened = left.style_file.upload(
        on.open_style,
        [left.style_file, tab.mine],
        [tab.mine, tab.chosen, gallery],
        **AS_SENT,
        **FACES,
    )
    asked = [event(on.draw, tab.settings, tab.result, **drawing) for event in (picked.success, left.button.click)]
    for draw in asked:
        draw.success(None, js=SHOW_RESULT)
    changed = [
        event(on.redraw, tab.settings, tab.result, trigger_mode="always_last", **drawing)
        for event in (right.strength.input, right.keep.input, right.into.input, right.seed.submit)
    ]
    drawn = opened.success(on.redraw, tab.settings, tab.result, **drawing)
    opened.success(on.picture_styles, [tab.mine, tab.chosen], [tab.mine, gallery], **drawing | HIDDEN)
    return [*asked, *changed, drawn]
