"""LPIPS, protocol `lpips_vgg16_v0.1_256` (Zhang et al. 2018): the `lpips` package, VGG16, pictures at 256 px.

Other sizes are reduced or enlarged by area, as the reference program of StyleIdentityGAN does before it measures.
Without VGG16's weights use another distance under another name: `unit_features_mini_discriminator`
(`core.metrics.units`) is no LPIPS. LPIPS is a training loss of our method on the 1024 px backbone: reports say so.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from core.networks.lpips_vgg import build_lpips_vgg

PROTOCOL = "lpips_vgg16_v0.1_256"
SIDE_PX = 256


class LpipsVgg16:
    """The metric: `lpips(a, b) -> float`, and VGG16's features for a style distance.

    Args:
        vgg_state: torchvision's VGG16, as `core.networks.lpips_vgg.build_lpips_vgg` takes it.
        device: where to measure.
    """

    def __init__(self, vgg_state: dict[str, Tensor], *, device: torch.device | str = "cpu") -> None:
        self._metric = build_lpips_vgg(vgg_state).to(device)
        self._device = torch.device(device)

    @torch.no_grad()
    def __call__(self, a: Tensor, b: Tensor) -> float:
        """Measure the distance of two pictures [1, 3, H, W] in [-1, 1] of one size; 0 for equal ones."""
        if a.shape != b.shape or a.shape[:2] != (1, 3):
            raise ValueError(f"expected two pictures [1, 3, H, W] of one size, got {list(a.shape)} and {list(b.shape)}")
        return float(self._metric(self._sized(a), self._sized(b)))

    @torch.no_grad()
    def features(self, x: Tensor) -> list[Tensor]:
        """Return VGG16's relu1_2, 2_2, 3_3, 4_3 and 5_3 of [B, 3, H, W] at 256 px: one [B, C, h, w] each."""
        return list(self._metric.net(self._metric.scaling_layer(self._sized(x))))

    def _sized(self, x: Tensor) -> Tensor:
        x = x.to(self._device)
        return x if x.shape[2:] == (SIDE_PX, SIDE_PX) else F.interpolate(x, size=(SIDE_PX, SIDE_PX), mode="area")
