"""core.weights.load: checkpoints that can't run code, embedded files against their manifest, whole or in shards."""

from __future__ import annotations

import hashlib
import json
import pickle
import random
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch

from core.config import ASSETS_DIR
from core.errors import EmbeddedFileDamaged, StyleIdentityError, WeightsCorrupted, WeightsUnsafe
from core.files import sha256_of
from core.weights import load
from core.weights.load import (
    MANIFEST_NAME,
    load_embedded,
    load_torch,
    read_fingerprint,
    save_embedded,
    write_manifest,
)


def test_load_torch_reads_tensors_and_plain_values(tmp_path: Path) -> None:
    kept = {"g_ema": {"weight": torch.arange(3.0)}, "opts": {"device": "x", "size": 1024}}
    torch.save(kept, tmp_path / "new.pt")
    torch.save(kept, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("new.pt", "old.pt"):
        loaded = load_torch(tmp_path / name)
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
        load_torch(path)
    assert not sprung.exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 cut off", random.Random(7).randbytes(5000), None])
def test_load_torch_refuses_what_is_no_checkpoint(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "weights.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsUnsafe):
        load_torch(path)


def test_load_torch_wants_a_dictionary(tmp_path: Path) -> None:
    torch.save(torch.zeros(2), tmp_path / "weights.pt")
    with pytest.raises(WeightsUnsafe, match="Tensor, not a dictionary"):
        load_torch(tmp_path / "weights.pt")


@pytest.fixture
def embedded(tmp_path: Path) -> Path:
    """A safetensors file with its manifest."""
    path = tmp_path / "generator.safetensors"
    safetensors.torch.save_file({"weight": torch.arange(6.0).reshape(2, 3)}, path)
    files = {path.name: sha256_of(path)}
    (tmp_path / MANIFEST_NAME).write_text(json.dumps({"files": files}))
    return path


def test_load_embedded(embedded: Path) -> None:
    loaded = load_embedded(embedded)
    assert torch.equal(loaded["weight"], torch.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize("damage", ["altered", "gone", "no manifest", "not listed", "odd manifest", "not safetensors"])
def test_load_embedded_refuses_other_bytes(embedded: Path, damage: str) -> None:
    manifest = embedded.with_name(MANIFEST_NAME)
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
        load_embedded(embedded)
    assert isinstance(caught.value, WeightsCorrupted) and isinstance(caught.value, StyleIdentityError)
    assert "Get a fresh copy" in str(caught.value)


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    """Four tensors of 4 kB each."""
    rng = torch.Generator().manual_seed(0)
    return {f"part.{name}": torch.randn(1000, generator=rng) for name in "abcd"}


def test_a_large_file_is_written_in_shards(
    tmp_path: Path, tensors: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "MAX_SHARD_BYTES", 9000)
    path = tmp_path / "net.safetensors"
    fingerprint = save_embedded(tensors, path, metadata={"format": "1"})
    write_manifest(tmp_path, fingerprint=fingerprint)
    shards = [f"net-0000{number}-of-00002.safetensors" for number in (1, 2)]
    assert {item.name for item in tmp_path.iterdir()} == {*shards, "net.safetensors.index.json", MANIFEST_NAME}
    assert read_fingerprint(tmp_path) == fingerprint
    loaded = load_embedded(path)
    assert loaded.keys() == tensors.keys() and all(torch.equal(loaded[name], tensors[name]) for name in tensors)
    whole = safetensors.torch.save(tensors, metadata={"format": "1"})
    assert fingerprint == hashlib.sha256(whole).hexdigest()[:16], "in one piece or in shards, it is one file"

    monkeypatch.setattr(load, "MAX_SHARD_BYTES", 90_000)
    assert save_embedded(tensors, path, metadata={"format": "1"}) == fingerprint
    write_manifest(tmp_path)
    assert {item.name for item in tmp_path.iterdir()} == {path.name, MANIFEST_NAME}, "no old shard stays"
    assert read_fingerprint(tmp_path) == fingerprint, "kept where no new one is given"
    assert load_embedded(path).keys() == tensors.keys()


@pytest.mark.parametrize("damage", ["shard altered", "shard gone", "index altered", "index of other shards"])
def test_damaged_shards_are_refused(
    tmp_path: Path, tensors: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(load, "MAX_SHARD_BYTES", 9000)
    path = tmp_path / "net.safetensors"
    write_manifest(tmp_path, fingerprint=save_embedded(tensors, path, metadata={}))
    shard, index = tmp_path / "net-00002-of-00002.safetensors", tmp_path / "net.safetensors.index.json"
    if damage == "shard altered":
        shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    elif damage == "shard gone":
        shard.unlink()
    else:
        index.write_text(index.read_text().replace("part.a", "part.z"))
    if damage == "index of other shards":
        write_manifest(tmp_path)
    named = shard.name if damage.startswith("shard") else index.name
    with pytest.raises(EmbeddedFileDamaged, match=f"'{named}', which comes with the app, is damaged"):
        load_embedded(path)


def test_a_manifest_without_a_fingerprint_is_refused(embedded: Path) -> None:
    with pytest.raises(EmbeddedFileDamaged, match="names no fingerprint"):
        read_fingerprint(embedded.parent)


def test_the_shipped_weights_are_those_that_styles_of_before_know() -> None:
    """Style files carry these digits: the sha256 of the weights in one piece, as they were shipped once."""
    folder = ASSETS_DIR / "mini"
    assert read_fingerprint(folder) == "c8174250a15aa799"
    index = json.loads((folder / "mini.safetensors.index.json").read_text(encoding="utf-8"))
    tensors = load_embedded(folder / "mini.safetensors")
    assert len(tensors) == 161 and sum(tensor.nbytes for tensor in tensors.values()) == index["metadata"]["total_size"]
    styles = sorted(ASSETS_DIR.glob("styles/*.safetensors")) + sorted(ASSETS_DIR.glob("study/arms/*/*.safetensors"))
    assert len(styles) >= 9
    for path in styles:
        with safetensors.safe_open(path, "pt") as file:
            assert json.loads(file.metadata()["styleidentity"])["fingerprint"] == "c8174250a15aa799", path.name
