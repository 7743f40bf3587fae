"""A backbone: the networks that the stages of this engine share, with what the stages must know of them.

`mini` and `ffhq` are both one `Backbone`, so that every stage is the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import cast

import torch
from torch import Tensor, nn

from core.engines.fewshot_gan.config import BackboneName, FinetuneConfig, Method
from core.engines.fewshot_gan.perceptual import Perceptual
from core.imaging.faces import FaceFinder
from core.networks.stylegan2 import Synthesis


@dataclass(frozen=True)
class Recipe:
    """A backbone's defaults for one method; fields are named as in `FinetuneConfig`, where None leaves them open.

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
        refining_steps: optimisation steps that end an inversion (`refine`); 0 leaves them out.
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
        """Fill in what the configuration leaves open. Raises ValueError for layers that the generator lacks."""
        recipe = self.recipes[config.method]
        left_open = [item.name for item in fields(config) if getattr(config, item.name) is None]
        resolved = replace(config, **{name: getattr(recipe, name) for name in left_open})
        if any(not 0 <= layer < self.generator.n_latent for layer in resolved.swap_layers or ()):
            raise ValueError(f"swap_layers must be in [0, {self.generator.n_latent - 1}], got {resolved.swap_layers}")
        return resolved

    def random_code(self, rng: torch.Generator, count: int = 1) -> Tensor:
        """Natural appearance codes w [count, D]; drawn on the CPU, so that a seed means the same everywhere."""
        z = torch.randn(count, self.generator.style_dim, generator=rng)
        with torch.no_grad():
            return cast("Callable[[Tensor], Tensor]", self.generator.mapping)(z.to(self.device))

    def sample(self, rng: torch.Generator, count: int) -> tuple[Tensor, Tensor | None]:
        """Codes [count, L, D] and maps of random faces, for identity anchors."""
        if self.sample_faces is None:
            w = self.random_code(rng, count)
            return w[:, None].expand(-1, self.generator.n_latent, -1), None
        pick = torch.randperm(len(self.sample_faces.codes), generator=rng)[:count]
        w = self.sample_faces.codes[pick].to(self.device)
        return w[:, None].expand(-1, self.generator.n_latent, -1), self.sample_faces.features[pick].to(self.device)
