"""Photos with an artist's own drawing of each: train on some drawings, score on the others against the artist's answer.

Pairs are `<name>_photo.*` and `<name>_art.*` of one size and frame, as the CAS-WACO pictures are. Folds come from a
seeded shuffle, so every pair is held out once; or one fixed split is scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from core.config import MAX_REFERENCES, PAPER_ARMS, Arm, CropMode
from core.engines.base import Prepared
from core.errors import PicturesUnusable
from core.evaluate.contact import Sheet, Tile, save_contact
from core.evaluate.metric_networks import MetricNetworks
from core.evaluate.panel import align_for
from core.evaluate.plans import TrainingPlan
from core.evaluate.scores import (
    NamedScores,
    Scores,
    SetScores,
    StyleTarget,
    Subject,
    named,
    protocols,
    score,
    subject_of,
    summarise,
)
from core.evaluate.train_arms import train_arm
from core.imaging.align import AlignedFace, use_as_aligned
from core.imaging.geometry import box_quad, warp_to_quad
from core.imaging.listing import pictures_in
from core.imaging.photo import save_png, to_tensor
from core.metrics.crops import at_side, read_picture
from core.progress import OnProgress, Progress, ignore_progress
from core.studio import Studio


@dataclass(frozen=True)
class Pair:
    """One person.

    Attributes:
        name: what the files share.
        photo: aligned, ready to be compared with.
        prepared: the photo as the engine read it.
        art: the artist's drawing in the same frame.
        answer: the drawing, ready to be compared with.
        style: the drawing's own statistics.
    """

    name: str
    photo: Subject
    prepared: Prepared
    art: AlignedFace
    answer: Subject
    style: StyleTarget


@dataclass(frozen=True)
class PairsPart(SetScores):
    """One arm's numbers; all are to the artist's drawing but identity, which is to the photo."""

    pictures: tuple[NamedScores, ...]


@dataclass(frozen=True)
class PairsReport:
    """The comparison with an artist.

    Attributes:
        backbone, fingerprint, preset, seed: what trained.
        n: held-out photos.
        held_out: names of each fold's.
        protocols, notes: what the numbers are, and what a reader must know.
        arms: by arm, and the photos as they are under "photo".
    """

    backbone: str
    fingerprint: str
    preset: str
    seed: int
    n: int
    held_out: tuple[tuple[str, ...], ...]
    protocols: dict[str, str]
    notes: tuple[str, ...]
    arms: dict[str, PairsPart]
    task: Literal["pairs"] = "pairs"


def pair_files(folder: Path) -> list[tuple[str, Path, Path]]:
    """List (name, photo, drawing) by name.

    Raises:
        PicturesUnusable: no pictures, a file of another name, one without its partner, or a single pair.
    """
    found: dict[str, dict[str, Path]] = {}
    for path in pictures_in(folder):
        name, _, kind = path.stem.rpartition("_")
        if kind not in ("photo", "art") or not name:
            raise PicturesUnusable(path.name, "is neither '<name>_photo' nor '<name>_art'; rename it or take it out")
        found.setdefault(name, {})[kind] = path
    for name, files in found.items():
        if len(files) == 1:
            kind, path = next(iter(files.items()))
            missing = "art" if kind == "photo" else "photo"
            raise PicturesUnusable(path.name, f"has no partner '{name}_{missing}' in the folder '{folder.name}'")
    pairs = [(name, files["photo"], files["art"]) for name, files in sorted(found.items())]
    if len(pairs) < 2:
        raise PicturesUnusable(pairs[0][1].name, "is the only pair; one is trained on and another held out, so add one")
    return pairs


def load_pairs(studio: Studio, folder: Path, networks: MetricNetworks, *, crop: CropMode = "detect") -> list[Pair]:
    """Load all pairs, the photo aligned and the drawing cut along the same square.

    Raises:
        PicturesUnusable: from `pair_files`, or a pair of two sizes.
        StyleIdentityError: a photo without a usable face.
    """
    return [_load_pair(studio, name, photo, art, networks, crop) for name, photo, art in pair_files(folder)]


def _load_pair(
    studio: Studio, name: str, photo_path: Path, art_path: Path, networks: MetricNetworks, crop: CropMode
) -> Pair:
    photo, art = read_picture(photo_path), read_picture(art_path)
    if photo.image.size != art.image.size:
        shown = " and ".join(f"{width} x {height}" for width, height in (photo.image.size, art.image.size))
        raise PicturesUnusable(art_path.name, f"and '{photo_path.name}' differ in size ({shown} pixels)")
    face, _ = align_for(studio, photo, crop)
    side_px = studio.capabilities().reads_px
    whole = box_quad(0, 0, *photo.image.size)
    if photo.image.width == photo.image.height and np.allclose(face.quad, whole):
        drawn = use_as_aligned(art, size_px=side_px)
    else:
        drawn = AlignedFace(warp_to_quad(art.image, face.quad, side_px), face.quad, face.landmarks, art.name)
    target = StyleTarget([to_tensor(at_side(drawn.image))], networks)
    return Pair(name, subject_of(face, networks), studio.prepare(face), drawn, subject_of(drawn, networks), target)


def make_folds(count: int, folds: int, *, seed: int) -> list[list[int]]:
    """Hold every pair out once: a seeded shuffle dealt out in turn. Raises ValueError unless 2 <= folds <= count."""
    if not 2 <= folds <= count:
        raise ValueError(f"{count} pairs make 2 to {count} folds, got {folds}")
    order = np.random.default_rng(seed).permutation(count).tolist()
    return [sorted(order[start::folds]) for start in range(folds)]


def fixed_split(count: int, held_out: int, *, seed: int) -> list[list[int]]:
    """Make one fold with so many held-out pairs. Raises ValueError when none would be left to train on."""
    if not 1 <= held_out < count:
        raise ValueError(f"{count} pairs leave 1 to {count - 1} to hold out, got {held_out}")
    return [sorted(np.random.default_rng(seed).permutation(count)[:held_out].tolist())]


def choose_split(folder: Path, *, folds: int | None, held_out: int | None, seed: int) -> list[list[int]]:
    """Split a folder's pairs into held-out folds, before anything is loaded.

    Args:
        folder: of the pairs.
        folds: how many; 3 where both are None.
        held_out: instead one fold of so many pairs.
        seed: of the shuffle.

    Raises:
        PicturesUnusable: from `pair_files`; it can't be split so; or a fold leaves more drawings to train on than a
            style takes.
    """
    count = len(pair_files(folder))
    try:
        if held_out is None:
            split = make_folds(count, folds or 3, seed=seed)
        else:
            split = fixed_split(count, held_out, seed=seed)
    except ValueError as error:
        raise PicturesUnusable(folder.name, f"can't be split so: {error}") from error
    most = count - min(len(fold) for fold in split)
    if most > MAX_REFERENCES:
        left = f"which leave {most} drawings to train on; {MAX_REFERENCES} is the most, so hold out more"
        raise PicturesUnusable(folder.name, f"holds {count} pairs, {left}")
    return split


def evaluate_pairs(
    studio: Studio,
    pairs: Sequence[Pair],
    folds: Sequence[Sequence[int]],
    plan: TrainingPlan,
    networks: MetricNetworks,
    save: Path,
    *,
    arms: Sequence[Arm] = PAPER_ARMS,
    on_progress: OnProgress = ignore_progress,
) -> PairsReport:
    """Train every arm on each fold's other drawings and score its held-out photos; writes `save/<arm>/<name>.png`.

    Args:
        studio: whose default engine trains.
        pairs: from `load_pairs`.
        folds: held-out pairs of each, from `choose_split`.
        plan: of every training.
        networks: measure.
        save: folder for the drawings.
        arms: which ones.
        on_progress: hears of every step.

    Raises:
        TooManyReferences: a fold has more drawings to train on than a style takes, see `choose_split`.
    """
    held = [index for fold in folds for index in fold]
    people = [pairs[index] for index in held]
    parts = {"photo": _part(people, [pair.photo.image for pair in people], networks)}
    for arm in arms:
        drawings: dict[int, Image.Image] = {}
        for number, fold in enumerate(folds):
            label = f"{arm.id}, fold {number + 1} of {len(folds)}"
            drawings |= _draw_fold(studio, arm, pairs, fold, plan, label, on_progress)
        (save / arm.id).mkdir(parents=True, exist_ok=True)
        for index, drawing in drawings.items():
            save_png(drawing, save / arm.id / f"{pairs[index].name}.png")
        parts[arm.id] = _part(people, [drawings[index] for index in held], networks)
    against = "the artist's drawing of the held-out person; identity against the photo"
    return PairsReport(
        backbone=studio.describe().variant,
        fingerprint=studio.describe().fingerprint,
        preset=plan.preset,
        seed=plan.seed,
        n=len(held),
        held_out=tuple(tuple(pairs[index].name for index in fold) for fold in folds),
        protocols={**protocols(networks), "against": against},
        notes=networks.notes,
        arms=parts,
    )


def _draw_fold(
    studio: Studio, arm: Arm, pairs: Sequence[Pair], fold: Sequence[int], plan: TrainingPlan, label: str,
    on_progress: OnProgress,
) -> dict[int, Image.Image]:  # fmt: skip
    references = [pair.art for index, pair in enumerate(pairs) if index not in set(fold)]
    style = train_arm(
        studio, arm, references, preset=plan.preset, seed=plan.seed, steps=plan.steps,
        on_step=lambda step: on_progress(Progress(label, step.step, step.steps)),
    )  # fmt: skip
    return {index: at_side(studio.draw(pairs[index].prepared, style).image) for index in fold}


def _part(pairs: Sequence[Pair], drawings: Sequence[Image.Image], networks: MetricNetworks) -> PairsPart:
    """One arm's numbers; the Frechet distance is between all drawings and all of the artist's."""
    rows = [score_pair(pair, drawing) for pair, drawing in zip(pairs, drawings, strict=True)]
    every = StyleTarget([pair.answer.x for pair in pairs], networks)
    pictures = named([pair.photo.name for pair in pairs], rows)
    return PairsPart(**vars(summarise(rows, drawings, every)), pictures=pictures)


def score_pair(pair: Pair, drawing: Image.Image) -> Scores:
    """Measure one drawing against the artist's; its identity against the photo."""
    to_art = score(drawing, pair.answer, pair.style)
    identity = pair.style.networks.identity(pair.photo.image, drawing, pair.photo.eyes)
    return replace(to_art, identity=identity)


def draw_pairs(pairs: Sequence[Pair], report: PairsReport, drawings: Path, path: Path) -> None:
    """Draw a contact sheet: photo, the artist's answer, every arm's drawing from `drawings/<arm>/<name>.png`."""
    arms = [arm for arm in PAPER_ARMS if arm.id in report.arms]
    held = {name for fold in report.held_out for name in fold}
    rows = [
        [
            Tile(pair.photo.image),
            Tile(pair.answer.image),
            *(Tile(_read(drawings / arm.id / f"{pair.name}.png"), _caption(report.arms[arm.id], pair)) for arm in arms),
        ]
        for pair in pairs
        if pair.name in held
    ]
    subtitle = f"held out from training; preset {report.preset}, seed {report.seed}, model {report.backbone}"
    columns = ["Photo", "The artist", *(arm.title for arm in arms)]
    save_contact(Sheet("Beside the artist's own answer", subtitle, [], columns, rows), path)


def _caption(part: PairsPart, pair: Pair) -> str:
    found = next(row for row in part.pictures if row.name == pair.photo.name)
    return f"SSIM {found.ssim:.2f}   perceptual {found.content:.2f}"


def _read(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")
