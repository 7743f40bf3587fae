"""A trained style as a value and as a file: what changed in the generator, in half precision, with its history.

The file is safetensors: tensors named as the generator's parameters, metadata as JSON under one key, and a sha256 over
both, so that a damaged or edited file is refused before anything uses it. Since version 2 it may hold the references
too (`hand.0.webp`, `hand.0.landmarks`, `hand.0.masks`, ...), from which portraits are drawn; version 1 is read as ever.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor

from core.engines.base import Style
from core.engines.fewshot_gan.config import FORMER_METHODS, NAME, BackboneName, FinetuneConfig
from core.engines.fewshot_gan.hand import Hand
from core.engines.fewshot_gan.hand_tensors import HAND_PREFIX, check_hand_header, hand_of, hand_tensors
from core.errors import Sentence, StyleFileInvalid, StyleForOtherBackbone
from core.files import write_atomically

FORMAT_VERSION = 2
FORMER_VERSIONS = (1,)
MAX_STYLE_BYTES = 150_000_000
MAX_HEADER_BYTES = 1_000_000  # the full-size model's styles have 20 kB
MAX_NAME_LENGTH = 80
_META_KEY = "styleidentity"
_DIGEST_KEY = "sha256"


@dataclass(frozen=True)
class StyleMeta:
    """How a style came to be.

    Attributes:
        backbone: name of the generator, and `fingerprint` the hash of its weights.
        config: the resolved hyper-parameters as plain values.
        reference_hashes: sha256 of each aligned reference's pixels.
        final_loss: last step's loss.
    """

    backbone: str
    fingerprint: str
    config: Mapping[str, object]
    reference_hashes: tuple[str, ...]
    final_loss: float
    version: int = FORMAT_VERSION


@dataclass(frozen=True)
class GanStyle(Style):
    """Differences to the base generator's parameters (float16, CPU) under a display name.

    Attributes:
        weights: the differences.
        meta: how it came to be.
        hand: the references for brushwork; None where the style has the generator's drawing alone.
    """

    weights: Mapping[str, Tensor] = field(repr=False)
    meta: StyleMeta
    hand: Hand | None = None

    @property
    def has_brushwork(self) -> bool:
        """Whether there are references to take strokes from."""
        return self.hand is not None

    @classmethod
    def of(cls, name: str, weights: Mapping[str, Tensor], meta: StyleMeta, hand: Hand | None = None) -> GanStyle:
        """Make a style; its method and number of references follow from its history."""
        return cls(NAME, name, len(meta.reference_hashes), str(meta.config.get("method", "")), weights, meta, hand)


def config_values(config: FinetuneConfig) -> dict[str, object]:
    """Write a configuration as JSON-ready values."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}


def save_style(style: GanStyle, path: Path) -> Path:
    """Write a style file; the old file stays whole until the new one is complete. Raises `DiskFull`."""
    history = json.dumps({"name": style.name, **asdict(style.meta)}, sort_keys=True)
    tensors = {name: tensor.contiguous() for name, tensor in style.weights.items()} | hand_tensors(style.hand)
    metadata = {_META_KEY: history, _DIGEST_KEY: _digest(tensors, history)}
    return write_atomically(path, to_safetensors(tensors, metadata=metadata))


