"""The artist's study: the photo cleaned and made crisp at drawing size, its flow, tones and depth.

A photo may have been enlarged from 256 px. What an artist would make sharp is drawn anew: irises with pupil and
highlight, lashes, the line between the lips, strands of hair. The rest is abstracted along its edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.procedural.techniques.fields import Array, blur, bound, colour, luma, mix, noise, soft_step
from core.procedural.techniques.flow import Flow, abstract, smooth_along
from core.procedural.techniques.portrait import Eye, Portrait


@dataclass(frozen=True)
class Study:
    """What techniques draw from.

    Attributes:
        picture: [H, W, 3] abstracted along edges, crisp, with drawn eyes, mouth and hair.
        tone: [H, W] its grey, stretched so that dark and light skin both leave room for modelling, order kept.
        flow: directions along edges.
        portrait: the face.
        person: [H, W] the person without the rim where the photo's background shines through.
        skin: [H, W] face, ears and neck.
        locks: [H, W] hair with what else is on the head.
        clothes: [H, W] the rest of the person.
        complexion: the skin's luminance in the photo, median, in [0, 1].
        iris: [3] colour of the irises.
    """

    picture: Array
    tone: Array
    flow: Flow
    portrait: Portrait
    person: Array
    skin: Array
    locks: Array
    clothes: Array
    complexion: float
    iris: Array

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.portrait.shape

    @property
    def scale(self) -> float:
        """Picture height / 1024."""
        return self.portrait.scale


def make_study(
    photo: Array, portrait: Portrait, rng: np.random.Generator, *, radius_px: float = 6.0, strands: float = 1.0
) -> Study:
    """Prepare a photo for drawing.

    Args:
        photo: [H, W, 3].
        portrait: the face in it.
        rng: chance, for strands of hair.
        radius_px: of the abstraction, at 1024 px.
        strands: how strongly strands of hair are drawn.
    """
    scale = portrait.scale
    iris = iris_colour(photo, portrait)
    calm = _calm_light(photo, portrait)
    clothes = blur(portrait.person * (1 - portrait.hair) * (1 - portrait.face), 8 * scale)
    picture, flow = abstract(calm, radius_px=max(1.0, radius_px * scale), rounds=2, calm=clothes)
    grain = smooth_along(noise(portrait.shape, 1.1 * scale + 0.3, rng), flow.tangents, 22 * scale, step_px=2.0)
    grain = grain / grain.std()
    relief = np.exp(0.16 * strands * grain * portrait.hair * soft_step(flow.strength, 0.2, 0.4))
    picture = np.clip(picture * relief[..., None], 0, 1)
    for eye in portrait.eyes:
        picture = draw_eye(picture, eye, photo, iris)
    picture = draw_mouth_line(picture, portrait)
    person = soft_step(blur(portrait.person, 1.5 * scale), 0.72, 0.4)
    skin, locks, rest = _parts(picture, portrait, person)
    face = luma(photo)[portrait.face > 0.7]
    complexion = float(np.median(face)) if face.size else 0.5
    return Study(picture, _tone(picture, portrait), flow, portrait, person, skin, locks, rest, complexion, iris)


def skin_colour(picture: Array, portrait: Portrait) -> Array:
    """Return the face's usual colour [3]: the median of its lighter half."""
    pixels = picture[portrait.face > 0.7]
    if len(pixels) < 8:
        return colour(200, 150, 120)
    grey = luma(pixels)
    return np.asarray(np.median(pixels[grey >= np.median(grey)], axis=0), np.float32)


