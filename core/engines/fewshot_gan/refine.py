"""The end of an inversion: a few steps of optimisation that pull codes and structure map to the picture.

The encoder's answer is the start, as in Abdal et al. 2019 (Image2StyleGAN). Rates and steps are so small that an
artwork still looks like a photo of the drawn person. Eyes and mouths are compared pixel by pixel, since an iris of
ten pixels decides whether a portrait looks alive; elsewhere means over cells and the amount of fine detail are
compared, since a distance of single pixels would teach blur.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from core.engines.fewshot_gan.detail import detail_distance

# Rates of one step: the encoder's codes of different people differ by about 0.2, the map deviates by 0.25.
CODE_RATE, MAP_RATE = 0.006, 0.03
CELL_PX = 4
FINE_WEIGHT = 4.0  # of a pixel in an eye beside one in a cell
DETAIL_WEIGHT = 0.06  # of `core.engines.fewshot_gan.detail.detail_distance`
# Eyes and mouth in the FFHQ square: row, column and half axes as shares of the side, then the weight.
FINE_PARTS = ((0.477, 0.383, 0.08, 0.13, 1.0), (0.477, 0.617, 0.08, 0.13, 1.0), (0.71, 0.5, 0.085, 0.155, 0.6))


class Draws(Protocol):
    """A generator that starts from a structure map, such as `core.networks.mini.MiniGenerator`."""

    def __call__(self, w_plus: Tensor, *, features: Tensor | None, dtype: torch.dtype) -> Tensor:
        """Codes [B, L, D] and map [B, C, h, w] -> picture [B, 3, R, R]."""
        ...


def fine_parts(side_px: int) -> Tensor:
    """Where pixels are compared one by one, [side, side] in [0, 1]: soft ellipses over eyes and mouth."""
    grid = (torch.arange(side_px) + 0.5) / side_px
    found = torch.zeros(side_px, side_px)
    for row, column, down, across, weight in FINE_PARTS:
        distance = ((grid[:, None] - row) / down) ** 2 + ((grid[None, :] - column) / across) ** 2
        found += weight * torch.exp(-0.7 * distance**2)
    return found.clamp(max=1)


def refine(
    generator: Draws, w_plus: Tensor, features: Tensor, picture: Tensor, *, steps: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Move codes and map a little, so that the drawing comes nearer to the picture in colour, likeness and eyes.

    Args:
        generator: draws; it stays as it is.
        w_plus: [B, L, D].
        features: [B, C, h, w].
        picture: [B, 3, R, R] in [-1, 1], R the generator's resolution, 16 or more; an FFHQ crop.
        steps: of Adam; 0 changes nothing.
        dtype: of the generator's arithmetic.

    Returns:
        Codes [B, L, D] and map [B, C, h, w], each number at most `steps` times its rate away or so.
    """
    fine = FINE_WEIGHT * fine_parts(picture.shape[-1]).to(picture.device)
    with torch.enable_grad():
        code_shift = torch.zeros_like(w_plus).requires_grad_(True)
        map_shift = torch.zeros_like(features).requires_grad_(True)
        groups = [{"params": [code_shift], "lr": CODE_RATE}, {"params": [map_shift], "lr": MAP_RATE}]
        optimiser = torch.optim.Adam(groups, betas=(0.7, 0.95))
        for _ in range(steps):
            drawn = generator(w_plus + code_shift, features=features + map_shift, dtype=dtype)
            missing = drawn - picture
            loss = F.avg_pool2d(missing, CELL_PX).abs().mean() + (missing.abs() * fine).mean()
            loss = loss + DETAIL_WEIGHT * detail_distance(drawn, picture)
            code_shift.grad, map_shift.grad = torch.autograd.grad(loss, (code_shift, map_shift))
            optimiser.step()
    return w_plus + code_shift.detach(), features + map_shift.detach()
