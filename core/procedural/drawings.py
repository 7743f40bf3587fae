"""The drawn references of the study packs, and those that visitors can train on themselves.

Each takes a face [1, 3, H, W] in [-1, 1] and a `torch.Generator` for its strokes, and returns the drawing. The filters
are those of `core.procedural.filters`; their settings here were chosen by eye.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from core.networks.ops import luminance
from core.procedural import filters as f

Draw = Callable[[Tensor, torch.Generator], Tensor]  # face in [0, 1] -> drawing in [0, 1]


@dataclass(frozen=True)
class DrawnStyle:
    """A way to draw.

    Attributes:
        title: for visitors.
        preset: "sketch" or "cartoon", whose steps it is trained with.
        draw: makes the drawing.
    """

    title: str
    preset: str
    draw: Draw


def _colour(red: int, green: int, blue: int) -> Tensor:
    return torch.tensor([red, green, blue]).view(1, 3, 1, 1) / 255


def _ink(coverage: Tensor, ink: Tensor, paper: Tensor) -> Tensor:
    return paper + (ink - paper) * coverage.clamp(0, 1)


def _oval(height: int, width: int, *, start: float, end: float, rng: torch.Generator) -> Tensor:
    """Make a mask [1, 1, H, W] that falls from 1 to 0 outside of an ellipse, along a loose edge."""
    rows, columns = f.pixel_grid(height, width)
    distance = (((rows / height - 0.52) / 0.5) ** 2 + ((columns / width - 0.5) / 0.42) ** 2).sqrt()
    distance = distance[None, None] + (f.value_noise((1, 1, height, width), 28, rng) - 0.5) * 0.22
    return 1 - ((distance - start) / (end - start)).clamp(0, 1)


def _to_paper(x: Tensor, *, start: float, end: float, rng: torch.Generator) -> Tensor:
    """Let the picture fade to white outside of an ellipse."""
    keep = _oval(*x.shape[-2:], start=start, end=end, rng=rng)
    return x * keep + (1 - keep)


def _even_light(grey: Tensor) -> Tensor:
    """Stretch the tones so that dark and light skin both leave room for lines."""
    low, high = torch.quantile(grey, 0.03), torch.quantile(grey, 0.97)
    return ((grey - low) / (high - low).clamp(min=0.1)).clamp(0, 1)


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
    grey = luminance(smooth)
    tones = 4
    stepped = ((_even_light(grey) * tones - 0.5).round().clamp(0, tones - 1) + 0.5) / tones
    flat = f.saturate((smooth * (stepped / grey.clamp(min=0.08)).clamp(0.4, 1.9)).clamp(0, 1), 1.75)
    outline = 1 - f.line_response(_even_light(luminance(x)), 1.5, sharpness=18.0, edge=0.3)
    return flat * (1 - 0.9 * f.soft_step(f.gaussian_blur(outline, 0.6), 0.5, 0.3)) + 0.02


def _in_tones(x: Tensor, grain: Tensor, *palette: Tensor) -> Tensor:
    """Draw in the palette's colours, dark to light, with crisp edges and grain [1, 1, H, W] around 0."""
    grey = _even_light(luminance(f.kuwahara(x, 1)))
    crisp = (grey + 1.1 * (grey - f.gaussian_blur(grey, 2.5))).clamp(0, 1)
    return f.gradient_map(crisp + grain, torch.cat(palette).flatten(1))


def cyanotype(x: Tensor, rng: torch.Generator) -> Tensor:
    """Make an old blue print on paper, brushed at its edge and a little grainy."""
    shape, paper = (1, 1, *x.shape[2:]), _colour(244, 241, 230)
    grain = (f.value_noise(shape, 1.2, rng) - 0.5) * 0.16 + (f.value_noise(shape, 26, rng) - 0.5) * 0.2
    brushed = _oval(*x.shape[2:], start=0.92, end=1.14, rng=rng)
    brushed = brushed + 0.8 * (f.value_noise(shape, 2.5, rng, stretch=9.0) - 0.5)
    drawn = _in_tones(x, grain, _colour(12, 34, 88), _colour(30, 82, 152), _colour(132, 178, 210), paper)
    return _ink(f.soft_step(brushed, 0.5, 0.3), drawn, paper)


def red_chalk(x: Tensor, rng: torch.Generator) -> Tensor:
    """Red chalk on cream paper, in strokes of one direction."""
    shape, paper = (1, 1, *x.shape[2:]), _colour(248, 238, 220)
    strokes = (f.value_noise(shape, 1.7, rng, stretch=6.0) - 0.5) * 0.3
    drawn = _in_tones(x, strokes, _colour(96, 26, 16), _colour(176, 68, 42), _colour(228, 160, 124), paper)
    return _ink(_oval(*x.shape[2:], start=0.85, end=1.15, rng=rng), drawn, paper)


PACK_STYLES: Mapping[str, DrawnStyle] = MappingProxyType(
    {
        "watercolour": DrawnStyle("Watercolour", "cartoon", watercolour),
        "cartoon": DrawnStyle("Cartoon", "cartoon", cartoon),
    }
)

# Sets of pictures for visitors who have none at hand; no ready-made style looks like them.
EXAMPLE_SETS: Mapping[str, DrawnStyle] = MappingProxyType(
    {
        "cyanotype": DrawnStyle("Cyanotype", "sketch", cyanotype),
        "red-chalk": DrawnStyle("Red chalk", "sketch", red_chalk),
    }
)


def draw(style: DrawnStyle, face: Tensor, rng: torch.Generator) -> Tensor:
    """Draw a face [1, 3, H, W] in [-1, 1]: same shape and range."""
    drawn = style.draw((face.clamp(-1, 1) + 1) / 2, rng)
    return drawn.expand(-1, 3, -1, -1).clamp(0, 1) * 2 - 1
