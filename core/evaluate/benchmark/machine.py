"""What machine this is, and how fast its convolutions are."""

from __future__ import annotations

import functools
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from core.engines.devices import compute_dtype, device_title, dtype_name
from core.evaluate.benchmark.timing import time_repeated

CPU_CHANNELS, CPU_PX = 256, 128  # 19 GFLOP for one picture, StyleGAN2's layer at 128 px
QUICK_CHANNELS, QUICK_PX = 32, 32
GPU_BATCH = 16


@dataclass(frozen=True)
class Machine:
    """Processor, cores, threads, accelerator, versions, and the dtype that the backbones compute in."""

    cpu: str
    cores: int | None
    threads: int
    memory_bytes: int | None
    device: str
    device_name: str
    dtype: str
    instructions: str
    torch: str
    python: str
    system: str


def this_machine(device: torch.device) -> Machine:
    """Look at the machine."""
    return Machine(
        cpu=cpu_model(),
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        memory_bytes=_memory_bytes(),
        device=str(device),
        device_name=device_title(device),
        dtype=dtype_name(compute_dtype(device)),
        instructions=torch.backends.cpu.get_cpu_capability(),
        torch=torch.__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
    )


def cpu_model() -> str:
    """Return the processor's name as the system gives it."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine() or "unknown"


def _memory_bytes() -> int | None:
    names = getattr(os, "sysconf_names", {})
    if "SC_PAGE_SIZE" not in names or "SC_PHYS_PAGES" not in names:
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def convolution_gflop(batch: int, channels: int, side_px: int) -> float:
    """Billions of operations of a 3x3 convolution that keeps channels and size; a multiply-add counts as two."""
    return 2 * 9 * batch * channels**2 * side_px**2 / 1e9


@torch.no_grad()
def convolution_speed(
    device: torch.device, *, repeats: int, channels: int = CPU_CHANNELS, side_px: int = CPU_PX
) -> dict[str, float]:
    """GFLOP/s of a channels-last 3x3 convolution, by dtype (bfloat16, float32); the best of the repeats."""
    batch = 1 if device.type == "cpu" else GPU_BATCH
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(batch, channels, side_px, side_px, generator=rng)
    weight = torch.randn(channels, channels, 3, 3, generator=rng)
    work, found = convolution_gflop(batch, channels, side_px), {}
    for dtype in (torch.bfloat16, torch.float32):
        a, b = (part.to(device, dtype).contiguous(memory_format=torch.channels_last) for part in (x, weight))
        seconds = time_repeated(functools.partial(F.conv2d, a, b, padding=1), device, repeats=repeats)
        found[dtype_name(dtype)] = work / seconds.min_s
    return found
