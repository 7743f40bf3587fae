"""Frechet distance: closed forms on Gaussians, singular covariances, invariances, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.metrics.artfid import artfid
from core.metrics.fid import feature_rows
from core.metrics.frechet import frechet_distance


def rows(count: int, features: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, features))


def with_moments(mean: np.ndarray, covariance: np.ndarray, count: int = 50, seed: int = 0) -> np.ndarray:
    """Rows whose sample mean and covariance are exactly these."""
    noise = rows(count, len(mean), seed)
    noise -= noise.mean(axis=0)
    whitened = noise @ np.linalg.inv(np.linalg.cholesky(np.atleast_2d(np.cov(noise, rowvar=False)))).T
    return whitened @ np.linalg.cholesky(covariance).T + mean


def from_moments(mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray) -> float:
    """The distance from means [D] and covariances [D, D]: roots of the eigenvalues of `root_a @ cov_b @ root_a`."""
    values, vectors = np.linalg.eigh(cov_a)
    root_a = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    root = np.sqrt(np.linalg.eigvalsh(root_a @ cov_b @ root_a).clip(min=0)).sum()
    return float(((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * root)


def test_one_feature_in_closed_form() -> None:
    """(3 - 1)^2 + (5 - 2)^2 = 13 for means 1, 3 and deviations 2, 5."""
    a = with_moments(np.array([1.0]), np.array([[4.0]]))
    b = with_moments(np.array([3.0]), np.array([[25.0]]), seed=1)
    assert frechet_distance(a, b) == pytest.approx(13.0)
    moments = np.array([1.0]), np.array([[4.0]]), np.array([3.0]), np.array([[25.0]])
    assert from_moments(*moments) == pytest.approx(13.0)


def test_commuting_and_other_covariances_in_closed_form() -> None:
    """Diagonal: sum of squared differences of deviations. In two dimensions tr (AB)^(1/2) is in closed form."""
    mean = np.array([0.0, 1.0, -2.0])
    deviations = np.array([1.0, 2.0, 3.0]), np.array([4.0, 2.0, 0.5])
    a, b = (with_moments(mean, np.diag(part**2), seed=seed) for seed, part in enumerate(deviations))
    expected = ((deviations[0] - deviations[1]) ** 2).sum()
    assert frechet_distance(a, b + np.array([2, 0, 0])) == pytest.approx(expected + 4)

    first, second = np.array([[2.0, 0.6], [0.6, 1.0]]), np.array([[1.0, -0.3], [-0.3, 3.0]])
    product = first @ second
    root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    expected = np.trace(first) + np.trace(second) - 2 * root
    zero = np.zeros(2)
    assert frechet_distance(with_moments(zero, first), with_moments(zero, second, seed=1)) == pytest.approx(expected)
    assert from_moments(zero, first, zero, second) == pytest.approx(expected)


@pytest.mark.parametrize(("count_a", "count_b", "features"), [(5, 7, 40), (2, 30, 64), (60, 6, 20), (90, 80, 12)])
def test_rows_and_moments_agree_at_any_rank(count_a: int, count_b: int, features: int) -> None:
    a, b = rows(count_a, features), rows(count_b, features, 1) * 1.5 + 0.3
    moments = [(part.mean(axis=0), np.cov(part, rowvar=False)) for part in (a, b)]
    by_moments = from_moments(*moments[0], *moments[1])
    assert frechet_distance(a, b) == pytest.approx(by_moments, rel=1e-6)
    assert frechet_distance(b, a) == pytest.approx(by_moments, rel=1e-6)


def test_against_the_matrix_root_where_that_exists() -> None:
    """SciPy's root of the product, which public programs take, for covariances of full rank."""
    linalg = pytest.importorskip("scipy.linalg")
    a, b = rows(200, 16), rows(150, 16, 1) @ rows(16, 16, 2) / 4 + 0.2
    root = linalg.sqrtm(np.cov(a, rowvar=False) @ np.cov(b, rowvar=False)).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + a.var(0, ddof=1).sum() + b.var(0, ddof=1).sum()
    assert frechet_distance(a, b) == pytest.approx(expected - 2 * np.trace(root), rel=1e-9)


def test_singular_sets_in_closed_form() -> None:
    """Two pairs of points on orthogonal lines: no overlap of covariances, so the spreads add up."""
    a, b = np.zeros((2, 2048)), np.zeros((2, 2048))
    a[:, 3], b[:, 700] = (1, -1), (3, -3)
    assert frechet_distance(a, b) == pytest.approx(2 + 18)
    c = np.zeros((2, 2048))
    c[:, 3] = (4, -4)
    assert frechet_distance(a, c) == pytest.approx((np.sqrt(2) - np.sqrt(32)) ** 2)


def test_invariances() -> None:
    a, b = rows(9, 30), rows(14, 30, 1) + 1
    value = frechet_distance(a, b)
    assert value > 1
    assert frechet_distance(a[::-1], np.roll(b, 4, axis=0)) == pytest.approx(value)
    assert frechet_distance(a + 100, b + 100) == pytest.approx(value)
    turn = np.linalg.qr(rows(30, 30, 3))[0]
    assert frechet_distance(a @ turn, b @ turn) == pytest.approx(value)
    assert frechet_distance(3 * a, 3 * b) == pytest.approx(9 * value)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a + 2 * np.eye(30)[0]) == pytest.approx(4)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (rows(1, 4), rows(5, 4), "a must be"),
        (rows(5, 4), rows(5, 4)[0], "b must be"),
        (rows(5, 4), rows(5, 3), "4 and 3"),
        (rows(5, 4), np.full((5, 4), np.nan), "b holds values that are not finite"),
    ],
)
def test_refusals(a: np.ndarray, b: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        frechet_distance(a, b)


def test_sets_of_pictures() -> None:
    """A feature that is the picture's mean, of pictures of several sizes."""
    pictures = [torch.full((1, 3, side, side), level) for side, level in ((4, 0.0), (8, 1.0), (6, 2.0))]
    mean_level = lambda x: x.mean(dim=(1, 2, 3))[:, None].numpy()  # noqa: E731
    assert feature_rows(pictures, mean_level).tolist() == [[0.0], [1.0], [2.0]]
    with pytest.raises(ValueError, match="at least one"):
        feature_rows([], mean_level)


def test_artfid_is_the_product() -> None:
    assert artfid(0.5, 3.0) == 6.0
    assert artfid(0.0, 0.0) == 1.0
    for content, style in ((-0.1, 1.0), (0.5, float("nan"))):
        with pytest.raises(ValueError, match="not negative"):
            artfid(content, style)
