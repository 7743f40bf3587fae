"""What the New style tab's events do: collect references, run the training as a stream, hand the style over."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from core.errors import (
    NoReferences,
    StyleFileInvalid,
    TooManyReferences,
    TooManyStyles,
    TrainingStopped,
)
from core.execution.jobs import READING, PictureFile, ReadReference, ReadReferences, ReferencePicture, TrainStyle
from core.ui.components import advanced, example_sets, style_gallery, widgets
from core.ui.components.before_after import preview as preview_html
from core.ui.friendly_errors import PageProblem, friendly
from core.ui.i18n import t
from core.ui.server import queueing
from core.ui.server.limits import check_training, limits
from core.ui.server.runtime import EXECUTOR, LOCAL, studio
from core.ui.server.session import ChosenPhoto, MyStyle, Reference, new_key
from core.ui.server.uploads import published, uploaded_path, uploaded_paths
from core.ui.server.visitors import SESSIONS
from core.ui.tabs.stylize_handlers import PHASES, STYLIZE_TAB, example_paths, picture_file, read_photo

if TYPE_CHECKING:
    from core.engines.base import Style, TrainingConfig, TrainingStep
    from core.imaging.align import AlignedFace

CARD_PX = 224
STEP_TITLES = ("Drop your pictures", "Choose what it should become", "Train, then use it")
STOPPED = TrainingStopped().sentence


def heads(references: Sequence[Reference], *, trained: bool = False) -> tuple[str, str, str]:
    """Return the three step headings: each lights up when the one before it is done."""
    ready = bool(usable(references)) and len(references) <= limits().references
    later = "done" if trained else "on" if ready else "off"
    states = ("done" if ready else "on", later, later)
    return tuple(  # type: ignore[return-value]
        widgets.step_head(i + 1, title, state) for i, (title, state) in enumerate(zip(STEP_TITLES, states, strict=True))
    )


def usable(references: Sequence[Reference]) -> list[AlignedFace]:
    """Return the faces that can be trained on."""
    return [reference.face for reference in references if reference.face is not None]


# --- step 1: references ------------------------------------------------------------------------------------


def _page(references: Sequence[Reference]) -> tuple[Any, ...]:
    """Values for: references, cards, the three headings, train button."""
    count = len(references)
    limit = limits().references
    problem = TooManyReferences(count, limit).sentence if count > limit else ""
    sets = [] if references else example_sets.tiles()
    cards = widgets.reference_cards(references, limit=limit, problem=problem, sets=sets)
    ready = bool(usable(references)) and not problem
    return tuple(references), cards, *heads(references), gr.update(interactive=ready)


def _filled(references: list[Reference], removed: Collection[str], progress: gr.Progress) -> Iterator[tuple[Any, ...]]:
    """Align what is new, then show each one's photo-like inversion; yields the page after every picture.

    `removed` grows while this runs; what is in it is not shown again.
    """

    def page() -> tuple[Any, ...]:
        return _page([item for item in references if item.key not in removed])

    rows = {item.key: row for row, item in enumerate(references)}
    todo = tuple(
        ReferencePicture(item.key, picture_file(item.path, item.name), item.aligned, item.face)
        for item in references
        if not item.problem and not item.look_view
    )
    for update in EXECUTOR.stream(ReadReferences(todo)):
        phase = update.progress
        progress((phase.of * (phase.what == READING) + phase.done, 2 * phase.of), desc=t(PHASES[phase.what]))
        if update.value is not None:
            row = rows[update.value.key]
            references[row] = _read(references[row], update.value)
            yield page()
    if not todo:
        yield page()


def _read(reference: Reference, read: ReadReference) -> Reference:
    """Return a reference with what became of it."""
    if read.problem is not None:
        problem = read.problem.sentence
        return replace(reference, face=None, crop_view="", look_view="", problem=problem, readable=read.readable)
    if read.face is None:
        return reference
    crop = reference.crop_view or widgets.data_address(read.face.image, side_px=CARD_PX)
    look = "" if read.as_photo is None else widgets.data_address(read.as_photo, side_px=CARD_PX)
    return replace(reference, face=read.face, crop_view=crop, look_view=look, problem="")


@friendly
def add_references(
    payload: object,
    references: tuple[Reference, ...],
    removed: set[str],
    aligned: bool,
    request: gr.Request,
    progress: gr.Progress = gr.Progress(),
) -> Iterator[tuple[Any, ...]]:
    """Add dropped pictures. Values: the uploader (emptied), then `_page`."""
    uploads = uploaded_paths(payload or [], request.session_hash)
    added = [Reference(new_key(), path, Path(path).name, bool(aligned)) for path in uploads]
    together = [*references, *added][: 2 * limits().references]  # a few too many can be chosen from, a thousand not
    yield None, *_page(together)
    for page in _filled(together, removed, progress):
        yield gr.skip(), *page


@friendly
def take_set(
    references: tuple[Reference, ...], removed: set[str], event: gr.EventData, progress: gr.Progress = gr.Progress()
) -> Iterator[tuple[Any, ...]]:
    """Take one of our sets of pictures, in place of another of ours. Values as in `_page`."""
    chosen = example_sets.example_set(str(event.pick))
    if chosen is None:
        return
    removed.update(item.key for item in references if example_sets.is_example(item.path))
    title = t(chosen.title)
    added = [
        Reference(new_key(), str(path), f"{title} {number}", aligned=True)
        for number, path in enumerate(chosen.pictures, start=1)
    ]
    together = [*(item for item in references if item.key not in removed), *added]
    yield _page(together)
    yield from _filled(together, removed, progress)


@friendly
def remove_card(references: tuple[Reference, ...], removed: set[str], event: gr.EventData) -> tuple[Any, ...]:
    """Remove a picture, also from what a running event is about to show. Values as in `_page`."""
    removed.update(item.key for item in references if item.key == event.pick)
    return _page([item for item in references if item.key not in removed])


@friendly
def use_as_it_is(
    references: tuple[Reference, ...],
    removed: set[str],
    event: gr.EventData,
    progress: gr.Progress = gr.Progress(),
) -> Iterator[tuple[Any, ...]]:
    """Take a picture without looking for its face. Values as in `_page`."""
    changed = [replace(item, aligned=True, problem="") if item.key == event.pick else item for item in references]
    yield from _filled(changed, removed, progress)


@friendly
def toggle_aligned(
    references: tuple[Reference, ...], removed: set[str], aligned: bool, progress: gr.Progress = gr.Progress()
) -> Iterator[tuple[Any, ...]]:
    """Cut every picture out again, as found or as it is. Values as in `_page`."""
    blank = [replace(item, aligned=aligned, face=None, crop_view="", look_view="", problem="") for item in references]
    yield from _filled(blank, removed, progress)


def preset_steps(preset: str) -> Any:
    """Return the advanced setting that follows the preset."""
    return gr.update(value=studio().config(preset).steps)


# --- steps 2 and 3: training -------------------------------------------------------------------------------


@friendly
def upload_own(payload: Mapping[str, Any] | None, request: gr.Request) -> tuple[ChosenPhoto | None, str]:
    """Take the photo for the preview. Values: own photo, a sentence if its face can't be used."""
    path = uploaded_path(payload, request.session_hash)
    own = None if path is None else read_photo(path)[0]
    return own, widgets.notice(own.problem) if own else ""


