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
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image

from core.errors import DiskFull
from core.files import is_disk_full
from core.reports import absent, as_json
from core.study.protocol.packs import FORMAT, INDEX_NAME, VERSION, Pack, header_problem, load_pack

_STAMP_S = 946_684_800  # 2000-01-01 UTC: the order in which files were written tells nothing either
_PADDING_CHUNK = b"paDd"  # ancillary, private, safe to copy: readers pass over it


@dataclass(frozen=True)
class TrialPictures:
    """The pictures of one trial, all of one size. Transparency is dropped; colours are taken as sRGB."""

    photo: Image.Image
    references: Sequence[Image.Image]
    candidates: Mapping[str, Image.Image]


@dataclass(frozen=True)
class _EncodedTrial:
    """The same as PNG bytes; candidates in the order of the arms, padded to one length."""

    photo: bytes
    references: tuple[bytes, ...]
    candidates: tuple[bytes, ...]

    @property
    def files(self) -> tuple[bytes, ...]:
        """All of it."""
        return (self.photo, *self.references, *self.candidates)


@dataclass(frozen=True)
class _IndexedTrial:
    """One trial in pack.json: names of files."""

    key: str
    photo: str
    references: tuple[str, ...]
    candidates: Mapping[str, str]


@dataclass(frozen=True)
class _Index:
    """pack.json; `files` are the sha256 by name."""

    slug: str
    title: str
    arms: tuple[str, ...]
    provenance: Mapping[str, object]
    trials: tuple[_IndexedTrial, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    arm_titles: Mapping[str, str] = absent()
    format: str = FORMAT
    version: int = VERSION


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
    made_by = json.loads(json.dumps(dict(provenance), allow_nan=False))
    header = _Index(slug, title, tuple(arms), made_by, arm_titles=arm_titles)
    _check(folder, header, trials)
    encoded = [_encode_trial(trial, arms) for trial in trials]
    salt = _salt(slug, encoded)
    contents = {_file_name(salt, content): content for trial in encoded for content in trial.files}
    index = replace(
        header,
        trials=tuple(_indexed(salt, number, trial, header.arms) for number, trial in enumerate(encoded)),
        files={name: hashlib.sha256(contents[name]).hexdigest() for name in sorted(contents)},
    )
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


def _check(folder: Path, header: _Index, trials: Sequence[TrialPictures]) -> None:
    arms = header.arms
    if problem := header_problem({**as_json(header), "trials": list(trials), "files": {"files": "to come"}}):
        raise ValueError(f"this makes no pack: {problem}")
    for number, trial in enumerate(trials, start=1):
        if set(trial.candidates) != set(arms):
            raise ValueError(f"trial {number} needs one picture for each of {arms}, got {set(trial.candidates)}")
        pictures = [trial.photo, *trial.references, *trial.candidates.values()]
        sizes = {picture.size for picture in pictures}
        if len(sizes) != 1:
            raise ValueError(f"all pictures of trial {number} need one size, got {sorted(sizes)}")
    if is_taken(folder):
        raise ValueError(f"'{folder}' holds something other than a study pack; nothing was written")


def is_taken(folder: Path) -> bool:
    """Tell whether a folder holds something other than a study pack, which is never replaced."""
    return folder.exists() and not (folder / INDEX_NAME).is_file() and (not folder.is_dir() or any(folder.iterdir()))


def _encode_trial(trial: TrialPictures, arms: Sequence[str]) -> _EncodedTrial:
    candidates = [_encode(trial.candidates[arm]) for arm in arms]
    longest = max(map(len, candidates))
    if any(0 < longest - len(content) < 12 for content in candidates):
        longest += 12  # a chunk of padding takes at least 12 bytes
    return _EncodedTrial(
        _encode(trial.photo),
        tuple(_encode(reference) for reference in trial.references),
        tuple(_padded(content, longest) for content in candidates),
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


def _salt(slug: str, encoded: Sequence[_EncodedTrial]) -> bytes:
    """Return the key of all names in a pack; it follows from the content."""
    everything = hashlib.sha256(slug.encode())
    for trial in encoded:
        for content in trial.files:
            everything.update(hashlib.sha256(content).digest())
    return everything.digest()


def _file_name(salt: bytes, content: bytes) -> str:
    return f"files/{hmac.new(salt, content, hashlib.sha256).hexdigest()[:32]}.png"


def _indexed(salt: bytes, number: int, trial: _EncodedTrial, arms: Sequence[str]) -> _IndexedTrial:
    return _IndexedTrial(
        key=hmac.new(salt, f"trial {number}".encode(), hashlib.sha256).hexdigest()[:16],
        photo=_file_name(salt, trial.photo),
        references=tuple(_file_name(salt, reference) for reference in trial.references),
        candidates={arm: _file_name(salt, content) for arm, content in zip(arms, trial.candidates, strict=True)},
    )


def _write_files(part: Path, index: _Index, contents: Mapping[str, bytes]) -> None:
    shutil.rmtree(part, ignore_errors=True)
    (part / "files").mkdir(parents=True)
    for name in sorted(contents):
        (part / name).write_bytes(contents[name])
        os.utime(part / name, (_STAMP_S, _STAMP_S))
    text = json.dumps(as_json(index), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    (part / INDEX_NAME).write_text(text + "\n", encoding="utf-8")


def _move_into_place(part: Path, folder: Path) -> None:
    old = folder.with_name(folder.name + ".old.part")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
