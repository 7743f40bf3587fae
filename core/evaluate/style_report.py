"""What a few-shot style does to new photos: how much of the style gap it closes, and what it keeps of the person.

Protocols: style gap closed (`gram_relative` on SqueezeNet features), `cosine112` identity against the photo, and
`ssim_gray_gauss11` against the photo. A higher gap with a higher identity is better; SSIM alone rewards doing nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from core.config import CropMode
from core.engines.base import TrainingConfig
from core.evaluate.panel import Panel, Trained
from core.imaging.photo import save_png, to_tensor
from core.metrics.crops import at_side, eyes_in_crop, mean_of
from core.metrics.gram import Features, style_gap_closed
from core.metrics.identity import identity_similarity
from core.metrics.own_networks import TRAINING_LOSS_NOTE, OwnNetworks
from core.metrics.ssim import ssim_gray_gauss11, to_gray
from core.reports import Failed, absent


@dataclass(frozen=True)
class StyleRow:
    """One photo's numbers.

    Attributes:
        name: of the photo.
        crop: how it was cut.
        style_gap_closed: 1 is all; None without features, or for a photo that is as near to the references as they are
            to each other.
        identity: cosine; None without a recogniser.
        ssim: to the photo.
        seconds: of reading and drawing.
    """

    name: str
    crop: CropMode
    style_gap_closed: float | None
    identity: float | None
    ssim: float
    seconds: float


@dataclass(frozen=True)
class StyleReport:
    """Means over `n` photos (of the numbers that exist), the 5th percentile of identity, and the median time."""

    backbone: str
    protocols: tuple[str, ...]
    references: int
    config: TrainingConfig
    training_seconds: float
    n: int
    style_gap_closed_mean: float | None
    identity_mean: float | None
    identity_p05: float | None
    ssim_mean: float | None
    seconds_median: float
    failed: tuple[Failed, ...]
    pictures: tuple[StyleRow, ...]
    note: str | None = absent()
    task: Literal["style"] = "style"


def style_report(
    panel: Panel, run: Trained, save: Path, *, backbone: str, own: OwnNetworks | None = None
) -> StyleReport:
    """Measure a style's drawings of a panel; writes them to `save/<photo>.png`, 256 px.

    Args:
        panel, run: what was drawn.
        save: folder for the drawings.
        backbone: which of the engine's models drew.
        own: the user's metric networks; without them the style gap and the identity are None.
    """
    save.mkdir(parents=True, exist_ok=True)
    artworks = [to_tensor(at_side(face.image)) for face in panel.references]
    features = None if own is None else own.features
    embed = None if own is None else own.identity
    rows = []
    for item, drawing, seconds in zip(panel.photos, run.drawings, run.seconds, strict=True):
        save_png(drawing, save / f"{Path(item.face.name).stem}.png")
        photo = at_side(item.face.image)
        gap = _gap(to_tensor(drawing), to_tensor(photo), artworks, features) if features else None
        likeness = identity_similarity(photo, drawing, eyes_in_crop(item.face), embed) if embed else None
        ssim = ssim_gray_gauss11(to_gray(photo), to_gray(drawing))
        rows.append(StyleRow(item.face.name, item.crop, gap, likeness, ssim, seconds))
    measured = {
        "gram_relative on SqueezeNet 1.1": features is not None,
        "cosine112": embed is not None,
        "ssim_gray_gauss11 at 256 px": True,
    }
    identities = [row.identity for row in rows if row.identity is not None]
    return StyleReport(
        backbone=backbone,
        protocols=tuple(name for name, used in measured.items() if used),
        references=len(panel.references),
        config=run.config,
        training_seconds=run.cost.seconds,
        n=len(rows),
        style_gap_closed_mean=mean_of(row.style_gap_closed for row in rows),
        identity_mean=mean_of(identities),
        identity_p05=float(np.percentile(identities, 5)) if identities else None,
        ssim_mean=mean_of(row.ssim for row in rows),
        seconds_median=float(np.median([row.seconds for row in rows])),
        failed=panel.failed,
        pictures=tuple(rows),
        note=TRAINING_LOSS_NOTE if features is not None else None,
    )


def _gap(result: Tensor, photo: Tensor, references: Sequence[Tensor], features: Features) -> float | None:
    try:
        return style_gap_closed(result, photo, references, features)
    except ValueError:  # the photo is as near to the references as they are to each other
        return None
