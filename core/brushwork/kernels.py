"""Compiled loops of patch search and palette: serial kernels without Python's lock, each for some rows of the picture.

numba's own threads are not used: its thread layers die in a forked worker, or when two threads of the app call them.
`core.threads.in_rows` shares the rows of one call over a few threads that end with it. Compiled code is kept in the
data folder.

Arrays have a margin of `RADIUS` pixels on each side, so that a patch around any pixel lies inside. Patches have four
channels: red, green, blue, and the luminance that guides.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

from core.config import data_dir

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
RADIUS = 2  # patches are 5 x 5
CHANNELS = 4
NEIGHBOURS = np.array(
    [(0, 0), *((dy * step, dx * step) for step in (1, 4) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx)],
    dtype=np.int32,
)


def _compiled(function: Kernel) -> Kernel:
    if "NUMBA_CACHE_DIR" not in os.environ:
        numba.config.CACHE_DIR = os.fspath(data_dir() / "numba")  # type: ignore[attr-defined]
    return cast(Kernel, numba.njit(nogil=True, cache=True, fastmath=True, boundscheck=False)(function))


@_compiled
def _patch_distance(a: np.ndarray, b: np.ndarray, ay: int, ax: int, by: int, bx: int, limit: np.float32) -> np.float32:
    """Sum the squared differences of two patches; stops once it exceeds `limit`."""
    total = np.float32(0.0)
    side = 2 * RADIUS + 1
    for row in range(side):
        for i in range(side * CHANNELS):
            d = a[ay + row, ax * CHANNELS + i] - b[by + row, bx * CHANNELS + i]
            total += d * d
        if total > limit:
            break
    return total


@_compiled
def refine(
    field: np.ndarray,
    out: np.ndarray,
    cost: np.ndarray,
    target: np.ndarray,
    guide: np.ndarray,
    reference: np.ndarray,
    own: np.ndarray,
    used: np.ndarray,
    window: int,
    first: int,
    last: int,
) -> None:
    """Look for a better source of each target pixel of the rows first..last: neighbours' sources, then a window.

    Args:
        field: [S, S, 2] int32 sources as they were; read only, so that the order of rows does not matter.
        out: [S, S, 2] int32 new sources.
        cost: [S, S] float32 their costs.
        target, reference: [S + 4, (S + 4) * 4] float32 patches' pixels.
        guide, own: [S, S, G] float32, compared at the patches' centres.
        used: [S, S] float32 what each source costs for being used often.
        window: half side of the last search; 0 for none.
        first, last: rows.
    """
    size = field.shape[0]
    sources = own.shape[0]
    count = guide.shape[2]
    for y in range(first, last):
        for x in range(size):
            best = np.float32(1e30)
            by, bx = field[y, x, 0], field[y, x, 1]
            centre_y, centre_x = by, bx
            total = NEIGHBOURS.shape[0] + (2 * window + 1) ** 2
            for k in range(total):
                if k < NEIGHBOURS.shape[0]:
                    ny, nx = y + NEIGHBOURS[k, 0], x + NEIGHBOURS[k, 1]
                    if ny < 0 or nx < 0 or ny >= size or nx >= size:
                        continue
                    sy, sx = field[ny, nx, 0] - NEIGHBOURS[k, 0], field[ny, nx, 1] - NEIGHBOURS[k, 1]
                else:
                    j = k - NEIGHBOURS.shape[0]
                    sy = centre_y + j // (2 * window + 1) - window
                    sx = centre_x + j % (2 * window + 1) - window
                if sy < 0 or sx < 0 or sy >= sources or sx >= sources:
                    continue
                if k > 0 and sy == by and sx == bx:
                    continue
                here = used[sy, sx]
                for c in range(count):
                    d = guide[y, x, c] - own[sy, sx, c]
                    here += d * d
                if here >= best:
                    continue
                here += _patch_distance(target, reference, y, x, sy, sx, best - here)
                if here < best:
                    best, by, bx = here, sy, sx
                    if k < NEIGHBOURS.shape[0]:
                        centre_y, centre_x = sy, sx
            out[y, x, 0], out[y, x, 1] = by, bx
            cost[y, x] = best


@_compiled
def vote(
    field: np.ndarray,
    weight: np.ndarray,
    reference: np.ndarray,
    out: np.ndarray,
    radius: int,
    first: int,
    last: int,
) -> None:
    """Average what overlapping patches say of each pixel of the rows first..last.

    Args:
        field: [S, S, 2] int32 sources.
        weight: [S, S] float32 how much each patch counts.
        reference: [S, S, C] float32 pictures to copy from.
        out: [S, S, C] float32 the result.
        radius: patches reach so far.
        first, last: rows.
    """
    size = field.shape[0]
    sources = reference.shape[0]
    channels = reference.shape[2]
    for y in range(first, last):
        for x in range(size):
            sums = np.zeros(channels, np.float32)
            whole = np.float32(1e-12)
            for dy in range(-radius, radius + 1):
                for dx in range(-radius, radius + 1):
                    ny, nx = y + dy, x + dx
                    if ny < 0 or nx < 0 or ny >= size or nx >= size:
                        continue
                    sy, sx = field[ny, nx, 0] - dy, field[ny, nx, 1] - dx
                    if sy < 0 or sx < 0 or sy >= sources or sx >= sources:
                        continue
                    share = weight[ny, nx]
                    whole += share
                    for c in range(channels):
                        sums[c] += share * reference[sy, sx, c]
            for c in range(channels):
                out[y, x, c] = sums[c] / whole


@_compiled
def match_values(
    band: np.ndarray,
    weights: np.ndarray,
    starts: np.ndarray,
    scales: np.ndarray,
    tables: np.ndarray,
    out: np.ndarray,
    first: int,
    last: int,
) -> None:
    """Send every value of the rows first..last through its regions' tables, and add the results to `out`.

    Args:
        band: [H, W, 3] float32 values.
        weights: [R, H, W] float32 share of each region.
        starts, scales: [R, 3] float32: a table's cell is (value - start) * scale; its ends go on straight.
        tables: [R, 3, N] float32 new values.
        out: [H, W, 3] float32.
        first, last: rows.
    """
    cells = tables.shape[2] - 1
    for y in range(first, last):
        for x in range(band.shape[1]):
            for r in range(weights.shape[0]):
                share = weights[r, y, x]
                if share <= np.float32(0.004):
                    continue
                for c in range(3):
                    value = band[y, x, c]
                    start, scale = starts[r, c], scales[r, c]
                    place = (value - start) * scale
                    if place <= 0:
                        new = tables[r, c, 0] + value - start
                    elif place >= cells:
                        new = tables[r, c, cells] + value - start - cells / scale
                    else:
                        i = int(place)
                        low = tables[r, c, i]
                        new = low + (place - i) * (tables[r, c, i + 1] - low)
                    out[y, x, c] += share * new


@_compiled
def lay_strips(
    lines: np.ndarray,
    ways: np.ndarray,
    cut: np.ndarray,
    cut_ways: np.ndarray,
    shift: np.ndarray,
    over: np.ndarray,
    fades: np.ndarray,
    step: np.float32,
    reference: np.ndarray,
    out: np.ndarray,
) -> None:
    """Copy strips of a reference along curved lines, and add them with their weights.

    Args:
        lines, ways: [K, N, 2] float32 where middle lines come to lie, and their unit directions; right, down.
        cut, cut_ways: [K, N, 2] float32 where they are in the reference.
        shift: [K, N, 3] float32 what is added to their colours.
        over: [K] float32 how much each counts.
        fades: [N, A] float32 how much each of its samples counts.
        step: between samples across a strip, in pixels.
        reference: [S, S, 3] float32.
        out: [H, H, 4] float32 sums of weighted colours, and of weights.
    """
    half = fades.shape[1] // 2
    height, width, size = out.shape[0], out.shape[1], reference.shape[0]
    for k in range(lines.shape[0]):
        for n in range(lines.shape[1]):
            for a in range(fades.shape[1]):
                aside = (a - half) * step
                x = int(lines[k, n, 0] - aside * ways[k, n, 1] + np.float32(0.5))
                y = int(lines[k, n, 1] + aside * ways[k, n, 0] + np.float32(0.5))
                if x < 0 or y < 0 or x >= width or y >= height:
                    continue
                u = min(max(cut[k, n, 0] - aside * cut_ways[k, n, 1], np.float32(0.0)), np.float32(size - 1.001))
                v = min(max(cut[k, n, 1] + aside * cut_ways[k, n, 0], np.float32(0.0)), np.float32(size - 1.001))
                column, row = int(u), int(v)
                right, down = u - column, v - row
                share = over[k] * fades[n, a]
                for c in range(3):
                    above = reference[row, column, c] * (1 - right) + reference[row, column + 1, c] * right
                    below = reference[row + 1, column, c] * (1 - right) + reference[row + 1, column + 1, c] * right
                    out[y, x, c] += share * (above * (1 - down) + below * down + shift[k, n, c])
                out[y, x, 3] += share
