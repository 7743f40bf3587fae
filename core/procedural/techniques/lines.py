"""Line and dot in one or two inks: brush line, cross-hatching, scratchboard, stipple, woodcut."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from scipy import ndimage
from scipy.spatial import cKDTree

from core.procedural.techniques.fields import (
    Array,
    blur,
    bound,
    cloud,
    colour,
    mix,
    noise,
    paper,
    plain,
    soft_step,
    uniform,
)
from core.procedural.techniques.flow import edge_flow, lines, smooth_along
from core.procedural.techniques.portrait import Portrait
from core.procedural.techniques.study import Study, make_study


def outline(study: Study, width_px: float) -> Array:
    """Draw the person's silhouette: coverage [H, W] of a line `width_px` wide at 1024 px that swells and thins."""
    scale = study.scale
    edge = blur(study.person, 4 * scale)
    rows, columns = np.gradient(edge)
    away = np.abs(edge - 0.5) / (np.hypot(rows, columns) + 1e-4)
    slant = 0.7 + 0.5 * np.clip((columns - rows) / (np.hypot(rows, columns) + 1e-4), -1, 1)  # heavier below and right
    return soft_step(width_px * scale * slant - away, 0, 1.6)


def inked(study: Study, *, fine: float = 1.7, bold: float = 3.6, sensitive: float = 1.0) -> Array:
    """Draw the lines of a face [H, W]: fine where contrast is slight, bold where it is strong; few in clothes."""
    scale = study.scale
    length = 10 * scale
    light = lines(
        study.tone,
        study.flow,
        width_px=fine * scale,
        length_px=length,
        threshold=0.016 / sensitive,
        softness=0.014 / sensitive,
    )
    heavy = lines(study.tone, study.flow, width_px=bold * scale, length_px=length, threshold=0.035, softness=0.03)
    ink = np.maximum(light * (1 - 0.9 * study.clothes), heavy) * study.person
    return soft_step(blur(ink, 0.8 * scale), 0.42, 0.5)


def strands(study: Study, rng: np.random.Generator, *, width_px: float = 1.5, length_px: float = 34.0) -> Array:
    """Make streaks along the flow, uniform in [0, 1]: ink where they are below a tone follows hair."""
    scale = study.scale
    grain = noise(study.shape, width_px * scale + 0.2, rng)
    calm = edge_flow(study.picture, 7 * scale)
    return uniform(smooth_along(grain, calm.tangents, length_px * scale, step_px=1.5))


def hatching(
    study: Study,
    rng: np.random.Generator,
    *,
    angle: float,
    spacing_px: float,
    bulge: float,
    breaks: float = 0.5,
    wander: float = 2.0,
) -> tuple[Array, Array]:
    """Lay lines over the form: isolines of a slanted plane plus the head's depth (cf. Ostromoukhov 1999).

    Args:
        study: gives the depth.
        rng: chance.
        angle: of the lines, radians; 0 runs to the right, positive turns clockwise.
        spacing_px: between lines, at 1024 px.
        bulge: how much the depth bends lines; 0 keeps them straight.
        breaks: deviation of the width along a line, in shares of the spacing.
        wander: how far lines sway, pixels at 1024 px.

    Returns:
        [H, W] distance to the nearest line's middle as a share of half the spacing, less when the line is to be wider
        there; and [H, W] pixels for one unit of it.
    """
    scale, (height, width) = study.scale, study.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    spacing = spacing_px * scale
    depth = study.portrait.depth()
    across = -columns * math.sin(angle) + rows * math.cos(angle) - bulge * depth
    along = columns * math.cos(angle) + rows * math.sin(angle)
    across = (
        across
        + wander * scale * noise(study.shape, 60 * scale, rng)
        + 0.25 * wander * scale * noise(study.shape, 12 * scale, rng)
    )
    down, right = np.gradient(across)
    slope = np.clip(np.hypot(down, right), 0.4, 2.5)
    phase = across / spacing
    line = np.floor(phase)
    texture = ndimage.gaussian_filter1d(rng.standard_normal((1024, 256)).astype(np.float32), 1.6, axis=1, mode="wrap")
    texture /= texture.std()
    at = np.stack([np.mod(line, 1024), np.mod(along / (26 * scale) + 37 * np.mod(line, 7), 255)])
    wider = np.asarray(ndimage.map_coordinates(texture, at, order=1, mode="nearest"), np.float32)
    distance = np.abs(phase - line - 0.5) * 2
    return np.asarray(distance - breaks * 0.25 * wider, np.float32), np.asarray(spacing / (2 * slope), np.float32)


def stroke_cover(lines_at: tuple[Array, Array], share: Array) -> Array:
    """Ink [H, W] of hatching lines that cover `share` [H, W] of the paper, with smooth edges."""
    distance, pixels = lines_at
    return np.clip((share - distance) * pixels + 0.5, 0, 1) * soft_step(share, 0.06, 0.08)


