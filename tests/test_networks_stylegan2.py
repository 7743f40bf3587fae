"""StyleGAN2 against golden outputs of the reference networks, published key lists, and naive loops of its fast ops."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from core.networks.checkpoints import load_into, may_be_absent, shapes_of
from core.networks.ops import Blur, EqualLinear, fir_filter, fir_kernel, fir_upsample
from core.networks.stylegan2 import Discriminator, Generator, channel_plan
from tests.recipe import fill


@pytest.fixture(scope="module")
def golden(shared_dir: Path) -> dict[str, Tensor]:
    """Inputs and outputs of the reference networks at 64 px."""
    with np.load(shared_dir / "golden" / "stylegan2_64.npz") as arrays:
        return {name: torch.from_numpy(arrays[name].astype(np.float32)) for name in arrays.files}


@pytest.fixture(scope="module")
def generator() -> Generator:
    """The golden generator: recipe weights of seed 1."""
    network = Generator(64)
    load_into(network, fill(network, 1))
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def discriminator() -> Discriminator:
    """The golden discriminator: recipe weights of seed 3 under `convs.`."""
    network = Discriminator(64)
    network.load_state_dict(fill(network, 3, only=lambda name: name.startswith("convs.")), strict=False)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def narrow() -> Generator:
    """A small generator whose noise counts."""
    torch.manual_seed(0)
    network = Generator(32, mlp_layers=1, channel_multiplier=0.03125).eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        if name.endswith("noise.weight"):
            parameter.fill_(0.3)
    return network


def codes(network: Generator, batch: int = 2, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(batch, network.n_latent, network.style_dim, generator=rng)


def relative_error(got: Tensor, expected: Tensor) -> float:
    """Largest deviation as a share of the largest expected value."""
    return ((got - expected).abs().max() / expected.abs().max()).item()


def test_mapping_agrees_with_the_reference(generator: Generator, golden: dict[str, Tensor]) -> None:
    torch.testing.assert_close(generator.mapping(golden["z"]), golden["mapping"], rtol=0, atol=1e-3)


def test_picture_agrees_with_the_reference(generator: Generator, golden: dict[str, Tensor]) -> None:
    got = generator(golden["w_plus"])
    assert got.dtype == torch.float32 and golden["image"].std() > 0.1
    torch.testing.assert_close(got, golden["image"], rtol=0, atol=1e-3)


def test_bf16_stays_close(generator: Generator, golden: dict[str, Tensor]) -> None:
    got = generator(golden["w_plus"], dtype=torch.bfloat16)
    assert got.dtype == torch.float32
    assert ((got - golden["image"]).norm() / golden["image"].norm()).item() < 0.05


def test_discriminator_features_agree_with_the_reference(
    discriminator: Discriminator, golden: dict[str, Tensor]
) -> None:
    found = discriminator.features(golden["disc_input"])
    assert len(found) == 4
    for number, block in enumerate((1, 3, 4)):
        torch.testing.assert_close(found[block - 1][:, ::8], golden[f"disc_feature_{number}"], rtol=0, atol=1e-3)
    halved = discriminator.features(golden["disc_input"], dtype=torch.bfloat16)[-1].float()
    assert ((halved - found[-1]).norm() / found[-1].norm()).item() < 0.05


@pytest.mark.parametrize(("part", "network"), [("g_ema", Generator), ("d", Discriminator)])
def test_published_names_and_shapes(shared_dir: Path, part: str, network: type) -> None:
    listed = json.loads((shared_dir / "golden" / "stylegan2-ffhq-config-f.keys.json").read_text())[part]
    published = {name: tuple(shape) for name, shape in listed.items()}
    with torch.device("meta"):
        built = shapes_of(network(1024))
    required = {name for name in built if not may_be_absent(name)}
    assert required <= set(published)
    assert set(published) <= set(built)
    assert {name: built[name] for name in published} == published


@pytest.mark.parametrize("resolution", [32, 64, 128, 256, 512, 1024])
def test_every_resolution(resolution: int) -> None:
    with torch.device("meta"):
        network = Generator(resolution, mlp_layers=1, channel_multiplier=0.0625)
    assert network.n_latent == 2 * round(math.log2(resolution)) - 2
    assert len(network.convs) == network.n_latent - 2
    assert len(list(network.noises.buffers())) == network.n_latent - 1


def test_channel_plan_is_that_of_config_f() -> None:
    plan = channel_plan(1024)
    assert [plan[2**k] for k in range(2, 11)] == [512, 512, 512, 512, 512, 256, 128, 64, 32]
    assert channel_plan(8, 0.25) == {4: 512, 8: 512}
    assert channel_plan(64, 0.0625, 32) == {4: 32, 8: 32, 16: 32, 32: 32, 64: 16}


@pytest.mark.parametrize("resolution", [0, -8, 4, 48, 2048])
def test_impossible_resolutions_are_refused(resolution: int) -> None:
    for network in (Generator, Discriminator):
        with pytest.raises(ValueError, match=f"power of two from 8 to 1024, got {resolution}"):
            network(resolution)


@pytest.mark.parametrize("shape", [(8, 512), (1, 7, 512), (1, 8, 511), (1, 1, 8, 512)])
def test_other_codes_are_refused_with_got_and_expected(narrow: Generator, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape \[B, 8, 512\], got \("):
        narrow(torch.zeros(shape))


def test_other_noise_and_features_are_refused(narrow: Generator) -> None:
    with pytest.raises(ValueError, match="got 'loud'"):
        narrow(codes(narrow), noise="loud")
    with pytest.raises(ValueError, match="7 pictures, one per layer, got 2"):
        narrow(codes(narrow), noise=narrow.draw_noise(1)[:2])
    with pytest.raises(ValueError, match="features must be None"):
        narrow(codes(narrow), features=torch.zeros(2, 32, 4, 4))


def test_kinds_of_noise(narrow: Generator) -> None:
    w_plus = codes(narrow, 1)
    fixed = narrow(w_plus)
    stored = [getattr(narrow.noises, f"noise_{index}") for index in range(narrow.n_latent - 1)]
    assert torch.equal(fixed, narrow(w_plus, noise="fixed"))
    assert torch.equal(fixed, narrow(w_plus, noise=stored))
    zeros = [torch.zeros_like(noise) for noise in stored]
    torch.testing.assert_close(narrow(w_plus, noise="none"), narrow(w_plus, noise=zeros))
    assert not torch.equal(narrow(w_plus, noise="random"), narrow(w_plus, noise="random"))
    assert (fixed - narrow(w_plus, noise="none")).abs().max() > 1e-3


def test_drawn_noise_depends_on_the_seed_alone(narrow: Generator) -> None:
    first = narrow.draw_noise(7)
    torch.manual_seed(99)
    again, other = narrow.draw_noise(7), narrow.draw_noise(8)
    assert [tuple(noise.shape[-2:]) for noise in first] == [(s, s) for s in (4, 8, 8, 16, 16, 32, 32)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_batch_size_does_not_matter(narrow: Generator, discriminator: Discriminator) -> None:
    w_plus = codes(narrow, 3)
    alone = torch.cat([narrow(one[None]) for one in w_plus])
    torch.testing.assert_close(narrow(w_plus), alone, rtol=1e-4, atol=1e-5)
    pictures = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    together = discriminator.features(pictures)[-1]
    apart = torch.cat([discriminator.features(one[None])[-1] for one in pictures])
    assert relative_error(together, apart) < 1e-4


def test_layers_of_a_code_act_on_their_own_sizes(narrow: Generator) -> None:
    """The last code only colours: with it changed the picture differs, with a stop before it does not."""
    w_plus = codes(narrow, 1)
    changed = w_plus.clone()
    changed[:, -1] += 1
    assert not torch.equal(narrow(w_plus), narrow(changed))
    start = narrow.input(1)
    half = [narrow.synthesize(start, w, "fixed", levels=2) for w in (w_plus, changed)]
    assert half[0].shape == (1, 3, 16, 16) and torch.equal(*half)


def naive_zero_insertion(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, C, 2H, 2W] with zeros between."""
    out = torch.zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    for row in range(x.shape[2]):
        for column in range(x.shape[3]):
            out[:, :, 2 * row, 2 * column] = x[:, :, row, column]
    return out


