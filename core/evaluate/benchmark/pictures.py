"""Pictures to time with: sampled faces of the embedded model, so that no file is needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from core.engines.fewshot_gan.synthesize import synthesize
from core.errors import NoFaceFound
from core.imaging.align import AlignedFace, use_as_aligned
from core.imaging.photo import Photo, to_image
from core.studio import Studio

PHOTO_PX = 768
TRIES = 16


@dataclass(frozen=True)
class Pictures:
    """What the rows work on: a photo that shows a face, its aligned crop, and references of the same size."""

    photo: Photo
    face: AlignedFace
    references: tuple[AlignedFace, ...]


def make_pictures(studio: Studio, *, references: int, photo: Photo | None = None) -> Pictures:
    """A photo (the one given, or a sampled face drawn large) and sampled references.

    Raises:
        NoFaceFound: the detector finds a face in none of the sampled pictures.
        StyleIdentityError: the given photo can't be aligned.
    """
    rng = torch.Generator().manual_seed(0)
    drawn = [_sample(studio, rng) for _ in range(max(references, 1))]
    aligned = tuple(
        use_as_aligned(Photo(picture, f"reference {i}"), size_px=studio.backbone.resolution)
        for i, picture in enumerate(drawn[:references], 1)
    )
    if photo is None:
        photo, face = _photo_with_face(studio, rng)
    else:
        face = studio.align(photo)
    return Pictures(photo, face, aligned)


def _photo_with_face(studio: Studio, rng: torch.Generator) -> tuple[Photo, AlignedFace]:
    for _ in range(TRIES):
        large = _sample(studio, rng).resize((PHOTO_PX // 2,) * 2, Image.Resampling.LANCZOS)
        border = PHOTO_PX // 4
        photo = Photo(
            Image.fromarray(np.pad(np.asarray(large), ((border,) * 2, (border,) * 2, (0, 0)), "edge")), "face"
        )
        try:
            return photo, studio.align(photo)
        except NoFaceFound:
            continue
    raise NoFaceFound("the sampled faces")


def _sample(studio: Studio, rng: torch.Generator) -> Image.Image:
    w_plus, features = studio.backbone.sample(rng, 1)
    return to_image(synthesize(w_plus, features, studio.backbone))
