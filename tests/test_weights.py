"""core.weights.fetch against a Hub stand-in: cache, mirrors, resume, sha256, time-outs, full disks, unsafe pickles."""

from __future__ import annotations

import hashlib
import json
import pickle
import random
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from huggingface_hub import close_session, constants

from core.errors import (
    DiskFull,
    EmbeddedFileDamaged,
    StyleIdentityError,
    TrainingStopped,
    WeightsCorrupted,
    WeightsUnavailable,
    WeightsUnsafe,
)
from core.weights import fetch as weights
from core.weights import hub as weights_hub
from core.weights.fetch import DownloadProgress, HubFile, fetch
from tests.hub_stand_in import HubStandIn, running_hub

CONTENT = random.Random(7).randbytes(700_000)
FILE = HubFile("net/weights.pt", ("primary/model", "mirror/model"))
PRIMARY, MIRROR = (f"{repo}/{FILE.file_name}" for repo in FILE.repos)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    """A Hub that holds FILE in both repositories, and a client with short patience."""
    with running_hub() as hub:
        hub.files = {PRIMARY: CONTENT, MIRROR: CONTENT}
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(weights_hub, "_RETRY_PAUSE_S", 0.01)
        yield hub
    close_session()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """An empty Hub cache."""
    return tmp_path / "hub"


def test_downloads_once_and_lands_in_the_hub_cache(hub: HubStandIn, cache: Path) -> None:
    assert weights.cached(FILE, cache_dir=cache) is None
    path = fetch(FILE, cache_dir=cache)
    assert path.read_bytes() == CONTENT
    assert path.name == "weights.pt"
    assert path.resolve() == cache / "models--primary--model" / "blobs" / hashlib.sha256(CONTENT).hexdigest()
    assert weights.cached(FILE, cache_dir=cache) == path
    assert hub.transfers() == [None]

    hub.requests.clear()
    assert fetch(FILE, cache_dir=cache) == path
    assert fetch(FILE, cache_dir=cache, offline=True) == path
    assert hub.requests == [], "a sound copy needs no network"


def test_follows_the_redirect_to_another_origin(hub: HubStandIn, cache: Path) -> None:
    hub.redirect, hub.drop_after = True, [100_000]
    assert fetch(FILE, cache_dir=cache).read_bytes() == CONTENT
    at_cdn = [wanted for _, path, wanted in hub.requests if path.startswith("/cdn/")]
    assert at_cdn[0] is None and at_cdn[1].startswith("bytes=")


def test_reports_progress_up_to_the_whole(hub: HubStandIn, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_hub, "_REPORT_EVERY_S", 0.0)
    seen: list[DownloadProgress] = []
    fetch(FILE, on_progress=seen.append, cache_dir=cache)
    done = [progress.bytes_done for progress in seen]
    assert len(done) > 2 and done == sorted(done)
    assert seen[-1] == DownloadProgress(FILE.file_name, len(CONTENT), len(CONTENT))
    assert 0 < seen[0].fraction < 1 == seen[-1].fraction


def test_a_dropped_connection_resumes_within_the_call(hub: HubStandIn, cache: Path) -> None:
    hub.drop_after = [300_000, 200_000]
    assert fetch(FILE, cache_dir=cache).read_bytes() == CONTENT
    assert hub.transfers() == [None, "bytes=300000-", "bytes=500000-"]


def test_a_later_call_resumes_what_an_earlier_one_began(hub: HubStandIn, cache: Path) -> None:
    def lose_the_server(progress: DownloadProgress) -> None:
        hub.fail_get = 503

    hub.drop_after = [300_000]
    with pytest.raises(WeightsUnavailable, match=r"primary/model: the server answered 503; mirror/model: .* 503"):
        fetch(FILE, on_progress=lose_the_server, cache_dir=cache)
    assert weights.cached(FILE, cache_dir=cache) is None

    hub.fail_get = None
    hub.requests.clear()
    assert fetch(FILE, cache_dir=cache).read_bytes() == CONTENT
    assert hub.transfers() == ["bytes=300000-"]


