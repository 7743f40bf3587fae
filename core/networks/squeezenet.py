"""SqueezeNet 1.1 as a frozen feature network (Iandola et al., 2016, arXiv:1602.07360, table of version 1.1).

It judges pictures, and it was also a training loss of the embedded backbone `mini`: a report that shows numbers from
these features must say so. The weights are never shipped; the caller gives the path of an `.npz` with the Caffe
model's arrays (`conv1.weight`, `fire2_squeeze1x1.weight`, ...). Unlike the classifier, nothing follows `fire9`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

BGR_MEAN = (103.939, 116.779, 123.68)  # Caffe's ImageNet means on the 0-255 scale; no division follows
MIN_SIDE_PX = 32
_FIRES: Mapping[str, tuple[int, int, int]] = {  # name: input, squeezed and expanded channels (each of two branches)
    "fire2": (64, 16, 64),
    "fire3": (128, 16, 64),
    "fire4": (128, 32, 128),
    "fire5": (256, 32, 128),
    "fire6": (256, 48, 192),
    "fire7": (384, 48, 192),
    "fire8": (384, 64, 256),
    "fire9": (512, 64, 256),
}
_POOL_BEFORE = ("fire2", "fire4", "fire6")
STAGES = ("conv1", *_FIRES)
STAGE_CHANNELS: Mapping[str, int] = {"conv1": 64, **{name: 2 * sizes[2] for name, sizes in _FIRES.items()}}
DEFAULT_TAPS = ("conv1", "fire3", "fire5", "fire7", "fire9")


class Fire(nn.Module):
    """A 1x1 squeeze, then 1x1 and 3x3 expansions side by side; each with ReLU."""

    def __init__(self, channels_in: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(channels_in, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # [B, channels_in, h, w] -> [B, 2 * expanded, h, w]
        """Features after the concatenated expansions, 1x1 first."""
        x = functional.relu(self.squeeze1x1(x))
        return functional.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1))


class SqueezeNetFeatures(nn.Module):
    """Frozen SqueezeNet 1.1 that returns the features of chosen stages.

    Args:
        npz_path: the weights; refused with `ValueError` when a key is missing, unknown or of another shape.
        taps: names out of `STAGES`, in any order; features come back in the network's order.
    """

    def __init__(self, npz_path: str | Path, *, taps: Sequence[str] = DEFAULT_TAPS) -> None:
        super().__init__()
        unknown = sorted(set(taps) - set(STAGES))
        if unknown or not taps:
            raise ValueError(f"taps must be some of {STAGES}, got {tuple(taps)}")
        self.taps = tuple(name for name in STAGES if name in taps)
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2)
        last = max(STAGES.index(name) for name in self.taps)
        self.fires = nn.ModuleDict({name: Fire(*sizes) for name, sizes in _FIRES.items() if STAGES.index(name) <= last})
        self.register_buffer("mean", torch.tensor(BGR_MEAN).view(1, 3, 1, 1), persistent=False)
        _load_npz(self, npz_path)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> SqueezeNetFeatures:
        """Stays in evaluation mode: the network is a judge."""
        return super().train(False)

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
        x = ((x.float().flip(1) + 1) * 127.5 - self.mean).to(self.conv1.weight.dtype)
        x = functional.relu(self.conv1(x))
        features = [x] if "conv1" in self.taps else []
        for name, fire in self.fires.items():
            if name in _POOL_BEFORE:
                x = functional.max_pool2d(x, 3, stride=2, ceil_mode=True)
            x = fire(x)
            if name in self.taps:
                features.append(x)
        return features


def _module_key(npz_key: str) -> str:
    """`fire2_squeeze1x1.weight` -> `fires.fire2.squeeze1x1.weight`; `conv1.*` stays."""
    stage, _, rest = npz_key.partition("_")
    return f"fires.{stage}.{rest}" if rest else npz_key


def _load_npz(network: SqueezeNetFeatures, npz_path: str | Path) -> None:
    """Copies the arrays in; stages above the highest tap are checked by name and left out."""
    with np.load(npz_path, allow_pickle=False) as arrays:
        weights = {_module_key(key): torch.from_numpy(arrays[key].astype(np.float32)) for key in arrays.files}
    built = network.state_dict()
    above = {f"fires.{name}." for name in _FIRES if name not in network.fires}
    unused = [key for key in weights if key not in built and not key.startswith(tuple(above))]
    missing = sorted(set(built) - set(weights))
    misshapen = [key for key in built if key in weights and built[key].shape != weights[key].shape]
    if unused or missing or misshapen:
        problems = f"missing {missing}, unknown {unused}, of another shape {misshapen}"
        raise ValueError(f"{Path(npz_path).name} is not SqueezeNet 1.1: {problems}")
    network.load_state_dict({key: weights[key] for key in built}, strict=True)
