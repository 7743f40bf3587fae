"""Photos with an artist's own drawing of each: train on some drawings, score on the others against the artist's answer.

Pairs are `<name>_photo.*` and `<name>_art.*` of one size and frame, as the CAS-WACO pictures are. Folds come from a
seeded shuffle, so every pair is held out once; or one fixed split is scored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from core.config import MAX_REFERENCES
from core.engines.fewshot_gan.invert import Inversion
from core.errors import PicturesUnusable
from core.evaluate.arms import TrainingPlan
from core.evaluate.measure import Scores, StyleTarget, Subject, as_rows, protocols, score, subject_of, summarise
from core.evaluate.metric_networks import Judges
from core.evaluate.train_arms import ARM_SPECS, ArmSpec, train_arm
from core.imaging.align import AlignedFace, CropMode, use_as_aligned, warp_to_quad
from core.imaging.geometry import box_quad
from core.imaging.listing import pictures_in
from core.imaging.photo import save_png, to_tensor
from core.metrics.crops import align_for_measuring, at_side, read_picture
from core.studio import Studio

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Pair:
    """One person.

    Attributes:
        name: what the files share.
        photo: aligned, as a subject.
        inversion: of the photo.
        art: the artist's drawing in the same frame, and as a subject.
        style: the drawing's own statistics.
    """

    name: str
    photo: Subject
    inversion: Inversion
    art: AlignedFace
    answer: Subject
    style: StyleTarget


def pair_files(folder: Path) -> list[tuple[str, Path, Path]]:
    """(name, photo, drawing) by name.

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


def load_pairs(studio: Studio, folder: Path, judges: Judges, *, crop: CropMode = "detect") -> list[Pair]:
    """All pairs, the photo aligned and the drawing cut along the same square.

    Raises:
        PicturesUnusable: from `pair_files`, or a pair of two sizes.
        StyleIdentityError: a photo without a usable face.
    """
    return [_load_pair(studio, name, photo, art, judges, crop) for name, photo, art in pair_files(folder)]


def _load_pair(studio: Studio, name: str, photo_path: Path, art_path: Path, judges: Judges, crop: CropMode) -> Pair:
    photo, art = read_picture(photo_path), read_picture(art_path)
    if photo.image.size != art.image.size:
        shown = " and ".join(f"{width} x {height}" for width, height in (photo.image.size, art.image.size))
        raise PicturesUnusable(art_path.name, f"and '{photo_path.name}' differ in size ({shown} pixels)")
    face, _ = align_for_measuring(photo, studio.backbone.finder, crop, size_px=studio.backbone.resolution)
    side_px = studio.backbone.resolution
    whole = box_quad(0, 0, *photo.image.size)
    if photo.image.width == photo.image.height and np.allclose(face.quad, whole):
        drawn = use_as_aligned(art, size_px=side_px)
    else:
        drawn = AlignedFace(warp_to_quad(art.image, face.quad, side_px), face.quad, face.landmarks, art.name)
    finder = studio.backbone.finder
    target = StyleTarget([to_tensor(at_side(drawn.image))], judges)
    return Pair(name, subject_of(face, finder), studio.invert(face), drawn, subject_of(drawn, finder), target)


def make_folds(count: int, folds: int, *, seed: int) -> list[list[int]]:
    """Held-out pairs of every fold: a seeded shuffle dealt out in turn; `ValueError` unless 2 <= folds <= count."""
    if not 2 <= folds <= count:
        raise ValueError(f"{count} pairs make 2 to {count} folds, got {folds}")
    order = np.random.default_rng(seed).permutation(count).tolist()
    return [sorted(order[start::folds]) for start in range(folds)]


def fixed_split(count: int, held_out: int, *, seed: int) -> list[list[int]]:
    """One fold with so many held-out pairs; `ValueError` when none would be left to train on."""
    if not 1 <= held_out < count:
        raise ValueError(f"{count} pairs leave 1 to {count - 1} to hold out, got {held_out}")
    return [sorted(np.random.default_rng(seed).permutation(count)[:held_out].tolist())]


