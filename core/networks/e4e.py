"""Encoder4Editing: a 256 px face -> one style code per generator layer, as offsets from the average code.

Source: Tov et al. 2021, "Designing an Encoder for StyleGAN Image Manipulation" (arXiv:2102.02766). The pyramid
of style heads on an IR-SE50 trunk is pSp's encoder (Richardson et al. 2021, arXiv:2008.00951). e4e trains the
layers progressively; this is its final stage, the one used for inference: head 0 gives a code shared by all
layers and head `l` the small difference of layer `l`, which keeps the codes near the editable space W.

Key names equal those of the published checkpoint's `encoder.*`. Accumulation differs in one way: codes are added
up in float32 even under autocast, since a bf16 sum would round away the small differences.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.networks.irse import IRSE50
from core.networks.ops import EqualLinear

INPUT_PX = 256
STYLE_DIM = 512
COARSE_LAYERS = 3  # layers 0-2 read the 16 px features
MIDDLE_LAYERS = 7  # layers 3-6 read the 32 px features, later ones the 64 px features
COARSE_PX, MIDDLE_PX, FINE_PX = 16, 32, 64


def layer_count(resolution: int) -> int:
    """Count the style codes of a StyleGAN2 generator: `2 * log2(resolution) - 2`; `ValueError` below 8 px."""
    exponent = resolution.bit_length() - 1
    if resolution < 8 or resolution != 1 << exponent:
        raise ValueError(f"resolution: expected a power of two of at least 8, got {resolution}")
    return 2 * exponent - 2


def head_size_px(layer: int) -> int:
    """Return the side of the feature map that the head of this layer reads."""
    if layer < COARSE_LAYERS:
        return COARSE_PX
    return MIDDLE_PX if layer < MIDDLE_LAYERS else FINE_PX


class StyleHead(nn.Module):
    """pSp's "map2style": strided convolutions down to one pixel, then an equalised linear layer."""

    def __init__(self, size_px: int) -> None:
        super().__init__()
        steps = size_px.bit_length() - 1
        layers: list[nn.Module] = []
        for _ in range(steps):
            layers += [nn.Conv2d(STYLE_DIM, STYLE_DIM, 3, stride=2, padding=1), nn.LeakyReLU(0.01)]
        self.convs = nn.Sequential(*layers)
        self.linear = EqualLinear(STYLE_DIM, STYLE_DIM)

    def forward(self, features: Tensor) -> Tensor:
        """`features` [B, 512, size_px, size_px] -> [B, 512]."""
        code: Tensor = self.linear(self.convs(features).flatten(1))
        return code


class Encoder4Editing(IRSE50):
    """The encoder. It works under bf16 autocast and in `channels_last`, which is the quick way on a CPU.

    Args:
        resolution: side of the generator's pictures in pixels (a power of two); sets the number of codes,
            18 at 1024. The encoder itself always reads 256 px.
    """

    def __init__(self, resolution: int = 1024) -> None:
        super().__init__()
        self.n_latent = layer_count(resolution)
        self.styles = nn.ModuleList(StyleHead(head_size_px(layer)) for layer in range(self.n_latent))
        self.latlayer1 = nn.Conv2d(256, STYLE_DIM, 1)
        self.latlayer2 = nn.Conv2d(128, STYLE_DIM, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Encode aligned faces; the checkpoint's `latent_avg` is still to be added.

        Args:
            x: [B, 3, 256, 256], RGB in [-1, 1].

        Returns:
            [B, L, 512] float32, L = `n_latent`.

        Raises:
            ValueError: `x` has another shape.
        """
        if x.ndim != 4 or tuple(x.shape[1:]) != (3, INPUT_PX, INPUT_PX):
            raise ValueError(f"x: expected shape [B, 3, {INPUT_PX}, {INPUT_PX}], got {list(x.shape)}")
        pyramid = self._pyramid(x)
        outputs = [head(pyramid[head_size_px(layer)]).float() for layer, head in enumerate(self.styles)]
        shared = outputs[0]  # [B, D]
        return torch.stack([shared, *(shared + delta for delta in outputs[1:])], dim=1)

    def _pyramid(self, x: Tensor) -> dict[int, Tensor]:
        """Compute feature maps [B, 512, S, S] by their side S: coarse ones enlarged and added to finer ones."""
        fine, middle, coarse = self.taps(x)
        middle = _enlarge_and_add(coarse, self.latlayer1(middle))
        fine = _enlarge_and_add(middle, self.latlayer2(fine))
        return {COARSE_PX: coarse, MIDDLE_PX: middle, FINE_PX: fine}


def _enlarge_and_add(small: Tensor, large: Tensor) -> Tensor:
    """Bring `small` [B, C, h, w] bilinearly to the size of `large` [B, C, H, W], corner on corner, and add them."""
    return F.interpolate(small, size=large.shape[-2:], mode="bilinear", align_corners=True) + large
