"""Which backbone runs and why, defaults it fills in, seeds, and the embedded files with their manifest."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path

import pytest
import torch
from huggingface_hub import close_session, constants
from torch import nn

from core.config import BACKBONE_ENV
from core.engines.devices import best_device, compute_dtype, device_title, dtype_name, find_device, freeze
from core.engines.fewshot_gan import choose
from core.engines.fewshot_gan.backbone import Backbone
from core.engines.fewshot_gan.choose import choose_backbone
from core.engines.fewshot_gan.config import FinetuneConfig
from core.engines.fewshot_gan.engine import FewShotGan, load_backbone
from core.engines.fewshot_gan.mini import FACES_FILE, MINI_DIR, WEIGHTS_FILE, load_mini
from core.errors import DeviceUnusable, EmbeddedFileDamaged, WeightsCorrupted
from core.weights.load import read_fingerprint
from core.weights.pins import STYLEGAN2_FFHQ
from tests.hub_stand_in import running_hub

CPU = torch.device("cpu")


@pytest.fixture
def with_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine with an accelerator; nothing is put on it."""
    monkeypatch.setattr(choose, "best_device", lambda: torch.device("cuda"))


@pytest.fixture
def without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "best_device", lambda: CPU)


@pytest.mark.parametrize("name", ["mini", "ffhq"])
def test_a_named_backbone_is_taken(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(choose, "hub_reachable", lambda timeout_s: pytest.fail("nobody needs to ask the network"))
    choice = choose_backbone(name)
    assert choice.name == name and "was asked for" in choice.reason
    monkeypatch.setenv(BACKBONE_ENV, name)
    assert choose_backbone() == choice
    assert choose_backbone("mini").name == "mini"  # an argument counts more than the environment


def test_other_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="'auto', 'mini' or 'ffhq', got 'maxi'"):
        choose_backbone("maxi")
    monkeypatch.setenv(BACKBONE_ENV, "huge")
    with pytest.raises(ValueError, match="got 'huge'"):
        choose_backbone()


@pytest.mark.parametrize("name", ["toaster", "meta", "cuda:99"])
def test_devices_are_tried_out(name: str) -> None:
    with pytest.raises(DeviceUnusable, match=f"'{name}' can't be used.*--device"):
        load_backbone("mini", device=name)
    assert find_device("cpu") == torch.device("cpu") and find_device() == best_device()


def test_auto_without_a_gpu_asks_nobody(without_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "hub_reachable", lambda timeout_s: pytest.fail("nobody needs to ask the network"))
    choice = choose_backbone("auto")
    assert choice.name == "mini" and "no GPU" in choice.reason
    assert choose_backbone() == choice