def check_split(folder: Path, count: int, folds: Sequence[Sequence[int]]) -> None:
    """`PicturesUnusable` when a fold of the folder's pairs leaves more drawings to train on than a style takes."""
    most = count - min(len(fold) for fold in folds)
    if most > MAX_REFERENCES:
        raise PicturesUnusable(
            folder.name,
            f"holds {count} pairs, which leave {most} drawings to train on; {MAX_REFERENCES} is the most, so hold out "
            "more",
        )


def evaluate_pairs(
    studio: Studio,
    pairs: Sequence[Pair],
    folds: Sequence[Sequence[int]],
    plan: TrainingPlan,
    judges: Judges,
    save: Path,
    *,
    arms: Sequence[ArmSpec] = ARM_SPECS,
    on_progress: Progress = lambda what, done, of: None,
) -> dict[str, object]:
    """Train every arm on each fold's other drawings and score its held-out photos; writes `save/<arm>/<name>.png`.

    Returns:
        JSON-ready report. All measures are to the artist's drawing but identity, which is to the photo.

    Raises:
        TooManyReferences: a fold has more drawings to train on than a style takes, see `check_split`.
    """
    held = [index for fold in folds for index in fold]
    report: dict[str, object] = {
        "task": "pairs",
        "backbone": studio.backbone.name,
        "fingerprint": studio.backbone.fingerprint,
        "preset": plan.preset,
        "seed": plan.seed,
        "n": len(held),
        "held_out": [[pairs[index].name for index in fold] for fold in folds],
        "protocols": {
            **protocols(judges),
            "against": "the artist's drawing of the held-out person; identity against the photo",
        },
        "notes": list(judges.notes),
    }
    as_they_are = [pairs[index].photo.image for index in held]
    parts = {"photo": _part([pairs[index] for index in held], as_they_are, judges, studio)}
    for spec in arms:
        drawings: dict[int, Image.Image] = {}
        for number, fold in enumerate(folds):
            label = f"{spec.name}, fold {number + 1} of {len(folds)}"
            drawings |= _run_fold(studio, spec, pairs, fold, plan, label, on_progress)
        (save / spec.name).mkdir(parents=True, exist_ok=True)
        for index, drawing in drawings.items():
            save_png(drawing, save / spec.name / f"{pairs[index].name}.png")
        parts[spec.name] = _part([pairs[i] for i in held], [drawings[i] for i in held], judges, studio)
    return report | {"arms": parts}


def _run_fold(
    studio: Studio, spec: ArmSpec, pairs: Sequence[Pair], fold: Sequence[int], plan: TrainingPlan, label: str,
    on_progress: Progress,
) -> dict[int, Image.Image]:  # fmt: skip
    references = [pair.art for index, pair in enumerate(pairs) if index not in set(fold)]
    style = train_arm(
        studio, spec, references, preset=plan.preset, seed=plan.seed, steps=plan.steps,
        on_step=lambda step: on_progress(label, step.step, step.steps),
    )  # fmt: skip
    return {index: at_side(studio.stylize_inverted(pairs[index].inversion, style).image) for index in fold}


def _part(pairs: Sequence[Pair], drawings: Sequence[Image.Image], judges: Judges, studio: Studio) -> dict[str, object]:
    """One arm's numbers; the Frechet distance is between all drawings and all of the artist's."""
    rows = [_score(pair, drawing, judges, studio) for pair, drawing in zip(pairs, drawings, strict=True)]
    every = StyleTarget([pair.answer.x for pair in pairs], judges)
    names = [pair.photo.name for pair in pairs]
    return {**summarise(rows, drawings, every, judges), "pictures": as_rows(names, rows)}


def _score(pair: Pair, drawing: Image.Image, judges: Judges, studio: Studio) -> Scores:
    to_art = score(drawing, pair.answer, pair.style, judges, studio.backbone.finder)
    identity = judges.identity(pair.photo.image, drawing, pair.photo.eyes)
    return Scores(**{**vars(to_art), "identity": identity})
