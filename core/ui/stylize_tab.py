"""The Stylize tab: a photo and a style in, a portrait out."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import gradio as gr

from core.ui import engine, widgets
from core.ui import stylize_handlers as on
from core.ui.session import Crop

# The handler gets the upload unread, so that a broken picture meets our sentence and not Pillow's.
AS_SENT = {"preprocess": False, "api_visibility": "private"}
# On a phone the portrait is below the styles: bring it into view.
SHOW_RESULT = """() => {
  const result = document.querySelector('#result');
  if (result && window.innerWidth < 700) result.scrollIntoView({behavior: 'smooth', block: 'center'});
}"""
QUICK = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class StylizeTab:
    """What other tabs use of this one: the visitor's state and the parts that show a style and its portrait."""

    photo: gr.State
    chosen: gr.State
    mine: gr.State
    shelf: gr.HTML
    photo_page: list[Any]
    settings: list[Any]
    result: list[Any]


def photo_input(*, label: str, height: int, elem_id: str) -> gr.Image:
    """Return an uploader (file, webcam, clipboard); listen to it with `AS_SENT`."""
    return gr.Image(
        label=label,
        type="filepath",
        image_mode=None,
        sources=["upload", "webcam", "clipboard"],
        height=height,
        buttons=[],
        elem_id=elem_id,
        placeholder="# Drop a photo here\nor click to choose one. Both eyes should be visible.",
        webcam_options=gr.WebcamOptions(mirror=True),
    )


def _examples() -> gr.HTML | None:
    from PIL import Image

    paths = on.example_paths()
    if not paths:
        return None
    tiles = "".join(
        widgets.tile(str(i), f"Example {i + 1}", widgets.data_address(Image.open(path), side_px=160), bare=True)
        for i, path in enumerate(paths)
    )
    row = f'<div class="si-examples"><span class="si-hint">Or try</span><div class="si-tiles small">{tiles}</div></div>'
    return gr.HTML(row, js_on_load=widgets.CLICKS, elem_id="examples")


def _crop_settings() -> tuple[gr.Group, gr.Radio, gr.Group, list[gr.Slider]]:
    with gr.Group(visible=False, elem_id="crop") as panel:
        mode = gr.Radio(
            [("Find the face", "detect"), ("The picture is already cropped", "aligned"), ("Choose a square", "manual")],
            value="detect",
            label="How to cut out the face",
        )
        with gr.Group(visible=False) as manual:
            sliders = [
                gr.Slider(0, 100, 50, step=1, label="Across (%)"),
                gr.Slider(0, 100, 50, step=1, label="Down (%)"),
                gr.Slider(10, 100, 70, step=1, label="Size (%)"),
            ]
    return panel, mode, manual, sliders


def _several(chosen: gr.State, mine: gr.State, drawing: list[Any]) -> None:
    with gr.Accordion("Several photos at once", open=False, elem_id="several"):
        uploads = gr.Gallery(
            label="Photos", interactive=True, columns=4, height=180, object_fit="cover", buttons=[], type="filepath"
        )
        button = gr.Button("Draw them all", variant="primary")
        notes = gr.HTML("")
        results = gr.Gallery(
            label="Portraits", interactive=False, columns=4, visible=False, format="png", buttons=["download"]
        )
        archive = gr.DownloadButton("Download all (zip)", interactive=False)
    button.click(
        on.draw_several,
        [uploads, chosen, mine, *drawing],
        [results, archive, notes],
        show_progress_on=notes,
        api_visibility="private",
        **engine.ACCELERATOR,
    )


def _input_column() -> SimpleNamespace:
    with gr.Column(scale=5, min_width=320):
        uploader = photo_input(label="Your photo", height=widgets.PHOTO_HEIGHT_PX, elem_id="photo")
        view = gr.HTML("", visible=False, js_on_load=widgets.CLICKS, elem_id="photo-view")
        examples = _examples()
        crop_panel, crop_mode, manual, crop_sliders = _crop_settings()
        with gr.Row(elem_classes="si-row"):
            gr.HTML('<p class="si-label">Style</p>')
            style_file = gr.UploadButton(
                "Open a style file", file_types=[".safetensors"], size="sm", elem_id="open-style", min_width=150
            )
        shelf = gr.HTML(widgets.shelf_loading(), js_on_load=widgets.CLICKS, elem_id="shelf")
        button = gr.Button("Draw my portrait", variant="primary", size="lg", elem_id="draw")
    return SimpleNamespace(**locals())