def test_auto_with_a_gpu_and_cached_weights(with_gpu: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(choose, "cached", lambda file: tmp_path)
    monkeypatch.setattr(choose, "hub_reachable", lambda timeout_s: pytest.fail("nobody needs to ask the network"))
    choice = choose_backbone("auto")
    assert choice.name == "ffhq" and "downloaded" in choice.reason


def test_half_of_the_weights_is_not_enough(with_gpu: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(choose, "cached", lambda file: tmp_path if file is STYLEGAN2_FFHQ else None)
    monkeypatch.setattr(choose, "hub_reachable", lambda timeout_s: False)
    assert choose_backbone("auto").name == "mini"


def test_auto_with_a_gpu_and_a_hub(with_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        choice = choose_backbone("auto", timeout_s=10)
        assert choice.name == "ffhq" and "can be downloaded" in choice.reason
        hub.fail_all = 503
        assert choose_backbone("auto", timeout_s=10).name == "mini"
    close_session()


def test_auto_answers_in_time_when_the_hub_hangs(with_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_hub() as hub:
        hub.hang = True
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        started = time.monotonic()
        choice = choose_backbone("auto")
        assert time.monotonic() - started < 3
        assert choice.name == "mini" and "can't be downloaded now" in choice.reason
    close_session()


def test_auto_offline_is_quick(with_gpu: None) -> None:
    started = time.monotonic()
    assert choose_backbone("auto").name == "mini"
    assert time.monotonic() - started < 3


def test_resolve_fills_in_the_defaults_of_the_method(tiny: Backbone) -> None:
    paper, jojogan = (tiny.resolve(FinetuneConfig(method=method)) for method in ("paper", "jojogan"))
    assert (paper.swap_layers, paper.alpha, paper.references_per_step) == (tuple(range(8)), 0.0, 0)
    assert (paper.identity_weight, paper.style_weight) == (0.02, 1.0)
    assert (jojogan.identity_weight, jojogan.style_weight) == (0.0, 0.0)
    assert tiny.resolve(paper) == paper


def test_resolve_keeps_what_was_chosen_also_zeros(tiny: Backbone) -> None:
    chosen = FinetuneConfig(
        swap_layers=(3, 7), alpha=0.5, identity_weight=0.0, style_weight=0.0, steps=9, references_per_step=0
    )
    assert tiny.resolve(chosen) == chosen
    assert tiny.resolve(FinetuneConfig(swap_layers=())).swap_layers == ()


@pytest.mark.parametrize("layers", [(8,), (-1,), (0, 17)])
def test_resolve_refuses_layers_that_are_not_there(tiny: Backbone, layers: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"swap_layers must be in \[0, 7\], got \("):
        tiny.resolve(FinetuneConfig(swap_layers=layers))


def test_random_codes_come_from_the_seed(tiny: Backbone) -> None:
    first = tiny.random_code(torch.Generator().manual_seed(3), 2)
    torch.manual_seed(77)
    assert torch.equal(first, tiny.random_code(torch.Generator().manual_seed(3), 2))
    assert not torch.allclose(first, tiny.random_code(torch.Generator().manual_seed(4), 2))
    assert first.shape == (2, 512) and not first.requires_grad and not torch.allclose(first[0], first[1])


def test_sampled_faces_come_from_the_seed(tiny: Backbone) -> None:
    w_plus, features = tiny.sample(torch.Generator().manual_seed(3), 4)
    again, _ = tiny.sample(torch.Generator().manual_seed(3), 4)
    assert w_plus.shape == (4, 8, 512) and features is not None and features.shape == (4, 32, 8, 8)
    assert torch.equal(w_plus, again) and torch.equal(w_plus[:, 0], w_plus[:, 7])
    assert len({tuple(row.tolist()) for row in w_plus[:, 0, :4]}) == 4, "no face twice"
    known = {tuple(row.tolist()) for row in tiny.sample_faces.codes[:, :4]}
    assert {tuple(row.tolist()) for row in w_plus[:, 0, :4]} <= known


def test_freezing() -> None:
    layer = freeze(nn.Conv2d(3, 4, 3), CPU)
    assert not layer.training and not layer.weight.requires_grad
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)


def test_what_reports_call_devices_and_precisions() -> None:
    assert device_title(CPU) == "CPU" and dtype_name(torch.bfloat16) == "bfloat16"
    assert compute_dtype(CPU) in (torch.float32, torch.bfloat16)
    assert compute_dtype(torch.device("cuda")) == torch.bfloat16


def test_the_embedded_backbone(mini: FewShotGan) -> None:
    backbone = mini.backbone
    assert backbone.fingerprint == read_fingerprint(MINI_DIR)
    assert (backbone.name, backbone.resolution, backbone.encoder_px, backbone.generator.n_latent) == (
        "mini",
        256,
        256,
        8,
    )
    assert set(backbone.measures) == set(backbone.recipes) == {"aligned", "paper", "jojogan"}
    parts = (backbone.generator, backbone.encoder, *backbone.measures.values())
    assert not any(parameter.requires_grad for part in parts for parameter in part.parameters())
    assert backbone.sample_faces is not None and backbone.sample_faces.features.shape[1:] == (32, 32, 32)
    assert len(backbone.sample_faces.codes) == len(backbone.sample_faces.features) >= 8


def test_embedded_files_stay_small() -> None:
    manifest = json.loads((MINI_DIR / "manifest.json").read_text(encoding="utf-8"))["files"]
    assert {f"{WEIGHTS_FILE}.index.json", FACES_FILE, "landmarks68.dat"} <= set(manifest)
    for name, expected in manifest.items():
        assert hashlib.sha256((MINI_DIR / name).read_bytes()).hexdigest() == expected, name
    assert sum(path.stat().st_size for path in MINI_DIR.iterdir()) <= 40_000_000


@pytest.mark.parametrize("victim", ["mini-00002-of-00003.safetensors", FACES_FILE])
def test_a_damaged_embedded_file_is_refused(tmp_path: Path, victim: str) -> None:
    folder = tmp_path / "mini"
    shutil.copytree(MINI_DIR, folder)
    data = bytearray((folder / victim).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / victim).write_bytes(data)
    with pytest.raises(EmbeddedFileDamaged, match=rf"'{victim}', which comes with the app, is damaged"):
        load_mini(folder, CPU)


def test_a_missing_embedded_file_or_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsCorrupted, match="Get a fresh copy of the app's files"):
        load_mini(tmp_path, CPU)
    folder = tmp_path / "mini"
    shutil.copytree(MINI_DIR, folder)
    (folder / FACES_FILE).unlink()
    with pytest.raises(EmbeddedFileDamaged, match=FACES_FILE):
        load_mini(folder, CPU)
