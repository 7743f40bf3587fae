"""Backbones: which networks make one, where their weights come from, and which one to use here.

`mini` is embedded in `assets/mini` and needs no network. `ffhq` is the published StyleGAN2 (config-f, 1024 px) with
e4e, from the Hub. Both are one `Backbone`, so that every later stage is the same code.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from core.config import ASSETS_DIR, BACKBONE_ENV, BackboneName, FinetuneConfig, Method
from core.engines.fewshot_gan.perceptual import Perceptual
from core.errors import DeviceUnusable
from core.imaging.faces import FaceFinder
from core.networks.ops import channels_last
from core.networks.stylegan2 import Synthesis
from core.progress import OnProgress, ignore_progress
from core.weights.fetch import cached, hub_reachable
from core.weights.pins import E4E_FFHQ, STYLEGAN2_FFHQ

REACH_TIMEOUT_S = 2.0
MINI_DIR = ASSETS_DIR / "mini"


@dataclass(frozen=True)
class Recipe:
    """A backbone's defaults for one method.

    Attributes:
        swap_layers: layers whose code is mixed with a random one (Eq. 1).
        alpha: share of the reference's own code kept there.
        identity_weight: lambda of Eq. 2.
        style_weight: weight of the feature statistics on the anchors; 0 is the paper's loss.
        colour_weight: weight of the small-picture colour difference inside the reference loss.
        references_per_step: references of one step's gradient, drawn anew each step; 0 means all.
    """

    swap_layers: tuple[int, ...]
    alpha: float
    identity_weight: float
    style_weight: float = 0.0
    colour_weight: float = 0.0
    references_per_step: int = 0


@dataclass(frozen=True)
class SampleFaces:
    """Faces that training may anchor on: maps [N, C, h, w] of the embedded backbone and codes [N, D]."""

    features: Tensor
    codes: Tensor


@dataclass(frozen=True)
class Backbone:
    """Loaded networks with what the stages must know of them.

    Attributes:
        name: "mini" or "ffhq".
        fingerprint: first 16 hex digits of the sha256 of the generator's weights file.
        resolution: side of the generator's pictures in px; aligned crops have it too.
        encoder_px: side of what the encoder reads.
        device, dtype: where and in which precision the networks compute.
        generator: base generator G0; never changed.
        encoder: picture [B, 3, encoder_px, encoder_px] -> (w_plus [B, L, D], features or None).
        measures: how each method compares pictures.
        finder: face detector with landmarks.
        recipes: defaults by method.
        sample_faces: anchors for backbones whose codes alone make no face.
        refining_steps: optimisation steps that end an inversion, see `core.engines.fewshot_gan.refine`; 0 leaves them out.
    """

    name: BackboneName
    fingerprint: str
    resolution: int
    encoder_px: int
    device: torch.device
    dtype: torch.dtype
    generator: Synthesis
    encoder: nn.Module
    measures: Mapping[Method, Perceptual]
    finder: FaceFinder
    recipes: Mapping[Method, Recipe]
    sample_faces: SampleFaces | None = None
    refining_steps: int = 0

    def resolve(self, config: FinetuneConfig) -> FinetuneConfig:
        """Fill in what the configuration leaves to the backbone; `ValueError` for layers it does not have."""
        recipe = self.recipes[config.method]
        layers = recipe.swap_layers if config.swap_layers is None else config.swap_layers
        if any(not 0 <= layer < self.generator.n_latent for layer in layers):
            raise ValueError(f"swap_layers must be in [0, {self.generator.n_latent - 1}], got {layers}")
        return replace(
            config,
            swap_layers=tuple(layers),
            alpha=recipe.alpha if config.alpha is None else config.alpha,
            identity_weight=_default(config.identity_weight, recipe.identity_weight),
            style_weight=_default(config.style_weight, recipe.style_weight),
            references_per_step=int(_default(config.references_per_step, recipe.references_per_step)),
        )

    def random_code(self, rng: torch.Generator, count: int = 1) -> Tensor:
        """Natural appearance codes w [count, D]; drawn on the CPU, so that a seed means the same everywhere."""
        z = torch.randn(count, self.generator.style_dim, generator=rng)
        with torch.no_grad():
            return self.generator.mapping(z.to(self.device))

    def sample(self, rng: torch.Generator, count: int) -> tuple[Tensor, Tensor | None]:
        """Codes [count, L, D] and maps of random faces, for identity anchors."""
        if self.sample_faces is None:
            w = self.random_code(rng, count)
            return w[:, None].expand(-1, self.generator.n_latent, -1), None
        pick = torch.randperm(len(self.sample_faces.codes), generator=rng)[:count]
        w = self.sample_faces.codes[pick].to(self.device)
        return w[:, None].expand(-1, self.generator.n_latent, -1), self.sample_faces.features[pick].to(self.device)


@dataclass(frozen=True)
class BackboneChoice:
    """Which backbone runs, and the sentence that says why."""

    name: BackboneName
    reason: str


def _default(value: float | None, fallback: float) -> float:
    return fallback if value is None else value


def best_device() -> torch.device:
    """The accelerator if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def find_device(name: str | torch.device | None = None) -> torch.device:
    """The device of this name, tried out; `best_device()` where None.

    Raises:
        DeviceUnusable: PyTorch doesn't know it, or can't compute on it here.
    """
    if name is None:
        return best_device()
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError, ValueError) as error:
        raise DeviceUnusable(str(name), str(error).strip().partition("\n")[0]) from error
    return device


