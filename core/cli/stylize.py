"""`python -m core stylize`: align everything first, train or find one style, then draw photo by photo."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.cli.options import (
    CropOption,
    DrawnTraining,
    JsonOutput,
    Reference,
    ReferenceCrop,
    Running,
    StyleName,
    flag,
    grouped,
)
from core.cli.terminal import expected_failures, print_report, progress_bar
from core.config import CropMode
from core.engines.base import DrawOptions, TrainingConfig, TrainingStep, run_to_end
from core.errors import FileMissing, StyleIdentityError
from core.progress import OnProgress, Progress
from core.reports import absent

if TYPE_CHECKING:
    from core.imaging.align import AlignedFace
    from core.imaging.photo import Photo
    from core.studio import Studio


@dataclass(frozen=True)
class FailedPhoto:
    """A photo that couldn't be drawn, and why."""

    photo: str
    message: str


@dataclass(frozen=True)
class DrawnPhoto:
    """A photo's files, how its drawing was made, and the seconds that took."""

    photo: str
    files: tuple[str, ...]
    provenance: Mapping[str, object]
    seconds: float


@dataclass(frozen=True)
class TrainingReport:
    """A training: its seconds, the loss of its last step, its settings."""

    seconds: float
    last_loss: float | None
    config: TrainingConfig


@dataclass(frozen=True)
class StylizeReport:
    """What became of the photos.

    Attributes:
        backbone, reason: which of the engine's models drew, and why it.
        training: None for a given style.
        saved_style: where the trained style is kept.
        results, failed: by photo.
        style: its name; absent when no photo could be used, and then nothing was trained.
    """

    backbone: str
    reason: str
    training: TrainingReport | None
    saved_style: str | None
    results: tuple[DrawnPhoto, ...]
    failed: tuple[FailedPhoto, ...]
    style: str | None = absent()


@dataclass(frozen=True)
class Ready:
    """A photo whose face was found, and where its result goes."""

    path: Path
    face: AlignedFace
    target: Path


@grouped
def stylize(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Photo(s) that show a face.")],
    training: DrawnTraining,
    drawing: DrawOptions,
    running: Running,
    reference: Reference = None,
    style: StyleName = None,
    reference_crop: ReferenceCrop = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out"),
    save_style: Annotated[Path | None, typer.Option(help="Keep the trained style: F.safetensors.")] = None,
    blend: Annotated[bool, typer.Option("--blend", help="Also lay the result into the photo.")] = False,
    paste_back: Annotated[bool, typer.Option("--paste-back", hidden=True)] = False,
    crop: CropOption = "detect",
    face_index: Annotated[int, typer.Option(min=0, help="Which face: 0 is the largest.")] = 0,
    as_json: JsonOutput = False,
) -> None:
    """Draw photos in a style: a ready-made or saved one (--style), or one trained from pictures (--reference).

    Writes OUT/<photo's name>.png. A photo that can't be used is reported, the others go on, and the exit code is 1.
    """
    typed = {"preset": training.preset, "reference_crop": reference_crop, **training.typed}
    _check_sources(reference, style, save_style, [name for name, value in typed.items() if value is not None])
    with expected_failures(), progress_bar(quiet=as_json) as progress:
        entry = running.entry()
        checked = training.check(entry) if reference else None
        if checked is not None and checked.needs_photo and len(photos) > 1:
            personal = flag(checked.person_option or "")
            raise typer.BadParameter(f"these settings train for one person: give one PHOTO, or leave {personal} out")
        progress(Progress("model", 0, 1))
        studio = running.open(progress)
        progress(Progress("model", 1, 1))
        config = training.config(studio, entry, seed=drawing.seed) if reference else None
        ready, failed = _align_photos(
            studio, photos, _targets(photos, out, taken=[*photos, *(reference or ())]), crop, face_index
        )
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="style-") as folder:
            trained, results, name = None, [], None
            if ready:
                style_file = save_style or Path(folder) / "style.safetensors"
                if config is None:
                    style_file = studio.find_style_file(style or "")
                else:
                    trained = _train(
                        studio, reference or [], reference_crop or "detect", config, ready[0].face, style_file,
                        name=(save_style or (reference or [])[0]).stem, on_progress=progress,
                    )  # fmt: skip
                name = studio.load_style(style_file).name
                results = _draw_photos(studio, ready, style_file, drawing, blend or paste_back, failed, progress)
        model = studio.describe()
        saved = str(save_style) if save_style is not None and trained is not None else None
        report = StylizeReport(model.variant, model.reason, trained, saved, tuple(results), tuple(failed), name)
    _print(report, as_json=as_json)


def _check_sources(
    references: Sequence[Path] | None, style: str | None, save_style: Path | None, typed: Sequence[str]
) -> None:
    """Refuse combinations that would ignore an option; `typed` are those that steer training."""
    if bool(references) == (style is not None):
        raise typer.BadParameter("give either --reference (to train a style) or --style (to use one), not both or none")
    if style is not None and save_style is not None:
        raise typer.BadParameter("--save-style keeps a newly trained style, so it needs --reference, not --style")
    if style is not None and typed:
        names = ", ".join(map(flag, typed))
        raise typer.BadParameter(f"{names} steer training, so they need --reference, not --style")
    if save_style is not None and save_style.suffix != ".safetensors":
        raise typer.BadParameter(f"--save-style needs a name that ends in .safetensors, got '{save_style.name}'")


