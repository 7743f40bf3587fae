"""FID, protocol `fid_inception2015_bilinear299` (Heusel et al. 2017): `frechet` on 2048 Inception v3 features.

Network and resizing are those of the pytorch-fid program. Numbers differ slightly from it where covariances are
singular (see `core.metrics.frechet`), and from clean-fid, which resizes with antialias. Without the published weights
use another extractor and another name: `frechet_mini_discriminator` (`core.metrics.units`) is no FID.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from core.networks.inception import FidInception  # loads torchvision, which takes seconds

PROTOCOL = "fid_inception2015_bilinear299"

Extractor = Callable[[Tensor], np.ndarray]  # [1, 3, H, W] in [-1, 1] -> [1, D]


def inception_extractor(network: FidInception) -> Extractor:
    """Return an extractor of one picture at a time, on the network's device."""
    device = next(network.parameters()).device
    return lambda x: network.features(x.to(device)).cpu().numpy()


def feature_rows(pictures: Sequence[Tensor], extractor: Extractor) -> np.ndarray:
    """Extract [N, D], one row per picture [1, 3, H, W]; sizes may differ. `ValueError` without pictures."""
    if not pictures:
        raise ValueError("expected at least one picture, got none")
    return np.concatenate([extractor(picture) for picture in pictures])
