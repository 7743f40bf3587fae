"""ArcFace with the IR-SE50 trunk (Deng et al. 2019): the recogniser behind the identity loss of pSp and e4e.

Names of parameters follow the published `model_ir_se50.pth` (InsightFace_Pytorch, MIT), so `output_layer` and its
numbers can't be renamed.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from core.networks.irse import IRSE50

CROP_PX = 112
EMBEDDING = 512


class ArcFace(IRSE50):
    """Face crop [B, 3, 112, 112] in [-1, 1] -> embedding [B, 512] of length 1."""

    def __init__(self) -> None:
        super().__init__()
        cells = (CROP_PX // 16) ** 2
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(512),
            nn.Dropout(0.6),
            nn.Flatten(),
            nn.Linear(512 * cells, EMBEDDING),
            nn.BatchNorm1d(EMBEDDING),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Embed aligned crops; the eyes belong where `core.metrics.identity.CROP_EYES` says."""
        if x.shape[1:] != (3, CROP_PX, CROP_PX):
            raise ValueError(f"expected [B, 3, {CROP_PX}, {CROP_PX}], got {list(x.shape)}")
        return F.normalize(self.output_layer(self.body(self.input_layer(x))))
