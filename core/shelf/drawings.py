"""The drawn references of the ready-made styles: six fixed looks, made from pictures of invented faces.

Each takes a face [1, 3, H, W] in [-1, 1] and a `torch.Generator` for its strokes, and returns the drawing. The filters
are those of `core.pretrain.filters`; their settings here were chosen by eye.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from core.pretrain import filters as f

Drawing = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Look:
    """A ready-made style.

    Attributes:
        title: on the shelf.
        preset: "sketch" or "cartoon", whose steps it is trained with.
        draw: face in [0, 1] -> drawing in [0, 1].
    """

    title: str
    preset: str
    draw: Drawing


def _colour(red: int, green: int, blue: int) -> Tensor:
    return torch.tensor([red, green, blue]).view(1, 3, 1, 1) / 255


def _ink(coverage: Tensor, ink: Tensor, paper: Tensor) -> Tensor:
    return paper + (ink - paper) * coverage.clamp(0, 1)


def _to_paper(x: Tensor, *, start: float, end: float, rng: torch.Generator) -> Tensor:
    """Let the picture fade to white outside of an ellipse, along a loose edge."""
    height, width = x.shape[-2:]
    rows, columns = f.pixel_grid(height, width)
    distance = (((rows / height - 0.52) / 0.5) ** 2 + ((columns / width - 0.5) / 0.42) ** 2).sqrt()
    distance = distance[None, None] + (f.value_noise((1, 1, height, width), 28, rng) - 0.5) * 0.22
    keep = 1 - ((distance - start) / (end - start)).clamp(0, 1)
    return x * keep + (1 - keep)


def _even_light(grey: Tensor) -> Tensor:
    """Stretch the tones so that dark and light skin both leave room for lines."""
    low, high = torch.quantile(grey, 0.03), torch.quantile(grey, 0.97)
    return ((grey - low) / (high - low).clamp(min=0.1)).clamp(0, 1)


def ink_line(x: Tensor, rng: torch.Generator) -> Tensor:
    """Brush-pen outlines with solid blacks on white."""
    grey = _even_light(f.luminance(_to_paper(x, start=0.95, end=1.2, rng=rng)))
    lines = 1 - f.line_response(grey, 1.1, sharpness=20.0, edge=0.42)
    solid = 1 - f.soft_step(f.gaussian_blur(grey, 1.4), 0.2, 0.08)
    return _ink(f.soft_step(torch.maximum(lines, solid), 0.5, 0.3), _colour(18, 18, 24), _colour(255, 255, 255))


def watercolour(x: Tensor, rng: torch.Generator) -> Tensor:
    """Light, wet washes with dark rims and grain that fade to paper."""
    wash = f.kuwahara(f.displace(x, 1.6, 12, rng), 3)
    wash = f.saturate(f.kuwahara(wash, 2), 1.7)
    wash = wash + (1 - wash) * 0.22
    rims = (f.gaussian_blur(wash, 1.5) - wash).abs().mean(dim=1, keepdim=True)
    bloom = f.value_noise((1, 1, *x.shape[2:]), 22, rng) - 0.5
    grain = f.value_noise((1, 1, *x.shape[2:]), 2.0, rng) - 0.5
    wash = wash * (1 - 2.2 * rims) + bloom * 0.12 + grain * 0.07
    return _to_paper(wash, start=0.72, end=1.12, rng=rng)


def cartoon(x: Tensor, rng: torch.Generator) -> Tensor:
    """Flat, saturated tones with dark outlines."""
    smooth = f.kuwahara(f.kuwahara(x, 4), 3)
    grey = f.luminance(smooth)
    tones = 4
    stepped = ((_even_light(grey) * tones - 0.5).round().clamp(0, tones - 1) + 0.5) / tones
    flat = f.saturate((smooth * (stepped / grey.clamp(min=0.08)).clamp(0.4, 1.9)).clamp(0, 1), 1.75)
    outline = 1 - f.line_response(_even_light(f.luminance(x)), 1.5, sharpness=18.0, edge=0.3)
    return flat * (1 - 0.9 * f.soft_step(f.gaussian_blur(outline, 0.6), 0.5, 0.3)) + 0.02


def oil(x: Tensor, rng: torch.Generator) -> Tensor:
    """Thick patches with directed strokes and warm varnish."""
    paint = f.kuwahara(f.displace(x, 2.0, 9, rng), 4)
    paint = f.saturate(paint, 1.45)
    height, width = x.shape[-2:]
    along = f.value_noise((1, 1, height, width), 2.4, rng, stretch=5.0) - 0.5
    across = f.value_noise((1, 1, width, height), 2.4, rng, stretch=5.0).transpose(2, 3) - 0.5
    share = f.soft_step(f.value_noise((1, 1, height, width), 40, rng), 0.5, 0.2)
    relief = along * share + across * (1 - share)
    warm = torch.tensor([1.06, 0.97, 0.8]).view(1, 3, 1, 1)
    return ((paint * warm) ** 1.12 + relief * 0.22 * (0.35 + paint)).clamp(0, 1)


def pop_art(x: Tensor, rng: torch.Generator) -> Tensor:
    """Four poster inks, with a dot screen between two of them."""
    grey = _even_light(f.gaussian_blur(f.kuwahara(f.luminance(x), 3), 0.8))
    height, width = grey.shape[-2:]
    screen = torch.cos(f.rotated_phase(height, width, math.pi / 4, 6.0))
    screen = screen + torch.cos(f.rotated_phase(height, width, 3 * math.pi / 4, 6.0))
    dark = 1 - f.soft_step(grey, 0.27, 0.05)
    shade = 1 - f.soft_step(grey, 0.52, 0.05)
    dots = f.soft_step((0.78 - grey) * 2.2 + 0.3 * screen, 0.25, 0.2)
    picture = _ink(dots, _colour(244, 120, 60), _colour(255, 232, 150))
    picture = picture + (_colour(226, 40, 108) - picture) * shade
    return picture + (_colour(22, 30, 92) - picture) * dark


def pencil(x: Tensor, rng: torch.Generator) -> Tensor:
    """Soft graphite with strokes in one direction."""
    grey = _even_light(f.luminance(_to_paper(x, start=0.75, end=1.1, rng=rng)))
    sketch = (grey / f.gaussian_blur(grey, 6.0).clamp(min=0.05)).clamp(0, 1) ** 2.2
    tone = sketch * (0.45 + 0.55 * grey)
    strokes = f.value_noise((1, 1, *x.shape[2:]), 1.7, rng, stretch=6.0)
    return _ink((1 - tone) * (0.55 + 0.75 * strokes), _colour(52, 52, 58), _colour(252, 251, 247))


LOOKS: Mapping[str, Look] = MappingProxyType(
    {
        "ink-line": Look("Ink line", "sketch", ink_line),
        "watercolour": Look("Watercolour", "cartoon", watercolour),
        "cartoon": Look("Cartoon", "cartoon", cartoon),
        "oil": Look("Oil paint", "cartoon", oil),
        "pop-art": Look("Pop art", "cartoon", pop_art),
        "pencil": Look("Pencil", "sketch", pencil),
    }
)


def draw(look: Look, face: Tensor, rng: torch.Generator) -> Tensor:
    """Face [1, 3, H, W] in [-1, 1] -> drawing of the same shape and range."""
    drawn = look.draw((face.clamp(-1, 1) + 1) / 2, rng)
    return drawn.expand(-1, 3, -1, -1).clamp(0, 1) * 2 - 1
