"""Paint that covers: oil with impasto, gouache, soft pastel, charcoal."""

from __future__ import annotations

import numpy as np

from core.procedural.techniques.fields import (
    Array,
    blur,
    bound,
    cloud,
    colour,
    lit,
    luma,
    mix,
    noise,
    paper,
    plain,
    saturate,
    soft_step,
    uniform,
)
from core.procedural.techniques.flow import edge_flow, lines
from core.procedural.techniques.portrait import Portrait
from core.procedural.techniques.regions import cluster
from core.procedural.techniques.strokes import Brush, grid_seeds, lay, read, trace
from core.procedural.techniques.study import Study, make_study


def _backdrop(study: Study, dark: Array, light: Array, rng: np.random.Generator) -> Array:
    """Make a studio backdrop: from `dark` to `light` around the head, clouded."""
    height, width = study.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    centre = study.portrait.landmarks68[27]
    reach = np.hypot((columns - centre[0]) / width + 0.12, (rows - centre[1]) / height)
    share = soft_step(-reach + 0.10 * cloud(study.shape, 90 * study.scale, rng), -0.42, 0.7)
    return mix(plain(study.shape, dark), plain(study.shape, light), share)


def paint_layers(
    reference: Array,
    study: Study,
    layers: tuple[tuple[float, float, float], ...],
    brush: Brush,
    rng: np.random.Generator,
    canvas: Array,
    relief: Array,
    *,
    jitter: float = 0.04,
) -> None:
    """Paint a reference coarse to fine in place (Hertzmann 1998, section 2.1).

    Args:
        reference: [H, W, 3] what to paint.
        study: its flow and face.
        layers: (radius, length, error) of each layer, pixels at 1024 px; strokes are laid where the error is greater.
        brush: how strokes leave paint.
        rng: chance.
        canvas, relief: changed in place.
        jitter: deviation of the strokes' lightness and hue.
    """
    detail = study.portrait.features()
    for radius_1024, length, error in layers:
        radius = max(0.9, radius_1024 * study.scale)
        goal = blur(reference, radius * 0.5)
        flow = edge_flow(goal, max(1.2, radius * 0.9))
        seeds = grid_seeds(study.shape, radius * 0.85, rng)
        wanted = blur(np.abs(goal - canvas).sum(axis=-1), radius * 0.7) * (1 + 2.5 * detail)
        seeds = seeds[read(wanted, seeds) > error]
        if not len(seeds):
            continue
        radii = radius * rng.uniform(0.7, 1.15, len(seeds)).astype(np.float32)
        strokes = trace(
            seeds,
            flow.tangents,
            goal,
            length_px=length * study.scale,
            step_px=max(1.0, radius * 0.5),
            radii=radii,
            tolerance=0.20,
        )
        tints = strokes.colours * (1 + jitter * rng.standard_normal((len(seeds), 1)).astype(np.float32))
        tints = tints + 0.4 * jitter * rng.standard_normal((len(seeds), 3)).astype(np.float32)
        lay(canvas, strokes.coloured(np.clip(tints, 0, 1)), brush, rng, relief=relief)


def oil(photo: Array, portrait: Portrait, rng: np.random.Generator) -> Array:
    """Paint in oil: curved strokes coarse to fine over a warm ground, paint relief lit from the upper left."""
    study = make_study(photo, portrait, rng, radius_px=5.0)
    backdrop = _backdrop(study, colour(38, 34, 30), colour(112, 92, 62), rng)
    warm = saturate(study.picture, 1.12) * np.array([1.04, 0.985, 0.9], np.float32)
    reference = np.clip(mix(backdrop, warm, study.person), 0, 1)
    canvas = plain(study.shape, colour(120, 84, 56)).copy()
    relief = np.zeros(study.shape, np.float32)
    layers = ((28.0, 260.0, 0.0), (15.0, 170.0, 0.10), (8.5, 110.0, 0.13), (4.4, 60.0, 0.24), (2.0, 28.0, 0.40))
    paint_layers(reference, study, layers, Brush(bristle=0.42, dry=0.3, streak=0.14, taper=0.1), rng, canvas, relief)
    weave = paper(study.shape, rng, scale=study.scale)
    shade = lit(blur(relief, 0.7 * study.scale) + 0.10 * weave, strength=1.1 / max(0.4, study.scale))
    gloss = np.clip(shade, 0, 1) ** 2
    return bound(canvas * (1 + 0.42 * shade[..., None]) + 0.16 * gloss[..., None])


