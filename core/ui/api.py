"""The endpoints for programs and agents: `list_styles`, `train` and `stylize`, typed and described.

Gradio shows them under "Use via API" and, with its `mcp` extra, as MCP tools: names and types come from the
signatures, descriptions from the docstrings, so those speak to the caller. `core.ui.endpoints` adds a parameter for
every option of a drawing and of the engines' trainings. Nothing is kept of a call but its result, a file under a name
that nobody can guess, which Gradio's cache deletes after a while.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import gradio as gr
from gradio import FileData

from core.engines import registry
from core.engines.base import DrawOptions
from core.errors import StyleIdentityError, TrainingStopped
from core.execution.jobs import DrawPortrait, PictureFile, TrainStyle
from core.options import Option, check_ranges, option, options_of
from core.ui.components import settings, style_gallery
from core.ui.components.style_gallery import FoundStyle
from core.ui.endpoints import DRAWING, drawing_parameters, preset_parameter, published, training_parameters
from core.ui.friendly_errors import PageProblem
from core.ui.server import gradio_adapter
from core.ui.server.fetching import UNREACHABLE
from core.ui.server.limits import check_training, limits
from core.ui.server.runtime import ACCELERATOR, EXECUTOR, LONG_WORK, forget_styles, studio
from core.ui.server.uploads import uploaded_path
from core.ui.server.visitors import SESSIONS

if TYPE_CHECKING:
    from core.engines.base import TrainingConfig
    from core.studio import Crop

STEPS_BETWEEN_REPORTS = 5
MAX_NAME = 60


# --- what callers send -------------------------------------------------------------------------------------


def _decoded(address: str) -> bytes:
    """Return the bytes of a data address. Raises PageProblem."""
    encoded = address.partition(",")[2]
    if len(encoded) * 3 / 4 > limits().photo_bytes:
        limit_mb = limits().photo_bytes // 10**6
        raise PageProblem("A data address may hold {limit} MB. Upload the file instead.", limit=limit_mb)
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PageProblem("This data address can't be read. Encode the file in base64.") from error


def _own_result(address: str) -> Path | None:
    """Return the file behind an address that an earlier call returned, None for any other address."""
    folder = gradio_adapter.upload_folder()
    try:
        path = Path(unquote(urlsplit(address).path.partition("/file=")[2])).resolve()
        return path if path.is_relative_to(folder) and path.is_file() else None
    except (ValueError, OSError):  # no address, or no file's name
        return None


@contextmanager
def _file(given: object, request: gr.Request) -> Iterator[Path]:
    """Give the path of a file that a caller sent: uploaded, or as a web or data address. Raises PageProblem."""
    if isinstance(given, Mapping):
        upload = uploaded_path(given, request.session_hash)
        if upload is not None:
            yield Path(upload)
            return
    if isinstance(given, str) and (own := _own_result(given)) is not None:
        yield own
        return
    if not isinstance(given, str) or not given.startswith(("http://", "https://", "data:")):
        raise PageProblem("Send each file as an upload, a web address or a base64 data address.")
    with tempfile.TemporaryDirectory() as folder:
        if given.startswith("data:"):
            path = Path(folder) / "picture"
            path.write_bytes(_decoded(given))
        else:
            try:
                path = gradio_adapter.download(given, folder)
            except ValueError as error:
                raise PageProblem(UNREACHABLE) from error
        yield path


@contextmanager
def _picture(given: object, request: gr.Request) -> Iterator[PictureFile]:
    """Give a picture that a caller sent. Raises PageProblem."""
    with _file(given, request) as path:
        name = given.get("orig_name") if isinstance(given, Mapping) else None
        yield PictureFile(path, str(name or path.name), limits().photo)


# --- what callers get --------------------------------------------------------------------------------------


def _result_path(name: str) -> Path:
    folder = gradio_adapter.upload_folder() / secrets.token_hex(16)
    folder.mkdir(parents=True)
    return folder / name


def list_styles() -> list[dict[str, str | int]]:
    """List the ready-made styles.

    Returns:
        One entry per style: "slug" and "engine" for stylize, "title", and "references", the number of pictures behind
        it; the server's own engine comes first.
    """
    own = studio().default
    found: list[dict[str, str | int]] = []
    for engine in dict.fromkeys((own, *(entry.name for entry in registry.entries()))):
        try:
            styles = studio().ready_styles(engine=engine)
        except StyleIdentityError:  # it can't be loaded just now; the others can be used
            continue
        found += [
            {"slug": card.slug, "title": card.title, "references": card.references, "engine": engine} for card in styles
        ]
    return found


def stylize(
    request: gr.Request,
    photo: FileData,
    style: str = "",
    style_file: FileData | None = None,
    into_photo: bool = False,
    face: int = 1,
    blend: bool = False,
    engine: str | None = None,
    **options: object,
) -> FileData:
    """Draw the person on a photo in an art style, so that they stay recognisable.

    Args:
        photo: A photo with a face; both eyes should be visible.
        style: Slug of a ready-made style (see list_styles); empty takes the first. Not used with style_file.
        style_file: A style that train returned, a .safetensors file.
        into_photo: The former name of blend.
        face: Which face to draw, 1 being the largest.
        blend: Put the drawn face back into the whole photo; otherwise the square around the face is returned.
        engine: Which engine draws; the server's own when left out.

    Returns:
        The picture, a PNG file.
    """
    from core.imaging.photo import save_portrait

    number = _read(FaceChoice, FACE, face, "face")
    drawing = DrawOptions(**{name: _read(DrawOptions, *given) for name, given in _given(DRAWING, options).items()})
    drawer = _engine(engine)
    with _picture(photo, request) as source, _chosen_style(style, style_file, request, drawer) as chosen:
        whole = bool(blend) or bool(into_photo)
        job = DrawPortrait(source, chosen.path, drawing, face_index=number - 1, blend=whole, engine=drawer)
        image = EXECUTOR.result(job).after
    target = _result_path(f"portrait-{style_gallery.file_name(chosen.title)}.png")
    save_portrait(image, target, blended=whole)
    return FileData(path=str(target), orig_name=target.name, mime_type="image/png")


@contextmanager
def _chosen_style(slug: object, file: object, request: gr.Request, engine: str | None = None) -> Iterator[FoundStyle]:
    """Give a ready-made style, or that of a caller's style file, checked."""
    if file is not None:
        with _file(file, request) as upload, tempfile.TemporaryDirectory() as folder:
            named = Path(folder) / "style.safetensors"  # a data or web address may have no such ending
            named.symlink_to(upload.resolve())
            opened = style_gallery.open_file(str(named), Path(folder), engine)
            try:
                yield FoundStyle(opened.title, Path(opened.path))
            finally:
                forget_styles(named)
        return
    found = style_gallery.find(str(slug) if slug else style_gallery.first_style(engine), (), engine)
    if found is None:
        slugs = ", ".join(card.slug for card in studio().ready_styles(engine=engine)) or "none are installed"
        raise PageProblem(
            "There is no ready-made style {got}. Choose one of these: {slugs}.", got=repr(str(slug)[:40]), slugs=slugs
        )
    yield found


