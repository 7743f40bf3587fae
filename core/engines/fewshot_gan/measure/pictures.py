"""Pictures to work on where no file is given: sampled faces of the embedded model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from core.engines.fewshot_gan.engine import FewShotGan
from core.engines.fewshot_gan.synthesize import synthesize
from core.errors import NoFaceFound
from core.imaging.align import AlignedFace, align, use_as_aligned
from core.imaging.photo import Photo, to_image

PHOTO_PX = 768
TRIES = 16


@dataclass(frozen=True)
class Pictures:
    """What operations work on: a photo that shows a face, its aligned crop, and references of the same size."""

    photo: Photo
    face: AlignedFace
    references: tuple[AlignedFace, ...]


def make_pictures(engine: FewShotGan, *, references: int, photo: Photo | None = None) -> Pictures:
    """Return a photo (the one given, or a sampled face drawn large) and sampled references.

    Raises:
        NoFaceFound: the detector finds a face in none of the sampled pictures.
        StyleIdentityError: the given photo can't be aligned.
    """
    rng = torch.Generator().manual_seed(0)
    sampled = sample_references(engine, references, rng)
    if photo is None:
        return Pictures(*_photo_with_face(engine, rng), sampled)
    return Pictures(photo, align(photo, engine.finder, size_px=engine.backbone.resolution), sampled)


def sample_references(engine: FewShotGan, count: int, rng: torch.Generator) -> tuple[AlignedFace, ...]:
    """Return so many sampled faces as aligned crops."""
    size_px = engine.backbone.resolution
    return tuple(
        use_as_aligned(Photo(_sample(engine, rng), f"reference {i}"), size_px=size_px) for i in range(1, count + 1)
    )


def _photo_with_face(engine: FewShotGan, rng: torch.Generator) -> tuple[Photo, AlignedFace]:
    border = PHOTO_PX // 4
    for _ in range(TRIES):
        large = _sample(engine, rng).resize((PHOTO_PX // 2,) * 2, Image.Resampling.LANCZOS)
        padded = np.pad(np.asarray(large), ((border,) * 2, (border,) * 2, (0, 0)), "edge")
        photo = Photo(Image.fromarray(padded), "face")
        try:
            return photo, align(photo, engine.finder, size_px=engine.backbone.resolution)
        except NoFaceFound:
            continue
    raise NoFaceFound("the sampled faces")


def _sample(engine: FewShotGan, rng: torch.Generator) -> Image.Image:
    w_plus, features = engine.backbone.sample(rng, 1)
    return to_image(synthesize(w_plus, features, engine.backbone))
