"""The embedded networks: shapes, what each half of the encoder reads, the fitted appearance, smaller pictures."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from core.networks.mini import MAP_CHANNELS, STYLE_DIM, MiniEncoder, MiniGenerator
from core.networks.ops import luminance


@pytest.fixture(scope="module")
def generator() -> MiniGenerator:
    torch.manual_seed(0)
    network = MiniGenerator(64, widths=(16, 12, 8, 8), factors=4).eval().requires_grad_(False)
    network.appearance_mean.normal_()
    network.appearance_factors.normal_()
    return network


@pytest.fixture(scope="module")
def encoder(generator: MiniGenerator) -> MiniEncoder:
    torch.manual_seed(1)
    return MiniEncoder(64, generator.n_latent).eval().requires_grad_(False)


def pictures(batch: int = 2, side_px: int = 64) -> Tensor:
    return torch.rand(batch, 3, side_px, side_px, generator=torch.Generator().manual_seed(2)) * 2 - 1


def test_shapes_at_full_size() -> None:
    with torch.device("meta"):
        generator = MiniGenerator()
        encoder = MiniEncoder(generator.resolution, generator.n_latent)
        assert generator.resolution == 256 and generator.n_latent == 8
        w_plus, features = encoder(torch.empty(3, 3, 256, 256))
        assert w_plus.shape == (3, 8, STYLE_DIM) and features.shape == (3, MAP_CHANNELS, 32, 32)
        assert generator(w_plus, features=features).shape == (3, 3, 256, 256)


def test_encoder_and_generator_fit(encoder: MiniEncoder, generator: MiniGenerator) -> None:
    w_plus, features = encoder(pictures())
    assert w_plus.shape == (2, 8, STYLE_DIM) and features.shape == (2, MAP_CHANNELS, 8, 8)
    assert torch.equal(w_plus[:, 0], w_plus[:, 7])
    picture = generator(w_plus, features=features)
    assert picture.shape == (2, 3, 64, 64) and picture.dtype == torch.float32
    assert bool(torch.isfinite(picture).all())


def test_bf16_gives_float32_results(encoder: MiniEncoder, generator: MiniGenerator) -> None:
    w_plus, features = encoder(pictures())
    low_w, low_features = encoder(pictures(), dtype=torch.bfloat16)
    assert low_w.dtype == low_features.dtype == torch.float32
    assert ((low_features - features).norm() / features.norm()).item() < 0.05
    assert ((low_w - w_plus).norm() / w_plus.norm()).item() < 0.05
    full = generator(w_plus, features=features)
    assert ((generator(w_plus, features=features, dtype=torch.bfloat16) - full).norm() / full.norm()).item() < 0.05


def test_structure_reads_the_luminance_only(encoder: MiniEncoder) -> None:
    coloured = pictures() * 0.5
    grey = luminance(coloured).expand(-1, 3, -1, -1)
    torch.testing.assert_close(encoder.encode_structure(coloured), encoder.encode_structure(grey), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(encoder.encode_appearance(coloured), encoder.encode_appearance(grey), atol=1e-2)
    other = encoder.encode_structure(grey.flip(3))
    assert not torch.allclose(encoder.encode_structure(grey), other, atol=1e-2)


def test_appearance_reads_colours_at_64_px(encoder: MiniEncoder) -> None:
    """Detail finer than the 64 px grid leaves the code as it is."""
    small = pictures(1)
    large = small.repeat_interleave(4, 2).repeat_interleave(4, 3)
    fine = torch.zeros_like(large)
    fine[..., ::2, :], fine[..., 1::2, :] = 0.1, -0.1
    torch.testing.assert_close(encoder.encode_appearance(large + fine), encoder.encode_appearance(small))


def test_batch_size_does_not_matter(encoder: MiniEncoder, generator: MiniGenerator) -> None:
    x = pictures(3)
    w_plus, features = encoder(x)
    alone = [encoder(one[None]) for one in x]
    torch.testing.assert_close(features, torch.cat([item[1] for item in alone]), rtol=1e-3, atol=1e-4)
    apart = [generator(w_plus[i : i + 1], features=features[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(generator(w_plus, features=features), torch.cat(apart), rtol=1e-3, atol=1e-4)


def test_mapping_is_the_fitted_gaussian(generator: MiniGenerator) -> None:
    assert torch.equal(generator.mapping(torch.zeros(2, STYLE_DIM)), generator.appearance_mean.expand(2, -1))
    z = torch.randn(4000, STYLE_DIM, generator=torch.Generator().manual_seed(3))
    w = generator.mapping(z)
    torch.testing.assert_close(w, generator.appearance_mean + z[:, :4] @ generator.appearance_factors)
    assert torch.equal(w, generator.mapping(torch.cat([z[:, :4], torch.zeros(4000, STYLE_DIM - 4)], 1)))
    covariance = torch.cov((w - generator.appearance_mean).t())
    fitted = generator.appearance_factors.t() @ generator.appearance_factors
    assert ((covariance - fitted).norm() / fitted.norm()).item() < 0.1


def test_levels_stop_early(encoder: MiniEncoder, generator: MiniGenerator) -> None:
    w_plus, features = encoder(pictures(1))
    for levels, side_px in enumerate((8, 16, 32, 64)):
        assert generator(w_plus, features=features, levels=levels).shape == (1, 3, side_px, side_px)
    whole = generator(w_plus, features=features)
    assert torch.equal(generator(w_plus, features=features, levels=3), whole)


def test_other_input_is_refused(encoder: MiniEncoder, generator: MiniGenerator) -> None:
    w_plus, features = encoder(pictures(1))
    with pytest.raises(ValueError, match="needs the encoder's feature map, got None"):
        generator(w_plus, features=None)
    with pytest.raises(ValueError, match=r"shape \[B, 8, 512\], got \(1, 7, 512\)"):
        generator(w_plus[:, :7], features=features)
    for shape in ((1, 3, 32, 32), (1, 1, 64, 64), (3, 64, 64)):
        with pytest.raises(ValueError, match=r"expected \[B, 3, 64, 64\], got \("):
            encoder(torch.zeros(shape))
