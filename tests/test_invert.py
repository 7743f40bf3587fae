"""Inversion: shapes, the same result for the same picture, and values that training can go through."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from PIL import Image

from core.engines.fewshot_gan.backbone import Backbone
from core.engines.fewshot_gan.engine import FewShotGan
from core.engines.fewshot_gan.invert import invert
from tests.tiny_backbone import as_face, copies, same_state, sampled_pictures


def test_values_and_shapes(tiny: Backbone) -> None:
    face = as_face(sampled_pictures(tiny, 1), "me.png")
    before = copies(tiny.encoder)
    inversion = invert(face, tiny)
    assert inversion.w_plus.shape == (1, 8, 512) and inversion.w_plus.dtype == torch.float32
    assert inversion.features is not None and inversion.features.shape == (1, 32, 8, 8)
    assert inversion.engine == "fewshot_gan" and inversion.face is face
    again = invert(face, tiny)
    assert torch.equal(again.w_plus, inversion.w_plus) and torch.equal(again.features, inversion.features)
    assert same_state(tiny.encoder, before)


def test_the_crop_may_have_another_size(tiny: Backbone) -> None:
    picture = as_face(sampled_pictures(tiny, 1)).image
    large = invert(as_face(picture.resize((256, 256), Image.Resampling.BICUBIC)), tiny)
    assert large.w_plus.shape == (1, 8, 512) and large.face.image.size == (256, 256)


def test_codes_can_be_trained_through(tiny: Backbone) -> None:
    """Tensors made in inference mode can't be kept for a backward pass."""
    inversion = invert(as_face(sampled_pictures(tiny, 1)), tiny)
    assert not inversion.w_plus.is_inference() and not inversion.w_plus.requires_grad
    factor = torch.ones((), requires_grad=True)
    ((inversion.w_plus * factor).square().mean() + (inversion.features * factor).mean()).backward()
    assert factor.grad is not None


def test_an_inversion_ends_with_the_backbones_refining_steps(tiny: Backbone) -> None:
    face = as_face(sampled_pictures(tiny, 1))
    plain, refined, again = (invert(face, replace(tiny, refining_steps=steps)) for steps in (0, 3, 3))
    assert not torch.equal(plain.w_plus, refined.w_plus) and not torch.equal(plain.features, refined.features)
    assert torch.equal(refined.w_plus, again.w_plus) and torch.equal(refined.features, again.features)


def test_a_face_of_its_own_comes_back(mini: FewShotGan) -> None:
    """The embedded encoder and generator belong together: redrawn faces resemble themselves more than others."""
    backbone = mini.backbone
    faces = sampled_pictures(backbone, 2)
    redrawn = []
    for face in faces:
        inversion = invert(as_face(face), backbone)
        with torch.no_grad():
            redrawn.append(backbone.generator(inversion.w_plus, features=inversion.features, dtype=backbone.dtype)[0])
    own = [(redrawn[i] - faces[i]).abs().mean().item() for i in range(2)]
    other = [(redrawn[i] - faces[1 - i]).abs().mean().item() for i in range(2)]
    assert max(own) < 0.35
    assert own[0] < other[0] and own[1] < other[1]


@pytest.mark.parametrize("bad", [torch.zeros(1, 3, 32, 32), torch.zeros(1, 1, 64, 64)])
def test_the_encoder_refuses_other_shapes(tiny: Backbone, bad: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="expected"):
        tiny.encoder(bad)
