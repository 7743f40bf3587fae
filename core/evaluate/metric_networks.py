"""Which networks measure: the user's own, published ones, or stand-ins that ship, each under its own name.

The stand-ins are made of the embedded backbone (`core.engines.fewshot_gan.measure.networks`). Nothing here is ever
measured under the name of a network that was not at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.engines.fewshot_gan.measure.networks import LOSS_NOTE, STRUCTURE_NOTE, stand_ins
from core.errors import MetricWeightsUnavailable
from core.evaluate import published
from core.evaluate.plans import NetworkChoice
from core.imaging.photo import Photo
from core.metrics import fid, lpips, structure
from core.metrics.gram import Features
from core.metrics.identity import Embedding, Eyes, identity_similarity
from core.metrics.own_networks import TRAINING_LOSS_NOTE, OwnNetworks
from core.metrics.units import pooled_features, unit_distance
from core.progress import OnProgress, ignore_progress
from core.studio import Studio

T = TypeVar("T")
UNIT_PROTOCOL = "unit_features_mini_discriminator"
FRECHET_PROTOCOL = "frechet_mini_discriminator"
VGG_LOSS_NOTE = "LPIPS with VGG16 is a training loss of ours on 'ffhq'."

Identity = Callable[[Image.Image, Image.Image, Eyes], float]  # two pictures of one frame -> similarity
Distance = Callable[[Tensor, Tensor], float]  # two pictures [1, 3, H, W]
Landmarks = Callable[[Image.Image], np.ndarray | None]  # picture -> [68, 2] of its largest face


@dataclass(frozen=True)
class MetricNetworks:
    """One measure per question, with what it is called and what a reader must know.

    Attributes:
        identity: similarity to the photo; higher is better.
        content: perceptual distance to the photo.
        style: features for `gram_relative` distances to the references.
        extractor: features for the Frechet distance to the references.
        landmarks: finds them in a photo or a drawing.
        protocols: name by measure: identity, content, style, frechet.
        notes: sentences, such as which measure was a training loss.
    """

    identity: Identity
    content: Distance
    style: Features
    extractor: fid.Extractor
    landmarks: Landmarks
    protocols: dict[str, str]
    notes: tuple[str, ...]


def choose_networks(
    studio: Studio,
    choice: NetworkChoice = "auto",
    *,
    own: OwnNetworks | None = None,
    on_progress: OnProgress = ignore_progress,
) -> MetricNetworks:
    """Load the metric networks.

    Args:
        studio: its engine finds the landmarks, and lends its device.
        choice: "shipped" takes the stand-ins, "published" downloads the published networks, "auto" takes those
            published ones that were downloaded before, as far as they can still be used.
        own: the user's networks; they go before all others.
        on_progress: hears of downloads.

    Raises:
        MetricWeightsUnavailable, WeightsCorrupted, DiskFull: a published network can't be had.
    """
    device = torch.device(studio.describe().device)
    shipped = stand_ins(studio.engine())

    def published_network(file: published.NetworkFile, load: Callable[..., T]) -> T | None:
        if choice == "shipped" or (choice == "auto" and not published.is_here(file)):
            return None
        try:
            return load(device, on_progress=on_progress)
        except MetricWeightsUnavailable:
            if choice == "published":
                raise
            return None

    names: dict[str, str] = {}
    notes: list[str] = []
    identity: Identity = lambda a, b, eyes: shipped.likeness(a, b)  # noqa: E731
    if own is not None and own.identity is not None:
        identity, names["identity"] = _by_embedding(own.identity), "cosine112 of the given recogniser"
    elif (arcface := published_network(published.ARCFACE_FILE, published.load_arcface)) is not None:
        identity, names["identity"] = _by_embedding(arcface), "cosine112 of ArcFace IR-SE50"
    else:
        names["identity"] = structure.PROTOCOL
        notes.append(STRUCTURE_NOTE)

    content: Distance = lambda a, b: unit_distance(a.to(device), b.to(device), shipped.features)  # noqa: E731
    style, names["content"], names["style"] = shipped.features, UNIT_PROTOCOL, "gram_relative of mini's discriminator"
    if (perceptual := published_network(published.LPIPS_FILE, published.load_lpips)) is not None:
        content, style = perceptual, perceptual.features
        names["content"], names["style"] = lpips.PROTOCOL, "gram_relative of VGG16"
        notes.append(VGG_LOSS_NOTE)
    if own is not None and own.features is not None:
        style, names["style"] = own.features, "gram_relative of SqueezeNet 1.1"
        notes.append(TRAINING_LOSS_NOTE)

    extractor: fid.Extractor = lambda x: pooled_features(x.to(device), shipped.features)  # noqa: E731
    names["frechet"] = FRECHET_PROTOCOL
    if (inception := published_network(published.INCEPTION_FILE, published.load_inception)) is not None:
        extractor, names["frechet"] = inception, fid.PROTOCOL
    if any("mini" in names[measure] for measure in ("content", "style", "frechet")):
        notes.append(LOSS_NOTE)

    def landmarks(image: Image.Image) -> np.ndarray | None:
        faces = studio.find_faces(Photo(image, "drawing"))
        return faces[0].landmarks if faces else None

    return MetricNetworks(identity, content, style, extractor, landmarks, names, tuple(notes))


def _by_embedding(embed: Embedding) -> Identity:
    return lambda a, b, eyes: identity_similarity(a, b, eyes, embed)