def _parts(picture: Array, portrait: Portrait, person: Array) -> tuple[Array, Array, Array]:
    """Divide the person into skin, hair and clothes, by the masks, the skin's hue and where things are on a head."""
    scale, points = portrait.scale, portrait.landmarks68
    rows, columns = np.mgrid[: portrait.shape[0], : portrait.shape[1]].astype(np.float32)
    tint = skin_colour(picture, portrait) + np.float32(0.02)
    near = blur(picture, 5 * scale) + np.float32(0.02)
    away = np.abs(near / near.sum(axis=-1, keepdims=True) - tint / tint.sum()).sum(axis=-1)
    level = luma(near) / float(luma(tint))
    dim = soft_step(-level, -1.5, 0.2)
    like = soft_step(-away, -0.12, 0.08) * soft_step(level, 0.5, 0.2) * dim
    shaded = soft_step(-away, -0.18, 0.08) * soft_step(level, 0.12, 0.1) * dim  # shadows are redder
    below = soft_step(rows, float(points[[2, 14], 1].mean()), 40 * scale)
    neck = below * soft_step(-np.abs(columns - float(points[8, 0])), -0.55 * portrait.face_width, 20 * scale)
    ears = np.zeros(portrait.shape, np.float32)
    for side in (0, 16):
        spot = 0.5 * (points[side] + points[2 if side == 0 else 14])
        reach = np.hypot((columns - spot[0]) / 0.18, (rows - spot[1]) / 0.3) / portrait.face_width
        ears = np.maximum(ears, soft_step(-reach, -1, 0.2))
    crown = soft_step(-rows, -float(points[17:27, 1].mean()), 20 * scale)
    hairy = float(portrait.hair.sum()) / max(1.0, float(portrait.face.sum()))
    inside = near[portrait.hair > 0.6]
    strand = np.median(inside, axis=0) if len(inside) > 8 else np.zeros(3, np.float32)
    bald = hairy < 0.12 or (hairy < 0.45 and float(luma(strand)) > 0.6 * float(luma(tint)))
    # What looks more like the hair than like the skin is hair, wherever it hangs.
    nearer = np.abs(near - tint).sum(axis=-1) - np.abs(near - strand).sum(axis=-1)
    alike = soft_step(nearer, 0.1, 0.2) * soft_step(-np.abs(near - strand).sum(axis=-1), -0.4, 0.15)
    alike = np.zeros_like(alike) if bald else alike * (1 - blur(portrait.face, 3 * scale))
    bare = crown * (1 - blur(portrait.hair, 3 * scale)) * (np.ones_like(like) if bald else like)
    if bald:
        bare = np.maximum(bare, shaded * soft_step(-rows, -float(points[8, 1]), 20 * scale))
    beside = np.maximum(shaded * neck, like * ears) * (1 - alike)
    skin = np.maximum(portrait.face, np.maximum(beside, bare))
    skin = skin * (1 - (0.0 if bald else 0.9) * portrait.hair)
    skin = soft_step(blur(skin, 4 * scale), 0.5, 0.25) * person
    head = soft_step(-rows, -float(points[[2, 14], 1].mean()), 0.08 * portrait.face_width)
    locks = (
        soft_step(
            blur(np.maximum(np.maximum(portrait.hair, alike), person * head) * (0.0 if bald else 1.0), 4 * scale),
            0.5,
            0.25,
        )
        * (1 - skin)
        * person
    )
    return skin, locks, np.clip(person - skin - locks, 0, 1)


def _calm_light(photo: Array, portrait: Portrait) -> Array:
    """Open deep shadows and stretch a dull picture, a little; the order of people's tones stays."""
    grey = luma(photo)
    inside = grey[portrait.person > 0.6]
    if inside.size < 16:
        return photo
    low, high = float(np.quantile(inside, 0.01)), float(np.quantile(inside, 0.985))
    low, high = 0.8 * low, high + 0.45 * (1 - high)
    return bound((photo - low) / max(0.2, high - low))


def _tone(picture: Array, portrait: Portrait) -> Array:
    """Return the grey [H, W] with more local contrast in the face; light background."""
    grey = luma(picture)
    local = grey - blur(grey, 0.11 * portrait.face_width)
    face = blur(portrait.face, 10 * portrait.scale)
    return bound(grey + 0.35 * local * face + 0.1 * local)


def iris_colour(photo: Array, portrait: Portrait) -> Array:
    """Guess the irises' colour [3] from the photo: the median of dark pixels in the eyes' middle, livelier."""
    picked = []
    for eye in portrait.eyes:
        window, t, s = eye.frame(portrait.shape)
        middle = 0.5 * (np.polyval(eye.upper, 0.5) + np.polyval(eye.lower, 0.5))
        ring = np.hypot(t - 0.5, s - middle)
        picked.append(photo[window][(ring > 0.06) & (ring < 0.16)])
    pixels = np.concatenate(picked)
    grey = luma(pixels)
    pixels = pixels[grey <= np.quantile(grey, 0.6)] if len(pixels) else np.full((1, 3), 0.2, np.float32)
    base = np.median(pixels, axis=0).astype(np.float32)
    level = float(np.clip(luma(base), 0.12, 0.34))
    tint = base / max(0.05, float(luma(base)))
    return np.asarray(np.clip(level * (1 + 1.5 * (tint - 1)), 0.04, 0.6), np.float32)


