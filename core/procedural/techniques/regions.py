"""Regions of one colour: k-means palettes, rounded borders, mean colours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.cluster.vq import kmeans2, vq
from skimage.color import lab2rgb, rgb2lab

from core.procedural.techniques.fields import Array, blur, bound

Labels = npt.NDArray[np.int64]


def cluster(
    picture: Array, inside: npt.NDArray[np.bool_], *, count: int, rng: np.random.Generator
) -> tuple[Labels, Array]:
    """Reduce a picture to few colours by k-means in CIELAB (Lloyd 1982).

    Args:
        picture: [H, W, 3].
        inside: [H, W] bool, where colours are taken.
        count: number of colours.
        rng: chance.

    Returns:
        Labels [H, W] and the palette [count, 3].
    """
    lab = rgb2lab(picture).astype(np.float32) * np.array([1.0, 1.25, 1.0], np.float32)
    pixels = lab[inside]
    sample = pixels[rng.integers(0, len(pixels), 6000)] if len(pixels) else lab.reshape(-1, 3)
    codes, _ = kmeans2(sample, count, minit="++", rng=rng, iter=20)
    labels, _ = vq(lab.reshape(-1, 3), codes)
    palette = lab2rgb((codes / np.array([1.0, 1.25, 1.0]))[None])[0]
    return labels.reshape(picture.shape[:2]).astype(np.int64), bound(palette)


def smooth_labels(labels: Labels, sigma_px: float) -> Labels:
    """Round the borders of labels [H, W]: each pixel joins the label that is most frequent around it."""
    best = np.full(labels.shape, -1.0, np.float32)
    out = labels.copy()
    for index in np.unique(labels):
        share = blur((labels == index).astype(np.float32), sigma_px)
        better = share > best
        out[better] = index
        best[better] = share[better]
    return out


def means(picture: Array, labels: Labels) -> Array:
    """Return the mean colour [N, 3] of each label 0 to N - 1."""
    count = int(labels.max()) + 1
    size = np.maximum(np.bincount(labels.ravel(), minlength=count), 1)
    sums = [np.bincount(labels.ravel(), c.ravel(), minlength=count) for c in np.moveaxis(picture, -1, 0)]
    return (np.stack(sums, axis=-1) / size[:, None]).astype(np.float32)


def borders(labels: Labels) -> npt.NDArray[np.bool_]:
    """Mark pixels [H, W] whose left or upper neighbour has another label."""
    out = np.zeros(labels.shape, bool)
    out[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    out[1:] |= labels[1:] != labels[:-1]
    return out
