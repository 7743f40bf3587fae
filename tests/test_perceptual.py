"""Distances for training: zero at identity, closed forms of the Gram terms, and lpips itself beside `VggLpips`."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from torch import Tensor

from core.engines.fewshot_gan.perceptual import (
    DiscriminatorFeatures,
    PerceptualFeatures,
    VggLpips,
    style_distance,
)
from core.networks.stylegan2 import Discriminator

VGG_CONVOLUTIONS = {
    **{0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256), 12: (256, 256), 14: (256, 256)},
    **{17: (256, 512), 19: (512, 512), 21: (512, 512), 24: (512, 512), 26: (512, 512), 28: (512, 512)},
}


@cache
def made_up_vgg() -> dict[str, Tensor]:
    """Seeded weights under the names of torchvision's VGG16, with a classifier entry as the published file has."""
    rng = torch.Generator().manual_seed(0)
    state = {"classifier.6.bias": torch.zeros(1000)}
    for index, (inner, outer) in VGG_CONVOLUTIONS.items():
        scale = math.sqrt(2 / (9 * inner))
        state[f"features.{index}.weight"] = torch.randn(outer, inner, 3, 3, generator=rng) * scale
        state[f"features.{index}.bias"] = torch.randn(outer, generator=rng) * 0.05
    return state


def pictures(batch: int = 2, side_px: int = 64, seed: int = 0) -> Tensor:
    return torch.rand(batch, 3, side_px, side_px, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(scope="module")
def measure() -> DiscriminatorFeatures:
    torch.manual_seed(1)
    discriminator = Discriminator(64, 0.0625, max_channels=32).requires_grad_(False)
    return DiscriminatorFeatures(discriminator, (1, 3), dtype=torch.float32)


@pytest.fixture(scope="module")
def vgg() -> VggLpips:
    return VggLpips(made_up_vgg(), dtype=torch.float32)


def test_features_are_those_of_the_chosen_blocks_and_small_colours(measure: DiscriminatorFeatures) -> None:
    x = pictures()
    found = measure(x)
    every = measure.discriminator.features(x)
    assert torch.equal(found.features[0], every[0]) and torch.equal(found.features[1], every[2])
    torch.testing.assert_close(found.colours, torch.nn.functional.avg_pool2d(x, 2))
    second = found.rows(slice(1, 2))
    assert torch.equal(second.features[1], every[2][1:2]) and torch.equal(second.colours, found.colours[1:2])


@pytest.mark.parametrize("colour_weight", [0.0, 2.0])
def test_distance_is_zero_at_identity_and_positive_otherwise(
    measure: DiscriminatorFeatures, colour_weight: float
) -> None:
    a, b = measure(pictures()), measure(pictures(seed=1))
    assert measure.distance(a, a, colour_weight=colour_weight).item() == 0
    assert measure.distance(a, b, colour_weight=colour_weight).item() > 0.05


def test_distance_is_relative_l1_plus_colours() -> None:
    a = PerceptualFeatures(
        (torch.full((1, 2, 4, 4), 3.0), torch.full((1, 1, 2, 2), -1.0)), torch.full((1, 3, 32, 32), 0.5)
    )
    b = PerceptualFeatures(
        (torch.full((1, 2, 4, 4), 2.0), torch.full((1, 1, 2, 2), -4.0)), torch.full((1, 3, 32, 32), 0.25)
    )
    distance = DiscriminatorFeatures(torch.nn.Identity(), (), dtype=torch.float32).distance
    assert distance(a, b).item() == pytest.approx((1 / 2 + 3 / 4) / 2)
    assert distance(a, b, colour_weight=2.0).item() == pytest.approx((1 / 2 + 3 / 4) / 2 + 2 * 0.25)


def test_gradients_reach_the_picture(measure: DiscriminatorFeatures) -> None:
    x = pictures(1).requires_grad_()
    wanted = measure(pictures(1, seed=1))
    found = measure(x)
    (measure.distance(found, wanted, colour_weight=1.0) + style_distance(found, wanted.grams())).backward()
    assert x.grad is not None and float(x.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in measure.parameters())


def test_style_distance_ignores_places_and_compares_with_the_mean() -> None:
    features = torch.rand(1, 4, 6, 6, generator=torch.Generator().manual_seed(2))
    plain = PerceptualFeatures((features,), torch.zeros(1, 3, 32, 32))
    assert style_distance(plain, plain.grams()).item() == 0
    mirrored = PerceptualFeatures((features.flip(3),), plain.colours)
    assert style_distance(mirrored, plain.grams()).item() == pytest.approx(0, abs=1e-5)
    doubled = PerceptualFeatures((features * 2,), plain.colours)
    assert style_distance(doubled, plain.grams()).item() == pytest.approx(3, rel=1e-4)
    two = PerceptualFeatures((torch.cat([features, features * 2]),), plain.colours)
    assert style_distance(two, plain.grams()).item() == pytest.approx(1.5, rel=1e-4)


def test_bf16_is_close(measure: DiscriminatorFeatures) -> None:
    halved = DiscriminatorFeatures(measure.discriminator, measure.blocks, dtype=torch.bfloat16)
    x, y = pictures(), pictures(seed=1)
    full = measure.distance(measure(x), measure(y)).item()
    assert halved.distance(halved(x), halved(y)).item() == pytest.approx(full, rel=0.05)


def test_vgg_distance_equals_lpips(vgg: VggLpips) -> None:
    """The package's own forward pass on the same weights."""
    x, y = pictures(2, 256), pictures(2, 256, seed=1)
    y = 0.5 * x + 0.5 * y
    with torch.no_grad():
        expected, seen = vgg.metric(x, y).mean(), vgg(x)
        got = vgg.distance(seen, vgg(y))
        assert vgg.distance(seen, seen).item() == 0
    assert expected.item() > 1e-3
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


def test_vgg_measures_at_256_px_by_area(vgg: VggLpips) -> None:
    large = pictures(1, 512)
    small = torch.nn.functional.avg_pool2d(large, 2)
    with torch.no_grad():
        assert vgg.distance(vgg(large), vgg(small)).item() == pytest.approx(0, abs=1e-7)


def test_vgg_takes_the_files_own_weights(vgg: VggLpips) -> None:
    state, loaded = made_up_vgg(), vgg.metric.net.state_dict()
    assert len(loaded) == 2 * len(VGG_CONVOLUTIONS)
    for name, tensor in loaded.items():
        assert torch.equal(tensor, state["features." + name.split(".", 1)[1]])
    assert not any(parameter.requires_grad for parameter in vgg.parameters())


def test_vgg_refuses_missing_and_misshapen_weights(vgg: VggLpips, monkeypatch: pytest.MonkeyPatch) -> None:
    import lpips

    monkeypatch.setattr(lpips, "LPIPS", lambda **options: vgg.metric)  # building another takes seconds
    state = made_up_vgg()
    missing = {name: tensor for name, tensor in state.items() if name != "features.24.bias"}
    with pytest.raises(KeyError, match=r"features\.24\.bias"):
        VggLpips(missing, dtype=torch.float32)
    with pytest.raises(RuntimeError, match="size mismatch"):
        VggLpips(state | {"features.0.weight": torch.zeros(64, 3, 5, 5)}, dtype=torch.float32)
