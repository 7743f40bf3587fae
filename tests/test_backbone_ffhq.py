"""The published backbone end to end: files in the published format, made up at 64 px, from a Hub stand-in."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from huggingface_hub import close_session, constants
from torch import Tensor, nn

from core.engines.fewshot_gan import ffhq as backbone_ffhq
from core.engines.fewshot_gan.backbone import Backbone
from core.engines.fewshot_gan.config import FinetuneConfig
from core.engines.fewshot_gan.engine import FewShotGan
from core.engines.fewshot_gan.ffhq import load_ffhq
from core.engines.fewshot_gan.perceptual import DiscriminatorFeatures, VggLpips
from core.errors import WeightsCorrupted
from core.networks.checkpoints import load_into
from core.networks.e4e import Encoder4Editing
from core.networks.stylegan2 import Discriminator, Generator
from core.progress import Progress, ignore_progress
from core.weights.pins import E4E_FFHQ, LANDMARKS_68, STYLEGAN2_FFHQ, VGG16, HubFile
from tests.hub_stand_in import HubStandIn, running_hub
from tests.made_up_weights import made_up_state, pinned_to, saved
from tests.test_perceptual import made_up_vgg
from tests.tiny_backbone import as_face, copies, same_state, sampled_pictures

CPU = torch.device("cpu")
SIDE_PX, LAYERS = 64, 10


def key_of(file: HubFile) -> str:
    return f"{file.repos[0]}/{file.file_name}"


@pytest.fixture(scope="module")
def published() -> dict[str, bytes]:
    """All four files of the published backbone, by the stand-in's keys."""
    with torch.device("meta"):
        generator, discriminator, encoder = Generator(SIDE_PX), Discriminator(SIDE_PX), Encoder4Editing(SIDE_PX)
    stylegan = {"g_ema": made_up_state(generator), "d": made_up_state(discriminator), "latent_avg": torch.zeros(512)}
    codes = {f"encoder.{name}": value for name, value in made_up_state(encoder, gain=1).items()}
    average = torch.randn(LAYERS, 512, generator=torch.Generator().manual_seed(2))
    e4e = {"state_dict": {**codes, "decoder.input": torch.zeros(3)}, "latent_avg": average, "opts": {"start": 0.0}}
    return {
        key_of(STYLEGAN2_FFHQ): saved(stylegan),
        key_of(E4E_FFHQ): saved(e4e),
        key_of(LANDMARKS_68): b"read when the first face is searched",
        key_of(VGG16): safetensors.torch.save(made_up_vgg()),
    }


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, published: dict[str, bytes]) -> Iterator[HubStandIn]:
    """A Hub with the files, and an empty cache."""
    with running_hub() as hub:
        hub.files = dict(published)
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        for name in ("E4E_FFHQ", "LANDMARKS_68", "VGG16"):
            file = getattr(backbone_ffhq, name)
            monkeypatch.setattr(backbone_ffhq, name, pinned_to(file, published[key_of(file)]))
        yield hub
    close_session()


def stylize_end_to_end(ffhq: Backbone) -> None:
    """Invert, a step with a photo as the anchor, and a picture that differs from the base generator's."""
    engine = FewShotGan(ffhq)
    before = copies(ffhq.generator)
    first, second = (as_face(picture) for picture in sampled_pictures(ffhq, 2))
    inversion = engine.prepare(first)
    assert inversion.features is None and inversion.w_plus.shape == (1, LAYERS, 512)
    (step,) = engine.train([second], engine.config(steps=1, anchor="photo", method="paper"), name="Ink", photo=first)
    style = step.style
    assert math.isfinite(step.loss) and step.loss > 0
    assert "input.input" in style.weights and not any(name.startswith("style.") for name in style.weights)
    drawn = engine.draw(inversion, style)
    assert drawn.image.size == (SIDE_PX, SIDE_PX) and drawn.provenance["backbone"] == "ffhq"
    assert drawn.image.tobytes() != engine.reconstruct(inversion).tobytes()
    assert same_state(ffhq.generator, before)