def load_style(path: Path, *, backbone: str, fingerprint: str, shapes: Mapping[str, tuple[int, ...]]) -> GanStyle:
    """Read and check a style file.

    Args:
        backbone, fingerprint: of the running generator.
        shapes: its parameters' names and shapes; the header is compared before any tensor is read.

    Raises:
        StyleFileInvalid: not a style, too large, damaged, altered, or with unknown or misshapen parameters.
        StyleForOtherBackbone: trained for another generator.
    """
    name = path.name
    header = _read_header(path)
    history, meta_values = _metadata(header, name)
    display = str(meta_values.pop("name"))[:MAX_NAME_LENGTH]
    method = str(meta_values["config"].get("method"))
    if method in FORMER_METHODS:
        meta_values["config"] |= {"method": FORMER_METHODS[method]}
    meta = StyleMeta(**meta_values)
    if meta.backbone not in get_args(BackboneName):
        raise StyleFileInvalid(name, "it was made for a model that this app doesn't know")
    if meta.backbone != backbone:
        raise StyleForOtherBackbone(display, meta.backbone, backbone)
    if meta.fingerprint != fingerprint:
        raise StyleFileInvalid(name, "it was trained on another version of the model; train it again on this one")
    hand_keys = {key for key in header if key.startswith(HAND_PREFIX)} if meta.version > 1 else set()
    check_hand_header({key: header[key] for key in hand_keys}, name)
    for key, entry in header.items():
        if key in hand_keys:
            continue
        if key != "__metadata__" and (key not in shapes or entry.get("shape") != list(shapes[key])):
            raise StyleFileInvalid(name, Sentence("its part '{key}' does not fit the model", key=key[:MAX_NAME_LENGTH]))
        if key != "__metadata__" and entry.get("dtype") != "F16":
            raise StyleFileInvalid(
                name, Sentence("its part '{key}' is not in half precision", key=key[:MAX_NAME_LENGTH])
            )
    try:
        tensors = parse_safetensors(path.read_bytes())  # only now: nothing of a stranger's file is allocated before
    except (SafetensorError, ValueError) as error:
        raise StyleFileInvalid(name, "its data is damaged") from error
    if _digest(tensors, history) != header["__metadata__"].get(_DIGEST_KEY):
        raise StyleFileInvalid(name, "its content was changed after it was saved")
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise StyleFileInvalid(name, "it holds values that are not numbers")
    hand = hand_of({key: tensors[key] for key in hand_keys}, name)
    return GanStyle.of(display, {key: tensor for key, tensor in tensors.items() if key not in hand_keys}, meta, hand)


def _read_header(path: Path) -> dict[str, dict[str, Any]]:
    """Read a file's header without the tensors behind it."""
    try:
        total = path.stat().st_size
        if total > MAX_STYLE_BYTES:
            limit_mb = MAX_STYLE_BYTES // 10**6
            raise StyleFileInvalid(path.name, Sentence("it is larger than {limit} MB", limit=limit_mb))
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if not 2 <= size <= min(total - 8, MAX_HEADER_BYTES):
                raise StyleFileInvalid(path.name, "it is not a safetensors file")
            header: Any = json.loads(file.read(size))
    except (ValueError, RecursionError) as error:
        raise StyleFileInvalid(path.name, "it is not a safetensors file") from error
    except FileNotFoundError as error:
        raise StyleFileInvalid(path.name, "it is no longer here") from error
    entries = header.values() if isinstance(header, dict) else [None]
    if not all(isinstance(entry, dict) for entry in entries):
        raise StyleFileInvalid(path.name, "it is not a safetensors file")
    checked: dict[str, dict[str, Any]] = header
    return checked


def _metadata(header: Mapping[str, dict[str, Any]], name: str) -> tuple[str, dict[str, Any]]:
    history = header.get("__metadata__", {}).get(_META_KEY)
    if not isinstance(history, str):
        raise StyleFileInvalid(name, "it was not made by this app")
    try:
        values = json.loads(history)
        values["reference_hashes"] = tuple(str(value) for value in values["reference_hashes"])
        expected = {"name", *StyleMeta.__dataclass_fields__}
        if set(values) != expected or not isinstance(values["config"], dict):
            raise ValueError(f"expected the fields {sorted(expected)}, got {sorted(values)}")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise StyleFileInvalid(name, "its description is damaged") from error
    if values["version"] not in (FORMAT_VERSION, *FORMER_VERSIONS):
        versions = {"got": values["version"], "expected": FORMAT_VERSION}
        raise StyleFileInvalid(name, Sentence("its format is version {got}, not {expected}", **versions))
    return history, values


def _digest(tensors: Mapping[str, Tensor], history: str) -> str:
    digest = hashlib.sha256(history.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()
