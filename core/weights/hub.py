"""One repository's file, from the Hub into the Hub's own cache: resumed where it stopped, hashed before it is kept.

The layout is huggingface_hub's documented one (`models--owner--name/blobs/<sha256>`, linked from `snapshots/<commit>`),
so other programs and a Space's `preload_from_hub` share it. Two things are done here and not by `huggingface_hub` 2,
which keeps no partial file between calls and does not hash what it stores: a transfer that broke off continues in a
later call or process, also from a mirror that holds the same bytes; and the bytes are compared with the sha256 that the
Hub gives as an LFS file's ETag before they enter the cache. A file hashed once gets a stamp in the data folder (size,
time of change, sha256) and is not hashed again while both stay the same.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from filelock import FileLock
from huggingface_hub import (
    HfFileMetadata,
    constants,
    get_hf_file_metadata,
    get_session,
    hf_hub_download,
    hf_hub_url,
    hf_raise_for_status,
    try_to_load_from_cache,
)
from huggingface_hub.errors import HfHubHTTPError

from core.config import VERSION, data_dir
from core.errors import DiskFull
from core.files import replacing, sha256_of, write_atomically
from core.progress import OnProgress, Progress
from core.weights.pins import HubFile

FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, OSError)  # OSError: the Hub's own errors, offline mode and the disk
_TRANSIENT = (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError)

_ANSWER_TIMEOUT_S = 10.0  # of one connection, and of every wait for its next bytes
_RETRIES = 3  # in a row without a new byte
_RETRY_PAUSE_S = 1.0
_REPORT_EVERY_S = 0.1
_SHA256 = re.compile(r"[0-9a-f]{64}")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fetched:
    """A local copy whose content was compared with its sha256."""

    path: Path
    sha256: str


class Damaged(OSError):
    """A repository served bytes that differ from their announced sha256, twice, or its cached copy differs."""


class OtherFile(OSError):
    """A repository or the cache holds another file than the expected one under its name."""

    def __init__(self, sha256: str) -> None:
        super().__init__(f"it has sha256 {sha256}")


def sound_copy(repo: str, file: HubFile, root: Path, expected: str | None) -> Fetched | None:
    """Return the cached copy where there is one whose sha256 is known; asks no network.

    Args:
        repo: which of the file's repositories.
        file: what is wanted.
        root: the Hub cache.
        expected: sha256 of the right content; None takes what the cache says of its copy.

    Raises:
        Damaged: the copy differed from its sha256; it was removed.
        OtherFile: it is sound, but not the expected content. Other programs may need it, so it stays.
    """
    copy = cached_copy(repo, file, root)
    sha256 = _known_sha256(copy) if copy else None
    if copy is None or sha256 is None:
        return None
    if not is_intact(copy, sha256):
        _discard(copy)
        raise Damaged("its copy here was damaged")
    if sha256 != (expected or sha256):
        raise OtherFile(sha256)
    return Fetched(copy, sha256)


def download(repo: str, file: HubFile, root: Path, expected: str | None, on_progress: OnProgress) -> Fetched:
    """Fetch a file into the cache.

    Args:
        repo: which of the file's repositories.
        file: what is wanted.
        root: the Hub cache.
        expected: sha256 of the right content; None takes what the Hub announces.
        on_progress: called about ten times a second and at the end.

    Raises:
        Damaged: wrong bytes twice.
        OtherFile: the Hub announces another sha256 than the expected one; nothing was transferred.
        DiskFull: no space in the cache.
        httpx2.HTTPError, OSError: whatever else went wrong (`FAILURES`); the part on disk is kept.
    """
    revision = file.revision_of(repo)
    published = metadata(repo, file.file_name, revision=revision)
    sha256, size = published.etag or "", published.size
    if not _SHA256.fullmatch(sha256) or size is None:
        raise OSError("the server names no sha256 for it")
    if sha256 != (expected or sha256):
        raise OtherFile(sha256)
    copy = cached_copy(repo, file, root)
    if copy is not None:
        if is_intact(copy, sha256):
            return Fetched(copy, sha256)
        _discard(copy)

    def report(done: int) -> None:
        on_progress(Progress(file.file_name, done, size, "bytes"))

    blob = root / f"models--{repo.replace('/', '--')}" / "blobs" / sha256
    part = data_dir() / "downloads" / f"{sha256}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(part.with_suffix(".lock")):
        if not (blob.is_file() and is_intact(blob, sha256)):
            _logger.info("Fetching '%s' from %s (%s bytes)", file.file_name, repo, size)
            url = hf_hub_url(repo, file.file_name, revision=published.commit_hash, endpoint=_endpoint())
            _transfer_checked(url, part, sha256, size, report)
            with replacing(blob) as arriving:
                shutil.move(part, arriving)  # also from another file system
    # The blob is in place, so this transfers nothing: it writes the reference and the snapshot's link.
    path = Path(
        hf_hub_download(repo, file.file_name, cache_dir=root, endpoint=_endpoint(), token=False, revision=revision)
    )
    if not is_intact(path, sha256):
        raise Damaged("another version was published meanwhile")
    return Fetched(path, sha256)


def metadata(repo: str, file_name: str, *, revision: str | None = None) -> HfFileMetadata:
    """Return what the Hub says about a file: commit, etag (an LFS file's sha256), size in bytes. Raises `FAILURES`."""
    url = hf_hub_url(repo, file_name, revision=revision, endpoint=_endpoint())
    return get_hf_file_metadata(url, token=False, timeout=_ANSWER_TIMEOUT_S, endpoint=_endpoint())


def answers(*, timeout_s: float) -> bool:
    """Tell whether the Hub's front answers without a server error. Raises `FAILURES`."""
    reply = get_session().head(_endpoint(), headers=_headers(), timeout=timeout_s, follow_redirects=False)
    return reply.status_code < 500


def cached_copy(repo: str, file: HubFile, root: Path) -> Path | None:
    """Return the cached file of the pinned or else the newest known revision, or None; its content is not read."""
    for revision in dict.fromkeys((file.revision_of(repo), None)):
        found = try_to_load_from_cache(repo, file.file_name, cache_dir=root, revision=revision)
        if isinstance(found, str):
            return Path(found)
    return None


def is_intact(path: Path, sha256: str) -> bool:
    """Tell whether the file has this sha256; the content is read only if its stamp is missing or out of date."""
    real = path.resolve()
    state = real.stat()
    stamp = {"path": str(real), "size": state.st_size, "mtime_ns": state.st_mtime_ns, "sha256": sha256}
    if _read_stamp(real) == stamp:
        return True
    if sha256_of(real) != sha256:
        return False
    with suppress(OSError, DiskFull):  # no stamp only means that the file is hashed again
        write_atomically(_stamp_path(real), json.dumps(stamp))
    return True


def reason_of(error: Exception) -> str:
    """Return a failure in a few words for a sentence."""
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return "it isn't there" if status in (401, 403, 404) else f"the server answered {status}"
    if isinstance(error, httpx2.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx2.ConnectError):
        return "no connection"
    if isinstance(error, _TRANSIENT):
        return "the connection broke"
    return getattr(error, "strerror", None) or str(error).split("\n")[0] or type(error).__name__


def _known_sha256(path: Path) -> str | None:
    """Return what a cached file's sha256 should be: its blob's name, else (a cache without links) its stamp's."""
    real = path.resolve()
    return real.name if _SHA256.fullmatch(real.name) else _read_stamp(real).get("sha256")


def _discard(path: Path) -> None:
    """Remove a cached file, the blob it links to and its stamp."""
    real = path.resolve()
    for victim in (_stamp_path(real), real, path):
        victim.unlink(missing_ok=True)


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def _headers() -> dict[str, str]:
    return {"User-Agent": f"styleidentity/{VERSION}", "Accept-Encoding": "identity"}


def _transfer_checked(url: str, part: Path, sha256: str, size: int, report: Callable[[int], None]) -> None:
    """Complete `part`; wrong bytes (also of an earlier call's beginning) are thrown away and fetched once more."""
    for _ in range(2):
        _transfer(url, part, size, report)
        if sha256_of(part) == sha256:
            return
        part.unlink()
    raise Damaged("its content differs from its published sha256")


def _transfer(url: str, part: Path, size: int, report: Callable[[int], None]) -> None:
    """Continue `part` until it has `size` bytes, over as many connections as it takes while each brings new bytes."""
    failures = 0
    while (done := _size_of(part)) != size:
        if done > size:
            part.unlink()
            continue
        if shutil.disk_usage(part.parent).free < size - done:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(part))
        try:
            _stream(url, part, done, size, report)
        except _TRANSIENT:
            failures = 0 if _size_of(part) > done else failures + 1
            if failures > _RETRIES:
                raise
            time.sleep(_RETRY_PAUSE_S)
    report(size)


def _stream(url: str, part: Path, done: int, size: int, report: Callable[[int], None]) -> None:
    """Send one request for what is missing; a server that ignores the range sends, and so replaces, all of it."""
    headers = {**_headers(), **({"Range": f"bytes={done}-"} if done else {})}
    reported_at = 0.0
    with get_session().stream("GET", url, headers=headers, timeout=_ANSWER_TIMEOUT_S, follow_redirects=True) as reply:
        hf_raise_for_status(reply)
        continues = reply.status_code == httpx2.codes.PARTIAL_CONTENT
        done = done if continues else 0
        with part.open("ab" if continues else "wb") as out:
            for piece in reply.iter_raw():
                out.write(piece)
                done += len(piece)
                if time.monotonic() - reported_at >= _REPORT_EVERY_S:
                    report(done)
                    reported_at = time.monotonic()
    if done < size:
        raise httpx2.RemoteProtocolError(f"{done} of {size} bytes came")


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _stamp_path(real: Path) -> Path:
    return data_dir() / "verified" / f"{hashlib.sha256(str(real).encode()).hexdigest()[:32]}.json"


def _read_stamp(real: Path) -> dict[str, Any]:
    try:
        stamp = json.loads(_stamp_path(real).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}
