"""Drawing in a style: both ends and the middle of `strength`, seeds, kept colours, an untouched base generator."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from core.engines.base import DrawOptions
from core.engines.fewshot_gan.backbone import Backbone
from core.engines.fewshot_gan.engine import FewShotGan
from core.engines.fewshot_gan.style_file import GanStyle, StyleMeta
from core.engines.fewshot_gan.synthesize import synthesize
from core.imaging.paste import keep_photo_colours
from core.imaging.photo import to_image
from tests.tiny_backbone import as_face, copies, same_state, sampled_pictures


@pytest.fixture(scope="module")
def style(tiny: Backbone) -> GanStyle:
    """Made-up changes of some parameters."""
    rng = torch.Generator().manual_seed(0)
    changed = ("conv1.conv.weight", "convs.3.conv.weight", "to_rgbs.2.bias", "read_map.0.weight")
    shapes = {name: parameter.shape for name, parameter in tiny.generator.named_parameters()}
    weights = {name: (0.3 * torch.randn(shapes[name], generator=rng)).half() for name in changed}
    return GanStyle.of("Ink", weights, StyleMeta("mini", tiny.fingerprint, {"method": "paper"}, ("aa", "bb"), 0.5))


@pytest.fixture(scope="module")
def codes(tiny: Backbone) -> tuple[Tensor, Tensor]:
    w_plus, features = tiny.sample(torch.Generator().manual_seed(0), 2)
    assert features is not None
    return w_plus, features


@pytest.fixture(autouse=True)
def untouched(tiny: Backbone) -> Iterator[None]:
    """Whatever a test draws, the base generator keeps its bits."""
    before = copies(tiny.generator)
    yield
    assert same_state(tiny.generator, before)


def tuned_by_hand(tiny: Backbone, style: GanStyle, share: float, codes: tuple[Tensor, Tensor]) -> Tensor:
    generator = copy.deepcopy(tiny.generator)
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name in style.weights:
                parameter += share * style.weights[name].float()
        return generator(codes[0], features=codes[1])


def test_no_strength_is_the_base_generator(tiny: Backbone, style: GanStyle, codes: tuple[Tensor, Tensor]) -> None:
    base = tiny.generator(codes[0], features=codes[1])
    assert torch.equal(synthesize(*codes, tiny), base)
    assert torch.equal(synthesize(*codes, tiny, style=style, strength=0.0), base)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_strength_moves_the_parameters(
    tiny: Backbone, style: GanStyle, codes: tuple[Tensor, Tensor], strength: float
) -> None:
    got = synthesize(*codes, tiny, style=style, strength=strength)
    torch.testing.assert_close(got, tuned_by_hand(tiny, style, strength, codes), rtol=1e-5, atol=1e-5)
    assert (got - synthesize(*codes, tiny)).abs().mean() > 0.01
    assert not got.requires_grad


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_other_strengths_are_refused(tiny: Backbone, codes: tuple[Tensor, Tensor], strength: float) -> None:
    with pytest.raises(ValueError, match=r"strength must be in \[0, 1\], got"):
        synthesize(*codes, tiny, strength=strength)
    with pytest.raises(ValueError, match="strength must be a number from 0 to 1, got"):
        DrawOptions(strength=strength)


def test_other_threads_never_see_the_tuned_parameters(
    tiny: Backbone, style: GanStyle, codes: tuple[Tensor, Tensor]
) -> None:
    """While a style is drawn, the shared generator holds its own tensors."""
    own = dict(tiny.generator.named_parameters())
    seen: list[bool] = []

    def look(*_: object) -> None:
        now = dict(tiny.generator.named_parameters())
        seen.append(all(now[name] is own[name] for name in own))

    hook = tiny.generator.read_map.register_forward_hook(look)
    try:
        synthesize(*codes, tiny, style=style)
    finally:
        hook.remove()
    assert seen == [True]


def test_the_seed_draws_the_noise(tiny: Backbone, codes: tuple[Tensor, Tensor]) -> None:
    stored, seven = synthesize(*codes, tiny), synthesize(*codes, tiny, seed=7)
    torch.manual_seed(3)
    assert torch.equal(seven, synthesize(*codes, tiny, seed=7))
    assert torch.equal(stored, synthesize(*codes, tiny, seed=0))
    assert not torch.equal(seven, synthesize(*codes, tiny, seed=8)) and not torch.equal(seven, stored)


def soft_colours(side_px: int = 64) -> Image.Image:
    """A smooth picture of moderate colours."""
    rows, columns = np.mgrid[0:side_px, 0:side_px] / (side_px - 1)
    planes = [110 + 50 * columns, 120 + 20 * rows, 130 - 40 * columns * rows]
    return Image.fromarray(np.stack(planes, axis=-1).round().astype(np.uint8))


def planes_of(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("YCbCr")).astype(float)


def test_kept_colours_are_the_photos() -> None:
    stripes = np.full((64, 64, 3), 160, np.uint8)
    stripes[::8] = (70, 90, 80)
    drawing, photo = Image.fromarray(stripes), soft_colours()
    kept = planes_of(keep_photo_colours(drawing, photo))
    assert np.abs(kept[..., 0] - planes_of(drawing)[..., 0]).max() <= 2
    inner = (slice(4, -4), slice(4, -4))
    assert np.abs(kept[inner][..., 1:] - planes_of(photo)[inner][..., 1:]).max() <= 3


def test_kept_colours_fit_any_size_of_photo() -> None:
    drawing = Image.new("RGB", (64, 64), (128, 128, 128))
    small, large = keep_photo_colours(drawing, soft_colours(48)), keep_photo_colours(drawing, soft_colours(256))
    assert small.size == large.size == (64, 64)
    assert np.abs(planes_of(small) - planes_of(large)).mean() < 1.5


def test_a_drawing_says_how_it_was_made(tiny: Backbone, style: GanStyle) -> None:
    engine, face = FewShotGan(tiny), as_face(sampled_pictures(tiny, 1), "me.png")
    prepared = engine.prepare(face)
    drawing = engine.draw(prepared, style, DrawOptions(strength=0.5, seed=3))
    picture = synthesize(prepared.w_plus, prepared.features, tiny, style=style, strength=0.5, seed=3)
    assert drawing.image.mode == "RGB" and drawing.image.tobytes() == to_image(picture).tobytes()
    assert drawing.provenance == {
        "engine": "fewshot_gan",
        "backbone": "mini",
        "fingerprint": tiny.fingerprint,
        "style": "Ink",
        "method": "paper",
        "references": 2,
        "strength": 0.5,
        "keep_colour": False,
        "seed": 3,
        "side_px": 64,
        "brush": 0.0,
        "shape": 0.3,
        "skin_tone": 1.0,
        "background": "style",
    }
    coloured = engine.draw(prepared, style, DrawOptions(strength=0.5, seed=3, keep_colour=True))
    assert coloured.image.tobytes() == keep_photo_colours(drawing.image, face.image).tobytes()
    assert coloured.provenance["keep_colour"] is True
    plain = engine.draw(prepared, None)
    assert plain.image.tobytes() == engine.reconstruct(prepared).tobytes()
    assert plain.provenance["style"] is None and plain.provenance["references"] == 0
