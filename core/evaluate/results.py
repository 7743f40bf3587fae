"""Finished pictures of any program: every measure of results against their photos, and against a folder of artworks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image

from core.errors import PicturesUnusable
from core.evaluate.arms_report import arm_lines, grid
from core.evaluate.measure import StyleTarget, Subject, as_rows, find_landmarks, protocols, score, subject_of, summarise
from core.evaluate.metric_networks import Judges
from core.evaluate.table2 import pair_pictures
from core.imaging.align import CropMode, use_as_aligned
from core.imaging.listing import pictures_in
from core.imaging.photo import Photo, to_tensor
from core.metrics.crops import SIDE_PX, at_side, read_picture
from core.metrics.identity import eye_centres, ffhq_eyes
from core.studio import Studio

Progress = Callable[[str, int, int], None]


def evaluate_results(
    studio: Studio,
    inputs: Path,
    results: Path,
    references: Path,
    judges: Judges,
    *,
    crop: CropMode = "aligned",
    on_progress: Progress = lambda what, done, of: None,
) -> dict[str, object]:
    """Measure results, paired with their inputs by name as in `table2`.

    Args:
        crop: "aligned" when results lie in the frame of their inputs; "detect" when they show the FFHQ crop of the
            input's largest face, as this program and the published ones draw it.

    Returns:
        JSON-ready report: means with intervals, whole-set distances to the references, every picture's numbers.

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
    style = StyleTarget([to_tensor(_square(read_picture(path))) for path in artworks], judges)
    rows, drawings = [], []
    for done, (before, after) in enumerate(pairs):
        on_progress("results", done, len(pairs))
        photo, drawing = _pair(studio, before, after, crop)
        drawings.append(drawing)
        rows.append(score(drawing, photo, style, judges, studio.backbone.finder))
    on_progress("results", len(pairs), len(pairs))
    return {
        "task": "results",
        "n": len(pairs),
        "artworks": len(artworks),
        "crop": crop,
        "protocols": dict(protocols(judges)),
        "notes": list(judges.notes),
        **summarise(rows, drawings, style, judges),
        "pictures": as_rows([after.name for _, after in pairs], rows),
    }


def as_table(report: Mapping[str, object]) -> str:
    """The report for a terminal."""
    lines = [
        f"{report['n']} results, {report['artworks']} artworks",
        "",
        *grid(["", "results"], arm_lines({"": report})),
    ]
    return "\n".join([*lines, "", *(f"{name}: {what}" for name, what in report["protocols"].items()), *report["notes"]])


def _pair(studio: Studio, before: Path, after: Path, crop: CropMode) -> tuple[Subject, Image.Image]:
    photo, drawing = read_picture(before), read_picture(after)
    if crop == "detect":
        return subject_of(studio.align(photo), studio.backbone.finder), _square(drawing)
    if photo.image.size != drawing.image.size:
        shown = " and ".join(f"{width} x {height}" for width, height in (photo.image.size, drawing.image.size))
        raise PicturesUnusable(after.name, f"and its input '{before.name}' differ in size ({shown} pixels)")
    image = _square(photo)
    landmarks = find_landmarks(image, studio.backbone.finder)
    eyes = ffhq_eyes(SIDE_PX) if landmarks is None else eye_centres(landmarks)
    return Subject(before.name, image, to_tensor(image), eyes, landmarks), _square(drawing)


def _square(photo: Photo) -> Image.Image:
    """A square picture at 256 px."""
    if photo.image.width != photo.image.height:
        raise PicturesUnusable(photo.name, f"is not square ({photo.image.width} x {photo.image.height} pixels)")
    return at_side(use_as_aligned(photo, size_px=SIDE_PX).image)
