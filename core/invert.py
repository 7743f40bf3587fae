"""Second stage: an aligned face to the generator's codes (e4e for `ffhq`, the embedded encoder for `mini`)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from core.backbone import Backbone
from core.images import to_tensor
from core.quad import AlignedFace

COLOUR_RATE = 0.006  # of one step, in units of w; the encoder's codes of different people differ by about 0.2
COLOUR_CELL_PX = 4  # colours are compared as means over cells of the half-drawn picture
COLOUR_LEVELS = 1  # doublings of the map's side that are drawn for it


@dataclass(frozen=True)
class Inversion:
    """Codes that rebuild a face, on the CPU.

    Attributes:
        w_plus: [1, L, 512] float32.
        features: structure map [1, C, h, w] float32 for backbones that start at one, else None.
        crop: the aligned picture, whose colours a result can keep.
        name: of the picture, for messages.
    """

    w_plus: Tensor
    features: Tensor | None
    crop: Image.Image
    name: str


@torch.no_grad()
def invert(face: AlignedFace, backbone: Backbone) -> Inversion:
    """Encode the face at the encoder's own resolution; `backbone.colour_steps` then pull its colours to the face's.

    Not in inference mode: fine-tuning differentiates through functions of these codes.
    """
    x = to_tensor(face.image, size_px=backbone.encoder_px, device=backbone.device)
    w_plus, features = backbone.encoder(x, dtype=backbone.dtype)
    if backbone.colour_steps and features is not None:
        w_plus = match_colours(w_plus, features, x, backbone)
    kept = None if features is None else features.float().cpu()
    return Inversion(w_plus.float().cpu().clone(), kept, face.image, face.name)


def match_colours(w_plus: Tensor, features: Tensor, picture: Tensor, backbone: Backbone) -> Tensor:
    """Move codes a little so that large areas get the picture's colours; the map, and so the person, stays.

    The encoder's answer is a start for a few steps of optimisation in W+, as in Abdal et al. 2019 (Image2StyleGAN).
    Their loss is measured on a low level of the generator, which costs a fraction of a whole picture: that level should
    change by what the whole picture still lacks.

    Args:
        w_plus: [B, L, D].
        features: [B, C, h, w].
        picture: [B, 3, R, R] in [-1, 1], R the generator's resolution.

    Returns:
        Codes [B, L, D], each number at most `colour_steps * COLOUR_RATE` away or so.
    """

    def draw(codes: Tensor, levels: int | None) -> Tensor:
        return backbone.generator(codes, features=features, dtype=backbone.dtype, levels=levels)

    with torch.no_grad():
        lacking = picture - draw(w_plus, None)
        start = F.avg_pool2d(draw(w_plus, COLOUR_LEVELS), COLOUR_CELL_PX)
        wanted = start + F.interpolate(lacking, size=start.shape[-2:], mode="area")
    with torch.enable_grad():
        shift = torch.zeros_like(w_plus).requires_grad_(True)
        optimiser = torch.optim.Adam([shift], lr=COLOUR_RATE, betas=(0.7, 0.95))
        for _ in range(backbone.colour_steps):
            drawn = F.avg_pool2d(draw(w_plus + shift, COLOUR_LEVELS), COLOUR_CELL_PX)
            optimiser.zero_grad(set_to_none=True)
            (drawn - wanted).abs().mean().backward()
            optimiser.step()
    return w_plus + shift.detach()
