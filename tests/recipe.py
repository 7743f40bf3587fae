"""The weight recipe of the golden files: fills a network with reproducible numbers instead of trained weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

Shapes = Mapping[str, Sequence[int]]


def fill(
    target: nn.Module | Shapes,
    seed: int,
    *,
    only: Callable[[str], bool] | None = None,
    scale_4d: bool = False,
) -> dict[str, Tensor]:
    """Draw weights for every name of a state dict, in sorted order, from `RandomState(seed)`.

    Args:
        target: a module (its state dict's names and shapes are used; it is not changed, and may be on the meta
            device) or name -> shape.
        seed: of NumPy's legacy generator.
        only: keep names for which this is true; the others are skipped and draw nothing.
        scale_4d: divide 4-D tensors by the square root of their fan-in (what the encoder's golden does).

    Returns:
        name -> float32 CPU tensor, without the skipped names and those ending in `kernel` or `num_batches_tracked`.
    """
    if isinstance(target, nn.Module):
        target = {name: tuple(tensor.shape) for name, tensor in target.state_dict().items()}
    rng = np.random.RandomState(seed)
    filled = {}
    for name in sorted(target):
        if name.endswith(("kernel", "num_batches_tracked")) or (only is not None and not only(name)):
            continue
        shape = tuple(target[name])
        values = _shaped_by_name(name, rng.standard_normal(shape).astype(np.float32))
        if scale_4d and len(shape) == 4:
            values = values / np.float32(math.sqrt(math.prod(shape[1:])))
        filled[name] = torch.from_numpy(values)
    return filled


def _shaped_by_name(name: str, x: np.ndarray) -> np.ndarray:
    """Standard normal `x` moved to where a tensor of this name usually lies; the first matching rule wins."""
    if name.endswith("running_var"):
        return np.abs(x) + np.float32(0.5)
    if name.endswith("bias") and "modulation" in name:
        return 1 + np.float32(0.1) * x
    if name.endswith(("running_mean", "bias", "noise.weight")):
        return np.float32(0.1) * x
    if name.startswith("noises."):
        return x
    return 1 + np.float32(0.1) * x if x.ndim == 1 else x
