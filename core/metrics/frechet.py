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
    """Measure the distance of two sets of feature vectors; symmetric, 0 for equal sets, blind to the order of rows.

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
    shift = means[0] - means[1]
    return max(0.0, float(shift @ shift) + spread - 2 * float(root))  # rounding alone can leave a little below 0


def _shorten(rows: np.ndarray) -> np.ndarray:
    """Return at most D rows with the same `rows.T @ rows`: products keep their singular values, and get cheap."""
    return np.asarray(np.linalg.qr(rows, mode="r")) if len(rows) > rows.shape[1] else rows
