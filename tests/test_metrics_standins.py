"""Measures that need no published weights: unit features, patches, landmarks, structure maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from core.metrics.landmarks import landmark_distance
from core.metrics.patches import MIN_SIDE_PX, PatchStyle, pyramid
from core.metrics.structure import structure_similarity
from core.metrics.units import pooled_features, unit_distance


def picture(side_px: int = 64, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, side_px, side_px, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_unit_distance_in_closed_form() -> None:
    """Two layers: one turned by a right angle everywhere (2), one with opposite vectors in half the places (4 / 2)."""
    along, across = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 7.0])
    a, b = torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)

    def features(x: Tensor) -> list[Tensor]:
        first = (along if x is a else across).view(1, 2, 1, 1).expand(1, 2, 4, 4)
        second = torch.ones(1, 5, 2, 2)
        if x is b:
            second[..., 0] *= -0.1
        return [first, second]

    assert unit_distance(a, b, features) == pytest.approx((2 + 2) / 2)
    assert unit_distance(a, a, features) == 0
    with pytest.raises(ValueError, match="one size"):
        unit_distance(a, torch.zeros(1, 3, 4, 4), features)


def test_pooled_features_average_positions() -> None:
    layer = torch.zeros(2, 2, 1, 2)
    layer[0, 0, 0], layer[1, :, 0, 0], layer[1, :, 0, 1] = torch.tensor([5.0, 9.0]), 2.0, -1.0
    rows = pooled_features(torch.zeros(2, 3, 4, 4), lambda x: [layer, torch.full((2, 3, 3, 3), 7.0)])
    assert rows.dtype == np.float64
    assert rows.tolist() == [[7, 0, 7, 7, 7], [0.5, 0.5, 7, 7, 7]]


def test_pyramid_adds_up_again() -> None:
    x = picture()
    levels = pyramid(x)
    assert [level.shape[-1] for level in levels] == [64, 32, 16, 8]
    back = levels[-1]
    for level in reversed(levels[:-1]):
        back = level + torch.nn.functional.interpolate(back, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(back, x)


def test_patches_tell_styles_apart() -> None:
    """Zero to itself, the same for the same seed; a shift in tone and a loss of grain both count."""
    x = picture()
    style = PatchStyle([x])
    assert style.distance(x) == 0
    assert style.distance(picture(seed=1)) < 0.35
    darker, smooth = x - 0.5, torch.nn.functional.avg_pool2d(x, 5, stride=1, padding=2)
    assert style.distance(picture(seed=1)) < style.distance(darker)
    assert style.distance(picture(seed=1)) < style.distance(smooth)
    assert style.distance(darker) == PatchStyle([x]).distance(darker)
    assert style.distance(darker) != PatchStyle([x], seed=9).distance(darker)
    several = PatchStyle([x, picture(seed=1), picture(80, seed=2)])
    assert several.distance(picture(seed=3)) < several.distance(darker)


def test_patches_shift_in_closed_form() -> None:
    """A grey offset moves only the coarsest level, and each sorted projection by offset times the direction's sum."""
    x = picture()
    style = PatchStyle([x])
    shift = (style._directions.sum(dim=1) * 0.25).abs().mean() / style._spread[-1]
    assert style.distance(x + 0.25) == pytest.approx(float(shift) / 4, rel=1e-3)


def test_patches_refuse() -> None:
    with pytest.raises(ValueError, match="at least one"):
        PatchStyle([])
    with pytest.raises(ValueError, match=str(MIN_SIDE_PX)):
        PatchStyle([picture(MIN_SIDE_PX - 1)])
    broken = picture()
    broken[0, 0, 5, 5] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        PatchStyle([picture()]).distance(broken)


STEP = np.array([3, 4])


def face_points() -> np.ndarray:
    points = np.random.default_rng(0).uniform(40, 200, (68, 2))
    points[36], points[45] = (80, 100), (160, 160)  # outer corners 100 px apart
    return points


def test_landmark_distance_in_closed_form() -> None:
    points = face_points()
    assert landmark_distance(points, points) == 0
    assert landmark_distance(points, points + STEP) == pytest.approx(0.05)
    moved = points.copy()
    moved[0] += [0, 34]
    assert landmark_distance(points, moved) == pytest.approx(34 / 68 / 100)
    assert landmark_distance(points * 4, (points + STEP) * 4) == pytest.approx(0.05)


def test_landmark_distance_refuses() -> None:
    points = face_points()
    with pytest.raises(ValueError, match="drawing"):
        landmark_distance(points, points[:5])
    with pytest.raises(ValueError, match="photo"):
        landmark_distance(np.full((68, 2), np.nan), points)
    points[45] = points[36]
    with pytest.raises(ValueError, match="coincide"):
        landmark_distance(points, points + 1)


def test_structure_similarity() -> None:
    rng = np.random.default_rng(0)
    mean, a, b = (rng.normal(size=(4, 32, 32)) for _ in range(3))
    assert structure_similarity(mean + a, mean + 2 * a, mean) == pytest.approx(1)
    assert structure_similarity(mean + a, mean - a, mean) == pytest.approx(-1)
    assert abs(structure_similarity(mean + a, mean + b, mean)) < 0.1
    outside = a.copy()
    outside[:, :4], outside[:, -2:] = 50, -50  # hair and collar do not count
    assert structure_similarity(mean + a, mean + outside, mean) == pytest.approx(1)
    with pytest.raises(ValueError, match="three maps"):
        structure_similarity(a, b[:2], mean)
