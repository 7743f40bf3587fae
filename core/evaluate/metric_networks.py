"""Which networks measure: the user's own judges, published ones, or stand-ins that ship, each under its own name.

The stand-ins are the embedded backbone's discriminator and structure encoder. Nothing here is ever measured under the
name of a network that was not at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from PIL import Image
from torch import Tensor

from core.engines.fewshot_gan.backbone import Backbone, load_backbone
from core.engines.fewshot_gan.perceptual import DiscriminatorFeatures
from core.errors import JudgeWeightsUnavailable
from core.evaluate import published
from core.imaging.photo import to_tensor
from core.metrics import fid, lpips, structure
from core.metrics.gram import Features
from core.metrics.identity import Embedding, Eyes, identity_similarity
from core.metrics.own_networks import TRAINING_LOSS_NOTE, OwnNetworks
from core.metrics.units import pooled_features, unit_distance
from core.progress import OnProgress, ignore_progress
from core.studio import Studio

Judge = TypeVar("Judge")
Choice = Literal["auto", "shipped", "published"]
UNIT_PROTOCOL = "unit_features_mini_discriminator"
FRECHET_PROTOCOL = "frechet_mini_discriminator"
BLOCKS = (1, 2, 3, 4)  # of the embedded discriminator, as in training
MINI_LOSS_NOTE = "The embedded discriminator's features are a training loss of both methods on 'mini'."
VGG_LOSS_NOTE = "LPIPS with VGG16 is a training loss of ours on 'ffhq'."
STRUCTURE_NOTE = "On 'mini', results are generated from the very map that this compares; it is no face recogniser."

Identity = Callable[[Image.Image, Image.Image, Eyes], float]  # two pictures of one frame -> similarity
Distance = Callable[[Tensor, Tensor], float]  # two pictures [1, 3, H, W]


@dataclass(frozen=True)
class Judges:
    """One measure per question, with what it is called and what a reader must know.

    Attributes:
        identity: similarity to the photo; higher is better.
        content: perceptual distance to the photo.
        style: features for `gram_relative` distances to the references.
        extractor: features for the Frechet distance to the references.
        protocols: name by measure: identity, content, style, frechet.
        notes: sentences, such as which measure was a training loss.
    """

    identity: Identity
    content: Distance
    style: Features
    extractor: fid.Extractor
    protocols: dict[str, str]
    notes: tuple[str, ...]


def choose_judges(
    studio: Studio,
    choice: Choice = "auto",
    *,
    own_networks: OwnNetworks | None = None,
    on_progress: published.OnProgress | None = None,
) -> Judges:
    """Load the judges.

    Args:
        choice: "shipped" takes the stand-ins, "published" downloads the published networks, "auto" takes those
            published ones that were downloaded before, as far as they can still be used.
        own_networks: the user's; they go before all others.

    Raises:
        JudgeWeightsUnavailable, WeightsCorrupted, DiskFull: a published network can't be had.
    """
    device = studio.backbone.device
    mini = studio.backbone if studio.backbone.name == "mini" else load_backbone("mini", device=device)
    features = discriminator_features(mini)

    def wanted(file: published.JudgeFile, load: Callable[..., Judge]) -> Judge | None:
        if choice == "shipped" or (choice == "auto" and not published.is_here(file)):
            return None
        try:
            return load(device, on_progress=on_progress)
        except JudgeWeightsUnavailable:
            if choice == "published":
                raise
            return None

    names, notes = {}, []
    own_identity = own_networks.identity if own_networks else None
    if own_identity is not None:
        identity, names["identity"] = _by_embedding(own_identity), "cosine112 of the given recogniser"
    elif (arcface := wanted(published.ARCFACE_FILE, published.load_arcface)) is not None:
        identity, names["identity"] = _by_embedding(arcface), "cosine112 of ArcFace IR-SE50"
    else:
        identity, names["identity"] = structure_identity(mini), structure.PROTOCOL
        notes.append(STRUCTURE_NOTE)

    metric: Distance = lambda a, b: unit_distance(a.to(device), b.to(device), features)  # noqa: E731
    style, names["content"], names["style"] = features, UNIT_PROTOCOL, "gram_relative of mini's discriminator"
    if (perceptual := wanted(published.LPIPS_FILE, published.load_lpips)) is not None:
        metric, style = perceptual, perceptual.features
        names["content"], names["style"] = lpips.PROTOCOL, "gram_relative of VGG16"
        notes.append(VGG_LOSS_NOTE)
    if own_networks is not None and own_networks.features is not None:
        style, names["style"] = own_networks.features, "gram_relative of SqueezeNet 1.1"
        notes.append(TRAINING_LOSS_NOTE)

    extractor: fid.Extractor = lambda x: pooled_features(x.to(device), features)  # noqa: E731
    names["frechet"] = FRECHET_PROTOCOL
    if (inception := wanted(published.INCEPTION_FILE, published.load_inception)) is not None:
        extractor, names["frechet"] = inception, fid.PROTOCOL
    if any("mini" in names[measure] for measure in ("content", "style", "frechet")):
        notes.append(MINI_LOSS_NOTE)
    return Judges(identity, metric, style, extractor, names, tuple(notes))


def discriminator_features(mini: Backbone) -> Features:
    """Features of the embedded discriminator in float32, so that numbers compare between machines."""
    measure = mini.measures["ours"]
    if not isinstance(measure, DiscriminatorFeatures):
        raise ValueError(f"expected a backbone that measures with its discriminator, got {type(measure).__name__}")
    network = measure.discriminator
    blocks = [block for block in BLOCKS if block < len(network.convs)]

    @torch.no_grad()
    def features(x: Tensor) -> list[Tensor]:
        found = network.features(x.to(mini.device), dtype=torch.float32)
        return [found[block - 1] for block in blocks]

    return features


def structure_identity(mini: Backbone) -> Identity:
    """`mini_structure_cosine` of two aligned crops of any side."""
    if mini.sample_faces is None:
        raise ValueError("expected a backbone with sample faces, got one without")
    mean = mini.sample_faces.features.float().mean(dim=0).cpu().numpy()

    @torch.no_grad()
    def read(image: Image.Image) -> Tensor:
        x = to_tensor(image, size_px=mini.encoder_px, device=mini.device)
        return mini.encoder.encode_structure(x)[0].float().cpu()

    return lambda a, b, eyes: structure.structure_similarity(read(a).numpy(), read(b).numpy(), mean)


def _by_embedding(embed: Embedding) -> Identity:
    return lambda a, b, eyes: identity_similarity(a, b, eyes, embed)
