"""Style distance protocol `gram_relative`, with features small enough to work out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from core.metrics.gram import Features, gram_distance, gram_matrix, mean_gram_distance, picture_grams, style_gap_closed
from core.networks.squeezenet import WEIGHTS_FILE, SqueezeNetFeatures


def colours(x: Tensor) -> list[Tensor]:
    """The picture itself as its only layer."""
    return [x]


def style_distance(picture: Tensor, references: list[Tensor], features: Features) -> float:
    """From pictures, as `mean_gram_distance` is from their Gram matrices."""
    return mean_gram_distance(picture_grams(picture, features), [picture_grams(x, features) for x in references])


def flat(red: float, green: float, blue: float) -> Tensor:
    return torch.tensor([red, green, blue]).view(1, 3, 1, 1).expand(1, 3, 8, 8)


def test_gram_equals_the_naive_loop() -> None:
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 4, 5)))
    for b in range(2):
        for i in range(3):
            for j in range(3):
                expected = sum(float(x[b, i, y, z] * x[b, j, y, z]) for y in range(4) for z in range(5)) / 20
                assert float(gram_matrix(x)[b, i, j]) == pytest.approx(expected, abs=1e-5)


def test_gram_ignores_where_things_are() -> None:
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((1, 3, 6, 6)))
    assert torch.allclose(gram_matrix(x), gram_matrix(x.flip(3).transpose(2, 3)), atol=1e-6)
    assert gram_matrix(x.bfloat16()).dtype == torch.float32


def test_distance_closed_forms() -> None:
    """Flat red against flat green: norms 1 and 1, difference sqrt(2). Doubled colours: Gram norms 1 and 4."""
    assert style_distance(flat(1, 0, 0), [flat(0, 1, 0)], colours) == pytest.approx(math.sqrt(2))
    assert style_distance(flat(1, 0, 0), [flat(2, 0, 0)], colours) == pytest.approx(3 / 2.5)
    mean = style_distance(flat(1, 0, 0), [flat(0, 1, 0), flat(2, 0, 0)], colours)
    assert mean == pytest.approx((math.sqrt(2) + 1.2) / 2)


def test_every_layer_counts_the_same() -> None:
    def two_layers(x: Tensor) -> list[Tensor]:
        return [x, torch.full((1, 2, 4, 4), 1e4)]

    assert style_distance(flat(1, 0, 0), [flat(0, 1, 0)], two_layers) == pytest.approx(math.sqrt(2) / 2)


def test_gap_closed() -> None:
    photo, first, second = flat(1, 0, 0), flat(0, 1, 0), flat(0, 0.9, 0.1)
    assert style_gap_closed(photo, photo, [first, second], colours) == pytest.approx(0)
    assert style_gap_closed(first, photo, [first], colours) == pytest.approx(1)
    half = flat(0.5, 0.5, 0)
    ours = style_distance(half, [first, second], colours)
    start = style_distance(photo, [first, second], colours)
    among = style_distance(first, [second], colours)
    assert style_gap_closed(half, photo, [first, second], colours) == pytest.approx((start - ours) / (start - among))
    assert 0 < (start - ours) / (start - among) < 1


def test_errors() -> None:
    with pytest.raises(ValueError, match="no style gap"):
        style_gap_closed(flat(0, 1, 0), flat(1, 0, 0), [flat(1, 0, 0), flat(0, 1, 0)], colours)
    with pytest.raises(ValueError, match="at least one"):
        style_gap_closed(flat(0, 1, 0), flat(1, 0, 0), [], colours)
    with pytest.raises(ValueError, match="at least one"):
        mean_gram_distance([gram_matrix(flat(1, 0, 0))], [])
    with pytest.raises(ValueError, match="same layers"):
        gram_distance([gram_matrix(flat(1, 0, 0))], [])
    with pytest.raises(ValueError, match=r"\[B, C, h, w\]"):
        gram_matrix(torch.zeros(3, 4, 4))


def test_engravings_are_nearer_to_engravings(shared_dir: Path) -> None:
    """With the real network: an engraving closes most of the gap to other engravings, an oil portrait nearly none."""
    if not (shared_dir / "oracles" / WEIGHTS_FILE).is_file():
        pytest.skip("no SqueezeNet features")
    features = SqueezeNetFeatures(shared_dir / "oracles" / WEIGHTS_FILE)

    def read(path: Path) -> Tensor:
        with Image.open(path) as image:
            levels = np.asarray(image.convert("RGB").resize((256, 256)), dtype=np.float32)
        return torch.from_numpy(levels).permute(2, 0, 1)[None] / 127.5 - 1

    photo = read(shared_dir / "faces" / "images" / "london_0000.webp")
    engravings = [read(shared_dir / "styles" / f"engraving_{number}.webp") for number in (1, 2, 3)]
    alike = style_gap_closed(read(shared_dir / "styles" / "engraving_0.webp"), photo, engravings, features)
    other = style_gap_closed(read(shared_dir / "styles" / "oil_0.webp"), photo, engravings, features)
    assert alike > 0.7
    assert other < 0.3
