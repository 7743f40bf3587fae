"""Published judging networks from a Hub stand-in: files in the published formats, pinned contents, mirrors, absence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from huggingface_hub import close_session, constants
from PIL import Image

from core.engines.fewshot_gan.measure.networks import LOSS_NOTE
from core.errors import MetricWeightsUnavailable, WeightsCorrupted
from core.evaluate import published
from core.evaluate.metric_networks import VGG_LOSS_NOTE, choose_networks
from core.evaluate.published import ARCFACE_FILE, INCEPTION_FILE, LPIPS_FILE, NetworkFile, fetch_network, is_here
from core.imaging.photo import to_tensor
from core.metrics import fid, lpips
from core.metrics.identity import ffhq_eyes
from core.networks.arcface import ArcFace
from core.networks.inception import FidInception
from core.studio import Studio
from tests.hub_stand_in import HubStandIn, running_hub
from tests.made_up_weights import made_up_state, pinned_to, saved
from tests.test_perceptual import made_up_vgg

CPU = torch.device("cpu")


def network_of(file: NetworkFile, content: bytes) -> NetworkFile:
    """The network whose weights have this content."""
    return replace(file, places=tuple(pinned_to(place, content) for place in file.places))


def keys(file: NetworkFile) -> list[str]:
    return [f"{repo}/{place.file_name}" for place in file.places for repo in place.repos]


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """By network."""
    with torch.device("meta"):
        arcface = ArcFace()
    return {
        ARCFACE_FILE.network: saved(made_up_state(arcface, gain=2)),
        INCEPTION_FILE.network: saved(made_up_state(FidInception(), gain=2)),
        LPIPS_FILE.network: safetensors.torch.save(made_up_vgg()),
    }


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: dict[str, bytes]) -> Iterator[HubStandIn]:
    """Every file at its first place, pinned to the made-up content; an empty cache."""
    with running_hub() as hub:
        for name in ("ARCFACE_FILE", "INCEPTION_FILE", "LPIPS_FILE"):
            file = getattr(published, name)
            hub.files[keys(file)[0]] = files[file.network]
            monkeypatch.setattr(published, name, network_of(file, files[file.network]))
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        yield hub
    close_session()


def noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (256, 256, 3), dtype=np.uint8))


def test_published_networks_take_over(hub: HubStandIn, studio: Studio) -> None:
    """Downloaded on request, then also by "auto"; never under "shipped"."""
    heard: list[str] = []
    networks = choose_networks(studio, "published", on_progress=lambda progress: heard.append(progress.what))
    assert set(heard) == {file.places[0].file_name for file in (ARCFACE_FILE, INCEPTION_FILE, LPIPS_FILE)}
    assert networks.protocols == {
        "identity": "cosine112 of ArcFace IR-SE50",
        "content": lpips.PROTOCOL,
        "style": "gram_relative of VGG16",
        "frechet": fid.PROTOCOL,
    }
    assert networks.notes == (VGG_LOSS_NOTE,)
    a, b = noise(0), noise(1)
    assert networks.identity(a, a, ffhq_eyes(256)) == pytest.approx(1)
    assert networks.content(to_tensor(a), to_tensor(b)) > 0
    rows = networks.extractor(to_tensor(a))
    assert rows.shape == (1, 2048) and np.isfinite(rows).all() and rows.any()
    hub.fail_all = 503
    assert choose_networks(studio, "auto").protocols == networks.protocols
    shipped = choose_networks(studio, "shipped")
    assert shipped.protocols["frechet"] == "frechet_mini_discriminator" and LOSS_NOTE in shipped.notes


def test_nothing_is_downloaded_unasked(hub: HubStandIn, studio: Studio) -> None:
    assert choose_networks(studio, "auto").protocols == choose_networks(studio, "shipped").protocols
    assert not hub.requests and not is_here(published.ARCFACE_FILE)


def test_a_copy_from_any_place_is_taken_before_a_download(hub: HubStandIn, files: dict[str, bytes]) -> None:
    file = published.ARCFACE_FILE
    content = hub.files.pop(keys(file)[0])
    hub.files[keys(file)[1]] = content
    path = fetch_network(file)
    hub.files[keys(file)[0]] = content
    hub.requests.clear()
    assert fetch_network(file) == path and not hub.requests


def test_auto_falls_back_to_the_stand_in(hub: HubStandIn, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy is in the cache, but it is another file, and there is no network."""
    fetch_network(published.INCEPTION_FILE)
    monkeypatch.setattr(published, "INCEPTION_FILE", network_of(published.INCEPTION_FILE, b"unknown"))
    hub.fail_all = 503
    assert choose_networks(studio, "auto").protocols["frechet"] == "frechet_mini_discriminator"
    with pytest.raises(MetricWeightsUnavailable):
        choose_networks(studio, "published")


@pytest.mark.parametrize("file", ["ARCFACE_FILE", "INCEPTION_FILE", "LPIPS_FILE"])
def test_absent_weights_are_a_sentence(hub: HubStandIn, studio: Studio, file: str) -> None:
    hub.fail_all = 404
    wanted = getattr(published, file)
    with pytest.raises(MetricWeightsUnavailable, match="--networks shipped") as caught:
        fetch_network(wanted)
    assert wanted.network in str(caught.value) and wanted.places[0].file_name in str(caught.value)
    with pytest.raises(MetricWeightsUnavailable):
        choose_networks(studio, "published")


@pytest.mark.parametrize("name", ["ARCFACE_FILE", "INCEPTION_FILE"])
def test_other_bytes_send_to_the_mirror(hub: HubStandIn, files: dict[str, bytes], name: str) -> None:
    """A first place with another file under that name is passed over; with no mirror left, it is refused."""
    file = getattr(published, name)
    first, second = keys(file)[:2]
    hub.files |= {first: b"something else", second: files[file.network]}
    assert fetch_network(file).read_bytes() == files[file.network]
    hub.files[second] = b"something else too"
    with pytest.raises(MetricWeightsUnavailable):
        fetch_network(network_of(file, b"unknown"))


def test_a_file_of_another_network_is_refused(hub: HubStandIn, files: dict[str, bytes], monkeypatch) -> None:
    """Right bytes by their hash, but not the network they should be."""
    for name, load in (("INCEPTION_FILE", published.load_inception), ("ARCFACE_FILE", published.load_arcface)):
        file = getattr(published, name)
        other = files[(ARCFACE_FILE if name == "INCEPTION_FILE" else INCEPTION_FILE).network]
        hub.files[keys(file)[0]] = other
        monkeypatch.setattr(published, name, network_of(file, other))
        with pytest.raises(WeightsCorrupted, match="does not fit the network"):
            load(CPU)
    other = safetensors.torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)})
    hub.files[keys(LPIPS_FILE)[0]] = other
    monkeypatch.setattr(published, "LPIPS_FILE", network_of(LPIPS_FILE, other))
    with pytest.raises(WeightsCorrupted, match=r"features\.0\.bias"):
        published.load_lpips(CPU)
