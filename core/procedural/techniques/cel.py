"""Cel animation: flat tones with hard edges, clean lines, enlarged eyes."""

from __future__ import annotations

import numpy as np

from core.procedural.techniques.fields import Array, blur, bound, cloud, colour, mix, plain, saturate, shift, soft_step
from core.procedural.techniques.flow import lines
from core.procedural.techniques.lines import outline, strands
from core.procedural.techniques.portrait import Eye, Points, Portrait
from core.procedural.techniques.regions import cluster, smooth_labels
from core.procedural.techniques.study import make_study, skin_colour


def enlarge_eyes(photo: Array, portrait: Portrait, gain: float) -> tuple[Array, Portrait]:
    """Magnify the eyes: photo and face with eyes `gain` times as large, blended out to their surroundings."""
    height, width = portrait.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    right, down = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    points = portrait.landmarks68.copy()
    for eye, ids in zip(portrait.eyes, (slice(36, 42), slice(42, 48)), strict=True):
        centre = eye.at(0.5, 0.0)
        dx, dy = columns - np.float32(centre[0]), rows - np.float32(centre[1])
        reach = np.hypot(dx, dy * 1.15) / (1.15 * eye.width)
        share = (1 - 1 / gain) * np.exp(-(reach**4))
        right -= dx * share
        down -= dy * (share * 1.2)
        # Solve the backward map for the landmarks by a few rounds of fixed-point steps.
        local = points[ids] - centre
        moved = local.copy()
        for _ in range(12):
            far = np.hypot(moved[:, 0], moved[:, 1] * 1.15) / (1.15 * eye.width)
            factor = (1 - 1 / gain) * np.exp(-(far**4))
            moved = local / np.stack([1 - factor, 1 - 1.12 * factor], axis=1)
        points[ids] = centre + moved
    return shift(photo, right, down), Portrait(points, portrait.person, portrait.hair, portrait.face)


def cel(photo: Array, portrait: Portrait, rng: np.random.Generator) -> Array:
    """Draw as for animation: enlarged eyes, two or three flat tones with hard edges, clean lines, a sky behind."""
    photo, portrait = enlarge_eyes(photo, portrait, 1.38)
    study = make_study(photo, portrait, rng, radius_px=10.0, strands=0.0)
    scale, shape = study.scale, study.shape
    tone = study.tone
    person = soft_step(blur(study.person, 2.5 * scale), 0.5, 0.12)
    detail = portrait.features()
    base = np.clip(saturate(skin_colour(study.picture, portrait)[None, None], 1.25)[0, 0] * 1.06, 0, 1)
    hair, skin, rest = (
        soft_step(blur(part, 2.5 * scale), 0.5, 0.12) for part in (study.locks, study.skin, study.clothes)
    )
    smooth = blur(tone, 7 * scale)
    inside = smooth[portrait.face > 0.7]
    middle = float(np.median(inside)) if inside.size else 0.5
    shadow = soft_step(-smooth, -0.80 * middle, 0.02)
    bright = soft_step(
        smooth, middle + 0.55 * (float(np.quantile(inside, 0.98)) - middle) if inside.size else 0.9, 0.02
    )
    shade_tint = base * np.array([0.78, 0.62, 0.66], np.float32)
    body = mix(plain(shape, base), plain(shape, shade_tint), shadow)
    body = mix(body, plain(shape, np.clip(base * 1.1 + 0.08, 0, 1)), 0.8 * bright)
    labels, palette = cluster(
        blur(saturate(study.picture, 1.4), 4 * scale),
        (rest > 0.5) if (rest > 0.5).sum() > 50 else (person > 0.5),
        count=4,
        rng=rng,
    )
    cloth = np.clip(palette * 1.08 + 0.03, 0, 1)[smooth_labels(labels.astype(np.int64), 4 * scale)]
    dark = study.picture[study.locks > 0.6]
    hair_base = (
        np.clip(saturate(np.median(dark, axis=0)[None, None], 1.35)[0, 0] * 1.15 + 0.03, 0, 1)
        if len(dark) > 9
        else colour(50, 40, 40)
    )
    hair_tone = blur(tone, 3.5 * scale)
    in_hair = hair_tone[study.locks > 0.6]
    low, high = 0.2, 0.5
    if in_hair.size > 9:
        low, high = float(np.quantile(in_hair, 0.4)), float(np.quantile(in_hair, 0.9))
    locks = mix(plain(shape, hair_base), plain(shape, hair_base * 0.58), soft_step(-hair_tone, -low, 0.02))
    sheen = np.clip(hair_base * 1.35 + np.array([0.16, 0.17, 0.22], np.float32), 0, 1)
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    crown = portrait.landmarks68[27] + 0.62 * (portrait.landmarks68[27] - portrait.landmarks68[8])
    ring = np.abs(
        np.hypot((columns - crown[0]) * 0.8, rows - portrait.landmarks68[8, 1])
        / (portrait.landmarks68[8, 1] - crown[1])
        - 0.98
    )
    jag = strands(study, rng, width_px=5.0, length_px=50)
    band = soft_step(0.055 * jag - ring, 0.012, 0.006)
    locks = mix(locks, plain(shape, sheen), np.maximum(soft_step(hair_tone, high, 0.02), band))
    sky = mix(
        plain(shape, colour(128, 196, 238)), plain(shape, colour(250, 226, 214)), np.clip(rows / shape[0], 0, 1) ** 1.1
    )
    puffs = soft_step(cloud(shape, 130 * scale, rng) + 1.4 * (rows / shape[0] - 0.62), 0.25, 0.03)
    sky = mix(sky, plain(shape, colour(255, 250, 246)), 0.75 * puffs)
    out = mix(sky, cloth, person)
    out = mix(out, body, skin * person)
    out = mix(out, locks, hair * person)
    lips = soft_step(portrait.lips(), 0.5, 0.15)
    out = mix(out, out * np.array([0.92, 0.6, 0.62], np.float32), 0.8 * lips)
    blush = np.zeros(shape, np.float32)
    for cheek in (portrait.landmarks68[[1, 31, 36]].mean(axis=0), portrait.landmarks68[[15, 35, 45]].mean(axis=0)):
        blush += np.exp(-0.5 * (((columns - cheek[0]) / (52 * scale)) ** 2 + ((rows - cheek[1]) / (30 * scale)) ** 2))
    out = mix(out, out * np.array([1.0, 0.74, 0.72], np.float32), 0.5 * blush * skin)
    line = np.maximum(
        lines(tone, study.flow, width_px=2.0 * scale, length_px=12 * scale, threshold=0.03, softness=0.014)
        * (0.25 + 0.75 * np.maximum(detail, hair)),
        lines(
            blur(hair + 0.6 * skin * person + 0.3 * rest, 2 * scale),
            study.flow,
            width_px=1.8 * scale,
            length_px=10 * scale,
            threshold=0.05,
            softness=0.03,
        )
        * 0.8,
    )
    brows = np.maximum(
        portrait.polygon(_brow(portrait, slice(17, 22)), soft_px=1.0),
        portrait.polygon(_brow(portrait, slice(22, 27)), soft_px=1.0),
    )
    at = np.clip(portrait.landmarks68[17:27].astype(int), 0, np.array(shape[::-1]) - 1)
    brow_tint = 0.55 * np.quantile(study.picture[at[:, 1], at[:, 0]], 0.3, axis=0)
    out = mix(out, plain(shape, brow_tint), soft_step(brows, 0.5, 0.4))
    ink = np.maximum(line * person, outline(study, 3.0))
    out = mix(out, np.clip(out * 0.22, 0, 1), soft_step(blur(ink, 0.8 * scale), 0.4, 0.35))
    for eye in portrait.eyes:
        _draw_big_eye(out, eye, study.iris)
    return bound(out)


