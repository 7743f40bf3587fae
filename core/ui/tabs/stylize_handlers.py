"""What the Stylize tab's events do: validate, give one job to the executor, say what changes on the page."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import gradio as gr
from markupsafe import Markup

from core.config import ASSETS_DIR
from core.engines.base import DrawOptions
from core.errors import StyleIdentityError, TooManyPhotos, TooManyStyles
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
from core.execution.jobs import Portrait as DrawnPortrait
from core.ui.components import kept_portraits, style_gallery, widgets
from core.ui.components.before_after import before_after
from core.ui.components.style_gallery import FoundStyle
from core.ui.friendly_errors import PageProblem, friendly
from core.ui.i18n import t
from core.ui.server import queueing
from core.ui.server.limits import limits
from core.ui.server.newest import BATCHES, DRAWINGS
from core.ui.server.runtime import EXECUTOR
from core.ui.server.session import ChosenPhoto, CropChoice, KeptPortrait, MyStyle, Portrait, new_key
from core.ui.server.uploads import published, uploaded_path, uploaded_paths
from core.ui.server.visitors import SESSIONS
from core.ui.tabs.events import Changes, Shown, unchanged
from core.ui.tabs.stylize_parts import StylizeParts

if TYPE_CHECKING:
    from core.execution.base import Update
    from core.execution.jobs import DrawnPhoto
    from core.studio import Studio

LOGGER = logging.getLogger(__name__)
VIEW_PX = 900
QUICK = DrawOptions(brush=0)  # of small pictures on tiles: brushwork takes seconds, and a visitor waits for a portrait
PHASES = {LOOKING: "Looking for faces", READING: "Seeing each face as a photo", DRAWING: "Drawing"}
TRAIN_TAB, STYLIZE_TAB = "new-style", "stylize"


def example_paths() -> list[Path]:
    """Return this project's own example photos, at most four."""
    return sorted((ASSETS_DIR / "examples").glob("*.png"))[:4]


def warm_up(studio: Studio) -> None:
    """Find and draw the first example's face, so that the first visitor doesn't wait for lazily made parts."""
    from core.imaging.photo import load_photo

    for path in example_paths()[:1]:
        studio.stylize(studio.align(load_photo(path)), None)


# --- photos and faces --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReadPhoto:
    """A photo, and its largest face where one can be drawn."""

    chosen: ChosenPhoto
    portrait: Portrait | None


def read_photo(path: str, engine: str | None, *, name: str | None = None) -> ReadPhoto:
    """Read a photo, find its faces and cut out the largest; a face problem is kept as a sentence.

    Raises PhotoUnreadable, PhotoTooLarge, PhotoTooSmall.
    """
    found = EXECUTOR.result(FindFaces(picture_file(path, name), engine))
    width, height = found.photo.image.size
    view = widgets.data_address(found.photo.image, side_px=VIEW_PX)
    problem = "" if found.problem is None else found.problem.sentence
    frames = tuple(CropChoice.by_hand(square, width, height) for square in found.squares)
    chosen = ChosenPhoto(str(path), found.photo.name, width, height, view, found.boxes, frames, problem=problem)
    key = portrait_key(chosen, CropChoice(), engine)
    return ReadPhoto(chosen, None if found.face is None else Portrait(key, found.face, None))


def picture_file(path: str | Path, name: str | None = None) -> PictureFile:
    """Return a picture that somebody sent, under the page's limits."""
    return PictureFile(Path(path), name, limits().photo)


def portrait_key(photo: ChosenPhoto, crop: CropChoice, engine: str | None) -> tuple[object, ...]:
    """Return what decides the face: the file, which face, how it is cut out, and who reads it."""
    return photo.path, photo.face_index if crop.mode == "detect" else 0, crop, engine


def has_face(photo: ChosenPhoto | None, crop: CropChoice) -> bool:
    """Tell whether there is a face to draw: one was found, or a part of the photo was chosen."""
    return photo is not None and (crop.mode != "detect" or not photo.problem)


def as_seen(photo: ChosenPhoto, portrait: Portrait | None, crop: CropChoice, engine: str | None) -> dict[str, Any]:
    """Return what a drawing job needs of a photo: the face that is kept, if it still fits, and how to find it."""
    kept = portrait if portrait is not None and portrait.key == portrait_key(photo, crop, engine) else None
    return {
        "source": picture_file(photo.path, photo.name),
        "face": None if kept is None else kept.face,
        "prepared": None if kept is None else kept.prepared,
        "face_index": photo.face_index,
        "crop": crop.for_studio(photo.width, photo.height),
        "engine": engine,
    }


