"""Which executor this process needs: ZeroGPU's on a Space that borrows its GPU, else everything right here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import spaces

from core.execution.base import Executor
from core.execution.in_process import InProcessExecutor
from core.execution.local import LocalAccelerator
from core.execution.zero_gpu import ZeroGpuExecutor

if TYPE_CHECKING:
    from core.studio import Studio


def make_executor(studio: Callable[[], Studio]) -> tuple[Executor, LocalAccelerator]:
    """Make the executor, and the accelerated operations of this process, which keep styles in memory.

    On ZeroGPU this has to happen before the page is launched: `spaces` reports then which functions need a GPU.

    Args:
        studio: gives the Studio, waiting for it if need be; not called here.
    """
    local = LocalAccelerator(studio)
    if spaces.config.Config.zero_gpu:
        return ZeroGpuExecutor(studio, local), local
    return InProcessExecutor(studio, local), local
