"""The folders of visitors: whose they are, what is in them, and when they go.

A visitor's folder has a name that only this server can work out, from a key that only the visitor's tab knows. It
outlives the tab by `KEEP_S` (a phone may lose its connection for a moment) and is then deleted, with the uploads that
nobody else uses. Time is counted by the monotonic clock, so that a clock that is set meanwhile deletes nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from core.config import data_dir
from core.errors import DiskFull
from core.files import kept_secret, write_atomically
from core.ui.server.session import MyStyle, new_key

LOGGER = logging.getLogger(__name__)

KEEP_S = 3600.0  # after the tab was closed; Gradio keeps its own state as long
IDLE_S = 6 * 3600.0  # without a sign of life, for callers that never say goodbye
SECRET_FILE = "visitors.key"
_ANY_SESSION = "*"  # whose runs outlive the session that began them
_CARD_NAME = "card.json"
_REMOVED_CARD_NAME = "taken-off.json"  # the card of a style whose removal can be undone


def sessions_dir() -> Path:
    """Return the folder that holds every visitor's folder. Not created here."""
    return data_dir() / "sessions"


@dataclass
class _Visitor:
    """One open visitor; times are the monotonic clock's."""

    used_s: float
    left_s: float | None = None
    sessions: set[str] = field(default_factory=set)  # open ones that gave the tab's key; a duplicated tab has it too
    uploads: set[str] = field(default_factory=set)
    shown: dict[str, list[str]] = field(default_factory=dict)  # published files by what they are, the latest last
    flags: dict[str, set[Path]] = field(default_factory=dict)  # of running training, by session hash


