"""Identity, protocol `cosine112`: cosine of face-recognition embeddings of 112 px crops with fixed eye positions.

The crop is the usual one of ArcFace-style recognisers (Deng et al. 2019), from the two eye centres alone. The embedding
is a callable, so any recogniser serves; `core.metrics.own_networks` reads one from an ONNX file. Photo-trained
recognisers see strong stylizations poorly: compare methods by it, do not read it as a probability.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image

CROP_PX = 112
CROP_EYES = ((38.3, 51.7), (73.5, 51.5))  # x, y of the eye centres in the crop; picture's left eye first
FFHQ_EYES = ((0.3777, 0.4740), (0.6223, 0.4740))  # shares of an FFHQ crop's side; mean over 3,100 aligned faces

Eyes = tuple[tuple[float, float], tuple[float, float]]
Embedding = Callable[[Image.Image], np.ndarray]  # 112 px RGB -> [D]


def ffhq_eyes(side_px: int) -> Eyes:
    """Return the mean eye centres of an FFHQ crop of that side, in its pixels; picture's left eye first."""
    (left_x, left_y), (right_x, right_y) = FFHQ_EYES
    return (left_x * side_px, left_y * side_px), (right_x * side_px, right_y * side_px)


def eye_centres(landmarks: np.ndarray) -> Eyes:
    """Average landmarks 36-41 and 42-47 ([68, 2], x and y in pixels); picture's left eye first."""
    if landmarks.shape != (68, 2):
        raise ValueError(f"expected [68, 2] landmarks, got {landmarks.shape}")
    left, right = landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)
    return (float(left[0]), float(left[1])), (float(right[0]), float(right[1]))


def similarity_crop(image: Image.Image, eyes: Eyes) -> Image.Image:
    """Turn, scale and shift a picture so that its eyes meet `CROP_EYES`.

    Args:
        image: RGB picture of any size.
        eyes: eye centres in its pixels (x, y; pixel centres at .5), picture's left eye first; 1 px apart or more.

    Returns:
        112 px RGB. It is drawn at a whole multiple and box-averaged, so that reducing does not alias. Outside of the
        picture is black.

    Raises:
        ValueError: when the eyes coincide.
    """
    source = [complex(*eye) for eye in eyes]
    target = [complex(*eye) for eye in CROP_EYES]
    if abs(source[1] - source[0]) < 1:
        raise ValueError(f"the eyes must be 1 px apart or more, got {eyes}")
    turn = (source[1] - source[0]) / (target[1] - target[0])  # crop -> picture: a complex factor turns and scales
    shift = source[0] - turn * target[0]
    factor = max(1, math.ceil(abs(turn)))
    fine = turn / factor
    coefficients = (fine.real, -fine.imag, shift.real, fine.imag, fine.real, shift.imag)
    side_px = CROP_PX * factor
    drawn = image.convert("RGB").transform(
        (side_px, side_px), Image.Transform.AFFINE, coefficients, resample=Image.Resampling.BICUBIC
    )
    return drawn.reduce(factor) if factor > 1 else drawn


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Compute the cosine of two embeddings [D], in [-1, 1]; `ValueError` for other shapes or a zero vector."""
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"expected two embeddings [D], got {a.shape} and {b.shape}")
    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    if norms == 0:
        raise ValueError("an embedding of zeros has no direction")
    return float(a @ b) / norms


def identity_similarity(a: Image.Image, b: Image.Image, eyes: Eyes, embed: Embedding) -> float:
    """Compare the faces of two pictures that share size and eye positions (a crop and what was made of it)."""
    if a.size != b.size:
        raise ValueError(f"the pictures differ in size: {a.size} and {b.size}")
    return cosine(embed(similarity_crop(a, eyes)), embed(similarity_crop(b, eyes)))