def _config(
    references: object, engine: str | None, preset: str, personal: bool, sent: Mapping[str, object]
) -> TrainingConfig:
    """Return a run's settings from what the caller sent. Raises PageProblem."""
    if not isinstance(references, list) or not 1 <= len(references) <= limits().references:
        raise PageProblem("'references' is a list of 1 to {limit} pictures.", limit=limits().references)
    entry = registry.entry(engine or studio().default)
    kind = entry.training
    if kind is None:
        raise PageProblem("The engine '{engine}' makes no new styles.", engine=entry.name)
    if preset not in kind.presets:
        names, got = ", ".join(kind.presets), repr(str(preset)[:40])
        raise PageProblem("'preset' is one of {names}, not {got}.", names=names, got=got)
    known = {item.name: item for item in settings.offered(kind)}
    given = {name: value for name, value in sent.items() if value is not None}
    for name in given.keys() - known.keys():
        raise PageProblem("The engine '{engine}' has no '{name}'.", engine=entry.name, name=name)
    chosen = {name: _read(kind, known[name], value, name) for name, value in given.items()}
    if kind.person_option is not None:
        chosen[kind.person_option] = "photo" if personal else "style"
    elif personal:
        raise PageProblem("The engine '{engine}' makes styles for everyone. Leave 'photo' out.", engine=entry.name)
    try:
        return studio().config(preset, engine=engine, **chosen)
    except ValueError as error:
        raise PageProblem("These settings can't be used: {problem}.", problem=str(error)) from error


