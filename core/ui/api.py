"""The endpoints for programs and agents: `list_styles`, `train` and `stylize`, typed and described.

Gradio shows them under "Use via API" and, with its `mcp` extra, as MCP tools: names and types come from the
signatures, descriptions from the docstrings, so those speak to the caller. Nothing is kept of a call but its result,
a file under a name that nobody can guess, which Gradio's cache deletes after a while.
"""

from __future__ import annotations

import base64
import binascii
import inspect
import secrets
import tempfile
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

import gradio as gr
from gradio import FileData

from core.engines.base import DrawOptions
from core.errors import TrainingStopped
from core.execution.jobs import AlignFace, DrawPortrait, PictureFile, TrainStyle
from core.ui.components import style_gallery
from core.ui.friendly_errors import PageProblem, friendly
from core.ui.server import gradio_adapter
from core.ui.server.fetching import UNREACHABLE
from core.ui.server.limits import MAX_SEED, check_training, limits
from core.ui.server.runtime import ACCELERATOR, EXECUTOR, forget_styles, studio
from core.ui.server.uploads import uploaded_path
from core.ui.server.visitors import SESSIONS

if TYPE_CHECKING:
    from core.engines.base import TrainingConfig

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


def _quoted(value: object) -> str:
    return repr(str(value)[:40])


