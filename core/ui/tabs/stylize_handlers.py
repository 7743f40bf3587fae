"""What the Stylize tab's events do: validate, call one Studio method, return what the page shows."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import TimeoutError as Waiting
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from markupsafe import Markup

from core.config import ASSETS_DIR
from core.engines.base import DrawOptions
from core.errors import TooManyPhotos, TooManyStyles
from core.execution.jobs import (
    DRAWING,
    LOOKING,
    READING,
    CompareStyles,
    DrawPhotos,
    DrawPortrait,
    FindFaces,
    PictureFile,
)
from core.ui.components import status, style_gallery, widgets
from core.ui.components.before_after import before_after
from core.ui.friendly_errors import PageProblem, friendly
from core.ui.i18n import t
from core.ui.server.limits import MAX_SEED, limits
from core.ui.server.runtime import EXECUTOR, LOADER
from core.ui.server.session import ChosenPhoto, Crop, MyStyle, Portrait
from core.ui.server.uploads import published, uploaded_path, uploaded_paths
from core.ui.server.visitors import SESSIONS

if TYPE_CHECKING:
    from core.studio import Studio

VIEW_PX = 900
PHASES = {LOOKING: "Looking for faces", READING: "Seeing each face as a photo", DRAWING: "Drawing"}
TRAIN_TAB, STYLIZE_TAB = "new-style", "stylize"


def example_paths() -> list[Path]:
    """Return this project's own example photos, at most three."""
    return sorted((ASSETS_DIR / "examples").glob("*.png"))[:3]


def read_photo(path: str, *, name: str | None = None) -> tuple[ChosenPhoto, Portrait | None]:
    """Read a photo, find its faces and cut out the largest; a face problem is kept as a sentence.

    Raises PhotoUnreadable, PhotoTooLarge, PhotoTooSmall.
    """
    found = EXECUTOR.result(FindFaces(picture_file(path, name)))
    width, height = found.photo.image.size
    view = widgets.data_address(found.photo.image, side_px=VIEW_PX)
    problem = "" if found.problem is None else found.problem.sentence
    chosen = ChosenPhoto(str(path), found.photo.name, width, height, view, boxes=found.boxes, problem=problem)
    return chosen, None if found.face is None else Portrait(portrait_key(chosen, Crop()), found.face, None)


def picture_file(path: str | Path, name: str | None = None) -> PictureFile:
    """Return a picture that somebody sent, under the page's limits."""
    return PictureFile(Path(path), name, limits().photo)


def portrait_key(photo: ChosenPhoto, crop: Crop) -> tuple[object, ...]:
    """Return what decides the face: the file, which face, and how it is cut out."""
    return photo.path, photo.face_index if crop.mode == "detect" else 0, crop


def as_seen(photo: ChosenPhoto, portrait: Portrait | None, crop: Crop) -> dict[str, Any]:
    """Return what a drawing job needs of a photo: the face that is kept, if it still fits, and how to find it."""
    kept = portrait if portrait is not None and portrait.key == portrait_key(photo, crop) else None
    return {
        "source": picture_file(photo.path, photo.name),
        "face": None if kept is None else kept.face,
        "prepared": None if kept is None else kept.prepared,
        "face_index": photo.face_index,
        "crop": crop.for_studio(photo.width, photo.height),
    }


# --- opening the page and choosing a photo -----------------------------------------------------------------


def greet(
    chosen: str | None, mine: tuple[MyStyle, ...], tab_key: str | None, request: gr.Request
) -> Iterator[tuple[Any, ...]]:
    """Tell how the Studio opens, then fill the style gallery. Values: status line, gallery, chosen style, own styles.

    `tab_key` is the browser tab's secret: after a reload, the tab finds its own styles again.
    """
    SESSIONS.adopt(request.session_hash, tab_key)
    try:
        mine = mine or SESSIONS.styles(request.session_hash)
        while True:
            try:
                opened = LOADER.studio(timeout_s=1.0)
                break
            except Waiting:
                yield status.LOADING_LINE.html(), gr.skip(), gr.skip(), mine
        chosen = chosen or style_gallery.first_style()
        yield status.describe(opened), style_gallery.gallery(mine, chosen), chosen, mine
    except Exception as error:
        yield status.failed(error), widgets.style_gallery([], None), None, mine


