"""Seeded damage: pictures, style files and values as a hostile or unlucky visitor may send them."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image, features

SIDE = 72
EDGE_BYTES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)
NAMES = (
    "me.png", "../../../etc/passwd", "..\\..\\boot.ini", "a/b/c.png", "/abs.png", "~root.png", "%2e%2e%2fx.png",
    "name\r\nX-Header: 1.png", "x" * 300 + ".png", ".htaccess", ".", "..", "", " ", "con.png", "\u202egnp.exe",
    "<script>alert(1)</script>.png", "'; DROP TABLE votes; --.png", "\U0001f600.png", "x.safetensors", "x.svg",
    "x.html",
)  # fmt: skip
DOCUMENTS = (
    b"", b"\0", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\xff\xff\xff\xffWEBPVP8 ", b"BM", b"II*\0",
    b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', b"<!doctype html><script>alert(1)</script>",
    b"%PDF-1.7", b"%!PS-Adobe-3.0 EPSF-3.0", b"PK\x03\x04", b"P3\n99999 99999\n255\n", b"\0\0\1\0\xff\xff",
)  # fmt: skip


def pictures() -> dict[str, bytes]:
    """One small sound picture per format that the app takes."""
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    kinds: dict[str, dict[str, Any]] = {
        "PNG": {}, "JPEG": {"quality": 60}, "WEBP": {}, "GIF": {}, "BMP": {}, "TIFF": {"compression": "tiff_lzw"},
        "PPM": {}, "TGA": {}, "ICO": {"sizes": [(SIDE, SIDE)]}, "HEIF": {},
    }  # fmt: skip
    if features.check("jpg_2000"):
        kinds["JPEG2000"] = {}
    if features.check("avif"):
        kinds["AVIF"] = {}
    made = {}
    for kind, options in kinds.items():
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        made[kind] = buffer.getvalue()
    return made


def _flip(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _edge(rng: random.Random, data: bytearray) -> None:
    start = rng.randrange(min(len(data), rng.choice((32, 128, len(data)))))
    for offset in range(start, min(len(data), start + rng.choice((1, 2, 4, 8)))):
        data[offset] = rng.choice(EDGE_BYTES)


def _cut(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(1, len(data)) :]


def _grow(rng: random.Random, data: bytearray) -> None:
    place = rng.randrange(len(data))
    data[place:place] = rng.randbytes(rng.choice((1, 7, 64, 4096)))


def _repeat(rng: random.Random, data: bytearray) -> None:
    start = rng.randrange(len(data))
    piece = data[start : start + rng.choice((4, 32, 256))]
    data[start:start] = piece * rng.choice((2, 10, 100))


def _lose(rng: random.Random, data: bytearray) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.choice((1, 4, 16, 100))]
    if not data:
        data += b"\0"


DAMAGE: tuple[Callable[[random.Random, bytearray], None], ...] = (_flip, _edge, _edge, _cut, _grow, _repeat, _lose)


def damaged(rng: random.Random, data: bytes) -> bytes:
    """The bytes after one to three accidents."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        rng.choice(DAMAGE)(rng, changed)
    return bytes(changed)


def damaged_pictures(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """(format, bytes) of damaged pictures, documents that are none, and pictures glued together."""
    rng, sound = random.Random(seed), pictures()
    for number in range(count):
        kind = rng.choice(sorted(sound))
        if number % 12 == 0:
            yield "document", rng.choice(DOCUMENTS) + rng.randbytes(rng.choice((0, 1, 50)))
        elif number % 12 == 1:
            yield "glued", sound[kind][: rng.randrange(2, 60)] + sound[rng.choice(sorted(sound))]
        else:
            yield kind, damaged(rng, sound[kind])


def damaged_styles(seed: int, count: int, sound: bytes) -> Iterator[bytes]:
    """Damaged style files: bytes anywhere, and headers that are JSON but say something else."""
    rng = random.Random(seed)
    size = int.from_bytes(sound[:8], "little")
    header, body = json.loads(sound[8 : 8 + size]), sound[8 + size :]
    for number in range(count):
        if number % 3 == 0:
            yield damaged(rng, sound)
        elif number % 3 == 1:
            yield int.to_bytes(rng.choice((0, 1, 2, size, size + 1, 2**31, 2**63, 2**64 - 1)), 8, "little") + sound[8:]
        else:
            changed = json.loads(json.dumps(header))
            _retell(rng, changed)
            text = json.dumps(changed).encode()
            yield len(text).to_bytes(8, "little") + text + body


def _retell(rng: random.Random, header: dict[str, Any]) -> None:
    key = rng.choice(sorted(header))
    if key == "__metadata__" and rng.random() < 0.7:
        told = json.loads(header[key]["styleidentity"])
        told[rng.choice([*sorted(told), "extra"])] = value(rng)
        header[key]["styleidentity"] = json.dumps(told)
    elif isinstance(header[key], dict) and rng.random() < 0.7:
        header[key][rng.choice([*sorted(header[key]), "extra"])] = value(rng)
    else:
        header[rng.choice((key, "new.weight", ""))] = value(rng)


def value(rng: random.Random, depth: int = 0) -> Any:
    """Any JSON value, with those that programs stumble over more often than chance."""
    upload = {"_type": "gradio.FileData"}
    plain = (
        None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**400, 1e308, -0.0, "", " ", "\0", "x" * 5000, "NaN",
        "../../etc/passwd", "/etc/passwd", "F64", "<script>alert(1)</script>", "\u202e", [], {}, {"path": None},
        {"__type__": "update", "value": 1}, {"path": "/etc/passwd", "meta": upload}, {"pick": "-1"}, {"pick": []},
        {"path": "http://127.0.0.1:9/x.png", "meta": upload}, {"path": "/etc/passwd"},
    )  # fmt: skip
    kind = rng.randrange(8)
    if kind == 0 and depth < 3:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 1 and depth < 3:
        return {str(value(rng, 3))[:20]: value(rng, depth + 1) for _ in range(rng.randrange(4))}
    if kind == 2:
        return rng.uniform(-1e6, 1e6)
    return rng.choice(plain)
