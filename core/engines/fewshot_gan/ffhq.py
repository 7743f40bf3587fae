"""Loading the published 1024 px backbone from the Hub: StyleGAN2 config-f, e4e, LPIPS with VGG16."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from core.engines.devices import compute_dtype, freeze
from core.engines.fewshot_gan.backbone import Backbone, Recipe
from core.engines.fewshot_gan.config import Method
from core.engines.fewshot_gan.perceptual import DiscriminatorFeatures, Perceptual, VggLpips
from core.errors import StyleIdentityError, WeightsCorrupted
from core.imaging.faces import FaceFinder
from core.networks.checkpoints import load_into, pick_encoder, pick_part
from core.networks.e4e import Encoder4Editing
from core.networks.stylegan2 import Discriminator, Generator
from core.progress import OnProgress, ignore_progress
from core.weights.fetch import fetch
from core.weights.load import load_torch
from core.weights.pins import E4E_FFHQ, LANDMARKS_68, STYLEGAN2_FFHQ, VGG16

RESOLUTION = 1024
ENCODER_PX = 256
JOJOGAN_BLOCKS = (1, 3, 4, 5)
PAPER_SWAP_LAYERS = (7, 9, 11, 15, 16, 17)


class E4eInverter(nn.Module):
    """e4e with its average code: picture [B, 3, 256, 256] -> (w_plus [B, L, 512], None)."""

    latent_avg: Tensor

    def __init__(self, encoder: Encoder4Editing, latent_avg: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("latent_avg", latent_avg)

    def forward(self, x: Tensor, *, dtype: torch.dtype = torch.float32) -> tuple[Tensor, None]:
        """Codes in float32, computed in `dtype`."""
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, dtype=dtype, enabled=dtype != torch.float32):
            codes = self.encoder(x)
        return codes.float() + self.latent_avg, None


def load_ffhq(
    device: torch.device, on_progress: OnProgress = ignore_progress, *, resolution: int = RESOLUTION
) -> Backbone:
    """Download what is missing, check it, and build the networks.

    The mixed layers and lambda are the paper's; the public program mixes layers 7 to 17 by default and weighs identity
    0.002. Without VGG16's weights the perceptual distance falls back to the discriminator's features.

    Args:
        device: where to compute.
        on_progress: hears of downloads.
        resolution: of the generator in the file; layers and blocks that a smaller one lacks are left out.

    Raises:
        WeightsUnavailable, WeightsCorrupted, WeightsChanged, DiskFull: a file of weights can't be had.
    """
    stylegan2 = fetch(STYLEGAN2_FFHQ, on_progress=on_progress)
    e4e = fetch(E4E_FFHQ, on_progress=on_progress)
    landmarks = fetch(LANDMARKS_68, on_progress=on_progress)
    generator, discriminator = load_stylegan2(stylegan2.path, resolution)
    encoder = load_e4e(e4e.path, resolution)
    for module in (generator, discriminator, encoder):
        freeze(module, device)
    dtype = compute_dtype(device)
    jojogan = jojogan_features(discriminator, dtype)
    return Backbone(
        name="ffhq",
        fingerprint=stylegan2.sha256[:16],
        resolution=resolution,
        encoder_px=ENCODER_PX,
        device=device,
        dtype=dtype,
        generator=generator,
        encoder=encoder,
        measures=MappingProxyType(
            {"aligned": jojogan, "paper": _load_lpips(device, dtype, on_progress) or jojogan, "jojogan": jojogan}
        ),
        finder=FaceFinder(landmarks.path),
        recipes=recipes(generator.n_latent),
    )


def jojogan_features(discriminator: Discriminator, dtype: torch.dtype) -> DiscriminatorFeatures:
    """Choose the blocks that JoJoGAN compares, of those that a smaller discriminator has."""
    blocks = [block for block in JOJOGAN_BLOCKS if block < len(discriminator.convs)]
    return DiscriminatorFeatures(discriminator, blocks, dtype=dtype)


def recipes(n_latent: int) -> MappingProxyType[Method, Recipe]:
    """Return the published recipes, less the layers that a smaller generator lacks."""
    paper_layers = tuple(layer for layer in PAPER_SWAP_LAYERS if layer < n_latent)
    fine_layers = tuple(range(7, n_latent))
    return MappingProxyType(
        {
            "aligned": Recipe(fine_layers, alpha=0.5, identity_weight=0.0, colour_weight=1.0, references_per_step=3),
            "paper": Recipe(paper_layers, alpha=0.5, identity_weight=0.001),
            "jojogan": Recipe(fine_layers, alpha=0.0, identity_weight=0.0),
        }
    )


def load_stylegan2(path: Path, resolution: int) -> tuple[Generator, Discriminator]:
    """Load generator and discriminator of a published checkpoint (`g_ema`, `d`). Raises `WeightsCorrupted`."""
    generator, discriminator = Generator(resolution), Discriminator(resolution)
    try:
        checkpoint = load_torch(path)
        load_into(generator, pick_part(checkpoint, "g_ema"), source=path.name)
        load_into(discriminator, pick_part(checkpoint, "d"), source=path.name)
    except ValueError as error:
        raise WeightsCorrupted(path.name, str(error)) from error
    return generator, discriminator


def load_e4e(path: Path, resolution: int) -> E4eInverter:
    """Load the encoder of a published checkpoint (`state_dict`, `latent_avg`). Raises `WeightsCorrupted`."""
    with torch.device("meta"):
        encoder = Encoder4Editing(resolution)
    try:
        state, latent_avg = pick_encoder(load_torch(path), n_latent=encoder.n_latent)
        load_into(encoder, state, source=path.name)
    except ValueError as error:
        raise WeightsCorrupted(path.name, str(error)) from error
    return E4eInverter(encoder, latent_avg)


def _load_lpips(device: torch.device, dtype: torch.dtype, on_progress: OnProgress) -> Perceptual | None:
    try:
        path = fetch(VGG16, on_progress=on_progress).path
    except StyleIdentityError:
        return None
    try:
        metric = VggLpips(load_file(path), dtype=dtype)
    except (KeyError, RuntimeError, SafetensorError) as error:
        raise WeightsCorrupted(path.name, str(error)) from error
    return metric.to(device)
