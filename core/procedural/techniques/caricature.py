"""Caricature: what sets a face apart from the common one is exaggerated, then painted in bright digital brush strokes.

The warp is a thin-plate spline (Bookstein 1989) whose landmarks move on along their difference from the mean face
(Brennan 1985; Liao, Chen and Chou 2004).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.interpolate import RBFInterpolator

from core.procedural.techniques.fields import (
    Array,
    blur,
    bound,
    cloud,
    colour,
    mix,
    paper,
    plain,
    saturate,
    shift,
    soft_step,
)
from core.procedural.techniques.flow import lines
from core.procedural.techniques.lines import outline
from core.procedural.techniques.paint import paint_layers
from core.procedural.techniques.portrait import DEPTHS, Points, Portrait
from core.procedural.techniques.strokes import Brush
from core.procedural.techniques.study import make_study

# Mean landmarks of the 24 people in assets/mini, made symmetric, as shares of the side: the right half and the middle.
_HALF = {
    0: (0.222, 0.49), 1: (0.223, 0.563), 2: (0.23, 0.637), 3: (0.243, 0.712), 4: (0.267, 0.781), 5: (0.309, 0.841),
    6: (0.363, 0.889), 7: (0.427, 0.926), 8: (0.5, 0.937), 17: (0.272, 0.431), 18: (0.305, 0.402), 19: (0.351, 0.392),
    20: (0.401, 0.397), 21: (0.446, 0.413), 27: (0.5, 0.47), 28: (0.5, 0.517), 29: (0.5, 0.564), 30: (0.5, 0.61),
    31: (0.437, 0.649), 32: (0.467, 0.66), 33: (0.5, 0.667), 36: (0.324, 0.481), 37: (0.356, 0.463), 38: (0.393, 0.463),
    39: (0.426, 0.486), 40: (0.392, 0.493), 41: (0.355, 0.493), 48: (0.382, 0.736), 49: (0.426, 0.723),
    50: (0.47, 0.715), 51: (0.5, 0.722), 57: (0.5, 0.792), 58: (0.466, 0.789), 59: (0.423, 0.77), 60: (0.397, 0.738),
    61: (0.469, 0.738), 62: (0.5, 0.741), 66: (0.5, 0.759), 67: (0.467, 0.755),
}  # fmt: skip
_MIRROR = {
    0: 16,
    1: 15,
    2: 14,
    3: 13,
    4: 12,
    5: 11,
    6: 10,
    7: 9,
    17: 26,
    18: 25,
    19: 24,
    20: 23,
    21: 22,
    31: 35,
    32: 34,
}
_MIRROR |= {
    36: 45,
    37: 44,
    38: 43,
    39: 42,
    40: 47,
    41: 46,
    48: 54,
    49: 53,
    50: 52,
    58: 56,
    59: 55,
    60: 64,
    61: 63,
    67: 65,
}


def mean_face() -> Points:
    """Return the common face's landmarks [68, 2] as shares of the side."""
    points = np.zeros((68, 2))
    for index, (x, y) in _HALF.items():
        points[index] = x, y
        if index in _MIRROR:
            points[_MIRROR[index]] = 1 - x, y
    return points


def fitted_mean(landmarks: Points) -> Points:
    """Turn the common head as the face is turned: its landmarks [68, 2] under scaled orthographic projection.

    The best affine camera is found by least squares and its two axes made equally long, so that pose goes and
    proportions stay.
    """
    flat = mean_face()
    solid = np.column_stack([flat, DEPTHS * (flat[16, 0] - flat[0, 0])])
    solid -= solid.mean(axis=0)
    centre = landmarks.mean(axis=0)
    camera = np.linalg.lstsq(solid, landmarks - centre, rcond=None)[0].T
    left, lengths, right = np.linalg.svd(camera, full_matrices=False)
    return np.asarray(solid @ (left * lengths.mean() @ right).T + centre)


def exaggerated(landmarks: Points, *, gain: float) -> Points:
    """Move landmarks [68, 2] on along their difference from the mean face in the same pose."""
    width = float(np.linalg.norm(landmarks[16] - landmarks[0]))
    apart = landmarks - fitted_mean(landmarks)
    size = np.linalg.norm(apart, axis=1, keepdims=True) / width
    # Eyes and mouth are moved more than bent: they keep their mood.
    for ids in (slice(48, 68), slice(36, 42), slice(42, 48)):
        apart[ids] -= 0.8 * (apart[ids] - apart[ids].mean(axis=0))
    moved = landmarks + gain * apart / (1 + (gain * size / 0.12) ** 2) ** 0.5
    # A caricaturist's habits: larger eyes and mouth, a narrower jaw.
    for ids, grow in ((slice(36, 42), 1.32), (slice(42, 48), 1.32), (slice(48, 68), 1.15), (slice(27, 36), 1.12)):
        heart = moved[ids].mean(axis=0)
        moved[ids] = heart + (moved[ids] - heart) * grow
    return np.asarray(moved)


