"""Art styles drawn from photos while the embedded encoder trains, and six that its training never shows.

Every style maps photos [B, 3, H, W] in [-1, 1] to pictures of the same shape and range, with its parameters drawn from
a `torch.Generator`. `TRAINING` teaches the encoder to see through them, `HELD_OUT` tests whether it can
("destylization").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from core.networks.ops import luminance
from core.procedural import filters as f

StyleFilter = Callable[[Tensor, torch.Generator], Tensor]


class _Dice:
    """Shorthand for random parameters."""

    def __init__(self, rng: torch.Generator) -> None:
        self.rng = rng

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * torch.rand((), generator=self.rng).item()

    def integer(self, low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=self.rng))

    def chance(self, probability: float) -> bool:
        return self.uniform(0, 1) < probability

    def colour(self, low: float, high: float) -> Tensor:
        return torch.rand((1, 3, 1, 1), generator=self.rng) * (high - low) + low


def _ink_on_paper(coverage: Tensor, dice: _Dice) -> Tensor:
    """Colour ink coverage [B, 1, H, W] (1 is full ink): mostly black on white, sometimes tinted or faded."""
    paper = dice.colour(0.82, 1.0) if dice.chance(0.4) else torch.ones(1, 3, 1, 1)
    ink = dice.colour(0.0, 0.35) if dice.chance(0.4) else torch.full((1, 3, 1, 1), dice.uniform(0, 0.15))
    return paper + (ink - paper) * coverage.clamp(0, 1)


def _fade_background(x: Tensor, dice: _Dice) -> Tensor:
    """Replace what is far from the face by paper, dark or a wash, along a wobbly outline."""
    batch, _, height, width = x.shape
    rows, columns = f.pixel_grid(height, width)
    wobble = (f.value_noise((batch, 1, height, width), 48, dice.rng) - 0.5) * 0.25
    down, across = (rows / height - 0.5) / dice.uniform(0.45, 0.6), (columns / width - 0.5) / dice.uniform(0.34, 0.45)
    distance = (down**2 + across**2).sqrt()[None, None] + wobble
    keep = 1 - f.soft_step(distance, 1.0, dice.uniform(0.02, 0.2))
    fill = 1.0 if dice.chance(0.75) else dice.uniform(0, 1)
    return x * keep + fill * (1 - keep)


def _lines(x: Tensor, dice: _Dice) -> Tensor:
    grey = luminance(x)
    edge = dice.uniform(0.25, 0.65)
    return 1 - f.line_response(grey, dice.uniform(0.7, 2.2), sharpness=dice.uniform(8, 28), edge=edge)


def line_art(x: Tensor, dice: _Dice) -> Tensor:
    """Ink lines along edges, dark areas filled more or less."""
    if dice.chance(0.5):
        x = _fade_background(x, dice)
    coverage = _lines(x, dice)
    if dice.chance(0.4):
        coverage = f.displace(coverage, dice.uniform(0.3, 1.5), dice.uniform(6, 20), dice.rng)
    if dice.chance(0.5):
        coverage = f.soft_step(coverage, 0.5, dice.uniform(0.05, 0.5))
    return _ink_on_paper(coverage, dice)


def hatching(x: Tensor, dice: _Dice) -> Tensor:
    """One to three layers of parallel strokes whose width follows the tone, with or without outlines."""
    if dice.chance(0.5):
        x = _fade_background(x, dice)
    grey = f.gaussian_blur(luminance(x), dice.uniform(0.6, 1.6))
    height, width = grey.shape[-2:]
    coverage = torch.zeros_like(grey)
    angle, period = dice.uniform(0, math.pi), dice.uniform(2.5, 7)
    bend = dice.uniform(0, 6)
    layers = dice.integer(1, 3)
    for layer in range(layers):
        phase = f.rotated_phase(height, width, angle + layer * dice.uniform(0.5, 1.2), period)
        phase = phase + bend * grey + 2 * f.value_noise(grey.shape, 30, dice.rng)
        darkness = ((1 - grey) * (1 + 0.35 * layers) - 0.3 * layer).clamp(0, 1)
        stroke = 0.5 + 0.5 * torch.cos(phase)
        coverage = torch.maximum(coverage, f.soft_step(stroke, 1.02 - darkness, dice.uniform(0.1, 0.5)))
    if dice.chance(0.6):
        coverage = torch.maximum(coverage, _lines(x, dice))
    return _ink_on_paper(coverage, dice)


def bilevel(x: Tensor, dice: _Dice) -> Tensor:
    """Black and white by a local threshold: stamps, old prints, bad photocopies."""
    if dice.chance(0.5):
        x = _fade_background(x, dice)
    grey = f.gaussian_blur(luminance(x), dice.uniform(0.5, 1.5))
    local = f.box_blur(grey, dice.integer(8, 40))
    edge = dice.uniform(0, 1) * local + dice.uniform(0.05, 0.35)
    coverage = 1 - f.soft_step(grey, edge, dice.uniform(0.02, 0.15))
    return _ink_on_paper(coverage, dice)


def posterized(x: Tensor, dice: _Dice) -> Tensor:
    """Few flat tones over smoothed areas, with or without outlines: cel shading."""
    smooth = f.kuwahara(x, dice.integer(2, 5))
    levels = dice.integer(2, 6)
    flat = (smooth * levels - 0.5).round().clamp(0, levels - 1) / (levels - 1)
    flat = f.saturate(flat, dice.uniform(0.3, 1.8))
    if dice.chance(0.7):
        flat = flat * (1 - _lines(x, dice) * dice.uniform(0.4, 1.0))
    return flat


def halftone(x: Tensor, dice: _Dice) -> Tensor:
    """Clustered dots on a turned grid."""
    grey = luminance(x)
    height, width = grey.shape[-2:]
    angle, period = dice.uniform(0, math.pi / 2), dice.uniform(3, 7)
    screen = torch.cos(f.rotated_phase(height, width, angle, period))
    screen = screen + torch.cos(f.rotated_phase(height, width, angle + math.pi / 2, period))
    coverage = f.soft_step((1 - grey) + 0.22 * screen, 0.5, dice.uniform(0.1, 0.5))
    return _ink_on_paper(coverage, dice) if dice.chance(0.7) else x * (1 - coverage) + coverage * 0.1


def watercolour(x: Tensor, dice: _Dice) -> Tensor:
    """Light washes with darker rims, pigment grain and paper."""
    wash = f.kuwahara(f.displace(x, dice.uniform(0.5, 2.5), 14, dice.rng), dice.integer(2, 5))
    wash = f.saturate(wash, dice.uniform(0.7, 1.7))
    wash = wash + (1 - wash) * dice.uniform(0, 0.4)
    rims = (f.gaussian_blur(wash, 1.2) - wash).abs().mean(dim=1, keepdim=True)
    grain = f.value_noise((x.shape[0], 1, *x.shape[2:]), 2.2, dice.rng) - 0.5
    wash = wash - rims * dice.uniform(1, 4) + grain * dice.uniform(0.02, 0.15)
    return _fade_background(wash, dice) if dice.chance(0.4) else wash


def oil(x: Tensor, dice: _Dice) -> Tensor:
    """Patches of paint with strokes and canvas; often dark and brown."""
    paint = f.kuwahara(x, dice.integer(2, 6))
    stroke = f.value_noise((x.shape[0], 1, *x.shape[2:]), 2.5, dice.rng, stretch=dice.uniform(2, 5)) - 0.5
    paint = paint + stroke * dice.uniform(0.03, 0.2)
    if dice.chance(0.5):
        warm = torch.tensor([1.1, 0.92, 0.68]).view(1, 3, 1, 1)
        paint = paint * (1 + (warm - 1) * dice.uniform(0.3, 1.2))
    return paint.clamp(0, 1) ** dice.uniform(0.8, 1.8)


def pencil(x: Tensor, dice: _Dice) -> Tensor:
    """Grey divided by its own blur, with graphite grain."""
    grey = luminance(x)
    sketch = (grey / f.gaussian_blur(grey, dice.uniform(2, 9)).clamp(min=0.05)).clamp(0, 1) ** dice.uniform(1, 5)
    shade = dice.uniform(0, 0.6)
    sketch = sketch * (1 - shade) + grey * shade
    grain = f.value_noise(grey.shape, 1.6, dice.rng, stretch=dice.uniform(1, 4))
    return _ink_on_paper((1 - sketch) * (0.7 + 0.6 * grain), dice)


def duotone(x: Tensor, dice: _Dice) -> Tensor:
    """Lay a gradient between random colours: tints, sepia, posters, cyanotypes."""
    count = dice.integer(2, 4)
    palette = torch.rand((count, 3), generator=dice.rng)
    palette = palette * 0.6 + torch.linspace(0, 0.4, count)[:, None]
    grey = luminance(x)
    if dice.chance(0.4):
        levels = dice.integer(2, 5)
        grey = (grey * levels).floor().clamp(max=levels - 1) / (levels - 1)
    return f.gradient_map(grey, palette)


def stippled(x: Tensor, dice: _Dice) -> Tensor:
    """Random dots, denser where it is dark."""
    grey = luminance(x)
    noise = f.value_noise(grey.shape, dice.uniform(1.2, 2.6), dice.rng)
    coverage = f.soft_step(noise, grey * dice.uniform(0.7, 1.1), dice.uniform(0.05, 0.4))
    return _ink_on_paper(coverage, dice)


def worn_photo(x: Tensor, dice: _Dice) -> Tensor:
    """Grey or tinted, soft, noisy, contrasty: old prints and bad cameras."""
    x = f.saturate(x, dice.uniform(0, 1))
    if dice.chance(0.5):
        x = f.gaussian_blur(x, dice.uniform(0.5, 1.8))
    noise = torch.randn(x.shape, generator=dice.rng) * dice.uniform(0, 0.08)
    return (x + noise - 0.5) * dice.uniform(0.5, 2.2) + dice.uniform(0.35, 0.65)


def _contour_engraving(x: Tensor, dice: _Dice) -> Tensor:
    """Held out: one set of bent lines that swell with the tone."""
    grey = f.gaussian_blur(luminance(x), 1.0)
    rows, _ = f.pixel_grid(*grey.shape[-2:])
    swell = f.gaussian_blur(grey, 5.0) * dice.uniform(10, 20)
    wave = 0.5 + 0.5 * torch.sin(rows * (2 * math.pi / dice.uniform(3.5, 5)) + swell)
    return f.soft_step(wave, 1.0 - grey, 0.3).expand(-1, 3, -1, -1)


def _charcoal(x: Tensor, dice: _Dice) -> Tensor:
    """Held out: smeared dark masses on rough paper."""
    grey = f.displace(luminance(x), 2.0, 5, dice.rng)
    tooth = f.value_noise(grey.shape, 1.8, dice.rng)
    smear = f.gaussian_blur(grey, 2.0) ** dice.uniform(1.1, 1.6)
    return (smear + (tooth - 0.5) * 0.45 * (1 - smear)).clamp(0, 1).expand(-1, 3, -1, -1)


def _mosaic(x: Tensor, dice: _Dice) -> Tensor:
    """Held out: square tiles with joints."""
    side = dice.integer(5, 6)
    height, width = x.shape[-2:]
    tiles = torch.nn.functional.avg_pool2d(x, side, ceil_mode=True)
    tiles = tiles.repeat_interleave(side, 2).repeat_interleave(side, 3)[..., :height, :width]
    rows, columns = f.pixel_grid(height, width)
    joint = ((rows % side < 1) | (columns % side < 1)).to(x.dtype)
    return tiles * (1 - 0.35 * joint)


def _chalkboard(x: Tensor, dice: _Dice) -> Tensor:
    """Held out: light chalk on a dark board; the tone stays, the paper is black."""
    grey = luminance(x)
    edges = (f.gaussian_blur(grey, 0.8) - f.gaussian_blur(grey, 2.4)).clamp(min=0) * 6
    dust = f.value_noise(grey.shape, 1.5, dice.rng)
    return ((edges + 0.75 * grey**1.5) * (0.6 + 0.5 * dust)).clamp(0, 1).expand(-1, 3, -1, -1)


def _bayer_dither(x: Tensor, dice: _Dice) -> Tensor:
    """Held out: ordered 4x4 dithering to two levels per channel."""
    order = torch.tensor([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]], dtype=x.dtype)
    height, width = x.shape[-2:]
    threshold = ((order + 0.5) / 16).repeat(height // 4 + 1, width // 4 + 1)[:height, :width]
    return (f.saturate(x, dice.uniform(0.8, 1.5)) > threshold).to(x.dtype)


def _relief(x: Tensor, dice: _Dice) -> Tensor:
    """Held out: tone with strong carved edges, as in a cast medal."""
    grey = f.gaussian_blur(luminance(x), 0.8)
    shift = dice.integer(1, 2)
    carved = grey - torch.roll(grey, (shift, shift), (2, 3))
    return (0.3 + 0.45 * grey + 2.2 * carved).clamp(0, 1) * torch.tensor([1.0, 0.86, 0.6]).view(1, 3, 1, 1)


def _as_filter(style: Callable[[Tensor, _Dice], Tensor]) -> StyleFilter:
    def apply(photo: Tensor, rng: torch.Generator) -> Tensor:
        drawn = style((photo + 1) / 2, _Dice(rng))
        return drawn.expand(-1, 3, -1, -1).clamp(0, 1) * 2 - 1

    apply.__doc__ = style.__doc__
    return apply


_TRAINING = (
    *(line_art, hatching, bilevel, posterized, halftone, watercolour, oil, pencil, duotone, stippled, worn_photo),
)
_HELD_OUT = (_contour_engraving, _charcoal, _mosaic, _chalkboard, _bayer_dither, _relief)

TRAINING: Mapping[str, StyleFilter] = MappingProxyType({style.__name__: _as_filter(style) for style in _TRAINING})
HELD_OUT: Mapping[str, StyleFilter] = MappingProxyType(
    {style.__name__.strip("_"): _as_filter(style) for style in _HELD_OUT}
)

_WEIGHTS = torch.tensor([3.0, 2.5, 2.0, 1.5, 1.0, 1.5, 1.5, 1.5, 1.0, 0.7, 1.0])


def random_style(photo: Tensor, rng: torch.Generator) -> Tensor:
    """Draw a training style, sometimes two in a row or one at half strength: [B, 3, H, W] in [-1, 1]."""
    dice = _Dice(rng)
    names = list(TRAINING)
    picks = torch.multinomial(_WEIGHTS, 2 if dice.chance(0.15) else 1, generator=rng)
    drawn = photo
    for pick in picks.tolist():
        drawn = TRAINING[names[pick]](drawn, rng)
    if dice.chance(0.15):
        share = dice.uniform(0.4, 0.9)
        drawn = photo + (drawn - photo) * share
    return drawn


def random_tone(photo: Tensor, rng: torch.Generator) -> Tensor:
    """Shift brightness at random, with a mild tone curve: [B, 3, H, W].

    The structure map then carries contrast but no absolute brightness, which is left to the appearance code. The
    result may leave [-1, 1]: clipping would lose what no real photo has lost.
    """
    dice = _Dice(rng)
    x = ((photo + 1) / 2).clamp(1e-4, 1) ** math.exp(dice.uniform(-0.12, 0.12))
    return ((x - 0.5) * dice.uniform(0.88, 1.12) + 0.5 + dice.uniform(-0.14, 0.14)) * 2 - 1
