"""Several visitors at once, over HTTP as their browsers would: nobody sees, waits for or stops what isn't theirs."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import secrets
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
import pytest
from PIL import Image

from core.config import ASSETS_DIR
from core.ui.server import admission
from tests.visitor import API, Outcome, Running, Visitor, serve

pytestmark = pytest.mark.slow

LONG_STEPS, SHORT_STEPS = 900, 6
JOBS = 3
FACE = ASSETS_DIR / "examples" / "face_1.png"
T = TypeVar("T")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One tiny server for the whole module."""
    folder = tmp_path_factory.mktemp("server") / "data"
    with serve(folder, STYLEIDENTITY_LIMIT_JOBS=str(JOBS), STYLEIDENTITY_LIMIT_UPLOAD_BYTES="3000000") as running:
        yield running
        text = running.log.read_text()
        assert "Traceback" not in text, text[-3000:]


def play(story: Callable[[], Awaitable[T]], limit_s: float = 300.0) -> T:
    """Run one story of several visitors."""

    async def limited() -> T:
        return await asyncio.wait_for(story(), limit_s)

    return asyncio.run(limited())


def artwork(seed: int, side: int = 96) -> bytes:
    """A PNG that no other seed gives."""
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


def reference_hash(content: bytes, side: int = 1024) -> str:
    """What a style's history says about a reference that was taken as it is."""
    image = Image.open(io.BytesIO(content)).convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    return hashlib.sha256(np.asarray(image).tobytes()).hexdigest()


def told(style: bytes) -> dict[str, Any]:
    """A style file's history."""
    header = json.loads(style[8 : 8 + int.from_bytes(style[:8], "little")])
    return json.loads(header["__metadata__"]["styleidentity"])


async def with_reference(server: Running, seed: int, *, steps: int = SHORT_STEPS, **options: Any) -> Visitor:
    """A visitor on the New style page with one picture."""
    visitor = Visitor(server.address, **options)
    assert all(outcome.succeeded for outcome in await visitor.open())
    visitor.set("aligned", True)
    visitor.set("references", [await visitor.upload(f"art-{seed}.png", artwork(seed))])
    (added,) = await visitor.fire("references", "upload")
    assert added.succeeded, added.error
    visitor.set("steps", steps)
    visitor.set("method", "jojogan")  # the quickest
    return visitor


def training(outcomes: list[Outcome]) -> Outcome:
    """The queued event among those of the Train button."""
    return max(outcomes, key=lambda outcome: outcome.messages)


async def health(server: Running) -> dict[str, Any]:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{server.address}health")).json()


async def until(server: Running, holds: Callable[[dict[str, Any]], bool], limit_s: float = 30.0) -> dict[str, Any]:
    """Wait until `/health` says so."""
    started = time.monotonic()
    while not holds(answer := (await health(server))["queue"]):
        assert time.monotonic() - started < limit_s, answer
        await asyncio.sleep(0.05)
    return answer


# --- own results -------------------------------------------------------------------------------------------


def test_two_who_train_at_once_get_their_own_styles(server: Running) -> None:
    async def story() -> None:
        anna, boris = await asyncio.gather(with_reference(server, 1), with_reference(server, 2))
        async with anna, boris:
            both = await asyncio.gather(anna.fire("train", "click"), boris.fire("train", "click"))
            assert all(outcome.succeeded for outcomes in both for outcome in outcomes)
            waited = [training(outcomes).positions for outcomes in both]
            assert any(waited), "one of them was told of the line"
            styles = [await visitor.file(visitor.value("download-style")) for visitor in (anna, boris)]
            assert [told(style)["reference_hashes"] for style in styles] == [
                [reference_hash(artwork(1))],
                [reference_hash(artwork(2))],
            ]
            await anna.choose("style-name", "Anna's ink", "change")
            name = "Anna&#39;s ink"  # whole: four letters may stand in a tile's encoded picture
            assert name in anna.value("styles") and "My style" in boris.value("styles")
            assert name not in boris.value("styles")

    play(story)


def test_drawings_of_two_photos_don_t_mix(server: Running) -> None:
    async def draw(visitor: Visitor, photo: bytes) -> Image.Image:
        visitor.set("brush", 0)  # the generator's drawing is enough to tell whose it is
        visitor.set("photo", await visitor.upload("me.png", photo))
        await visitor.fire("photo", "change")
        outcomes = await visitor.fire("styles", "click", {"pick": slug(visitor)})
        assert all(outcome.succeeded for outcome in outcomes), [outcome.error for outcome in outcomes]
        picture = Image.open(io.BytesIO(await visitor.file(visitor.value("download"))))
        picture.load()
        return picture

    def slug(visitor: Visitor) -> str:
        return "my-" + visitor.value("styles").split('data-pick="my-')[1].split('"')[0]

    async def story() -> None:
        faces = [Path("assets/examples") / f"face_{number}.png" for number in (1, 2)]
        visitors = await asyncio.gather(with_reference(server, 3), with_reference(server, 4))
        for visitor in visitors:
            assert all(outcome.succeeded for outcome in await visitor.fire("train", "click"))
        photos = [face.read_bytes() for face in faces]
        first = await asyncio.gather(*(draw(v, p) for v, p in zip(visitors, photos, strict=True)))
        alone = [await draw(v, p) for v, p in zip(visitors, photos, strict=True)]
        for together, after in zip(first, alone, strict=True):
            assert np.array_equal(np.asarray(together), np.asarray(after)), "the same alone as beside the other"
        assert not np.array_equal(np.asarray(first[0]), np.asarray(first[1]))
        for visitor in visitors:
            await visitor.close()

    play(story)