def ink_line(photo: Array, portrait: Portrait, rng: np.random.Generator) -> Array:
    """Draw with a brush pen: lines of varying weight and spotted blacks on white."""
    study = make_study(photo, portrait, rng, radius_px=6.5, strands=2.2)
    scale, shape = study.scale, study.shape
    ink = inked(study, fine=1.9, bold=4.2, sensitive=1.45)
    tone = study.tone
    dark = soft_step(-blur(tone, 1.2 * scale), -0.17, 0.05) * study.person
    ink = np.maximum(ink, dark)
    hair = soft_step(study.locks, 0.5, 0.15)
    streaks = strands(study, rng, width_px=1.8)
    cut = np.clip(1.35 - 2.6 * tone, 0, 0.9)
    ink = np.maximum(ink, soft_step(cut - streaks, 0, 0.05) * hair)
    ink = np.maximum(ink, outline(study, 2.6))
    ink = soft_step(blur(ink, 1.1 * scale), 0.47, 0.3)
    return mix(plain(shape, colour(252, 251, 247)), plain(shape, colour(16, 16, 20)), ink)


def cross_hatching(photo: Array, portrait: Portrait, rng: np.random.Generator) -> Array:
    """Draw with a steel pen in iron-gall brown: up to four layers of lines along the form, by tone, on cream paper."""
    study = make_study(photo, portrait, rng, radius_px=6.5, strands=1.5)
    scale, shape = study.scale, study.shape
    fade = soft_step(blur(study.portrait.person, 6 * scale), 0.5, 0.4)
    dark = np.clip(1.08 - study.tone * 1.12, 0, 1) * fade
    hair = study.locks
    cover = np.zeros(shape, np.float32)
    for angle, start, full in ((0.75, 0.22, 0.62), (-0.65, 0.46, 0.85), (0.08, 0.64, 1.0), (1.45, 0.8, 1.15)):
        field = hatching(study, rng, angle=angle, spacing_px=8.0, bulge=0.34, breaks=0.35, wander=1.6)
        share = np.clip((dark - start) / (full - start), 0, 1) * 0.5 * (1 - 0.85 * hair)
        share = share * soft_step(share, 0.03, 0.06)
        cover = 1 - (1 - cover) * (1 - 0.92 * stroke_cover(field, share))
    streaks = strands(study, rng, width_px=1.25, length_px=44)
    cover = np.maximum(cover, soft_step(np.clip(1.0 * dark, 0, 0.8) - streaks, 0, 0.08) * hair)
    cover = mix(cover, soft_step(-study.tone, -0.36, 0.16), portrait.openings())  # eyes are drawn, not hatched
    # A few slanted lines behind the shadow side set the head off.
    halo = soft_step(blur(study.portrait.person, 60 * scale), 0.16, 0.4) * (1 - fade)
    behind = hatching(study, rng, angle=0.75, spacing_px=9.5, bulge=0.0, breaks=0.8, wander=1.5)
    cover = np.maximum(
        cover, 0.85 * stroke_cover(behind, 0.34 * halo * soft_step(cloud(shape, 110 * scale, rng), -0.1, 0.8))
    )
    cover = np.maximum(cover, 0.95 * np.maximum(inked(study, fine=1.4, bold=2.6), outline(study, 1.5)))
    grain = paper(shape, rng, scale=scale)
    ink = colour(58, 36, 24)
    sheet = (
        plain(shape, colour(243, 233, 210)) * (0.97 + 0.04 * grain + 0.012 * cloud(shape, 160 * scale, rng))[..., None]
    )
    return bound(mix(sheet, plain(shape, ink), cover * (0.86 + 0.14 * grain)))


def scratchboard(photo: Array, portrait: Portrait, rng: np.random.Generator) -> Array:
    """Scratch white lines out of black: they follow the form and widen with the light."""
    study = make_study(photo, portrait, rng, radius_px=6.0, strands=1.4)
    scale, shape = study.scale, study.shape
    hair = study.locks
    light = np.clip(study.tone * 1.12 - 0.06, 0, 1) ** 1.1 * study.person
    first = hatching(study, rng, angle=0.06, spacing_px=7.5, bulge=0.5, breaks=0.3, wander=1.0)
    second = hatching(study, rng, angle=-0.8, spacing_px=7.5, bulge=0.3, breaks=0.3, wander=1.0)
    cover = stroke_cover(first, np.clip(light * 1.15 - 0.06, 0, 0.92) * (1 - 0.9 * hair))
    cross = stroke_cover(second, np.clip((light - 0.62) * 1.9, 0, 0.8) * (1 - hair))
    cover = 1 - (1 - cover) * (1 - cross)
    streaks = strands(study, rng, width_px=1.3, length_px=46)
    strand = soft_step(np.clip(light * 1.5 + 0.07 * study.person, 0, 0.85) - streaks, 0, 0.07) * hair
    cover = np.maximum(cover, strand)
    cover = mix(cover, soft_step(study.tone, 0.42, 0.2), portrait.openings())
    dark = lines(study.tone, study.flow, width_px=2.4 * scale, length_px=9 * scale, threshold=0.02, softness=0.02)
    cover = cover * (1 - 0.95 * dark)
    bright = lines(1 - study.tone, study.flow, width_px=1.8 * scale, length_px=9 * scale, threshold=0.02, softness=0.02)
    cover = np.maximum(cover, 0.9 * bright * study.portrait.features() * study.person)
    rim = outline(study, 1.3)
    cover = np.maximum(cover, rim)
    board = plain(shape, colour(17, 18, 21)) * (1 + 0.12 * noise(shape, 1.2 * scale, rng))[..., None]
    return bound(mix(board, plain(shape, colour(246, 243, 234)), cover))