def test_the_mirror_continues_what_the_primary_began(hub: HubStandIn, cache: Path) -> None:
    def lose_the_primary(progress: DownloadProgress) -> None:
        hub.missing = {"primary/model"}

    hub.drop_after = [300_000]
    path = fetch(FILE, on_progress=lose_the_primary, cache_dir=cache)
    assert path.read_bytes() == CONTENT
    assert "models--mirror--model" in path.parts
    assert hub.transfers()[-1] == "bytes=300000-"


def test_a_stop_raised_by_progress_keeps_the_part(hub: HubStandIn, cache: Path, own_data_dir: Path) -> None:
    def stop(progress: DownloadProgress) -> None:
        raise TrainingStopped

    with pytest.raises(TrainingStopped):
        fetch(FILE, on_progress=stop, cache_dir=cache)
    (part,) = (own_data_dir / "downloads").glob("*.part")
    assert 0 < part.stat().st_size < len(CONTENT)
    assert CONTENT.startswith(part.read_bytes())


def test_a_server_without_ranges_starts_over(hub: HubStandIn, cache: Path) -> None:
    hub.drop_after, hub.ignore_range = [300_000], True
    assert fetch(FILE, cache_dir=cache).read_bytes() == CONTENT


def test_gives_up_when_no_byte_comes(hub: HubStandIn, cache: Path) -> None:
    hub.drop_after = [0] * 50
    with pytest.raises(WeightsUnavailable, match="the connection broke"):
        fetch(FILE, cache_dir=cache)
    assert len(hub.transfers()) == 2 * (weights_hub._RETRIES + 1)


@pytest.mark.parametrize("primary_is", ["missing", "without sha256", "damaged"])
def test_the_mirror_serves_when_the_primary_does_not(hub: HubStandIn, cache: Path, primary_is: str) -> None:
    if primary_is == "missing":
        hub.missing = {"primary/model"}
    else:
        hub.announced[PRIMARY] = "f" * (64 if primary_is == "damaged" else 40)
    path = fetch(FILE, cache_dir=cache)
    assert path.read_bytes() == CONTENT
    assert "models--mirror--model" in path.parts
    hub.requests.clear()
    assert fetch(FILE, cache_dir=cache) == path
    assert not hub.requests


def test_wrong_bytes_are_fetched_twice_and_never_kept(hub: HubStandIn, cache: Path, own_data_dir: Path) -> None:
    hub.announced = {PRIMARY: "a" * 64, MIRROR: "b" * 64}
    with pytest.raises(WeightsCorrupted, match="published sha256"):
        fetch(FILE, cache_dir=cache)
    assert hub.transfers() == [None] * 4
    assert weights.cached(FILE, cache_dir=cache) is None
    assert not list(cache.rglob("blobs/*"))
    assert not list(own_data_dir.rglob("*.part"))


def test_a_damaged_beginning_is_fetched_again(hub: HubStandIn, cache: Path, own_data_dir: Path) -> None:
    part = own_data_dir / "downloads" / f"{hashlib.sha256(CONTENT).hexdigest()}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    assert fetch(FILE, cache_dir=cache).read_bytes() == CONTENT
    assert hub.transfers() == ["bytes=1000-", None]


@pytest.mark.parametrize("same_size", [True, False])
def test_a_damaged_cached_file_is_replaced(hub: HubStandIn, cache: Path, same_size: bool) -> None:
    path = fetch(FILE, cache_dir=cache)
    path.resolve().write_bytes(CONTENT[:-1] + (b"?" if same_size else b""))
    assert fetch(FILE, cache_dir=cache).read_bytes() == CONTENT
    assert len(hub.transfers()) == 2