def test_nobody_reads_another_s_files(server: Running) -> None:
    async def story() -> None:
        async with await with_reference(server, 5) as anna, Visitor(server.address) as boris:
            await boris.open()
            assert all(outcome.succeeded for outcome in await anna.fire("train", "click"))
            published = anna.value("download-style")["path"]
            content = await anna.file(anna.value("download-style"))
            own = [path for path in (server.data / "sessions").rglob("*") if path.is_file()]
            assert any(path.suffix == ".safetensors" for path in own)
            closed = [
                *own,
                *(server.data / name for name in ("votes.sqlite3", "visitors.key", "sessions", "uploads")),
                server.data / "uploads" / "..." / "x",
                Path(published).parent,
                Path(published).parent.parent,
            ]
            for path in closed:
                for address in (
                    f"file={path}",
                    f"file/{path}",
                    f"file={path.parent}/../{path.parent.name}/{path.name}",
                ):
                    reply = await boris.get(f"{API}/{address}")
                    assert reply.status_code in (403, 404), address
                    assert content[:100] not in reply.content
            place, name = Path(published).parent.name, Path(published).name
            assert len(place) == 64 and place != hashlib.sha256(content).hexdigest()
            for guess in (hashlib.sha256(content).hexdigest(), secrets.token_hex(32), anna.session):
                reply = await boris.get(f"{API}/file={Path(published).parent.parent / guess / name}")
                assert reply.status_code == 403

    play(story)


def test_a_forged_upload_reads_no_file_of_the_server(server: Running) -> None:
    async def story() -> None:
        async with Visitor(server.address) as visitor:
            await visitor.open()
            secret = next(path for path in server.data.iterdir() if path.is_file())
            for path in (str(secret), "/etc/hostname", f"{server.data}/uploads/../{secret.name}", "x", ""):
                for elem_id, event, wrap in (("photo", "change", None), ("references", "upload", [])):
                    payload = {"path": path, "orig_name": "me.png"}
                    visitor.set(elem_id, payload if wrap is None else [payload])
                    for outcome in await visitor.fire(elem_id, event):
                        text = f"{outcome.error} {outcome.data}"
                        assert "Traceback" not in text and "hostname" not in text and secret.name not in text

    play(story)


def test_a_reload_finds_the_own_styles_and_no_others(server: Running) -> None:
    async def story() -> None:
        key = secrets.token_hex(16)
        async with await with_reference(server, 6, tab_key=key) as anna:
            assert all(outcome.succeeded for outcome in await anna.fire("train", "click"))
        async with Visitor(server.address, tab_key=key) as again, Visitor(server.address) as stranger:
            await asyncio.gather(again.open(), stranger.open())
            assert 'data-pick="my-' in again.value("styles")
            assert 'data-pick="my-' not in stranger.value("styles")

    play(story)


# --- the line ----------------------------------------------------------------------------------------------


def test_drawings_and_light_events_don_t_wait_for_training(server: Running) -> None:
    async def story() -> None:
        async with await with_reference(server, 7) as anna, Visitor(server.address) as boris:
            assert all(outcome.succeeded for outcome in await anna.fire("train", "click"))
            own_style = await anna.file(anna.value("download-style"))
            anna.set("steps", LONG_STEPS)
            run = asyncio.create_task(anna.fire("train", "click"))
            await until(server, lambda queue: queue["running_jobs"] == 1)
            opened = time.monotonic()
            await boris.open()
            assert time.monotonic() - opened < 10, "the page opens while somebody trains"
            for _ in range(10):
                await boris.choose("preset", "cartoon")
            assert not run.done(), "the training outlasts the light events"
            assert statistics.median(boris.light_s) < 0.3
            boris.set("brush", 0)
            boris.set("photo", await boris.upload("me.png", FACE.read_bytes()))
            refused = await boris.fire("photo", "change")
            errors = [outcome.error for outcome in refused if outcome.error]
            assert len(errors) == 1 and "watercolour" in errors[0], "the ready-made styles are another model's"
            boris.set("open-style", await boris.upload("ink.safetensors", own_style))
            drawn = await boris.fire("open-style", "upload")
            assert all(outcome.succeeded for outcome in drawn) and boris.value("download")
            assert not run.done(), "a portrait doesn't wait for the end of a training"
            await anna.fire("stop", "click")
            await run

    play(story)


