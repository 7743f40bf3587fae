"""Assembled pictures: stained glass, mosaic."""

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
    bound,
    cloud,
    colour,
    lit,
    luma,
    mix,
    noise,
    plain,
    saturate,
    soft_step,
    uniform,
)
from core.procedural.techniques.flow import Flow, edge_flow
from core.procedural.techniques.lines import inked, voronoi_points
from core.procedural.techniques.portrait import Portrait
from core.procedural.techniques.regions import borders, means, smooth_labels
from core.procedural.techniques.study import Study, make_study


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
    fine = smooth_labels(fine, 4.0 * scale)
    # Panes behind the person have fixed numbers from 0, so that they don't depend on the person's.
    order = np.concatenate([np.arange(top + 1, top + 57), np.arange(top + 1)])
    fine = np.argsort(order)[fine]
    shades = means(study.picture, fine)
    outside = np.arange(len(shades)) < 56
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
    picks = rng.choice(len(jewels), 256, p=(0.28, 0.24, 0.2, 0.12, 0.08, 0.08))[: len(shades)]
    shades = saturate(shades[None], 1.75)[0]
    shades = np.clip(shades * 1.12 + 0.03 + rng.normal(0, 0.035, (256, 1))[: len(shades)], 0, 1)
    shades = np.where(outside[:, None], jewels[picks], shades).astype(np.float32)
    pane = shades[fine]
    turned = rng.uniform(0, 1, 256)[fine]
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
    edge, rim = borders(fine), borders(inside.astype(np.int64))
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
    return bound(mix(glass, metal, lead))


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
    holes, count = ndimage.label((owner < 0) | (near > 1.5))
    if count:  # a tile more in each larger gap
        areas = np.bincount(holes.ravel())[1:]
        middles = np.array(ndimage.center_of_mass(holes > 0, holes, np.arange(1, count + 1)))[:, ::-1]
        middles = middles[areas > 0.12 * float(size.mean()) ** 2].astype(np.float32)
        points = np.concatenate([points, np.clip(middles, 0, np.array(shape[::-1]) - 1).astype(np.float32)])
        at = points.astype(int)
        half = (0.5 * size[at[:, 1], at[:, 0]]).astype(np.float32)
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
    away = ndimage.distance_transform_edt(~borders(owner)).astype(np.float32)
    gap = np.minimum(shape_edge, away)
    tile = soft_step(gap, 1.0 * scale, 1.2 * max(0.6, scale)) * (owner >= 0)
    tilt = rng.normal(0, 0.05, (len(points), 2)).astype(np.float32)
    tilted = tilt[own, 0] * u + tilt[own, 1] * v
    bevel = lit(np.clip(gap, 0, 3 * scale) / scale, strength=0.5 * scale)
    sparkle = rng.normal(0, 1, len(points)).astype(np.float32)[own] * (1 - person) * 0.09
    glaze = 1 + tilted + 0.17 * bevel + sparkle + 0.025 * noise(shape, 1.2 * scale, rng)
    colour_of = tints[own].astype(np.float32) * glaze[..., None]
    grout = plain(shape, colour(58, 50, 44)) * (1 + 0.08 * noise(shape, 1.0 * scale + 0.2, rng))[..., None]
    return bound(mix(grout, colour_of, tile))


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
        near = np.asarray(tree.query(points, k=9)[1], np.int64)[:, 1:]
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
