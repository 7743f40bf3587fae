"""Batched picture filters that the procedural styles are made of; pictures are [B, C, H, W] in [0, 1].

Textbook constructions: extended difference of Gaussians (Winnemoeller et al. 2012), Kuwahara's edge-keeping mean
(1976), clustered-dot screens, value noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from core.networks.ops import luminance


def gaussian_blur(x: Tensor, sigma_px: float) -> Tensor:
    """Blur by a separable Gaussian, reflecting at the border."""
    radius = max(1, math.ceil(2.5 * sigma_px))
    axis = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    taps = torch.exp(-0.5 * (axis / sigma_px) ** 2)
    taps = taps / taps.sum()
    channels = x.shape[1]
    x = F.pad(x, (radius, radius, radius, radius), mode="reflect")
    x = F.conv2d(x, taps.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    return F.conv2d(x, taps.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)


def box_blur(x: Tensor, radius_px: int) -> Tensor:
    """Average over a square of side 2 * radius + 1, reflecting at the border."""
    side = 2 * radius_px + 1
    padded = F.pad(x, (radius_px,) * 4, mode="reflect")
    return F.avg_pool2d(F.avg_pool2d(padded, (side, 1), stride=1), (1, side), stride=1)


def soft_step(x: Tensor, edge: float | Tensor, width: float) -> Tensor:
    """Rise from 0 well below `edge` to 1 well above it, over about `width`."""
    return torch.sigmoid((x - edge) * (4.0 / max(width, 1e-4)))


def line_response(grey: Tensor, sigma_px: float, *, sharpness: float, edge: float) -> Tensor:
    """Take the extended difference of Gaussians of [B, 1, H, W]: 1 on paper, towards 0 on lines and dark areas."""
    fine, coarse = gaussian_blur(grey, sigma_px), gaussian_blur(grey, 1.6 * sigma_px)
    sharpened = (1 + sharpness) * fine - sharpness * coarse
    return torch.where(sharpened >= edge, torch.ones_like(sharpened), 1 + torch.tanh(8.0 * (sharpened - edge)))


def kuwahara(x: Tensor, radius_px: int) -> Tensor:
    """Replace each pixel by the mean of the calmest of its four quadrants: paint-like patches with kept edges."""
    side = radius_px + 1
    padded = F.pad(x, (radius_px,) * 4, mode="reflect")
    mean = F.avg_pool2d(padded, side, stride=1)
    variance = (F.avg_pool2d(padded.square(), side, stride=1) - mean.square()).sum(dim=1, keepdim=True)
    height, width = x.shape[-2:]
    corners = [(0, 0), (0, radius_px), (radius_px, 0), (radius_px, radius_px)]
    means = torch.stack([mean[..., i : i + height, j : j + width] for i, j in corners])
    variances = torch.stack([variance[..., i : i + height, j : j + width] for i, j in corners])
    calmest = variances.argmin(dim=0, keepdim=True).expand(1, *x.shape)
    return means.gather(0, calmest)[0]


def value_noise(shape: Sequence[int], cell_px: float, rng: torch.Generator, *, stretch: float = 1.0) -> Tensor:
    """Draw smooth noise in [0, 1] of a shape [B, C, H, W], with features of `cell_px` (times `stretch` along x)."""
    batch, channels, height, width = shape
    rows = max(2, round(height / cell_px))
    columns = max(2, round(width / (cell_px * stretch)))
    coarse = torch.rand((batch, channels, rows, columns), generator=rng)
    return F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False).clamp(0, 1)


def pixel_grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the row and column index of every pixel, each [H, W] in float32."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return rows.float(), columns.float()


def rotated_phase(height: int, width: int, angle_rad: float, period_px: float) -> Tensor:
    """Return the phase in radians [H, W] of stripes across the direction `angle_rad`, one turn per `period_px`."""
    rows, columns = pixel_grid(height, width)
    return (rows * math.cos(angle_rad) + columns * math.sin(angle_rad)) * (2 * math.pi / period_px)


def displace(x: Tensor, amount_px: float, cell_px: float, rng: torch.Generator) -> Tensor:
    """Shift pixels by smooth noise of up to `amount_px`: a hand's wobble."""
    batch, _, height, width = x.shape
    shift = (value_noise((batch, 2, height, width), cell_px, rng) - 0.5) * (4 * amount_px)
    base = F.affine_grid(torch.eye(2, 3).expand(batch, 2, 3), [batch, 1, height, width], align_corners=False)
    grid = base + shift.permute(0, 2, 3, 1) / torch.tensor([width, height])
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def saturate(x: Tensor, amount: float) -> Tensor:
    """Scale the distance of colours to their grey; 0 is grey, 1 leaves them."""
    grey = luminance(x)
    return (grey + (x - grey) * amount).clamp(0, 1)


def gradient_map(grey: Tensor, palette: Tensor) -> Tensor:
    """Colour [B, 1, H, W] by the palette [K, 3] from dark to light, interpolating between neighbours."""
    position = grey.clamp(0, 1) * (palette.shape[0] - 1)
    low = position.floor().clamp(max=palette.shape[0] - 2)
    share = position - low
    index = low.long()[:, 0]
    colours = palette[index] * (1 - share[:, 0, ..., None]) + palette[index + 1] * share[:, 0, ..., None]
    return colours.permute(0, 3, 1, 2)
