"""The Stylize tab: a photo and a style in, a portrait out."""

from __future__ import annotations

from dataclasses import dataclass
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
    from core.images import load_photo

    paths = on.example_paths()
    if not paths:
        return None
    tiles = "".join(
        widgets.tile(str(i), f"Example {i + 1}", widgets.data_address(load_photo(path).image, side_px=160), bare=True)
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


def build(tabs: gr.Tabs, status_line: gr.HTML, page: gr.Blocks) -> StylizeTab:
    """Lay out the tab inside the current `gr.Tab` and connect its events."""
    photo, portrait, chosen = gr.State(None), gr.State(None), gr.State(None)
    mine, crop = gr.State(()), gr.State(Crop())
    with gr.Row(equal_height=False):
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

    result = [portrait, slider, empty, download]
    photo_page = [photo, portrait, crop, uploader, view, crop_panel, crop_mode, manual, *result[1:]]
    settings = [photo, portrait, crop, chosen, mine, strength, keep, into, seed]
    drawing = {"show_progress_on": [slider, empty], "api_visibility": "private", **engine.ACCELERATOR}
    looking = {"show_progress_on": [uploader, view], "api_visibility": "private", **engine.FACES}

    page.load(on.greet, [chosen, mine], [status_line, shelf, chosen], show_progress="hidden", api_visibility="private")
    uploader.change(on.upload_photo, uploader, photo_page, **{**looking, **AS_SENT}).failure(
        lambda: None, None, uploader, **QUICK
    )
    if examples is not None:
        examples.click(on.pick_example, None, photo_page, **looking)
    view.click(on.click_photo, [photo, crop], [photo, uploader, view, crop_panel, *result[1:]], **QUICK).success(
        on.redraw, settings, result, **drawing
    )
    for event in (crop_mode.input, *(knob.release for knob in crop_sliders)):
        event(on.change_crop, [photo, crop_mode, *crop_sliders], [crop, view, manual], **QUICK).success(
            on.redraw, settings, result, **drawing
        )
    shelf.submit(on.go_to_training, None, tabs, **QUICK)
    shelf.click(on.pick_style, None, chosen, **QUICK).success(on.ensure_photo, photo, photo_page, **looking).success(
        on.draw, settings, result, **drawing
    ).success(None, js=SHOW_RESULT)
    style_file.upload(
        on.open_style, [style_file, mine], [mine, chosen, shelf], api_visibility="private", **engine.FACES
    )
    button.click(on.draw, settings, result, **drawing).success(None, js=SHOW_RESULT)
    for event in (strength.release, keep.input, into.input, seed.submit):
        event(on.redraw, settings, result, trigger_mode="always_last", **drawing)
    return StylizeTab(photo, chosen, mine, shelf, photo_page, settings, result)