def test_a_damaged_cached_file_offline_is_removed_and_said(hub: HubStandIn, cache: Path) -> None:
    fetch(FILE, cache_dir=cache).resolve().write_bytes(b"short")
    with pytest.raises(WeightsUnavailable, match="damaged, and this runs offline"):
        fetch(FILE, cache_dir=cache, offline=True)
    assert weights.cached(FILE, cache_dir=cache) is None


def test_a_cached_file_is_hashed_once(hub: HubStandIn, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []
    real = weights_hub.sha256_of
    path = fetch(FILE, cache_dir=cache)
    monkeypatch.setattr(weights_hub, "sha256_of", lambda path: hashed.append(path) or real(path))
    fetch(FILE, cache_dir=cache)
    assert not hashed
    path.resolve().touch()
    fetch(FILE, cache_dir=cache)
    fetch(FILE, cache_dir=cache)
    assert hashed == [path.resolve()]


def test_a_cache_without_links_is_checked_too(hub: HubStandIn, cache: Path, own_data_dir: Path) -> None:
    path = fetch(FILE, cache_dir=cache)
    shutil.move(path.resolve(), cache / "moved")
    path.unlink()
    shutil.move(cache / "moved", path)
    hub.requests.clear()
    assert fetch(FILE, cache_dir=cache) == path
    assert not hub.transfers(), "asked for the sha256 only"
    assert fetch(FILE, cache_dir=cache, offline=True) == path

    path.write_bytes(b"short")
    assert fetch(FILE, cache_dir=cache).read_bytes() == CONTENT


def test_unreadable_stamps_only_cost_time(hub: HubStandIn, cache: Path, own_data_dir: Path) -> None:
    path = fetch(FILE, cache_dir=cache)
    for stamp in (own_data_dir / "verified").iterdir():
        stamp.write_text("[]")
    assert fetch(FILE, cache_dir=cache, offline=True) == path


def test_offline_without_a_copy(cache: Path) -> None:
    with pytest.raises(WeightsUnavailable, match=r"no copy here, and this runs offline.*--backbone mini"):
        fetch(FILE, cache_dir=cache)


def test_no_hub_at_all(hub: HubStandIn, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsUnavailable, match="no connection"):
        fetch(FILE, cache_dir=cache)
    assert not weights.reachable(FILE)
    assert not weights.hub_reachable()


def test_a_hanging_hub(hub: HubStandIn, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.hang = True
    monkeypatch.setattr(weights_hub.metadata, "__kwdefaults__", {"timeout_s": 0.2})
    with pytest.raises(WeightsUnavailable, match="no answer in time"):
        fetch(FILE, cache_dir=cache)


def test_full_disk_before_the_transfer(hub: HubStandIn, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(cache.parent)
    monkeypatch.setattr(weights_hub.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(DiskFull, match="Free some disk space"):
        fetch(FILE, cache_dir=cache)
    assert not hub.transfers()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's device that is always full")
def test_full_disk_during_the_transfer(hub: HubStandIn, cache: Path, own_data_dir: Path) -> None:
    part = own_data_dir / "downloads" / f"{hashlib.sha256(CONTENT).hexdigest()}.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    with pytest.raises(DiskFull):
        fetch(FILE, cache_dir=cache)


def test_reachable(hub: HubStandIn) -> None:
    assert weights.hub_reachable() and weights.reachable(FILE)
    hub.missing = {"primary/model"}
    assert weights.reachable(FILE), "the mirror counts"
    hub.missing = set(FILE.repos)
    assert not weights.reachable(FILE)
    assert weights.hub_reachable()
    hub.fail_all = 503
    assert not weights.hub_reachable()


def test_offline_mode_is_unreachable_at_once() -> None:
    assert not weights.hub_reachable()


def test_reachability_answers_in_time_when_nobody_does(hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        assert not weights.hub_reachable(0.4)
        assert not weights.reachable(FILE, timeout_s=0.4)
        assert time.monotonic() - start < 2


def test_reachability_does_not_wait_for_a_slow_name_lookup(hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object, **__: object) -> None:
        time.sleep(1.5)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    monkeypatch.setenv("HF_ENDPOINT", "http://localhost:9")
    start = time.monotonic()
    assert not weights.hub_reachable(0.3)
    assert time.monotonic() - start < 1


def test_every_published_file_has_a_mirror() -> None:
    for file in (weights.STYLEGAN2_FFHQ, weights.E4E_FFHQ, weights.LANDMARKS_68):
        assert len(set(file.repos)) >= 2
    with pytest.raises(ValueError, match="at least one repository"):
        HubFile("x.pt", ())


def test_load_torch_reads_tensors_and_plain_values(tmp_path: Path) -> None:
    kept = {"g_ema": {"weight": torch.arange(3.0)}, "opts": {"device": "x", "size": 1024}}
    torch.save(kept, tmp_path / "new.pt")
    torch.save(kept, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("new.pt", "old.pt"):
        loaded = weights.load_torch(tmp_path / name)
        assert loaded["opts"] == kept["opts"]
        assert torch.equal(loaded["g_ema"]["weight"], torch.arange(3.0))


class _Trap:
    """Runs code when it is unpickled the usual way."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("container", ["torch", "pickle"])
def test_a_pickle_that_runs_code_is_refused(tmp_path: Path, container: str) -> None:
    sprung = tmp_path / "sprung"
    trap = {"g_ema": _Trap(sprung)}
    pickle.loads(pickle.dumps(trap))
    assert sprung.exists(), "the trap works"
    sprung.unlink()

    path = tmp_path / "weights.pt"
    if container == "torch":
        torch.save(trap, path)
    else:
        path.write_bytes(pickle.dumps(trap))
    with pytest.raises(WeightsUnsafe, match=r"'weights.pt' can't be opened safely"):
        weights.load_torch(path)
    assert not sprung.exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 cut off", CONTENT[:5000], None])
def test_load_torch_refuses_what_is_no_checkpoint(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "weights.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsUnsafe):
        weights.load_torch(path)


def test_load_torch_wants_a_dictionary(tmp_path: Path) -> None:
    torch.save(torch.zeros(2), tmp_path / "weights.pt")
    with pytest.raises(WeightsUnsafe, match="Tensor, not a dictionary"):
        weights.load_torch(tmp_path / "weights.pt")


@pytest.fixture
def embedded(tmp_path: Path) -> Path:
    """A safetensors file with its manifest."""
    path = tmp_path / "generator.safetensors"
    safetensors.torch.save_file({"weight": torch.arange(6.0).reshape(2, 3)}, path)
    files = {path.name: weights_hub.sha256_of(path)}
    (tmp_path / weights.MANIFEST_NAME).write_text(json.dumps({"files": files}))
    return path


def test_load_embedded(embedded: Path) -> None:
    loaded = weights.load_embedded(embedded)
    assert torch.equal(loaded["weight"], torch.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize("damage", ["altered", "gone", "no manifest", "not listed", "odd manifest", "not safetensors"])
def test_load_embedded_refuses_other_bytes(embedded: Path, damage: str) -> None:
    manifest = embedded.with_name(weights.MANIFEST_NAME)
    if damage == "altered":
        embedded.write_bytes(embedded.read_bytes()[:-1] + b"?")
    elif damage == "gone":
        embedded.unlink()
    elif damage == "no manifest":
        manifest.unlink()
    elif damage == "not listed":
        manifest.write_text('{"files": {}}')
    elif damage == "odd manifest":
        manifest.write_text("[1]")
    else:
        embedded.write_bytes(b"text")
        manifest.write_text(json.dumps({"files": {embedded.name: hashlib.sha256(b"text").hexdigest()}}))
    with pytest.raises(EmbeddedFileDamaged) as caught:
        weights.load_embedded(embedded)
    assert isinstance(caught.value, WeightsCorrupted) and isinstance(caught.value, StyleIdentityError)
    assert "Get a fresh copy" in str(caught.value)
