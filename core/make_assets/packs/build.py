"""Renders a study pack: every photo drawn by each arm, trained on the same references with the same seed.

The paper's study shows JoJoGAN and StyleIdentityGAN, each one-shot and few-shot (Table 1), and in a second round
one-shot against few-shot of StyleIdentityGAN. Here several groups of references may share a pack; trial i uses group
i mod n.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from PIL import Image

from core.config import MAX_REFERENCES
from core.engines.fewshot_gan.finetune import check_reference_count
from core.engines.fewshot_gan.style_file import Style
from core.errors import PicturesUnusable, StyleIdentityError
from core.evaluate.train_arms import ARM_SPECS, ArmSpec, train_arm
from core.imaging.align import AlignedFace
from core.imaging.listing import pictures_in
from core.metrics.crops import read_picture
from core.studio import Crop, Studio
from core.study.protocol.packs import Arm, Pack
from core.study.protocol.packwriter import TrialPictures, write_pack

Progress = Callable[[str, int, int], None]  # what, done, of how many


@dataclass(frozen=True)
class PackPlan:
    """What a pack is made with.

    Attributes:
        slug, title: the pack's name on disk and for participants; the title must not tell a method.
        arms: which methods are compared.
        preset: "sketch" or "cartoon".
        steps: instead of the preset's.
        seed: of every training.
    """

    slug: str
    title: str
    arms: tuple[Arm, ...]
    preset: str = "cartoon"
    steps: int | None = None
    seed: int = 0

    def specs(self) -> list[ArmSpec]:
        """The arms' training, in the order of `ARM_SPECS`; `ValueError` for other than two to four known arms."""
        found = [spec for spec in ARM_SPECS if spec.name in self.arms]
        if len(found) < 2 or len(found) != len(self.arms):
            raise ValueError(f"a pack compares two to four different arms, got {self.arms}")
        return found


def faces_in(folder: Path, studio: Studio, crop: Crop = "detect") -> list[AlignedFace]:
    """The largest face of every picture directly in a folder, by name.

    Raises:
        PicturesUnusable: no folder, no pictures, or one without a usable face, which the sentence names.
    """
    faces = []
    for path in pictures_in(folder):
        try:
            faces.append(studio.align(read_picture(path), crop=crop))
        except StyleIdentityError as error:
            raise PicturesUnusable(path.name, f"can't be used ({error})") from error
    return faces


def check_reference_folders(folders: Sequence[Path]) -> None:
    """`PicturesUnusable` for the first folder with other than 1 to 14 pictures, before anything slow is done."""
    for folder in folders:
        count = len(pictures_in(folder))
        if count > MAX_REFERENCES:
            raise PicturesUnusable(folder.name, f"holds {count} style pictures; keep the best {MAX_REFERENCES}")


def build_pack(
    studio: Studio,
    photos: Sequence[AlignedFace],
    references: Sequence[Sequence[AlignedFace]],
    plan: PackPlan,
    out: Path,
    *,
    trained: Mapping[Arm, Style] = MappingProxyType({}),
    keep_styles: Path | None = None,
    on_progress: Progress = lambda what, done, of: None,
    stop: Callable[[], bool] | None = None,
) -> Pack:
    """Train the arms on every group of references, draw every photo, write the pack.

    Args:
        photos: one trial each.
        references: groups of 1 to 14 artworks; the one-shot arms see the first of a group.
        out: the pack's folder; an older pack in it is replaced.
        trained: styles of the first group that are there already, such as a ready-made one; not trained again.
        keep_styles: folder in which the styles trained on the first group are kept, one file per arm.
        stop: asked before every step of every training.

    Raises:
        ValueError: no photo, no group, arms as in `PackPlan.specs`, or `out` holds something other than a pack.
        NoReferences, TooManyReferences: a group of another size.
        TrainingStopped: `stop` said so; nothing is written.
    """
    if not photos or not references:
        raise ValueError(f"needs photos and groups of references, got {len(photos)} and {len(references)}")
    specs = plan.specs()
    for group in references:
        check_reference_count(len(group))
    drawn: list[dict[Arm, Image.Image]] = [{} for _ in photos]
    total = len(specs) * len(references)
    for number, (group, spec) in enumerate((group, spec) for group in range(len(references)) for spec in specs):
        style = trained.get(spec.name) if group == 0 else None
        if style is None:
            what = f"training {number + 1} of {total}"  # names no arm: whoever builds a pack may also judge it
            style = train_arm(
                studio,
                spec,
                references[group],
                preset=plan.preset,
                seed=plan.seed,
                steps=plan.steps,
                on_step=lambda item, what=what: on_progress(what, item.step, item.steps),
                stop=stop,
            )
            if keep_styles is not None and group == 0:
                keep_styles.mkdir(parents=True, exist_ok=True)
                studio.save_style(style, keep_styles / f"{spec.name}.safetensors")
        _draw(studio, photos, style, spec, drawn, range(group, len(photos), len(references)), on_progress)
    trials = [
        TrialPictures(face.image, tuple(item.image for item in references[i % len(references)]), drawn[i])
        for i, face in enumerate(photos)
    ]
    return write_pack(
        out,
        slug=plan.slug,
        title=plan.title,
        arms=tuple(spec.name for spec in specs),
        trials=trials,
        provenance=_provenance(studio, plan, references),
    )


def _draw(
    studio: Studio,
    photos: Sequence[AlignedFace],
    style: Style,
    spec: ArmSpec,
    drawn: list[dict[Arm, Image.Image]],
    rows: Sequence[int],
    on_progress: Progress,
) -> None:
    for done, row in enumerate(rows):
        on_progress("drawing", done, len(rows))
        drawn[row][spec.name] = studio.stylize(photos[row], style, seed=0).image
    on_progress("drawing", len(rows), len(rows))


def _provenance(studio: Studio, plan: PackPlan, references: Sequence[Sequence[AlignedFace]]) -> dict[str, object]:
    steps = studio.config(plan.preset, **({} if plan.steps is None else {"steps": plan.steps})).steps
    return {
        "backbone": studio.backbone.name,
        "fingerprint": studio.backbone.fingerprint,
        "preset": plan.preset,
        "steps": steps,
        "seed": plan.seed,
        "references_per_group": [len(group) for group in references],
    }
