"""Three probes of the inversion beyond its own reconstruction.

Destylization: a photo drawn in a style that the encoder was not trained on should come back as the photo when it is
inverted and reconstructed. Appearance swap (Eq. 1 of StyleIdentityGAN with alpha 0 and another photo's code): the
result should keep the first face's structure and take the second's colours. Random appearance (alpha 0 and a sampled
code, as in training): the result should still be the same person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image

from core.engines.fewshot_gan.engine import FewShotGan
from core.engines.fewshot_gan.invert import Inversion
from core.imaging.align import AlignedFace
from core.imaging.photo import save_png, to_image, to_tensor
from core.metrics.colour import colour_gap_closed, face_colour_distance, mean_absolute_colour_error
from core.metrics.crops import at_side, mean_of, rgb
from core.metrics.identity import Embedding, Eyes, cosine, identity_similarity, similarity_crop
from core.metrics.ssim import ssim_gray_gauss11, to_gray
from core.procedural.augmentations import HELD_OUT
from core.progress import OnProgress, Progress

APPEARANCES = 4  # sampled codes per face
MIN_COLOUR_GAP = 15.0  # levels; faces nearer in colour than this say nothing about a swap


@dataclass(frozen=True)
class Probe:
    """A measured picture with its 256 px crop, inversion, reconstruction and eye centres in the crop."""

    stem: str
    face: AlignedFace
    original: Image.Image
    inversion: Inversion
    reconstruction: Image.Image
    eyes: Eyes


@dataclass(frozen=True)
class AgainstPhoto:
    """A picture against the photo it shows: SSIM, colour error in levels, identity where a recogniser is given."""

    ssim: float
    colour_error: float
    identity: float | None


@dataclass(frozen=True)
class DestylizedInto:
    """Means over photos in one held-out style, against the clean photo.

    Attributes:
        styled_ssim, styled_colour_error, styled_identity: of the styled picture.
        returned_ssim, returned_colour_error, returned_identity: of what the inversion makes of it.
    """

    styled_ssim: float | None
    styled_colour_error: float | None
    styled_identity: float | None
    returned_ssim: float | None
    returned_colour_error: float | None
    returned_identity: float | None


@dataclass(frozen=True)
class Destylization:
    """`n` photos in every held-out style, and the means over styles."""

    n: int
    styles: dict[str, DestylizedInto]
    styled_ssim_mean: float | None
    styled_colour_error_mean: float | None
    styled_identity_mean: float | None
    returned_ssim_mean: float | None
    returned_colour_error_mean: float | None
    returned_identity_mean: float | None


@dataclass(frozen=True)
class AppearanceSwap:
    """Means over `n` pairs of photos of different colour.

    Attributes:
        ssim_to_structure_mean: to the first photo.
        colour_gap_closed_mean: share of the way from the first reconstruction's face colour to the second's.
        identity_to_structure_mean, identity_to_appearance_mean: cosine to the first and second photo.
    """

    n: int
    ssim_to_structure_mean: float | None
    colour_gap_closed_mean: float | None
    identity_to_structure_mean: float | None
    identity_to_appearance_mean: float | None


@dataclass(frozen=True)
class RandomAppearance:
    """Means over `n` drawings, to the photo."""

    n: int
    ssim_mean: float | None
    colour_error_mean: float | None
    identity_mean: float | None


def against_photo(picture: Image.Image, probe: Probe, identity: Embedding | None) -> AgainstPhoto:
    """Compare a 256 px picture with the probe's photo."""
    photo = probe.original
    return AgainstPhoto(
        ssim_gray_gauss11(to_gray(photo), to_gray(picture)),
        mean_absolute_colour_error(rgb(photo), rgb(picture)),
        identity_similarity(photo, picture, probe.eyes, identity) if identity else None,
    )


