"""The FFHQ square: its corners from 68 landmarks, and pictures sampled inside such a square.

Source: Karras et al. 2019 (StyleGAN), appendix A, and the public recreation script of the FFHQ data set, in the form
that e4e and JoJoGAN use (bilinear sampling at the final size). It is followed step by step, since generator and encoder
expect exactly this framing. Difference: only the part of the photo that is needed gets padded and reduced.

Coordinates: x to the right, y down, in the photo's pixels; whole numbers are pixel centres, so a photo that is W wide
reaches from -0.5 to W - 0.5.
"""
# scikit-image declares no types:
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import numpy as np
from PIL import Image
from skimage.filters import gaussian
from skimage.transform import ProjectiveTransform

Box = tuple[int, int, int, int]  # left, top, right, bottom in whole pixels, as PIL counts


def ffhq_quad(landmarks: np.ndarray) -> np.ndarray:
    """Find the FFHQ square of a face.

    Args:
        landmarks: [68, 2] float, iBUG 300-W order, in pixels of any picture.

    Returns:
        The square's corners [4, 2] (TL, BL, BR, TR) in the same pixels.

    Raises:
        ValueError: other shapes, values that are not finite, or eyes and mouth in one place.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise ValueError(f"ffhq_quad needs 68 finite points [68, 2], got {list(points.shape)}")
    left_eye, right_eye = points[36:42].mean(0), points[42:48].mean(0)
    eyes, mouth = (left_eye + right_eye) / 2, (points[48] + points[54]) / 2
    across, down = right_eye - left_eye, mouth - eyes
    half_x = across - _quarter_turn(down)
    length = np.hypot(*half_x)
    if length < 1e-6:
        raise ValueError("ffhq_quad needs eyes and mouth at different places, got one point")
    half_x *= max(2.0 * np.hypot(*across), 1.8 * np.hypot(*down)) / length
    half_y = _quarter_turn(half_x)
    centre = eyes + 0.1 * down
    return np.stack(
        [centre - half_x - half_y, centre - half_x + half_y, centre + half_x + half_y, centre + half_x - half_y]
    )


def box_quad(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Return the corners [4, 2] of an upright box given as PIL does, from pixel edges (0) to pixel edges (width)."""
    return np.array([[left, top], [left, bottom], [right, bottom], [right, top]], dtype=np.float64) - 0.5


def side_of(quad: np.ndarray) -> float:
    """Measure a quad's upper edge in pixels."""
    return float(np.hypot(*(quad[3] - quad[0])))


def warp_to_quad(image: Image.Image, quad: np.ndarray, size_px: int) -> Image.Image:
    """Sample what lies inside a quad as a square picture.

    What lies outside of the picture is filled with its blurred reflection that fades to the median colour.

    Args:
        image: RGB.
        quad: corners [4, 2] (TL, BL, BR, TR) in its pixels.
        size_px: side of the result.

    Raises:
        ValueError: another mode or shape, values that are not finite, or a quad or size below 1 px.
    """
    corners = np.asarray(quad, dtype=np.float64)
    if image.mode != "RGB":
        raise ValueError(f"warp_to_quad needs an RGB picture, got mode {image.mode!r}")
    if corners.shape != (4, 2) or not np.isfinite(corners).all():
        raise ValueError(f"warp_to_quad needs 4 finite corners [4, 2], got {list(corners.shape)}")
    side = side_of(corners)
    if side < 1 or size_px < 1:
        raise ValueError(f"warp_to_quad needs a quad and a size of at least 1 px, got {side:.3g} and {size_px}")
    image, corners = _cut_out(image, corners, side)
    shrink = int(side / size_px * 0.5)
    if shrink > 1:
        size = max(1, round(image.width / shrink)), max(1, round(image.height / shrink))
        corners = (corners + 0.5) * (np.array(size) / np.array(image.size)) - 0.5
        image = image.resize(size, Image.Resampling.LANCZOS)
        side /= shrink
    image, corners = _pad(image, corners, side)
    data = tuple((corners + 0.5).ravel())  # PIL counts from the pixels' outer corners
    return image.transform((size_px, size_px), Image.Transform.QUAD, data, Image.Resampling.BILINEAR)


def peek(grey: Image.Image, quad: np.ndarray, size_px: int) -> np.ndarray:
    """Sample a grey picture inside `quad`, roughly and quickly, mirrored at its edges: uint8 [size_px, size_px]."""
    low, high = np.floor(quad.min(0)).astype(int) - 2, np.ceil(quad.max(0)).astype(int) + 3
    columns, rows = (_mirrored(low[axis], high[axis], grey.size[axis]) for axis in (0, 1))
    region = Image.fromarray(np.asarray(grey)[np.ix_(rows, columns)])
    factor = max(1, int(side_of(quad) / size_px))
    region = region.reduce(factor)
    data = tuple(((quad - low + 0.5) / factor).ravel())
    return np.asarray(region.transform((size_px, size_px), Image.Transform.QUAD, data, Image.Resampling.BILINEAR))


