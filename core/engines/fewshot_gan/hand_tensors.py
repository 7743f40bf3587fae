"""A style's hand as tensors of its file, and the way back with every check that a stranger's file needs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.config import MAX_REFERENCES
from core.engines.fewshot_gan.hand import MIN_STORED_PX, STORED_PX, Hand, HandReference
from core.errors import StyleFileInvalid
from core.imaging.layout import MESH_POINTS, PARTS, FaceLayout

HAND_PREFIX = "hand."
MAX_PICTURE_BYTES = 2_500_000
_MASK_PX = 64
_SHAPES: Mapping[str, tuple[str, list[int]]] = {
    "landmarks": ("F32", [MESH_POINTS, 2]),
    "masks": ("U8", [len(PARTS), _MASK_PX, _MASK_PX]),
}


def hand_tensors(hand: Hand | None) -> dict[str, Tensor]:
    """Return a hand as named tensors; none for no hand."""
    made: dict[str, Tensor] = {}
    for number, reference in enumerate(() if hand is None else hand.references):
        layout, key = reference.layout, f"{HAND_PREFIX}{number}."
        made[key + "webp"] = torch.frombuffer(bytearray(reference.webp), dtype=torch.uint8)
        made[key + "landmarks"] = torch.from_numpy(np.ascontiguousarray(layout.landmarks, dtype=np.float32))
        masks = np.rint(layout.masks.clip(0, 1) * 255)
        made[key + "masks"] = torch.from_numpy(np.ascontiguousarray(masks, dtype=np.uint8))
    return made


def check_hand_header(entries: Mapping[str, Mapping[str, Any]], name: str) -> None:
    """Check names, types and sizes before anything is read. Raises StyleFileInvalid."""
    count = len(entries) // 3
    expected = {f"{HAND_PREFIX}{number}.{part}" for number in range(count) for part in ("webp", *_SHAPES)}
    if set(entries) != expected or count > MAX_REFERENCES:
        raise StyleFileInvalid(name, "its references are incomplete")
    for key, entry in entries.items():
        part = key.rpartition(".")[2]
        kind, shape = _SHAPES.get(part, ("U8", entry.get("shape")))
        fits = entry.get("dtype") == kind and entry.get("shape") == shape
        if part == "webp":
            fits = fits and isinstance(shape, list) and len(shape) == 1 and 0 < shape[0] <= MAX_PICTURE_BYTES
        if not fits:
            raise StyleFileInvalid(name, "its references have another form than this app's")


def hand_of(tensors: Mapping[str, Tensor], name: str) -> Hand | None:
    """Read a hand from checked tensors; None where there are none. Raises StyleFileInvalid."""
    if not tensors:
        return None
    references = []
    for number in range(len(tensors) // 3):
        key = f"{HAND_PREFIX}{number}."
        webp = tensors[key + "webp"].numpy().tobytes()
        _check_picture(webp, name)
        landmarks = tensors[key + "landmarks"].numpy()
        if float(np.abs(landmarks).max()) > 4:
            raise StyleFileInvalid(name, "its references have another form than this app's")
        layout = FaceLayout(landmarks, tensors[key + "masks"].numpy().astype(np.float32) / 255, 1.0)
        references.append(HandReference(webp, layout))
    return Hand(tuple(references))


def _check_picture(webp: bytes, name: str) -> None:
    try:
        with Image.open(io.BytesIO(webp), formats=["WEBP"]) as image:
            side = image.width
            if (
                image.size != (side, side)
                or not MIN_STORED_PX <= side <= STORED_PX
                or getattr(image, "n_frames", 1) > 1
            ):
                raise StyleFileInvalid(name, "one of its references is no square picture of a usual size")
            image.convert("RGB")
    except (OSError, ValueError, SyntaxError, RuntimeError, Image.DecompressionBombError) as error:
        raise StyleFileInvalid(name, "one of its references can't be read") from error