@njit(nogil=True, cache=True)
def _discs(cover: Array, points: Array, radii: Array) -> None:  # pragma: no cover - compiled
    height, width = cover.shape
    for n in range(points.shape[0]):
        x, y, radius = points[n, 0], points[n, 1], radii[n]
        for i in range(max(0, int(y - radius - 1)), min(height, int(y + radius + 2))):
            for j in range(max(0, int(x - radius - 1)), min(width, int(x + radius + 2))):
                a = radius - ((i - y) ** 2 + (j - x) ** 2) ** 0.5 + 0.5
                if a > 0:
                    cover[i, j] = max(cover[i, j], min(1.0, a))


def voronoi_points(weight: Array, count: int, rng: np.random.Generator, *, rounds: int = 16) -> Array:
    """Spread points by a density: weighted Voronoi stippling (Secord 2002).

    Args:
        weight: [H, W] density, >= 0.
        count: number of points.
        rng: chance.
        rounds: of Lloyd's algorithm; each moves points to their cells' weighted centres.

    Returns:
        [N, 2] (right, down) in the field's pixels.
    """
    height, width = weight.shape
    total = np.cumsum(weight.ravel().astype(np.float64))
    picked = np.searchsorted(total, rng.uniform(0, total[-1], count))
    points = np.stack([picked % width, picked // width], axis=1) + rng.uniform(0, 1, (count, 2)) - 0.5
    rows, columns = np.mgrid[:height, :width]
    wet = weight.ravel() > 1e-4
    pixels = np.stack([columns.ravel()[wet], rows.ravel()[wet]], axis=1).astype(np.float64)
    mass = weight.ravel()[wet].astype(np.float64)
    for _ in range(rounds):
        owner = cKDTree(points).query(pixels)[1]
        sums = np.bincount(owner, mass, minlength=count)
        x = np.bincount(owner, mass * pixels[:, 0], minlength=count)
        y = np.bincount(owner, mass * pixels[:, 1], minlength=count)
        alive = sums > 0
        points = np.stack([x[alive] / sums[alive], y[alive] / sums[alive]], axis=1)
        count = len(points)
    return points.astype(np.float32)


def stipple(photo: Array, portrait: Portrait, rng: np.random.Generator) -> Array:
    """Set dots of indigo ink, evenly spread by tone, larger in the dark, on white paper."""
    study = make_study(photo, portrait, rng, radius_px=5.0, strands=1.8)
    scale, shape = study.scale, study.shape
    edge = inked(study, fine=1.6, bold=3.0)
    dark = np.clip(1.04 - study.tone * 1.06, 0, 1) ** 1.25
    dark = np.maximum(np.clip(dark, 0.025, 1), 0.95 * edge) * study.person
    dark = np.maximum(dark, 0.8 * outline(study, 1.6))
    halo = soft_step(blur(study.portrait.person, 50 * scale), 0.25, 0.5) * (1 - study.person)
    dark = np.maximum(dark, 0.05 * halo)
    half = max(1, round(2 * scale))
    coarse = dark[: shape[0] // half * half, : shape[1] // half * half]
    coarse = coarse.reshape(shape[0] // half, half, shape[1] // half, half).mean(axis=(1, 3))
    count = max(60, int(coarse.sum() * half * half / (23.0 * max(scale, 0.35) ** 2)))
    points = voronoi_points(coarse, count, rng) * half + (half - 1) / 2
    points = np.clip(points, 0, np.array([shape[1] - 1, shape[0] - 1], np.float32))
    at = points.astype(int)
    local = dark[at[:, 1], at[:, 0]]
    radii = (1.15 + 1.55 * local**0.8) * max(scale, 0.4) * rng.uniform(0.9, 1.1, len(points))
    cover = np.zeros(shape, np.float32)
    _discs(cover, points.astype(np.float32), radii.astype(np.float32))
    return mix(plain(shape, colour(250, 250, 248)), plain(shape, colour(26, 34, 84)), cover)
