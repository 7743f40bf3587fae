"""The generator's quick paths beside plain ones: modulated weights or activations, one picture or a batch."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from core.networks.mini import MiniGenerator
from core.networks.ops import BiasedLeakyReLU, broadcasts_slowly, fir_kernel, narrow_leaky_relu
from core.networks.stylegan2 import Generator, ModulatedConv2d, StyledConv


def plain_modulated_conv(layer: ModulatedConv2d, x: Tensor, w: Tensor) -> Tensor:
    """Equations 1 and 3 of the StyleGAN2 paper, one picture after the other, zero insertion spelled out."""
    results = []
    for picture, code in zip(x, w, strict=True):
        style = layer.modulation(code)
        weight = layer.weight[0] / math.sqrt(layer.weight[0, 0].numel()) * style[None, :, None, None]
        if layer.demodulate:
            weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if not layer.up:
            results.append(F.conv2d(picture[None], weight, padding=weight.shape[-1] // 2))
            continue
        channels, height, width = picture.shape
        spread = picture.new_zeros(1, channels, 2 * height - 1, 2 * width - 1)
        spread[:, :, ::2, ::2] = picture
        grown = F.conv2d(F.pad(spread, (2, 2, 2, 2)), weight.flip(2, 3))
        kernel = fir_kernel(gain=4.0).expand(len(weight), 1, 4, 4)
        results.append(F.conv2d(grown, kernel, padding=1, groups=len(weight)))
    return torch.cat(results)


@pytest.mark.parametrize(("size", "up", "demodulate"), [(3, False, True), (3, True, True), (1, False, False)])
@pytest.mark.parametrize("batch", [1, 3])
def test_modulated_convolution_is_the_plain_one(size: int, up: bool, demodulate: bool, batch: int) -> None:
    torch.manual_seed(0)
    layer = ModulatedConv2d(6, 5, size, 16, up=up, demodulate=demodulate)
    x, w = torch.randn(batch, 6, 7, 7), torch.randn(batch, 16)
    bias = torch.randn(5)
    wanted = plain_modulated_conv(layer, x, w)
    torch.testing.assert_close(layer(x, w), wanted, rtol=1e-4, atol=1e-5)
    shifted = layer(x, w, bias=bias, gain=1.5)
    torch.testing.assert_close(shifted, wanted * 1.5 + bias[:, None, None], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("batch", [1, 3])
def test_styled_layer_and_its_gradients_are_the_plain_ones(up: bool, batch: int) -> None:
    torch.manual_seed(0)
    layer = StyledConv(4, 5, 16, up=up)
    with torch.no_grad():
        layer.noise.weight.fill_(0.3)
        layer.activate.bias.normal_()
    x, w = torch.randn(batch, 4, 6, 6, requires_grad=True), torch.randn(batch, 16, requires_grad=True)
    side = 12 if up else 6
    noise, pull = torch.randn(batch, 1, side, side), torch.randn(batch, 5, side, side)
    inputs = [x, w, *layer.parameters()]
    plain = plain_modulated_conv(layer.conv, x, w) + noise * layer.noise.weight
    plain = F.leaky_relu(plain + layer.activate.bias[:, None, None], 0.2) * math.sqrt(2)
    wanted = torch.autograd.grad((plain * pull).sum(), inputs)
    drawn = layer(x, w, noise)
    torch.testing.assert_close(drawn, plain, rtol=1e-4, atol=1e-5)
    found = torch.autograd.grad((drawn * pull).sum(), inputs)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def _codes(generator: Generator | MiniGenerator, batch: int) -> Tensor:
    return torch.randn(batch, generator.n_latent, 512, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("noise", ["fixed", "none", "drawn", "drawn per picture"])
def test_a_batch_is_its_pictures(noise: str) -> None:
    torch.manual_seed(0)
    generator, batch = Generator(16, channel_multiplier=0.03125), 3
    w_plus, given = _codes(generator, batch), noise
    if noise.startswith("drawn"):
        given = generator.draw_noise(5)
    if noise == "drawn per picture":
        given = [torch.randn(batch, *part.shape[1:]) for part in given]
    with torch.no_grad():
        together = generator(w_plus, noise=given)
        for row in range(batch):
            own = (
                given if isinstance(given, str) else [part[row : row + 1] if len(part) > 1 else part for part in given]
            )
            torch.testing.assert_close(together[row : row + 1], generator(w_plus[row : row + 1], noise=own))


def test_shared_weights_agree_with_modulated_ones() -> None:
    """What accelerators do with a batch, on the CPU."""
    torch.manual_seed(0)
    generator = MiniGenerator(64, widths=(8, 8, 8, 4))
    w_plus, features = _codes(generator, 2), torch.randn(2, 32, 8, 8)
    with torch.no_grad():
        by_picture = generator(w_plus, features=features)
        start = generator.read_map(features) + generator.position
        torch.testing.assert_close(
            generator._synthesize(start, w_plus, "fixed", None), by_picture, rtol=1e-3, atol=1e-4
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("batch", "noises"), [(1, 1), (3, 1), (3, 3), (2, 0)])
def test_the_product_adds_bias_and_noise_as_broadcasting_does(batch: int, noises: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.randn(batch, 5, 4, 6).to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_(True)
    bias, strength = torch.randn(5, requires_grad=True), torch.randn(1, requires_grad=True)
    noise, pull = torch.randn(noises, 1, 4, 6) if noises else None, torch.randn(batch, 5, 4, 6).to(dtype)
    inputs = [x, bias] + ([strength] if noises else [])
    spread = 1.5 * x + bias[:, None, None] + (strength * noise if noise is not None else 0)
    wanted = F.leaky_relu(spread, 0.2)
    found = narrow_leaky_relu(x, bias, noise=noise, strength=strength, gain=1.5)
    assert found.dtype == dtype and found.is_contiguous(memory_format=torch.channels_last)
    near = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0.03, "atol": 0.03}
    torch.testing.assert_close(found, wanted.to(dtype), **near)
    gradients = zip(
        torch.autograd.grad((found * pull).float().sum(), inputs),
        torch.autograd.grad((wanted * pull).float().sum(), inputs),
        strict=True,
    )
    for one, other in gradients:
        assert (one.float() - other.float()).norm() <= 0.03 * other.float().norm()


def test_only_channels_that_fill_no_vector_take_the_product() -> None:
    half = torch.zeros(1, dtype=torch.bfloat16)
    assert [channels for channels in (3, 24, 32, 48, 64, 512) if broadcasts_slowly(half, channels)] == [3, 24, 48]
    assert not broadcasts_slowly(torch.zeros(1), 24)
    torch.manual_seed(0)
    layer, x = BiasedLeakyReLU(24), torch.randn(2, 24, 8, 8)
    torch.nn.init.normal_(layer.bias)
    torch.testing.assert_close(layer(x.bfloat16()).float(), layer(x), rtol=0.03, atol=0.03)
    layer, w, noise = StyledConv(16, 24, 16, up=True), torch.randn(1, 16), torch.randn(1, 1, 16, 16)
    torch.nn.init.constant_(layer.noise.weight, 0.5)
    coarse = layer(x[:1, :16].bfloat16(), w, noise)
    torch.testing.assert_close(coarse.float(), layer(x[:1, :16], w, noise), rtol=0.05, atol=0.06)
