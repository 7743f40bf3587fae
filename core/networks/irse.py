"""IR-SE50 feature trunk: residual units with squeeze-and-excitation, tapped at three scales.

Sources: the ArcFace variant of ResNet-50 (Deng et al. 2019, arXiv:1801.07698), whose unit normalises first and
activates with PReLU; squeeze-and-excitation is that of Hu et al. 2018 (arXiv:1709.01507). This is the form that pSp
(Richardson et al. 2021) and e4e (Tov et al. 2021) put below their style heads. Names of parameters follow the
published checkpoints, so `input_layer`, `body`, `res_layer`, `shortcut_layer`, `fc1` and `fc2` can't be renamed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STAGES = ((64, 64, 3), (64, 128, 4), (128, 256, 14), (256, 512, 3))  # (in channels, out channels, units)
TAPS = (6, 20, 23)  # the last unit of stages 2, 3 and 4: strides 4, 8 and 16
SE_REDUCTION = 16


@dataclass(frozen=True)
class UnitShape:
    """Geometry of one residual unit: channels in and out, and the stride of its second convolution."""

    in_channels: int
    out_channels: int
    stride: int


def unit_shapes() -> Iterator[UnitShape]:
    """Yield the 24 units in order; only the first of a stage changes width and halves the size."""
    for in_channels, out_channels, units in STAGES:
        yield UnitShape(in_channels, out_channels, stride=2)
        for _ in range(units - 1):
            yield UnitShape(out_channels, out_channels, stride=1)


class SqueezeExcitation(nn.Module):
    """Scales every channel by a factor in (0, 1) computed from all channel means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // SE_REDUCTION, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // SE_REDUCTION, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`x` [B, C, H, W] -> the same shape."""
        means = F.adaptive_avg_pool2d(x, 1)  # [B, C, 1, 1]
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(means))))


class ResidualUnit(nn.Module):
    """One IR-SE unit: norm, 3x3, PReLU, strided 3x3, norm, squeeze-and-excitation; plus a shortcut.

    Where the width stays the shortcut holds no weights: it takes every `stride`-th pixel.
    """

    def __init__(self, shape: UnitShape) -> None:
        super().__init__()
        wide_in, wide_out, self.stride = shape.in_channels, shape.out_channels, shape.stride
        self.shortcut_layer: nn.Sequential | None = None
        if wide_in != wide_out:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(wide_in, wide_out, 1, stride=self.stride, bias=False), nn.BatchNorm2d(wide_out)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(wide_in),
            nn.Conv2d(wide_in, wide_out, 3, padding=1, bias=False),
            nn.PReLU(wide_out),
            nn.Conv2d(wide_out, wide_out, 3, stride=self.stride, padding=1, bias=False),
            nn.BatchNorm2d(wide_out),
            SqueezeExcitation(wide_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`x` [B, C_in, H, W] -> [B, C_out, ceil(H / stride), ceil(W / stride)]."""
        picked = x[:, :, :: self.stride, :: self.stride]
        shortcut = picked if self.shortcut_layer is None else self.shortcut_layer(x)
        residual: Tensor = self.res_layer(x)
        return residual + shortcut


class IRSE50(nn.Module):
    """The trunk; a subclass adds its heads beside `input_layer` and `body`, as the published key names want."""

    def __init__(self) -> None:
        super().__init__()
        first = STAGES[0][0]
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, first, 3, padding=1, bias=False), nn.BatchNorm2d(first), nn.PReLU(first)
        )
        self.body = nn.Sequential(*(ResidualUnit(shape) for shape in unit_shapes()))

    def taps(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute features at three scales.

        Args:
            x: pictures, [B, 3, H, W], RGB in [-1, 1]; any memory format.

        Returns:
            [B, 128, H/4, W/4], [B, 256, H/8, W/8] and [B, 512, H/16, W/16] (sizes rounded up).
        """
        x = self.input_layer(x)
        kept = []
        for index, unit in enumerate(self.body):
            x = unit(x)
            if index in TAPS:
                kept.append(x)
        fine, middle, coarse = kept
        return fine, middle, coarse
