"""Curved brush strokes: where they run, and how they are laid down.

Strokes are traced along a direction field until the colour beneath leaves theirs (Hertzmann 1998, section 2.2) and are
laid one over the other with bristles, tapering ends, paper tooth and relief.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from core.procedural.techniques.fields import Array, noise, uniform

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Strokes:
    """Polylines, drawn in their order.

    Attributes:
        points: [N, L, 2] (right, down) pixels.
        counts: [N] points in use.
        radii: [N] half widths, pixels.
        colours: [N, 3].
    """

    points: Array
    counts: Ints
    radii: Array
    colours: Array

    def __len__(self) -> int:
        return len(self.counts)

    def ordered(self, keys: npt.NDArray[np.float64] | Array) -> Strokes:
        """Return the strokes sorted by keys [N], the least first."""
        order = np.argsort(keys, kind="stable")
        return Strokes(self.points[order], self.counts[order], self.radii[order], self.colours[order])

    def coloured(self, colours: Array) -> Strokes:
        """Return the strokes in other colours [N, 3]."""
        return Strokes(self.points, self.counts, self.radii, colours)


@dataclass(frozen=True)
class Brush:
    """How strokes leave paint.

    Attributes:
        opacity: of full paint.
        bristle: how much bristles thin the paint, 0 to 1.
        dry: how much of the paint is gone at the stroke's end, 0 to 1.
        tooth: how much only the paper's bumps take paint, 0 to 1.
        soft: width of the stroke's soft rim as a share of its radius.
        streak: how much bristles change the colour's lightness.
        taper: share of the length over which both ends narrow, 0 to 0.5.
    """

    opacity: float = 1.0
    bristle: float = 0.3
    dry: float = 0.3
    tooth: float = 0.0
    soft: float = 0.25
    streak: float = 0.08
    taper: float = 0.15


_BEND = 0.6  # how readily a stroke turns, 0 to 1


@njit(nogil=True, cache=True)
def _trace(
    seeds: Array,
    tangents: Array,
    reference: Array,
    steps: int,
    step: float,
    tolerance: float,
    bend: float,
    out: Array,
    counts: Ints,
) -> None:  # pragma: no cover - compiled
    height, width = tangents.shape[0], tangents.shape[1]
    half = steps // 2
    walk = np.zeros((2, half + 1, 2), np.float32)
    for n in range(seeds.shape[0]):
        r0, c0 = int(seeds[n, 1]), int(seeds[n, 0])
        lengths = [0, 0]
        for side in range(2):
            x, y = seeds[n, 0], seeds[n, 1]
            sign = 1.0 if side == 0 else -1.0
            dx, dy = sign * tangents[r0, c0, 0], sign * tangents[r0, c0, 1]
            for k in range(half):
                x += dx * step
                y += dy * step
                if x < 0 or y < 0 or x >= width - 1 or y >= height - 1:
                    break
                j, i = int(x), int(y)
                away = 0.0
                for c in range(3):
                    away += abs(reference[i, j, c] - reference[r0, c0, c])
                if away > tolerance:
                    break
                walk[side, k, 0] = x
                walk[side, k, 1] = y
                lengths[side] = k + 1
                tx, ty = tangents[i, j, 0], tangents[i, j, 1]
                if tx * dx + ty * dy < 0:
                    tx, ty = -tx, -ty
                dx, dy = bend * tx + (1 - bend) * dx, bend * ty + (1 - bend) * dy
                norm = max(1e-6, (dx * dx + dy * dy) ** 0.5)
                dx, dy = dx / norm, dy / norm
        m = 0
        for k in range(lengths[1] - 1, -1, -1):
            out[n, m] = walk[1, k]
            m += 1
        out[n, m, 0], out[n, m, 1] = seeds[n, 0], seeds[n, 1]
        m += 1
        for k in range(lengths[0]):
            out[n, m] = walk[0, k]
            m += 1
        counts[n] = m


def trace(
    seeds: Array,
    tangents: Array,
    reference: Array,
    *,
    length_px: float,
    step_px: float,
    radii: Array,
    tolerance: float = 0.3,
) -> Strokes:
    """Trace strokes both ways from seeds; each has the reference's colour at its seed.

    Args:
        seeds: [N, 2] (right, down) pixels.
        tangents: [H, W, 2].
        reference: [H, W, 3].
        length_px: greatest length.
        step_px: of the polyline.
        radii: [N] half widths.
        tolerance: sum of channel differences at which a stroke ends.
    """
    steps = max(2, round(length_px / step_px))
    points = np.zeros((len(seeds), steps + 2, 2), np.float32)
    counts = np.zeros(len(seeds), np.int64)
    place = seeds.astype(np.float32)
    _trace(
        place,
        np.ascontiguousarray(tangents, np.float32),
        np.ascontiguousarray(reference, np.float32),
        steps,
        step_px,
        tolerance,
        _BEND,
        points,
        counts,
    )
    colours = reference[place[:, 1].astype(int), place[:, 0].astype(int)].astype(np.float32)
    return Strokes(points, counts, radii.astype(np.float32), colours)


@njit(nogil=True, cache=True)
def _lay(
    canvas: Array,
    relief: Array,
    tooth: Array,
    bristles: Array,
    points: Array,
    counts: Ints,
    radii: Array,
    colours: Array,
    offsets: Ints,
    settings: Array,
) -> None:  # pragma: no cover - compiled
    opacity, bristle, dry, toothed, soft, streak, taper = settings
    height, width = canvas.shape[0], canvas.shape[1]
    near = np.full((height, width), 1e9, np.float32)
    along = np.zeros((height, width), np.float32)
    across = np.zeros((height, width), np.float32)
    rows, columns = bristles.shape
    for n in range(counts.shape[0]):
        m, radius = counts[n], radii[n]
        if m < 2:
            continue
        x0, y0, x1, y1 = width, height, 0, 0
        total = 0.0
        for k in range(1, m):
            total += (
                (points[n, k, 0] - points[n, k - 1, 0]) ** 2 + (points[n, k, 1] - points[n, k - 1, 1]) ** 2
            ) ** 0.5
        run = 0.0
        for k in range(1, m):
            ax, ay, bx, by = points[n, k - 1, 0], points[n, k - 1, 1], points[n, k, 0], points[n, k, 1]
            ux, uy = bx - ax, by - ay
            length = (ux * ux + uy * uy) ** 0.5
            if length < 1e-6:
                continue
            ux, uy = ux / length, uy / length
            left, right = max(0, int(min(ax, bx) - radius - 1)), min(width - 1, int(max(ax, bx) + radius + 2))
            top, bottom = max(0, int(min(ay, by) - radius - 1)), min(height - 1, int(max(ay, by) + radius + 2))
            x0, x1, y0, y1 = min(x0, left), max(x1, right), min(y0, top), max(y1, bottom)
            for i in range(top, bottom + 1):
                for j in range(left, right + 1):
                    px, py = j - ax, i - ay
                    u = px * ux + py * uy
                    v = -px * uy + py * ux
                    over = 0.0
                    if u < 0:
                        over, u = -u, 0.0
                    elif u > length:
                        over, u = u - length, length
                    d = (v * v + over * over) ** 0.5
                    if d < near[i, j]:
                        near[i, j] = d
                        along[i, j] = run + u
                        across[i, j] = v
            run += length
        row0, column0 = offsets[n, 0], offsets[n, 1]
        for i in range(y0, y1 + 1):
            for j in range(x0, x1 + 1):
                d = near[i, j]
                if d > 1e8:
                    continue
                near[i, j] = 1e9
                t = along[i, j] / max(1e-6, total)
                wide = radius
                if taper > 0:
                    end = min(t, 1 - t) / taper
                    if end < 1:
                        wide = radius * (0.25 + 0.75 * end * (2 - end))
                rim = (wide - d) / max(0.8, soft * radius) + 0.5
                if rim <= 0:
                    continue
                cover = min(1.0, rim)
                b = bristles[
                    int(row0 + (across[i, j] / radius + 1) * 0.5 * min(48.0, 4 * radius)) % rows,
                    int(column0 + along[i, j]) % columns,
                ]
                thin = bristle * b + dry * t * (0.4 + 0.6 * b)
                cover *= min(1.0, max(0.0, (1 - thin) * 2.2 - 0.35)) if thin > 0 else 1.0
                if toothed > 0:
                    cover *= min(1.0, max(0.0, (tooth[i, j] - toothed * (0.35 + 0.5 * b)) * 5 + 0.5))
                a = cover * opacity
                if a <= 0.003:
                    continue
                tint = 1 + streak * (b - 0.5) * 2
                for c in range(3):
                    canvas[i, j, c] += a * (colours[n, c] * tint - canvas[i, j, c])
                ridge = 1 + 0.5 * min(1.0, max(0.0, d / wide)) - 0.9 * b
                relief[i, j] += a * (ridge * min(1.5, 0.3 + 0.05 * radius) + 0.35 * relief[i, j] - relief[i, j])


def bristle_texture(rng: np.random.Generator) -> Array:
    """Make [512, 1024] streaks along the rows, uniform in [0, 1], that tile."""
    return uniform(noise((512, 1024), 0.9, rng, stretch=40.0) + 0.7 * noise((512, 1024), 2.5, rng, stretch=25.0))


def lay(
    canvas: Array,
    strokes: Strokes,
    brush: Brush,
    rng: np.random.Generator,
    *,
    tooth: Array | None = None,
    relief: Array | None = None,
) -> None:
    """Lay strokes onto a canvas [H, W, 3], in place.

    Args:
        canvas: [H, W, 3], contiguous float32.
        strokes: in the order in which they are drawn.
        brush: how they leave paint.
        rng: chance, for bristles.
        tooth: [H, W] paper in [0, 1]; needed when the brush has tooth.
        relief: [H, W] height of the paint, changed in place.
    """
    empty = np.zeros((1, 1), np.float32)
    if tooth is None and brush.tooth > 0:
        raise ValueError("a brush with tooth needs paper")
    height = np.zeros(canvas.shape[:2], np.float32) if relief is None else relief
    offsets = np.stack([rng.integers(0, 512, len(strokes)), rng.integers(0, 1024, len(strokes))], axis=1).astype(
        np.int64
    )
    settings = np.array(
        [brush.opacity, brush.bristle, brush.dry, brush.tooth, brush.soft, brush.streak, brush.taper], np.float32
    )
    _lay(
        canvas,
        height,
        empty if tooth is None else tooth,
        bristle_texture(rng),
        strokes.points,
        strokes.counts,
        strokes.radii,
        strokes.colours,
        offsets,
        settings,
    )


def grid_seeds(shape: tuple[int, int], spacing_px: float, rng: np.random.Generator) -> Array:
    """Return jittered grid points [N, 2] (right, down) in random order."""
    rows, columns = np.mgrid[spacing_px / 2 : shape[0] : spacing_px, spacing_px / 2 : shape[1] : spacing_px]
    points = np.stack([columns.ravel(), rows.ravel()], axis=1)
    points += rng.uniform(-0.5, 0.5, points.shape) * spacing_px
    points = np.clip(points, 0, np.array([shape[1] - 1.01, shape[0] - 1.01]))
    return rng.permutation(points).astype(np.float32)


def read(values: Array, seeds: Array) -> Array:
    """Read a field [H, W] or [H, W, C] at points [N, 2]."""
    return np.asarray(values[seeds[:, 1].astype(int), seeds[:, 0].astype(int)], np.float32)
