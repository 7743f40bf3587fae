"""How much of a face survives inversion: align, invert, reconstruct, measured at 256 px.

Protocols: `ssim_gray_gauss11` and `mean_absolute_rgb` between crop and reconstruction, `laplacian_deviation` as a
ratio, `cosine112` for identity when a recogniser is given. `probes` adds destylization and appearance changes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from core.config import CropMode
from core.engines.base import Engine
from core.engines.fewshot_gan.engine import FewShotGan
from core.engines.fewshot_gan.measure.inside import inside_of
from core.engines.fewshot_gan.measure.probes import (
    AgainstPhoto,
    AppearanceSwap,
    Destylization,
    Probe,
    RandomAppearance,
    against_photo,
    appearance_swap,
    destylization,
    random_appearance,
)
from core.errors import PicturesUnusable, StyleIdentityError
from core.imaging.align import AlignedFace
from core.imaging.listing import Listed, spread
from core.imaging.photo import save_png
from core.metrics.crops import align_for_measuring, at_side, eyes_in_crop, mean_of, read_picture
from core.metrics.identity import Embedding
from core.metrics.sharpness import sharpness_ratio
from core.metrics.ssim import to_gray
from core.progress import OnProgress, Progress, ignore_progress
from core.reports import Failed, absent

PROTOCOLS = ("ssim_gray_gauss11 at 256 px", "mean_absolute_rgb", "laplacian_deviation")
IDENTITY_PROTOCOL = "cosine112"


@dataclass(frozen=True)
class PictureRow(AgainstPhoto):
    """One picture's numbers.

    Attributes:
        name, source, colour: as listed.
        crop: how it was cut.
        sharpness_ratio: of the reconstruction's fine detail to the crop's.
        seconds: of inversion and reconstruction.
    """

    name: str
    source: str | None
    colour: bool | None
    crop: CropMode
    sharpness_ratio: float
    seconds: float


@dataclass(frozen=True)
class Summary:
    """Means, 5th percentiles (the worst faces) and the median time of some rows."""

    n: int
    ssim_mean: float | None
    ssim_p05: float
    colour_error_mean: float | None
    sharpness_ratio_mean: float | None
    identity_mean: float | None
    identity_p05: float | None
    seconds_median: float


@dataclass(frozen=True)
class ReconstructionReport(Summary):
    """What `evaluate_reconstruction` found.

    Attributes:
        backbone: which of the engine's models.
        protocols: what the numbers are.
        taken_as_aligned: pictures in which no face was looked for or found.
        failed, pictures: by picture.
        by_source, by_colour: the same summary of parts, where an index describes the pictures.
        destylization, appearance_swap, random_looks: the probes, where some pictures were chosen for them.
    """

    backbone: str
    protocols: tuple[str, ...]
    taken_as_aligned: int
    failed: tuple[Failed, ...]
    pictures: tuple[PictureRow, ...]
    by_source: dict[str, Summary] | None = absent()
    by_colour: dict[str, Summary] | None = absent()
    destylization: Destylization | None = absent()
    appearance_swap: AppearanceSwap | None = absent()
    random_looks: RandomAppearance | None = absent()
    task: Literal["reconstruction"] = "reconstruction"


def evaluate_reconstruction(
    engine: Engine,
    listed: Sequence[Listed],
    save: Path,
    *,
    identity: Embedding | None = None,
    crop: CropMode = "detect",
    probes: int = 16,
    on_progress: OnProgress = ignore_progress,
) -> ReconstructionReport:
    """Reconstruct every picture and measure.

    Args:
        engine: the few-shot GAN.
        listed: pictures, from `core.imaging.listing.list_photos`.
        save: folder for `<stem>.png` (reconstruction), `aligned/<stem>.png` (its input), both 256 px, and the probes'.
        identity: recogniser of 112 px crops; without it the identity numbers are None.
        crop: "detect" finds the face; "aligned" takes every picture as an FFHQ crop.
        probes: pictures, evenly spread, for destylization and the two changes of appearance; 0 leaves them out.
        on_progress: hears of every picture.

    Raises:
        PicturesUnusable: when no picture could be measured. Single failures are listed under `failed`.
        ValueError: another engine.
    """
    gan = inside_of(engine)
    (save / "aligned").mkdir(parents=True, exist_ok=True)
    chosen = {item.path for item in spread(list(listed), probes)} if probes else set()
    rows: list[PictureRow] = []
    kept: list[Probe] = []
    failed: list[Failed] = []
    for done, item in enumerate(listed):
        on_progress(Progress("reconstruction", done, len(listed)))
        try:
            photo, size_px = read_picture(item.path), gan.backbone.resolution
            face, how = align_for_measuring(photo, gan.finder, crop, size_px=size_px)
        except StyleIdentityError as error:
            failed.append(Failed(item.path.name, str(error)))
            continue
        row, probe = _measure(gan, item, face, how, save, identity)
        rows.append(row)
        if item.path in chosen:
            kept.append(probe)
    on_progress(Progress("reconstruction", len(listed), len(listed)))
    if not rows:
        raise PicturesUnusable(listed[0].path.parent.name, f"holds no usable face ({failed[0].message})")
    return ReconstructionReport(
        **vars(summarise(rows)),
        backbone=gan.backbone.name,
        protocols=(*PROTOCOLS, IDENTITY_PROTOCOL) if identity else PROTOCOLS,
        taken_as_aligned=sum(row.crop == "aligned" for row in rows),
        failed=tuple(failed),
        pictures=tuple(rows),
        by_source=dict(_by_source(rows)),
        by_colour=dict(_by_colour(rows)),
        destylization=destylization(gan, kept, save, identity, on_progress) if kept else None,
        appearance_swap=appearance_swap(gan, kept, save, identity, on_progress) if kept else None,
        random_looks=random_appearance(gan, kept, save, identity, on_progress) if kept else None,
    )


def _measure(
    gan: FewShotGan, item: Listed, face: AlignedFace, how: CropMode, save: Path, identity: Embedding | None
) -> tuple[PictureRow, Probe]:
    started = time.perf_counter()
    inversion = gan.prepare(face)
    picture = gan.reconstruct(inversion)
    seconds = time.perf_counter() - started
    original, result = at_side(face.image), at_side(picture)
    save_png(result, save / f"{item.path.stem}.png")
    save_png(original, save / "aligned" / f"{item.path.stem}.png")
    probe = Probe(item.path.stem, face, original, inversion, result, eyes_in_crop(face))
    row = PictureRow(
        **vars(against_photo(result, probe, identity)),
        name=item.path.name,
        source=item.source,
        colour=item.colour,
        crop=how,
        sharpness_ratio=sharpness_ratio(to_gray(result), to_gray(original)),
        seconds=seconds,
    )
    return row, probe


def summarise(rows: Sequence[PictureRow]) -> Summary:
    """Summarise at least one row."""
    identities = [row.identity for row in rows if row.identity is not None]
    return Summary(
        n=len(rows),
        ssim_mean=mean_of(row.ssim for row in rows),
        ssim_p05=float(np.percentile([row.ssim for row in rows], 5)),
        colour_error_mean=mean_of(row.colour_error for row in rows),
        sharpness_ratio_mean=mean_of(row.sharpness_ratio for row in rows),
        identity_mean=mean_of(identities),
        identity_p05=float(np.percentile(identities, 5)) if identities else None,
        seconds_median=float(np.median([row.seconds for row in rows])),
    )


def _by_source(rows: Sequence[PictureRow]) -> Iterator[tuple[str, Summary]]:
    for source in sorted({row.source for row in rows if row.source is not None}):
        yield source, summarise([row for row in rows if row.source == source])


def _by_colour(rows: Sequence[PictureRow]) -> Iterator[tuple[str, Summary]]:
    for colour, label in ((True, "colour"), (False, "grey")):
        chosen = [row for row in rows if row.source is not None and row.colour is colour]
        if chosen:
            yield label, summarise(chosen)
