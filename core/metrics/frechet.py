"""Frechet distance of two sets of features, protocol `frechet` (Dowson and Landau 1982; as in FID, Heusel et al. 2017).

    |mean_a - mean_b|^2 + tr S_a + tr S_b - 2 tr (S_a S_b)^(1/2)          covariances S divided by N - 1

Public programs take a matrix root of S_a S_b, which is singular as soon as there are fewer pictures than features;
they then add to the diagonal or drop an imaginary part. No root of a singular matrix is taken here: with centred
features A [N_a, D] and B [N_b, D], each divided by sqrt(N - 1), the last trace is the sum of the singular values of
A B^T, for any rank. The distance of few pictures is biased upwards: compare sets of equal counts, and state them.
"""

from __future__ import annotations

import numpy as np


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Distance of two sets of feature vectors; symmetric, 0 for equal sets, blind to the order of rows.

    Args:
        a: [N_a, D]; two rows or more, finite.
        b: [N_b, D].

    Raises:
        ValueError: other shapes, fewer than two rows, or values that are not finite.
    """
    centred, means = [], []
    for name, features in (("a", a), ("b", b)):
        features = np.asarray(features, dtype=np.float64)
        if features.ndim != 2 or len(features) < 2:
            raise ValueError(f"{name} must be [N, D] with two rows or more, got {features.shape}")
        if not np.isfinite(features).all():
            raise ValueError(f"{name} holds values that are not finite")
        means.append(features.mean(axis=0))
        centred.append(_shorten((features - means[-1]) / np.sqrt(len(features) - 1)))
    if means[0].shape != means[1].shape:
        raise ValueError(f"the sets differ in features: {means[0].shape[0]} and {means[1].shape[0]}")
    root = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum()
    spread = sum(float((part**2).sum()) for part in centred)
    return _total(means[0] - means[1], spread, float(root))


def frechet_distance_of_moments(
    mean_a: np.ndarray, covariance_a: np.ndarray, mean_b: np.ndarray, covariance_b: np.ndarray
) -> float:
    """The same from means [D] and covariances [D, D] (symmetric, no negative eigenvalues), as files of statistics hold.

    The root of one covariance comes from its eigenvalues, negative rounding errors cut at 0; the trace is that of the
    roots of the eigenvalues of the symmetric product `root_a @ covariance_b @ root_a`.
    """
    for name, mean, covariance in (("a", mean_a, covariance_a), ("b", mean_b, covariance_b)):
        if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
            raise ValueError(f"{name} needs a mean [D] and a covariance [D, D], got {mean.shape}, {covariance.shape}")
        if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
            raise ValueError(f"{name} holds values that are not finite")
    if mean_a.shape != mean_b.shape:
        raise ValueError(f"the moments differ in features: {len(mean_a)} and {len(mean_b)}")
    values, vectors = np.linalg.eigh(covariance_a.astype(np.float64))
    root_a = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    product = root_a @ covariance_b.astype(np.float64) @ root_a
    root = np.sqrt(np.linalg.eigvalsh((product + product.T) / 2).clip(min=0)).sum()
    spread = float(np.trace(covariance_a) + np.trace(covariance_b))
    return _total(mean_a.astype(np.float64) - mean_b, spread, float(root))


def _shorten(rows: np.ndarray) -> np.ndarray:
    """At most D rows with the same `rows.T @ rows`: singular values of products stay, and large sets stay cheap."""
    return np.linalg.qr(rows, mode="r") if len(rows) > rows.shape[1] else rows


def _total(shift: np.ndarray, spread: float, root: float) -> float:
    return max(0.0, float(shift @ shift) + spread - 2 * root)  # rounding alone can leave a little below 0
