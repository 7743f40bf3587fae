"""Intervals over photos: bootstrap of a mean, and of a paired difference. Needs no torch.

A photo is drawn with replacement together with everything that was made of it, so differences between arms are paired.
The intervals say how much the photos matter; another training seed or another set of references is not in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.study.analysis.statistics import CONFIDENCE, RESAMPLES, expanded_percentile_interval

PROTOCOL = (
    f"{100 * CONFIDENCE:.0f} % expanded percentile bootstrap over photos (Hesterberg 2015), {RESAMPLES} resamples"
)


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % expanded percentile interval over photos.

    Attributes:
        mean: of the values that exist; None where there are none.
        low, high: None for fewer than two values.
        n: values that exist.
    """

    mean: float | None
    low: float | None
    high: float | None
    n: int


def bootstrap_mean(values: Sequence[float | None], *, seed: int = 0) -> Interval:
    """Mean and interval of the values that are not None."""
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    if not len(known):
        return Interval(None, None, None, 0)
    if len(known) == 1:
        return Interval(float(known[0]), None, None, 1)
    picks = np.random.default_rng(seed).integers(0, len(known), (RESAMPLES, len(known)))
    low, high = expanded_percentile_interval(known[picks].mean(axis=1), len(known))
    return Interval(float(known.mean()), float(low), float(high), len(known))


def paired_difference(a: Sequence[float | None], b: Sequence[float | None]) -> Interval:
    """Mean and interval of `a - b` over the photos that have both; `ValueError` for other lengths."""
    if len(a) != len(b):
        raise ValueError(f"expected values of the same photos, got {len(a)} and {len(b)}")
    both = [None if x is None or y is None else x - y for x, y in zip(a, b, strict=True)]
    return bootstrap_mean(both)