def warp(photo: Array, portrait: Portrait, target: Points) -> tuple[Array, Portrait]:
    """Move the face's landmarks to `target` [68, 2] by a thin-plate spline that holds the picture's border."""
    height, width = portrait.shape
    border = np.array(
        [(x, y) for x in (0.0, 0.33, 0.67, 1.0) for y in (0.0, 0.33, 0.67, 1.0) if x in (0, 1) or y in (0, 1)]
    )
    border = border * np.array([width - 1, height - 1])
    source = np.concatenate([portrait.landmarks68, border])
    goal = np.concatenate([target, border])
    spline = RBFInterpolator(goal / height, (source - goal) / height, kernel="thin_plate_spline", smoothing=2e-4)
    step = max(1, round(8 * portrait.scale))
    rows, columns = np.mgrid[0 : height + step : step, 0 : width + step : step]
    coarse = spline(np.stack([columns.ravel(), rows.ravel()], axis=1) / height).reshape(*rows.shape, 2) * height
    grid = np.mgrid[:height, :width].astype(np.float32) / step
    right, down = (_at_grid(coarse[..., k].astype(np.float32), grid) for k in range(2))
    moved = [shift(part, right, down) for part in (photo, portrait.person, portrait.hair, portrait.face)]
    return moved[0], Portrait(target, *moved[1:])


def _at_grid(coarse: Array, grid: Array) -> Array:
    """Read a coarse field bilinearly at grid positions [2, H, W]."""
    return np.asarray(ndimage.map_coordinates(coarse, grid, order=1, mode="nearest"), np.float32)


def caricature(photo: Array, portrait: Portrait, rng: np.random.Generator) -> Array:
    """Exaggerate the face, then paint it brightly: smooth brush strokes, dark contours, rim light, teal backdrop."""
    photo, portrait = warp(photo, portrait, exaggerated(portrait.landmarks68, gain=1.7))
    study = make_study(photo, portrait, rng, radius_px=8.0, strands=1.8)
    scale, shape = study.scale, study.shape
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    reach = np.hypot((columns / shape[1] - 0.5), rows / shape[0] - 0.42) + 0.05 * cloud(shape, 80 * scale, rng)
    backdrop = mix(plain(shape, colour(176, 214, 196)), plain(shape, colour(38, 112, 122)), soft_step(reach, 0.42, 0.6))
    rich = saturate(study.picture, 1.4)
    depth = blur(portrait.depth(), 6 * scale)
    down, right = np.gradient(depth)
    slope = np.hypot(down, right)
    side = np.clip(-(right * 0.8 + down * 0.6) / (slope + 0.3), -1, 1) * soft_step(slope, 0.9, 1.2)
    lit_side = mix(rich, np.clip(rich * 1.18 + colour(40, 26, 8), 0, 1), 0.5 * np.clip(side, 0, 1))
    lit_side = mix(lit_side, rich * 0.72 + 0.28 * colour(40, 74, 110), 0.5 * np.clip(-side, 0, 1))
    reference = np.clip(mix(backdrop, lit_side, study.person), 0, 1)
    canvas = np.ascontiguousarray(blur(reference, 14 * scale))
    relief = np.zeros(shape, np.float32)
    layers = ((22.0, 200.0, 0.0), (10.0, 120.0, 0.10), (5.0, 60.0, 0.12), (2.4, 30.0, 0.16))
    brush = Brush(opacity=0.85, bristle=0.2, dry=0.15, streak=0.05, soft=0.5, taper=0.2)
    paint_layers(reference, study, layers, brush, rng, canvas, relief, jitter=0.03)
    out = mix(canvas, reference, 0.65 * portrait.features())
    line = lines(study.tone, study.flow, width_px=2.4 * scale, length_px=12 * scale, threshold=0.022, softness=0.022)
    ink = np.maximum(line * study.person * (1 - 0.6 * study.clothes), outline(study, 3.0))
    out = mix(out, out * colour(70, 40, 44), 0.85 * soft_step(blur(ink, 0.7 * scale), 0.35, 0.5))
    return bound(out * (0.985 + 0.03 * paper(shape, rng, scale=scale))[..., None])
