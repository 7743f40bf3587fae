"""People and artists of a run: read, cropped and made ready to be compared with, once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from core.config import MAX_REFERENCES, CropMode
from core.engines.layouts import layout_reader
from core.errors import PicturesUnusable, StyleIdentityError, TooManyReferences
from core.evaluate.hand.inputs import Chosen
from core.evaluate.metric_networks import MetricNetworks
from core.evaluate.panel import align_for
from core.evaluate.plans import SkinGroups, SkinTone
from core.evaluate.scores import StyleTarget
from core.imaging.align import AlignedFace
from core.imaging.layout import FaceLayout
from core.imaging.photo import to_tensor
from core.metrics.crops import SIDE_PX, at_side, eyes_in_crop, read_picture, rgb
from core.metrics.identity import Eyes
from core.metrics.skin import GREY_CHROMA, face_lightness, mean_chroma
from core.progress import OnProgress, Progress, ignore_progress
from core.reports import Failed
from core.studio import Studio

LARGE_PX = 512  # the second side at which drawings are compared with artworks


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody on a photo.

    Attributes:
        name: of the photo.
        tone: the group of skin tones that the photo is listed in.
        face: the crop that engines read.
        crop: how it was cut.
        sha256: of the crop's pixels.
        image: the crop at 256 px.
        eyes: centres in `image`.
        layout: of the crop.
        lightness: mean L* of the face; None where no face is seen.
    """

    name: str
    tone: SkinTone | None
    face: AlignedFace
    crop: CropMode
    sha256: str
    image: Image.Image
    eyes: Eyes
    layout: FaceLayout = field(repr=False)
    lightness: float | None


class Artist:
    """The artworks behind one style, and their statistics at 256 px (`small`) and at 512 px (`large`).

    Args:
        name: of the style.
        faces: the artworks, cropped for engines.
        networks: give the features.
    """

    def __init__(self, name: str, faces: Sequence[AlignedFace], networks: MetricNetworks) -> None:
        self.name = name
        self.faces = tuple(faces)
        self.sha256 = tuple(pixels_sha256(face.image) for face in faces)
        self.grey = float(np.mean([mean_chroma(rgb(at_side(face.image))) for face in faces])) < GREY_CHROMA
        self.small, self.large = (
            StyleTarget([to_tensor(at_side(face.image, side)) for face in faces], networks)
            for side in (SIDE_PX, LARGE_PX)
        )


@dataclass(frozen=True)
class Cast:
    """Who takes part; `failed` are the pictures that could not be used."""

    people: tuple[Person, ...]
    artists: tuple[Artist, ...]
    failed: tuple[Failed, ...] = ()


def make_cast(
    studio: Studio,
    photos: Sequence[Chosen],
    artworks: Sequence[Chosen],
    networks: MetricNetworks,
    *,
    groups: SkinGroups = SkinGroups(),
    few: bool = False,
    on_progress: OnProgress = ignore_progress,
) -> Cast:
    """Read and crop everything.

    Args:
        studio: whose default engine reads the crops.
        photos, artworks: from `core.evaluate.hand.inputs`.
        networks: measure.
        groups: of skin tones.
        few: all artworks belong to one artist, named "all".
        on_progress: hears of every picture.

    Raises:
        PicturesUnusable: no photo or no artwork can be used; single ones that can't are listed under `failed`.
        TooManyReferences: `few` with more than 14 artworks.
    """
    if few and len(artworks) > MAX_REFERENCES:
        raise TooManyReferences(len(artworks), MAX_REFERENCES)
    failed: list[Failed] = []
    people = [
        _person(item, face, how, groups) for item, face, how in _crops(studio, photos, "photos", failed, on_progress)
    ]
    works = [(item.name, face) for item, face, _ in _crops(studio, artworks, "artworks", failed, on_progress)]
    for found, what in ((people, "photo"), (works, "artwork")):
        if not found:
            raise PicturesUnusable(failed[-1].name, f"is the last of the {what}s, and none can be used")
    together = [("all", [face for _, face in works])] if few else [(name, [face]) for name, face in works]
    return Cast(tuple(people), tuple(Artist(name, faces, networks) for name, faces in together), tuple(failed))


def pixels_sha256(image: Image.Image) -> str:
    """Return the sha256 of a picture's RGB levels and size, 64 hexadecimal digits."""
    return hashlib.sha256(f"{image.size}".encode() + image.convert("RGB").tobytes()).hexdigest()


def _person(item: Chosen, face: AlignedFace, how: CropMode, groups: SkinGroups) -> Person:
    image, layout = at_side(face.image), layout_reader().read(face.image)
    light = face_lightness(rgb(image), layout.mask("face", SIDE_PX))
    tone = groups.tone(item.path.stem)
    return Person(item.name, tone, face, how, pixels_sha256(face.image), image, eyes_in_crop(face), layout, light)


def _crops(
    studio: Studio, chosen: Sequence[Chosen], what: str, failed: list[Failed], on_progress: OnProgress
) -> list[tuple[Chosen, AlignedFace, CropMode]]:
    """Cut every picture as the engine reads faces; adds to `failed` those that can't be cut."""
    found = []
    for done, item in enumerate(chosen):
        on_progress(Progress(what, done, len(chosen)))
        try:
            face, how = align_for(studio, read_picture(item.path), item.crop)
        except StyleIdentityError as error:
            failed.append(Failed(item.path.name, str(error)))
            continue
        found.append((item, face, how))
    on_progress(Progress(what, len(chosen), len(chosen)))
    return found