class Sessions:
    """Open visitors of this process: their folders, uploads and stop flags. Thread-safe.

    Args:
        clock: seconds since some moment, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._visitors: dict[str, _Visitor] = {}
        self._names: dict[str, str] = {}  # folder names of sessions whose tab has a key
        self._orphans: dict[str, tuple[float, int]] = {}  # folders of earlier processes: first seen, time of change
        self._secrets: dict[Path, bytes] = {}
        self._when_removed: list[Callable[[Path], object]] = []

    def when_removed(self, hear: Callable[[Path], object]) -> None:
        """Call `hear` with every visitor's folder that is deleted."""
        self._when_removed.append(hear)

    # --- whose folder --------------------------------------------------------------------------------------

    def adopt(self, session_hash: str | None, tab_key: object) -> None:
        """Give the session the folder of its tab, so that reloading the page or the server loses no style.

        Args:
            tab_key: a secret of the browser's tab; ignored unless it is a text of 16 to 80 characters.
        """
        if session_hash and isinstance(tab_key, str) and 16 <= len(tab_key) <= 80:
            with self._lock:
                self._names[session_hash] = self._digest("tab", tab_key)
                self._visitor(self._names[session_hash]).sessions.add(session_hash)

    def name_of(self, session_hash: str | None) -> str:
        """Return the folder name of a session: the same at every call, a new one for a caller without a session."""
        if not session_hash:
            return secrets.token_hex(16)
        with self._lock:
            return self._names.get(session_hash) or self._digest("session", session_hash)

    def _digest(self, kind: str, text: str) -> str:
        return hmac.new(self._secret(), f"{kind}:{text}".encode(errors="replace"), hashlib.sha256).hexdigest()[:32]

    def _secret(self) -> bytes:
        """Return the key of all names, kept in the data folder; a passing one where it can't be kept."""
        folder = data_dir()
        if folder not in self._secrets:
            try:
                self._secrets[folder] = kept_secret(folder / SECRET_FILE)
            except OSError:
                self._secrets[folder] = secrets.token_bytes(32)
        return self._secrets[folder]

    def _visitor(self, name: str) -> _Visitor:
        """Return the record of an open visitor; it counts as present from now on. Call with the lock held."""
        visitor = self._visitors.setdefault(name, _Visitor(self._clock()))
        visitor.used_s, visitor.left_s = self._clock(), None
        self._orphans.pop(name, None)
        return visitor

    def folder(self, session_hash: str | None) -> Path:
        """Return the visitor's folder, created if missing. Raises DiskFull."""
        name = self.name_of(session_hash)
        with self._lock:
            self._visitor(name)
        path = sessions_dir() / name
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DiskFull("your pictures") from error
        return path

    def claim(self, session_hash: str | None, path: str | Path) -> None:
        """Note that the visitor uses an uploaded or published file: it stays while they do, and goes with them."""
        name = self.name_of(session_hash)
        with self._lock:
            self._visitor(name).uploads.add(str(path))

    def show(self, session_hash: str | None, path: str | Path, what: str) -> None:
        """Claim a published file, and let go of all but the one before it of the same kind, which may be downloading.

        Args:
            what: what the file is to the visitor, such as "portrait".
        """
        self.claim(session_hash, path)
        name = self.name_of(session_hash)
        with self._lock:
            visitor = self._visitor(name)
            earlier = [other for other in visitor.shown.get(what, ()) if other != str(path)]
            visitor.shown[what] = [*earlier[-1:], str(path)]
            kept = {file for files in visitor.shown.values() for file in files}
            given_up = [file for file in earlier[:-1] if file not in kept]
            visitor.uploads.difference_update(given_up)
            unused = [file for file in given_up if not any(file in other.uploads for other in self._visitors.values())]
        for file in unused:
            _forget_file(Path(file))

    def uploads_in_use(self) -> set[str]:
        """Return the files that present visitors use."""
        with self._lock:
            return set().union(*(visitor.uploads for visitor in self._visitors.values()))

    # --- own styles ----------------------------------------------------------------------------------------

    def keep_style(self, style: MyStyle) -> None:
        """Write what the style gallery shows beside a style's file, for `styles` to find it again. Raises DiskFull."""
        folder, file_name = Path(style.path).parent, Path(style.path).name
        write_atomically(folder / _CARD_NAME, json.dumps(asdict(style) | {"path": file_name}))
        (folder / _REMOVED_CARD_NAME).unlink(missing_ok=True)

    def remove_style(self, session_hash: str | None, slug: str) -> bool:
        """Remove one of the visitor's styles from the gallery; tell whether it was there.

        Its file stays until the next one is removed, so that the visitor can undo it.
        """
        own = {style.slug: Path(style.path).parent for style in self.styles(session_hash)}
        if slug not in own:
            return False
        for older in own[slug].parent.glob(f"*/{_REMOVED_CARD_NAME}"):
            self._remove(older.parent, "a style that was removed before")
        (own[slug] / _CARD_NAME).replace(own[slug] / _REMOVED_CARD_NAME)
        return True

    def undo_remove(self, session_hash: str | None, slug: str) -> bool:
        """Bring the style that was removed last back into the gallery; tell whether it is there."""
        for card in (sessions_dir() / self.name_of(session_hash)).glob(f"*/{_REMOVED_CARD_NAME}"):
            if card.parent.name == slug:
                card.replace(card.with_name(_CARD_NAME))
        return slug in {style.slug for style in self.styles(session_hash)}

    def styles(self, session_hash: str | None) -> tuple[MyStyle, ...]:
        """Return the visitor's own styles, the oldest first; damaged cards and missing files are left out."""
        found = []
        name = self.name_of(session_hash)
        with self._lock:
            self._visitor(name)
        for card in (sessions_dir() / name).glob(f"*/{_CARD_NAME}"):
            try:
                values = json.loads(card.read_text(encoding="utf-8"))
                style = MyStyle(**values | {"path": str(card.parent / Path(values["path"]).name)})
                if Path(style.path).is_file():
                    found.append((card.stat().st_mtime_ns, style))
            except (OSError, ValueError, TypeError, KeyError):
                continue
        return tuple(style for _, style in sorted(found, key=lambda item: item[0]))

    # --- training runs -------------------------------------------------------------------------------------

    def begin_run(self, session_hash: str | None, *, outlives_tab: bool = False) -> Path:
        """Return a file whose appearance asks the visitor's training run to stop. Raises DiskFull.

        A file and not an event, because a ZeroGPU worker is a forked process and shares no memory with the page.

        Args:
            outlives_tab: the run doesn't end with the session, and another one of the same tab may stop it.
        """
        flag = self.folder(session_hash) / f"stop-{new_key()}"
        name, of = flag.parent.name, _ANY_SESSION if outlives_tab else session_hash or ""
        with self._lock:
            self._visitor(name).flags.setdefault(of, set()).add(flag)
        return flag

    def end_run(self, session_hash: str | None, flag: Path, *, outlives_tab: bool = False) -> None:
        """Forget a run's stop flag."""
        with self._lock:
            visitor = self._visitors.get(flag.parent.name)
            if visitor is not None:
                visitor.flags.get(_ANY_SESSION if outlives_tab else session_hash or "", set()).discard(flag)
        flag.unlink(missing_ok=True)

    def stop_runs(self, session_hash: str | None, *, outliving: bool = True) -> int:
        """Ask the session's training runs to stop at their next step; return how many there are.

        Args:
            outliving: also those that outlive the session.
        """
        name = self.name_of(session_hash)
        with self._lock:
            visitor = self._visitors.get(name)
            of = [session_hash or "", *([_ANY_SESSION] if outliving else [])]
            flags = [] if visitor is None else [flag for key in of for flag in visitor.flags.get(key, ())]
        return _raise_flags(flags)

    def stop_all(self) -> int:
        """Ask every training run to stop at its next step; return how many there are."""
        with self._lock:
            flags = [flag for one in self._visitors.values() for group in one.flags.values() for flag in group]
        return _raise_flags(flags)

    # --- the end -------------------------------------------------------------------------------------------

    def leave(self, session_hash: str | None) -> None:
        """Note that the tab was closed: after the last of its copies, start the last hour.

        Its runs are asked to stop, but for those that outlive it: `core.ui.server.runs` ends them if nobody comes back.
        """
        self.stop_runs(session_hash, outliving=False)
        name = self.name_of(session_hash)
        with self._lock:
            visitor = self._visitors.get(name)
            if visitor is not None:
                visitor.sessions.discard(session_hash or "")
                visitor.left_s = None if visitor.sessions else self._clock()

    def forget(self, session_hash: str | None) -> None:
        """Delete everything of a visitor now, their styles too, and end their training; they may go on afterwards.

        The files that ask runs to stop stay until the runs have seen them.
        """
        name = self.name_of(session_hash)
        with self._lock:
            visitor = self._visitors.pop(name, None) or _Visitor(self._clock())
            flags = {flag for group in visitor.flags.values() for flag in group}
            again = self._visitor(name)
            again.sessions.update(visitor.sessions)
            again.flags.update(visitor.flags)
        _raise_flags(list(flags))
        for upload in visitor.uploads - self.uploads_in_use():
            _forget_file(Path(upload))
        folder = sessions_dir() / name
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_dir():
                shutil.rmtree(path)
            elif path not in flags:
                path.unlink(missing_ok=True)
        for hear in self._when_removed:
            hear(folder)
        LOGGER.info("removed what a visitor asked for")

    def sweep(self) -> None:
        """Delete what visitors left more than `KEEP_S` seconds ago; keep everything fresh that is in use."""
        now = self._clock()
        with self._lock:
            gone = {
                name: visitor
                for name, visitor in self._visitors.items()
                if now - visitor.used_s > IDLE_S or (visitor.left_s is not None and now - visitor.left_s > KEEP_S)
            }
            for name in gone:
                del self._visitors[name]
            present = dict(self._visitors)
            self._names = {session: name for session, name in self._names.items() if name in present}
        in_use = self.uploads_in_use()
        for name, visitor in gone.items():
            self._remove(sessions_dir() / name)
            for path in visitor.uploads - in_use:
                _forget_file(Path(path))
        for used in [*(sessions_dir() / name for name in present), *map(Path, in_use)]:
            _freshen(used)  # Gradio and other processes go by the time of change
        self._sweep_orphans(set(present), now)

    def _sweep_orphans(self, present: set[str], now: float) -> None:
        """Delete folders of earlier processes that nobody came back to; another process touches those it uses."""
        root = sessions_dir()
        for path in root.iterdir() if root.is_dir() else ():
            if path.name in present or not path.is_dir():
                continue
            try:
                changed = path.stat().st_mtime_ns
            except FileNotFoundError:
                continue
            seen, before = self._orphans.get(path.name, (now, changed))
            since = seen if before == changed else now
            self._orphans[path.name] = (since, changed)
            if now - since > KEEP_S:
                self._orphans.pop(path.name, None)
                self._remove(path)

    def _remove(self, path: Path, what: str = "the folder of a visitor who left") -> None:
        if not path.is_dir():
            return
        shutil.rmtree(path, ignore_errors=True)
        for hear in self._when_removed:
            hear(path)
        LOGGER.info(f"removed {what}")


def _raise_flags(flags: list[Path]) -> int:
    for flag in flags:
        try:
            flag.touch()
        except FileNotFoundError:  # its folder was deleted, so the run has ended
            continue
        except OSError:
            LOGGER.warning("a training run could not be asked to stop", exc_info=True)
    return len(flags)


def _freshen(path: Path) -> None:
    try:
        os.utime(path)
    except OSError:
        return


def _forget_file(path: Path) -> None:
    """Delete an upload, and its folder once that is empty."""
    try:
        path.unlink(missing_ok=True)
        path.parent.rmdir()
    except OSError:
        return


SESSIONS = Sessions()
