"""Art-FID, protocol `artfid_formula`: (1 + content distance) * (1 + style distance) (Wright and Ommer 2022).

The authors take LPIPS between results and their photos, and the Frechet distance between results and artworks on an
Inception network that was trained on artworks. Here both numbers are the caller's, so a report names their protocols
beside the product; it compares with published Art-FIDs only when both are theirs.
"""

from __future__ import annotations

import math


def artfid(content: float, style: float) -> float:
    """Combine both distances; lower is better, 1 is least.

    Args:
        content: mean perceptual distance of results to their photos, not negative.
        style: Frechet distance of results to artworks, not negative.
    """
    if not (math.isfinite(content) and math.isfinite(style) and content >= 0 and style >= 0):
        raise ValueError(f"expected two distances, finite and not negative, got {content} and {style}")
    return (1 + content) * (1 + style)
