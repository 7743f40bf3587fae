"""Three probes of the inversion beyond its own reconstruction.

Destylization: a photo drawn in a style that the encoder was not trained on should come back as the photo when it is
inverted and reconstructed. Appearance swap (Eq. 1 of StyleIdentityGAN with alpha 0 and another photo's code): the
result should keep the first face's structure and take the second's colours. Random looks (alpha 0 and a sampled code,
as in training): the result should still be the same person.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image

from core.engines.fewshot_gan.invert import Inversion
from core.imaging.align import AlignedFace
from core.imaging.photo import save_png, to_image, to_tensor
from core.metrics.colour import colour_gap_closed, face_colour_distance, mean_absolute_colour_error
from core.metrics.crops import at_side, mean_of, rgb
from core.metrics.identity import Embedding, Eyes, cosine, identity_similarity, similarity_crop
from core.metrics.ssim import ssim_gray_gauss11, to_gray
from core.procedural.augmentations import HELD_OUT
from core.studio import Studio

RANDOM_LOOKS = 4  # per face
MIN_COLOUR_GAP = 15.0  # levels; faces nearer in colour than this say nothing about a swap
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Probe:
    """A measured picture with its 256 px crop, inversion, reconstruction and eye centres in the crop."""

    stem: str
    face: AlignedFace
    original: Image.Image
    inversion: Inversion
    reconstruction: Image.Image
    eyes: Eyes


def _versus(
    photo: Image.Image, picture: Image.Image, eyes: Eyes, identity: Embedding | None
) -> dict[str, float | None]:
    return {
        "ssim": ssim_gray_gauss11(to_gray(photo), to_gray(picture)),
        "colour_error": mean_absolute_colour_error(rgb(photo), rgb(picture)),
        "identity": identity_similarity(photo, picture, eyes, identity) if identity else None,
    }


def destylization(
    studio: Studio, probes: Sequence[Probe], save: Path, *, identity: Embedding | None, on_progress: Progress
) -> dict[str, object]:
    """Per held-out style: SSIM, colour error and identity against the clean photo, of the styled picture (`styled_*`)
    and of what the inversion makes of it (`returned_*`). Pictures go to `save/destylized/<style>/<stem>.png`.
    """
    report: dict[str, object] = {"n": len(probes), "styles": {}}
    for position, (style, draw) in enumerate(HELD_OUT.items()):
        on_progress("destylization", position, len(HELD_OUT))
        folder = save / "destylized" / style
        folder.mkdir(parents=True, exist_ok=True)
        before, after = [], []
        for number, probe in enumerate(probes):
            drawn = draw(to_tensor(probe.original), torch.Generator().manual_seed(number))
            styled = to_image(drawn)
            returned = at_side(studio.reconstruct(studio.invert(replace(probe.face, image=styled))))
            save_png(returned, folder / f"{probe.stem}.png")
            before.append(_versus(probe.original, styled, probe.eyes, identity))
            after.append(_versus(probe.original, returned, probe.eyes, identity))
        report["styles"][style] = {
            f"{name}_{measure}": mean_of(row[measure] for row in rows if row[measure] is not None)
            for name, rows in (("styled", before), ("returned", after))
            for measure in ("ssim", "colour_error", "identity")
        }
    on_progress("destylization", len(HELD_OUT), len(HELD_OUT))
    rows = report["styles"].values()
    for measure in next(iter(rows), {}):
        report[f"{measure}_mean"] = mean_of(row[measure] for row in rows if row[measure] is not None)
    return report


def mixed(inversion: Inversion, other: Inversion, layers: Sequence[int]) -> Inversion:
    """`inversion` with the style layers of another one; its own features and all other layers stay."""
    w_plus = inversion.w_plus.clone()  # [1, L, D]
    w_plus[:, list(layers)] = other.w_plus[:, list(layers)]
    return replace(inversion, w_plus=w_plus)


def appearance_swap(
    studio: Studio, probes: Sequence[Probe], save: Path, *, identity: Embedding | None, on_progress: Progress
) -> dict[str, object]:
    """Every probe with the appearance layers of the next one; pairs of nearly one face colour are left out.

    Returns:
        `n`; `ssim_to_structure_mean`: to the first photo; `colour_gap_closed_mean`: share of the way from the first
        reconstruction's face colour to the second's; `identity_to_structure_mean`, `identity_to_appearance_mean`:
        cosine to the first and second photo. Pictures go to `save/swapped/<first>_<second>.png`.
    """
    folder = save / "swapped"
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, float | None]] = []
    for number, first in enumerate(probes):
        on_progress("appearance swap", number, len(probes))
        second = probes[(number + 1) % len(probes)]
        start, target = rgb(first.reconstruction), rgb(second.reconstruction)
        if face_colour_distance(start, target) < MIN_COLOUR_GAP:
            continue
        layers = swap_layers(studio, first.inversion)
        result = at_side(studio.reconstruct(mixed(first.inversion, second.inversion, layers)))
        save_png(result, folder / f"{first.stem}_{second.stem}.png")
        rows.append(
            {
                "ssim_to_structure": ssim_gray_gauss11(to_gray(first.original), to_gray(result)),
                "colour_gap_closed": colour_gap_closed(rgb(result), start, target),
                **_identities(first, second, result, identity),
            }
        )
    on_progress("appearance swap", len(probes), len(probes))
    names = ("ssim_to_structure", "colour_gap_closed", "identity_to_structure", "identity_to_appearance")
    return {
        "n": len(rows),
        **{f"{name}_mean": mean_of(row[name] for row in rows if row[name] is not None) for name in names},
    }


def random_looks(
    studio: Studio, probes: Sequence[Probe], save: Path, *, identity: Embedding | None, on_progress: Progress
) -> dict[str, object]:
    """Every probe with `RANDOM_LOOKS` sampled appearance codes, the same for all.

    Returns:
        `n` drawings; `ssim_mean`, `colour_error_mean`, `identity_mean`: to the photo. Pictures go to
        `save/looks/<stem>_<seed>.png`.
    """
    folder = save / "looks"
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, probe in enumerate(probes):
        on_progress("random looks", number, len(probes))
        for seed in range(RANDOM_LOOKS):
            result = at_side(studio.reconstruct(probe.inversion, random_look_seed=seed))
            save_png(result, folder / f"{probe.stem}_{seed}.png")
            rows.append(_versus(probe.original, result, probe.eyes, identity))
    on_progress("random looks", len(probes), len(probes))
    measures = ("ssim", "colour_error", "identity")
    return {"n": len(rows)} | {
        f"{measure}_mean": mean_of(row[measure] for row in rows if row[measure] is not None) for measure in measures
    }


def _identities(
    first: Probe, second: Probe, result: Image.Image, identity: Embedding | None
) -> dict[str, float | None]:
    if identity is None:
        return {"identity_to_structure": None, "identity_to_appearance": None}
    embedded = identity(similarity_crop(result, first.eyes))
    return {
        f"identity_to_{role}": cosine(embedded, identity(similarity_crop(probe.original, probe.eyes)))
        for role, probe in (("structure", first), ("appearance", second))
    }


def swap_layers(studio: Studio, inversion: Inversion) -> tuple[int, ...]:
    """The appearance layers of the running backbone: those its sketch preset mixes, else all from layer 7 on."""
    layers = studio.config("sketch").swap_layers
    return layers if layers is not None else tuple(range(7, inversion.w_plus.shape[1]))
