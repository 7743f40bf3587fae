"""What the tests of the comparisons share: a made-up backbone that finds faces everywhere, and folders of pictures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from core.engines.fewshot_gan.backbone import Backbone
from core.evaluate.metric_networks import MetricNetworks, choose_networks
from core.imaging.faces import DetectedFace
from core.imaging.photo import Photo, to_image
from core.studio import Studio
from tests.tiny_backbone import drawings, sampled_pictures, tiny_backbone, tiny_studio


@dataclass
class FixedFinder:
    """Finds one face with the same landmarks in every picture but those that are mostly white."""

    points: np.ndarray = field(default_factory=lambda: np.random.default_rng(0).uniform(0.3, 0.7, (68, 2)))

    def find(self, photo: Photo) -> list[DetectedFace]:
        side = photo.image.width
        white = np.asarray(photo.image).mean() > 250
        return [] if white else [DetectedFace((side // 4, side // 4, side, side), self.points * side)]


@cache
def finding_studio() -> Studio:
    """The studio on the made-up backbone, one for all tests."""
    return tiny_studio(replace(tiny_backbone(), finder=FixedFinder()))


@cache
def shipped_networks() -> MetricNetworks:
    """What ships, of the made-up backbone."""
    return choose_networks(finding_studio(), "shipped")


def save_all(pictures: Iterable[Image.Image], folder: Path, names: list[str]) -> list[Path]:
    """Pictures into a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in names]
    for picture, path in zip(pictures, paths, strict=True):
        picture.save(path)
    return paths


def make_folders(tiny: Backbone, root: Path) -> Path:
    """`photos` and `references`, three and two pictures; a photo is 96 px, so that its face is not too small."""
    faces = [to_image(picture).resize((96, 96)) for picture in sampled_pictures(tiny, 3, seed=4)]
    save_all(faces, root / "photos", ["a.png", "b.png", "c.png"])
    save_all(drawings(tiny, 2), root / "references", ["r1.png", "r2.png"])
    return root


def make_pairs(tiny: Backbone, folder: Path, count: int = 3) -> Path:
    """Photos of made-up faces, and drawings of them."""
    photos = [to_image(picture) for picture in sampled_pictures(tiny, count, seed=4)]
    save_all(photos, folder, [f"{number}_photo.png" for number in range(count)])
    save_all(drawings(tiny, count, seed=4), folder, [f"{number}_art.png" for number in range(count)])
    return folder


def save_nan(path: Path) -> Path:
    """A float picture with a hole in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    levels[10, 10] = np.nan
    Image.fromarray(levels).save(path)
    return path
