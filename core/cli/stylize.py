"""The `stylize` command's work: align everything first, train or load one style, then draw photo by photo."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from core.config import FinetuneConfig
from core.engines.fewshot_gan.style_file import Style
from core.errors import FileMissing, StyleIdentityError, StyleUnknown
from core.imaging.align import AlignedFace
from core.imaging.photo import Photo, load_photo, save_png
from core.studio import Studio

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Request:
    """What `stylize` was asked for; the options of the same names. Either `references` or `style` is given."""

    photos: tuple[Path, ...]
    references: tuple[Path, ...]
    style: str | None
    preset: str
    reference_crop: str
    overrides: Mapping[str, object]
    out: Path
    save_style: Path | None
    strength: float
    keep_colour: bool
    paste_back: bool
    crop: str
    face_index: int
    seed: int
    backbone: str
    device: str | None


@dataclass(frozen=True)
class Ready:
    """A photo whose face was found, and where its result goes."""

    path: Path
    photo: Photo
    face: AlignedFace
    target: Path


def run(request: Request, *, on_progress: Progress) -> dict[str, object]:
    """Does the work.

    Returns:
        JSON-ready report: `results` (photo, files, provenance, seconds), `failed` (photo, message), `saved_style`,
        `training` (None for a given style). When every photo fails nothing is trained and `results` is empty.

    Raises:
        StyleIdentityError: when a reference, the style or the backbone can't be used.
    """
    on_progress("model", 0, 1)
    studio = Studio.open(request.backbone, device=request.device)
    on_progress("model", 1, 1)
    config = training_config(studio, request)
    request.out.mkdir(parents=True, exist_ok=True)
    if request.save_style is not None:
        request.save_style.parent.mkdir(parents=True, exist_ok=True)
    ready, failed = _align_photos(studio, request)
    report: dict[str, object] = {
        "backbone": studio.choice.name,
        "reason": studio.choice.reason,
        "training": None,
        "saved_style": None,
        "results": [],
        "failed": failed,
    }
    if not ready:
        return report
    if config is None:
        style = find_style(studio, request.style)
    else:
        style, report["training"] = _train(studio, request, config, ready[0].face, on_progress)
        if request.save_style is not None:
            report["saved_style"] = str(studio.save_style(style, request.save_style))
    report["style"] = style.name
    for done, item in enumerate(ready):
        on_progress("photos", done, len(ready))
        try:
            report["results"].append(_draw(studio, request, item, style))
        except StyleIdentityError as error:
            failed.append({"photo": str(item.path), "message": str(error)})
    on_progress("photos", len(ready), len(ready))
    return report


def training_config(studio: Studio, request: Request) -> FinetuneConfig | None:
    """The run's hyper-parameters, or None when a style was given. `typer.BadParameter` for values out of range."""
    if not request.references:
        return None
    try:
        return studio.config(request.preset, seed=request.seed, **request.overrides)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def read_picture(path: Path) -> Photo:
    """`load_photo` with a plainer sentence for a wrong path."""
    if not path.is_file():
        raise FileMissing(str(path))
    return load_photo(path)


def _align_photos(studio: Studio, request: Request) -> tuple[list[Ready], list[dict[str, str]]]:
    """Every photo's face before the long training, so that mistakes show at once."""
    ready: list[Ready] = []
    failed: list[dict[str, str]] = []
    targets = targets_for(request.photos, request.out, taken=(*request.photos, *request.references))
    for path, target in zip(request.photos, targets, strict=True):
        try:
            photo = read_picture(path)
            face = studio.align(photo, face_index=request.face_index, crop=request.crop)
        except StyleIdentityError as error:
            failed.append({"photo": str(path), "message": str(error)})
        else:
            ready.append(Ready(path, photo, face, target))
    return ready, failed


def targets_for(photos: Sequence[Path], out: Path, *, taken: Sequence[Path]) -> list[Path]:
    """OUT/<stem>.png for every photo; a number is added where two share a stem or an input would be overwritten."""
    used = {path.resolve() for path in taken}
    targets = []
    for photo in photos:
        target, number = out / f"{photo.stem}.png", 2
        while {target.resolve(), pasted(target).resolve()} & used:
            target, number = out / f"{photo.stem}-{number}.png", number + 1
        used |= {target.resolve(), pasted(target).resolve()}
        targets.append(target)
    return targets


def pasted(target: Path) -> Path:
    """Where the photo with the result laid in goes: `name.png` -> `name_in_photo.png`."""
    return target.with_name(f"{target.stem}_in_photo.png")


def _train(
    studio: Studio, request: Request, config: FinetuneConfig, first: AlignedFace, on_progress: Progress
) -> tuple[Style, dict[str, object]]:
    references = [studio.align(read_picture(path), crop=request.reference_crop) for path in request.references]
    name = (request.save_style or request.references[0]).stem
    anchor = first if config.anchor == "photo" else None
    started, loss = time.perf_counter(), None
    for item in studio.train(references, config, name=name, photo=anchor):
        if isinstance(item, Style):
            seconds = time.perf_counter() - started
            return item, {"seconds": seconds, "last_loss": loss, "config": asdict(config)}
        loss = item.loss
        on_progress("training", item.step, item.steps)
    raise RuntimeError("Studio.train ended without a style")


def find_style(studio: Studio, wanted: str) -> Style:
    """Load a style by its file's path or a preset's slug; a file wins. Raises `StyleUnknown`."""
    if Path(wanted).is_file():
        return studio.load_style(Path(wanted))
    cards = {card.slug: card for card in studio.presets()}
    if wanted not in cards:
        raise StyleUnknown(wanted, ", ".join(cards) or "there are none for this model")
    return studio.load_style(cards[wanted].path)


def _draw(studio: Studio, request: Request, item: Ready, style: Style) -> dict[str, object]:
    started = time.perf_counter()
    stylized = studio.stylize(
        item.face, style, strength=request.strength, keep_colour=request.keep_colour, seed=request.seed
    )
    seconds = time.perf_counter() - started
    save_png(stylized.image, item.target)
    files = [str(item.target)]
    if request.paste_back:
        whole = studio.paste_back(stylized, item.face, item.photo)
        save_png(whole, pasted(item.target))
        files.append(str(pasted(item.target)))
    return {"photo": str(item.path), "files": files, "provenance": dict(stylized.provenance), "seconds": seconds}
