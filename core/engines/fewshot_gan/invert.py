"""Second stage: an aligned face to the generator's codes (e4e for `ffhq`, the embedded encoder for `mini`)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from core.engines.base import Prepared
from core.engines.fewshot_gan.backbone import Backbone
from core.engines.fewshot_gan.config import NAME
from core.engines.fewshot_gan.refine import refine
from core.imaging.align import AlignedFace
from core.imaging.photo import to_tensor


@dataclass(frozen=True)
class Inversion(Prepared):
    """Codes that rebuild a face, on the CPU.

    Attributes:
        w_plus: [1, L, 512] float32.
        features: structure map [1, C, h, w] float32 for backbones that start at one, else None.
    """

    w_plus: Tensor
    features: Tensor | None


@torch.no_grad()
def invert(face: AlignedFace, backbone: Backbone) -> Inversion:
    """Encode the face at the encoder's own resolution; `backbone.refining_steps` then pull the drawing to the face.

    Not in inference mode: fine-tuning differentiates through functions of these codes.
    """
    x = to_tensor(face.image, size_px=backbone.encoder_px, device=backbone.device)
    w_plus, features = backbone.encoder(x, dtype=backbone.dtype)
    if backbone.refining_steps and features is not None:
        steps = backbone.refining_steps
        w_plus, features = refine(backbone.generator, w_plus, features, x, steps=steps, dtype=backbone.dtype)
    kept = None if features is None else features.float().cpu()
    return Inversion(NAME, face, w_plus.float().cpu().clone(), kept)
