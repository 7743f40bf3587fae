"""Stand-ins for published metric networks, made of the embedded backbone: they ship, and nothing is downloaded.

Its discriminator gives features for style, perceptual and Frechet distances, its structure encoder a likeness.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from core.engines.base import Engine
from core.engines.fewshot_gan.backbone import Backbone
from core.engines.fewshot_gan.engine import FewShotGan, load_backbone
from core.engines.fewshot_gan.perceptual import DiscriminatorFeatures
from core.imaging.photo import to_tensor
from core.metrics.gram import Features
from core.metrics.structure import structure_similarity
from core.networks.mini import MiniEncoder

BLOCKS = (1, 2, 3, 4)  # of the embedded discriminator, as in training
LOSS_NOTE = "The embedded discriminator's features are a training loss of both methods on 'mini'."
STRUCTURE_NOTE = "On 'mini', results are generated from the very map that this compares; it is no face recogniser."


@dataclass(frozen=True)
class StandIns:
    """What the embedded backbone can measure.

    Attributes:
        features: of the discriminator, in float32, so that numbers compare between machines.
        likeness: `mini_structure_cosine` of two aligned crops of any side.
    """

    features: Features
    likeness: Callable[[Image.Image, Image.Image], float]


def stand_ins(running: Engine) -> StandIns:
    """Make them of the running engine where that is the embedded backbone, else load it beside, on the same device."""
    if isinstance(running, FewShotGan) and running.backbone.name == "mini":
        mini = running.backbone
    else:
        mini = load_backbone("mini", device=running.description.device)
    return StandIns(_discriminator_features(mini), _structure_likeness(mini))


def _discriminator_features(mini: Backbone) -> Features:
    measure = mini.measures["paper"]
    if not isinstance(measure, DiscriminatorFeatures):
        raise ValueError(f"expected a backbone that measures with its discriminator, got {type(measure).__name__}")
    network = measure.discriminator
    blocks = [block for block in BLOCKS if block < len(network.convs)]

    @torch.no_grad()
    def features(x: Tensor) -> list[Tensor]:
        found = network.features(x.to(mini.device), dtype=torch.float32)
        return [found[block - 1] for block in blocks]

    return features


def _structure_likeness(mini: Backbone) -> Callable[[Image.Image, Image.Image], float]:
    encoder = mini.encoder
    if mini.sample_faces is None or not isinstance(encoder, MiniEncoder):
        raise ValueError(f"expected the embedded backbone, got '{mini.name}'")
    mean = mini.sample_faces.features.float().mean(dim=0).cpu().numpy()

    @torch.no_grad()
    def read(image: Image.Image) -> Tensor:
        x = to_tensor(image, size_px=mini.encoder_px, device=mini.device)
        return encoder.encode_structure(x)[0].float().cpu()

    return lambda a, b: structure_similarity(read(a).numpy(), read(b).numpy(), mean)
