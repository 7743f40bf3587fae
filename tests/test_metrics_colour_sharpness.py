"""Colour and sharpness protocols: closed forms and naive loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.metrics.colour import (
    colour_gap_closed,
    face_colour_distance,
    face_mask,
    mean_absolute_colour_error,
    mean_face_colour,
)
from core.metrics.sharpness import laplacian_deviation, sharpness_ratio


def flat(colour: tuple[int, int, int], side_px: int = 64) -> np.ndarray:
    return np.full((side_px, side_px, 3), colour, np.uint8)


def test_colour_error_of_flat_pictures() -> None:
    assert mean_absolute_colour_error(flat((10, 250, 0)), flat((250, 10, 3))) == pytest.approx((240 + 240 + 3) / 3)


def test_colour_error_equals_the_naive_loop() -> None:
    a, b = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)
    total = sum(abs(int(a[y, x, c]) - int(b[y, x, c])) for y in range(5) for x in range(4) for c in range(3))
    assert mean_absolute_colour_error(a, b) == pytest.approx(total / 60)


def test_face_mask_is_the_ellipse() -> None:
    mask = face_mask(512, 512)
    assert mask.mean() == pytest.approx(math.pi * 0.19 * 0.24, rel=0.01)
    assert mask[300, 256]
    assert not mask[300, 256 + 100]
    assert not mask[100, 256]


def test_face_colour_ignores_the_background() -> None:
    crop = flat((0, 0, 255), 128)
    crop[face_mask(128, 128)] = (200, 150, 120)
    assert mean_face_colour(crop).tolist() == [200, 150, 120]
    assert face_colour_distance(crop, flat((203, 154, 120), 64)) == pytest.approx(5)


def test_colour_gap_closed() -> None:
    start, target = flat((100, 100, 100)), flat((200, 100, 100))
    assert colour_gap_closed(flat((175, 100, 100)), start, target) == pytest.approx(0.75)
    assert colour_gap_closed(flat((80, 100, 100)), start, target) == pytest.approx(-0.2)
    with pytest.raises(ValueError, match="no gap"):
        colour_gap_closed(start, target, target)


def test_laplacian_of_one_dot() -> None:
    """One dot of height h among n inner pixels: values 4h once and -h four times, mean 0."""
    gray = np.zeros((9, 9))
    gray[4, 4] = 10
    assert laplacian_deviation(gray) == pytest.approx(math.sqrt((40**2 + 4 * 10**2) / 49))


def test_laplacian_equals_the_naive_loop_and_ignores_ramps() -> None:
    gray = np.random.default_rng(1).integers(0, 256, (8, 7)).astype(np.uint8)
    g = gray.astype(int)
    values = [
        4 * g[y, x] - g[y - 1, x] - g[y + 1, x] - g[y, x - 1] - g[y, x + 1] for y in range(1, 7) for x in range(1, 6)
    ]
    assert laplacian_deviation(gray) == pytest.approx(np.std(values))
    ramp = np.add.outer(np.arange(20) * 3, np.arange(20) * 5)
    assert laplacian_deviation(ramp) == 0


def test_sharpness_ratio() -> None:
    gray = np.random.default_rng(2).integers(0, 100, (16, 16))
    assert sharpness_ratio(gray // 1 * 2, gray) == pytest.approx(2)
    with pytest.raises(ValueError, match="differ"):
        sharpness_ratio(gray, gray[1:])


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)])
def test_other_colour_input_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        mean_absolute_colour_error(bad, bad)
    with pytest.raises(ValueError, match="uint8"):
        mean_face_colour(bad)


def test_other_grey_input_is_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        laplacian_deviation(np.zeros((2, 9)))
