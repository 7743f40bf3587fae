"""The one Studio of this process, and the executor that works on it: what handlers give their work to.

Nothing here imports torch before the Studio is opened, which keeps the start of the page quick.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.engines import registry
from core.errors import StyleIdentityError
from core.execution.choose import make_executor
from core.execution.loader import StudioLoader
from core.progress import OnProgress
from core.ui.server.limits import ZERO_GPU
from core.ui.server.visitors import SESSIONS

if TYPE_CHECKING:
    from core.studio import Studio

# Lanes of the queue. What needs the accelerator shares one lane on ZeroGPU. In one process, long work has lanes of its
# own, and gives way by itself (`core.execution.turns`).
ACCELERATOR: dict[str, Any] = {"concurrency_id": "accelerator", "concurrency_limit": 1}
LONG_WORK = ACCELERATOR if ZERO_GPU else {"concurrency_id": "long work", "concurrency_limit": 1}
READING = ACCELERATOR if ZERO_GPU else {"concurrency_id": "reading", "concurrency_limit": 1}
JOBS = frozenset(lane["concurrency_id"] for lane in (ACCELERATOR, LONG_WORK, READING))
WATCHING: dict[str, Any] = {"concurrency_id": "watching", "concurrency_limit": 12}  # what runs already
FACES: dict[str, Any] = {"concurrency_id": "faces", "concurrency_limit": 2}

LOGGER = logging.getLogger(__name__)
LOADER = StudioLoader()


class StudioOpener:
    """Opens the Studio with the engine that is asked for, or with the next one where that can't be loaded.

    Attributes:
        problem: why the engine that was asked for is not the one in use; None where it is.
    """

    def __init__(self) -> None:
        self.problem: StyleIdentityError | None = None

    def open(self, on_progress: OnProgress) -> Studio:
        """Open it. Raises what the first engine raised where none can be loaded, and for a name that there isn't."""
        from core.studio import Studio

        wanted = registry.entry().name
        self.problem = None
        for name in dict.fromkeys((wanted, *(entry.name for entry in registry.entries()))):
            try:
                opened = Studio.open(name, on_progress=on_progress)
            except StyleIdentityError as error:
                LOGGER.warning(f"the engine {name} can't be used: {error}")
                self.problem = self.problem or error
                continue
            if ZERO_GPU:
                _load_others(opened)
            return opened
        raise self.problem or RuntimeError("there is no engine")


def _load_others(opened: Studio) -> None:
    """Load every engine now, since ZeroGPU emulates the accelerator in the main thread alone."""
    for entry in registry.entries():
        try:
            opened.engine(entry.name)
        except StyleIdentityError as error:
            LOGGER.warning(f"the engine {entry.name} can't be used: {error}")


OPENER = StudioOpener()


def studio() -> Studio:
    """Return the process's Studio, waiting until it is open: for what is known of engines, styles and settings."""
    return LOADER.studio()


EXECUTOR, LOCAL = make_executor(studio)


def forget_styles(_: Path) -> None:
    """Drop the styles in memory, since one of them may be a visitor's who left."""
    LOCAL.forget_styles()


SESSIONS.when_removed(forget_styles)
