"""Style distance without a network, protocol `sliced_patches`: sliced Wasserstein distance of patches at four scales.

After Karras et al. 2018 (progressive GANs), section 5: patches of 7 x 7 pixels from the levels of a Laplacian pyramid,
compared through random one-dimensional projections. Differs: their patches lose each set's mean and spread, here they
keep them, since tone and contrast belong to a style; and every level is divided by the references' own spread there, so
that all levels count. No weights are involved, so this was nobody's training loss.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

PROTOCOL = "sliced_patches"
LEVELS = 4
PATCH_PX = 7
PATCHES = 2048
PROJECTIONS = 128
MIN_SIDE_PX = PATCH_PX * 2 ** (LEVELS - 1)


def pyramid(x: Tensor) -> list[Tensor]:
    """Build the Laplacian pyramid of [B, 3, H, W]: details of 3 scales, then what is left at an eighth of the size."""
    levels = []
    for _ in range(LEVELS - 1):
        small = F.avg_pool2d(x, 2)
        levels.append(x - F.interpolate(small, size=x.shape[2:], mode="bilinear", align_corners=False))
        x = small
    return [*levels, x]


def share_left(result: float, photo: float) -> float:
    """Say which share of the photo's own distance a result has left: 0 is alike, 1 no nearer than the photo.

    Args:
        result, photo: `PatchStyle.distance` of both to the same references; the photo's above 0, else `ValueError`.
    """
    if photo <= 0:
        raise ValueError(f"the photo is {photo} from the references, so there is no distance to share")
    return result / photo


class PatchStyle:
    """What to compare with: the references' projected patches, remembered.

    Args:
        references: pictures [1, 3, H, W] in [-1, 1], of one size or not; equally many patches from each.
        seed: of projections and positions.
    """

    def __init__(self, references: Sequence[Tensor], *, seed: int = 0) -> None:
        if not references:
            raise ValueError("PatchStyle needs at least one reference")
        rng = torch.Generator().manual_seed(seed)
        directions = torch.randn(PROJECTIONS, 3 * PATCH_PX**2, generator=rng)
        self._directions = directions / directions.norm(dim=1, keepdim=True)
        self._seed = seed
        share = [PATCHES * (i + 1) // len(references) - PATCHES * i // len(references) for i in range(len(references))]
        parts = [self._projected(x, count) for x, count in zip(references, share, strict=True)]
        self._wanted = [torch.cat(level, dim=1).sort(dim=1).values for level in zip(*parts, strict=True)]
        self._spread = [level.std().clamp_min(1e-6) for level in self._wanted]

    def distance(self, picture: Tensor) -> float:
        """Average over levels the distance of sorted projections, in units of the references' spread; 0 is alike."""
        found = self._projected(picture, PATCHES)
        parts = [
            (level.sort(dim=1).values - wanted).abs().mean() / spread
            for level, wanted, spread in zip(found, self._wanted, self._spread, strict=True)
        ]
        return float(torch.stack(parts).mean())

    @torch.no_grad()
    def _projected(self, picture: Tensor, count: int) -> list[Tensor]:
        """Project patches at seeded places, the same for pictures of one size: per level [projections, count]."""
        if picture.ndim != 4 or picture.shape[:2] != (1, 3) or min(picture.shape[2:]) < MIN_SIDE_PX:
            raise ValueError(f"expected [1, 3, H, W] of {MIN_SIDE_PX} px or more, got {list(picture.shape)}")
        if not bool(torch.isfinite(picture).all()):
            raise ValueError("the picture holds values that are not finite")
        rng = torch.Generator().manual_seed(self._seed + 1)
        levels = []
        for level in pyramid(picture.float().cpu()):
            tops, lefts = (torch.randint(side - PATCH_PX + 1, (count,), generator=rng) for side in level.shape[2:])
            rows = (tops[:, None] + torch.arange(PATCH_PX))[:, :, None]
            columns = (lefts[:, None] + torch.arange(PATCH_PX))[:, None, :]
            patches = level[0][:, rows, columns]  # [3, count, 7, 7]
            levels.append(self._directions @ patches.permute(0, 2, 3, 1).flatten(0, 2))
        return levels