def device_words(device: torch.device) -> str:
    """A device in a visitor's words."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def choose_backbone(preference: str | None = None, *, timeout_s: float = REACH_TIMEOUT_S) -> BackboneChoice:
    """Decide between `mini` and `ffhq`; "auto" answers within `timeout_s`, also when the network hangs.

    Args:
        preference: "auto", "mini" or "ffhq"; `$STYLEIDENTITY_BACKBONE`, else "auto", where None.

    Raises:
        ValueError: another name.
    """
    wanted = preference or os.environ.get(BACKBONE_ENV) or "auto"
    if wanted == "mini":
        return BackboneChoice("mini", "the embedded model was asked for")
    if wanted == "ffhq":
        return BackboneChoice("ffhq", "the 1024 px model was asked for")
    if wanted != "auto":
        raise ValueError(f"the backbone must be 'auto', 'mini' or 'ffhq', got {wanted!r}")
    if best_device().type == "cpu":
        return BackboneChoice("mini", "this machine has no GPU, and the embedded model is quick without one")
    if all(cached(file) for file in (STYLEGAN2_FFHQ, E4E_FFHQ)):
        return BackboneChoice("ffhq", "a GPU and the downloaded 1024 px model are here")
    if hub_reachable(timeout_s):
        return BackboneChoice("ffhq", "a GPU is here and the 1024 px model can be downloaded")
    return BackboneChoice("mini", "the 1024 px model is not here and can't be downloaded now")


def load_backbone(
    name: BackboneName, *, device: str | torch.device | None = None, on_progress: OnProgress | None = None
) -> Backbone:
    """Load a backbone's networks.

    Args:
        device: where to compute; the accelerator if there is one, else the CPU, where None.
        on_progress: hears of downloads.

    Raises:
        DeviceUnusable: from `find_device`.
        WeightsUnavailable, WeightsCorrupted, WeightsChanged, DiskFull: a file of weights can't be had.
    """
    place = find_device(device)
    if name == "mini":
        from core.engines.fewshot_gan.mini import load_mini

        return load_mini(MINI_DIR, place)
    if name == "ffhq":
        from core.engines.fewshot_gan.ffhq import load_ffhq

        return load_ffhq(place, on_progress or ignore_progress)
    raise ValueError(f"the backbone must be 'mini' or 'ffhq', got {name!r}")


def compute_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on accelerators and on CPUs with native bfloat16 arithmetic, else float32."""
    if device.type != "cpu":
        return torch.bfloat16
    return torch.bfloat16 if _cpu_has_bf16() else torch.float32


def _cpu_has_bf16() -> bool:
    capability = torch.backends.cpu.get_cpu_capability()
    flags = Path("/proc/cpuinfo")
    if "AVX512" not in capability or not flags.exists():
        return False
    return "avx512_bf16" in flags.read_text() or "amx_bf16" in flags.read_text()


def freeze(module: nn.Module, device: torch.device) -> nn.Module:
    """Evaluation mode, no gradients, on the device, 4-D weights laid out for channels-last convolution."""
    return channels_last(module.requires_grad_(False).eval().to(device))
