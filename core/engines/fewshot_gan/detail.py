"""How much fine detail a picture has, and where: the measure behind training's and refining's loss of sharpness."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

WINDOW_PX = 16


def detail_distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference of the local deviation of the Laplacian, relative to that of `b` in the mean.

    Blind to where exactly a line or a grain of skin falls, so that it asks for as much fine detail as the photo has
    where a pixel distance asks for blur. [B, 3, H, W]; windows of `WINDOW_PX`.
    """
    found, wanted = _local_deviation(a), _local_deviation(b)
    return (found - wanted).abs().mean() / wanted.mean().detach()


def _local_deviation(x: Tensor) -> Tensor:
    grey = x.mean(dim=1, keepdim=True)
    kernel = grey.new_tensor([[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]])[None, None]
    return (F.avg_pool2d(F.conv2d(grey, kernel, padding=1).square(), WINDOW_PX) + 1e-5).sqrt()
