"""Files that are whole or absent, secrets that are made once, and sums that tell whether a file is the one meant."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.errors import DiskFull

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_BLOCK_BYTES = 1 << 20


def is_disk_full(error: BaseException) -> bool:
    """Tell whether a failure means that there is no space left: a full disk, a quota, or a file-size limit."""
    return isinstance(error, OSError) and error.errno in _FULL


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to; the file moves to `path` when the block ends well, and is removed when it does not.

    Whoever reads `path` meanwhile sees the old file or the new one, never a part. The folder is made where missing.

    Raises:
        DiskFull: there is no space for it.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if is_disk_full(error):
            raise DiskFull(path.name) from error
        raise


def write_atomically(path: Path, content: bytes | str) -> Path:
    """Write a whole file at once (text as UTF-8) and return its path. Raises DiskFull."""
    with replacing(path) as part:
        part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return path


def make_once(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return a private file's content; what `make` gives is written first where there is no file yet.

    Of several processes that make it at once, one wins, and all get its content. Mode 0600.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(make())
        with suppress(FileExistsError):  # another process was quicker: then its content counts
            os.link(fresh, path)
        fresh.unlink(missing_ok=True)
    return path.read_bytes()


def kept_secret(path: Path) -> bytes:
    """Return random bytes that stay the same for as long as the file at `path` does."""
    return make_once(path, lambda: secrets.token_bytes(32))


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's content, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
