"""The layout network: landmarks and soft masks of a face, in photos and in drawings. Ours; embedded.

A small encoder and decoder with inverted residuals (Sandler et al. 2018, MobileNetV2) reads a crop of 256 px. Landmarks
begin as a similarity of a mean shape plus its principal variations (Cootes et al. 1995) and are then corrected twice
from the features that lie under them (as in cascaded regression, Dollar et al. 2010).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INPUT_PX = 256
MASK_PX = 64
LANDMARKS = 468  # the order of the MediaPipe face mesh
MASKS = 8
SHAPES = 40  # principal variations


class LayoutOutput(NamedTuple):
    """What the network says of a batch of crops.

    Attributes:
        landmarks: [B, 468, 2] x, y as shares of the crop's side; may lie outside of 0..1.
        masks: [B, 8, 64, 64] logits.
        presence: [B] logit that there is a face.
        stages: landmarks after each stage, the last one being `landmarks`.
    """

    landmarks: Tensor
    masks: Tensor
    presence: Tensor
    stages: tuple[Tensor, ...]


class _Block(nn.Module):
    """An inverted residual: widen, filter each channel, narrow."""

    def __init__(self, into: int, out: int, *, stride: int = 1, widen: int = 3, kernel: int = 3) -> None:
        super().__init__()
        wide = into * widen
        self.layers = nn.Sequential(
            nn.Conv2d(into, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            nn.Conv2d(wide, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.skips = stride == 1 and into == out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.skips else y


class _Merge(nn.Module):
    """Bring a coarse map up to a finer one and filter both together."""

    def __init__(self, coarse: int, fine: int, out: int) -> None:
        super().__init__()
        self.from_coarse = nn.Conv2d(coarse, out, 1)
        self.from_fine = nn.Conv2d(fine, out, 1)
        self.block = _Block(out, out, widen=2)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        up = F.interpolate(self.from_coarse(coarse), scale_factor=2, mode="bilinear", align_corners=False)
        merged: Tensor = self.block(up + self.from_fine(fine))
        return merged


class _Correction(nn.Module):
    """Moves each landmark by what the features under it say; all landmarks share the layers, each has its own code."""

    def __init__(self, channels: int, codes: int = 24, hidden: int = 96) -> None:
        super().__init__()
        self.codes = nn.Parameter(torch.randn(LANDMARKS, codes) * 0.3)
        self.read = nn.Linear(channels + codes, hidden)
        self.mix = nn.Linear(hidden, hidden)
        self.move = nn.Linear(hidden, 2)
        nn.init.zeros_(self.move.weight)
        nn.init.zeros_(self.move.bias)

    def forward(self, features: Tensor, landmarks: Tensor, turn: Tensor) -> Tensor:
        """Correct [B, N, 2] from [B, C, H, W]; `turn` [B, 2, 2] takes moves in the face's frame to the crop's."""
        grid = (landmarks * 2 - 1)[:, :, None]  # [B, N, 1, 2]
        under = F.grid_sample(features, grid, mode="bilinear", padding_mode="border", align_corners=False)
        under = under[..., 0].transpose(1, 2)  # [B, N, C]
        codes = self.codes[None].expand(under.shape[0], -1, -1)
        hidden = F.relu(self.read(torch.cat([under, codes], dim=2)))
        hidden = F.relu(self.mix(hidden) + hidden.mean(dim=1, keepdim=True))
        return landmarks + torch.bmm(self.move(hidden), turn.transpose(1, 2))


class LayoutNetwork(nn.Module):
    """Reads crops [B, 3, 256, 256] in [-1, 1]."""

    mean_shape: Tensor
    shapes: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean_shape", torch.zeros(LANDMARKS, 2))  # in eye distances around the eyes' centre
        self.register_buffer("shapes", torch.zeros(SHAPES, LANDMARKS, 2))  # unit deviations of the training faces
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())  # 128 px
        self.down64 = nn.Sequential(_Block(16, 24, stride=2), _Block(24, 24))
        self.down32 = nn.Sequential(_Block(24, 40, stride=2, kernel=5), _Block(40, 40, kernel=5))
        self.down16 = nn.Sequential(_Block(40, 80, stride=2), _Block(80, 80), _Block(80, 80))
        self.down8 = nn.Sequential(_Block(80, 112, stride=2, kernel=5), _Block(112, 112, kernel=5))
        self.merge16 = _Merge(112, 80, 64)
        self.merge32 = _Merge(64, 40, 48)
        self.merge64 = _Merge(48, 24, 40)
        self.masks = nn.Conv2d(40, MASKS, 3, padding=1)
        last = nn.Linear(160, 4 + SHAPES + 1)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
        self.whole = nn.Sequential(nn.Linear(112 * 4, 160), nn.ReLU(), last)
        self.corrections = nn.ModuleList([_Correction(48), _Correction(40)])

    def forward(self, x: Tensor) -> LayoutOutput:
        at64 = self.down64(self.stem(x))
        at32 = self.down32(at64)
        at16 = self.down16(at32)
        at8 = self.down8(at16)
        up16 = self.merge16(at8, at16)
        up32 = self.merge32(up16, at32)
        up64 = self.merge64(up32, at64)  # [B, 40, 64, 64]
        said = self.whole(F.adaptive_avg_pool2d(at8, 2).flatten(1))
        pose, shape, presence = said[:, :4], said[:, 4:-1], said[:, -1]
        turn = _similarity(pose)  # [B, 2, 2]
        centre = 0.5 + 0.25 * pose[:, 2:].unsqueeze(1)  # [B, 1, 2]
        local = self.mean_shape + torch.einsum("bk,knd->bnd", shape, self.shapes)
        landmarks = torch.bmm(local, turn.transpose(1, 2)) + centre
        stages = [landmarks]
        for correct, features in zip(self.corrections, (up32, up64), strict=True):
            stages.append(correct(features, stages[-1].detach(), turn.detach()))
        return LayoutOutput(stages[-1], self.masks(up64), presence, tuple(stages))


def _similarity(pose: Tensor) -> Tensor:
    """Turn two numbers a face into rotation and scale [B, 2, 2]: at 0, upright with the FFHQ crop's eye distance."""
    across, down = 0.26 * (1 + pose[:, 0]), 0.26 * pose[:, 1]
    return torch.stack([torch.stack([across, -down], 1), torch.stack([down, across], 1)], 1)
