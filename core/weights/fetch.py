"""Weight files: Hub download -> sha256 -> safe load, and the embedded files with their manifest.

Only the repositories listed here are asked, in turn; `core.weights.hub` does the transfer and looks after the cache.
`HF_ENDPOINT`, read at every call, points to another Hub; no token is sent.
"""

from __future__ import annotations

import errno
import hashlib
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from huggingface_hub import constants, is_offline_mode

from core.errors import DiskFull, EmbeddedFileDamaged, WeightsCorrupted, WeightsUnavailable, WeightsUnsafe
from core.weights import hub as weights_hub

MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True)
class HubFile:
    """A published file and the Hub model repositories that hold it.

    Attributes:
        file_name: path in the repository.
        repos: "owner/name" of the primary, then mirrors, in the order they are tried. A mirror may hold other bytes
            (each is checked against its own sha256): whoever loads the file must be strict about its content.
        about_mb: rough size for a sentence, in megabytes; None where unknown.
    """

    file_name: str
    repos: tuple[str, ...]
    about_mb: int | None = None

    def __post_init__(self) -> None:
        if not self.repos:
            raise ValueError(f"'{self.file_name}' needs at least one repository")


STYLEGAN2_FFHQ = HubFile(
    "stylegan2-ffhq-config-f.pt", ("akhaliq/jojogan-stylegan2-ffhq-config-f", "wmpscc/StyleGene_CKPT"), about_mb=380
)
E4E_FFHQ = HubFile("e4e_ffhq_encode.pt", ("akhaliq/JoJoGAN_e4e_ffhq_encode", "public-data/e4e"), about_mb=1200)
LANDMARKS_68 = HubFile(
    "shape_predictor_68_face_landmarks.dat",
    ("akhaliq/jojogan_dlib", "public-data/dlib_face_landmark_model"),
    about_mb=100,
)


@dataclass(frozen=True)
class DownloadProgress:
    """How far a download is: bytes on disk of the bytes expected, earlier calls' share included."""

    file_name: str
    bytes_done: int
    bytes_total: int

    @property
    def fraction(self) -> float:
        """Share that is done, in [0, 1]."""
        return self.bytes_done / self.bytes_total if self.bytes_total else 1.0


def fetch(
    file: HubFile,
    *,
    on_progress: Callable[[DownloadProgress], None] | None = None,
    cache_dir: Path | None = None,
    offline: bool = False,
) -> Path:
    """Path of a verified local copy, downloaded if there is none.

    A cached copy is hashed once and again whenever its size or time of change differs; a damaged one is removed and
    fetched again. A transfer with the wrong sha256 is repeated once. Repositories are tried in turn.

    Args:
        on_progress: called during a transfer about ten times a second, from the calling thread. To stop, raise a
            `StyleIdentityError` in it: it passes through, and the part on disk is kept.
        cache_dir: a Hub cache folder; huggingface_hub's where None.
        offline: use the cache only.

    Raises:
        WeightsUnavailable: no repository gave the file, or `offline` and no sound copy.
        WeightsCorrupted: what could be downloaded was damaged twice.
        DiskFull: no space for it.
    """
    root = Path(cache_dir or constants.HF_HUB_CACHE)
    copy, found_damaged = _sound_copy(file, root)
    if copy is not None:
        return copy
    if offline or is_offline_mode():
        state = "its copy here was damaged" if found_damaged else "there is no copy here"
        raise WeightsUnavailable(file.file_name, f"{state}, and this runs offline")

    def report(done: int, total: int) -> None:
        if on_progress is not None:
            on_progress(DownloadProgress(file.file_name, done, total))

    reasons: dict[str, str] = {}
    damaged = False
    for repo in file.repos:
        try:
            return weights_hub.download(repo, file.file_name, root, report)
        except weights_hub.FAILURES as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull(file.file_name) from error
            damaged = damaged or isinstance(error, weights_hub.Damaged)
            reasons[repo] = weights_hub.in_words(error)
    told = "; ".join(f"{repo}: {reason}" for repo, reason in reasons.items())
    raise WeightsCorrupted(file.file_name, told) if damaged else WeightsUnavailable(file.file_name, told)


