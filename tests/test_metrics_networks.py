"""Judging networks in the published formats, made up: FID's Inception, ArcFace IR-SE50, LPIPS with VGG16."""

from __future__ import annotations

import lpips
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision.models import inception

from core.metrics.arcface import ArcFaceEmbedding
from core.metrics.fid import feature_rows, inception_extractor
from core.metrics.identity import cosine
from core.metrics.lpips import LpipsVgg16
from core.networks.arcface import ArcFace
from core.networks.checkpoints import load_into
from core.networks.inception import FEATURES, FidInception
from tests.made_up_weights import made_up_state
from tests.test_perceptual import made_up_vgg

PUBLISHED_INCEPTION = {  # names and shapes of pt_inception-2015-12-05-6726825d.pth, one of every kind
    "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
    "Conv2d_1a_3x3.bn.running_var": (32,),
    "Mixed_5b.branch_pool.conv.weight": (32, 192, 1, 1),
    "Mixed_6c.branch7x7dbl_5.conv.weight": (192, 160, 1, 7),
    "Mixed_7c.branch3x3dbl_3b.bn.bias": (384,),
    "Mixed_7c.branch_pool.conv.weight": (192, 2048, 1, 1),
    "fc.weight": (1008, 2048),
}
PUBLISHED_ARCFACE = {  # of model_ir_se50.pth
    "input_layer.0.weight": (64, 3, 3, 3),
    "body.0.shortcut_layer.0.weight": None,
    "body.3.shortcut_layer.0.weight": (128, 64, 1, 1),
    "body.23.res_layer.5.fc1.weight": (32, 512, 1, 1),
    "output_layer.0.weight": (512,),
    "output_layer.3.weight": (512, 25088),
    "output_layer.4.running_mean": (512,),
}


@pytest.fixture(scope="module")
def network() -> FidInception:
    network = FidInception()
    load_into(network, made_up_state(network, gain=2), source="made up")
    return network


def picture(side_px: int = 64, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, side_px, side_px, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_inception_takes_the_published_names(network: FidInception) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert {name: shapes.get(name) for name in PUBLISHED_INCEPTION} == PUBLISHED_INCEPTION
    assert not any(name.startswith("AuxLogits") for name in shapes)


def test_inception_features(network: FidInception) -> None:
    x = picture()
    found = network.train().features(torch.cat([x, picture(seed=1)]))
    assert found.shape == (2, FEATURES) and bool(torch.isfinite(found).all()) and bool((found >= 0).all())
    by_hand = F.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False)
    torch.testing.assert_close(network.features(by_hand)[0], found[0], rtol=1e-3, atol=1e-4)
    rows = feature_rows([x, picture(40, 2)], inception_extractor(network))
    np.testing.assert_allclose(rows[0], found[0].numpy(), rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match="expected"):
        network.features(x[0])


@pytest.mark.parametrize("name", ["Mixed_5b", "Mixed_6b", "Mixed_7b", "Mixed_7c"])
def test_inception_pools_as_the_graph_does(network: FidInception, name: str) -> None:
    """The last branch, recomputed; the other branches are torchvision's own."""
    block = getattr(network, name)
    channels = next(block.parameters()).shape[1]
    x = torch.rand(1, channels, 5, 5, generator=torch.Generator().manual_seed(3))
    outputs = block._forward(x)
    if name == "Mixed_7c":
        pooled = F.max_pool2d(x, 3, stride=1, padding=1)
    else:
        window = torch.ones(channels, 1, 3, 3)
        counts = F.conv2d(torch.ones(1, 1, 5, 5), window[:1], padding=1)
        pooled = F.conv2d(x, window, padding=1, groups=channels) / counts
    torch.testing.assert_close(outputs[-1], block.branch_pool(pooled))
    plain = next(kind for kind in type(block).__mro__ if kind.__module__ == inception.__name__)._forward(block, x)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(outputs[:-1], plain[:-1], strict=True))
    assert not torch.allclose(outputs[-1], plain[-1], atol=1e-3)


def test_arcface_takes_the_published_names_and_embeds() -> None:
    with torch.device("meta"):
        network = ArcFace()
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert {name: shapes.get(name) for name in PUBLISHED_ARCFACE} == PUBLISHED_ARCFACE
    load_into(network, made_up_state(network, gain=2), source="made up")
    embed = ArcFaceEmbedding(network)
    levels = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    first, second = (embed(Image.fromarray(part)) for part in levels)
    assert first.shape == (512,) and first.dtype == np.float32
    assert float(np.linalg.norm(first)) == pytest.approx(1, abs=1e-5)
    assert cosine(first, second) < 0.9999
    with pytest.raises(ValueError, match="112 px"):
        embed(Image.new("RGB", (100, 112)))
    with pytest.raises(ValueError, match="112"):
        network(torch.zeros(1, 3, 96, 96))


def test_lpips_is_the_packages() -> None:
    state = made_up_vgg()
    metric = LpipsVgg16(state)
    reference = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False).requires_grad_(False)
    names = {name: name.split(".", 1)[1] for name in reference.net.state_dict()}
    reference.net.load_state_dict({name: state[f"features.{rest}"] for name, rest in names.items()})
    a, b = picture(256), picture(256, 1)
    value = metric(a, b)
    assert value == pytest.approx(float(reference(a, b)), rel=1e-5) and value > 0.01
    assert metric(a, a) == 0
    assert [layer.shape[1] for layer in metric.features(a)] == [64, 128, 256, 512, 512]
    large = F.interpolate(a, scale_factor=2, mode="nearest")
    assert metric(large, F.interpolate(b, scale_factor=2, mode="nearest")) == pytest.approx(value, rel=1e-4)
    with pytest.raises(ValueError, match="one size"):
        metric(a, picture(128))