def test_the_line_is_told_and_left(server: Running) -> None:
    async def story() -> None:
        anna, boris = await asyncio.gather(
            with_reference(server, 8, steps=LONG_STEPS), with_reference(server, 9, steps=LONG_STEPS)
        )
        async with anna, boris:
            first = asyncio.create_task(anna.fire("train", "click"))
            await until(server, lambda queue: queue["running_jobs"] == 1)
            second = asyncio.create_task(boris.fire("train", "click"))
            await until(server, lambda queue: queue["waiting_jobs"] == 1)
            left = time.monotonic()
            await boris.fire("stop", "click")
            outcomes = await second
            assert time.monotonic() - left < 5, "leaving the line takes no turn"
            assert training(outcomes).positions[0] == (0, 1)
            assert "Training was stopped" in boris.value("run")
            queue = await until(server, lambda queue: queue["waiting_jobs"] == 0)
            assert queue["running_jobs"] == 1 and not first.done(), "anna's run goes on"
            stopping = time.monotonic()
            await anna.fire("stop", "click")
            await until(server, lambda queue: queue["running_jobs"] == 0)
            assert time.monotonic() - stopping < 10, "stopping frees the accelerator at the next piece of work"
            await first
            assert "Training was stopped" in anna.value("run")

    play(story)


def test_a_closed_tab_frees_the_accelerator_and_the_line(server: Running) -> None:
    async def story() -> None:
        anna, boris = await asyncio.gather(
            with_reference(server, 10, steps=LONG_STEPS), with_reference(server, 11, steps=LONG_STEPS)
        )
        runs = []
        for visitor, wanted in ((anna, "running_jobs"), (boris, "waiting_jobs")):
            runs.append(asyncio.create_task(visitor.fire("train", "click")))
            await until(server, lambda queue, wanted=wanted: queue[wanted] == 1)
        for visitor, run in ((boris, runs[1]), (anna, runs[0])):
            run.cancel()
            await visitor.close()
        await until(server, lambda queue: queue["running_jobs"] == queue["waiting_jobs"] == 0)

    play(story)


def test_one_visitor_can_t_fill_the_line(server: Running) -> None:
    async def story() -> None:
        async with await with_reference(server, 12, steps=LONG_STEPS) as visitor:
            runs = [asyncio.create_task(visitor.fire("train", "click"))]
            await until(server, lambda queue: queue["running_jobs"] == 1)
            for count in range(1, JOBS):
                runs.append(asyncio.create_task(visitor.fire("train", "click")))
                await until(server, lambda queue, count=count: queue["waiting_jobs"] == count)
            refused = await visitor.fire("train", "click")
            assert admission.ENOUGH.format(count=JOBS) in [outcome.error for outcome in refused]
            await visitor.fire("stop", "click")
            for run in runs:
                run.cancel()
        await until(server, lambda queue: queue["running_jobs"] == queue["waiting_jobs"] == 0)

    play(story)


# --- limits over HTTP --------------------------------------------------------------------------------------


def test_uploads_that_are_too_large_or_no_pictures_get_a_sentence(server: Running) -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    page = b"<!doctype html><script>alert(1)</script>"

    async def story() -> None:
        async with Visitor(server.address) as visitor:
            await visitor.open()
            reply = await visitor.post(f"{API}/upload", files={"files": ("big.png", b"x" * 3_000_001)})
            assert reply.status_code == 413
            for name, content, words in (
                ("drawing.svg", svg, "'drawing.svg' is an SVG drawing, which we don't open."),
                ("page.html", page, "'page.html' is a web page, which we don't open."),
                ("page.png", page, "'page.png' is a web page, which we don't open."),
                ("empty.png", b"", "We couldn't read 'empty.png' as a picture."),
            ):
                payload = await visitor.upload(name, content)
                reply = await visitor.get(f"{API}/file={payload['path']}")
                if not name.endswith(".png"):
                    assert reply.headers["content-disposition"].startswith("attachment")
                    assert reply.headers["content-type"] == "application/octet-stream"
                assert "sandbox" in reply.headers["content-security-policy"]
                assert reply.headers["x-content-type-options"] == "nosniff"
                visitor.set("photo", payload)
                outcomes = await visitor.fire("photo", "change")
                assert words in str(outcomes[0].error)
                visitor.set("references", [payload])
                await visitor.fire("references", "upload")
                assert words.replace("'", "&#39;") in visitor.value("cards")

    play(story)


def test_style_files_of_strangers_get_a_sentence(server: Running) -> None:
    async def story() -> None:
        async with Visitor(server.address) as visitor:
            await visitor.open()
            for name, content in (
                ("style.safetensors", b"\xff" * 200),
                ("style.safetensors", (10**9).to_bytes(8, "little") + b"{}"),
                ("style.pt", b"PK\x03\x04"),
            ):
                visitor.set("open-style", await visitor.upload(name, content))
                (refused, *_) = await visitor.fire("open-style", "upload")
                assert f"'{name}' is not a style this app can use" in str(refused.error)
            assert 'data-pick="my-' not in visitor.value("styles")
        assert not list((server.data / "sessions").rglob("*.pt"))

    play(story)