def _number(value: object, name: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise PageProblem(
            "'{name}' is a number from {low} to {high}, not {got}.",
            name=name,
            low=f"{low:g}",
            high=f"{high:g}",
            got=_quoted(value),
        )
    return float(value)


def _whole(value: object, name: str, low: int, high: int) -> int:
    number = _number(value, name, low, high)
    if number != int(number):
        raise PageProblem("'{name}' is a whole number, not {got}.", name=name, got=f"{number:g}")
    return int(number)


def _one_of(value: object, name: str, choices: Sequence[str]) -> str:
    if value not in choices:
        raise PageProblem(
            "'{name}' is one of {choices}, not {got}.", name=name, choices=", ".join(choices), got=_quoted(value)
        )
    return str(value)


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
        One entry per style: "slug" for stylize, "title", and "references", the number of pictures behind it.
    """
    return [{"slug": card.slug, "title": card.title, "references": card.references} for card in studio().ready_styles()]


def stylize(
    request: gr.Request,
    photo: FileData,
    style: str = "",
    style_file: FileData | None = None,
    strength: float = 1.0,
    keep_colours: bool = False,
    into_photo: bool = False,
    face: int = 1,
    seed: int = 0,
) -> FileData:
    """Draw the person on a photo in an art style, so that they stay recognisable.

    Args:
        photo: A photo with a face; both eyes should be visible.
        style: Slug of a ready-made style (see list_styles); empty takes the first. Not used with style_file.
        style_file: A style that train returned, a .safetensors file.
        strength: From 0, the photo as the model sees it, to 1, the full style.
        keep_colours: Keep the photo's colours and take only lines and tone from the style.
        into_photo: Put the drawn face back into the whole photo; otherwise the square around the face is returned.
        face: Which face to draw, 1 being the largest.
        seed: 0 draws the same picture every time; other numbers vary its grain.

    Returns:
        The picture, a PNG file.
    """
    from core.imaging.photo import save_png

    strength = _number(strength, "strength", 0, 1)
    number, seed = _whole(face, "face", 1, 100), _whole(seed, "seed", 0, MAX_SEED)
    options = DrawOptions(strength, bool(keep_colours), seed)
    with _picture(photo, request) as source, _chosen_style(style, style_file, request) as (title, path):
        job = DrawPortrait(source, Path(path), options, face_index=number - 1, blend=bool(into_photo))
        image = EXECUTOR.result(job).after
    target = _result_path(f"portrait-{style_gallery.file_name(title)}.png")
    save_png(image, target)
    return FileData(path=str(target), orig_name=target.name, mime_type="image/png")


@contextmanager
def _chosen_style(slug: object, file: object, request: gr.Request) -> Iterator[tuple[str, str]]:
    """Give title and path of a ready-made style or of a caller's style file, checked."""
    if file is not None:
        with _file(file, request) as upload, tempfile.TemporaryDirectory() as folder:
            named = Path(folder) / "style.safetensors"  # a data or web address may have no such ending
            named.symlink_to(upload.resolve())
            opened = style_gallery.open_file(str(named), Path(folder))
            try:
                yield opened.title, opened.path
            finally:
                forget_styles(named)
        return
    found = style_gallery.find(str(slug) if slug else style_gallery.first_style(), ())
    if found is None:
        slugs = ", ".join(card.slug for card in studio().ready_styles()) or "none are installed"
        raise PageProblem(
            "There is no ready-made style {got}. Choose one of these: {slugs}.", got=_quoted(slug), slugs=slugs
        )
    yield found


def _config(
    references: object, preset: object, method: object, steps: object, seed: object, anchor: str
) -> TrainingConfig:
    """Return a run's settings from what the caller sent. Raises PageProblem."""
    if not isinstance(references, list) or not 1 <= len(references) <= limits().references:
        raise PageProblem("'references' is a list of 1 to {limit} pictures.", limit=limits().references)
    given: dict[str, Any] = {"method": _one_of(method, "method", ("ours", "paper", "jojogan")), "anchor": anchor}
    given["seed"] = _whole(seed, "seed", 0, MAX_SEED)
    if steps is not None:
        given["steps"] = _whole(steps, "steps", 1, limits().steps)
    return studio().config(_one_of(preset, "preset", ("sketch", "cartoon")), **given)


def train(
    request: gr.Request,
    references: list[FileData],
    preset: Literal["sketch", "cartoon"] = "sketch",
    name: str = "My style",
    photo: FileData | None = None,
    steps: int | None = None,
    method: Literal["ours", "paper", "jojogan"] = "ours",
    aligned: bool = False,
    seed: int = 0,
) -> Iterator[FileData | None]:
    """Make a style from a few pictures of one art style, each showing a face. Takes about a minute.

    Args:
        references: 1 to 14 pictures in the style; four to eight work well.
        preset: "sketch" for lines and tone, "cartoon" for new shapes and colours, which takes three times as long.
        name: What the style shall be called.
        photo: Make the style for this one person; without a photo it suits everyone.
        steps: Training steps, at least 1; by default 150 for sketch and 500 for cartoon.
        method: "ours", or "jojogan" for the baseline.
        aligned: The pictures are already cropped to the face.
        seed: Same pictures and seed, same style.

    Returns:
        The style, a .safetensors file that stylize takes as style_file; null while the training runs.
    """
    title = " ".join(str(name or "").split())[:MAX_NAME] or "My style"
    config = _config(references, preset, method, steps, seed, "style" if photo is None else "photo")
    progress = gr.Progress()  # no parameter, since `gr.api` would ask callers for it
    progress((0, config.steps), desc="Reading every picture", unit="steps")
    check_training(config, len(references), seconds=EXECUTOR.accelerator_seconds(config, len(references)))
    flag = SESSIONS.begin_run(request.session_hash)
    try:
        with ExitStack() as opened:
            faces = []
            for item in references:
                source = opened.enter_context(_picture(item, request))
                faces.append(EXECUTOR.result(AlignFace(source, "aligned" if aligned else "detect")))
            person = None if photo is None else opened.enter_context(_picture(photo, request))
            for step in EXECUTOR.stream(TrainStyle(tuple(faces), config, title, flag, person=person)):
                if step.step % STEPS_BETWEEN_REPORTS == 0 or step.style is not None:
                    progress((step.step, step.steps), desc="Training", unit="steps")
                    yield None  # lets a caller who cancels or leaves end the run here
                if step.style is not None:
                    target = _result_path(f"{style_gallery.file_name(title)}.safetensors")
                    yield FileData(path=str(studio().save_style(step.style, target)), orig_name=target.name)
    except TrainingStopped:
        return
    finally:
        SESSIONS.end_run(request.session_hash, flag)


# --- registration ------------------------------------------------------------------------------------------


def _published(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Return the handler with friendly errors and the signature that Gradio documents: types resolved, and for a
    generator the type of what it yields."""
    safe = friendly(handler)
    hints = typing.get_type_hints(handler)
    result = hints.pop("return")
    if inspect.isgeneratorfunction(handler):
        (result,) = typing.get_args(result)
    signature = inspect.signature(handler)
    parameters = [
        parameter.replace(annotation=hints.get(name, parameter.annotation))
        for name, parameter in signature.parameters.items()
    ]
    published = signature.replace(parameters=parameters, return_annotation=result)
    setattr(safe, "__signature__", published)  # noqa: B010  # the attribute that `inspect` reads, which no type declares
    return safe


def add_endpoints() -> None:
    """Register the public endpoints in the current `gr.Blocks`; every event of the page itself is private."""
    for handler, options in (
        (list_styles, {"queue": False}),
        (stylize, ACCELERATOR),
        (train, ACCELERATOR),
    ):
        gr.api(_published(handler), api_name=handler.__name__, **options)  # type: ignore[attr-defined]
