"""Gradio's folder for uploads and for what the page shows: one per process, inside the data folder.

Gradio puts every upload and result under a hash that is salted with a secret, so that nobody can work out another
visitor's address. This adds what it leaves open: that files go with the visitors who use them, whatever the clock says,
also those of a process that was killed and parts of broken uploads, and that results reach the page without making a
visitor's folder readable.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from core.config import data_dir
from core.ui.friendly_errors import PageProblem
from core.ui.server import gradio_adapter
from core.ui.server.gradio_adapter import UPLOAD_FOLDER_ENV
from core.ui.server.visitors import SESSIONS

BROKEN_UPLOAD_S = 900.0  # how long a part may lie before its upload counts as broken off
UNCLAIMED_S = 7200.0  # how long a whole file may lie that no visitor uses, such as a picture that was shown
_SCRATCH = ".tmp"
NOT_UPLOADED_HERE = "This file was not uploaded here. Choose it again."


class UploadFolder:
    """This process's folder for uploads; others with the same data folder have theirs beside it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[Path, tuple[float, int]] = {}  # unused files: since when, and their time of change
        self.path: Path | None = None
        self.scratch: Path | None = None  # beside it, for temporary files, which are nobody's to fetch
        self._lock: FileLock | None = None
        self._before: str | None = None

    def open(self) -> Path:
        """Make the folder and tell Gradio, before the page is built; delete those of processes that are gone."""
        if self.path is not None:
            return self.path
        self._before = os.environ.get(UPLOAD_FOLDER_ENV)
        base = Path(self._before) if self._before else data_dir() / "uploads"
        base.mkdir(parents=True, exist_ok=True)
        _clear_abandoned(base)
        token = secrets.token_hex(8)
        self._lock = FileLock(base / f"{token}.lock")
        self._lock.acquire()
        self.path, self.scratch = base.resolve() / token, base.resolve() / f"{token}{_SCRATCH}"
        for folder in (self.path, self.scratch):
            folder.mkdir(mode=0o700)
        os.environ[UPLOAD_FOLDER_ENV] = str(self.path)
        gradio_adapter.ensure_salt()
        return self.path

    def sweep(self, in_use: Collection[str] = ()) -> None:
        """Delete files that nobody has used for long; `in_use` are those of present visitors and of the page itself."""
        now, unused = self._clock(), {}
        for path in _files_below(self.path) if self.path is not None else ():
            try:
                if str(path) in in_use or not path.is_file():
                    continue
                changed = path.stat().st_mtime_ns
                since, before = self._seen.get(path, (now, changed))
                since = since if before == changed else now
                is_part = path.parent == self.path  # Gradio moves whole uploads into folders of their own
                if now - since > (BROKEN_UPLOAD_S if is_part else UNCLAIMED_S):
                    path.unlink()
                    if not is_part:
                        path.parent.rmdir()
                else:
                    unused[path] = (since, changed)
            except OSError:  # it just went, or is still held open
                continue
        self._seen = unused

    def close(self) -> None:
        """Delete the folder with everything in it."""
        if self.path is None or self._lock is None:
            return
        _remove(Path(self._lock.lock_file))
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)
        if self._before is None:
            os.environ.pop(UPLOAD_FOLDER_ENV, None)
        else:
            os.environ[UPLOAD_FOLDER_ENV] = self._before
        self.path = self.scratch = self._lock = None


UPLOADS = UploadFolder()


def _files_below(folder: Path) -> list[Path]:
    """Return the files in a folder whose subfolders may vanish meanwhile, which `Path.rglob` doesn't bear."""
    return [Path(place) / name for place, _, names in os.walk(folder) for name in names]


def _clear_abandoned(base: Path) -> None:
    """Delete folders whose process holds its lock no more."""
    for lock_file in base.glob("*.lock"):
        lock = FileLock(lock_file)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        _remove(lock_file)
        lock.release()
        lock_file.unlink(missing_ok=True)


def _remove(lock_file: Path) -> None:
    """Delete the folders that go with a lock."""
    for folder in (lock_file.with_suffix(""), lock_file.with_suffix(_SCRATCH)):
        shutil.rmtree(folder, ignore_errors=True)


def uploaded_path(payload: object, session_hash: str | None = None) -> str | None:
    """Return the path of an upload that Gradio passed on unread, None if the uploader was emptied.

    With a session, the upload stays as long as its visitor.

    Raises:
        PageProblem: a path outside Gradio's upload folder, which only a forged request can hold.
    """
    if not payload:
        return None
    given = payload.get("path") if isinstance(payload, Mapping) else None
    if not isinstance(given, str) or "\0" in given:
        raise PageProblem(NOT_UPLOADED_HERE)
    path = Path(given).resolve()
    if not path.is_relative_to(gradio_adapter.upload_folder()):
        raise PageProblem(NOT_UPLOADED_HERE)
    if session_hash:
        SESSIONS.claim(session_hash, path)
    return str(path)


def uploaded_paths(payload: object, session_hash: str | None) -> list[str]:
    """Return the paths of several uploads, also of a gallery's `{"image": upload, "caption": text}`."""
    items = payload if isinstance(payload, list) else [payload]
    bare = [item.get("image") or item.get("video") or item if isinstance(item, dict) else item for item in items]
    found = [uploaded_path(item, session_hash) for item in bare]
    return [path for path in found if path is not None]


def published(path: str | Path, session_hash: str | None, what: str = "result") -> str:
    """Copy a file of the visitor's to where the page may fetch it, under a name that nobody can guess.

    Args:
        what: what the file is to the visitor, such as "portrait"; of each kind, the last two stay.
    """
    copy = gradio_adapter.copy_for_page(path)
    SESSIONS.show(session_hash, copy, what)
    return copy