def warm_up(studio: Studio) -> None:
    """Find and draw the first example's face, so that the first visitor doesn't wait for lazily made parts."""
    from core.imaging.photo import load_photo

    for path in example_paths()[:1]:
        studio.stylize(studio.align(load_photo(path)), None)


def _photo_page(chosen: ChosenPhoto, portrait: Portrait | None) -> tuple[Any, ...]:
    """Values for the states of photo, portrait and crop, uploader, view, three crop parts, three result parts."""
    return (
        chosen,
        portrait,
        Crop(),
        gr.update(visible=False),
        gr.update(value=widgets.photo_view(chosen, Crop()), visible=True),
        gr.update(visible=bool(chosen.problem)),
        "detect",
        gr.update(visible=False),
        *empty_result(),
    )


def empty_result() -> tuple[Any, ...]:
    """Values for slider, placeholder and download button before there is a portrait."""
    return gr.update(value=None, visible=False), gr.update(visible=True), gr.update(value=None, interactive=False)


@friendly
def upload_photo(
    payload: Mapping[str, Any] | None, request: gr.Request, progress: gr.Progress = gr.Progress()
) -> tuple[Any, ...]:
    """Take an uploaded or webcam photo."""
    path = uploaded_path(payload, request.session_hash)
    if path is None:
        return tuple(gr.skip() for _ in range(11))
    progress(0.3, desc=t("Looking for faces"))
    return _photo_page(*read_photo(path))


@friendly
def pick_example(event: gr.EventData, progress: gr.Progress = gr.Progress()) -> tuple[Any, ...]:
    """Take one of the example photos."""
    progress(0.3, desc=t("Looking for faces"))
    path = example_paths()[int(event.pick)]
    return _photo_page(*read_photo(str(path), name=t("Example {number}", number=int(event.pick) + 1)))


@friendly
def ensure_photo(photo: ChosenPhoto | None) -> Any:
    """Take the first example where a style was chosen before a photo."""
    examples = example_paths()
    if photo is not None or not examples:
        return tuple(gr.skip() for _ in range(11))
    return _photo_page(*read_photo(str(examples[0]), name=t("Example {number}", number=1)))


def leave_photo() -> tuple[Any, ...]:
    """Go back to the uploader. Values as in `click_photo`."""
    hidden = gr.update(visible=False)
    return None, gr.update(value=None, visible=True), gr.update(value="", visible=False), hidden, *empty_result()


@friendly
def click_photo(photo: ChosenPhoto | None, crop: Crop, event: gr.EventData) -> tuple[Any, ...]:
    """Choose a face or show the crop settings. Values: photo state, uploader, view, crop panel, result."""
    unchanged = (gr.skip(), gr.skip(), gr.skip())
    if photo is None:
        return leave_photo()
    if event.pick == "crop":
        return gr.skip(), gr.skip(), gr.skip(), gr.update(visible=True), *unchanged
    chosen = replace(photo, face_index=min(int(event.pick), len(photo.boxes) - 1), problem="")
    return chosen, gr.skip(), widgets.photo_view(chosen, crop), gr.skip(), *unchanged


@friendly
def change_crop(photo: ChosenPhoto | None, mode: str, across: float, down: float, size: float) -> tuple[Any, Any, Any]:
    """Take another way to cut the face out. Values: crop state, view, manual settings."""
    crop = Crop(mode, across, down, size)  # type: ignore[arg-type]
    return crop, widgets.photo_view(photo, crop) if photo else gr.skip(), gr.update(visible=mode == "manual")


# --- choosing a style --------------------------------------------------------------------------------------


