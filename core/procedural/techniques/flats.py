"""Flat shapes: halftone print, stained glass, cel drawing, paper cut, mosaic."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.segmentation import slic

from core.procedural.techniques.fields import (
    Array,
    blur,
    cloud,
    colour,
    lit,
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
from core.procedural.techniques.flow import Flow, edge_flow, lines
from core.procedural.techniques.lines import inked, outline, strands, voronoi_points
from core.procedural.techniques.paint import cluster
from core.procedural.techniques.portrait import Eye, Portrait
from core.procedural.techniques.study import Study, make_study, skin_colour

Labels = npt.NDArray[np.int64]


def smooth_labels(labels: Labels, sigma_px: float) -> Labels:
    """Round the borders of labels [H, W]: each pixel joins the label that is most frequent around it."""
    best = np.full(labels.shape, -1.0, np.float32)
    out = labels.copy()
    for index in np.unique(labels):
        share = blur((labels == index).astype(np.float32), sigma_px)
        better = share > best
        out[better] = index
        best[better] = share[better]
    return out


def means(picture: Array, labels: Labels) -> Array:
    """Return the mean colour [N, 3] of each label 0 to N - 1."""
    count = int(labels.max()) + 1
    size = np.maximum(np.bincount(labels.ravel(), minlength=count), 1)
    sums = [np.bincount(labels.ravel(), c.ravel(), minlength=count) for c in np.moveaxis(picture, -1, 0)]
    return (np.stack(sums, axis=-1) / size[:, None]).astype(np.float32)


def _dots(dark: Array, pitch_px: float, angle: float) -> Array:
    """Screen a field [H, W] in [0, 1] by round dots that cover that share of the paper."""
    rows, columns = np.mgrid[: dark.shape[0], : dark.shape[1]].astype(np.float32)
    u = (columns * math.cos(angle) + rows * math.sin(angle)) / pitch_px
    v = (-columns * math.sin(angle) + rows * math.cos(angle)) / pitch_px
    away = np.hypot(u - np.round(u), v - np.round(v)) * pitch_px
    radius = np.sqrt(np.clip(dark, 0, 1) / math.pi) * pitch_px * 1.08
    return np.clip(radius - away + 0.5, 0, 1) * (radius > 0.6)


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
    level = float(luma(skin_colour(study.picture, portrait)))
    at = np.clip((level - 0.18) / (0.78 - 0.18), 0, 1) * (len(ramp) - 1)
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
    light = soft_step(tone, min(0.93, middle + 0.22), 0.03)
    out = mix(out, plain(shape, np.clip(base + 0.5 * (1 - base), 0, 1)), light * plate(skin, 3, 2))
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
    return np.clip(out, 0, 1)


def stained_glass(photo: Array, portrait: Portrait, rng: np.random.Generator) -> Array:
    """Assemble stained glass: panes of glowing colour in lead, features painted on in brown, jewel colours behind."""
    study = make_study(photo, portrait, rng, radius_px=10.0, strands=0.6)
    scale, shape = study.scale, study.shape
    inside = blur(portrait.person, 3 * scale) > 0.5
    step = max(1, round(4 * scale))
    small = np.ascontiguousarray(saturate(blur(study.picture, 6 * scale), 1.3)[::step, ::step])
    mask = inside[::step, ::step]
    face = portrait.face[::step, ::step] > 0.5
    rest = mask & ~face
    labels = np.zeros(mask.shape, np.int64)
    if face.sum() > 50:
        labels[face] = slic(small, 26, compactness=9, sigma=1.5, mask=face, start_label=1)[face]
    top = labels.max()
    if rest.sum() > 50:
        labels[rest] = slic(small, 64, compactness=9, sigma=1.0, mask=rest, start_label=1)[rest] + top
    top = int(labels.max())
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    centre = portrait.landmarks68[27] / step
    angle = np.arctan2(rows - centre[1], columns - centre[0])
    reach = np.hypot(rows - centre[1], columns - centre[0]) / mask.shape[0]
    ring = np.digitize(reach + 0.015 * np.sin(angle * 5), (0.42, 0.58, 0.74))
    sector = np.floor((angle / (2 * math.pi) + 0.5) * 14 + 0.5 * ring).astype(int) % 14
    labels = np.where(mask, labels, top + 1 + ring * 14 + sector)
    fine = labels.repeat(step, axis=0).repeat(step, axis=1)[: shape[0], : shape[1]]
    _, fine = np.unique(fine, return_inverse=True)
    fine = smooth_labels(fine.reshape(shape), 4.0 * scale)
    shades = means(study.picture, fine)
    outside = (
        np.bincount(fine.ravel(), (~inside).ravel(), minlength=len(shades)) / np.maximum(np.bincount(fine.ravel()), 1)
        > 0.5
    )
    jewels = np.stack(
        [
            colour(24, 74, 160),
            colour(30, 118, 168),
            colour(18, 54, 122),
            colour(38, 136, 128),
            colour(150, 32, 54),
            colour(208, 150, 40),
        ]
    )
    picks = rng.choice(len(jewels), len(shades), p=(0.28, 0.24, 0.2, 0.12, 0.08, 0.08))
    shades = saturate(shades[None], 1.75)[0]
    shades = np.clip(shades * 1.12 + 0.03 + rng.normal(0, 0.035, (len(shades), 1)), 0, 1)
    shades = np.where(outside[:, None], jewels[picks], shades).astype(np.float32)
    pane = shades[fine]
    turned = rng.uniform(0, 1, len(shades))[fine]
    streak = noise(shape, 5 * scale, rng, stretch=10)
    other = np.ascontiguousarray(noise(shape[::-1], 5 * scale, rng, stretch=10).T)
    ripple = np.where(turned > 0.5, streak, other)
    wavy = blur(noise(shape, 2.2 * scale, rng), 0.8 * scale)
    face_share = blur(portrait.face, 3 * scale)
    glass = pane * (1 + (0.11 - 0.06 * face_share) * ripple + 0.05 * cloud(shape, 60 * scale, rng))[..., None]
    # Grisaille: tone and lines painted on the glass.
    local = study.tone - luma(pane)
    stain = np.clip(0.5 + 1.1 * local, 0.25, 1.0) / 0.5
    glass = glass * np.where(inside, np.clip(stain, 0.45, 1.35), 1.0)[..., None].astype(np.float32)
    edge = np.zeros(shape, bool)
    edge[:, 1:] |= fine[:, 1:] != fine[:, :-1]
    edge[1:] |= fine[1:] != fine[:-1]
    rim = np.zeros(shape, bool)
    rim[:, 1:] |= inside[:, 1:] != inside[:, :-1]
    rim[1:] |= inside[1:] != inside[:-1]
    detail = portrait.features()
    keep = 1 - soft_step(detail, 0.5, 0.2)
    away = ndimage.distance_transform_edt(~(edge & ((keep > 0.5) | rim))).astype(np.float32)
    bold = ndimage.distance_transform_edt(~rim).astype(np.float32)
    half = 3.4 * scale * (1 + 0.15 * noise(shape, 30 * scale, rng))
    lead = np.maximum(soft_step(half - away, 0, 1.8), soft_step(5.0 * scale - bold, 0, 1.8))
    glow = np.exp(-np.minimum(away, bold) / (9 * scale))
    glass = glass * (1 - 0.28 * glow)[..., None]
    shine = blur(glass * glass, 26 * scale)
    glass = 1 - (1 - np.clip(glass, 0, 1)) * (1 - 0.22 * shine)
    glass = glass + 0.06 * lit(wavy, strength=1.0)[..., None] + 0.03 * soft_step(wavy, 1.1, 0.5)[..., None]
    near = soft_step(detail, 0.5, 0.6)
    glass = mix(glass, np.clip(saturate(study.picture, 1.5) * 1.1, 0, 1) * (1 + 0.04 * ripple[..., None]), 0.8 * near)
    paint = inked(study, fine=2.0, bold=4.0) * (0.35 + 0.65 * face_share)
    glass = mix(glass, glass * colour(52, 30, 22), 0.92 * paint)
    round_ = np.sqrt(np.clip(1 - (np.minimum(away / half, bold / (5.0 * scale))) ** 2, 0, 1))
    metal = colour(30, 30, 34) * (0.75 + 0.9 * np.clip(lit(round_, strength=1.2), -0.5, 1))[..., None]
    return np.clip(mix(glass, metal, lead), 0, 1)


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
    low, high = (np.quantile(in_hair, 0.4), np.quantile(in_hair, 0.9)) if in_hair.size > 9 else (0.2, 0.5)
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
    out = mix(out, plain(shape, hair_base * 0.5), soft_step(brows, 0.5, 0.4))
    ink = np.maximum(line * person, outline(study, 3.0))
    out = mix(out, np.clip(out * 0.22, 0, 1), soft_step(blur(ink, 0.8 * scale), 0.4, 0.35))
    for eye in portrait.eyes:
        _draw_big_eye(out, eye, study.iris)
    return np.clip(out, 0, 1)


def _brow(portrait: Portrait, ids: slice) -> npt.NDArray[np.float64]:
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
    swell = (0.022 + 0.05 * np.clip(outward, 0, 1) ** 1.2) * span
    dark = np.minimum(iris * 0.25, 0.08)
    part = mix(part, dark, soft_step(swell - np.abs(s - upper + 0.6 * swell), 0, pixel))
    below = soft_step(0.012 * soft_step(outward, 0.45, 0.5) * span - np.abs(s - lower), 0, pixel)
    part = mix(part, dark, 0.9 * below)
    crease = soft_step(0.008 * span - np.abs(s - upper + 0.13), 0, pixel)
    out[window] = mix(part, part * 0.55, 0.8 * crease)


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

    out = plain(shape, colour(20, 64, 82)).copy()
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
    calm = mix(blur(tone, 5 * scale)[..., None], blur(tone, 1.2 * scale)[..., None], np.clip(1.3 * detail, 0, 1))[
        ..., 0
    ]
    person = soft_step(blur(portrait.person, 3 * scale), 0.5, 0.1)
    out = sheet(out, person, colour(52, 26, 48), 8.0)
    for edge, tint in (
        (0.17, colour(98, 36, 58)),
        (0.32, colour(158, 58, 62)),
        (0.47, colour(212, 104, 76)),
        (0.63, colour(240, 158, 110)),
        (0.79, colour(252, 214, 168)),
    ):
        part = soft_step(calm, edge, 0.012) * person
        part = soft_step(blur(part, 1.3 * scale), 0.5, 0.22)
        out = sheet(out, part, tint, 3.2)
    return np.clip(out, 0, 1)


@njit(nogil=True, cache=True)
def _own(
    points: Array, tangents: Array, half: Array, owner: npt.NDArray[np.int64], near: Array, u: Array, v: Array
) -> None:  # pragma: no cover - compiled
    height, width = owner.shape
    for n in range(points.shape[0]):
        x, y = points[n, 0], points[n, 1]
        i0, j0 = min(height - 1, max(0, int(y))), min(width - 1, max(0, int(x)))
        tx, ty = tangents[i0, j0, 0], tangents[i0, j0, 1]
        reach = 2.2 * half[n]
        for i in range(max(0, int(y - reach)), min(height, int(y + reach) + 1)):
            for j in range(max(0, int(x - reach)), min(width, int(x + reach) + 1)):
                a = (j - x) * tx + (i - y) * ty
                b = -(j - x) * ty + (i - y) * tx
                d = max(abs(a), abs(b)) / half[n]
                if d < near[i, j]:
                    near[i, j] = d
                    owner[i, j] = n
                    u[i, j] = a / half[n]
                    v[i, j] = b / half[n]


def mosaic(photo: Array, portrait: Portrait, rng: np.random.Generator) -> Array:
    """Lay a mosaic: square tesserae along the contours, small in the face, gold behind (cf. Hausner 2001)."""
    study = make_study(photo, portrait, rng, radius_px=8.0, strands=0.8)
    scale, shape = study.scale, study.shape
    detail = portrait.features()
    person = soft_step(blur(portrait.person, 3 * scale), 0.5, 0.1)
    flow = _contours(study)
    size = (16.5 - 4.0 * blur(portrait.face, 12 * scale) - 6.0 * detail) * max(scale, 0.3)
    points = _rows_of_tiles(shape, flow, size, rng)
    at = points.astype(int)
    half = (0.5 * size[at[:, 1], at[:, 0]]).astype(np.float32)
    owner = np.full(shape, -1, np.int64)
    near, u, v = np.full(shape, 1e9, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    _own(points, flow.tangents, half, owner, near, u, v)
    picture = saturate(study.picture, 1.45)
    local = picture + 0.45 * (picture - blur(picture, 10 * scale))
    gold = mix(
        plain(shape, colour(206, 158, 62)), plain(shape, colour(246, 214, 122)), uniform(cloud(shape, 40 * scale, rng))
    )
    source = np.clip(mix(gold, local, person), 0, 1)
    fine = blur(source, 1.5 * scale)
    tints = fine[at[:, 1], at[:, 0]]
    inside = person[at[:, 1], at[:, 0]]
    spread = np.where(inside > 0.5, 0.05, 0.11)[:, None]
    tints = np.clip(
        tints * (1 + spread * rng.standard_normal((len(points), 1))) + 0.015 * rng.standard_normal((len(points), 3)),
        0,
        1,
    )
    own = np.maximum(owner, 0)
    pixels = half[own]
    shape_edge = np.minimum(1.5 - np.abs(u), 1.5 - np.abs(v)) * pixels
    # A tile also ends where the neighbour's begins.
    border = np.zeros(shape, bool)
    border[:, 1:] |= owner[:, 1:] != owner[:, :-1]
    border[1:] |= owner[1:] != owner[:-1]
    away = ndimage.distance_transform_edt(~border).astype(np.float32)
    gap = np.minimum(shape_edge, away)
    tile = soft_step(gap, 1.0 * scale, 1.2 * max(0.6, scale)) * (owner >= 0)
    tilt = rng.normal(0, 0.05, (len(points), 2)).astype(np.float32)
    tilted = tilt[own, 0] * u + tilt[own, 1] * v
    bevel = lit(np.clip(gap, 0, 3 * scale) / scale, strength=0.5 * scale)
    sparkle = rng.normal(0, 1, len(points)).astype(np.float32)[own] * (1 - person) * 0.09
    glaze = 1 + tilted + 0.17 * bevel + sparkle + 0.025 * noise(shape, 1.2 * scale, rng)
    colour_of = tints[own].astype(np.float32) * glaze[..., None]
    grout = plain(shape, colour(58, 50, 44)) * (1 + 0.08 * noise(shape, 1.0 * scale + 0.2, rng))[..., None]
    return np.clip(mix(grout, colour_of, tile), 0, 1)


def _contours(study: Study) -> Flow:
    """Return directions along contours: the picture's, and around the person those of the silhouette."""
    scale = study.scale
    edge = blur(study.portrait.person, 4 * scale)
    away = ndimage.distance_transform_edt(edge < 0.5).astype(np.float32)
    down, right = np.gradient(blur(away, 14 * scale))
    norm = np.hypot(down, right) + 1e-6
    around = np.stack([-down / norm, right / norm], axis=-1)
    own = edge_flow(blur(study.picture, 4 * scale), 9 * scale)
    outside = soft_step(-edge, -0.5, 0.2)[..., None] * (norm > 0.2)[..., None]
    tangents = np.where(outside > 0.5, around, own.tangents)
    return Flow(tangents.astype(np.float32), own.strength)


