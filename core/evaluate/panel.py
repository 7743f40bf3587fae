"""What styles are compared on: aligned photos and references, read once; and one style trained and drawn on them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from core.config import MAX_REFERENCES, CropMode
from core.engines.base import Prepared, Style, TrainingConfig, run_to_end
from core.errors import NoReferences, PicturesUnusable, StyleIdentityError, TooManyReferences
from core.evaluate.cost import Cost, measure_cost
from core.imaging.align import AlignedFace
from core.imaging.listing import Listed
from core.imaging.photo import Photo
from core.metrics.crops import align_for_measuring, at_side, read_picture
from core.progress import OnProgress, Progress, ignore_progress
from core.reports import Failed
from core.studio import Studio


@dataclass(frozen=True)
class PanelPhoto:
    """A photo that every style draws.

    Attributes:
        face: aligned.
        crop: how it was cut.
        prepared: as the engine read it.
        seconds: of reading it.
    """

    face: AlignedFace
    crop: CropMode
    prepared: Prepared
    seconds: float


@dataclass(frozen=True)
class Panel:
    """Aligned photos and references; `failed` are the photos that could not be used."""

    photos: tuple[PanelPhoto, ...]
    references: tuple[AlignedFace, ...]
    failed: tuple[Failed, ...] = ()


@dataclass(frozen=True)
class Trained:
    """A style and its drawings of a panel's photos.

    Attributes:
        config: of the training, with all defaults filled in.
        references: how many it saw.
        style: the trained one.
        cost: of the training.
        drawings: 256 px, by photo.
        seconds: of reading and drawing, by photo.
    """

    config: TrainingConfig
    references: int
    style: Style
    cost: Cost
    drawings: tuple[Image.Image, ...]
    seconds: tuple[float, ...]


def align_for(studio: Studio, photo: Photo, crop: CropMode) -> tuple[AlignedFace, CropMode]:
    """Crop a face for the studio's engine, and tell how it was cut. Raises as `align_for_measuring`."""
    engine = studio.engine()
    return align_for_measuring(photo, engine.finder, crop, size_px=engine.capabilities.reads_px)


def make_panel(
    studio: Studio,
    listed: Sequence[Listed],
    references: Sequence[Path],
    *,
    crop: CropMode = "detect",
    reference_crop: CropMode = "detect",
    on_progress: OnProgress = ignore_progress,
) -> Panel:
    """Align everything and prepare the photos, once.

    Args:
        studio: whose default engine reads them.
        listed: photos, from `core.imaging.listing.list_photos`.
        references: style pictures; a failure among them ends the run.
        crop: how photos are cut, as in `evaluate_reconstruction`.
        reference_crop: how references are cut, likewise.
        on_progress: hears of every photo.

    Raises:
        NoReferences, TooManyReferences: other than 1 to 14 references.
        PicturesUnusable: no photo can be used; single ones that can't are listed under `failed`.
        StyleIdentityError: a reference can't be used.
    """
    if not references:
        raise NoReferences
    if len(references) > MAX_REFERENCES:
        raise TooManyReferences(len(references), MAX_REFERENCES)
    artworks = tuple(align_for(studio, read_picture(path), reference_crop)[0] for path in references)
    photos: list[PanelPhoto] = []
    failed: list[Failed] = []
    for done, item in enumerate(listed):
        on_progress(Progress("photos", done, len(listed)))
        try:
            face, how = align_for(studio, read_picture(item.path), crop)
        except StyleIdentityError as error:
            failed.append(Failed(item.path.name, str(error)))
            continue
        started = time.perf_counter()
        prepared = studio.prepare(face)
        photos.append(PanelPhoto(face, how, prepared, time.perf_counter() - started))
    on_progress(Progress("photos", len(listed), len(listed)))
    if not photos:
        raise PicturesUnusable(listed[0].path.parent.name, f"holds no usable face ({failed[0].message})")
    return Panel(tuple(photos), artworks, tuple(failed))


def train_and_draw(
    studio: Studio,
    photos: Sequence[PanelPhoto],
    references: Sequence[AlignedFace],
    config: TrainingConfig,
    *,
    name: str,
    label: str = "",
    on_progress: OnProgress = ignore_progress,
) -> Trained:
    """Train one style from the references and draw every photo in it.

    Args:
        studio: whose default engine trains and draws.
        photos, references: of a panel, all or some.
        config: from `Studio.config`.
        name: of the style.
        label: of the work in progress; the name where empty.
        on_progress: hears of every step and every drawing.
    """
    what = label or name
    style, cost = measure_cost(
        lambda: run_to_end(
            studio.train(references, config, name=name),
            lambda step: on_progress(Progress(f"train {what}", step.step, step.steps)),
        ),
        torch.device(studio.describe().device),
    )
    drawings, seconds = [], []
    for done, photo in enumerate(photos):
        on_progress(Progress(f"draw {what}", done, len(photos)))
        started = time.perf_counter()
        drawing = studio.draw(photo.prepared, style)
        seconds.append(photo.seconds + time.perf_counter() - started)
        drawings.append(at_side(drawing.image))
    on_progress(Progress(f"draw {what}", len(photos), len(photos)))
    return Trained(config, len(references), style, cost, tuple(drawings), tuple(seconds))
