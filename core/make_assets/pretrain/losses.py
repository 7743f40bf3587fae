"""Losses of the embedded backbone's training.

Pixel and feature distances against the photo, StyleGAN2's non-saturating adversarial loss with lazy R1 (Karras et al.
2020), and a distillation that makes the discriminator's features perceptual, since few-shot training measures pictures
with them and nothing else ships.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.networks.squeezenet import STAGE_CHANNELS

FEATURE_TAPS = ("conv1", "fire3", "fire5", "fire9")
FACE_BOX = (0.42, 0.78, 0.34, 0.66)  # top, bottom, left, right as shares of the side
HEAD_BLOCKS = (0, 1, 2, 3)  # discriminator blocks at 1/2, 1/4, 1/8, 1/16: the taps' own strides


def weighted_l1(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """Average the absolute difference of [B, 3, H, W] under weights [B, 1, H, W]."""
    return ((a - b).abs() * weights).mean() / weights.mean()


def feature_distance(
    features: Callable[[Tensor], Sequence[Tensor]], a: Tensor, target: Sequence[Tensor], scales: Sequence[float]
) -> Tensor:
    """Average over layers the scaled mean absolute difference between features of `a` and `target`."""
    found = features(a)
    parts = [(x.float() - y.float()).abs().mean() * s for x, y, s in zip(found, target, scales, strict=True)]
    return torch.stack(parts).mean()


def low_frequency_l1(a: Tensor, b: Tensor) -> Tensor:
    """Average the absolute difference of [B, 3, H, W] after means over squares of 16 pixels: light and colour."""
    return (F.avg_pool2d(a - b, 16)).abs().mean()


def face_colour(x: Tensor) -> Tensor:
    """Average the colour [B, 3] of the middle of aligned faces [B, 3, R, R]: cheeks, nose and mouth."""
    side = x.shape[-1]
    top, bottom, left, right = (round(share * side) for share in FACE_BOX)
    return x[:, :, top:bottom, left:right].mean(dim=(2, 3))


def generator_adversarial(logits_fake: Tensor) -> Tensor:
    """Compute the generator's non-saturating loss for logits [B, 1]."""
    return F.softplus(-logits_fake).mean()


def discriminator_adversarial(logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """Compute the discriminator's logistic loss."""
    return F.softplus(-logits_real).mean() + F.softplus(logits_fake).mean()


def r1_penalty(discriminator: nn.Module, real: Tensor) -> Tensor:
    """Compute half the squared gradient norm of the logits at real pictures, averaged over the batch (float32)."""
    real = real.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return 0.5 * gradient.square().sum(dim=(1, 2, 3)).mean()


class DistillationHeads(nn.Module):
    """1x1 convolutions from discriminator features to SqueezeNet's, used in training only."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        targets = [STAGE_CHANNELS[tap] for tap in FEATURE_TAPS]
        self.heads = nn.ModuleList(
            nn.Conv2d(channels[block], target, 1) for block, target in zip(HEAD_BLOCKS, targets, strict=True)
        )

    def forward(self, found: Sequence[Tensor], wanted: Sequence[Tensor], scales: Sequence[float]) -> Tensor:
        """Compute the scaled mean absolute error; `wanted` is resampled to the discriminator's grid."""
        parts = []
        for head, block, target, scale in zip(self.heads, HEAD_BLOCKS, wanted, scales, strict=True):
            x = found[block]
            target = F.interpolate(target.float(), size=x.shape[-2:], mode="bilinear", align_corners=False)
            parts.append((head(x.float()) - target).abs().mean() * scale)
        return torch.stack(parts).mean()
