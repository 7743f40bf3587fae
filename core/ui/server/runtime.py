"""The one Studio of this process, and the executor that works on it: what handlers give their work to.

Nothing here imports torch before the Studio is opened, which keeps the start of the page quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.execution.choose import make_executor
from core.execution.loader import StudioLoader
from core.ui.server.visitors import SESSIONS

if TYPE_CHECKING:
    from core.studio import Studio

ACCELERATOR: dict[str, Any] = {"concurrency_id": "accelerator", "concurrency_limit": 1}
FACES: dict[str, Any] = {"concurrency_id": "faces", "concurrency_limit": 2}

LOADER = StudioLoader()


def studio() -> Studio:
    """Return the process's Studio, waiting until it is open: for what is known of engines, styles and settings."""
    return LOADER.studio()


EXECUTOR, LOCAL = make_executor(studio)


def forget_styles(_: Path) -> None:
    """Drop the styles in memory, since one of them may be a visitor's who left."""
    LOCAL.forget_styles()


SESSIONS.when_removed(forget_styles)
