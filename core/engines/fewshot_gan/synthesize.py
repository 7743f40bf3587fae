"""Third stage: codes and a style to a picture. `strength` moves between the base and the tuned generator."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from core.engines.fewshot_gan.backbone import Backbone
from core.engines.fewshot_gan.style_file import GanStyle


def tuned_parameters(style: GanStyle, backbone: Backbone, strength: float) -> dict[str, Tensor]:
    """Return the generator's changed parameters at `strength`: base + strength * (tuned - base)."""
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
    style: GanStyle | None = None,
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
    picture: Tensor = torch.func.functional_call(_sharing_copy(generator), changed, (w_plus.to(device),), codes)
    return picture


def _sharing_copy(module: nn.Module) -> nn.Module:
    """Make another module of the same tensors.

    `functional_call` swaps a module's tensors while it runs, and calls of other threads must not see that.
    """
    kept = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return copy.deepcopy(module, kept)