@friendly
def pick_style(event: gr.EventData) -> str:
    """Return the slug of the clicked tile."""
    return str(event.pick)


def go_to_training() -> Any:
    """Show the New style tab."""
    return gr.update(selected=TRAIN_TAB)


@friendly
def open_style(
    payload: Mapping[str, Any] | None, mine: tuple[MyStyle, ...], request: gr.Request
) -> tuple[Any, Any, Any]:
    """Add a style file to the visitor's own and choose it. Values: own styles, chosen style, gallery."""
    upload = uploaded_path(payload, request.session_hash)
    if upload is None:
        return gr.skip(), gr.skip(), gr.skip()
    if len(mine) >= limits().styles:
        raise TooManyStyles(limits().styles)
    opened = style_gallery.open_file(upload, SESSIONS.folder(request.session_hash))
    SESSIONS.keep_style(opened)
    mine = (*mine, opened)
    return mine, opened.slug, style_gallery.gallery(mine, opened.slug)


@friendly
def picture_styles(mine: tuple[MyStyle, ...], chosen: str | None, request: gr.Request) -> tuple[Any, Any]:
    """Draw the first example in every opened style that has no picture yet. Values: own styles, gallery."""
    examples = example_paths()[:1]
    bare = [style for style in mine if style.thumbnail == style_gallery.NO_PICTURE]
    if not (bare and examples):
        return gr.skip(), gr.skip()
    paths = tuple(Path(style.path) for style in bare)
    drawn = EXECUTOR.result(CompareStyles(picture_file(examples[0]), paths, crop="aligned"))
    for style, drawing in zip(bare, drawn.drawings, strict=True):
        picture = widgets.data_address(drawing, side_px=style_gallery.THUMBNAIL_PX)
        SESSIONS.keep_style(replace(style, thumbnail=picture))
    mine = SESSIONS.styles(request.session_hash)  # others may have come meanwhile
    return mine, style_gallery.gallery(mine, chosen)


@friendly
def remove_style(
    mine: tuple[MyStyle, ...], chosen: str | None, event: gr.EventData, request: gr.Request
) -> tuple[Any, Any, Any]:
    """Remove one of the visitor's own styles. Values: own styles, chosen style, gallery."""
    gone = next((style for style in mine if style.slug == event.pick), None)
    if gone is None:
        return gr.skip(), gr.skip(), gr.skip()
    SESSIONS.remove_style(request.session_hash, gone.slug)
    mine = tuple(style for style in mine if style.slug != gone.slug)
    chosen = style_gallery.first_style() if chosen == gone.slug else chosen
    return mine, chosen, style_gallery.gallery(mine, chosen, removed=gone)


@friendly
def undo_remove(chosen: str | None, event: gr.EventData, request: gr.Request) -> tuple[Any, Any]:
    """Bring the style that was removed last back. Values: own styles, gallery."""
    SESSIONS.undo_remove(request.session_hash, str(event.pick))
    mine = SESSIONS.styles(request.session_hash)
    return mine, style_gallery.gallery(mine, chosen)


# --- drawing -----------------------------------------------------------------------------------------------


def _style_or_complain(chosen: str | None, mine: Sequence[MyStyle]) -> tuple[str, str]:
    found = style_gallery.find(chosen, mine)
    if found is None:
        raise PageProblem("Choose a style first, or make one under New style.", title="No style yet")
    return found


def _seed(number: float | None) -> int:
    """Return the seed that the visitor chose, 0 for an emptied field. Raises PageProblem."""
    if not 0 <= (number or 0) <= MAX_SEED:
        raise PageProblem("The seed is a number from 0 to {limit}.", limit=MAX_SEED)
    return int(number or 0)


