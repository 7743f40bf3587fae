"""SqueezeNet 1.1 features of made-up weights: stored values, shapes, taps, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from core.networks.squeezenet import STAGE_CHANNELS, STAGES, SqueezeNetFeatures

FIRES = {2: (64, 16, 64), 3: (128, 16, 64), 4: (128, 32, 128), 5: (256, 32, 128)} | {
    6: (256, 48, 192), 7: (384, 48, 192), 8: (384, 64, 256), 9: (512, 64, 256),
}  # fmt: skip


def made_up_arrays() -> dict[str, np.ndarray]:
    """Seeded weights under the Caffe model's names, scaled to keep activations near one."""
    rng = np.random.default_rng(7)
    shapes = {"conv1": (64, 3, 3, 3)}
    for number, (inner, squeezed, expanded) in FIRES.items():
        shapes[f"fire{number}_squeeze1x1"] = (squeezed, inner, 1, 1)
        shapes[f"fire{number}_expand1x1"] = (expanded, squeezed, 1, 1)
        shapes[f"fire{number}_expand3x3"] = (expanded, squeezed, 3, 3)
    arrays = {}
    for name, shape in shapes.items():
        arrays[f"{name}.weight"] = rng.standard_normal(shape).astype(np.float32) * (2 / np.prod(shape[1:])) ** 0.5
        arrays[f"{name}.bias"] = rng.standard_normal(shape[:1]).astype(np.float32) * 0.1
    return arrays


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("squeezenet") / "weights.npz"
    np.savez(path, **made_up_arrays())
    return path


def pictures(count: int = 2, side_px: int = 64) -> torch.Tensor:
    return torch.rand(count, 3, side_px, side_px, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_shapes_at_256(weights: Path) -> None:
    features = SqueezeNetFeatures(weights, taps=STAGES)(pictures(1, 256))
    assert [feature.shape[1] for feature in features] == list(STAGE_CHANNELS.values())
    assert [feature.shape[2] for feature in features] == [127, 63, 63, 31, 31, 15, 15, 15, 15]


def test_equals_the_stored_values(weights: Path) -> None:
    """Mean levels that this project's own network gave before torchvision's took its place."""
    found = [float(feature.abs().mean()) for feature in SqueezeNetFeatures(weights)(pictures())]
    assert found == pytest.approx([38.680679, 57.988113, 46.075547, 47.201450, 39.885540], rel=1e-5)


def test_taps_are_a_selection_in_network_order(weights: Path) -> None:
    every = SqueezeNetFeatures(weights, taps=STAGES)(pictures())
    chosen = SqueezeNetFeatures(weights, taps=("fire5", "conv1"))
    first, second = chosen(pictures())
    assert torch.equal(first, every[0])
    assert torch.equal(second, every[4])
    assert len(chosen.layers) == 8, "nothing is computed after fire5"


def test_batch_size_does_not_matter(weights: Path) -> None:
    network = SqueezeNetFeatures(weights, taps=("fire9",))
    x = pictures(3)
    alone = torch.cat([network(one[None])[0] for one in x])
    assert torch.allclose(network(x)[0], alone, rtol=1e-4, atol=1e-3)


def test_frozen_but_gradients_reach_the_picture(weights: Path) -> None:
    network = SqueezeNetFeatures(weights).train()
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    x = pictures(1).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        features = network(x)
    sum(feature.float().mean() for feature in features).backward()
    assert features[0].dtype == torch.bfloat16
    assert x.grad is not None and float(x.grad.abs().sum()) > 0


@pytest.mark.parametrize("change", ["missing", "unknown", "shape"])
def test_other_weights_are_refused(tmp_path: Path, change: str) -> None:
    arrays = made_up_arrays()
    if change == "missing":
        del arrays["fire4_expand3x3.bias"]
    elif change == "unknown":
        arrays["fire10_squeeze1x1.bias"] = np.zeros(3, np.float32)
    else:
        arrays["conv1.weight"] = np.zeros((64, 3, 7, 7), np.float32)
    np.savez(tmp_path / "other.npz", **arrays)
    with pytest.raises(ValueError, match=r"other\.npz does not fit.*(fire4|fire10|conv1)"):
        SqueezeNetFeatures(tmp_path / "other.npz")


def test_other_input_is_refused(weights: Path) -> None:
    with pytest.raises(ValueError, match="taps"):
        SqueezeNetFeatures(weights, taps=("relu1_2",))
    network = SqueezeNetFeatures(weights, taps=("conv1",))
    for shape in ((3, 64, 64), (1, 1, 64, 64), (1, 3, 16, 64)):
        with pytest.raises(ValueError, match="expected"):
            network(torch.zeros(shape))
