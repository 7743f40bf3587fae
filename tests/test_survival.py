"""What must survive: a killed process, a full disk, a Hub that is down. Afterwards the app starts clean."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import torch

from core.engines.fewshot_gan.style_file import load_style
from core.ui.server import admission
from tests.app_process import free_port
from tests.forked import Forked
from tests.saving import HERE, big_style
from tests.test_isolation import artwork, told, until, with_reference
from tests.visitor import API, ROOT, Running, Visitor, environment, serve

pytestmark = pytest.mark.slow

KILLS = 4


# --- killed ------------------------------------------------------------------------------------------------


def test_a_style_that_is_being_saved_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path, log, rng = tmp_path / "ink.safetensors", tmp_path / "saving.log", random.Random(1)
    for _ in range(KILLS):
        log.write_bytes(b"")
        saving = Forked("tests.saving", os.environ, log, str(path))
        while "saving\n" not in log.read_text():
            assert saving.poll() is None, log.read_text()
            time.sleep(0.02)
        time.sleep(rng.uniform(0.02, 0.3))
        saving.kill()
        assert saving.wait() == -signal.SIGKILL
        if path.exists():
            style = load_style(path, **HERE)
            number = int(style.name.split()[1])
            assert torch.equal(style.weights["to_rgb1.bias"], big_style(number).weights["to_rgb1.bias"])
    assert path.exists(), "at least one save was done before the last kill"


def test_a_server_killed_while_it_trains_loses_no_saved_style_and_starts_clean(tmp_path: Path) -> None:
    data, key = tmp_path / "data", secrets.token_hex(16)

    async def train_and_kill(server: Running) -> None:
        async with await with_reference(server, 1, tab_key=key) as visitor:
            assert all(outcome.succeeded for outcome in await visitor.fire("train", "click"))
            await visitor.choose("style-name", "Kept ink", "change")
            visitor.set("steps", 900)
            run = asyncio.create_task(visitor.fire("train", "click"))
            await until(server, lambda queue: queue["running_jobs"] == 1)
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            run.cancel()

    async def find_again(server: Running) -> bytes:
        async with Visitor(server.address, tab_key=key) as visitor, Visitor(server.address) as stranger:
            await asyncio.gather(visitor.open(), stranger.open())
            assert "Kept ink" in visitor.value("styles")
            assert "Kept ink" not in stranger.value("styles")
            slug = "my-" + visitor.value("styles").split('data-pick="my-')[1].split('"')[0]
            files = [path.read_bytes() for path in (data / "sessions").glob(f"*/{slug}/*.safetensors")]
            visitor.set("brush", 0)
            visitor.set("photo", await visitor.upload("me.png", (ROOT / "assets/examples/face_1.png").read_bytes()))
            await visitor.fire("photo", "change")
            assert all(outcome.succeeded for outcome in await visitor.fire("styles", "click", {"pick": slug}))
            assert len(await visitor.file(visitor.value("download"))) > 1000
            return next(content for content in files if told(content)["name"] == "Kept ink")

    with serve(data) as server:
        asyncio.run(train_and_kill(server))
        left = [path for path in (data / "uploads").iterdir() if path.is_dir()]
        assert left, "a killed process can't clear up"
    with serve(data) as server:
        assert not any(folder.exists() for folder in left), "the next one does"
        style = asyncio.run(find_again(server))
        assert len(told(style)["reference_hashes"]) == 1
        assert "Traceback" not in server.log.read_text()
    assert not list(data.rglob("*.part")) and not list((data / "uploads").iterdir())


def test_a_stop_ends_a_running_training_within_seconds(tmp_path: Path) -> None:
    async def story(server: Running) -> None:
        async with await with_reference(server, 2, steps=900) as visitor:
            run = asyncio.create_task(visitor.fire("train", "click"))
            await until(server, lambda queue: queue["running_jobs"] == 1)
            started = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(server.process.wait, 60) == 0
            assert time.monotonic() - started < 15, "with a page open and a job running"
            run.cancel()

    with serve(tmp_path / "data") as server:
        asyncio.run(story(server))
        ended = {line["event"]: line for line in server.logged()}
        assert ended["stopping"]["runs"] == 1 and ended["stopped"]["cut_off"] == 0
        assert "Traceback" not in server.log.read_text()
    assert not list((tmp_path / "data" / "uploads").iterdir())


# --- a full disk -------------------------------------------------------------------------------------------


def test_a_full_disk_leaves_old_files_whole_and_says_so(tmp_path: Path) -> None:
    """No file may grow beyond 50 kB here, which a program meets as it meets a disk without space."""
    log = tmp_path / "told.log"
    folder = tmp_path / "files"
    folder.mkdir()
    assert Forked("tests.full_disk", os.environ, log, str(folder)).wait(120) == 0, log.read_text()
    report = json.loads(log.read_text().splitlines()[-1])
    assert report["same"] and report["left"] == ["face.png", "ink.safetensors"], report
    assert len(report["told"]) == 3
    assert all("There is no space left to write" in words for words in report["told"]), report


def test_a_server_on_a_full_disk_goes_on(tmp_path: Path) -> None:
    async def story(server: Running) -> None:
        async with Visitor(server.address) as visitor:
            await visitor.open()
            big = await visitor.post(f"{API}/upload", files={"files": ("big.png", secrets.token_bytes(3_000_000))})
            assert big.status_code == 507 and big.json()["detail"] == admission.NO_SPACE
            visitor.set("aligned", True)
            visitor.set("references", [await visitor.upload("art.png", artwork(5))])
            (added,) = await visitor.fire("references", "upload")
            assert added.succeeded
            assert (await visitor.get("/health")).json()["status"] == "ok"

    with serve(tmp_path / "data", TESTS_WITH_FILES_UP_TO="2000000") as server:
        asyncio.run(story(server))


# --- the Hub is down ---------------------------------------------------------------------------------------


def test_without_the_hub_the_page_works_and_votes_wait(tmp_path: Path) -> None:
    hub = {
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN": "hf_nobody",
        "STYLEIDENTITY_VOTES_DATASET": "somebody/votes",
        "STYLEIDENTITY_BACKBONE": "auto",
    }
    with serve(tmp_path / "data", fresh=True, **hub) as server:
        started = time.monotonic()
        while not (answer := httpx.get(f"{server.address}health").json())["votes"]:
            assert time.monotonic() - started < 60
            time.sleep(0.2)
        assert answer["status"] == "ok"
        assert "Votes are kept on this machine; the dataset somebody/votes" in answer["votes"]
        assert "trying again" in answer["votes"]
        stopping = time.monotonic()
        assert server.end() == 0
        assert time.monotonic() - stopping < 20


def test_weights_that_can_t_be_had_are_told_and_health_is_503(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    port = free_port()
    surroundings = environment(
        tmp_path / "data",
        GRADIO_SERVER_PORT=str(port),
        HF_ENDPOINT="http://127.0.0.1:9",
        HF_HUB_OFFLINE="0",
        HF_HOME=str(tmp_path / "hub"),
        STYLEIDENTITY_BACKBONE="ffhq",
    )
    with log.open("wb") as sink:
        process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=surroundings, stdout=sink, stderr=sink)
    try:
        answer = asyncio.run(failed_start(f"http://127.0.0.1:{port}", process))
        assert answer["backbone"] is None
        assert process.poll() is None, "the page stays up to say why"
    finally:
        process.terminate()
        process.wait(timeout=30)
    text = log.read_text()
    assert "the model could not be opened" in text and "Traceback" not in text
    assert "Check the network and try again" in text


async def failed_start(address: str, process: subprocess.Popen) -> dict:
    """Wait for a start that fails; the page then says so."""
    async with httpx.AsyncClient(base_url=address) as client:
        for _ in range(600):
            assert process.poll() is None
            try:
                reply = await client.get("/health")
            except httpx.TransportError:
                await asyncio.sleep(0.2)
                continue
            if reply.status_code == 503:
                break
            assert reply.json()["status"] == "starting"
            await asyncio.sleep(0.2)
    assert reply.json()["status"] == "failed"
    async with Visitor(address) as visitor:
        await visitor.open()
        assert "could not be downloaded" in visitor.value("status")
    return reply.json()