def destylization(
    engine: FewShotGan, probes: Sequence[Probe], save: Path, identity: Embedding | None, on_progress: OnProgress
) -> Destylization:
    """Draw every photo in every held-out style and bring it back; writes `save/destylized/<style>/<stem>.png`."""
    styles: dict[str, DestylizedInto] = {}
    for position, (style, draw) in enumerate(HELD_OUT.items()):
        on_progress(Progress("destylization", position, len(HELD_OUT)))
        folder = save / "destylized" / style
        folder.mkdir(parents=True, exist_ok=True)
        styled, returned = [], []
        for number, probe in enumerate(probes):
            drawing = to_image(draw(to_tensor(probe.original), torch.Generator().manual_seed(number)))
            photo = at_side(engine.reconstruct(engine.prepare(replace(probe.face, image=drawing))))
            save_png(photo, folder / f"{probe.stem}.png")
            styled.append(against_photo(drawing, probe, identity))
            returned.append(against_photo(photo, probe, identity))
        styles[style] = DestylizedInto(*_means(styled), *_means(returned))
    on_progress(Progress("destylization", len(HELD_OUT), len(HELD_OUT)))
    columns = zip(*(vars(row).values() for row in styles.values()), strict=True)
    return Destylization(len(probes), styles, *(mean_of(column) for column in columns))


def _means(rows: Sequence[AgainstPhoto]) -> tuple[float | None, float | None, float | None]:
    return (
        mean_of(row.ssim for row in rows),
        mean_of(row.colour_error for row in rows),
        mean_of(row.identity for row in rows),
    )


def mixed(inversion: Inversion, other: Inversion, layers: Sequence[int]) -> Inversion:
    """Give an inversion the style layers of another one; its own features and all other layers stay."""
    w_plus = inversion.w_plus.clone()  # [1, L, D]
    w_plus[:, list(layers)] = other.w_plus[:, list(layers)]
    return replace(inversion, w_plus=w_plus)


def appearance_swap(
    engine: FewShotGan, probes: Sequence[Probe], save: Path, identity: Embedding | None, on_progress: OnProgress
) -> AppearanceSwap:
    """Draw every probe with the appearance layers of the next one; pairs of nearly one face colour are left out.

    Pictures go to `save/swapped/<first>_<second>.png`.
    """
    folder = save / "swapped"
    folder.mkdir(parents=True, exist_ok=True)
    layers = engine.config("sketch").swap_layers or ()
    rows: list[tuple[float | None, ...]] = []
    for number, first in enumerate(probes):
        on_progress(Progress("appearance swap", number, len(probes)))
        second = probes[(number + 1) % len(probes)]
        start, target = rgb(first.reconstruction), rgb(second.reconstruction)
        if face_colour_distance(start, target) < MIN_COLOUR_GAP:
            continue
        result = at_side(engine.reconstruct(mixed(first.inversion, second.inversion, layers)))
        save_png(result, folder / f"{first.stem}_{second.stem}.png")
        ssim = ssim_gray_gauss11(to_gray(first.original), to_gray(result))
        closed = colour_gap_closed(rgb(result), start, target)
        rows.append((ssim, closed, *_identities(first, second, result, identity)))
    on_progress(Progress("appearance swap", len(probes), len(probes)))
    columns = zip(*rows, strict=True) if rows else ((),) * 4
    return AppearanceSwap(len(rows), *(mean_of(column) for column in columns))


def random_appearance(
    engine: FewShotGan, probes: Sequence[Probe], save: Path, identity: Embedding | None, on_progress: OnProgress
) -> RandomAppearance:
    """Draw every probe with `APPEARANCES` sampled codes, the same for all; writes `save/looks/<stem>_<seed>.png`."""
    folder = save / "looks"
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, probe in enumerate(probes):
        on_progress(Progress("random looks", number, len(probes)))
        for seed in range(APPEARANCES):
            result = at_side(engine.reconstruct(probe.inversion, look_seed=seed))
            save_png(result, folder / f"{probe.stem}_{seed}.png")
            rows.append(against_photo(result, probe, identity))
    on_progress(Progress("random looks", len(probes), len(probes)))
    return RandomAppearance(len(rows), *_means(rows))


def _identities(
    first: Probe, second: Probe, result: Image.Image, identity: Embedding | None
) -> tuple[float | None, float | None]:
    """Cosines to the photo that gave the structure, and to the one that gave the appearance."""
    if identity is None:
        return None, None
    embedded = identity(similarity_crop(result, first.eyes))
    to_first, to_second = (
        cosine(embedded, identity(similarity_crop(probe.original, probe.eyes))) for probe in (first, second)
    )
    return to_first, to_second