def charcoal(photo: Array, portrait: Portrait, rng: np.random.Generator) -> Array:
    """Draw in charcoal: smudged tone in the paper's tooth, strokes along the form, blacks, lights lifted out."""
    study = make_study(photo, portrait, rng, radius_px=6.0, strands=1.6)
    scale, shape = study.scale, study.shape
    tooth = uniform(
        noise(shape, 1.0 * scale + 0.3, rng)
        + 0.5 * noise(shape, 2.2 * scale, rng)
        + 0.2 * paper(shape, rng, scale=scale, laid=1.0)
    )
    ground = colour(236, 231, 221)
    vignette = soft_step(blur(portrait.person, 24 * scale) + 0.10 * cloud(shape, 40 * scale, rng), 0.42, 0.5)
    tone = mix(np.ones(shape, np.float32), study.tone, vignette)
    halo = soft_step(blur(portrait.person, 70 * scale), 0.22, 0.6) * (1 - portrait.person)
    tone = np.clip(tone - 0.34 * halo * uniform(cloud(shape, 60 * scale, rng)), 0, 1)
    dark = np.clip(1 - tone, 0, 1) ** 1.15
    smudge = blur(dark, 5 * scale) * (0.62 + 0.22 * noise(shape, 14 * scale, rng, stretch=3))
    grain = soft_step(tooth, 0.85 - 0.75 * dark, 0.7)
    cover = np.clip(0.74 * smudge + 0.30 * dark * grain, 0, 1)
    canvas = mix(plain(shape, ground), plain(shape, colour(34, 32, 33)), cover).copy()
    seeds = grid_seeds(shape, 6.5 * scale, rng)
    depth = read(dark, seeds)
    seeds = seeds[rng.uniform(size=len(seeds)) < np.clip(1.15 * depth - 0.18, 0, 1) * 0.8]
    hatch = _slanted(study, angle=-0.9, follow=0.75)
    strokes = trace(
        seeds,
        hatch,
        np.repeat(tone[..., None], 3, axis=-1),
        length_px=70 * scale,
        step_px=4 * scale,
        radii=rng.uniform(1.2, 3.4, len(seeds)) * max(0.35, scale),
        tolerance=0.28,
    )
    inks = np.clip(read(tone, seeds)[:, None] * 0.45 + rng.normal(0, 0.02, (len(seeds), 1)), 0.05, 1)
    strokes = strokes.coloured((inks * np.ones(3)).astype(np.float32)).ordered(-inks[:, 0])
    lay(
        canvas,
        strokes,
        Brush(opacity=0.42, bristle=0.25, dry=0.2, tooth=0.12, soft=0.9, streak=0.0, taper=0.4),
        rng,
        tooth=tooth,
    )
    line = lines(study.tone, study.flow, width_px=2.6 * scale, length_px=9 * scale, threshold=0.016, softness=0.022)
    line = line * vignette * study.person * (0.5 + 0.5 * soft_step(tooth, 0.3, 0.5)) * (1 - 0.75 * study.clothes)
    canvas = mix(canvas, plain(shape, colour(18, 17, 18)), 0.9 * line)
    # A kneaded eraser takes out lights; white chalk at the brightest.
    light = (
        soft_step(study.tone - blur(study.tone, 26 * scale), 0.06, 0.09)
        * soft_step(study.tone, 0.5, 0.3)
        * study.person
    )
    canvas = mix(canvas, plain(shape, colour(250, 247, 240)), 0.75 * light * (0.6 + 0.4 * tooth))
    return bound(canvas * (1 + 0.05 * (tooth - 0.5))[..., None])


def _slanted(study: Study, *, angle: float, follow: float) -> Array:
    """Mix the flow with one slant [H, W, 2]: the flow where it is strong."""
    slant = np.array([np.cos(angle), np.sin(angle)], np.float32)
    tangents = study.flow.tangents * np.sign((study.flow.tangents @ slant)[..., None] + 1e-9)
    share = np.clip(follow * blur(study.flow.strength, 4 * study.scale), 0, 1)[..., None]
    mixed = tangents * share + slant * (1 - share)
    return np.asarray(mixed / np.linalg.norm(mixed, axis=-1, keepdims=True), np.float32)


