"""Where engines compute: the one place that names accelerators, and what arithmetic suits which device."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from core.errors import DeviceUnusable
from core.networks.ops import channels_last


def best_device() -> torch.device:
    """Return the accelerator if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def find_device(name: str | torch.device | None = None) -> torch.device:
    """Return the device of this name, tried out; `best_device()` where None.

    Raises:
        DeviceUnusable: PyTorch doesn't know it, or can't compute on it here.
    """
    if name is None:
        return best_device()
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError, ValueError) as error:
        raise DeviceUnusable(str(name), str(error).strip().partition("\n")[0]) from error
    return device


def device_title(device: torch.device) -> str:
    """Return a device's own name, for reports."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def compute_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on accelerators and on CPUs with native bfloat16 arithmetic, else float32."""
    if device.type != "cpu":
        return torch.bfloat16
    return torch.bfloat16 if _cpu_has_bf16() else torch.float32


def dtype_name(dtype: torch.dtype) -> str:
    """torch.float32 -> "float32"."""
    return str(dtype).removeprefix("torch.")


def wait_for(device: torch.device) -> None:
    """Return when the device has done what it was given; at once on a CPU."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def freeze(module: nn.Module, device: torch.device) -> nn.Module:
    """Put a network on the device, for evaluation without gradients, 4-D weights laid out channels-last."""
    return channels_last(module.requires_grad_(False).eval().to(device))


def _cpu_has_bf16() -> bool:
    capability = torch.backends.cpu.get_cpu_capability()
    flags = Path("/proc/cpuinfo")
    if "AVX512" not in capability or not flags.exists():
        return False
    return "avx512_bf16" in flags.read_text() or "amx_bf16" in flags.read_text()
