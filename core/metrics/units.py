"""Stand-ins for LPIPS and FID on any network's features, protocols `unit_features_*` and `frechet_*`.

The distance compares features after scaling every position's vector to length 1, as LPIPS does, but no weights learned
from people's judgements follow; the Frechet distance takes features averaged over positions, as FID does. The names say
which network gave the features. With the embedded backbone's discriminator these are `unit_features_mini_discriminator`
and `frechet_mini_discriminator`: they ship with the app and need no download, and their features are also a training
loss of both methods on `mini`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from core.metrics.gram import Features


def _units(x: Tensor) -> Tensor:
    length: Tensor = x.float().norm(dim=1, keepdim=True)
    return x.float() / length.clamp_min(1e-10)


@torch.no_grad()
def unit_distance(a: Tensor, b: Tensor, features: Features) -> float:
    """Average the squared distance of unit features over layers and positions: 0 for equal pictures, at most 4.

    Args:
        a, b: pictures [1, 3, H, W] in [-1, 1] of one size.
        features: one [1, C, h, w] per layer.
    """
    if a.shape != b.shape or a.shape[:2] != (1, 3):
        raise ValueError(f"expected two pictures [1, 3, H, W] of one size, got {list(a.shape)} and {list(b.shape)}")
    layers = [(_units(x) - _units(y)).square().sum(dim=1).mean() for x, y in zip(features(a), features(b), strict=True)]
    return float(torch.stack(layers).mean())


@torch.no_grad()
def pooled_features(x: Tensor, features: Features) -> np.ndarray:
    """Average over positions, layers side by side: [B, sum of C] float64, for a Frechet distance."""
    return torch.cat([layer.float().mean(dim=(2, 3)) for layer in features(x)], dim=1).double().cpu().numpy()
