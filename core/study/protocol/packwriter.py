"""Writes study packs (see `core.study.protocol.packs`): same pictures in, same names and digest out."""

from __future__ import annotations

import errno
import hashlib
import hmac
import io
import json
import os
import shutil
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from core.errors import DiskFull
from core.study.protocol.packs import ARMS, FORMAT, INDEX_NAME, VERSION, Arm, Pack, is_slug, load_pack

_STAMP_S = 946_684_800  # 2000-01-01 UTC: the order in which files were written tells nothing either
_PADDING_CHUNK = b"paDd"  # ancillary, private, safe to copy: readers pass over it


@dataclass(frozen=True)
class TrialPictures:
    """The pictures of one trial, all of one size. Transparency is dropped; colours are taken as sRGB."""

    photo: Image.Image
    references: Sequence[Image.Image]
    candidates: Mapping[Arm, Image.Image]


def write_pack(
    folder: Path,
    *,
    slug: str,
    title: str,
    arms: Sequence[Arm],
    trials: Sequence[TrialPictures],
    provenance: Mapping[str, object],
) -> Pack:
    """Writes a pack beside its final place and then moves it there whole; an older pack in `folder` is replaced.

    Args:
        provenance: JSON values that say how the pictures came about; part of the digest.

    Raises:
        ValueError: arms, slug or pictures break a pack's rules, or `folder` holds something other than a pack.
        DiskFull: there is no space left; an older pack stays as it was.
    """
    _check(folder, slug, title, arms, trials)
    encoded = [_encode_trial(trial, arms) for trial in trials]
    index, contents = _index(encoded, slug=slug, title=title, arms=arms, provenance=provenance)
    part = folder.with_name(folder.name + ".part")
    try:
        _write_files(part, index, contents)
        load_pack(part)
        _move_into_place(part, folder)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull(str(folder)) from error
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return load_pack(folder)


def _check(folder: Path, slug: str, title: str, arms: Sequence[Arm], trials: Sequence[TrialPictures]) -> None:
    if not is_slug(slug):
        raise ValueError(f"a slug is made of small letters, digits and dashes, got {slug!r}")
    if not title.strip():
        raise ValueError("a pack needs a title, got an empty one")
    if not 2 <= len(arms) <= len(ARMS) or len(set(arms)) != len(arms) or not set(arms) <= set(ARMS):
        raise ValueError(f"a pack has 2 to {len(ARMS)} different arms of {ARMS}, got {tuple(arms)}")
    if not trials:
        raise ValueError("a pack needs at least one trial, got none")
    for number, trial in enumerate(trials, start=1):
        if set(trial.candidates) != set(arms):
            raise ValueError(f"trial {number} needs one picture for each of {tuple(arms)}, got {set(trial.candidates)}")
        pictures = [trial.photo, *trial.references, *trial.candidates.values()]
        sizes = {picture.size for picture in pictures}
        if len(sizes) != 1:
            raise ValueError(f"all pictures of trial {number} need one size, got {sorted(sizes)}")
    if folder.exists() and not (folder / INDEX_NAME).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"'{folder}' holds something other than a study pack; nothing was written")


def _encode_trial(trial: TrialPictures, arms: Sequence[Arm]) -> tuple[bytes, list[bytes], list[bytes]]:
    """PNG bytes of (photo, references, candidates in the order of `arms`); candidates are padded to one length."""
    candidates = [_encode(trial.candidates[arm]) for arm in arms]
    longest = max(map(len, candidates))
    if any(0 < longest - len(content) < 12 for content in candidates):
        longest += 12  # a chunk of padding takes at least 12 bytes
    return (
        _encode(trial.photo),
        [_encode(reference) for reference in trial.references],
        [_padded(content, longest) for content in candidates],
    )


def _encode(picture: Image.Image) -> bytes:
    """PNG bytes of the pixels alone: no colour profile, text, resolution or Exif."""
    pixels = np.asarray(picture.convert("RGB"))  # [H, W, 3]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _padded(content: bytes, length: int) -> bytes:
    """The PNG with a chunk of zeros before its end, `length` bytes in all."""
    spare = length - len(content)
    if spare == 0:
        return content
    body = _PADDING_CHUNK + bytes(spare - 12)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return content[:-12] + chunk + content[-12:]  # IEND takes the last 12 bytes


def _index(
    encoded: Sequence[tuple[bytes, list[bytes], list[bytes]]],
    *,
    slug: str,
    title: str,
    arms: Sequence[Arm],
    provenance: Mapping[str, object],
) -> tuple[dict[str, object], dict[str, bytes]]:
    """pack.json's content, and the files' bytes by name. The salt follows from the content: same in, same out."""
    everything = hashlib.sha256(slug.encode())
    for photo, references, candidates in encoded:
        for content in (photo, *references, *candidates):
            everything.update(hashlib.sha256(content).digest())
    salt = everything.digest()
    contents: dict[str, bytes] = {}

    def named(content: bytes) -> str:
        name = f"files/{hmac.new(salt, content, hashlib.sha256).hexdigest()[:32]}.png"
        contents[name] = content
        return name

    trials = [
        {
            "key": hmac.new(salt, f"trial {number}".encode(), hashlib.sha256).hexdigest()[:16],
            "photo": named(photo),
            "references": [named(reference) for reference in references],
            "candidates": {arm: named(content) for arm, content in zip(arms, candidates, strict=True)},
        }
        for number, (photo, references, candidates) in enumerate(encoded)
    ]
    index = {
        "format": FORMAT,
        "version": VERSION,
        "slug": slug,
        "title": title,
        "arms": list(arms),
        "trials": trials,
        "files": {name: hashlib.sha256(contents[name]).hexdigest() for name in sorted(contents)},
        "provenance": json.loads(json.dumps(dict(provenance), allow_nan=False)),
    }
    return index, contents


def _write_files(part: Path, index: Mapping[str, object], contents: Mapping[str, bytes]) -> None:
    shutil.rmtree(part, ignore_errors=True)
    (part / "files").mkdir(parents=True)
    for name in sorted(contents):
        (part / name).write_bytes(contents[name])
        os.utime(part / name, (_STAMP_S, _STAMP_S))
    text = json.dumps(index, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    (part / INDEX_NAME).write_text(text + "\n", encoding="utf-8")


def _move_into_place(part: Path, folder: Path) -> None:
    old = folder.with_name(folder.name + ".old.part")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
