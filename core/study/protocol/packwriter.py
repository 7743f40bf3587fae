"""Writes study packs (see `core.study.protocol.packs`): same pictures in, same names and digest out."""

from __future__ import annotations

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
from types import MappingProxyType

import numpy as np
from PIL import Image

from core.errors import DiskFull
from core.files import is_disk_full
from core.study.protocol.packs import FORMAT, INDEX_NAME, VERSION, Pack, header_problem, load_pack

_STAMP_S = 946_684_800  # 2000-01-01 UTC: the order in which files were written tells nothing either
_PADDING_CHUNK = b"paDd"  # ancillary, private, safe to copy: readers pass over it


@dataclass(frozen=True)
class TrialPictures:
    """The pictures of one trial, all of one size. Transparency is dropped; colours are taken as sRGB."""

    photo: Image.Image
    references: Sequence[Image.Image]
    candidates: Mapping[str, Image.Image]


def write_pack(
    folder: Path,
    *,
    slug: str,
    title: str,
    arms: Sequence[str],
    trials: Sequence[TrialPictures],
    provenance: Mapping[str, object],
    arm_titles: Mapping[str, str] = MappingProxyType({}),
) -> Pack:
    """Write a pack beside its final place and then move it there whole; an older pack in `folder` is replaced.

    Args:
        provenance: JSON values that say how the pictures came about; part of the digest.
        arm_titles: what people read for an arm, where the paper has no title for it or another one is wanted.

    Raises:
        ValueError: arms, slug or pictures break a pack's rules, or `folder` holds something other than a pack.
        DiskFull: there is no space left; an older pack stays as it was.
    """
    header = {
        "format": FORMAT,
        "version": VERSION,
        "slug": slug,
        "title": title,
        "arms": list(arms),
        "provenance": json.loads(json.dumps(dict(provenance), allow_nan=False)),
        **({"arm_titles": dict(arm_titles)} if arm_titles else {}),
    }
    _check(folder, header, arms, trials)
    index, contents = _index(header, arms, [_encode_trial(trial, arms) for trial in trials])
    part = folder.with_name(folder.name + ".part")
    try:
        _write_files(part, index, contents)
        load_pack(part)
        _move_into_place(part, folder)
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull(str(folder)) from error
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return load_pack(folder)


def _check(folder: Path, header: Mapping[str, object], arms: Sequence[str], trials: Sequence[TrialPictures]) -> None:
    if problem := header_problem({**header, "trials": list(trials), "files": {"files": "to come"}}):
        raise ValueError(f"this makes no pack: {problem}")
    for number, trial in enumerate(trials, start=1):
        if set(trial.candidates) != set(arms):
            raise ValueError(f"trial {number} needs one picture for each of {tuple(arms)}, got {set(trial.candidates)}")
        pictures = [trial.photo, *trial.references, *trial.candidates.values()]
        sizes = {picture.size for picture in pictures}
        if len(sizes) != 1:
            raise ValueError(f"all pictures of trial {number} need one size, got {sorted(sizes)}")
    if is_taken(folder):
        raise ValueError(f"'{folder}' holds something other than a study pack; nothing was written")


def is_taken(folder: Path) -> bool:
    """Tell whether a folder holds something other than a study pack, which is never replaced."""
    return folder.exists() and not (folder / INDEX_NAME).is_file() and (not folder.is_dir() or any(folder.iterdir()))


def _encode_trial(trial: TrialPictures, arms: Sequence[str]) -> tuple[bytes, list[bytes], list[bytes]]:
    """Return PNG bytes of (photo, references, candidates in the order of `arms`); candidates padded to one length."""
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
    """Return PNG bytes of the pixels alone: no colour profile, text, resolution or Exif."""
    pixels = np.asarray(picture.convert("RGB"))  # [H, W, 3]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _padded(content: bytes, length: int) -> bytes:
    """Return the PNG with a chunk of zeros before its end, `length` bytes in all."""
    spare = length - len(content)
    if spare == 0:
        return content
    body = _PADDING_CHUNK + bytes(spare - 12)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return content[:-12] + chunk + content[-12:]  # IEND takes the last 12 bytes


def _index(
    header: Mapping[str, object], arms: Sequence[str], encoded: Sequence[tuple[bytes, list[bytes], list[bytes]]]
) -> tuple[dict[str, object], dict[str, bytes]]:
    """Return pack.json's content, and the files' bytes by name; the salt follows from the content."""
    everything = hashlib.sha256(str(header["slug"]).encode())
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
    files = {name: hashlib.sha256(contents[name]).hexdigest() for name in sorted(contents)}
    return {**header, "trials": trials, "files": files}, contents


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