def train(
    request: gr.Request,
    references: list[FileData],
    preset: str = "",
    name: str = "My style",
    photo: FileData | None = None,
    aligned: bool = False,
    engine: str | None = None,
    **options: object,
) -> Iterator[FileData | None]:
    """Make a style from a few pictures of one art style, each showing a face. Takes a minute or two.

    The style file contains the pictures, since portraits are drawn from them.

    Args:
        references: 1 to 14 pictures in the style; four to eight work well.
        preset: "sketch" for lines and tone, "cartoon" for new shapes and colours, which takes three times as long.
        name: What the style shall be called.
        photo: Make the style for this one person; without a photo it suits everyone.
        aligned: The pictures are already cropped to the face.
        engine: Which engine learns the style, and draws in it later; the server's own when left out.

    Returns:
        The style, a .safetensors file that stylize takes as style_file; null while the training runs.
    """
    title = " ".join(str(name or "").split())[:MAX_NAME] or "My style"
    learner = _engine(engine)
    config = _config(references, learner, preset, photo is not None, options)
    progress = gr.Progress()  # no parameter, since `gr.api` would ask callers for it
    progress((0, config.steps), desc="Reading every picture", unit="steps")
    check_training(config, len(references), seconds=EXECUTOR.accelerator_seconds(config, len(references), learner))
    flag = SESSIONS.begin_run(request.session_hash)
    try:
        with ExitStack() as opened:
            pictures = tuple(opened.enter_context(_picture(item, request)) for item in references)
            person = None if photo is None else opened.enter_context(_picture(photo, request))
            crop: Crop = "aligned" if aligned else "detect"
            job = TrainStyle(pictures, config, title, flag, crop=crop, person=person, engine=learner)
            for step in EXECUTOR.stream(job):
                if step.step % STEPS_BETWEEN_REPORTS == 0 or step.style is not None:
                    doing = "Training" if step.step else "Drawing practice faces"
                    progress((step.step, step.steps), desc=doing, unit="steps")
                    yield None  # lets a caller who cancels or leaves end the run here
                if step.style is not None:
                    target = _result_path(f"{style_gallery.file_name(title)}.safetensors")
                    yield FileData(path=str(studio().save_style(step.style, target)), orig_name=target.name)
    except TrainingStopped:
        return
    finally:
        SESSIONS.end_run(request.session_hash, flag)


# --- options and registration ------------------------------------------------------------------------------


@dataclass(frozen=True)
class FaceChoice:
    """Which face of a photo."""

    face: int = option(1, label="Face", help="Which face to draw, 1 being the largest.", low=1, high=100)

    def __post_init__(self) -> None:
        check_ranges(self)


(FACE,) = options_of(FaceChoice)


def _engine(name: object) -> str | None:
    """Return an engine's name as the Studio takes it. Raises EngineUnknown, and as `Studio.engine`."""
    return studio().describe(str(name)).engine if name else None


def _given(items: Mapping[str, Option], sent: Mapping[str, object]) -> dict[str, tuple[Option, object, str]]:
    """Return what was sent, by option: the option, the value, and what callers call it."""
    return {item.name: (item, sent[called], called) for called, item in items.items() if called in sent}


def _read(kind: type, item: Option, value: object, called: str) -> Any:
    """Return an option's value from what was sent; it can be left out, but not be null. Raises PageProblem."""
    if value is None:
        raise settings.refused(item, value, name=called)
    return settings.read(kind, item, value, name=called)


def endpoints() -> dict[str, Callable[..., Any]]:
    """Return the public endpoints by name, as the engines of this process need them."""
    return {
        "list_styles": published(list_styles),
        "stylize": published(stylize, drawing_parameters()),
        "train": published(train, training_parameters(), preset_parameter()),
    }


def add_endpoints() -> None:
    """Register the public endpoints in the current `gr.Blocks`; every event of the page itself is private."""
    for name, handler in endpoints().items():
        lane = {"list_styles": {"queue": False}, "train": LONG_WORK}.get(name, ACCELERATOR)
        gr.api(handler, api_name=name, **lane)  # type: ignore[attr-defined]
