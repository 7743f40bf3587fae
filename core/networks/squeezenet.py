"""SqueezeNet 1.1 as a frozen feature network (Iandola et al. 2016, arXiv:1602.07360): torchvision's, tapped.

It measures pictures, and it was also a training loss of the embedded backbone `mini`: a report that shows numbers from
these features must say so. The weights are never shipped or downloaded; the caller gives the path of an `.npz` with the
Caffe model's arrays (`conv1.weight`, `fire2_squeeze1x1.weight`, ...), whose input is BGR without its ImageNet mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from core.networks.checkpoints import check_state

WEIGHTS_FILE = "squeezenet11_features.npz"
BGR_MEAN = (103.939, 116.779, 123.68)  # Caffe's ImageNet means on the 0-255 scale; no division follows
MIN_SIDE_PX = 32
STAGE_CHANNELS: Mapping[str, int] = {
    "conv1": 64,
    **{"fire2": 128, "fire3": 128, "fire4": 256, "fire5": 256, "fire6": 384, "fire7": 384, "fire8": 512, "fire9": 512},
}
STAGES = tuple(STAGE_CHANNELS)
DEFAULT_TAPS = ("conv1", "fire3", "fire5", "fire7", "fire9")
_STAGE_AT = dict(zip((1, 3, 4, 6, 7, 9, 10, 11, 12), STAGES, strict=True))  # by the last layer's place, ReLU included


class SqueezeNetFeatures(nn.Module):
    """Frozen SqueezeNet 1.1 that returns the features of chosen stages. Stays in evaluation mode.

    Args:
        npz_path: the weights; refused with `ValueError` when a key is missing, unknown or of another shape.
        taps: names out of `STAGES`, in any order; features come back in the network's order.
    """

    mean: Tensor

    def __init__(self, npz_path: str | Path, *, taps: Sequence[str] = DEFAULT_TAPS) -> None:
        super().__init__()
        unknown = sorted(set(taps) - set(STAGES))
        if unknown or not taps:
            raise ValueError(f"taps must be some of {STAGES}, got {tuple(taps)}")
        self.taps = tuple(name for name in STAGES if name in taps)
        last = max(place for place, stage in _STAGE_AT.items() if stage in taps)
        self.layers = nn.Sequential(*list(_read_npz(Path(npz_path)))[: last + 1])
        self.register_buffer("mean", torch.tensor(BGR_MEAN).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> SqueezeNetFeatures:
        """Do nothing: features are measured, never trained."""
        super().train(False)
        return self

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of the tapped stages, after ReLU; gradients flow to `x`.

        Args:
            x: [B, 3, H, W] RGB in [-1, 1], H and W at least 32 px; any float type, also under autocast.

        Returns:
            One [B, C, h, w] per tap, C as in `STAGE_CHANNELS`. At 256 px the sides are 127 (conv1), 63 (fire2-3),
            31 (fire4-5) and 15 (fire6-9).
        """
        if x.ndim != 4 or x.shape[1] != 3 or min(x.shape[2:]) < MIN_SIDE_PX:
            raise ValueError(f"expected [B, 3, H, W] with sides of {MIN_SIDE_PX} px or more, got {list(x.shape)}")
        x = ((x.float().flip(1) + 1) * 127.5 - self.mean).to(next(self.parameters()).dtype)
        features = []
        for place, layer in enumerate(self.layers):
            x = layer(x)
            if _STAGE_AT.get(place) in self.taps:
                features.append(x)
        return features


def _read_npz(path: Path) -> nn.Sequential:
    """Load torchvision's layers with the file's arrays."""
    from torchvision.models import squeezenet1_1  # takes seconds to import

    with torch.device("meta"):
        layers: nn.Sequential = squeezenet1_1(weights=None).features
    shapes = {_caffe_name(name): tuple(tensor.shape) for name, tensor in layers.state_dict().items()}
    with np.load(path, allow_pickle=False) as arrays:
        weights = {name: torch.from_numpy(arrays[name].astype(np.float32)) for name in arrays.files}
    check_state(weights, shapes, source=path.name)
    layers.load_state_dict({name: weights[_caffe_name(name)] for name in layers.state_dict()}, assign=True)
    return layers


def _caffe_name(name: str) -> str:
    """Turn torchvision's `3.squeeze.weight` into `fire2_squeeze1x1.weight`, and `0.*` into `conv1.*`."""
    place, _, rest = name.partition(".")
    stage = _STAGE_AT[max(1, int(place))]
    return f"{stage}.{rest}" if stage == "conv1" else f"{stage}_{rest.replace('squeeze.', 'squeeze1x1.')}"