def pastel(photo: Array, portrait: Portrait, rng: np.random.Generator) -> Array:
    """Draw in soft pastel on blue-grey paper: strokes along the flow that skip its hollows, bright accents last."""
    study = make_study(photo, portrait, rng, radius_px=7.0, strands=1.8)
    scale, shape = study.scale, study.shape
    tooth = uniform(noise(shape, 0.9 * scale + 0.3, rng) + 0.5 * noise(shape, 2.2 * scale, rng))
    ground = plain(shape, colour(74, 92, 110)) * (0.95 + 0.1 * tooth)[..., None]
    canvas = np.ascontiguousarray(ground, np.float32)
    lively = saturate(study.picture, 1.3)
    around = blur(portrait.person, 50 * scale)
    glow = mix(
        plain(shape, colour(96, 116, 134)), plain(shape, colour(158, 158, 146)), uniform(cloud(shape, 120 * scale, rng))
    )
    reference = np.clip(mix(glow, lively, study.person), 0, 1)
    # The first, broad layer is rubbed in with a finger: less paper shows in the person.
    canvas = mix(canvas, blur(reference, 7 * scale), 0.72 * study.person)
    detail = portrait.features()
    for radius, length, spacing, tooth_share, opacity, spread in (
        (9.0, 120.0, 8.0, 0.5, 0.8, 0.06),
        (5.0, 80.0, 5.0, 0.55, 0.85, 0.08),
        (2.8, 46.0, 4.2, 0.55, 0.85, 0.08),
        (1.5, 24.0, 2.2, 0.25, 0.95, 0.03),
    ):
        seeds = grid_seeds(shape, spacing * scale + 0.3, rng)
        inside = read(portrait.person, seeds)
        near = read(soft_step(around + 0.12 * cloud(shape, 50 * scale, rng), 0.32, 0.3), seeds)
        chance: Array = inside + (1 - inside) * near * (0.36 if radius > 4 else 0.0)
        if radius < 2:
            edges = read(soft_step(np.abs(study.tone - blur(study.tone, 6 * scale)), 0.03, 0.03), seeds)
            chance = inside * np.maximum(read(detail, seeds), edges)
        seeds = seeds[rng.uniform(size=len(seeds)) < chance]
        strokes = trace(
            seeds,
            _slanted(study, angle=-0.8, follow=0.9),
            reference,
            length_px=length * scale,
            step_px=max(1.0, radius * 0.6 * scale),
            radii=radius * max(0.4, scale) * rng.uniform(0.7, 1.2, len(seeds)).astype(np.float32),
            tolerance=0.22 if radius > 2 else 0.14,
        )
        vary = spread * (0.25 + 0.75 * read(study.person, seeds))[:, None]
        tint = strokes.colours * (1 + vary * rng.standard_normal((len(seeds), 1)))
        tint = np.clip(tint + 0.8 * vary * rng.standard_normal((len(seeds), 3)), 0, 1).astype(np.float32)
        brush = Brush(opacity=opacity, bristle=0.25, dry=0.2, tooth=tooth_share, soft=0.5, streak=0.05, taper=0.25)
        lay(canvas, strokes.coloured(tint), brush, rng, tooth=tooth)
    return bound(canvas)


def gouache(photo: Array, portrait: Portrait, rng: np.random.Generator) -> Array:
    """Paint in gouache: a few opaque, matt colours in shapes with brushed edges, on a flat ground."""
    study = make_study(photo, portrait, rng, radius_px=9.0, strands=0.8)
    scale, shape = study.scale, study.shape
    rich = saturate(study.picture, 1.35)
    ground = _brushed_ground(study, colour(150, 170, 138), rng)
    inside = study.person > 0.5
    detail = portrait.features()
    smooth = mix(blur(rich, 5 * scale), rich, np.clip(detail + 0.2, 0, 1))
    labels, palette = cluster(smooth, inside, count=15, rng=rng)
    canvas = np.ascontiguousarray(ground, np.float32)
    under = blur(study.picture * study.person[..., None], 8 * scale) / (blur(study.person, 8 * scale)[..., None] + 1e-3)
    canvas = mix(canvas, np.clip(under, 0, 1), soft_step(study.person, 0.5, 0.3))
    order = np.argsort(luma(palette))
    for index in order:
        part = (labels == index).astype(np.float32) * inside
        if part.sum() < 20:
            continue
        sigma = 2.6 * scale
        fine = blur(part, 0.8 * scale)
        edge = mix(blur(part, sigma), fine, np.clip(detail, 0, 1))
        dry = noise(shape, 1.3 * scale + 0.2, rng, stretch=16) * 0.10
        cover = soft_step(edge + dry * (1 - 0.85 * detail), 0.45, 0.14)
        slant = (
            noise(shape, 2.0 * scale, rng, stretch=18)
            if index % 2
            else noise(shape[::-1], 2.0 * scale, rng, stretch=18).T
        )
        tint = palette[index] * (1 + 0.026 * slant[..., None])
        canvas = mix(canvas, np.clip(tint, 0, 1), cover)
    line = lines(study.tone, study.flow, width_px=2.0 * scale, length_px=7 * scale, threshold=0.02, softness=0.02)
    canvas = mix(canvas, canvas * 0.35, line * study.person * (0.25 + 0.75 * detail) * (1 - 0.8 * study.clothes))
    grain = paper(shape, rng, scale=scale)
    return bound(canvas * (1 + 0.05 * (grain - 0.5))[..., None] + 0.02)


def _brushed_ground(study: Study, tint: Array, rng: np.random.Generator) -> Array:
    """Brush one colour onto the whole sheet with a wide flat brush: crossing strokes, a little uneven."""
    scale, shape = study.scale, study.shape
    canvas = plain(shape, tint).copy()
    for angle, sway in ((0.7, 0.5), (-0.5, 0.4), (0.35, 0.6)):
        seeds = grid_seeds(shape, 42 * scale, rng)
        turn = angle + sway * cloud(shape, 150 * scale, rng, octaves=1)
        direction = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
        radii = 26 * scale * rng.uniform(0.7, 1.2, len(seeds))
        strokes = trace(
            seeds, direction, canvas, length_px=230 * scale, step_px=10 * scale + 1, radii=radii, tolerance=9.0
        )
        tints = tint * (1 + 0.05 * rng.standard_normal((len(seeds), 1)))
        brush = Brush(opacity=0.6, bristle=0.6, dry=0.35, streak=0.05, soft=0.12, taper=0.04)
        lay(canvas, strokes.coloured(tints.astype(np.float32)), brush, rng)
    return canvas
