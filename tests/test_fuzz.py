"""Damaged uploads and forged values, more than 2,000 of them: every one ends in a result or in a sentence."""

from __future__ import annotations

import asyncio
import collections
import json
import random
import secrets
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
import torch

from core.config import PhotoLimits
from core.engines.fewshot_gan.config import FinetuneConfig
from core.engines.fewshot_gan.style_file import GanStyle, StyleMeta, config_values, load_style, save_style
from core.errors import StyleIdentityError
from core.imaging.photo import load_photo
from core.ui import friendly_errors
from core.ui.components import settings
from core.ui.server import uploads
from tests.mutations import NAMES, damaged, damaged_pictures, damaged_styles, pictures, value
from tests.visitor import API, ROOT, Running, Visitor, serve

pytestmark = pytest.mark.slow

SEED = 20261121
PICTURES, STYLES, VALUES, OVER_HTTP = 1300, 600, 400, 400
SLOWEST_S = 10.0
SHAPES = {"conv1.conv.weight": (1, 4, 3, 3, 3), "to_rgb1.bias": (1, 3, 1, 1)}
LIMITS = PhotoLimits(max_megapixels=2.0)
BEYOND = ("Traceback", 'File "', "site-packages", "root:", "/etc/hostname")


def sound_style(folder: Path) -> bytes:
    """A style file as the app writes it."""
    weights = {key: torch.ones(shape).half() for key, shape in SHAPES.items()}
    meta = StyleMeta("mini", "0123456789abcdef", config_values(FinetuneConfig(steps=3)), ("ab" * 32,), 0.5)
    return save_style(GanStyle.of("Ink", weights, meta), folder / "sound.safetensors").read_bytes()


def test_more_than_two_thousand_cases() -> None:
    assert PICTURES + STYLES + VALUES + OVER_HTTP >= 2000


def test_damaged_pictures_become_photos_or_sentences() -> None:
    ended = collections.Counter()
    for number, (kind, data) in enumerate(damaged_pictures(SEED, PICTURES)):
        name, started = f"{kind}-{number}", time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's complaints about damage, which the app passes over too
            result = ended_as(lambda data=data, name=name: load_photo(data, name=name, limits=LIMITS))
        assert time.monotonic() - started < SLOWEST_S, f"{name} took too long"
        ended[type(result).__name__] += 1
        if isinstance(result, StyleIdentityError):
            assert name in str(result)
            continue
        assert result.image.mode == "RGB" and not result.image.info
        assert result.image.width * result.image.height <= LIMITS.max_megapixels * 1e6
    assert ended["Photo"] > PICTURES / 20 and ended["PhotoUnreadable"] > PICTURES / 20, ended


def ended_as(work: Callable[[], Any]) -> Any:
    """The result, or the expected failure; anything else fails the test."""
    try:
        return work()
    except StyleIdentityError as error:
        return error


def test_damaged_style_files_are_refused_with_a_sentence(tmp_path: Path) -> None:
    path, ended = tmp_path / "upload.safetensors", collections.Counter()
    here = {"backbone": "mini", "fingerprint": "0123456789abcdef", "shapes": SHAPES}
    for data in damaged_styles(SEED, STYLES, sound_style(tmp_path)):
        path.write_bytes(data)
        result = ended_as(lambda: load_style(path, **here))
        ended[type(result).__name__] += 1
        assert isinstance(result, GanStyle) or len(str(result)) < 1000
    assert ended["StyleFileInvalid"] > STYLES * 0.8, ended


def test_forged_values_reach_no_file_and_no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(uploads.UPLOAD_FOLDER_ENV, str(tmp_path / "uploads"))
    rng, ended = random.Random(SEED), collections.Counter()
    items = settings.offered(FinetuneConfig)

    def config(values: list[Any]) -> FinetuneConfig:
        pairs = zip(items, values, strict=True)
        return FinetuneConfig(
            **{item.name: settings.read(FinetuneConfig, item, v, name=item.label) for item, v in pairs}
        )

    read = friendly_errors.friendly(config)
    for _ in range(VALUES):
        forged, chosen = value(rng), [value(rng) for _ in items]
        for work in (lambda forged=forged: uploads.uploaded_paths(forged, None), lambda chosen=chosen: read(chosen)):
            try:
                result = work()
            except (gr.Error, friendly_errors.PageProblem):
                ended["sentence"] += 1
            else:
                assert result == [] or 1 <= result.steps <= 2000, forged
                ended["fine"] += 1
    assert ended["sentence"] > VALUES


# --- over HTTP ---------------------------------------------------------------------------------------------


def beyond_reach(reply: httpx.Response) -> None:
    """No answer tells of code or of files outside."""
    assert not [word for word in BEYOND if word in reply.text], reply.text[:500]


