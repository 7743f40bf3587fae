"""The e4e encoder and its trunk against golden codes of the reference network and the published key list."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from core.networks.checkpoints import load_into, may_be_absent, shapes_of
from core.networks.e4e import Encoder4Editing, StyleHead, _enlarge_and_add
from core.networks.irse import IRSE50, ResidualUnit, SqueezeExcitation, UnitShape, unit_shapes
from tests.recipe import fill


@pytest.fixture(scope="module")
def encoder() -> Encoder4Editing:
    """The golden network: recipe weights of seed 4, built on meta to skip its initialisation."""
    with torch.device("meta"):
        network = Encoder4Editing()
    load_into(network, fill(network, 4, scale_4d=True))
    return network.eval()


@pytest.fixture
def golden(shared_dir) -> tuple[torch.Tensor, torch.Tensor]:
    """(image [1, 3, 256, 256], codes [1, 18, 512]) of the reference network."""
    with np.load(shared_dir / "golden" / "e4e_256.npz") as arrays:
        return torch.from_numpy(arrays["image"].astype(np.float32)), torch.from_numpy(arrays["codes"])


def relative_error(got: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest deviation as a share of the largest expected value."""
    return ((got - expected).abs().max() / expected.abs().max()).item()


def test_state_dict_has_the_published_keys_and_shapes(shared_dir):
    published = json.loads((shared_dir / "golden" / "e4e_ffhq_encode.keys.json").read_text())
    wanted = {name.removeprefix("encoder."): tuple(shape) for name, shape in published.items()}
    with torch.device("meta"):
        got = shapes_of(Encoder4Editing())
    assert {n: s for n, s in got.items() if not may_be_absent(n)} == {
        n: s for n, s in wanted.items() if not may_be_absent(n)
    }
    assert got == wanted


def test_codes_agree_with_the_reference_network(encoder, golden):
    image, codes = golden
    with torch.inference_mode():
        got = encoder(image)
    assert got.shape == (1, 18, 512)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, codes, rtol=1e-3, atol=1e-4)
    assert relative_error(got, codes) < 1e-4


@pytest.mark.slow
def test_channels_last_batch_agrees(encoder, golden):
    image, codes = golden
    pair = torch.cat([image.flip(3), image]).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        got = encoder(pair)
    assert got.shape == (2, 18, 512)
    assert relative_error(got[1:], codes) < 1e-4
    assert relative_error(got[:1], codes) > 1e-2  # the mirrored face has other codes


def test_bf16_autocast_stays_close_and_returns_float32(encoder, golden):
    image, codes = golden
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        got = encoder(image.to(memory_format=torch.channels_last))
    assert got.dtype == torch.float32
    assert ((got - codes).norm() / codes.norm()).item() < 0.05


@pytest.mark.parametrize(("resolution", "layers"), [(8, 4), (128, 12), (512, 16), (1024, 18)])
def test_code_count_follows_the_resolution(resolution, layers):
    with torch.device("meta"):
        network = Encoder4Editing(resolution)
        assert network.n_latent == layers
        assert network(torch.empty(2, 3, 256, 256)).shape == (2, layers, 512)


def test_codes_are_a_shared_code_plus_differences(golden):
    """A head that gives nothing leaves the shared code in its layer, and no other layer sees head `l`."""

    class Constant(torch.nn.Module):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.value = value

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return torch.full((len(features), 512), self.value)

    with torch.device("meta"):
        network = Encoder4Editing(8)
    network.styles = torch.nn.ModuleList([Constant(3.0), Constant(0.0), Constant(-1.0), Constant(0.25)])
    network._pyramid = lambda x: dict.fromkeys((16, 32, 64), x)
    codes = network(golden[0])
    assert codes[0, :, 0].tolist() == [3.0, 3.0, 2.0, 3.25]


@pytest.mark.parametrize("resolution", [0, 4, 100, -8])
def test_impossible_resolutions_are_refused(resolution):
    with pytest.raises(ValueError, match=f"power of two.*got {resolution}"):
        Encoder4Editing(resolution)


@pytest.mark.parametrize("shape", [(3, 256, 256), (1, 1, 256, 256), (1, 3, 128, 128), (1, 3, 256, 255)])
def test_other_input_shapes_are_refused_with_got_and_expected(shape):
    with torch.device("meta"):
        network = Encoder4Editing(8)
        with pytest.raises(ValueError, match=r"expected shape \[B, 3, 256, 256\], got \["):
            network(torch.empty(shape))


def test_trunk_geometry():
    units = list(unit_shapes())
    assert len(units) == 24
    assert [index for index, unit in enumerate(units) if unit.stride == 2] == [0, 3, 7, 21]
    with torch.device("meta"):
        fine, middle, coarse = IRSE50().taps(torch.empty(2, 3, 256, 256))
    assert (fine.shape, middle.shape, coarse.shape) == ((2, 128, 64, 64), (2, 256, 32, 32), (2, 512, 16, 16))


def test_strided_shortcut_without_weights_is_a_one_pixel_pool():
    """The reference takes a 1 px max pool there; with the residual branch off the unit must return just that."""
    unit = ResidualUnit(UnitShape(16, 16, stride=2)).eval()
    torch.nn.init.zeros_(unit.res_layer[4].weight)
    x = torch.from_numpy(np.random.RandomState(0).standard_normal((2, 16, 7, 6)).astype(np.float32))
    with torch.inference_mode():
        torch.testing.assert_close(unit(x), torch.nn.functional.max_pool2d(x, 1, 2))


def test_squeeze_and_excitation_agrees_with_a_naive_loop():
    layer = SqueezeExcitation(32)
    rng = np.random.RandomState(1)
    x = rng.standard_normal((2, 32, 3, 5))
    w1, w2 = rng.standard_normal((2, 32)), rng.standard_normal((32, 2))
    with torch.no_grad():
        layer.fc1.weight.copy_(torch.from_numpy(w1)[:, :, None, None])
        layer.fc2.weight.copy_(torch.from_numpy(w2)[:, :, None, None])
        got = layer(torch.from_numpy(x).float()).numpy()
    expected = np.empty_like(x)
    for b in range(2):
        logits = w2 @ np.maximum(w1 @ x[b].mean(axis=(1, 2)), 0)
        for c in range(32):
            expected[b, c] = x[b, c] / (1 + np.exp(-logits[c]))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_enlarging_meets_the_corners():
    small = torch.tensor([[[[0.0, 3.0], [6.0, 9.0]]]])
    got = _enlarge_and_add(small, torch.ones(1, 1, 4, 4))
    rows = torch.arange(4.0)
    torch.testing.assert_close(got[0, 0], 1 + 2 * rows[:, None] + rows[None, :])


@pytest.mark.parametrize(("size_px", "convolutions"), [(16, 4), (32, 5), (64, 6)])
def test_heads_end_at_one_pixel(size_px, convolutions):
    with torch.device("meta"):
        head = StyleHead(size_px)
        assert sum(isinstance(layer, torch.nn.Conv2d) for layer in head.convs) == convolutions
        assert head.convs(torch.empty(1, 512, size_px, size_px)).shape == (1, 512, 1, 1)