@friendly
def draw(
    photo: ChosenPhoto | None,
    portrait: Portrait | None,
    crop: Crop,
    chosen: str | None,
    mine: tuple[MyStyle, ...],
    strength: float,
    keep_colour: bool,
    into_photo: bool,
    seed: float | None,
    request: gr.Request,
    progress: gr.Progress = gr.Progress(),
) -> tuple[Any, ...]:
    """Draw the portrait. Values: portrait state, slider, placeholder, download button."""
    from core.imaging.photo import save_png

    if photo is None:
        raise PageProblem(
            "Choose a photo first: upload one, use your camera, or click an example.", title="No photo yet"
        )
    title, path = _style_or_complain(chosen, mine)
    options = DrawOptions(strength / 100, keep_colour, _seed(seed))
    progress(0.3, desc=t("Drawing"))
    job = DrawPortrait(style_path=Path(path), options=options, blend=into_photo, **as_seen(photo, portrait, crop))
    drawn = EXECUTOR.result(job)
    file = SESSIONS.folder(request.session_hash) / f"portrait-{style_gallery.file_name(title)}.png"
    save_png(drawn.after, file)
    return (
        Portrait(portrait_key(photo, crop), drawn.face, drawn.prepared),
        gr.update(value=before_after(drawn.before, drawn.after), visible=True),
        gr.update(visible=False),
        gr.update(value=published(file, request.session_hash, "portrait"), interactive=True),
    )


def redraw(
    photo: ChosenPhoto | None,
    portrait: Portrait | None,
    crop: Crop,
    chosen: str | None,
    mine: tuple[MyStyle, ...],
    strength: float,
    keep_colour: bool,
    into_photo: bool,
    seed: float | None,
    request: gr.Request,
    progress: gr.Progress = gr.Progress(),
) -> tuple[Any, ...]:
    """Draw again after a setting changed; nothing happens before the first portrait. Values as in `draw`."""
    if photo is None or portrait is None or portrait.prepared is None:
        return tuple(gr.skip() for _ in range(4))
    return draw(photo, portrait, crop, chosen, mine, strength, keep_colour, into_photo, seed, request, progress)


# --- several photos ----------------------------------------------------------------------------------------


@friendly
def draw_several(
    payload: Sequence[Mapping[str, Any]] | None,
    chosen: str | None,
    mine: tuple[MyStyle, ...],
    strength: float,
    keep_colour: bool,
    seed: float | None,
    request: gr.Request,
    progress: gr.Progress = gr.Progress(),
) -> Iterator[tuple[Any, ...]]:
    """Draw several photos, the largest face of each. Values: results, download button, notes."""
    from core.imaging.photo import save_png

    uploads = uploaded_paths(payload or [], request.session_hash)
    if not uploads:
        raise PageProblem("Add the photos first.", title="No photos yet")
    if len(uploads) > limits().photos:
        raise TooManyPhotos(len(uploads), limits().photos)
    title, path = _style_or_complain(chosen, mine)
    options = DrawOptions(strength / 100, keep_colour, _seed(seed))
    folder = SESSIONS.folder(request.session_hash)
    notes = Markup()
    files: list[Path] = []
    shown: list[str] = []
    for update in EXECUTOR.stream(DrawPhotos(tuple(map(picture_file, uploads)), Path(path), options)):
        phase = update.progress
        drawing = phase.what == DRAWING
        progress((len(uploads) * drawing + phase.done, 2 * len(uploads)), desc=t(PHASES[phase.what]))
        if update.value is None:
            continue
        if update.value.problem is not None:
            notes += widgets.notice(update.value.problem.sentence)
        if update.value.image is None:
            continue
        name = f"{style_gallery.file_name(update.value.name)}-{style_gallery.file_name(title)}"
        file = folder / f"{len(files) + 1:02d}-{name}.png"
        save_png(update.value.image, file)
        files.append(file)
        shown.append(published(file, request.session_hash, f"photo {len(files)}"))
        yield gr.update(value=list(shown), visible=True), gr.skip(), notes
    archive = folder / f"portraits-{style_gallery.file_name(title)}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
        for file in files:
            target.write(file, file.name)
    download = published(archive, request.session_hash, "archive") if files else None
    yield gr.skip(), gr.update(value=download, interactive=bool(files)), notes