def _brow(portrait: Portrait, ids: slice) -> Points:
    """Return a brow's outline [10, 2]: a swelling band along its five landmarks."""
    line = portrait.landmarks68[ids]
    thick = 0.032 * portrait.face_width * np.array([0.35, 0.9, 1.0, 0.9, 0.35])[:, None] * np.array([[0.0, 0.5]])
    return np.concatenate([line - thick, (line + thick)[::-1]])


def _draw_big_eye(out: Array, eye: Eye, iris: Array) -> None:
    """Draw a large, shining eye over a picture, in place."""
    window, t, s = eye.frame((out.shape[0], out.shape[1]))
    lift = np.float32(0.05) * np.clip(4 * t * (1 - t), 0, 1)
    upper, lower = 1.12 * np.polyval(eye.upper, t) - lift, 1.05 * np.polyval(eye.lower, t) + 0.4 * lift
    pixel = 1.6 / eye.width
    inside = soft_step(np.minimum(np.minimum(s - upper, lower - s), np.minimum(t, 1 - t)), 0, pixel)
    middle = 0.5 * float(np.polyval(eye.upper, 0.5) + np.polyval(eye.lower, 0.5))
    part = out[window]
    white = mix(
        plain(t.shape, colour(252, 252, 255)),
        plain(t.shape, colour(182, 184, 208)),
        soft_step(-(s - upper), -0.075, 0.02),
    )
    tall = np.hypot((t - 0.5) / 0.225, (s - middle) / 0.27)
    vivid = np.clip(saturate(iris[None, None], 1.3)[0, 0] * np.array([1.25, 1.3, 1.35], np.float32) + 0.04, 0, 0.85)
    fall = np.clip((s - middle + 0.27) / 0.54, 0, 1)[..., None]
    ball = vivid * (0.35 + 1.25 * fall)
    ball = mix(ball, vivid * 0.28, soft_step(tall, 0.86, 0.06))
    ball = mix(ball, vivid * 0.16, soft_step(-np.hypot((t - 0.5) / 0.225, (s - middle) / 0.27), -0.46, 0.06))
    glow = np.hypot((t - 0.5) / 0.13, (s - middle - 0.16) / 0.07)
    ball = mix(ball, np.clip(vivid * 2.1 + 0.12, 0, 1), 0.8 * soft_step(-glow, -1, 0.5))
    white = mix(white, ball, soft_step(-tall, -1, pixel / 0.22))
    for x, y, rx, ry in ((-0.09, -0.10, 0.062, 0.078), (0.10, 0.11, 0.03, 0.034)):
        spot = np.hypot((t - 0.5 - x) / rx, (s - middle - y) / ry)
        white = mix(white, colour(255, 255, 255), soft_step(-spot, -1, 0.2))
    part = mix(part, white, inside)
    outward = np.clip(1 - t if eye.outer_first else t, -0.2, 1.2)
    span = soft_step(t, -0.06, 0.12) * soft_step(-t, -1.06, 0.12)
    drawn = (span > 0).astype(np.float32)
    swell = (0.022 + 0.05 * np.clip(outward, 0, 1) ** 1.2) * span
    dark = np.minimum(iris * 0.25, 0.08)
    part = mix(part, dark, drawn * soft_step(swell - np.abs(s - upper + 0.6 * swell), 0, pixel))
    below = soft_step(0.012 * soft_step(outward, 0.45, 0.5) * span - np.abs(s - lower), 0, pixel)
    part = mix(part, dark, 0.9 * below * drawn)
    crease = soft_step(0.008 * span - np.abs(s - upper + 0.13), 0, pixel)
    out[window] = mix(part, part * 0.55, 0.8 * crease * drawn)
