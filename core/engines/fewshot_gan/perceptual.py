"""How far apart two pictures look, for training: discriminator features (embedded) or LPIPS with VGG16 (published).

Sources: JoJoGAN (Chong and Forsyth 2022) compares discriminator features; StyleIdentityGAN uses LPIPS (Zhang et al.
2018) at 256 px; Gram statistics are those of Gatys et al. 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.metrics.gram import gram_matrix
from core.networks.lpips_vgg import build_lpips_vgg
from core.networks.stylegan2 import Discriminator

LPIPS_PX = 256
COLOUR_PX = 32


@dataclass(frozen=True)
class PerceptualFeatures:
    """What training remembers of a target picture: its features, its small colours and its Gram matrices.

    Attributes:
        features: per layer [B, C, h, w].
        colours: [B, 3, 32, 32].
    """

    features: tuple[Tensor, ...]
    colours: Tensor

    def grams(self) -> list[Tensor]:
        """Per layer [B, C, C]."""
        return [gram_matrix(x) for x in self.features]

    def rows(self, index: slice) -> PerceptualFeatures:
        """Return the part of the batch that `index` selects."""
        return PerceptualFeatures(tuple(x[index] for x in self.features), self.colours[index])


class DiscriminatorFeatures(nn.Module):
    """Features of chosen residual blocks of a StyleGAN2 discriminator.

    Args:
        blocks: JoJoGAN's count, the 1x1 stem being block 0.
        dtype: of the arithmetic.
    """

    def __init__(self, discriminator: Discriminator, blocks: Sequence[int], *, dtype: torch.dtype) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.blocks = tuple(blocks)
        self.dtype = dtype

    def forward(self, x: Tensor) -> PerceptualFeatures:
        """Return the features of x [B, 3, H, W] in [-1, 1]."""
        found = self.discriminator.features(x, dtype=self.dtype)
        return PerceptualFeatures(tuple(found[block - 1] for block in self.blocks), _small_colours(x))

    def distance(self, a: PerceptualFeatures, b: PerceptualFeatures, *, colour_weight: float = 0.0) -> Tensor:
        """Mean over layers of the mean absolute difference, relative to `b`'s mean size; a scalar.

        `colour_weight` adds the mean absolute difference of the pictures at 32 px.
        """
        parts = [_relative_l1(x, y) for x, y in zip(a.features, b.features, strict=True)]
        return torch.stack(parts).mean() + colour_weight * (a.colours - b.colours).abs().mean()


class VggLpips(nn.Module):
    """LPIPS with VGG16 on pictures reduced to 256 px by area, as the reference program measures `L_ref`.

    Args:
        vgg_state: `features.N.weight` and `features.N.bias` of torchvision's VGG16; classifier entries are ignored.
    """

    def __init__(self, vgg_state: dict[str, Tensor], *, dtype: torch.dtype) -> None:
        super().__init__()
        self.metric = build_lpips_vgg(vgg_state)
        self.dtype = dtype

    def forward(self, x: Tensor) -> PerceptualFeatures:
        """Return the features of x [B, 3, H, W] in [-1, 1], unit-length per position, as LPIPS compares them."""
        import lpips

        small = F.interpolate(x, size=(LPIPS_PX, LPIPS_PX), mode="area")
        with torch.autocast(x.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
            found = self.metric.net(self.metric.scaling_layer(small))
        return PerceptualFeatures(tuple(lpips.normalize_tensor(y.float()) for y in found), _small_colours(x))

    def distance(self, a: PerceptualFeatures, b: PerceptualFeatures, *, colour_weight: float = 0.0) -> Tensor:
        """LPIPS, averaged over the batch; a scalar. `colour_weight` as in `DiscriminatorFeatures.distance`."""
        parts = [
            weigh((x - y).square()).mean() for weigh, x, y in zip(self.metric.lins, a.features, b.features, strict=True)
        ]
        return torch.stack(parts).sum() + colour_weight * (a.colours - b.colours).abs().mean()


Perceptual = DiscriminatorFeatures | VggLpips


def style_distance(drawn: PerceptualFeatures, wanted: Sequence[Tensor]) -> Tensor:
    """Mean over layers of the relative absolute difference between Gram matrices; a scalar.

    Args:
        drawn: of pictures [B, ...].
        wanted: per layer [1, C, C].
    """
    return torch.stack([_relative_l1(x, y.expand_as(x)) for x, y in zip(drawn.grams(), wanted, strict=True)]).mean()


def _relative_l1(a: Tensor, b: Tensor) -> Tensor:
    a, b = a.float(), b.float()
    return (a - b).abs().mean() / b.abs().mean().clamp(min=1e-6)


def _small_colours(x: Tensor) -> Tensor:
    return F.interpolate(x, size=(COLOUR_PX, COLOUR_PX), mode="area")
