"""What the New style tab's events do: collect references, run the training as a stream, hand the style over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from core.engines import registry
from core.errors import (
    NoReferences,
    StyleFileInvalid,
    TooManyReferences,
    TooManyStyles,
    TrainingStopped,
)
from core.execution.jobs import READING, PictureFile, ReadReference, ReadReferences, ReferencePicture, TrainStyle
from core.imaging.square import Square
from core.ui.components import example_sets, style_gallery, widgets
from core.ui.components.before_after import preview as preview_html
from core.ui.friendly_errors import PageProblem, friendly, sentence
from core.ui.i18n import t
from core.ui.server import queueing
from core.ui.server.limits import check_training, limits
from core.ui.server.runs import RUNS, Run
from core.ui.server.runtime import EXECUTOR, LOCAL, studio
from core.ui.server.session import ChosenPhoto, CropChoice, Edits, MyStyle, Reference, new_key
from core.ui.server.uploads import published, uploaded_path, uploaded_paths
from core.ui.server.visitors import SESSIONS
from core.ui.tabs.events import Changes, Shown, unchanged
from core.ui.tabs.stylize_handlers import (
    PHASES,
    STYLIZE_TAB,
    TRAIN_TAB,
    StylizeTab,
    example_paths,
    picture_file,
    read_photo,
)
from core.ui.tabs.train_parts import TrainParts

if TYPE_CHECKING:
    from core.engines.base import Style, TrainingConfig, TrainingStep
    from core.imaging.align import AlignedFace

CARD_PX = 224
STEP_TITLES = ("Drop your pictures", "Choose a look", "Train, then use it")
LEARNS_NO_STYLES = "This engine draws in its own styles and learns no new ones. Choose another engine to make one."
STOPPED = TrainingStopped().sentence


@dataclass(frozen=True)
class Heads:
    """The headings of the three steps."""

    first: str
    second: str
    third: str


@dataclass(frozen=True)
class PreviewPhoto:
    """The photo that a training shows its progress on, which face, and whether the visitor gave it."""

    picture: PictureFile | None
    face_index: int = 0
    is_own: bool = False


def heads(references: Sequence[Reference], *, trained: bool = False) -> Heads:
    """Return the headings: each lights up when the one before it is done."""
    ready = bool(usable(references)) and len(references) <= limits().references
    later = "done" if trained else "on" if ready else "off"
    first, second, third = STEP_TITLES
    return Heads(
        widgets.step_head(1, first, "done" if ready else "on"),
        widgets.step_head(2, second, later),
        widgets.step_head(3, third, later),
    )


def usable(references: Sequence[Reference]) -> list[AlignedFace]:
    """Return the faces that can be trained on."""
    return [reference.face for reference in references if reference.face is not None]


def checked(references: Sequence[Reference]) -> list[AlignedFace]:
    """Return the faces to train on. Raises TooManyReferences, NoReferences."""
    if len(references) > limits().references:
        raise TooManyReferences(len(references), limits().references)
    faces = usable(references)
    if not faces:
        raise NoReferences()
    return faces


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


def _blank(reference: Reference, *, aligned: bool, square: Square | None = None) -> Reference:
    """Return a reference as if it had just been dropped, to be cut out in this way."""
    changes: dict[str, Any] = {"aligned": aligned, "square": square, "face": None, "problem": ""}
    return replace(reference, crop_view="", look_view="", **changes)


def _saved(style: Style, folder: Path) -> str:
    """Write a style under its name into a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    return str(studio().save_style(style, folder / f"{style_gallery.file_name(style.name)}.safetensors"))


