"""A published file as a verified local copy: cache, then the Hub, always compared with the sha256 that is expected.

Only the repositories of `core.weights.pins` are asked, in turn; `core.weights.hub` does the transfer and looks after
the cache. `HF_ENDPOINT`, read at every call, points to another Hub; no token is sent.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

from huggingface_hub import constants, is_offline_mode

from core.errors import DiskFull, WeightsChanged, WeightsCorrupted, WeightsUnavailable
from core.files import is_disk_full
from core.progress import OnProgress, ignore_progress
from core.weights import first_seen, hub
from core.weights.hub import Fetched
from core.weights.pins import HubFile


def fetch(file: HubFile, *, on_progress: OnProgress = ignore_progress) -> Fetched:
    """Return a verified local copy, downloaded if there is none.

    A cached copy is hashed once and again whenever its size or time of change differs; a damaged one is removed and
    fetched again. A transfer with the wrong sha256 is repeated once. Repositories are tried in turn; one that holds
    other bytes than the pinned file, or than the first download where none is pinned, is passed over.

    Args:
        file: what to fetch.
        on_progress: called during a transfer about ten times a second, in bytes of the whole file, from the calling
            thread. To stop, raise a `StyleIdentityError` in it: it passes through, and the part on disk is kept.

    Raises:
        WeightsUnavailable: no repository gave the file, or the Hub is switched off and there is no sound copy.
        WeightsCorrupted: what could be downloaded was damaged twice.
        WeightsChanged: whatever was found is another file than expected.
        DiskFull: no space for it.
    """
    seen = None if file.sha256 else first_seen.recorded(file)
    expected = file.sha256 if seen is None else seen.sha256
    failures: dict[str, Exception] = {}
    for repo in file.repos:
        try:
            copy = hub.sound_copy(repo, file, _cache(), expected)
        except hub.FAILURES as error:
            failures[repo] = error
            continue
        if copy is not None:
            return _remembered(file, repo, copy, expected)
    if is_offline_mode():
        raise _failure(file, expected, failures, offline=True)
    for repo in file.repos:
        try:
            copy = hub.download(repo, file, _cache(), expected, on_progress)
        except (DiskFull, *hub.FAILURES) as error:
            if isinstance(error, DiskFull) or is_disk_full(error):
                raise DiskFull(file.file_name) from error
            failures[repo] = error
        else:
            return _remembered(file, repo, copy, expected)
    raise _failure(file, expected, failures)


def cached(file: HubFile) -> Path | None:
    """Return the path of a local copy, or None. Quick: reads no content and asks no network; `fetch` checks it."""
    copies = (hub.cached_copy(repo, file, _cache()) for repo in file.repos)
    return next((copy for copy in copies if copy is not None), None)


def hub_reachable(timeout_s: float = 2.5) -> bool:
    """Tell whether the Hub answers right now, within `timeout_s` also when the network swallows everything."""
    answered = threading.Event()

    def ask() -> None:
        with suppress(*hub.FAILURES, RuntimeError):  # RuntimeError: the shared client was closed meanwhile
            if hub.answers(timeout_s=timeout_s):
                answered.set()

    thread = threading.Thread(target=ask, name="hub-check", daemon=True)  # socket time-outs don't bound a name look-up
    thread.start()
    thread.join(timeout_s)
    return answered.is_set()


def _cache() -> Path:
    return Path(constants.HF_HUB_CACHE)


def _remembered(file: HubFile, repo: str, copy: Fetched, expected: str | None) -> Fetched:
    """Return the copy; a file that nothing was known of is recorded first."""
    if expected is None:
        winner = first_seen.record(file, repo=repo, sha256=copy.sha256)
        if copy.sha256 != winner:
            raise _failure(file, winner, {repo: hub.OtherFile(copy.sha256)})
    return copy


def _failure(
    file: HubFile, expected: str | None, failures: dict[str, Exception], *, offline: bool = False
) -> WeightsUnavailable | WeightsCorrupted | WeightsChanged:
    """Return the failure that says most, with every repository's reason."""
    kinds = {type(error) for error in failures.values()}
    reasons = "; ".join(f"{repo}: {hub.reason_of(error)}" for repo, error in failures.items())
    if expected is not None and hub.OtherFile in kinds:
        return WeightsChanged(file.file_name, expected, reasons, record=None if file.sha256 else first_seen.RECORD_NAME)
    if offline:
        state = "its copy here was damaged" if hub.Damaged in kinds else "there is no copy here"
        return WeightsUnavailable(file.file_name, f"{state}, and this runs offline")
    return (WeightsCorrupted if hub.Damaged in kinds else WeightsUnavailable)(file.file_name, reasons)
