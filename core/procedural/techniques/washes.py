"""Thin, wet paint on paper: watercolour and ink wash.

What makes watercolour look so: pigment gathers at the rim of a wash, settles in the paper's hollows, is pushed about by
water, and layers multiply (Curtis et al. 1997; Bousseau et al. 2006). Here densities add up and paper shines through.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from core.procedural.techniques.fields import (
    Array,
    blur,
    bound,
    cloud,
    colour,
    luma,
    mix,
    noise,
    paper,
    plain,
    saturate,
    shift,
    soft_step,
    uniform,
)
from core.procedural.techniques.flow import lines
from core.procedural.techniques.portrait import Portrait
from core.procedural.techniques.study import make_study


def wash(
    part: Array, rng: np.random.Generator, scale: float, *, sway_px: float = 5.0, wet: Array | None = None
) -> Array:
    """Turn a region [H, W] in [0, 1] into a wash: its density with a wandering edge, dark rims, wet places that bleed.

    Args:
        part: where the wash is meant to be.
        rng: chance.
        scale: picture side / 1024.
        sway_px: how far the edge wanders, at 1024 px.
        wet: [H, W] in [0, 1], where the edge bleeds softly.
    """
    shape = (part.shape[0], part.shape[1])
    right = sway_px * scale * (noise(shape, 16 * scale, rng) + 0.35 * noise(shape, 4 * scale, rng))
    down = sway_px * scale * (noise(shape, 16 * scale, rng) + 0.35 * noise(shape, 4 * scale, rng))
    moved = shift(blur(part, 2.5 * scale), right, down)
    crisp = soft_step(moved, 0.5, 0.22)
    rim = np.clip(crisp - blur(crisp, 3.2 * scale), 0, 1) + 0.5 * np.clip(crisp - blur(crisp, 9 * scale), 0, 1)
    dry = crisp * (0.86 + 0.75 * rim)
    if wet is None:
        return dry
    soft = blur(part, 16 * scale)
    return np.asarray(dry + (soft - dry) * wet, np.float32)


def watercolour(photo: Array, portrait: Portrait, rng: np.random.Generator) -> Array:
    """Paint in watercolour: glazes from light to dark with rims, granulation and bleeding, on cold-pressed paper."""
    study = make_study(photo, portrait, rng, radius_px=8.0, strands=1.4)
    scale, shape = study.scale, study.shape
    sheet = paper(shape, rng, scale=scale)
    person = study.person
    detail = portrait.features()
    # The picture ends in loose washes: nothing is painted far from the face.
    centre = portrait.landmarks68[30]
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    above = np.where(rows < centre[1], 0.5, 1.0).astype(np.float32)
    reach = np.hypot((columns - centre[0]) / (0.6 * shape[1]), above * (rows - centre[1]) / (0.58 * shape[0]))
    keep = soft_step(-reach + 0.10 * cloud(shape, 70 * scale, rng), -0.93, 0.22)
    figure = person * keep
    tone = study.tone
    rich = saturate(study.picture, 1.18)
    body = mix(blur(rich, 5 * scale), rich, np.clip(0.25 + detail + 0.3 * study.locks, 0, 1))
    top = float(np.quantile(luma(body)[person > 0.6], 0.9)) if (person > 0.6).any() else 0.9
    pigment = np.clip(-np.log(np.clip(body / max(0.7, top), 0.03, 1)), 0, 3.2)  # optical density, [H, W, 3]
    level = pigment.mean(axis=-1)
    hue = pigment / (level[..., None] + 0.05)
    hue = mix(blur(hue, 6 * scale), hue, np.clip(detail, 0, 1))
    wet = soft_step(cloud(shape, 60 * scale, rng), 0.7, 0.8) * (1 - 0.9 * detail)
    steps = (0.0, 0.13, 0.32, 0.6, 1.0, 1.6, 2.3)
    total = np.zeros(shape, np.float32)
    for low, high in pairwise(steps):
        sway = 5.0 if low < 0.2 else 2.6
        part = (soft_step(level, (low + high) / 2, 0.03) if low else np.ones(shape, np.float32)) * figure
        loose = wash(part, rng, scale, sway_px=sway, wet=0.8 * wet)
        tight = soft_step(level, (low + high) / 2, 0.05) * figure
        total += (high - low) * (loose + (tight - loose) * np.clip(1.2 * detail, 0, 1))
    total = 0.86 * total + 0.1 * level * figure
    line = lines(tone, study.flow, width_px=2.2 * scale, length_px=8 * scale, threshold=0.03, softness=0.03)
    total = total + 0.55 * line * figure * (0.35 + 0.65 * detail)
    turbulent = 1 + 0.17 * cloud(shape, 46 * scale, rng) * (1 - 0.6 * detail) + 0.05 * cloud(shape, 12 * scale, rng)
    grain = 1 + (0.30 * (0.5 - sheet) + 0.08 * noise(shape, 0.8 * scale + 0.2, rng)) * soft_step(total, 0.15, 0.5)
    density = hue * (total * turbulent * grain)[..., None]
    # Behind the head: one loose cool wash with blooms, and spatter.
    around = soft_step(-reach + 0.16 * cloud(shape, 90 * scale, rng), -0.88, 0.25) * (
        1 - soft_step(blur(portrait.person, 4 * scale), 0.35, 0.3)
    )
    around = around * soft_step(cloud(shape, 150 * scale, rng), -0.55, 0.5)
    back = wash(around, rng, scale, sway_px=7.0, wet=0.8 * soft_step(cloud(shape, 50 * scale, rng), 0.3, 0.8))
    bloom = 0.7 + 0.35 * cloud(shape, 40 * scale, rng)
    tints = mix(
        plain(shape, colour(120, 178, 196)),
        plain(shape, colour(176, 160, 196)),
        uniform(cloud(shape, 130 * scale, rng)),
    )
    density += (-np.log(tints)) * (back * np.clip(bloom, 0.25, 1.4) * (1 + 0.5 * (0.5 - sheet)))[..., None] * 0.8
    spots = spatter(shape, rng, scale, count=70)
    density += (-np.log(tints * 0.9)) * (spots * (1 - soft_step(person, 0.2, 0.2)) * soft_step(reach, 0.55, 0.3))[
        ..., None
    ]
    white = plain(shape, colour(252, 250, 245)) * (0.965 + 0.035 * sheet)[..., None]
    return bound(white * np.exp(-np.clip(density, 0, 6)))


def spatter(shape: tuple[int, int], rng: np.random.Generator, scale: float, *, count: int) -> Array:
    """Drop spots [H, W] in [0, 1] with dark rims, most of them small."""
    out = np.zeros(shape, np.float32)
    for _ in range(count):
        radius = scale * (1.2 + 7 * rng.uniform() ** 5)
        x, y = rng.uniform(0, shape[1]), rng.uniform(0, shape[0])
        left, right = max(0, int(x - 2 * radius - 2)), min(shape[1], int(x + 2 * radius + 3))
        top, bottom = max(0, int(y - 2 * radius - 2)), min(shape[0], int(y + 2 * radius + 3))
        rows, columns = np.mgrid[top:bottom, left:right]
        away = np.hypot(columns - x, (rows - y) * rng.uniform(0.85, 1.15)) - radius
        drop = np.clip(0.5 - away, 0, 1) * (0.45 + 0.55 * np.clip(1 + away / (0.5 * radius + 0.5), 0, 1))
        out[top:bottom, left:right] = np.maximum(out[top:bottom, left:right], drop * rng.uniform(0.4, 1))
    return out


def ink_wash(photo: Array, portrait: Portrait, rng: np.random.Generator) -> Array:
    """Paint with ink and water on rice paper: four greys that bleed, wet blacks, a dry brush for hair, a grey sun."""
    study = make_study(photo, portrait, rng, radius_px=9.0, strands=2.2)
    scale, shape = study.scale, study.shape
    detail = portrait.features()
    fibre = noise(shape, 0.8 * scale + 0.2, rng, stretch=26) + noise(shape[::-1], 0.8 * scale + 0.2, rng, stretch=26).T
    sheet = (
        plain(shape, colour(240, 234, 219)) * (1 + 0.005 * fibre + 0.008 * cloud(shape, 150 * scale, rng))[..., None]
    )
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    brushed = 0.04 * cloud(shape, 60 * scale, rng) + 0.012 * noise(shape, 4 * scale, rng, stretch=14)
    fall = soft_step(-rows / shape[0] + brushed, -0.93, 0.05)
    figure = study.person * fall
    tone = study.tone
    total = np.zeros(shape, np.float32)
    wet = soft_step(cloud(shape, 70 * scale, rng), 0.7, 0.9) * (1 - 0.85 * detail)
    for edge, weight, sway in ((0.74, 0.16, 7.0), (0.55, 0.26, 6.0), (0.36, 0.42, 5.0), (0.2, 0.62, 3.5)):
        calm = mix(blur(tone, 7 * scale), blur(tone, 1.0 * scale), np.clip(detail * 1.3, 0, 1))
        part = soft_step(-calm, -edge, 0.03) * figure
        loose = wash(part, rng, scale, sway_px=sway, wet=wet * 0.85)
        tight = soft_step(-calm, -edge, 0.12) * figure
        total += weight * (loose + (tight - loose) * np.clip(1.2 * detail, 0, 1))
    line = lines(tone, study.flow, width_px=3.0 * scale, length_px=14 * scale, threshold=0.02, softness=0.025)
    dry = uniform(noise(shape, 1.2 * scale + 0.2, rng))
    broken = soft_step(line * figure, 0.25 + 0.3 * dry * (1 - detail), 0.3)
    total += 0.75 * broken * (0.55 + 0.45 * detail)
    total = total * (1 + 0.16 * cloud(shape, 40 * scale, rng) * (1 - 0.5 * detail)) * (1 + 0.018 * fibre)
    # One broad, pale disc behind the head, and drops.
    centre = portrait.landmarks68[27] + np.array([0.17 * shape[1], -0.12 * shape[0]])
    disc = soft_step(-np.hypot(columns - centre[0], rows - centre[1]), -0.36 * shape[0], 6 * scale)
    behind = 1 - soft_step(blur(portrait.person, 5 * scale), 0.3, 0.3)
    sun = wash(disc, rng, scale, sway_px=6.0, wet=0.35 * wet) * behind * (0.75 + 0.22 * cloud(shape, 60 * scale, rng))
    ink = np.array([1.0, 0.98, 0.93], np.float32)
    red = -np.log(colour(206, 82, 58))
    density = ink * (1.9 * total)[..., None] + red * (0.72 * np.clip(sun, 0, 1))[..., None]
    density += ink * (0.9 * spatter(shape, rng, scale, count=36) * behind)[..., None]
    return bound(sheet * np.exp(-np.clip(density, 0, 5)))