@dataclass(frozen=True, eq=False)
class TrainTab(TrainParts):
    """The tab with what its events do; `stylize` is the tab that takes the style over."""

    stylize: StylizeTab

    # --- step 1: references --------------------------------------------------------------------------------

    def _page(self, references: Sequence[Reference]) -> Changes:
        count, limit = len(references), limits().references
        problem = TooManyReferences(count, limit).sentence if count > limit else ""
        sets = [] if references else example_sets.tiles()
        head = heads(references)
        return {
            self.references: tuple(references),
            self.first.cards: widgets.reference_cards(references, limit=limit, problem=problem, sets=sets),
            self.first.head: head.first,
            self.second.head: head.second,
            self.third.head: head.third,
            self.third.start: gr.update(interactive=bool(usable(references)) and not problem),
        }

    def _filled(
        self, references: list[Reference], edits: Edits, engine: str | None, progress: gr.Progress
    ) -> Iterator[Changes]:
        """Align what is new, then show each one's photo-like inversion; yields the page after every picture.

        `edits` may change while this runs: what was removed or cut out anew is shown as it is then.
        """

        def page() -> Changes:
            return self._page(edits.current(references))

        rows = {item.key: row for row, item in enumerate(references)}
        todo = tuple(
            ReferencePicture(item.key, picture_file(item.path, item.name), item.crop, item.face)
            for item in references
            if not item.problem and not item.look_view
        )
        for update in EXECUTOR.stream(ReadReferences(todo, engine)):
            phase = update.progress
            progress((phase.of * (phase.what == READING) + phase.done, 2 * phase.of), desc=t(PHASES[phase.what]))
            if update.value is not None:
                row = rows[update.value.key]
                references[row] = _read(references[row], update.value)
                edits.read(references[row])
                yield page()
        if not todo:
            yield page()

    @friendly
    def add_references(
        self,
        payload: object,
        references: tuple[Reference, ...],
        edits: Edits,
        aligned: bool,
        engine: str | None,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),
    ) -> Iterator[Changes]:
        """Add dropped pictures, and empty the uploader."""
        uploads = uploaded_paths(payload or [], request.session_hash)
        added = [Reference(new_key(), path, Path(path).name, bool(aligned)) for path in uploads]
        most = 2 * limits().references  # a few too many can be chosen from, a thousand not
        together = [*edits.current(references), *added][:most]
        yield {self.first.drop: None, **self._page(together)}
        yield from self._filled(together, edits, engine, progress)

    @friendly
    def take_set(
        self,
        references: tuple[Reference, ...],
        edits: Edits,
        engine: str | None,
        event: gr.EventData,
        progress: gr.Progress = gr.Progress(),
    ) -> Iterator[Changes]:
        """Take one of our sets of pictures, in place of another of ours."""
        chosen = example_sets.example_set(str(event.pick))
        if chosen is None:
            return
        edits.removed.update(item.key for item in references if example_sets.is_example(item.path))
        title = t(chosen.title)
        added = [
            Reference(new_key(), str(path), f"{title} {number}", aligned=True)
            for number, path in enumerate(chosen.pictures, start=1)
        ]
        together = [*edits.current(references), *added]
        yield self._page(together)
        yield from self._filled(together, edits, engine, progress)

    @friendly
    def remove_card(self, references: tuple[Reference, ...], edits: Edits, event: gr.EventData) -> Changes:
        """Remove a picture, also from what a running event is about to show."""
        edits.removed.update(item.key for item in references if item.key == event.pick)
        return self._page(edits.current(references))

    @friendly
    def use_as_it_is(self, references: tuple[Reference, ...], edits: Edits, event: gr.EventData) -> Changes:
        """Take a picture without looking for its face."""
        return self._cropped(references, str(event.pick), edits, aligned=True)

    @friendly
    def find_face(self, references: tuple[Reference, ...], edits: Edits, event: gr.EventData) -> Changes:
        """Look for a picture's face again, in place of what was chosen by hand."""
        return self._cropped(references, str(event.pick), edits, aligned=False)

    @friendly
    def adjust_crop(self, references: tuple[Reference, ...], event: gr.EventData) -> str:
        """Show a picture with the frame that cuts its face out, to be dragged and turned."""
        chosen = next((item for item in references if item.key == event.pick), None)
        if chosen is None:
            return ""
        image = picture_file(chosen.path, chosen.name).load().image
        square = chosen.square or (None if chosen.face is None else Square.around(chosen.face.quad))
        frame = CropChoice("manual") if square is None else CropChoice.by_hand(square, image.width, image.height)
        return widgets.crop_editor(chosen.key, chosen.name, image, frame)

    @friendly
    def use_crop(self, references: tuple[Reference, ...], edits: Edits, event: gr.EventData) -> Changes:
        """Cut a picture out by the square that the visitor laid over it."""
        key, _, told = str(event.pick).partition(":")
        chosen = next((item for item in references if item.key == key), None)
        if chosen is None:
            return unchanged()
        image = picture_file(chosen.path, chosen.name).load().image
        crop = CropChoice.told(told).for_studio(image.width, image.height)
        return self._cropped(references, key, edits, square=crop if isinstance(crop, Square) else None)

    def _cropped(
        self,
        references: Sequence[Reference],
        key: str,
        edits: Edits,
        *,
        aligned: bool = False,
        square: Square | None = None,
    ) -> Changes:
        """Close the frame and show a picture as if it had just been dropped; `read_new` reads it."""
        now = edits.current(references)
        for row, item in enumerate(now):
            if item.key == key:
                now[row] = _blank(item, aligned=aligned, square=square)
                edits.crop(now[row])
        return {self.first.editor: "", **self._page(now)}

    @friendly
    def read_new(
        self,
        references: tuple[Reference, ...],
        edits: Edits,
        engine: str | None,
        progress: gr.Progress = gr.Progress(),
    ) -> Iterator[Changes]:
        """Cut out and read what hasn't been yet."""
        yield from self._filled(edits.current(references), edits, engine, progress)

    @friendly
    def toggle_aligned(
        self,
        references: tuple[Reference, ...],
        edits: Edits,
        engine: str | None,
        aligned: bool,
        progress: gr.Progress = gr.Progress(),
    ) -> Iterator[Changes]:
        """Cut every picture out again, as found or as it is."""
        edits.cropped.clear()
        yield from self._filled([_blank(item, aligned=aligned) for item in references], edits, engine, progress)

    @friendly
    def read_again(
        self,
        references: tuple[Reference, ...],
        edits: Edits,
        engine: str | None,
        progress: gr.Progress = gr.Progress(),
    ) -> Iterator[Changes]:
        """Let another engine read every picture."""
        blank = [_blank(item, aligned=item.aligned, square=item.square) for item in references]
        yield from self._filled(blank, edits, engine, progress)

    # --- step 2: what it should become ---------------------------------------------------------------------

    def for_engine(self, engine: str) -> Changes:
        """Offer what an engine can learn. Raises as `Studio.engine`."""
        entry = registry.entry(engine)
        if not studio().capabilities(engine).trains or entry.training is None:
            says = widgets.hint(LEARNS_NO_STYLES)
            return {self.cannot: gr.update(value=says, visible=True), self.steps: gr.update(visible=False)}
        presets = [(t(entry.training.preset_title(name)), name) for name in entry.training.presets]
        return {
            self.cannot: gr.update(visible=False),
            self.steps: gr.update(visible=True),
            self.second.preset: gr.update(choices=presets, value=presets[0][1] if presets else None),
            self.second.person: gr.update(visible=entry.training.person_option is not None),
            **{one.column: gr.update(visible=name == engine) for name, one in self.second.settings.items()},
        }

    def preset_steps(self, preset: str, engine: str | None) -> Changes:
        """Let the number of steps follow the preset."""
        steps = self.second.settings[engine or studio().default].controls.by_option["steps"]
        return {steps: studio().config(preset, engine=engine).steps}

    @friendly
    def upload_own(self, payload: Mapping[str, Any] | None, engine: str | None, request: gr.Request) -> Changes:
        """Take the photo for the preview; say if its face can't be used."""
        path = uploaded_path(payload, request.session_hash)
        own = None if path is None else read_photo(path, engine).chosen
        return {self.own: own, self.second.complaint: widgets.notice(own.problem) if own else ""}

    # --- step 3: training ----------------------------------------------------------------------------------

    def _preview(self, shown: Shown) -> PreviewPhoto:
        """Return the visitor's photo from here or from Stylize, else an example."""
        own: ChosenPhoto | None = shown[self.own]
        chosen: ChosenPhoto | None = own or shown[self.stylize.state.photo]
        if chosen is not None and (own is not None or not chosen.problem):
            return PreviewPhoto(picture_file(chosen.path, chosen.name), chosen.face_index, is_own=True)
        examples = example_paths()
        return PreviewPhoto(picture_file(examples[0]) if examples else None)

    def config(self, shown: Shown) -> TrainingConfig:
        """Return the settings that the controls of the engine in use show. Raises PageProblem."""
        engine: str | None = shown[self.stylize.state.engine]
        entry = registry.entry(engine or studio().default)
        if entry.name not in self.second.settings:
            raise PageProblem(LEARNS_NO_STYLES)
        given = self.second.settings[entry.name].controls.read(shown)
        if entry.training is not None and entry.training.person_option is not None:
            given[entry.training.person_option] = shown[self.second.person]
        try:
            return studio().config(shown[self.second.preset], engine=engine, **given)
        except ValueError as error:
            raise PageProblem("One of the advanced settings is out of range. Check them and train again.") from error

    def _running(self, message: str, preview: Any = None, *, practice: bool = False) -> Changes:
        """Show that a training runs; `practice` says that the preview is a face to learn from."""
        shown = (
            gr.skip() if preview is None else gr.update(value=preview_html(preview, practice=practice), visible=True)
        )
        return {
            self.third.run: message,
            self.third.preview: shown,
            self.third.start: gr.update(interactive=False),
            self.third.stop: gr.update(visible=True),
        }

    def stopped(self, message: str = STOPPED) -> Changes:
        """Show that a run left no style; an earlier style stays."""
        return {
            self.third.run: widgets.hint(message),
            self.third.preview: gr.update(visible=False),
            self.third.start: gr.update(interactive=True),
            self.third.stop: gr.update(visible=False),
        }

    @friendly
    def train(self, shown: Shown, request: gr.Request) -> Iterator[Changes]:
        """Train a style; `shown` has the values of `trained_from`, and of Stylize's photo and engine.

        The run is the tab's: it goes on while the page is loaded again (`resume`), and there is one at a time.
        """
        run = RUNS.of(request.session_hash)
        if run is None or run.has_ended:
            run = self._begun(shown, request)
            yield self._running(widgets.hint("Getting ready: reading every picture."))
        yield from self._watched(run, request)
        if run.failure is not None:
            if not isinstance(run.failure, TrainingStopped):
                raise run.failure
            yield self.stopped()

    def _begun(self, shown: Shown, request: gr.Request) -> Run:
        """Check what was asked for, and begin the run."""
        references: Sequence[Reference] = shown[self.references]
        faces, engine = checked(references), shown[self.stylize.state.engine]
        config = self.config(shown)
        check_training(config, len(faces), seconds=EXECUTOR.accelerator_seconds(config, len(faces), engine))
        if len(SESSIONS.styles(request.session_hash)) >= limits().styles:
            raise TooManyStyles(limits().styles)
        preview = self._preview(shown)
        if config.needs_photo and not preview.is_own:
            raise PageProblem("Add your photo first: this style is made for one person.", title="No photo yet")
        name, folder = t("My style"), SESSIONS.folder(request.session_hash)
        thumbnail = next(item.crop_view for item in references if item.face is not None)

        def train(flag: Path) -> Iterator[TrainingStep]:
            job = TrainStyle(
                tuple(faces),
                config,
                name,
                flag,
                person=preview.picture,
                preview=preview.picture,
                face_index=preview.face_index,
                engine=engine,
            )
            return EXECUTOR.stream(job)

        def keep(style: Style) -> MyStyle:
            slug = f"my-{new_key()}"
            path = _saved(style, folder / slug)
            made = MyStyle(slug, style.name, style.references, thumbnail, path, style.engine)
            SESSIONS.keep_style(made)
            return made

        return RUNS.begin(
            request.session_hash,
            train,
            keep,
            references=tuple(references),
            practice_faces=config.practice_faces,
        )

    @friendly
    def resume(self, request: gr.Request) -> Iterator[Changes]:
        """Show the run of a tab that was loaded again, to its end; or what came of it meanwhile."""
        run = RUNS.of(request.session_hash)
        if run is None:
            yield unchanged()
            return
        yield self._page(run.references)
        if not run.has_ended:
            shown = self._running(widgets.hint("Your training goes on."))
            yield {**shown, self.stylize.tabs: gr.update(selected=TRAIN_TAB)}
        yield from self._watched(run, request)
        if run.failure is not None:
            yield self.stopped(sentence(run.failure))

    def _watched(self, run: Run, request: gr.Request) -> Iterator[Changes]:
        """Show a run's practice faces, its steps, then its style."""
        for at in run.watch():
            preview = at.preview if at is not None and at.is_new else None
            if at is None:
                yield unchanged()
            elif at.step:
                if preview is not None or at.step % 5 == 0 or at.step == at.steps:
                    yield self._running(widgets.training_run(at.step, at.steps, at.losses, at.seconds_left), preview)
            elif at.practised:
                said = widgets.practice_faces(at.practised, at.practice_faces)
                yield self._running(said, preview, practice=True)
        made = run.made and next(
            (own for own in SESSIONS.styles(request.session_hash) if own.slug == run.made.slug), None
        )
        if made is not None:  # not removed meanwhile, and by its present name
            yield self._finished(made, run.references, request)

    def _finished(self, made: MyStyle, references: Sequence[Reference], request: gr.Request) -> Changes:
        """Show a trained style."""
        head = heads(references, trained=True)
        return {
            self.made: made,
            self.third.run: widgets.hint("Done. Give it a name, then use it or download it."),
            self.third.start: gr.update(interactive=True),
            self.third.stop: gr.update(visible=False),
            self.third.finish: gr.update(visible=True),
            self.third.name: made.title,
            self.third.download: gr.update(
                value=published(made.path, request.session_hash, made.slug), interactive=True
            ),
            self.second.head: head.second,
            self.third.head: head.third,
        }

    @friendly
    async def stop(self, request: gr.Request) -> Changes:
        """Ask the visitor's run to stop at its next step, or take it out of the line."""
        if SESSIONS.stop_runs(request.session_hash):
            return self._running(widgets.hint("Stopping after this step."))
        await queueing.leave_line(request.session_hash, self.train)
        return self.stopped()

    def line_up(self, references: tuple[Reference, ...]) -> Changes:
        """Show, as soon as the button is pressed, how to get out of the line again."""
        if not usable(references):
            return unchanged()
        return self._running(widgets.hint("Your training starts as soon as it is your turn."))

    # --- after training ------------------------------------------------------------------------------------

    @friendly
    def rename(self, made: MyStyle | None, name: str, request: gr.Request) -> Changes:
        """Write the trained style again under its name."""
        title = " ".join((name or "").split())[:60]
        if made is None or not title or title == made.title:
            return unchanged()
        folder = SESSIONS.folder(request.session_hash) / made.slug
        path = _saved(replace(LOCAL.style_at(Path(made.path), made.engine or None), name=title), folder)
        renamed = replace(made, title=title, path=path)
        SESSIONS.keep_style(renamed)
        for older in folder.glob("*.safetensors"):  # names typed on the way; another tab may still use the last one
            if str(older) not in (path, made.path):
                older.unlink(missing_ok=True)
        download = published(path, request.session_hash, made.slug)
        return {self.made: renamed, self.third.download: gr.update(value=download)}

    @friendly
    def add_to_gallery(
        self, made: MyStyle | None, mine: tuple[MyStyle, ...], chosen: str | None, engine: str | None
    ) -> Changes:
        """Put the trained style among the visitor's own under its present name."""
        if made is None:
            return unchanged()
        kept, stylize = _with(made, mine), self.stylize
        return {stylize.state.mine: kept, stylize.left.gallery: style_gallery.gallery(kept, chosen, engine)}

    @friendly
    def use_style(self, made: MyStyle | None, mine: tuple[MyStyle, ...], engine: str | None) -> Changes:
        """Put the trained style among the visitor's own and choose it."""
        if made is None:
            raise PageProblem("Train a style first.", title="No style yet")
        if not Path(made.path).is_file():
            raise StyleFileInvalid(made.title, "it is no longer here")
        if style_gallery.find(made.slug, (made,), engine) is None:
            raise PageProblem("This style was made by another engine. Choose that one first.")
        SESSIONS.keep_style(made)  # it may have been removed
        changes = self.stylize.styles(_with(made, mine), made.slug, engine)
        return {**changes, self.stylize.tabs: gr.update(selected=STYLIZE_TAB)}


def _with(made: MyStyle, mine: tuple[MyStyle, ...]) -> tuple[MyStyle, ...]:
    """Return own styles with a new or renamed one."""
    if made.slug not in [style.slug for style in mine]:
        return (*mine, made)
    return tuple(made if style.slug == made.slug else style for style in mine)
