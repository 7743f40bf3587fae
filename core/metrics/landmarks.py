"""Mean landmark distance, protocol `landmarks68_interocular`: how far a drawing moved the face's parts.

Mean over the 68 landmarks (iBUG 300-W order) of the distance between where a predictor sees them in two pictures of one
frame, over the distance of the outer eye corners in the first. The predictor is the caller's, on both pictures; it was
made for photos, so drawings in which it finds no face are counted, not guessed.
"""

from __future__ import annotations

import numpy as np

OUTER_CORNERS = (36, 45)


def landmark_distance(photo: np.ndarray, drawing: np.ndarray) -> float:
    """Measure in units of the photo's outer eye corners: 0 is unmoved; 0.05 is a twentieth of their distance.

    Args:
        photo, drawing: [68, 2] landmarks in pixels of one frame.

    Raises:
        ValueError: other shapes, values that are not finite, or eye corners that coincide.
    """
    for name, points in (("photo", photo), ("drawing", drawing)):
        if points.shape != (68, 2) or not np.isfinite(points).all():
            raise ValueError(f"{name} must be finite landmarks [68, 2], got {points.shape}")
    left, right = (photo[corner].astype(np.float64) for corner in OUTER_CORNERS)
    between = float(np.linalg.norm(right - left))
    if between == 0:
        raise ValueError("the photo's eye corners coincide, so there is no unit to measure in")
    return float(np.linalg.norm(photo.astype(np.float64) - drawing, axis=1).mean()) / between
