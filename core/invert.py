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

# Rates of one refining step: the encoder's codes of different people differ by about 0.2, the map deviates by 0.25.
CODE_RATE, MAP_RATE = 0.006, 0.02
COMPARED_LEVELS = 2  # doublings of the map's side that are drawn to be compared, half the picture's side
COMPARED_CELL_PX = 2  # means over cells are compared, since a distance of single pixels would teach blur


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
    """Encode the face at the encoder's own resolution; `backbone.refining_steps` then pull the drawing to the face.

    Not in inference mode: fine-tuning differentiates through functions of these codes.
    """
    x = to_tensor(face.image, size_px=backbone.encoder_px, device=backbone.device)
    w_plus, features = backbone.encoder(x, dtype=backbone.dtype)
    if backbone.refining_steps and features is not None:
        w_plus, features = refine(w_plus, features, x, backbone)
    kept = None if features is None else features.float().cpu()
    return Inversion(w_plus.float().cpu().clone(), kept, face.image, face.name)


def refine(w_plus: Tensor, features: Tensor, picture: Tensor, backbone: Backbone) -> tuple[Tensor, Tensor]:
    """Move codes and map a little so that the drawing comes nearer to the picture in colour and likeness.

    The encoder's answer is a start for a few steps of optimisation, as in Abdal et al. 2019 (Image2StyleGAN), with
    rates so small that an artwork still looks like a photo of the drawn person. The loss is measured on a low level of
    the generator, which costs a fraction of a whole picture: that level should change by what the whole picture lacks.

    Args:
        w_plus: [B, L, D].
        features: [B, C, h, w].
        picture: [B, 3, R, R] in [-1, 1], R the generator's resolution.

    Returns:
        Codes [B, L, D] and map [B, C, h, w], each number at most `refining_steps` times its rate away or so.
    """

    def draw(codes: Tensor, structure: Tensor, levels: int | None) -> Tensor:
        return backbone.generator(codes, features=structure, dtype=backbone.dtype, levels=levels)

    def compared(codes: Tensor, structure: Tensor) -> Tensor:
        return F.avg_pool2d(draw(codes, structure, COMPARED_LEVELS), COMPARED_CELL_PX)

    with torch.no_grad():
        lacking = picture - draw(w_plus, features, None)
        start = compared(w_plus, features)
        wanted = start + F.interpolate(lacking, size=start.shape[-2:], mode="area")
    with torch.enable_grad():
        code_shift = torch.zeros_like(w_plus).requires_grad_(True)
        map_shift = torch.zeros_like(features).requires_grad_(True)
        groups = [{"params": [code_shift], "lr": CODE_RATE}, {"params": [map_shift], "lr": MAP_RATE}]
        optimiser = torch.optim.Adam(groups, betas=(0.7, 0.95))
        for _ in range(backbone.refining_steps):
            optimiser.zero_grad(set_to_none=True)
            (compared(w_plus + code_shift, features + map_shift) - wanted).abs().mean().backward()
            optimiser.step()
    return w_plus + code_shift.detach(), features + map_shift.detach()