def naive_filter(x: Tensor, kernel: Tensor, before: int, after: int) -> Tensor:
    """Sums of products, pixel by pixel."""
    x = F.pad(x, (before, after, before, after))
    height, width = x.shape[2] - 3, x.shape[3] - 3
    out = torch.empty(*x.shape[:2], height, width)
    for row in range(height):
        for column in range(width):
            window = x[:, :, row : row + 4, column : column + 4]
            out[:, :, row, column] = (window * kernel.flip(0, 1)).sum(dim=(2, 3))
    return out


def test_kernel_is_binomial() -> None:
    kernel = fir_kernel(gain=4.0)
    assert kernel.sum().item() == pytest.approx(4.0)
    assert kernel[0, 1].item() == pytest.approx(4 * 3 / 64)
    assert torch.equal(kernel, kernel.t()) and torch.equal(kernel, kernel.flip(0, 1))


@pytest.mark.parametrize("padding", [(1, 1), (2, 1), (2, 2), (0, 3)])
def test_filter_agrees_with_a_naive_loop(padding: tuple[int, int]) -> None:
    x = torch.randn(2, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    kernel = fir_kernel(gain=1.7)
    torch.testing.assert_close(fir_filter(x, kernel, padding), naive_filter(x, kernel, *padding))
    blur = Blur(padding, gain=1.7)
    torch.testing.assert_close(blur(x), fir_filter(x, kernel, padding))


def test_upsampling_agrees_with_zero_insertion() -> None:
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    kernel = fir_kernel(gain=4.0)
    torch.testing.assert_close(fir_upsample(x, kernel), naive_filter(naive_zero_insertion(x), kernel, 2, 1))
    flat = fir_upsample(torch.full((1, 1, 8, 8), 0.37), kernel)
    torch.testing.assert_close(flat[:, :, 2:-2, 2:-2], torch.full((1, 1, 12, 12), 0.37))


def test_learning_rate_multiplier_is_folded_in() -> None:
    layer = EqualLinear(8, 3, bias_init=2.0, lr_mul=0.01, activate=True).requires_grad_(False)
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(5))
    plain = x @ (layer.weight * 0.01 / math.sqrt(8)).t() + 0.02
    torch.testing.assert_close(layer(x), torch.where(plain > 0, plain, 0.2 * plain) * math.sqrt(2))


def test_discriminator_judges_groups_of_up_to_four() -> None:
    torch.manual_seed(6)
    network = Discriminator(8, 0.03125).requires_grad_(False)
    pictures = torch.randn(8, 3, 8, 8)
    logits = network(pictures)
    assert logits.shape == (8, 1) and logits.dtype == torch.float32
    interleaved = pictures[[0, 2, 4, 6]]  # a group takes every second of eight
    torch.testing.assert_close(logits[[0, 2, 4, 6]], network(interleaved), rtol=1e-4, atol=1e-5)
    assert network(pictures[:5]).shape == (5, 1)