def _read_picture(path: Path) -> Photo:
    """`load_photo` with a plainer sentence for a wrong path."""
    from core.imaging.photo import load_photo

    if not path.is_file():
        raise FileMissing(str(path))
    return load_photo(path)


def _align_photos(
    studio: Studio, photos: Sequence[Path], targets: Sequence[Path], crop: CropMode, face_index: int
) -> tuple[list[Ready], list[FailedPhoto]]:
    """Every photo's face before the long training, so that mistakes show at once."""
    ready: list[Ready] = []
    failed: list[FailedPhoto] = []
    for path, target in zip(photos, targets, strict=True):
        try:
            face = studio.align(_read_picture(path), face_index=face_index, crop=crop)
        except StyleIdentityError as error:
            failed.append(FailedPhoto(str(path), str(error)))
        else:
            ready.append(Ready(path, face, target))
    return ready, failed


def _targets(photos: Sequence[Path], out: Path, *, taken: Sequence[Path]) -> list[Path]:
    """OUT/<stem>.png for every photo; a number is added where two share a stem or an input would be overwritten."""
    used = {path.resolve() for path in taken}
    targets = []
    for photo in photos:
        target, number = out / f"{photo.stem}.png", 2
        while {target.resolve(), _blended(target).resolve()} & used:
            target, number = out / f"{photo.stem}-{number}.png", number + 1
        used |= {target.resolve(), _blended(target).resolve()}
        targets.append(target)
    return targets


def _blended(target: Path) -> Path:
    """Where the photo with the result laid in goes: `name.png` -> `name_in_photo.png`."""
    return target.with_name(f"{target.stem}_in_photo.png")


def _train(
    studio: Studio, references: Sequence[Path], crop: CropMode, config: TrainingConfig, first: AlignedFace, kept: Path,
    *, name: str, on_progress: OnProgress,
) -> TrainingReport:  # fmt: skip
    """Train a style from the references and write its file."""
    kept.parent.mkdir(parents=True, exist_ok=True)  # before the long training, so that mistakes show at once
    faces = [studio.align(_read_picture(path), crop=crop) for path in references]
    losses: list[float] = []
    practised = 0

    def on_step(step: TrainingStep) -> None:
        nonlocal practised
        if step.step == 0:
            practised += step.preview is not None
            on_progress(Progress("practice faces", practised, config.practice_faces))
            return
        losses.append(step.loss)
        on_progress(Progress("training", step.step, step.steps))

    started = time.perf_counter()
    photo = first if config.needs_photo else None
    style = run_to_end(studio.train(faces, config, name=name, photo=photo), on_step)
    seconds = time.perf_counter() - started
    studio.save_style(style, kept)
    return TrainingReport(seconds, losses[-1] if losses else None, config)


def _draw_photos(
    studio: Studio, ready: Sequence[Ready], style_file: Path, options: DrawOptions, blend: bool,
    failed: list[FailedPhoto], on_progress: OnProgress,
) -> list[DrawnPhoto]:  # fmt: skip
    """Draw every photo and write its files; adds to `failed` what can't be drawn."""
    from core.execution.in_process import InProcessExecutor
    from core.execution.jobs import DrawPortrait, PictureFile
    from core.execution.local import LocalAccelerator
    from core.imaging.photo import save_portrait

    executor = InProcessExecutor(lambda: studio, LocalAccelerator(lambda: studio))
    drawn = []
    for done, item in enumerate(ready):
        on_progress(Progress("photos", done, len(ready)))
        started = time.perf_counter()
        try:
            job = DrawPortrait(PictureFile(item.path), style_file, options, face=item.face, blend=blend)
            portrait = executor.result(job)
            seconds = time.perf_counter() - started
            save_portrait(portrait.drawing.image, item.target)
            files = [item.target]
            if blend:
                files.append(_blended(item.target))
                save_portrait(portrait.after, files[-1], blended=True)
        except StyleIdentityError as error:
            failed.append(FailedPhoto(str(item.path), str(error)))
            continue
        drawn.append(DrawnPhoto(str(item.path), tuple(map(str, files)), portrait.drawing.provenance, seconds))
    on_progress(Progress("photos", len(ready), len(ready)))
    return drawn


def _print(report: StylizeReport, *, as_json: bool) -> None:
    """Print what was written and what failed; exit code 1 when a photo failed."""
    for item in report.failed:
        typer.echo(item.message, err=True)
    if as_json:
        print_report(report, as_json=True)
    else:
        for result in report.results:
            for path in result.files:
                typer.echo(path)
        if report.saved_style:
            typer.echo(report.saved_style)
    if report.failed:
        raise typer.Exit(1)