def _preview(own: ChosenPhoto | None, photo: ChosenPhoto | None) -> tuple[PictureFile | None, int, bool]:
    """Return the photo to preview on, which face, and whether it is the visitor's own.

    It is theirs from here or from Stylize, or an example.
    """
    chosen = own or photo
    if chosen is not None and (own is not None or not chosen.problem):
        return picture_file(chosen.path, chosen.name), chosen.face_index, True
    examples = example_paths()
    return (picture_file(examples[0]) if examples else None), 0, False


def _config(preset: str, anchor: str, values: Sequence[Any]) -> TrainingConfig:
    try:
        return studio().config(preset, anchor=anchor, **advanced.overrides(values))
    except ValueError as error:
        raise PageProblem("One of the advanced settings is out of range. Check them and train again.") from error


def _checked(references: Sequence[Reference]) -> list[AlignedFace]:
    if len(references) > limits().references:
        raise TooManyReferences(len(references), limits().references)
    faces = usable(references)
    if not faces:
        raise NoReferences()
    return faces


def _running(message: Any, preview: Any = None) -> tuple[Any, ...]:
    """Values while training: style, run view, preview, train, stop, finish box, name, download, last two headings."""
    shown = gr.skip() if preview is None else gr.update(value=preview_html(preview), visible=True)
    return gr.skip(), message, shown, gr.update(interactive=False), gr.update(visible=True), *_unchanged(5)


def stopped(message: str = STOPPED) -> tuple[Any, ...]:
    """Values of the same parts after a run that left no style; an earlier style stays."""
    hidden = gr.update(visible=False)
    return gr.skip(), widgets.hint(message), hidden, gr.update(interactive=True), hidden, *_unchanged(5)


def _unchanged(count: int) -> tuple[Any, ...]:
    return tuple(gr.skip() for _ in range(count))


