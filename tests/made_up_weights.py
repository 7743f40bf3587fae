"""Weights in published formats, made up: values that stay in range, in files that stay small, and their pins."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from core.networks.checkpoints import shapes_of
from core.weights.pins import HubFile

STRIDES = (11, 7, 3, 2, 1)  # weights are overlapping windows of few numbers
UNIT = ("weight", "running_var")  # of a normalisation


def made_up_state(network: nn.Module, *, gain: float | None = None) -> dict[str, Tensor]:
    """Seeded weights as published files hold them, batch counters included, without the filters' kernels.

    Args:
        network: gives names and shapes; it may be on the meta device.
        gain: variance of the weights times their fan-in; without it the variance is 1, for networks that scale
            their weights themselves.
    """
    numbers = torch.randn(60_000, generator=torch.Generator().manual_seed(1))
    pools: dict[float, Tensor] = {}
    state = {}
    for name, shape in shapes_of(network).items():
        scale = 1.0
        if name.endswith("kernel"):
            continue
        if name.endswith("num_batches_tracked"):
            state[name] = torch.zeros(shape, dtype=torch.int64)
        elif name.endswith("modulation.bias") or (len(shape) == 1 and name.endswith(UNIT) and "noise" not in name):
            state[name] = torch.ones(1).expand(shape)
        else:
            if name.endswith(("running_mean", "noise.weight", "bias")):
                scale = 0.1
            elif gain is not None and len(shape) > 1:
                scale = math.sqrt(gain / math.prod(shape[1:]))
            pool = pools.setdefault(scale, numbers * scale)
            state[name] = torch.as_strided(pool, shape, STRIDES[-len(shape) :])
    return state


def saved(checkpoint: Mapping[str, object]) -> bytes:
    """The file that `torch.save` writes."""
    stream = io.BytesIO()
    torch.save(checkpoint, stream)
    return stream.getvalue()


def pinned_to(file: HubFile, content: bytes) -> HubFile:
    """The same file with this content."""
    return replace(file, sha256=hashlib.sha256(content).hexdigest())
