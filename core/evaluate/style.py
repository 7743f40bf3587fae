"""What a few-shot style does to new photos: trains once, stylizes every photo, measures at 256 px.

Protocols: style gap closed (`gram_relative` on SqueezeNet features), `cosine112` identity against the photo, and
`ssim_gray_gauss11` against the photo. A higher gap with a higher identity is better; SSIM alone rewards doing nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from core.config import FinetuneConfig
from core.engines.fewshot_gan.style_file import Style
from core.errors import PicturesUnusable, StyleIdentityError
from core.imaging.align import AlignedFace, CropMode
from core.imaging.listing import Listed
from core.imaging.photo import save_png, to_tensor
from core.metrics.crops import align_for_measuring, at_side, eyes_in_crop, mean_of, read_picture
from core.metrics.gram import Features, style_gap_closed
from core.metrics.identity import identity_similarity
from core.metrics.own_networks import TRAINING_LOSS_NOTE, OwnNetworks
from core.metrics.ssim import ssim_gray_gauss11, to_gray
from core.studio import Studio

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Row:
    """One photo's numbers; `style_gap_closed` (1 is all) and `identity` (cosine) are None without their judges."""

    name: str
    crop: CropMode
    style_gap_closed: float | None
    identity: float | None
    ssim: float
    seconds: float


def train_style(
    studio: Studio,
    references: Sequence[AlignedFace],
    config: FinetuneConfig,
    *,
    name: str,
    photo: AlignedFace | None = None,
    on_progress: Progress = lambda what, done, of: None,
) -> Style:
    """Runs `Studio.train` to its end and hands back the style; `photo` is the identity anchor of `anchor="photo"`."""
    for item in studio.train(references, config, name=name, photo=photo):
        if isinstance(item, Style):
            return item
        on_progress("training", item.step, item.steps)
    raise RuntimeError("Studio.train ended without a style")


def evaluate_style(
    studio: Studio,
    listed: Sequence[Listed],
    references: Sequence[Path],
    config: FinetuneConfig,
    save: Path,
    *,
    own_networks: OwnNetworks | None = None,
    crop: CropMode = "detect",
    reference_crop: CropMode = "detect",
    on_progress: Progress = lambda what, done, of: None,
) -> dict[str, object]:
    """Trains one style from the references and measures it on every photo.

    Args:
        listed: photos, from `core.imaging.listing.list_photos`.
        references: style pictures; a failure among them ends the run.
        config: hyper-parameters; `anchor="photo"` is refused with `ValueError`, since one style serves all photos.
        save: folder for `<stem>.png`, 256 px.
        own_networks: the user's; without them the style gap and the identity are None.
        crop: how photos are cut, as in `evaluate_reconstruction`.
        reference_crop: how references are cut, likewise.

    Returns:
        JSON-ready report. Seconds are those of `Studio.stylize`, the median over photos.

    Raises:
        PicturesUnusable: when no photo could be measured. Single failures are listed under `failed`.
    """
    if config.anchor == "photo":
        raise ValueError("evaluate_style trains one style for all photos, got anchor='photo'")
    save.mkdir(parents=True, exist_ok=True)
    finder, size_px = studio.backbone.finder, studio.backbone.resolution
    styles = [
        align_for_measuring(read_picture(path), finder, reference_crop, size_px=size_px)[0] for path in references
    ]
    faces, failed = _align_all(studio, listed, crop)
    started = time.perf_counter()
    style = train_style(studio, styles, config, name=references[0].stem, on_progress=on_progress)
    trained_seconds = time.perf_counter() - started
    pictures = [to_tensor(at_side(face.image)) for face in styles]
    rows = []
    for done, (item, face, how) in enumerate(faces):
        on_progress("photos", done, len(faces))
        rows.append(_measure(studio, item, face, how, style, pictures, save, own_networks))
    on_progress("photos", len(faces), len(faces))
    return {
        "task": "style",
        "backbone": studio.choice.name,
        **_protocols(own_networks),
        "references": len(styles),
        "config": asdict(config),
        "training_seconds": trained_seconds,
        **summarise(rows),
        "failed": failed,
        "pictures": [asdict(row) for row in rows],
    }


def _protocols(own_networks: OwnNetworks | None) -> dict[str, object]:
    """What the numbers are, and a note on the style's judge; without a judge neither its protocol nor its note."""
    measured = {
        "gram_relative on SqueezeNet 1.1": own_networks is not None and own_networks.features is not None,
        "cosine112": own_networks is not None and own_networks.identity is not None,
        "ssim_gray_gauss11 at 256 px": True,
    }
    note = {"note": TRAINING_LOSS_NOTE} if measured["gram_relative on SqueezeNet 1.1"] else {}
    return {"protocols": [name for name, there in measured.items() if there], **note}


def _align_all(
    studio: Studio, listed: Sequence[Listed], crop: CropMode
) -> tuple[list[tuple[Listed, AlignedFace, CropMode]], list[dict[str, str]]]:
    finder, size_px = studio.backbone.finder, studio.backbone.resolution
    faces, failed = [], []
    for item in listed:
        try:
            faces.append((item, *align_for_measuring(read_picture(item.path), finder, crop, size_px=size_px)))
        except StyleIdentityError as error:
            failed.append({"name": item.path.name, "message": str(error)})
    if not faces:
        raise PicturesUnusable(listed[0].path.parent.name, f"holds no usable face ({failed[0]['message']})")
    return faces, failed


def _measure(
    studio: Studio,
    item: Listed,
    face: AlignedFace,
    how: CropMode,
    style: Style,
    references: Sequence[Tensor],
    save: Path,
    own_networks: OwnNetworks | None,
) -> Row:
    started = time.perf_counter()
    stylized = studio.stylize(face, style)
    seconds = time.perf_counter() - started
    photo, result = at_side(face.image), at_side(stylized.image)
    save_png(result, save / f"{item.path.stem}.png")
    embed = own_networks.identity if own_networks else None
    features = own_networks.features if own_networks else None
    return Row(
        name=item.path.name,
        crop=how,
        style_gap_closed=_gap(to_tensor(result), to_tensor(photo), references, features) if features else None,
        identity=identity_similarity(photo, result, eyes_in_crop(face), embed) if embed else None,
        ssim=ssim_gray_gauss11(to_gray(photo), to_gray(result)),
        seconds=seconds,
    )


def _gap(result: Tensor, photo: Tensor, references: Sequence[Tensor], features: Features) -> float | None:
    """None for a photo that is already as near to the references as they are to each other."""
    try:
        return style_gap_closed(result, photo, references, features)
    except ValueError:
        return None


def summarise(rows: Sequence[Row]) -> dict[str, object]:
    """Means over photos (of the numbers that exist), 5th percentile of identity, median time."""
    identities = [row.identity for row in rows if row.identity is not None]
    return {
        "n": len(rows),
        "style_gap_closed_mean": mean_of(row.style_gap_closed for row in rows if row.style_gap_closed is not None),
        "identity_mean": mean_of(identities),
        "identity_p05": float(np.percentile(identities, 5)) if identities else None,
        "ssim_mean": mean_of(row.ssim for row in rows),
        "seconds_median": float(np.median([row.seconds for row in rows])),
    }
