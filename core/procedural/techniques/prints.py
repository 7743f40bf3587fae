"""Print and paper: pop-art halftone, woodcut, layered paper."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from core.procedural.techniques.fields import (
    Array,
    blur,
    bound,
    colour,
    lit,
    mix,
    noise,
    paper,
    plain,
    shift,
    soft_step,
    uniform,
)
from core.procedural.techniques.flow import lines
from core.procedural.techniques.lines import hatching, inked, outline, strands, stroke_cover
from core.procedural.techniques.portrait import Portrait
from core.procedural.techniques.study import make_study


def _dots(dark: Array, pitch_px: float, angle: float) -> Array:
    """Screen a field [H, W] in [0, 1] by round dots that cover that share of the paper."""
    rows, columns = np.mgrid[: dark.shape[0], : dark.shape[1]].astype(np.float32)
    u = (columns * math.cos(angle) + rows * math.sin(angle)) / pitch_px
    v = (-columns * math.sin(angle) + rows * math.cos(angle)) / pitch_px
    away = np.hypot(u - np.round(u), v - np.round(v)) * pitch_px
    radius = np.sqrt(np.clip(dark, 0, 1) / math.pi) * pitch_px * 1.08
    return bound(np.clip(radius - away + 0.5, 0, 1) * (radius > 0.6))


def halftone(photo: Array, portrait: Portrait, rng: np.random.Generator) -> Array:
    """Print pop art: flat spot colours out of register, a dot screen for shade, thick black outlines."""
    study = make_study(photo, portrait, rng, radius_px=9.0, strands=1.6)
    scale, shape = study.scale, study.shape
    person = soft_step(blur(study.person, 2 * scale), 0.5, 0.3)
    hair, skin, clothes = (
        soft_step(blur(part, 2 * scale), 0.5, 0.2) for part in (study.locks, study.skin, study.clothes)
    )
    ramp = np.stack(
        [colour(72, 36, 26), colour(128, 72, 44), colour(196, 126, 80), colour(246, 190, 146), colour(255, 222, 192)]
    )
    level = study.complexion
    at = np.clip((level - 0.2) / (0.68 - 0.2), 0, 1) * (len(ramp) - 1)
    base = np.array([np.interp(at, np.arange(len(ramp)), ramp[:, c]) for c in range(3)], np.float32)
    tone = blur(study.tone, 3 * scale)
    inside = tone[portrait.face > 0.7]
    middle = float(np.median(inside)) if inside.size else 0.5
    shade = np.clip((middle * 1.04 - tone) / max(0.12, middle * 0.75), 0, 1)

    def plate(mask: Array, right: float, down: float) -> Array:
        return shift(mask, right * scale, down * scale)

    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    sheet = plain(shape, colour(250, 244, 228)) * (0.98 + 0.03 * paper(shape, rng, scale=scale))[..., None]
    back = mix(sheet, plain(shape, colour(255, 214, 38)), 0.97)
    fade = np.clip(0.62 - np.hypot(columns - 0.5 * shape[1], rows - 0.45 * shape[0]) / shape[0] * 0.85, 0.0, 0.5)
    back = mix(back, plain(shape, colour(238, 62, 52)), _dots(0.62 - 1.15 * fade, 17 * scale, 0.26))
    out = mix(back, sheet, plate(person, 3, 2))
    out = mix(out, plain(shape, base), plate(skin, 3, 2))
    deep = base * np.array([0.86, 0.42, 0.36], np.float32)
    out = mix(out, plain(shape, deep), _dots(0.85 * shade, 9.5 * scale, 0.26) * plate(skin, -1, 2))
    light = soft_step(tone, float(np.quantile(inside, 0.88)) if inside.size else 0.9, 0.03)
    out = mix(out, plain(shape, np.clip(base * 1.22 + 0.04, 0, 1)), light * plate(skin, 3, 2))
    dark_hair = float(np.median(tone[study.locks > 0.6])) if (study.locks > 0.6).sum() > 9 else 0.2
    tint = (
        colour(34, 66, 160) if dark_hair < 0.33 else colour(196, 104, 34) if dark_hair < 0.58 else colour(250, 196, 60)
    )
    out = mix(out, plain(shape, tint), plate(hair, 4, -2))
    streaks = strands(study, rng, width_px=3.0, length_px=60)
    black = soft_step(np.clip(1.15 - 2.0 * tone / max(0.25, 2 * dark_hair), 0.1, 0.88) - streaks, 0, 0.08) * hair
    out = mix(out, plain(shape, colour(18, 168, 190)), plate(clothes, -3, 3))
    folds = _dots(np.clip(0.95 - 1.5 * tone, 0, 0.7), 9.5 * scale, 1.05) * clothes
    out = mix(out, plain(shape, colour(22, 48, 120)), folds)
    lips = soft_step(portrait.lips(), 0.45, 0.3)
    out = mix(out, plain(shape, colour(222, 32, 58) if level > 0.3 else colour(176, 28, 52)), plate(lips, 2, 2))
    for eye in portrait.eyes:
        window, t, s = eye.frame(shape)
        opening = np.minimum(s - np.polyval(eye.upper, t), np.polyval(eye.lower, t) - s)
        opening = soft_step(np.minimum(opening, np.minimum(t, 1 - t)), 0.005, 0.02)
        out[window] = mix(out[window], mix(plain(t.shape, colour(255, 255, 255)), study.picture[window], 0.55), opening)
    ink = inked(study, fine=2.4, bold=5.0)
    ink = np.maximum(ink * (1 - 0.8 * clothes), outline(study, 5.5))
    ink = np.maximum(ink, black)
    ink = np.maximum(ink, soft_step(-blur(study.tone, 2 * scale), -0.13, 0.04) * person)
    out = mix(out, plain(shape, colour(20, 18, 24)), soft_step(blur(ink, 1.0 * scale), 0.48, 0.4))
    return bound(out)


def woodcut(photo: Array, portrait: Portrait, rng: np.random.Generator) -> Array:
    """Print a woodcut in two inks: carved black lines over the form, an ochre block, gouge marks behind."""
    study = make_study(photo, portrait, rng, radius_px=8.0, strands=2.0)
    scale, shape = study.scale, study.shape
    tone = blur(study.tone, 1.5 * scale)
    hair = study.locks
    dark = np.clip(1.0 - 1.15 * tone, 0, 1)
    field = hatching(study, rng, angle=0.32, spacing_px=15.0, bulge=0.42, breaks=0.45, wander=2.5)
    carved = stroke_cover(field, np.clip((dark - 0.3) * 1.9, 0, 1.05) * (1 - hair))
    carved = np.maximum(carved, soft_step(dark, 0.84, 0.06))
    streaks = strands(study, rng, width_px=3.2, length_px=60)
    carved = np.maximum(carved, soft_step(np.clip(0.35 + 0.75 * dark, 0, 0.86) - streaks, 0, 0.06) * hair)
    line = lines(study.tone, study.flow, width_px=4.2 * scale, length_px=12 * scale, threshold=0.03, softness=0.02)
    key = np.maximum(carved, line) * study.person
    key = mix(key, soft_step(-study.tone, -0.34, 0.1), portrait.openings())
    key = np.maximum(key, outline(study, 4.5))
    light = soft_step(study.tone, 0.7, 0.06) * study.person
    light = np.maximum(light, portrait.openings() * soft_step(study.tone, 0.42, 0.1))
    block = soft_step(blur(np.clip(study.person - light, 0, 1), 2.5 * scale), 0.5, 0.3)
    # Behind: black, with cuts that run around the head.
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    centre = study.portrait.landmarks68[27]
    ray = np.arctan2(rows - centre[1] - 60 * scale, columns - centre[0])
    reach = np.hypot(rows - centre[1], columns - centre[0]) / scale
    turns = ray * (150 / (2 * math.pi))
    jitter = rng.uniform(0, 1, 400)[np.mod(np.floor(turns), 400).astype(int)]
    piece = np.mod(reach / 90 + 2 * jitter, 1)
    cut = (1 - np.abs(np.mod(turns, 1) - 0.5) * 2) - 0.42 - 0.5 * np.abs(piece - 0.45) * 2
    gouge = soft_step(cut * reach * scale * 0.02, 0.0, 1.4 * 0.25)
    back = (1 - gouge) * (1 - soft_step(study.portrait.person, 0.4, 0.3))
    key = np.maximum(key, back)
    key = soft_step(blur(key, 1.1 * scale), 0.5, 0.3)
    grain = uniform(noise(shape, 1.2 * scale, rng, stretch=30) + 0.8 * noise(shape, 3 * scale, rng, stretch=20))
    worn = 1 - 0.16 * soft_step(grain, 0.9, 0.12) - 0.1 * soft_step(noise(shape, 1.2 * scale, rng), 1.6, 0.8)
    sheet = plain(shape, colour(241, 230, 204)) * (0.97 + 0.04 * paper(shape, rng, scale=scale))[..., None]
    slipped = ndimage.shift(block, (2.5 * scale, -2.0 * scale), order=1, mode="nearest")
    print_ = mix(sheet, sheet * colour(222, 142, 62), 0.95 * slipped * (0.9 + 0.1 * grain))
    red = (1 - soft_step(study.portrait.person, 0.4, 0.3)) * gouge
    print_ = mix(print_, sheet * colour(206, 78, 52), 0.95 * soft_step(blur(red, scale), 0.35, 0.5))
    return bound(mix(print_, plain(shape, colour(24, 21, 20)), key * worn))


def paper_cut(photo: Array, portrait: Portrait, rng: np.random.Generator) -> Array:
    """Cut and stack sheets of coloured paper by tone, each with its shadow, before stacked arcs."""
    study = make_study(photo, portrait, rng, radius_px=10.0, strands=0.8)
    scale, shape = study.scale, study.shape
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    detail = portrait.features()

    def sheet(out: Array, part: Array, tint: Array, drop: float) -> Array:
        grain = noise(shape, 1.0 * scale + 0.2, rng)
        fibre = noise(shape, 1.0 * scale + 0.2, rng, stretch=8)
        cast = shift(blur(part, (2.0 + drop) * scale), -1.3 * drop * scale, -1.6 * drop * scale)
        out = out * (1 - 0.5 * np.clip(cast - part, 0, 1))[..., None]
        rim = 0.09 * np.clip(lit(blur(part, 1.4 * scale), strength=2.5), -1, 1)
        return mix(out, np.clip(tint * (1 + 0.02 * grain + 0.02 * fibre + rim)[..., None], 0, 1), part)

    out: Array = plain(shape, colour(20, 64, 82))
    centre = portrait.landmarks68[30]
    for radius, tint in (
        (0.72, colour(28, 92, 106)),
        (0.58, colour(52, 132, 136)),
        (0.45, colour(122, 178, 164)),
        (0.34, colour(214, 214, 182)),
    ):
        angle = np.arctan2(rows - centre[1], columns - centre[0])
        wave = 0.02 * np.sin(5 * angle + 9 * radius) + 0.012 * np.sin(9 * angle - 20 * radius)
        reach = np.hypot(rows - centre[1], columns - centre[0]) / shape[0]
        hole = soft_step(radius + wave - reach, 0, 1.5 / shape[0])
        out = sheet(out, hole, tint, 7.0)
    tone = study.tone
    calm = mix(blur(tone, 5 * scale), blur(tone, 1.2 * scale), np.clip(1.3 * detail, 0, 1))
    person = soft_step(blur(portrait.person, 3 * scale), 0.5, 0.1)
    out = sheet(out, person, colour(52, 26, 48), 8.0)
    for edge, tint in (
        (0.17, colour(98, 36, 58)),
        (0.32, colour(158, 58, 62)),
        (0.47, colour(212, 104, 76)),
        (0.63, colour(240, 158, 110)),
        (0.79, colour(252, 214, 168)),
    ):
        part = soft_step(blur(soft_step(calm, edge, 0.012) * person, 1.3 * scale), 0.5, 0.22)
        out = sheet(out, part, tint, 3.2)
    return bound(out)