@pytest.mark.slow
def test_from_the_hub_to_a_stylized_picture(hub: HubStandIn, published: dict[str, bytes]) -> None:
    heard: list[Progress] = []
    ffhq = load_ffhq(CPU, heard.append, resolution=SIDE_PX)
    assert {progress.what for progress in heard} == {key.split("/", 2)[2] for key in published}
    stylegan = published[key_of(STYLEGAN2_FFHQ)]
    assert ffhq.fingerprint == hashlib.sha256(stylegan).hexdigest()[:16]
    assert (ffhq.name, ffhq.resolution, ffhq.encoder_px, ffhq.generator.n_latent) == ("ffhq", SIDE_PX, 256, LAYERS)
    assert isinstance(ffhq.measures["paper"], VggLpips)
    assert ffhq.resolve(FinetuneConfig(method="paper")).swap_layers == (7, 9)
    assert ffhq.resolve(FinetuneConfig()).swap_layers == (7, 8, 9)
    assert ffhq.resolve(FinetuneConfig(method="jojogan")).swap_layers == (7, 8, 9)
    stylize_end_to_end(ffhq)


@pytest.mark.slow
def test_without_vgg_the_discriminator_measures(hub: HubStandIn) -> None:
    hub.missing = {VGG16.repos[0]}
    ffhq = load_ffhq(CPU, resolution=SIDE_PX)
    assert isinstance(ffhq.measures["paper"], DiscriminatorFeatures)
    assert ffhq.measures["paper"] is ffhq.measures["jojogan"]
    stylize_end_to_end(ffhq)


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["d", "g_ema"])
def test_a_checkpoint_without_a_network_is_named(hub: HubStandIn, published: dict[str, bytes], missing: str) -> None:
    key = key_of(STYLEGAN2_FFHQ)
    checkpoint = torch.load(io.BytesIO(published[key]), weights_only=True, map_location="cpu")
    del checkpoint[missing]
    hub.files[key] = saved(checkpoint)
    with pytest.raises(WeightsCorrupted, match=rf"'stylegan2-ffhq-config-f\.pt' is damaged .*expected '{missing}'"):
        load_ffhq(CPU, resolution=SIDE_PX)


@pytest.mark.slow
def test_a_checkpoint_of_another_size_is_named(hub: HubStandIn) -> None:
    with pytest.raises(WeightsCorrupted, match="does not fit the network"):
        load_ffhq(CPU, resolution=32)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["no safetensors", "another network"])
def test_other_vgg_weights_are_refused(hub: HubStandIn, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other = safetensors.torch.save({"a": torch.zeros(1)})
    content = other if kind == "another network" else b"no safetensors at all"
    hub.files[key_of(VGG16)] = content
    monkeypatch.setattr(backbone_ffhq, "VGG16", pinned_to(VGG16, content))
    with pytest.raises(WeightsCorrupted, match=r"'model\.safetensors' is damaged"):
        backbone_ffhq._load_lpips(CPU, torch.float32, ignore_progress)


def test_codes_are_offsets_from_the_average() -> None:
    class Zeros(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.zeros(len(x), LAYERS, 512)

    average = torch.randn(LAYERS, 512, generator=torch.Generator().manual_seed(0))
    inverter = backbone_ffhq.E4eInverter(Zeros(), average)
    w_plus, features = inverter(torch.zeros(2, 3, 256, 256), dtype=torch.bfloat16)
    assert features is None and w_plus.dtype == torch.float32
    assert torch.equal(w_plus, average.expand(2, -1, -1))


def test_the_papers_layers_are_there_at_1024_px() -> None:
    with torch.device("meta"):
        generator = Generator(backbone_ffhq.RESOLUTION)
        discriminator = Discriminator(backbone_ffhq.RESOLUTION)
    assert max(backbone_ffhq.PAPER_SWAP_LAYERS) < generator.n_latent == 18
    assert max(backbone_ffhq.JOJOGAN_BLOCKS) < len(discriminator.convs)


def test_made_up_files_fit_the_networks() -> None:
    with torch.device("meta"):
        discriminator = Discriminator(SIDE_PX)
    load_into(Discriminator(SIDE_PX), made_up_state(discriminator))
