"""Style distance, protocol `gram_relative`: differences of Gram matrices (Gatys et al. 2016, Eq. 3) per layer.

Gatys et al. sum squared differences, so a few layers with large activations decide. Here every layer counts the same:
the Frobenius norm of the difference over the mean norm of the two matrices, then the mean over layers. Features come
from a callable, so any network serves. With SqueezeNet 1.1 features say that they were also a training loss of the
embedded backbone `mini`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import torch
from torch import Tensor

Features = Callable[[Tensor], Sequence[Tensor]]  # [B, 3, H, W] in [-1, 1] -> one [B, C, h, w] per layer


def gram_matrix(features: Tensor) -> Tensor:
    """Average the outer products of positions' features [B, C, h, w]: [B, C, C] float32."""
    if features.ndim != 4:
        raise ValueError(f"expected [B, C, h, w], got {list(features.shape)}")
    flat = features.float().flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def gram_distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """Measure the relative distance of two pictures' Gram matrices: symmetric, 0 for equal ones, at most 2.

    Args:
        a, b: one [1, C, C] per layer, from `gram_matrix`; the same layers in both, else `ValueError`.
    """
    shapes = [[list(gram.shape) for gram in grams] for grams in (a, b)]
    if shapes[0] != shapes[1] or not a:
        raise ValueError(f"expected Gram matrices of the same layers, got {shapes[0]} and {shapes[1]}")
    layers = [
        (gram_a - gram_b).norm() / ((gram_a.norm() + gram_b.norm()) / 2).clamp_min(1e-12)
        for gram_a, gram_b in zip(a, b, strict=True)
    ]
    return float(torch.stack(layers).mean())


@torch.no_grad()
def picture_grams(picture: Tensor, features: Features) -> list[Tensor]:
    """Compute one picture's Gram matrices ([1, 3, H, W] in [-1, 1]): one [1, C, C] per layer."""
    if picture.ndim != 4 or picture.shape[:2] != (1, 3):
        raise ValueError(f"expected one picture [1, 3, H, W], got {list(picture.shape)}")
    return [gram_matrix(layer) for layer in features(picture)]


def mean_gram_distance(grams: Sequence[Tensor], references: Sequence[Sequence[Tensor]]) -> float:
    """Average `gram_distance` from one picture's matrices to each reference's; `ValueError` without references."""
    if not references:
        raise ValueError("mean_gram_distance needs at least one reference")
    return sum(gram_distance(grams, other) for other in references) / len(references)


def style_gap_closed(result: Tensor, photo: Tensor, references: Sequence[Tensor], features: Features) -> float:
    """Measure which share of the style distance between a photo and the references the result has closed.

    `(d_photo - d_result) / (d_photo - d_refs)`, with `d_x` the mean distance of x to the references and `d_refs` the
    mean distance of the references among themselves (0 for a single one). 0: still a photo, 1: as near to the
    references as they are to each other; more than 1 is possible.

    Raises:
        ValueError: when the photo is no farther from the references than they are from each other.
    """
    if not references:
        raise ValueError("style_gap_closed needs at least one reference")
    grams = [picture_grams(reference, features) for reference in references]
    pairs = [gram_distance(a, b) for a, b in combinations(grams, 2)]
    among = sum(pairs) / len(pairs) if pairs else 0.0
    of_photo = mean_gram_distance(picture_grams(photo, features), grams)
    if of_photo <= among:
        raise ValueError(
            f"no style gap: the photo is {of_photo:.3f} from the references, they differ by {among:.3f} themselves"
        )
    of_result = mean_gram_distance(picture_grams(result, features), grams)
    return (of_photo - of_result) / (of_photo - among)
