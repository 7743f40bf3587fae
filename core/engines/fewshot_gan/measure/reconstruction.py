"""How much of a face survives inversion: `photo -> align -> invert -> reconstruct`, measured at 256 px.

Protocols: `ssim_gray_gauss11` and `mean_absolute_rgb` between crop and reconstruction, `laplacian_deviation` as a
ratio, `cosine112` for identity when a recogniser is given. `core.engines.fewshot_gan.measure.probes` adds destylization and appearance
swap.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from core.engines.fewshot_gan.measure.probes import Probe, appearance_swap, destylization, random_looks
from core.errors import PicturesUnusable, StyleIdentityError
from core.imaging.align import AlignedFace, CropMode
from core.imaging.listing import Listed, spread
from core.imaging.photo import save_png
from core.metrics.colour import mean_absolute_colour_error
from core.metrics.crops import align_for_measuring, at_side, eyes_in_crop, mean_of, read_picture, rgb
from core.metrics.identity import Embedding, identity_similarity
from core.metrics.sharpness import sharpness_ratio
from core.metrics.ssim import ssim_gray_gauss11, to_gray
from core.studio import Studio

Progress = Callable[[str, int, int], None]  # what, done, of how many


@dataclass(frozen=True)
class Row:
    """One picture's numbers: SSIM in (-1, 1], colour error in levels, identity a cosine or None."""

    name: str
    source: str | None
    colour: bool | None
    crop: CropMode
    ssim: float
    colour_error: float
    sharpness_ratio: float
    identity: float | None
    seconds: float


def evaluate_reconstruction(
    studio: Studio,
    listed: Sequence[Listed],
    save: Path,
    *,
    identity: Embedding | None = None,
    crop: CropMode = "detect",
    probes: int = 16,
    on_progress: Progress = lambda what, done, of: None,
) -> dict[str, object]:
    """Reconstructs every picture and measures.

    Args:
        listed: pictures, from `core.imaging.listing.list_photos`.
        save: folder for `<stem>.png` (reconstruction), `aligned/<stem>.png` (its input), both 256 px, and the probes'.
        identity: recogniser of 112 px crops; without it the identity numbers are None.
        crop: "detect" finds the face; "aligned" takes every picture as an FFHQ crop.
        probes: pictures, evenly spread, for destylization, appearance swap and random looks; 0 leaves them out.

    Returns:
        JSON-ready report. Seconds are those of inversion and reconstruction, the median over pictures.

    Raises:
        PicturesUnusable: when no picture could be measured. Single failures are listed under `failed`.
    """
    (save / "aligned").mkdir(parents=True, exist_ok=True)
    chosen = {item.path for item in spread(list(listed), probes)} if probes else set()
    rows: list[Row] = []
    kept: list[Probe] = []
    failed: list[dict[str, str]] = []
    for done, item in enumerate(listed):
        on_progress("reconstruction", done, len(listed))
        try:
            face, how = align_for_measuring(
                read_picture(item.path), studio.backbone.finder, crop, size_px=studio.backbone.resolution
            )
        except StyleIdentityError as error:
            failed.append({"name": item.path.name, "message": str(error)})
            continue
        row, probe = _measure(studio, item, face, how, save, identity)
        rows.append(row)
        if item.path in chosen:
            kept.append(probe)
    on_progress("reconstruction", len(listed), len(listed))
    if not rows:
        raise PicturesUnusable(listed[0].path.parent.name, f"holds no usable face ({failed[0]['message']})")
    report = _report(studio, rows, failed, with_identity=identity is not None)
    if kept:
        report["destylization"] = destylization(studio, kept, save, identity=identity, on_progress=on_progress)
        report["appearance_swap"] = appearance_swap(studio, kept, save, identity=identity, on_progress=on_progress)
        report["random_looks"] = random_looks(studio, kept, save, identity=identity, on_progress=on_progress)
    report["pictures"] = [asdict(row) for row in rows]
    return report


def _measure(
    studio: Studio, item: Listed, face: AlignedFace, how: CropMode, save: Path, identity: Embedding | None
) -> tuple[Row, Probe]:
    started = time.perf_counter()
    inversion = studio.invert(face)
    result = studio.reconstruct(inversion)
    seconds = time.perf_counter() - started
    original, result = at_side(face.image), at_side(result)
    save_png(result, save / f"{item.path.stem}.png")
    save_png(original, save / "aligned" / f"{item.path.stem}.png")
    eyes = eyes_in_crop(face)
    row = Row(
        name=item.path.name,
        source=item.source,
        colour=item.colour,
        crop=how,
        ssim=ssim_gray_gauss11(to_gray(original), to_gray(result)),
        colour_error=mean_absolute_colour_error(rgb(original), rgb(result)),
        sharpness_ratio=sharpness_ratio(to_gray(result), to_gray(original)),
        identity=identity_similarity(original, result, eyes, identity) if identity else None,
        seconds=seconds,
    )
    return row, Probe(item.path.stem, face, original, inversion, result, eyes)


def summarise(rows: Sequence[Row]) -> dict[str, object]:
    """Means, 5th percentiles (the worst faces) and the median time of some rows."""
    identities = [row.identity for row in rows if row.identity is not None]
    return {
        "n": len(rows),
        "ssim_mean": mean_of(row.ssim for row in rows),
        "ssim_p05": float(np.percentile([row.ssim for row in rows], 5)),
        "colour_error_mean": mean_of(row.colour_error for row in rows),
        "sharpness_ratio_mean": mean_of(row.sharpness_ratio for row in rows),
        "identity_mean": mean_of(identities),
        "identity_p05": float(np.percentile(identities, 5)) if identities else None,
        "seconds_median": float(np.median([row.seconds for row in rows])),
    }


def _groups(rows: Sequence[Row]) -> Iterator[tuple[str, str, list[Row]]]:
    """(kind, label, rows) by source and by colour, for rows that an index describes."""
    described = [row for row in rows if row.source is not None]
    for source in sorted({row.source for row in described}):
        yield "by_source", source, [row for row in described if row.source == source]
    for colour, label in ((True, "colour"), (False, "grey")):
        chosen = [row for row in described if row.colour is colour]
        if chosen:
            yield "by_colour", label, chosen


def _report(
    studio: Studio, rows: Sequence[Row], failed: list[dict[str, str]], *, with_identity: bool
) -> dict[str, object]:
    protocols = ["ssim_gray_gauss11 at 256 px", "mean_absolute_rgb", "laplacian_deviation"]
    report: dict[str, object] = {
        "task": "reconstruction",
        "backbone": studio.choice.name,
        "protocols": [*protocols, "cosine112"] if with_identity else protocols,
        **summarise(rows),
        "taken_as_aligned": sum(row.crop == "aligned" for row in rows),
    }
    for kind, label, chosen in _groups(rows):
        report.setdefault(kind, {})[label] = summarise(chosen)
    report["failed"] = failed
    return report
