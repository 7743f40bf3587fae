"""Identity by ArcFace IR-SE50, for protocol `cosine112` (`core.metrics.identity`)."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.imaging.photo import to_tensor
from core.metrics.identity import CROP_PX
from core.networks.arcface import ArcFace


class ArcFaceEmbedding:
    """`embedding(crop) -> [512]` of a 112 px RGB crop, on the network's device.

    Args:
        network: with its weights.
    """

    def __init__(self, network: ArcFace) -> None:
        self._network = network.requires_grad_(False).eval()

    @torch.no_grad()
    def __call__(self, crop: Image.Image) -> np.ndarray:
        """Return the embedding [512] float32, of length 1."""
        if crop.size != (CROP_PX, CROP_PX):
            raise ValueError(f"expected a {CROP_PX} px crop, got {crop.size}")
        device = next(self._network.parameters()).device
        embedding: Tensor = self._network(to_tensor(crop.convert("RGB"), device=device))
        return embedding[0].float().cpu().numpy()