def draw_eye(picture: Array, eye: Eye, photo: Array, iris: Array) -> Array:
    """Draw an eye over the picture: white, iris, pupil, highlight, lashes."""
    window, t, s = eye.frame((picture.shape[0], picture.shape[1]))
    upper, lower = np.polyval(eye.upper, t), np.polyval(eye.lower, t)
    source, out = photo[window], picture[window].copy()
    pixel = 1 / eye.width
    inside = soft_step(np.minimum(np.minimum(s - upper, lower - s), np.minimum(t, 1 - t)), 0, 3 * pixel)
    if eye.opening < 0.13 or inside.max() < 0.5:
        return picture
    grey = luma(source)
    skin = float(np.quantile(grey, 0.75))
    # The iris is where the eye is darkest, near its middle.
    weight = (
        inside * np.exp(-0.5 * ((t - 0.5) / 0.14) ** 2) * np.clip(np.quantile(grey[inside > 0.5], 0.6) - grey, 0, 1)
    )
    centre_t = float((weight * t).sum() / (weight.sum() + 1e-6)) if weight.sum() > 1e-3 else 0.5
    centre_t = 0.5 + 0.9 * (np.clip(centre_t, 0.3, 0.7) - 0.5)
    centre_s = float(0.5 * (np.polyval(eye.upper, centre_t) + np.polyval(eye.lower, centre_t)) - 0.06 * eye.opening)
    radius = 0.215
    ring = np.hypot(t - centre_t, s - centre_s) / radius
    white = np.clip(0.42 + 0.5 * skin, 0.4, 0.86)
    ball = colour(255, 250, 246) * white
    shade = 0.5 + 0.5 * soft_step(s - upper, 0.06, 0.16)
    shade = shade * (1 - 0.4 * np.clip(np.abs(t - 0.5) * 2, 0, 1) ** 3)
    eyeball = ball * shade[..., None]
    angle = np.arctan2(s - centre_s, t - centre_t)
    fibres = 1 + 0.12 * np.cos(angle * 23 + 3 * np.sin(5 * angle))
    light = (0.75 + 0.75 * soft_step(s - centre_s, 0.08, 0.3)) * fibres * (1 - 0.55 * soft_step(ring, 0.88, 0.25))
    disc = np.clip(iris * light[..., None], 0, 1)
    disc = mix(disc, colour(12, 10, 12), soft_step(-ring, -0.44, 0.12))
    eyeball = mix(
        eyeball,
        disc * (0.55 + 0.45 * soft_step(s - upper, 0.04, 0.1))[..., None],
        soft_step(-ring, -1, 3 * pixel / radius),
    )
    glint = np.hypot(t - centre_t + 0.34 * radius, s - centre_s + 0.36 * radius) / radius
    eyeball = mix(eyeball, colour(255, 255, 255), soft_step(-glint, -0.25, 0.12))
    small = np.hypot(t - centre_t - 0.38 * radius, s - centre_s - 0.42 * radius) / radius
    eyeball = mix(eyeball, colour(255, 255, 255), 0.35 * soft_step(-small, -0.14, 0.12))
    out = mix(out, eyeball, inside)
    # Lashes: a dark line on the upper lid that swells towards the outer corner, a thin one below.
    outward = 1 - t if eye.outer_first else t
    span = soft_step(t, -0.02, 0.1) * soft_step(-t, -1.02, 0.1)
    swell = (0.016 + 0.030 * np.clip(outward, 0, 1)) * span
    lash = soft_step(swell - np.abs(s - upper + 0.4 * swell), 0, 2.5 * pixel) * (span > 0)
    dark = np.minimum(out.min(axis=(0, 1)), 0.1) * colour(255, 215, 200)
    out = mix(out, dark, 0.92 * lash)
    below = soft_step(0.009 * span * (0.4 + outward) - np.abs(s - lower), 0, 3 * pixel) * (span > 0)
    out = mix(out, dark, 0.45 * below)
    whole = picture.copy()
    whole[window] = out
    return whole


def draw_mouth_line(picture: Array, portrait: Portrait) -> Array:
    """Darken the line between closed lips, thicker at the middle; an open mouth is left as it is."""
    points = portrait.landmarks68
    upper, lower = points[[60, 61, 62, 63, 64]], points[[60, 67, 66, 65, 64]]
    gap = float(np.linalg.norm(lower[2] - upper[2])) / portrait.face_width
    line = 0.5 * (upper + lower)
    axis = line[-1] - line[0]
    width = float(np.linalg.norm(axis))
    along = axis / width
    down = np.array([-along[1], along[0]])
    rows, columns = np.mgrid[: portrait.shape[0], : portrait.shape[1]]
    x, y = columns - line[0, 0], rows - line[0, 1]
    t, s = (x * along[0] + y * along[1]) / width, (x * down[0] + y * down[1]) / width
    local_t, local_s = (line - line[0]) @ along / width, (line - line[0]) @ down / width
    curve = np.interp(t, local_t, local_s)
    span = np.clip(1 - (2 * t - 1) ** 2, 0, 1) ** 0.5
    cover = soft_step(0.016 * span - np.abs(s - curve), 0, 4 / width) * (span > 0) * max(0.0, 1 - gap / 0.05)
    return np.asarray(picture * (1 - 0.7 * cover[..., None]), np.float32)
