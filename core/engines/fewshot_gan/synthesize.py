"""Last stage: codes and a style to a picture. `strength` moves between the base and the tuned generator."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor, nn

from core.engines.fewshot_gan.backbone import Backbone
from core.engines.fewshot_gan.style_file import Style
from core.imaging.photo import to_image

CHROMA_BLUR_SHARE = 1 / 128  # of the side: keeps colour edges soft under drawn lines


@dataclass(frozen=True)
class Stylized:
    """A result and how it was made.

    Attributes:
        image: RGB, the backbone's resolution.
        provenance: backbone, fingerprint, style, method, strength, seed, ... as plain values.
    """

    image: Image.Image
    provenance: Mapping[str, object]


def tuned_parameters(style: Style, backbone: Backbone, strength: float) -> dict[str, Tensor]:
    """The generator's changed parameters at `strength`: base + strength * (tuned - base)."""
    base = dict(backbone.generator.named_parameters())
    return {
        name: base[name].detach() + strength * delta.to(device=base[name].device, dtype=base[name].dtype)
        for name, delta in style.weights.items()
    }


@torch.no_grad()
def synthesize(
    w_plus: Tensor,
    features: Tensor | None,
    backbone: Backbone,
    *,
    style: Style | None = None,
    strength: float = 1.0,
    seed: int = 0,
) -> Tensor:
    """Picture [B, 3, R, R] in [-1, 1] for codes [B, L, D] and the map they go with.

    The base generator is not touched: changed parameters are passed in for this call. Seed 0 takes the stored noise,
    any other seed draws fresh noise pictures.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be in [0, 1], got {strength}")
    generator, device = backbone.generator, backbone.device
    noise = "fixed" if seed == 0 else generator.draw_noise(seed)
    changed = tuned_parameters(style, backbone, strength) if style is not None and strength > 0 else {}
    codes = {
        "features": None if features is None else features.to(device),
        "noise": noise,
        "dtype": backbone.dtype,
    }
    return torch.func.functional_call(_sharing_copy(generator), changed, (w_plus.to(device),), codes)


def _sharing_copy(module: nn.Module) -> nn.Module:
    """Another module of the same tensors: `functional_call` swaps a module's tensors while it runs, and calls of other
    threads must not see that."""
    kept = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return copy.deepcopy(module, kept)


def keep_photo_colours(result: Image.Image, photo: Image.Image) -> Image.Image:
    """Luminance of `result` with the softened chroma of `photo`, resized to it."""
    side = result.width
    crop = photo.convert("RGB").resize(result.size, Image.Resampling.LANCZOS)
    luma = result.convert("YCbCr").getchannel(0)
    _, blue, red = crop.filter(ImageFilter.GaussianBlur(side * CHROMA_BLUR_SHARE)).convert("YCbCr").split()
    return Image.merge("YCbCr", (luma, blue, red)).convert("RGB")


def stylize(
    w_plus: Tensor,
    features: Tensor | None,
    style: Style | None,
    backbone: Backbone,
    *,
    photo: Image.Image,
    strength: float = 1.0,
    keep_colour: bool = False,
    seed: int = 0,
) -> Stylized:
    """Draw inverted codes in a style; without a style this is the photo as the backbone sees it.

    Args:
        w_plus, features: as in `Inversion`.
        photo: the aligned crop, whose colours `keep_colour` takes.
        strength: 0 is the base generator, 1 the tuned one.
        seed: of the noise pictures; 0 takes the stored ones.
    """
    picture = synthesize(w_plus, features, backbone, style=style, strength=strength, seed=seed)
    image = to_image(picture)
    if keep_colour:
        image = keep_photo_colours(image, photo)
    provenance = {
        "backbone": backbone.name,
        "fingerprint": backbone.fingerprint,
        "style": None if style is None else style.name,
        "method": None if style is None else style.meta.config.get("method"),
        "references": 0 if style is None else style.references,
        "strength": strength,
        "keep_colour": keep_colour,
        "seed": seed,
        "side_px": int(np.asarray(image).shape[0]),
    }
    return Stylized(image, provenance)
