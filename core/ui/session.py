"""What one visitor has open: small picklable values for `gr.State`, a folder for files, and the stop flag of a run.

A visitor's folder is named by a digest of Gradio's session hash. It outlives the tab by `KEEP_S` (a phone may lose
its connection for a moment) and is then swept away, as Gradio does with its own state.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from core.config import data_dir
from core.errors import DiskFull

if TYPE_CHECKING:
    from core.align import AlignedFace
    from core.invert import Inversion

LOGGER = logging.getLogger(__name__)

KEEP_S = 3600.0

Box = tuple[int, int, int, int]
CropMode = Literal["detect", "aligned", "manual"]


@dataclass(frozen=True)
class Crop:
    """How the face is cut out: found, the picture as it is, or a square.

    The square's centre is in percent of the picture's width and height, its side in percent of the shorter one.
    """

    mode: CropMode = "detect"
    across_percent: float = 50.0
    down_percent: float = 50.0
    size_percent: float = 70.0

    def square(self, width: int, height: int) -> Box:
        """Return the manual square as (left, top, right, bottom) in pixels, kept inside the picture."""
        side = max(1, round(min(width, height) * self.size_percent / 100))
        left = min(max(0, round(width * self.across_percent / 100 - side / 2)), width - side)
        top = min(max(0, round(height * self.down_percent / 100 - side / 2)), height - side)
        return left, top, left + side, top + side

    def for_studio(self, width: int, height: int) -> str | Box:
        """Return `Studio.align`'s `crop` argument."""
        return self.square(width, height) if self.mode == "manual" else self.mode


@dataclass(frozen=True)
class ChosenPhoto:
    """An uploaded photo: its file, upright size in pixels, faces (largest first), and a sentence if none was found."""

    path: str
    name: str
    width: int
    height: int
    view: str  # data address of a small copy for the page
    boxes: tuple[Box, ...] = ()
    face_index: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Portrait:
    """The last drawn face, kept so that strength and colour redraw without inverting again."""

    key: tuple[object, ...]
    face: AlignedFace
    inversion: Inversion | None


@dataclass(frozen=True)
class Reference:
    """One style picture on the New style page; `problem` is empty when `face` can be trained on.

    `readable` is false for a file that is no picture, where using it as it is would not help.
    """

    key: str
    path: str
    name: str
    aligned: bool = False
    face: AlignedFace | None = None
    crop_view: str = ""
    look_view: str = ""
    problem: str = ""
    readable: bool = True


@dataclass(frozen=True)
class MyStyle:
    """A style that this visitor trained or opened; `thumbnail` is a data address."""

    slug: str
    title: str
    references: int
    thumbnail: str
    path: str


def new_key() -> str:
    """Return a short random name."""
    return uuid.uuid4().hex[:12]


def sessions_dir() -> Path:
    """Return the folder that holds every visitor's folder. Not created here."""
    return data_dir() / "sessions"


class Sessions:
    """Open visitors of this process: their folders and stop flags. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[str] = set()

    @staticmethod
    def name_of(session_hash: str | None) -> str:
        """Return the folder name of a session hash."""
        return hashlib.sha256((session_hash or "anonymous").encode()).hexdigest()[:32]

    def folder(self, session_hash: str | None) -> Path:
        """Return the visitor's folder, created if missing. Raises DiskFull."""
        name = self.name_of(session_hash)
        with self._lock:
            self._open.add(name)
        path = sessions_dir() / name
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DiskFull(str(path)) from error
        return path

    def stop_flag(self, session_hash: str | None) -> Path:
        """Return the file whose presence stops the visitor's training run.

        A file and not an event, because a ZeroGPU worker is a forked process and shares no memory with the page.
        """
        return self.folder(session_hash) / "stop"

    def leave(self, session_hash: str | None) -> None:
        """Note that the tab was closed: stop its training, start the folder's last hour, sweep old ones."""
        name = self.name_of(session_hash)
        with self._lock:
            self._open.discard(name)
        path = sessions_dir() / name
        if path.is_dir():
            (path / "stop").touch()
            os.utime(path)
        self.sweep()

    def sweep(self, *, keep_s: float = KEEP_S) -> None:
        """Delete folders that nobody has open and that were left more than `keep_s` seconds ago."""
        root = sessions_dir()
        if not root.is_dir():
            return
        with self._lock:
            still_open = set(self._open)
        for path in root.iterdir():
            try:
                expired = time.time() - path.stat().st_mtime > keep_s
            except FileNotFoundError:
                continue
            if path.is_dir() and path.name not in still_open and expired:
                shutil.rmtree(path, ignore_errors=True)
                LOGGER.info("removed an old visitor folder")


SESSIONS = Sessions()
