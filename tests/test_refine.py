"""The end of an inversion: nearer to the picture with every step, most of all in the eyes, and nothing else moves."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from core.engines.fewshot_gan import refine as module
from core.engines.fewshot_gan.backbone import Backbone
from core.engines.fewshot_gan.engine import FewShotGan
from core.engines.fewshot_gan.refine import CODE_RATE, MAP_RATE, fine_parts, refine
from tests.tiny_backbone import copies, same_state, sampled_pictures


def tinted(picture: Tensor) -> Tensor:
    return (picture * 0.8 + torch.tensor([0.1, 0.0, -0.1]).view(1, 3, 1, 1)).clamp(-1, 1)


def test_the_drawing_is_pulled_to_the_photo(tiny: Backbone) -> None:
    picture = tinted(sampled_pictures(tiny, 1))
    with torch.no_grad():
        w_plus, features = tiny.encoder(picture)
    generator = copy.deepcopy(tiny.generator).requires_grad_(True)
    before = copies(generator)
    errors = []
    for steps in (0, 6, 24):
        codes, structure = refine(generator, w_plus, features, picture, steps=steps, dtype=torch.float32)
        errors.append((tiny.generator(codes, features=structure) - picture).abs().mean().item())
        for moved, given, rate in ((codes, w_plus, CODE_RATE), (structure, features, MAP_RATE)):
            assert not moved.requires_grad and (moved - given).abs().max() <= steps * rate * 1.5
    assert errors[2] < errors[1] < errors[0]
    assert same_state(generator, before)
    assert all(parameter.grad is None for parameter in generator.parameters())


def test_no_step_changes_nothing(tiny: Backbone) -> None:
    picture = sampled_pictures(tiny, 1)
    with torch.no_grad():
        w_plus, features = tiny.encoder(picture)
    codes, structure = refine(tiny.generator, w_plus, features, picture, steps=0, dtype=torch.float32)
    assert torch.equal(codes, w_plus) and torch.equal(structure, features)


def test_eyes_and_mouth_are_where_the_ffhq_square_has_them() -> None:
    fine = fine_parts(256)
    assert fine.shape == (256, 256) and fine.min() >= 0 and fine.max() <= 1
    assert fine[122, 98] > 0.9 and fine[122, 158] > 0.9 and 0.5 < fine[182, 128] < 0.7
    for row, column in ((60, 128), (230, 128), (122, 20), (122, 240)):
        assert fine[row, column] < 0.05, "forehead, chin, hair"
    assert torch.allclose(fine, fine.flip(1), atol=1e-6)
    assert 0.05 < fine.mean() < 0.15


def test_eyes_gain_more_than_they_would_without_their_weight(mini: FewShotGan, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the embedded model: a picture whose eyes the encoder doesn't get right."""
    backbone = mini.backbone
    picture = sampled_pictures(backbone, 1)
    rows, columns = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    iris = sum(((rows - 122) ** 2 + (columns - column) ** 2 < 25).float() for column in (98, 158))
    picture = torch.lerp(picture, torch.full_like(picture, -0.9), iris)
    with torch.no_grad():
        w_plus, features = backbone.encoder(picture, dtype=backbone.dtype)
    eyes = fine_parts(256)[None, None] * (rows < 150)

    def missing() -> float:
        codes, structure = refine(backbone.generator, w_plus, features, picture, steps=6, dtype=backbone.dtype)
        with torch.no_grad():
            drawn = backbone.generator(codes, features=structure, dtype=backbone.dtype)
        return float(((drawn - picture).abs() * eyes).sum() / eyes.sum())

    weighted = missing()
    monkeypatch.setattr(module, "FINE_WEIGHT", 0.0)
    assert weighted < 0.9 * missing()
