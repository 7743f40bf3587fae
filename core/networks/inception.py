"""Inception v3 as the FID uses it (Szegedy et al. 2016; Heusel et al. 2017): torchvision's network, poolings changed.

The published weights are those of the TensorFlow graph of 2015-12-05, ported by the pytorch-fid program (Apache-2.0:
`pt_inception-2015-12-05-6726825d.pth`). That graph has 1008 classes, averages without counting the padding, and takes
the maximum in its last block's pooling. Names of parameters follow torchvision's and so that file's.
"""
# torchvision declares no types:
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import inception

CLASSES = 1008
FEATURES = 2048
SIDE_PX = 299
_PATH = (
    "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2",
    "Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e",
    "Mixed_7a", "Mixed_7b", "Mixed_7c", "avgpool",
)  # fmt: skip


def _average_inside(block: nn.Module, outputs: list[Tensor], x: Tensor) -> list[Tensor]:
    """Replace torchvision's pooled branch, which comes last, by one that averages over real pixels only."""
    pooled = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    return [*outputs[:-1], block.get_submodule("branch_pool")(pooled)]


class _BlockA(inception.InceptionA):
    """35 x 35."""

    def _forward(self, x: Tensor) -> list[Tensor]:
        return _average_inside(self, super()._forward(x), x)


class _BlockC(inception.InceptionC):
    """17 x 17."""

    def _forward(self, x: Tensor) -> list[Tensor]:
        return _average_inside(self, super()._forward(x), x)


class _BlockE(inception.InceptionE):
    """8 x 8."""

    def _forward(self, x: Tensor) -> list[Tensor]:
        return _average_inside(self, super()._forward(x), x)


class _LastBlock(inception.InceptionE):
    """The last block: maximum instead of average."""

    def _forward(self, x: Tensor) -> list[Tensor]:
        *others, _ = super()._forward(x)
        return [*others, self.branch_pool(F.max_pool2d(x, 3, stride=1, padding=1))]


class FidInception(inception.Inception3):
    """The network without its classifier's use: `features(x) -> [B, 2048]`. Stays in evaluation mode."""

    def __init__(self) -> None:
        blocks = [
            inception.BasicConv2d, _BlockA, inception.InceptionB, _BlockC, inception.InceptionD, _BlockE,
            inception.InceptionAux,
        ]  # fmt: skip
        super().__init__(num_classes=CLASSES, aux_logits=False, init_weights=False, inception_blocks=blocks)
        self.Mixed_7c = _LastBlock(FEATURES)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> FidInception:
        """Do nothing: features are measured, never trained."""
        super().train(False)
        return self

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """Compute [B, 2048] float32, after the last average, of pictures [B, 3, H, W] in [-1, 1].

        They are resized to 299 px bilinearly without antialias, as pytorch-fid does.
        """
        if x.ndim != 4 or x.shape[1] != 3:
            raise ValueError(f"expected [B, 3, H, W], got {list(x.shape)}")
        x = F.interpolate(x.float(), size=(SIDE_PX, SIDE_PX), mode="bilinear", align_corners=False)
        for name in _PATH:
            x = getattr(self, name)(x)
        return x.flatten(1)
