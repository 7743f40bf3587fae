"""All measures of one drawing against its photo and the references, at 256 px, and their summaries over photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image
from torch import Tensor

from core.evaluate.intervals import PROTOCOL as INTERVAL_PROTOCOL
from core.evaluate.intervals import Interval, bootstrap_mean, paired_difference
from core.evaluate.metric_networks import MetricNetworks
from core.imaging.align import AlignedFace
from core.imaging.photo import to_tensor
from core.metrics.artfid import artfid
from core.metrics.crops import at_side, eyes_in_crop
from core.metrics.fid import feature_rows
from core.metrics.frechet import frechet_distance
from core.metrics.gram import mean_gram_distance, picture_grams
from core.metrics.identity import Eyes
from core.metrics.landmarks import landmark_distance
from core.metrics.patches import PROTOCOL as PATCHES_PROTOCOL
from core.metrics.patches import PatchStyle
from core.metrics.ssim import ssim_gray_gauss11, to_gray


@dataclass(frozen=True)
class Measure:
    """One column of the reports.

    Attributes:
        name: field of `Scores`.
        title: for readers.
        higher_is_better: which way is good.
    """

    name: str
    title: str
    higher_is_better: bool

    @property
    def arrow(self) -> str:
        """The good direction, for tables."""
        return "↑" if self.higher_is_better else "↓"


MEASURES = (
    Measure("identity", "identity, to the photo", True),
    Measure("style", "style distance, to the references", False),
    Measure("patches", "patch distance, to the references", False),
    Measure("ssim", "SSIM, to the photo", True),
    Measure("content", "perceptual distance, to the photo", False),
    Measure("landmarks", "landmark distance, to the photo", False),
)


@dataclass(frozen=True)
class Subject:
    """A picture that drawings are compared with.

    Attributes:
        name: of its file.
        image: 256 px RGB.
        x: [1, 3, 256, 256] in [-1, 1].
        eyes: centres in the crop.
        landmarks: [68, 2] in the crop, None where no face was found.
    """

    name: str
    image: Image.Image
    x: Tensor
    eyes: Eyes
    landmarks: np.ndarray | None


@dataclass(frozen=True)
class Scores:
    """One drawing's numbers; `landmarks` is None where a face was not found in it or in the photo."""

    identity: float
    style: float
    patches: float
    ssim: float
    content: float
    landmarks: float | None


@dataclass(frozen=True)
class NamedScores(Scores):
    """One picture's numbers in a report."""

    name: str


@dataclass(frozen=True)
class SetScores:
    """A set of drawings.

    Attributes:
        measures: means with intervals over photos, by measure.
        no_face_found: drawings or photos without landmarks.
        frechet, artfid: of all drawings at once, so without an interval; None for fewer than two drawings or
            references.
    """

    measures: dict[str, Interval]
    no_face_found: int
    frechet: float | None
    artfid: float | None


def subject_of(face: AlignedFace, networks: MetricNetworks) -> Subject:
    """Make an aligned face ready to be compared with."""
    image = at_side(face.image)
    return Subject(face.name, image, to_tensor(image), eyes_in_crop(face), networks.landmarks(image))


class StyleTarget:
    """The references' remembered statistics, and the networks that made them.

    Args:
        references: aligned, [1, 3, S, S] in [-1, 1]; all that is measured against them has the same side.
        networks: give the features.
    """

    def __init__(self, references: Sequence[Tensor], networks: MetricNetworks) -> None:
        if not references:
            raise ValueError("StyleTarget needs at least one reference")
        self.networks = networks
        self._references = tuple(references)

    @cached_property
    def _grams(self) -> list[list[Tensor]]:
        return [picture_grams(x, self.networks.style) for x in self._references]

    @cached_property
    def _patches(self) -> PatchStyle:
        return PatchStyle(self._references)

    @cached_property
    def rows(self) -> np.ndarray:
        """Features of the references, a row each."""
        return feature_rows(self._references, self.networks.extractor)

    def style_distance(self, x: Tensor) -> float:
        """Mean `gram_relative` distance to the references."""
        return mean_gram_distance(picture_grams(x, self.networks.style), self._grams)

    def patch_distance(self, x: Tensor) -> float:
        """`sliced_patches` distance to the references' patches."""
        return self._patches.distance(x)


def score(drawing: Image.Image, photo: Subject, style: StyleTarget) -> Scores:
    """Measure one drawing (256 px RGB in the photo's frame)."""
    x, networks = to_tensor(drawing), style.networks
    expected = photo.landmarks
    found = None if expected is None else networks.landmarks(drawing)
    return Scores(
        identity=networks.identity(photo.image, drawing, photo.eyes),
        style=style.style_distance(x),
        patches=style.patch_distance(x),
        ssim=ssim_gray_gauss11(to_gray(photo.image), to_gray(drawing)),
        content=networks.content(photo.x, x),
        landmarks=None if expected is None or found is None else landmark_distance(expected, found),
    )


def _column(rows: Sequence[Scores], measure: str) -> list[float | None]:
    return [getattr(row, measure) for row in rows]


def summarise(rows: Sequence[Scores], drawings: Sequence[Image.Image], style: StyleTarget) -> SetScores:
    """Means with intervals over photos, how often no face was found, and the distances of whole sets."""
    distance = product = None
    if min(len(drawings), len(style.rows)) >= 2:
        features = feature_rows([to_tensor(drawing) for drawing in drawings], style.networks.extractor)
        distance = frechet_distance(features, style.rows)
        product = artfid(float(np.mean([row.content for row in rows])), distance)
    measures = {measure.name: bootstrap_mean(_column(rows, measure.name)) for measure in MEASURES}
    return SetScores(measures, sum(row.landmarks is None for row in rows), distance, product)


def differences(a: Sequence[Scores], b: Sequence[Scores]) -> dict[str, Interval]:
    """Summarise `a - b` over the same photos, by measure."""
    return {measure.name: paired_difference(_column(a, measure.name), _column(b, measure.name)) for measure in MEASURES}


def protocols(networks: MetricNetworks) -> dict[str, str]:
    """Say what every number of a report is, by measure."""
    names = networks.protocols
    return {
        **names,
        "style": f"{names['style']}, mean over references, 256 px",
        "patches": f"{PATCHES_PROTOCOL}, 256 px",
        "ssim": "ssim_gray_gauss11 at 256 px",
        "landmarks": "landmarks68_interocular, this backbone's predictor on photo and drawing",
        "artfid": f"artfid_formula of {names['content']} and {names['frechet']}",
        "interval": INTERVAL_PROTOCOL,
    }


def named(names: Sequence[str], rows: Sequence[Scores]) -> tuple[NamedScores, ...]:
    """Every photo's numbers for a report."""
    return tuple(NamedScores(**vars(row), name=name) for name, row in zip(names, rows, strict=True))
