"""How much fine detail a picture has, and where: the measure behind training's and refining's loss of sharpness."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def detail_distance(a: Tensor, b: Tensor, *, side: int = 16) -> Tensor:
    """Mean absolute difference of the local deviation of the Laplacian, relative to that of `b` in the mean.

    Blind to where exactly a line or a grain of skin falls, so that it asks for as much fine detail as the photo has
    where a pixel distance asks for blur. [B, 3, H, W]; windows of `side` pixels.
    """
    found, wanted = _local_deviation(a, side), _local_deviation(b, side)
    return (found - wanted).abs().mean() / wanted.mean().detach()


def _local_deviation(x: Tensor, side: int) -> Tensor:
    grey = x.mean(dim=1, keepdim=True)
    kernel = grey.new_tensor([[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]])[None, None]
    return (F.avg_pool2d(F.conv2d(grey, kernel, padding=1).square(), side) + 1e-5).sqrt()
