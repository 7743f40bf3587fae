"""Finished pictures of any program: every measure of results against their photos, and against a folder of artworks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from core.config import CropMode
from core.errors import PicturesUnusable
from core.evaluate.metric_networks import MetricNetworks
from core.evaluate.scores import (
    NamedScores,
    SetScores,
    StyleTarget,
    Subject,
    named,
    protocols,
    score,
    subject_of,
    summarise,
)
from core.evaluate.table2 import pair_pictures
from core.imaging.align import use_as_aligned
from core.imaging.listing import pictures_in
from core.imaging.photo import Photo, to_tensor
from core.metrics.crops import SIDE_PX, at_side, read_picture
from core.metrics.identity import eye_centres, ffhq_eyes
from core.progress import OnProgress, Progress, ignore_progress
from core.studio import Studio


@dataclass(frozen=True)
class ResultsReport(SetScores):
    """Means with intervals, whole-set distances to the artworks, and every picture's numbers.

    Attributes:
        n, artworks: how many.
        crop: "aligned" or "detect", as asked.
        protocols, notes: what the numbers are, and what a reader must know.
        pictures: by result.
    """

    n: int
    artworks: int
    crop: CropMode
    protocols: dict[str, str]
    notes: tuple[str, ...]
    pictures: tuple[NamedScores, ...]
    task: Literal["results"] = "results"


def evaluate_results(
    studio: Studio,
    inputs: Path,
    results: Path,
    references: Path,
    networks: MetricNetworks,
    *,
    crop: CropMode = "aligned",
    on_progress: OnProgress = ignore_progress,
) -> ResultsReport:
    """Measure results, paired with their inputs by name as in `table2`.

    Args:
        studio: finds the faces.
        inputs, results, references: folders of photos, of drawings and of artworks.
        networks: measure.
        crop: "aligned" when results lie in the frame of their inputs; "detect" when they show the FFHQ crop of the
            input's largest face, as this program and the published ones draw it.
        on_progress: hears of every result.

    Raises:
        PicturesUnusable: pictures without partner, of two sizes or not square; fewer than two results or references.
        PhotoUnreadable: a damaged picture.
        NoFaceFound, FaceTooSmall, FaceCutOff: an input's face can't be cropped.
    """
    pairs = sorted(pair_pictures(inputs, results))
    artworks = pictures_in(references)
    for paths, what in (([after for _, after in pairs], "result"), (artworks, "artwork")):
        if len(paths) < 2:
            raise PicturesUnusable(paths[0].name, f"is the only {what}, and a distance of sets needs two or more")
    style = StyleTarget([to_tensor(_square(read_picture(path))) for path in artworks], networks)
    rows, drawings = [], []
    for done, (before, after) in enumerate(pairs):
        on_progress(Progress("results", done, len(pairs)))
        photo, drawing = _read_pair(studio, networks, before, after, crop)
        drawings.append(drawing)
        rows.append(score(drawing, photo, style))
    on_progress(Progress("results", len(pairs), len(pairs)))
    return ResultsReport(
        **vars(summarise(rows, drawings, style)),
        n=len(pairs),
        artworks=len(artworks),
        crop=crop,
        protocols=protocols(networks),
        notes=networks.notes,
        pictures=named([after.name for _, after in pairs], rows),
    )


def _read_pair(
    studio: Studio, networks: MetricNetworks, before: Path, after: Path, crop: CropMode
) -> tuple[Subject, Image.Image]:
    photo, drawing = read_picture(before), read_picture(after)
    if crop == "detect":
        return subject_of(studio.align(photo), networks), _square(drawing)
    if photo.image.size != drawing.image.size:
        shown = " and ".join(f"{width} x {height}" for width, height in (photo.image.size, drawing.image.size))
        raise PicturesUnusable(after.name, f"and its input '{before.name}' differ in size ({shown} pixels)")
    image = _square(photo)
    landmarks = networks.landmarks(image)
    eyes = ffhq_eyes(SIDE_PX) if landmarks is None else eye_centres(landmarks)
    return Subject(before.name, image, to_tensor(image), eyes, landmarks), _square(drawing)


def _square(photo: Photo) -> Image.Image:
    """Read a square picture at 256 px."""
    if photo.image.width != photo.image.height:
        raise PicturesUnusable(photo.name, f"is not square ({photo.image.width} x {photo.image.height} pixels)")
    return at_side(use_as_aligned(photo, size_px=SIDE_PX).image)