def quad_to_square(quad: np.ndarray, side: float) -> ProjectiveTransform:
    """Return the projection that takes a quad [4, 2] (TL, BL, BR, TR) to the corners of a square from 0 to `side`.

    Raises:
        ValueError: the quad has no area.
    """
    square = side * np.array([[0, 0], [0, 1], [1, 1], [1, 0]], dtype=np.float64)
    projection: ProjectiveTransform = ProjectiveTransform.from_estimate(quad, square)
    if not projection:  # type: ignore[truthy-bool]  # a failed estimate is false, which no type declares
        raise ValueError(f"expected a quad with an area, got {np.asarray(quad).tolist()}")
    return projection


def from_crop(points: np.ndarray, quad: np.ndarray, size_px: int) -> np.ndarray:
    """Find the photo's points [N, 2] of points [N, 2] in a crop of `size_px` made from `quad`."""
    found: np.ndarray = quad_to_square(quad, size_px).inverse(np.asarray(points, dtype=np.float64) + 0.5)
    return found


def to_crop(points: np.ndarray, quad: np.ndarray, size_px: int) -> np.ndarray:
    """Find the points [N, 2] in a crop of `size_px` made from `quad` of the photo's points; undoes `from_crop`."""
    found: np.ndarray = quad_to_square(quad, size_px)(points) - 0.5
    return found


def blur(pixels: np.ndarray, sigma_px: float, *, mode: str) -> np.ndarray:
    """Blur [H, W, C] with a Gaussian; `mode` is SciPy's for what lies outside. Same type and range."""
    blurred: np.ndarray = gaussian(pixels, sigma_px, mode=mode, channel_axis=-1, preserve_range=True)
    return blurred


def _quarter_turn(vector: np.ndarray) -> np.ndarray:
    """Turn (x, y) by 90 degrees, from the right towards the bottom."""
    return np.array([-vector[1], vector[0]])


def _mirrored(low: int, high: int, length: int) -> np.ndarray:
    """Return the indices low..high-1 folded back and forth into 0..length-1."""
    index = np.arange(low, high) % (2 * length)
    return np.where(index < length, index, 2 * length - 1 - index)


def _margin(side: float) -> int:
    """Return how many pixels to keep around a quad, so that its edge is sampled from real neighbours."""
    return max(round(side * 0.1), 3)


def _cut_out(image: Image.Image, quad: np.ndarray, side: float) -> tuple[Image.Image, np.ndarray]:
    """Cut out the photo's part around the quad, and give the quad in its pixels."""
    margin, size = _margin(side), np.array(image.size)
    low = np.clip(np.floor(quad.min(0)).astype(int) - margin, 0, size - 1)
    high = np.clip(np.ceil(quad.max(0)).astype(int) + margin, low + 1, size)
    return image.crop((*low.tolist(), *high.tolist())), quad - low


def _pad(image: Image.Image, quad: np.ndarray, side: float) -> tuple[Image.Image, np.ndarray]:
    """Extend a picture that ends inside the quad by its reflection, the more blurred the further out."""
    margin, size = _margin(side), np.array(image.size)
    before = np.maximum(margin - np.floor(quad.min(0)).astype(int), 0)
    after = np.maximum(np.ceil(quad.max(0)).astype(int) + margin - size, 0)
    if max(*before, *after) <= margin - 4:
        return image, quad
    least = round(side * 0.3)
    before, after = np.maximum(before, least), np.maximum(after, least)
    widths = ((before[1], after[1]), (before[0], after[0]), (0, 0))
    pixels = np.asarray(image, dtype=np.float32)
    padded = np.pad(pixels, widths, mode="reflect" if min(size) > 1 else "edge")  # [H, W, 3]
    out_y, out_x = (_outsideness(padded.shape[axis], *widths[axis]) for axis in (0, 1))
    outside = np.maximum(out_y[:, None], out_x[None, :])[..., None]  # 0 at the picture's edge, 1 at the far end
    blurred = blur(padded, side * 0.02, mode="reflect")
    padded += (blurred - padded) * np.clip(3 * outside + 1, 0, 1)
    padded += (np.median(padded, axis=(0, 1)) - padded) * np.clip(outside, 0, 1)
    return Image.fromarray(np.clip(np.rint(padded), 0, 255).astype(np.uint8)), quad + before


def _outsideness(length: int, before: int, after: int) -> np.ndarray:
    """Say per pixel of a padded axis how far out it is: 1 at both ends, 0 where the picture begins, then below 0."""
    index = np.arange(length, dtype=np.float32)
    return np.maximum(1 - index / max(before, 1), 1 - (length - 1 - index) / max(after, 1))
