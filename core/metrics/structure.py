"""Identity stand-in, protocol `mini_structure_cosine`: cosine of the embedded encoder's structure maps of two crops.

The encoder of the backbone `mini` reads who is drawn from the luminance and was trained to read the same from a photo
and from drawings of it. It is no face recogniser, and on `mini` the results are generated from the photo's own map: use
a recogniser where there is one, and compare methods by this, never people. The mean map of many faces is taken off
first, since all aligned faces share it; only the face ellipse counts.
"""

from __future__ import annotations

import numpy as np

from core.metrics.colour import face_mask
from core.metrics.identity import cosine

PROTOCOL = "mini_structure_cosine"


def structure_similarity(a: np.ndarray, b: np.ndarray, mean: np.ndarray) -> float:
    """Compute the cosine of two maps without their mean inside the face ellipse, in [-1, 1].

    Args:
        a, b: [C, h, w] structure maps of aligned crops.
        mean: [C, h, w], of many faces.
    """
    if a.ndim != 3 or not a.shape == b.shape == mean.shape:
        raise ValueError(f"expected three maps [C, h, w], got {a.shape}, {b.shape} and {mean.shape}")
    inside = face_mask(*a.shape[1:])
    return cosine((a - mean)[:, inside].ravel(), (b - mean)[:, inside].ravel())
