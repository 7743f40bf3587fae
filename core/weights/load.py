"""Reading weights safely: published checkpoints, and the embedded files with their manifest and shards.

An embedded file `mini.safetensors` may lie there as shards (`mini-00001-of-00003.safetensors`, ..., with
`mini.safetensors.index.json`, the Hub's convention), since no file of the repository may exceed 10 MB. `manifest.json`
beside it holds `{"files": {file name: sha256}, "fingerprint": ...}`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from core.errors import EmbeddedFileDamaged, WeightsUnsafe
from core.files import sha256_of, write_atomically

MANIFEST_NAME = "manifest.json"
MAX_SHARD_BYTES = 9_400_000  # of tensors; a header of some kB comes on top
_LISTED = {".safetensors", ".dat"}
_INDEX_SUFFIX = ".index.json"


def load_torch(path: Path) -> dict[str, Any]:
    """Read a checkpoint as tensors on the CPU and plain values; a pickle that holds anything else is refused unread.

    Raises:
        WeightsUnsafe: not a dictionary, damaged, or it would run code.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # the parser meets arbitrary bytes here and fails with almost any class
        raise WeightsUnsafe(path.name, type(error).__name__) from error
    if not isinstance(loaded, dict):
        raise WeightsUnsafe(path.name, f"it holds a {type(loaded).__name__}, not a dictionary")
    return loaded


def load_embedded(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a safetensors file that comes with the app, whole or in shards, checked by the manifest.

    Args:
        path: the file, also where only its shards are there.

    Raises:
        EmbeddedFileDamaged: missing, not in the manifest, or other bytes than it says.
    """
    index = path.with_name(path.name + _INDEX_SUFFIX)
    if not index.exists():
        return _read_checked(path)
    try:
        weight_map = json.loads(_bytes_checked(index))["weight_map"]
        shards = {str(name): _read_checked(path.with_name(str(name))) for name in sorted(set(weight_map.values()))}
        return {str(name): shards[shard][name] for name, shard in weight_map.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EmbeddedFileDamaged(index.name, "it does not fit its shards") from error


def read_fingerprint(folder: Path) -> str:
    """Return the 16 hex digits by which styles know the weights they were trained on. Raises EmbeddedFileDamaged."""
    try:
        return str(_manifest(folder)["fingerprint"])
    except KeyError as error:
        raise EmbeddedFileDamaged(MANIFEST_NAME, "it names no fingerprint") from error


def save_embedded(tensors: Mapping[str, torch.Tensor], path: Path, *, metadata: Mapping[str, str]) -> str:
    """Write a safetensors file, in shards where it is larger than one may be; what lay there before is removed.

    Returns:
        Its fingerprint: the first 16 hex digits of the sha256 that the file has in one piece.
    """
    index = path.with_name(path.name + _INDEX_SUFFIX)
    for old in (path, index, *path.parent.glob(f"{path.stem}-?????-of-?????{path.suffix}")):
        old.unlink(missing_ok=True)
    whole = safetensors.torch.save(dict(tensors), metadata=dict(metadata))
    shards = _split(tensors)
    if len(shards) == 1:
        write_atomically(path, whole)
    else:
        weight_map: dict[str, str] = {}
        for number, shard in enumerate(shards, start=1):
            name = f"{path.stem}-{number:05d}-of-{len(shards):05d}{path.suffix}"
            write_atomically(path.with_name(name), safetensors.torch.save(shard, metadata={"format": "pt"}))
            weight_map |= dict.fromkeys(shard, name)
        total = sum(tensor.nbytes for tensor in tensors.values())
        content = {"metadata": {"total_size": total, **metadata}, "weight_map": dict(sorted(weight_map.items()))}
        write_atomically(index, json.dumps(content, indent=2) + "\n")
    return hashlib.sha256(whole).hexdigest()[:16]


def write_manifest(folder: Path, *, fingerprint: str | None = None) -> None:
    """Record the sha256 of every weights file and index of a folder in its manifest.

    Args:
        folder: where the files are.
        fingerprint: of weights that are new; that of the old manifest stays where None.
    """
    files = [path for path in folder.iterdir() if path.suffix in _LISTED or path.name.endswith(_INDEX_SUFFIX)]
    sums = {path.name: sha256_of(path) for path in sorted(files)}
    kept = read_fingerprint(folder) if fingerprint is None else fingerprint
    content = json.dumps({"fingerprint": kept, "files": sums}, indent=2) + "\n"
    write_atomically(folder / MANIFEST_NAME, content)


def _split(tensors: Mapping[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    """Put each tensor into the first shard that has room for it."""
    shards: list[dict[str, torch.Tensor]] = []
    room: list[int] = []
    for name, tensor in tensors.items():
        number = next((number for number, left in enumerate(room) if tensor.nbytes <= left), len(shards))
        if number == len(shards):
            shards.append({})
            room.append(MAX_SHARD_BYTES)
        shards[number][name] = tensor
        room[number] -= tensor.nbytes
    return shards


def _read_checked(path: Path) -> dict[str, torch.Tensor]:
    try:
        return safetensors.torch.load(_bytes_checked(path))
    except safetensors.SafetensorError as error:
        raise EmbeddedFileDamaged(path.name, "it is no safetensors file") from error


def _bytes_checked(path: Path) -> bytes:
    """Return a file's content after its sha256 was compared with the manifest's."""
    try:
        expected = _manifest(path.parent)["files"][path.name]
        content = path.read_bytes()
    except (OSError, KeyError, TypeError) as error:
        raise EmbeddedFileDamaged(path.name, "it or its manifest is missing or unreadable") from error
    if hashlib.sha256(content).hexdigest() != expected:
        raise EmbeddedFileDamaged(path.name, "its content differs from its manifest")
    return content


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EmbeddedFileDamaged(MANIFEST_NAME, "it is missing or unreadable") from error
    if not isinstance(manifest, dict):
        raise EmbeddedFileDamaged(MANIFEST_NAME, f"it holds a {type(manifest).__name__}, not a dictionary")
    return manifest
