"""core.weights.fetch against a Hub stand-in: cache, mirrors, pins, resume, sha256, time-outs, full disks."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import close_session, constants
from typer.testing import CliRunner

from core.cli.main import app
from core.errors import DiskFull, TrainingStopped, WeightsChanged, WeightsCorrupted, WeightsUnavailable
from core.files import sha256_of
from core.progress import Progress
from core.weights import pins
from core.weights.fetch import cached, fetch, hub_reachable
from core.weights.first_seen import RECORD_NAME
from core.weights.hub import _RETRIES, Fetched
from core.weights.pins import HubFile
from tests.hub_stand_in import COMMIT, HubStandIn, running_hub

CONTENT = random.Random(7).randbytes(700_000)
FILE = HubFile("net/weights.pt", ("primary/model", "mirror/model"))
PRIMARY, MIRROR = (f"{repo}/{FILE.file_name}" for repo in FILE.repos)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = CONTENT[::-1]
OTHER_SHA256 = hashlib.sha256(OTHER).hexdigest()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    """A Hub that holds FILE in both repositories, and a client with short patience."""
    with running_hub() as hub:
        hub.files = {PRIMARY: CONTENT, MIRROR: CONTENT}
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr("core.weights.hub._RETRY_PAUSE_S", 0.01)
        yield hub
    close_session()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hub cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Switches the Hub off from here on."""
    return lambda: monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def test_downloads_once_and_lands_in_the_hub_cache(hub: HubStandIn, cache: Path, offline: Callable[[], None]) -> None:
    assert cached(FILE) is None
    path = fetch(FILE).path
    assert path.read_bytes() == CONTENT
    assert path.name == "weights.pt"
    assert path.resolve() == cache / "models--primary--model" / "blobs" / hashlib.sha256(CONTENT).hexdigest()
    assert cached(FILE) == path
    assert hub.transfers() == [None]

    hub.requests.clear()
    assert fetch(FILE) == Fetched(path, SHA256)
    offline()
    assert fetch(FILE) == Fetched(path, SHA256)
    assert hub.requests == [], "a sound copy needs no network"


def test_follows_the_redirect_to_another_origin(hub: HubStandIn, cache: Path) -> None:
    hub.redirect, hub.drop_after = True, [100_000]
    assert fetch(FILE).path.read_bytes() == CONTENT
    at_cdn = [wanted for _, path, wanted in hub.requests if path.startswith("/cdn/")]
    assert at_cdn[0] is None and at_cdn[1].startswith("bytes=")