def _result_column(chosen: gr.State, mine: gr.State) -> SimpleNamespace:
    with gr.Column(scale=6, min_width=320):
        empty = gr.HTML(
            '<div class="si-empty"><strong>Your portrait appears here</strong>'
            "<span>Choose a photo or an example, then click a style.</span></div>"
        )
        slider = gr.ImageSlider(
            label="Before and after",
            show_label=False,
            format="png",
            interactive=False,
            visible=False,
            max_height=620,
            elem_id="result",
            buttons=["fullscreen"],
        )
        strength = gr.Slider(0, 100, 100, step=5, label="Strength (%)", elem_id="strength")
        with gr.Row(elem_classes="si-row"):
            keep = gr.Checkbox(False, label="Keep my colours", elem_id="keep-colour", min_width=150)
            into = gr.Checkbox(False, label="Put back into my photo", elem_id="into-photo", min_width=150)
        download = gr.DownloadButton("Download the portrait", interactive=False, elem_id="download")
        with gr.Accordion("Advanced", open=False):
            seed = gr.Number(0, label="Seed", info="Same seed, same picture.", precision=0, minimum=0)
        _several(chosen, mine, [strength, keep, seed])
    return SimpleNamespace(**locals())


def build(tabs: gr.Tabs, status_line: gr.HTML, page: gr.Blocks) -> StylizeTab:
    """Lay out the tab inside the current `gr.Tab` and connect its events."""
    photo, portrait, chosen = gr.State(None), gr.State(None), gr.State(None)
    mine, crop = gr.State(()), gr.State(Crop())
    with gr.Row(equal_height=False):
        left = _input_column()
        right = _result_column(chosen, mine)
    result = [portrait, right.slider, right.empty, right.download]
    crop_parts = [left.crop_panel, left.crop_mode, left.manual]
    photo_page = [photo, portrait, crop, left.uploader, left.view, *crop_parts, *result[1:]]
    settings = [photo, portrait, crop, chosen, mine, right.strength, right.keep, right.into, right.seed]
    tab = StylizeTab(photo, chosen, mine, left.shelf, photo_page, settings, result)

    page.load(
        on.greet, [chosen, mine], [status_line, left.shelf, chosen], show_progress="hidden", api_visibility="private"
    )
    _connect_photo(tab, left, crop)
    _connect_styles(tab, left, right, tabs)
    return tab


def _drawing(tab: StylizeTab) -> dict[str, Any]:
    return {"show_progress_on": tab.result[1:3], "api_visibility": "private", **engine.ACCELERATOR}


def _connect_photo(tab: StylizeTab, left: SimpleNamespace, crop: gr.State) -> None:
    looking = {"show_progress_on": [left.uploader, left.view], "api_visibility": "private", **engine.FACES}
    again = {"fn": on.redraw, "inputs": tab.settings, "outputs": tab.result, **_drawing(tab)}
    left.uploader.change(on.upload_photo, left.uploader, tab.photo_page, **{**looking, **AS_SENT}).failure(
        lambda: None, None, left.uploader, **QUICK
    )
    if left.examples is not None:
        left.examples.click(on.pick_example, None, tab.photo_page, **looking)
    clicked = [tab.photo, left.uploader, left.view, left.crop_panel, *tab.result[1:]]
    left.view.click(on.click_photo, [tab.photo, crop], clicked, **QUICK).success(**again)
    for event in (left.crop_mode.input, *(knob.release for knob in left.crop_sliders)):
        event(
            on.change_crop,
            [tab.photo, left.crop_mode, *left.crop_sliders],
            [crop, left.view, left.manual],
            **QUICK,
        ).success(**again)


def _connect_styles(tab: StylizeTab, left: SimpleNamespace, right: SimpleNamespace, tabs: gr.Tabs) -> None:
    drawing = _drawing(tab)
    looking = {"show_progress_on": [left.uploader, left.view], "api_visibility": "private", **engine.FACES}
    left.shelf.submit(on.go_to_training, None, tabs, **QUICK)
    left.shelf.click(on.pick_style, None, tab.chosen, **QUICK).success(
        on.ensure_photo, tab.photo, tab.photo_page, **looking
    ).success(on.draw, tab.settings, tab.result, **drawing).success(None, js=SHOW_RESULT)
    left.style_file.upload(
        on.open_style,
        [left.style_file, tab.mine],
        [tab.mine, tab.chosen, left.shelf],
        api_visibility="private",
        **engine.FACES,
    ).success(on.redraw, tab.settings, tab.result, **drawing)
    left.button.click(on.draw, tab.settings, tab.result, **drawing).success(None, js=SHOW_RESULT)
    for event in (right.strength.input, right.keep.input, right.into.input, right.seed.submit):
        event(on.redraw, tab.settings, tab.result, trigger_mode="always_last", **drawing)