def cached(file: HubFile, *, cache_dir: Path | None = None) -> Path | None:
    """Path of a local copy, or None. Quick: reads no content and asks no network; `fetch` checks the copy."""
    root = Path(cache_dir or constants.HF_HUB_CACHE)
    return next((copy for repo in file.repos if (copy := weights_hub.cached_copy(repo, file.file_name, root))), None)


def reachable(file: HubFile, *, timeout_s: float = 2.5) -> bool:
    """Whether one of the repositories offers the file right now; answers within `timeout_s` in any case."""

    def offered_by(repo: str) -> bool:
        with suppress(*weights_hub.FAILURES):
            return bool(weights_hub.metadata(repo, file.file_name, timeout_s=timeout_s).etag)
        return False

    return _within(timeout_s, lambda: any(offered_by(repo) for repo in file.repos))


def hub_reachable(timeout_s: float = 2.5) -> bool:
    """Whether the Hub answers right now; returns within `timeout_s` also when the network swallows everything."""

    return _within(timeout_s, lambda: weights_hub.answers(timeout_s=timeout_s))


def load_torch(path: Path) -> dict[str, Any]:
    """A checkpoint as tensors on the CPU and plain values; a pickle that holds anything else is refused unread.

    Raises:
        WeightsUnsafe: not a dictionary, damaged, or it would run code.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # the parser meets arbitrary bytes here and fails with almost any class
        raise WeightsUnsafe(Path(path).name, type(error).__name__) from error
    if not isinstance(loaded, dict):
        raise WeightsUnsafe(Path(path).name, f"it holds a {type(loaded).__name__}, not a dictionary")
    return loaded


def load_embedded(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file that comes with the app, checked against `manifest.json` beside it.

    The manifest holds `{"files": {file name: sha256}}`.

    Raises:
        EmbeddedFileDamaged: missing, not in the manifest, or other bytes than it says.
    """
    path = Path(path)
    try:
        manifest = json.loads((path.parent / MANIFEST_NAME).read_text(encoding="utf-8"))
        expected = manifest["files"][path.name]
        content = path.read_bytes()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EmbeddedFileDamaged(path.name, "it or its manifest is missing or unreadable") from error
    if hashlib.sha256(content).hexdigest() != expected:
        raise EmbeddedFileDamaged(path.name, "its content differs from its manifest")
    try:
        return safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise EmbeddedFileDamaged(path.name, "it is no safetensors file") from error


def _sound_copy(file: HubFile, root: Path) -> tuple[Path | None, bool]:
    """A cached copy whose sha256 is right, and whether a damaged one was met (and removed) on the way."""
    found_damaged = False
    for repo in file.repos:
        with suppress(OSError):  # unreadable here: as good as absent
            copy = weights_hub.cached_copy(repo, file.file_name, root)
            sha256 = weights_hub.known_sha256(copy) if copy else None
            if copy is None or sha256 is None:
                continue
            if weights_hub.is_intact(copy, sha256):
                return copy, found_damaged
            found_damaged = True
            weights_hub.discard(copy)
    return None, found_damaged


def _within(timeout_s: float, ask: Callable[[], bool]) -> bool:
    """What `ask` says, False where it fails or takes longer; socket time-outs alone don't bound a name look-up."""
    answers: list[bool] = []

    def run() -> None:
        with suppress(*weights_hub.FAILURES, RuntimeError):  # RuntimeError: the shared client was closed meanwhile
            answers.append(ask())

    thread = threading.Thread(target=run, name="hub-check", daemon=True)
    thread.start()
    thread.join(timeout_s)
    return answers == [True]