def test_reports_progress_up_to_the_whole(hub: HubStandIn, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.weights.hub._REPORT_EVERY_S", 0.0)
    seen: list[Progress] = []
    fetch(FILE, on_progress=seen.append)
    done = [progress.done for progress in seen]
    assert len(done) > 2 and done == sorted(done)
    assert seen[-1] == Progress(FILE.file_name, len(CONTENT), len(CONTENT), "bytes")
    assert 0 < seen[0].fraction < 1 == seen[-1].fraction


def test_a_dropped_connection_resumes_within_the_call(hub: HubStandIn, cache: Path) -> None:
    hub.drop_after = [300_000, 200_000]
    assert fetch(FILE).path.read_bytes() == CONTENT
    assert hub.transfers() == [None, "bytes=300000-", "bytes=500000-"]


def test_a_later_call_resumes_what_an_earlier_one_began(hub: HubStandIn, cache: Path) -> None:
    def lose_the_server(progress: Progress) -> None:
        hub.fail_get = 503

    hub.drop_after = [300_000]
    with pytest.raises(WeightsUnavailable, match=r"primary/model: the server answered 503; mirror/model: .* 503"):
        fetch(FILE, on_progress=lose_the_server)
    assert cached(FILE) is None

    hub.fail_get = None
    hub.requests.clear()
    assert fetch(FILE).path.read_bytes() == CONTENT
    assert hub.transfers() == ["bytes=300000-"]


def test_the_mirror_continues_what_the_primary_began(hub: HubStandIn, cache: Path) -> None:
    def lose_the_primary(progress: Progress) -> None:
        hub.missing = {"primary/model"}

    hub.drop_after = [300_000]
    path = fetch(FILE, on_progress=lose_the_primary).path
    assert path.read_bytes() == CONTENT
    assert "models--mirror--model" in path.parts
    assert hub.transfers()[-1] == "bytes=300000-"


def test_a_stop_raised_by_progress_keeps_the_part(hub: HubStandIn, cache: Path, own_data_dir: Path) -> None:
    def stop(progress: Progress) -> None:
        raise TrainingStopped

    with pytest.raises(TrainingStopped):
        fetch(FILE, on_progress=stop)
    (part,) = (own_data_dir / "downloads").glob("*.part")
    assert 0 < part.stat().st_size < len(CONTENT)
    assert CONTENT.startswith(part.read_bytes())


def test_a_server_without_ranges_starts_over(hub: HubStandIn, cache: Path) -> None:
    hub.drop_after, hub.ignore_range = [300_000], True
    assert fetch(FILE).path.read_bytes() == CONTENT


def test_gives_up_when_no_byte_comes(hub: HubStandIn, cache: Path) -> None:
    hub.drop_after = [0] * 50
    with pytest.raises(WeightsUnavailable, match="the connection broke"):
        fetch(FILE)
    assert len(hub.transfers()) == 2 * (_RETRIES + 1)


@pytest.mark.parametrize("primary_is", ["missing", "without sha256", "damaged"])
def test_the_mirror_serves_when_the_primary_does_not(hub: HubStandIn, cache: Path, primary_is: str) -> None:
    if primary_is == "missing":
        hub.missing = {"primary/model"}
    else:
        hub.announced[PRIMARY] = "f" * (64 if primary_is == "damaged" else 40)
    path = fetch(FILE).path
    assert path.read_bytes() == CONTENT
    assert "models--mirror--model" in path.parts
    hub.requests.clear()
    assert fetch(FILE) == Fetched(path, SHA256)
    assert not hub.requests


def test_wrong_bytes_are_fetched_twice_and_never_kept(hub: HubStandIn, cache: Path, own_data_dir: Path) -> None:
    hub.announced = {PRIMARY: "a" * 64, MIRROR: "b" * 64}
    with pytest.raises(WeightsCorrupted, match="published sha256"):
        fetch(FILE)
    assert hub.transfers() == [None] * 4
    assert cached(FILE) is None
    assert not list(cache.rglob("blobs/*"))
    assert not list(own_data_dir.rglob("*.part"))


def test_a_damaged_beginning_is_fetched_again(hub: HubStandIn, cache: Path, own_data_dir: Path) -> None:
    part = own_data_dir / "downloads" / f"{SHA256}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    assert fetch(FILE).path.read_bytes() == CONTENT
    assert hub.transfers() == ["bytes=1000-", None]


@pytest.mark.parametrize("same_size", [True, False])
def test_a_damaged_cached_file_is_replaced(hub: HubStandIn, cache: Path, same_size: bool) -> None:
    path = fetch(FILE).path
    path.resolve().write_bytes(CONTENT[:-1] + (b"?" if same_size else b""))
    assert fetch(FILE).path.read_bytes() == CONTENT
    assert len(hub.transfers()) == 2


def test_a_damaged_cached_file_offline_is_removed_and_said(hub: HubStandIn, offline: Callable[[], None]) -> None:
    fetch(FILE).path.resolve().write_bytes(b"short")
    offline()
    with pytest.raises(WeightsUnavailable, match="damaged, and this runs offline"):
        fetch(FILE)
    assert cached(FILE) is None


def test_a_cached_file_is_hashed_once(hub: HubStandIn, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []
    path = fetch(FILE).path
    monkeypatch.setattr("core.weights.hub.sha256_of", lambda path: hashed.append(path) or sha256_of(path))
    fetch(FILE)
    assert not hashed
    path.resolve().touch()
    fetch(FILE)
    fetch(FILE)
    assert hashed == [path.resolve()]


def test_a_cache_without_links_is_checked_too(hub: HubStandIn, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fetch(FILE).path
    shutil.move(path.resolve(), cache / "moved")
    path.unlink()
    shutil.move(cache / "moved", path)
    hub.requests.clear()
    assert fetch(FILE) == Fetched(path, SHA256)
    assert not hub.transfers(), "asked for the sha256 only"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch(FILE) == Fetched(path, SHA256)

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    path.write_bytes(b"short")
    assert fetch(FILE).path.read_bytes() == CONTENT


def test_unreadable_stamps_only_cost_time(hub: HubStandIn, own_data_dir: Path, offline: Callable[[], None]) -> None:
    path = fetch(FILE).path
    for stamp in (own_data_dir / "verified").iterdir():
        stamp.write_text("[]")
    offline()
    assert fetch(FILE) == Fetched(path, SHA256)


def test_offline_without_a_copy(cache: Path) -> None:
    with pytest.raises(WeightsUnavailable, match=r"no copy here, and this runs offline"):
        fetch(FILE)


def test_no_hub_at_all(hub: HubStandIn, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsUnavailable, match="no connection"):
        fetch(FILE)
    assert not hub_reachable()


def test_a_hanging_hub(hub: HubStandIn, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.hang = True
    monkeypatch.setattr("core.weights.hub._ANSWER_TIMEOUT_S", 0.2)
    with pytest.raises(WeightsUnavailable, match="no answer in time"):
        fetch(FILE)


def test_full_disk_before_the_transfer(hub: HubStandIn, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(cache.parent)
    monkeypatch.setattr("core.weights.hub.shutil.disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(DiskFull, match="Free some disk space"):
        fetch(FILE)
    assert not hub.transfers()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's device that is always full")
def test_full_disk_during_the_transfer(hub: HubStandIn, cache: Path, own_data_dir: Path) -> None:
    part = own_data_dir / "downloads" / f"{SHA256}.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    with pytest.raises(DiskFull):
        fetch(FILE)


def test_reachable(hub: HubStandIn) -> None:
    assert hub_reachable()
    hub.fail_all = 503
    assert not hub_reachable()


def test_offline_mode_is_unreachable_at_once() -> None:
    assert not hub_reachable()


def test_reachability_answers_in_time_when_nobody_does(hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        assert not hub_reachable(0.4)
        assert time.monotonic() - start < 2


def test_reachability_does_not_wait_for_a_slow_name_lookup(hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object, **__: object) -> None:
        time.sleep(1.5)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    monkeypatch.setenv("HF_ENDPOINT", "http://localhost:9")
    start = time.monotonic()
    assert not hub_reachable(0.3)
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "first seen"])
def test_a_mirror_counts_only_with_the_same_sha256(hub: HubStandIn, cache: Path, pinned: bool) -> None:
    file = replace(FILE, sha256=SHA256) if pinned else FILE
    if not pinned:
        fetch(file)
        shutil.rmtree(cache)
    hub.files[PRIMARY] = OTHER
    hub.requests.clear()
    path = fetch(file).path
    assert path.read_bytes() == CONTENT and "models--mirror--model" in path.parts
    assert len(hub.transfers()) == 1, "what is announced as another file is not even downloaded"

    shutil.rmtree(cache)
    hub.files[MIRROR] = OTHER
    sentence = rf"sha256 {SHA256}.*primary/model: it has sha256 {OTHER_SHA256}"
    with pytest.raises(WeightsChanged, match=sentence) as caught:
        fetch(file)
    wanted = "update the app" if pinned else f"remove the entry from '{RECORD_NAME}' in the data folder"
    assert wanted in str(caught.value)
    assert not list(cache.rglob("blobs/*"))


def test_the_first_download_is_recorded_shown_and_never_replaced(
    hub: HubStandIn, cache: Path, own_data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        fetch(FILE)
    assert SHA256 in caplog.text and "primary/model" in caplog.text
    record = own_data_dir / RECORD_NAME
    first = record.read_text()
    assert json.loads(first)[PRIMARY]["sha256"] == SHA256

    shutil.rmtree(cache)
    hub.files = {PRIMARY: OTHER, MIRROR: OTHER}
    with pytest.raises(WeightsChanged):
        fetch(FILE)
    assert record.read_text() == first
    record.write_text("{}")
    assert fetch(FILE) == Fetched(cached(FILE), OTHER_SHA256), "whoever removes the entry trusts the new file"


def test_a_pinned_file_needs_no_record(hub: HubStandIn, own_data_dir: Path) -> None:
    fetch(replace(FILE, sha256=SHA256))
    assert not (own_data_dir / RECORD_NAME).exists()


def test_a_copy_of_earlier_days_is_recorded_without_the_network(
    hub: HubStandIn, own_data_dir: Path, offline: Callable[[], None]
) -> None:
    fetch(FILE)
    (own_data_dir / RECORD_NAME).unlink()
    offline()
    fetch(FILE)
    assert json.loads((own_data_dir / RECORD_NAME).read_text())[PRIMARY]["sha256"] == SHA256


def test_another_sound_file_in_the_cache_is_left_alone(
    hub: HubStandIn, own_data_dir: Path, offline: Callable[[], None]
) -> None:
    path = fetch(FILE).path
    offline()
    with pytest.raises(WeightsChanged, match=f"primary/model: it has sha256 {SHA256}"):
        fetch(replace(FILE, sha256=OTHER_SHA256))
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("content", ["", "[1]", '{"primary/model/net/weights.pt": 3}', '{"a": {}}'])
def test_an_unreadable_record_is_a_sentence(hub: HubStandIn, own_data_dir: Path, content: str) -> None:
    own_data_dir.mkdir(exist_ok=True)
    (own_data_dir / RECORD_NAME).write_text(content)
    with pytest.raises(WeightsUnavailable, match=f"'{RECORD_NAME}' in the data folder can't be read"):
        fetch(FILE)
    assert not hub.transfers()


def test_two_first_downloads_at_once_agree(hub: HubStandIn, own_data_dir: Path) -> None:
    def other_process_is_first(progress: Progress) -> None:
        own_data_dir.mkdir(exist_ok=True)
        (own_data_dir / RECORD_NAME).write_text(json.dumps({PRIMARY: {"sha256": OTHER_SHA256}}))

    with pytest.raises(WeightsChanged, match=f"sha256 {OTHER_SHA256}.*it has sha256 {SHA256}"):
        fetch(FILE, on_progress=other_process_is_first)


def test_a_pinned_revision_is_what_the_primary_is_asked_for(hub: HubStandIn) -> None:
    revision = "89" * 20
    file = replace(FILE, revision=revision)
    path = fetch(file).path
    assert revision in path.parts and cached(file) == path
    hub.requests.clear()
    assert fetch(file).path == path and not hub.requests
    assert cached(FILE) is None, "the newest one is not known by that"

    hub.missing = {"primary/model"}
    shutil.rmtree(path.parents[2])
    assert COMMIT in fetch(file).path.parts, "a mirror's commits are others"


def test_the_command_shows_what_a_file_is_held_to(
    hub: HubStandIn, own_data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = replace(FILE, file_name="pinned.pt", sha256=OTHER_SHA256)
    monkeypatch.setattr(pins, "PUBLISHED", (FILE, pinned))
    runner = CliRunner()
    before = json.loads(runner.invoke(app, ["weights", "--json"]).stdout)["weights"][0]
    assert before == {
        "file": FILE.file_name,
        "repository": "primary/model",
        "sha256": None,
        "known_from": "nothing yet",
    }
    path = fetch(FILE).path
    first, second = json.loads(runner.invoke(app, ["weights", "--json"]).stdout)["weights"]
    assert (first["sha256"], first["known_from"], first["copy"]) == (SHA256, "first download", str(path))
    assert first["recorded"].endswith(", primary/model")
    assert (second["sha256"], second["known_from"], "copy" in second) == (OTHER_SHA256, "published sum", False)
    shown = [line.split() for line in runner.invoke(app, ["weights"]).stdout.splitlines()]
    assert shown[1][:5] == [PRIMARY, "yes", SHA256, "first", "download"]
    (own_data_dir / RECORD_NAME).write_text("[")
    damaged = runner.invoke(app, ["weights"])
    assert damaged.exit_code == 1 and RECORD_NAME in damaged.stderr


def test_pins() -> None:
    published = (pins.STYLEGAN2_FFHQ, pins.E4E_FFHQ, pins.LANDMARKS_68, pins.INCEPTION_FID)
    for file in published:
        assert len(set(file.repos)) >= 2, "a mirror"
    assert len({place.sha256 for place in pins.ARCFACE_IR_SE50}) == 1 and len(pins.ARCFACE_IR_SE50) == 2
    digits = pins.INCEPTION_FID.file_name.rpartition("-")[2].removesuffix(".pth")
    assert pins.INCEPTION_FID.sha256.startswith(digits), "the file's own name holds the first digits"
    for file in pins.PUBLISHED:
        assert file.repos and re.fullmatch("[0-9a-f]{40}", file.revision or "0" * 40)
        assert re.fullmatch("[0-9a-f]{64}", file.sha256 or "0" * 64)
