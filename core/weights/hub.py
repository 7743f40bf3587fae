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
import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx2
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
from huggingface_hub.utils import WeakFileLock, build_hf_headers

from core.config import data_dir

FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, OSError)  # OSError: the Hub's own errors, offline mode and the disk
_TRANSIENT = (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError)

_ANSWER_TIMEOUT_S = 10.0  # of one connection, and of every wait for its next bytes
_RETRIES = 3  # in a row without a new byte
_RETRY_PAUSE_S = 1.0
_REPORT_EVERY_S = 0.1
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Damaged(OSError):
    """A repository served bytes that differ from their announced sha256, twice."""


def download(repo: str, file_name: str, root: Path, report: Callable[[int, int], None]) -> Path:
    """Fetches a file into the cache `root` and returns its path there.

    Args:
        report: called with (bytes done, bytes in all) about ten times a second and at the end.

    Raises:
        Damaged: wrong bytes twice.
        httpx2.HTTPError, OSError: whatever else went wrong (`FAILURES`); the part on disk is kept.
    """
    published = metadata(repo, file_name)
    sha256, size = published.etag or "", published.size
    if not _SHA256.fullmatch(sha256) or size is None:
        raise OSError("the server names no sha256 for it")
    copy = cached_copy(repo, file_name, root)
    if copy is not None:
        if is_intact(copy, sha256):
            return copy
        discard(copy)

    blob = root / f"models--{repo.replace('/', '--')}" / "blobs" / sha256
    part = data_dir() / "downloads" / f"{sha256}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(part.with_suffix(".lock")):
        if not (blob.is_file() and is_intact(blob, sha256)):
            url = hf_hub_url(repo, file_name, revision=published.commit_hash, endpoint=_endpoint())
            _transfer_checked(url, part, sha256, size, report)
            _move(part, blob)
    # The blob is in place, so this transfers nothing: it writes the reference and the snapshot's link.
    path = Path(hf_hub_download(repo, file_name, cache_dir=root, endpoint=_endpoint(), token=False))
    if not is_intact(path, sha256):
        raise Damaged("another version was published meanwhile")
    return path


def metadata(repo: str, file_name: str, *, timeout_s: float = _ANSWER_TIMEOUT_S) -> HfFileMetadata:
    """What the Hub says about a file: commit, etag (sha256 of an LFS file), size in bytes. Raises `FAILURES`."""
    url = hf_hub_url(repo, file_name, endpoint=_endpoint())
    return get_hf_file_metadata(url, token=False, timeout=timeout_s, endpoint=_endpoint())


def answers(*, timeout_s: float) -> bool:
    """Whether the Hub's front answers without a server error. Raises `FAILURES`."""
    reply = get_session().head(_endpoint(), headers=_headers(), timeout=timeout_s, follow_redirects=False)
    return reply.status_code < 500


def cached_copy(repo: str, file_name: str, root: Path) -> Path | None:
    """Path of the cached file of the newest known revision, or None; its content is not looked at."""
    found = try_to_load_from_cache(repo, file_name, cache_dir=root)
    return Path(found) if isinstance(found, str) else None


def known_sha256(path: Path) -> str | None:
    """What a cached file's sha256 should be, without the network: its blob's name, else (no links) its stamp."""
    real = path.resolve()
    if _SHA256.fullmatch(real.name):
        return real.name
    return _read_stamp(real).get("sha256")


def is_intact(path: Path, sha256: str) -> bool:
    """Whether the file has this sha256; the content is read only if its stamp is missing or out of date."""
    real = path.resolve()
    state = real.stat()
    stamp = {"path": str(real), "size": state.st_size, "mtime_ns": state.st_mtime_ns, "sha256": sha256}
    if _read_stamp(real) == stamp:
        return True
    if sha256_of(real) != sha256:
        return False
    with suppress(OSError):  # no stamp only means that the file is hashed again
        _stamp_path(real).parent.mkdir(parents=True, exist_ok=True)
        _stamp_path(real).write_text(json.dumps(stamp), encoding="utf-8")
    return True


def discard(path: Path) -> None:
    """Removes a cached file, the blob it links to and its stamp."""
    real = path.resolve()
    for victim in (_stamp_path(real), real, path):
        victim.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def in_words(error: Exception) -> str:
    """A failure in a few words for a sentence."""
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


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def _headers() -> dict[str, str]:
    return {**build_hf_headers(token=False, library_name="styleidentity"), "Accept-Encoding": "identity"}


def _transfer_checked(url: str, part: Path, sha256: str, size: int, report: Callable[[int, int], None]) -> None:
    """Completes `part`; wrong bytes (also of an earlier call's beginning) are thrown away and fetched once more."""
    for _ in range(2):
        _transfer(url, part, size, report)
        if sha256_of(part) == sha256:
            return
        part.unlink()
    raise Damaged("its content differs from its published sha256")


def _transfer(url: str, part: Path, size: int, report: Callable[[int, int], None]) -> None:
    """Continues `part` until it has `size` bytes, over as many connections as it takes while each brings new bytes."""
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
    report(size, size)


def _stream(url: str, part: Path, done: int, size: int, report: Callable[[int, int], None]) -> None:
    """One request for what is missing; a server that ignores the range sends, and so replaces, all of it."""
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
                    report(done, size)
                    reported_at = time.monotonic()
    if done < size:
        raise httpx2.RemoteProtocolError(f"{done} of {size} bytes came")


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _move(part: Path, blob: Path) -> None:
    """Into the cache in one step, also from another file system."""
    blob.parent.mkdir(parents=True, exist_ok=True)
    arriving = blob.with_suffix(".arriving")
    shutil.move(part, arriving)
    arriving.replace(blob)


def _stamp_path(real: Path) -> Path:
    return data_dir() / "verified" / f"{hashlib.sha256(str(real).encode()).hexdigest()[:32]}.json"


def _read_stamp(real: Path) -> dict:
    try:
        stamp = json.loads(_stamp_path(real).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}