async def upload_raw(visitor: Visitor, name: str, content: bytes) -> dict[str, Any] | None:
    """Upload under any name at all, which a browser would not allow."""
    edge = secrets.token_hex(8)
    head = f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    body = head.encode("utf-8", "replace") + content + f"\r\n--{edge}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={edge}"}
    reply = await visitor.post(f"{API}/upload", content=body, headers=kind)
    beyond_reach(reply)
    if reply.status_code != 200 or not reply.json():
        return None
    return {"path": reply.json()[0], "orig_name": name, "meta": {"_type": "gradio.FileData"}}


async def send_uploads(visitor: Visitor, rng: random.Random, marker: str, style: bytes) -> collections.Counter:
    """Damaged files through the page's own uploaders."""
    ended: collections.Counter = collections.Counter()
    sound = pictures()
    for number in range(OVER_HTTP // 4):
        content = damaged(rng, rng.choice(sorted(sound.values())) if number % 2 else style)
        name = rng.choice(NAMES).replace(".", f"-{marker}.", 1)
        payload = await upload_raw(visitor, name, content)
        ended["refused upload" if payload is None else "upload"] += 1
        if payload is None:
            continue
        for elem_id, event in (("photo", "change"), ("open-style", "upload"), ("references", "upload")):
            visitor.set(elem_id, [payload] if elem_id == "references" else payload)
            for outcome in await visitor.fire(elem_id, event):
                assert not [word for word in BEYOND if word in f"{outcome.error}{outcome.data}"]
                ended["fine" if outcome.succeeded else "sentence" if outcome.error else "no words"] += 1
    return ended


async def send_calls(visitor: Visitor, rng: random.Random) -> collections.Counter:
    """Forged calls of every event handler, and bodies that are no calls."""
    ended: collections.Counter = collections.Counter()
    handlers = [d for d in visitor.config["dependencies"] if d.get("backend_fn")]
    for number in range(OVER_HTTP):
        dependency = rng.choice(handlers)
        body: Any = visitor.body(dependency, value(rng))
        if number % 3 == 0:
            body["data"] = [value(rng) for _ in dependency["inputs"]]
        elif number % 3 == 1:
            body[rng.choice(sorted(body))] = value(rng)
        else:
            body["data"] = [value(rng) for _ in range(rng.randrange(12))]
        if number % 20 == 0:
            body = value(rng)
        body = json.dumps(body, allow_nan=True)
        path = "queue/join" if dependency["queue"] is not False else "run/predict"
        reply = await visitor.post(f"{API}/{path}", content=body, headers={"Content-Type": "application/json"})
        beyond_reach(reply)
        ended[reply.status_code] += 1
    return ended


async def attack(server: Running, marker: str, style: bytes) -> tuple[collections.Counter, collections.Counter]:
    """Everything, then a look whether the page still works."""
    rng = random.Random(SEED)
    async with Visitor(server.address) as visitor:
        await visitor.open()
        uploaded = await send_uploads(visitor, rng, marker, style)
        called = await send_calls(visitor, rng)
    async with Visitor(server.address) as visitor:
        assert all(outcome.succeeded for outcome in await visitor.open())
        visitor.set("photo", await visitor.upload("face.png", (ROOT / "assets/examples/face_1.png").read_bytes()))
        taken = await visitor.fire("photo", "change")
        assert taken[0].succeeded, taken[0].error
        assert (await visitor.get("/health")).status_code == 200
    return uploaded, called


def named_after(marker: str, *folders: Path) -> list[Path]:
    """Files whose path holds the marker."""
    return [path for folder in folders for path in folder.rglob(f"*{marker}*")]


def test_attacks_over_http_leave_the_server_well(tmp_path: Path) -> None:
    marker, outside = secrets.token_hex(6), tmp_path / "outside"
    for name in ("home", "tmp"):
        (outside / name).mkdir(parents=True)
    style = sound_style(tmp_path)
    homes = {"HOME": str(outside / "home"), "TMPDIR": str(outside / "tmp"), "STYLEIDENTITY_LIMIT_JOBS": "1000"}
    with serve(tmp_path / "data", fresh=True, **homes, STYLEIDENTITY_LIMIT_WAITING="1000") as server:
        uploaded, called = asyncio.run(asyncio.wait_for(attack(server, marker, style), 900))
        assert uploaded["upload"] > OVER_HTTP / 8 and uploaded["sentence"] > uploaded["no words"], uploaded
        assert sum(called.values()) == OVER_HTTP
        assert server.process.poll() is None
        text = server.log.read_text(errors="replace")
        assert "Traceback" not in text and marker not in text, "logs hold no file names"
        stray = [path for path in outside.rglob("*") if path.is_file() and "matplotlib" not in path.parts]
        assert not stray, stray
        assert not named_after(marker, ROOT, outside)
    assert not named_after(marker, tmp_path / "data" / "uploads"), "nothing is left after the end"