@friendly
def train(
    request: gr.Request,
    references: tuple[Reference, ...],
    photo: ChosenPhoto | None,
    own: ChosenPhoto | None,
    preset: str,
    anchor: str,
    *settings: Any,
) -> Iterator[tuple[Any, ...]]:
    """Train a style; `settings` are the advanced controls' values. Values as in `_running`."""
    flag = SESSIONS.begin_run(request.session_hash)  # from now on, `stop` reaches this run
    try:
        faces = _checked(references)
        config = _config(preset, anchor, settings)
        check_training(config, len(faces), seconds=EXECUTOR.accelerator_seconds(config, len(faces)))
        if len(SESSIONS.styles(request.session_hash)) >= limits().styles:
            raise TooManyStyles(limits().styles)
        yield _running(widgets.hint("Getting ready: reading every picture."))
        preview, face_index, is_own = _preview(own, photo)
        if config.needs_photo and not is_own:
            raise PageProblem("Add your photo first: this style is made for one person.", title="No photo yet")
        job = TrainStyle(
            tuple(faces), config, t("My style"), flag, person=preview, preview=preview, face_index=face_index
        )
        yield from _shown(EXECUTOR.stream(job), faces, references, request)
    except TrainingStopped:
        yield stopped()
    finally:
        SESSIONS.end_run(request.session_hash, flag)


def _shown(
    run: Iterator[TrainingStep],
    faces: Sequence[AlignedFace],
    references: Sequence[Reference],
    request: gr.Request,
) -> Iterator[tuple[Any, ...]]:
    """Show a run's steps, then its style or that it was stopped. Values as in `_running`."""
    losses: list[float] = []
    for item in run:
        losses.append(float(item.loss))
        if item.preview is not None or item.step % 5 == 0 or item.step == item.steps:
            view = widgets.training_run(item.step, item.steps, losses, item.seconds_left)
            yield _running(view, item.preview)
        if item.style is not None:
            yield _finished(item.style, len(faces), references, request)


def _saved(style: Style, folder: Path) -> str:
    """Write a style under its name into a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    return str(studio().save_style(style, folder / f"{style_gallery.file_name(style.name)}.safetensors"))


def _finished(style: Style, count: int, references: Sequence[Reference], request: gr.Request) -> tuple[Any, ...]:
    slug = f"my-{new_key()}"
    path = _saved(style, SESSIONS.folder(request.session_hash) / slug)
    thumbnail = next(item.crop_view for item in references if item.face is not None)
    made = MyStyle(slug, style.name, count, thumbnail, path)
    SESSIONS.keep_style(made)
    done = widgets.hint("Done. Give it a name, then use it or download it.")
    return (
        made,
        done,
        gr.skip(),
        gr.update(interactive=True),
        gr.update(visible=False),
        gr.update(visible=True),
        style.name,
        gr.update(value=published(path, request.session_hash, slug), interactive=True),
        *heads(references, trained=True)[1:],
    )


@friendly
async def stop(request: gr.Request) -> tuple[Any, ...]:
    """Ask the visitor's run to stop at its next step, or take it out of the line. Values as in `_running`."""
    if SESSIONS.stop_runs(request.session_hash):
        return _running(widgets.hint("Stopping after this step."))
    await queueing.leave_line(request.session_hash, train)
    return stopped()


def line_up(references: tuple[Reference, ...]) -> tuple[Any, ...]:
    """Show, as soon as the button is pressed, how to get out of the line again. Values as in `_running`."""
    if not usable(references):
        return _unchanged(10)
    return _running(widgets.hint("Your training starts as soon as it is your turn."))


# --- after training ----------------------------------------------------------------------------------------


@friendly
def rename(made: MyStyle | None, name: str, request: gr.Request) -> tuple[Any, Any]:
    """Write the trained style again under its name. Values: trained style, download button."""
    title = " ".join((name or "").split())[:60]
    if made is None or not title or title == made.title:
        return _unchanged(2)
    folder = SESSIONS.folder(request.session_hash) / made.slug
    path = _saved(replace(LOCAL.style_at(Path(made.path)), name=title), folder)
    renamed = replace(made, title=title, path=path)
    SESSIONS.keep_style(renamed)
    for older in folder.glob("*.safetensors"):  # names typed on the way; another tab may still use the last one
        if str(older) not in (path, made.path):
            older.unlink(missing_ok=True)
    return renamed, gr.update(value=published(path, request.session_hash, made.slug))


@friendly
def add_to_gallery(made: MyStyle | None, mine: tuple[MyStyle, ...], chosen: str | None) -> tuple[Any, ...]:
    """Put the trained style among the visitor's own under its present name. Values: own styles, gallery."""
    if made is None:
        return _unchanged(2)
    slugs = [style.slug for style in mine]
    kept = tuple(made if style.slug == made.slug else style for style in mine)
    kept = kept if made.slug in slugs else (*kept, made)
    return kept, style_gallery.gallery(kept, chosen)


@friendly
def use_style(made: MyStyle | None, mine: tuple[MyStyle, ...]) -> tuple[Any, ...]:
    """Put the trained style among the visitor's own and choose it. Values: own styles, chosen style, gallery, tabs."""
    if made is None:
        raise PageProblem("Train a style first.", title="No style yet")
    if not Path(made.path).is_file():
        raise StyleFileInvalid(made.title, "it is no longer here")
    SESSIONS.keep_style(made)  # it may have been removed
    mine, gallery = add_to_gallery(made, mine, made.slug)
    return mine, made.slug, gallery, gr.update(selected=STYLIZE_TAB)
