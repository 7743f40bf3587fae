"""Loading the embedded backbone from `assets/mini`: weights, sample faces, landmarks; recipe of its fine-tune."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch

from core.config import ASSETS_DIR
from core.engines.devices import compute_dtype, freeze
from core.engines.fewshot_gan.backbone import Backbone, Recipe, SampleFaces
from core.engines.fewshot_gan.config import Method
from core.engines.fewshot_gan.perceptual import DiscriminatorFeatures
from core.imaging.faces import FaceFinder
from core.networks.checkpoints import load_into, pick_prefixed
from core.networks.mini import DISCRIMINATOR, MiniEncoder, MiniGenerator
from core.networks.stylegan2 import Discriminator
from core.weights.load import load_embedded, read_fingerprint

MINI_DIR = ASSETS_DIR / "mini"
WEIGHTS_FILE = "mini.safetensors"
FACES_FILE = "faces.safetensors"
LANDMARKS_FILE = "landmarks68.dat"
REFINING_STEPS = 8
BLOCKS: Mapping[Method, tuple[int, ...]] = MappingProxyType(
    {"aligned": (1, 2, 3, 4), "paper": (1, 2, 3, 4), "jojogan": (1, 3, 4, 5)}
)


def load_mini(folder: Path, device: torch.device) -> Backbone:
    """Networks and faces from the folder.

    All layers are mixed with fully random codes: the map carries the structure, and one code the appearance.

    Raises:
        WeightsCorrupted: a file is missing or differs from the manifest.
    """
    state = load_embedded(folder / WEIGHTS_FILE)
    generator, discriminator = MiniGenerator(), Discriminator(**DISCRIMINATOR)
    encoder = MiniEncoder(generator.resolution, generator.n_latent)
    for part, module in (("generator", generator), ("encoder", encoder), ("discriminator", discriminator)):
        load_into(module, pick_prefixed(state, part), source=WEIGHTS_FILE)
        freeze(module, device)
    faces = load_embedded(folder / FACES_FILE)
    layers, dtype = tuple(range(generator.n_latent)), compute_dtype(device)
    return Backbone(
        name="mini",
        fingerprint=read_fingerprint(folder),
        resolution=generator.resolution,
        encoder_px=generator.resolution,
        device=device,
        dtype=dtype,
        generator=generator,
        encoder=encoder,
        measures=MappingProxyType(
            {method: DiscriminatorFeatures(discriminator, blocks, dtype=dtype) for method, blocks in BLOCKS.items()}
        ),
        finder=FaceFinder(folder / LANDMARKS_FILE),
        recipes=MappingProxyType(
            {
                "aligned": Recipe(layers, alpha=0.5, identity_weight=0.0, colour_weight=1.0, references_per_step=3),
                "paper": Recipe(
                    layers, alpha=0.0, identity_weight=0.05, style_weight=0.25, colour_weight=1.0, references_per_step=2
                ),
                "jojogan": Recipe(layers, alpha=0.0, identity_weight=0.0, references_per_step=2),
            }
        ),
        sample_faces=SampleFaces(faces["features"].float(), faces["codes"].float()),
        refining_steps=REFINING_STEPS,
    )