def _rows_of_tiles(shape: tuple[int, int], flow: Flow, size: Array, rng: np.random.Generator) -> Array:
    """Spread tile centres [N, 2] one tile apart: Voronoi points by density, then pushed square along the flow."""
    coarse = 2
    density = 1.0 / (size[::coarse, ::coarse] ** 2)
    count = int(density.sum() * coarse * coarse * 1.2)
    points = voronoi_points(density, count, rng, rounds=6) * coarse
    for _ in range(14):
        tree = cKDTree(points)
        at = np.clip(points.astype(int), 0, np.array([shape[1] - 1, shape[0] - 1]))
        tangent = flow.tangents[at[:, 1], at[:, 0]]
        side = size[at[:, 1], at[:, 0]]
        _, near = tree.query(points, k=9)
        near = near[:, 1:]
        offset = points[near] - points[:, None]
        along = (offset * tangent[:, None]).sum(-1) / side[:, None]
        across = (-offset[..., 0] * tangent[:, None, 1] + offset[..., 1] * tangent[:, None, 0]) / side[:, None]
        away = np.maximum(np.abs(along), np.abs(across))
        push = np.clip(1.0 - away, 0, 1)
        main = np.abs(along) > np.abs(across)
        step_along = -(np.sign(along) * push * main).sum(-1) * 0.22
        step_across = -(np.sign(across) * push * ~main).sum(-1) * 0.22
        # Settle into rows: neighbours at the side should stand level.
        level = np.where(main & (away < 1.4), across, 0).sum(-1) / np.maximum((main & (away < 1.4)).sum(-1), 1)
        level_along = np.where(~main & (away < 1.4), along, 0).sum(-1) / np.maximum((~main & (away < 1.4)).sum(-1), 1)
        move_a, move_c = (step_along + 0.25 * level_along) * side, (step_across + 0.35 * level) * side
        points = points + np.stack(
            [move_a * tangent[:, 0] - move_c * tangent[:, 1], move_a * tangent[:, 1] + move_c * tangent[:, 0]], axis=1
        )
        points = np.clip(points, 0, np.array([shape[1] - 1, shape[0] - 1])).astype(np.float32)
    return points