def _style_or_complain(chosen: str | None, mine: Sequence[MyStyle], engine: str | None) -> FoundStyle:
    found = style_gallery.find(chosen, mine, engine)
    if found is None:
        raise PageProblem("Choose a style first, or make one under New style.", title="No style yet")
    return found


@dataclass(frozen=True, eq=False)
class StylizeTab(StylizeParts):
    """The tab with what its events do; `tabs` are the page's."""

    tabs: gr.Tabs

    @property
    def other_photo(self) -> list[Any]:
        """The listeners that choose another photo or none; a drawing of the one before is then out of date."""
        examples = [] if self.left.examples is None else [self.left.examples.click]
        return [self.left.uploader.change, *examples, self.left.view.submit]

    # --- choosing a photo ----------------------------------------------------------------------------------

    def _photo(self, read: ReadPhoto) -> Changes:
        left = self.left
        return {
            self.state.photo: read.chosen,
            self.state.portrait: read.portrait,
            self.state.tried: None,
            self.state.crop: CropChoice(),
            left.uploader: gr.update(visible=False),
            left.view: gr.update(value=widgets.photo_view(read.chosen, CropChoice()), visible=True),
            left.gallery: style_gallery.with_faces({}, of=None),
            **self.no_result(),
        }

    def no_result(self) -> Changes:
        """Show the placeholder in place of a portrait."""
        return {
            self.right.slider: gr.update(value=None, visible=False),
            self.right.empty: gr.update(visible=True),
            self.right.download: gr.update(value=None, interactive=False),
            self.state.shown: None,
        }

    def _example(self, number: int, engine: str | None) -> Changes:
        path, name = example_paths()[number], t("Example {number}", number=number + 1)
        return self._photo(read_photo(str(path), engine, name=name))

    @friendly
    def upload_photo(
        self,
        payload: Mapping[str, Any] | None,
        engine: str | None,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),
    ) -> Changes:
        """Take an uploaded or webcam photo."""
        path = uploaded_path(payload, request.session_hash)
        if path is None:
            return unchanged()
        self.supersede(request)
        progress(0.3, desc=t("Looking for faces"))
        return self._photo(read_photo(path, engine))

    @friendly
    def pick_example(
        self,
        engine: str | None,
        event: gr.EventData,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),
    ) -> Changes:
        """Take one of the example photos."""
        self.supersede(request)
        progress(0.3, desc=t("Looking for faces"))
        return self._example(int(event.pick), engine)

    @friendly
    def ensure_photo(self, photo: ChosenPhoto | None, engine: str | None) -> Changes:
        """Take the first example where a style was chosen before a photo."""
        return unchanged() if photo is not None or not example_paths() else self._example(0, engine)

    def leave_photo(self, request: gr.Request) -> Changes:
        """Go back to the uploader."""
        self.supersede(request)
        return {
            self.state.photo: None,
            self.state.portrait: None,
            self.state.tried: None,
            self.left.uploader: gr.update(value=None, visible=True),
            self.left.view: gr.update(value="", visible=False),
            self.left.gallery: style_gallery.with_faces({}, of=None),
            **self.no_result(),
        }

    @friendly
    def click_photo(self, photo: ChosenPhoto | None, crop: CropChoice, event: gr.EventData) -> Changes:
        """Choose a face, or how it is cut out."""
        if photo is None:
            return unchanged()
        ways = {"find": CropChoice(), "whole": CropChoice("aligned")}
        if event.pick in ways:
            chosen = ways[str(event.pick)]
            return {self.state.crop: chosen, self.left.view: widgets.photo_view(photo, chosen, token=new_key())}
        number = min(int(event.pick), len(photo.boxes) - 1)
        other = replace(photo, face_index=number, problem="")
        return {self.state.photo: other, self.left.view: widgets.photo_view(other, crop)}

    @friendly
    def edit_crop(self, photo: ChosenPhoto | None, crop: CropChoice) -> Any:
        """Let the frame be moved; nothing is drawn before it was."""
        return gr.skip() if photo is None else widgets.photo_view(photo, crop, editing=True)

    @friendly
    def move_frame(self, photo: ChosenPhoto | None, event: gr.EventData) -> Changes:
        """Take the square that the visitor laid over the photo."""
        return unchanged() if photo is None else {self.state.crop: CropChoice.told(event.pick)}

    # --- choosing a style ----------------------------------------------------------------------------------

    @friendly
    def pick_style(self, event: gr.EventData) -> Changes:
        """Choose the clicked tile's style."""
        return {self.state.chosen: str(event.pick)}

    def go_to_training(self) -> Changes:
        """Show the New style tab."""
        return {self.tabs: gr.update(selected=TRAIN_TAB)}

    @friendly
    def open_style(
        self,
        payload: Mapping[str, Any] | None,
        mine: tuple[MyStyle, ...],
        engine: str | None,
        request: gr.Request,
    ) -> Changes:
        """Add a style file to the visitor's own and choose it."""
        upload = uploaded_path(payload, request.session_hash)
        if upload is None:
            return unchanged()
        if len(mine) >= limits().styles:
            raise TooManyStyles(limits().styles)
        opened = style_gallery.open_file(upload, SESSIONS.folder(request.session_hash), engine)
        SESSIONS.keep_style(opened)
        return self.styles((*mine, opened), opened.slug, engine)

    def styles(
        self, mine: tuple[MyStyle, ...], chosen: str | None, engine: str | None, *, removed: MyStyle | None = None
    ) -> Changes:
        """Show the style gallery anew."""
        return {
            self.state.mine: mine,
            self.state.chosen: chosen,
            self.left.gallery: style_gallery.gallery(mine, chosen, engine, removed=removed),
        }

    @friendly
    def picture_styles(
        self, mine: tuple[MyStyle, ...], chosen: str | None, engine: str | None, request: gr.Request
    ) -> Changes:
        """Draw the first example in every opened style that has no picture yet."""
        examples = example_paths()[:1]
        bare = [style for style in mine if style.thumbnail == style_gallery.NO_PICTURE]
        bare = [style for style in bare if style_gallery.find(style.slug, [style], engine)]
        if not (bare and examples):
            return unchanged()
        paths = tuple(Path(style.path) for style in bare)
        job = CompareStyles(picture_file(examples[0]), paths, QUICK, crop="aligned", engine=engine)
        drawn = EXECUTOR.result(job)
        for style, drawing in zip(bare, drawn.drawings, strict=True):
            picture = widgets.data_address(drawing, side_px=style_gallery.THUMBNAIL_PX)
            SESSIONS.keep_style(replace(style, thumbnail=picture))
        mine = SESSIONS.styles(request.session_hash)  # others may have come meanwhile
        return {self.state.mine: mine, self.left.gallery: style_gallery.gallery(mine, chosen, engine)}

    @friendly
    def remove_style(
        self,
        mine: tuple[MyStyle, ...],
        chosen: str | None,
        engine: str | None,
        event: gr.EventData,
        request: gr.Request,
    ) -> Changes:
        """Remove one of the visitor's own styles."""
        gone = next((style for style in mine if style.slug == event.pick), None)
        if gone is None:
            return unchanged()
        SESSIONS.remove_style(request.session_hash, gone.slug)
        left = tuple(style for style in mine if style.slug != gone.slug)
        if chosen != gone.slug:
            return self.styles(left, chosen, engine, removed=gone)
        self.supersede(request)
        return {**self.styles(left, style_gallery.first_style(engine), engine, removed=gone), **self.no_result()}

    @friendly
    def undo_remove(self, chosen: str | None, engine: str | None, event: gr.EventData, request: gr.Request) -> Changes:
        """Bring the style that was removed last back."""
        SESSIONS.undo_remove(request.session_hash, str(event.pick))
        mine = SESSIONS.styles(request.session_hash)
        return {self.state.mine: mine, self.left.gallery: style_gallery.gallery(mine, chosen, engine)}

    # --- drawing -------------------------------------------------------------------------------------------

    def supersede(self, request: gr.Request) -> None:
        """End the visitor's running drawing after the level that it is at; called right before another one."""
        DRAWINGS.supersede(request.session_hash)

    @friendly
    def draw(self, shown: Shown, request: gr.Request, progress: gr.Progress = gr.Progress()) -> Iterator[Changes]:
        """Draw the portrait, a quick drawing first; `shown` has the values of `drawn_from`."""
        yield from self._draw(shown, request, progress)

    @friendly
    def redraw(self, shown: Shown, request: gr.Request, progress: gr.Progress = gr.Progress()) -> Iterator[Changes]:
        """Draw after photo, crop or a setting changed; nothing happens without a face."""
        if has_face(shown[self.state.photo], shown[self.state.crop]):
            yield from self._draw(shown, request, progress)
        else:
            yield unchanged()

    def _tried(self, shown: Shown, seen: dict[str, Any], key: tuple[object, ...]) -> tuple[Portrait, Changes] | None:
        """Draw the visitor's face quickly in every style, for the styles' tiles; None where none can be drawn.

        What goes wrong here spoils no portrait: the chosen style says it when it is drawn.
        """
        paths = style_gallery.drawable(shown[self.state.mine], shown[self.state.engine])
        if not paths:
            return None
        job = CompareStyles(style_paths=tuple(paths.values()), options=QUICK, **seen)
        try:
            drawn = EXECUTOR.result(job)
        except StyleIdentityError as error:
            LOGGER.warning(f"the styles' tiles could not be drawn: {error}")
            return None
        pictures = {
            slug: widgets.data_address(drawing, side_px=style_gallery.THUMBNAIL_PX)
            for slug, drawing in zip(paths, drawn.drawings, strict=True)
        }
        portrait = Portrait(key, drawn.face, drawn.prepared)
        faces = style_gallery.with_faces(pictures, of=key)
        return portrait, {self.state.portrait: portrait, self.state.tried: key, self.left.gallery: faces}

    def _draw(self, shown: Shown, request: gr.Request, progress: gr.Progress) -> Iterator[Changes]:
        """Show what is there so far, level by level, then the finished portrait; its file comes with that one."""
        photo, crop, engine = (shown[part] for part in (self.state.photo, self.state.crop, self.state.engine))
        if photo is None:
            raise PageProblem(
                "Choose a photo first: upload one, use your camera, or click an example.", title="No photo yet"
            )
        style = _style_or_complain(shown[self.state.chosen], shown[self.state.mine], engine)
        options = DrawOptions(**self.right.drawing.read(shown))
        progress(0.3, desc=t("Drawing"))
        key, blended = portrait_key(photo, crop, engine), bool(shown[self.right.blend])
        seen, drawn = as_seen(photo, shown[self.state.portrait], crop, engine), None
        with DRAWINGS.begin(request.session_hash) as is_superseded:
            if shown[self.state.tried] != key and (tried := self._tried(shown, seen, key)) is not None:
                if is_superseded():
                    return
                yield tried[1]
                seen = as_seen(photo, tried[0], crop, engine)
            for drawn in EXECUTOR.stream(DrawPortrait(style_path=style.path, options=options, blend=blended, **seen)):
                if is_superseded():
                    return
                yield self._so_far(drawn, key)
            if drawn is None:
                raise RuntimeError("a drawing gave nothing")
            if not is_superseded():
                yield self._finished(drawn, shown, style.title, (*key, shown[self.state.chosen]), request)

    def _finished(
        self, drawn: DrawnPortrait, shown: Shown, title: str, of: tuple[object, ...], request: gr.Request
    ) -> Changes:
        """Keep a finished portrait and show it, and its small copy on the style's tile."""
        folder, blended = SESSIONS.folder(request.session_hash), bool(shown[self.right.blend])
        made = kept_portraits.keep(folder, drawn.before, drawn.after, of=of, title=title, blended=blended)
        kept = kept_portraits.with_newest(shown[self.state.kept] or (), made)
        tile = widgets.data_address(drawn.drawing.image, side_px=style_gallery.THUMBNAIL_PX)
        return {
            self.left.gallery: style_gallery.with_faces({str(of[-1]): tile}, of=of[:-1]),
            self.right.strip: kept_portraits.strip(kept),
            self.state.kept: kept,
            self.state.shown: made,
            **self._offered(made, shown[self.right.form], request, before_after(drawn.before, drawn.after)),
        }

    def _offered(self, portrait: KeptPortrait, form: str | None, request: gr.Request, value: Any = None) -> Changes:
        """Offer a portrait in a form, to be downloaded and to be shared, with its view where that changes."""
        file = published(kept_portraits.saved(portrait, form), request.session_hash, "portrait")
        view = {} if value is None else {"value": value, "visible": True}
        return {
            self.right.slider: gr.update(file=file, **view),
            self.right.download: gr.update(value=file, interactive=True),
        }

    @friendly
    def save_as(self, portrait: KeptPortrait | None, form: str | None, request: gr.Request) -> Changes:
        """Offer the portrait that is shown in another form."""
        return unchanged() if portrait is None else self._offered(portrait, form, request)

    @friendly
    def look_back(
        self, kept: tuple[KeptPortrait, ...], form: str | None, event: gr.EventData, request: gr.Request
    ) -> Changes:
        """Show an earlier portrait of this visit again."""
        number = int(event.pick)
        if number >= len(kept):
            return unchanged()
        self.supersede(request)
        return {
            self.state.shown: kept[number],
            self.right.empty: gr.update(visible=False),
            **self._offered(kept[number], form, request, before_after(*kept_portraits.read(kept[number]))),
        }

    def _so_far(self, drawn: DrawnPortrait, key: tuple[object, ...]) -> Changes:
        return {
            self.state.portrait: Portrait(key, drawn.face, drawn.prepared),
            self.state.shown: None,
            self.right.slider: gr.update(value=before_after(drawn.before, drawn.after, rough=True), visible=True),
            self.right.empty: gr.update(visible=False),
            self.right.download: gr.update(interactive=False),
        }

    def claim_photos(self, uploads: object, request: gr.Request) -> None:
        """Note whose the dropped photos are, so that they go with their visitor."""
        uploaded_paths(uploads or [], request.session_hash)

    @friendly
    def draw_several(self, shown: Shown, request: gr.Request) -> Iterator[Changes]:
        """Draw many photos, each portrait as soon as it is done, then a zip; a stop ends it after the present photo.

        A photo that can't be drawn becomes a note beside the others.
        """
        several, engine = self.right.several, shown[self.state.engine]
        uploads = uploaded_paths(shown[several.uploads] or [], request.session_hash)
        if not uploads:
            raise PageProblem("Add the photos first.", title="No photos yet")
        if len(uploads) > limits().photos:
            raise TooManyPhotos(len(uploads), limits().photos)
        style = _style_or_complain(shown[self.state.chosen], shown[self.state.mine], engine)
        options = DrawOptions(**self.right.drawing.read(shown))
        job = DrawPhotos(tuple(map(picture_file, uploads)), style.path, options, engine)
        folder, notes = SESSIONS.folder(request.session_hash), Markup()
        files: list[Path] = []
        drawn: list[widgets.DrawnTile] = []
        yield {several.archive: gr.update(value=None, interactive=False)}
        updates = cast("Generator[Update[DrawnPhoto], None, None]", EXECUTOR.stream(job))
        with BATCHES.begin(request.session_hash) as is_stopped, closing(updates):
            for update in updates:
                result, phase = update.value, update.progress
                if result is not None and result.problem is not None:
                    notes += widgets.notice(result.problem.sentence)
                if result is not None and result.image is not None:
                    files.append(_saved_as(result, style.title, folder, len(files) + 1))
                    address = published(files[-1], request.session_hash, f"photo {len(files)}")
                    drawn.append(widgets.DrawnTile.of(result.image, files[-1].name, address))
                if is_stopped():
                    said = t("Stopped. {count} of {of} photos are drawn.", count=len(files), of=len(uploads))
                    notes += widgets.hint(said)
                    break
                left = phase.of - phase.done if phase.what == DRAWING else len(uploads)
                yield {
                    several.notes: widgets.batch(PHASES[phase.what], phase.done, phase.of) + notes,
                    several.results: widgets.drawn_photos(drawn, left=left),
                }
        archive = None
        if files:
            target = folder / f"portraits-{style_gallery.file_name(style.title)}.zip"
            archive = published(zipped(files, target), request.session_hash, "archive")
        yield {
            several.archive: gr.update(value=archive, interactive=bool(files)),
            several.notes: notes,
            several.results: widgets.drawn_photos(drawn),
        }

    @friendly
    async def stop_several(self, request: gr.Request) -> Markup:
        """Let the photos end after the one being drawn, or take them out of the line."""
        if BATCHES.supersede(request.session_hash):
            return widgets.hint("Stopping after this photo.")
        await queueing.leave_line(request.session_hash, self.draw_several)
        return Markup()


def _saved_as(drawn: DrawnPhoto, style: str, folder: Path, number: int) -> Path:
    """Write one of several portraits into a folder."""
    from core.imaging.photo import save_portrait

    name, of = style_gallery.file_name(Path(drawn.name).stem), style_gallery.file_name(style)
    file = folder / f"{number:02d}-{name}-{of}.png"
    if drawn.image is not None:
        save_portrait(drawn.image, file)
    return file


def zipped(files: Sequence[Path], target: Path) -> Path:
    """Pack files, which are compressed already, into one."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            archive.write(file, file.name)
    return target
