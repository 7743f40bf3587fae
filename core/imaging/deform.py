"""Thin-plate-spline warps between face layouts: NumPy for pictures, and a differentiable twin in torch.

Source: Bookstein 1989 (Principal warps), smoothed as in Wahba 1990: the spline minimises the squared distances at its
points plus `smoothing` times its bending energy. Geometric alignment of photo and style by such warps is the idea of
Wang et al. (real-time portrait stylization based on geometric alignment).

A warp takes positions of the *result* to positions of the source, as sampling needs it. Positions are shares of the
side, from the left and upper edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import map_coordinates

from core.imaging.layout import FaceLayout

SMOOTHING = 4e-4  # of the side squared, about 10 px at 512 px
GRID = 65  # a warp is evaluated on so many points a side, and interpolated between them
BORDER = np.array([(x, y) for y in (0.0, 0.5, 1.0) for x in (0.0, 0.5, 1.0) if (x, y) != (0.5, 0.5)], dtype=np.float64)

# Points of the mesh that steer a warp: outline, brows, eyes, nose and lips; the cheeks between follow.
ANCHORS = np.array(
    sorted(
        {
            *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152),
            *(148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
            *(70, 63, 105, 66, 107, 46, 53, 52, 65, 55, 300, 293, 334, 296, 336, 276, 283, 282, 295, 285),
            *(33, 160, 158, 133, 153, 144, 159, 145, 362, 385, 387, 263, 373, 380, 386, 374),
            *(168, 6, 197, 195, 5, 4, 1, 2, 98, 97, 326, 327, 48, 278, 64, 294),
            *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
        }
    )
)


@dataclass(frozen=True)
class Warp:
    """A thin-plate spline from positions of a result to positions of its source.

    Attributes:
        points: [N, 2] where the result's landmarks are.
        weights: [N + 3, 2] of the kernels and of 1, x, y.
    """

    points: np.ndarray
    weights: np.ndarray

    def at(self, positions: np.ndarray) -> np.ndarray:
        """Map positions [..., 2] of the result to the source's, same shape."""
        flat = np.asarray(positions, dtype=np.float64).reshape(-1, 2)
        mapped: np.ndarray = _design(flat, self.points) @ self.weights
        return mapped.reshape(np.shape(positions))

    def grid(self, size_px: int) -> np.ndarray:
        """Return where each pixel centre of a result [size, size] comes from: [size, size, 2] float32 shares."""
        knots = np.linspace(0, 1, GRID)
        coarse = self.at(np.stack(np.meshgrid(knots, knots), axis=-1)).transpose(2, 0, 1)  # [2, GRID, GRID]
        where = (np.arange(size_px) + 0.5) / size_px * (GRID - 1)
        rows, columns = np.meshgrid(where, where, indexing="ij")
        fine = [map_coordinates(axis, (rows, columns), order=1, mode="nearest") for axis in coarse]
        return np.stack(fine, axis=-1).astype(np.float32)


def fit_warp(result: np.ndarray, source: np.ndarray, *, smoothing: float = SMOOTHING) -> Warp:
    """Fit the warp that takes `result` [N, 2] near `source` [N, 2] and leaves the picture's border where it is.

    Raises:
        ValueError: other shapes, fewer than three points, or values that are not finite.
    """
    to, back = np.asarray(result, dtype=np.float64), np.asarray(source, dtype=np.float64)
    if to.shape != back.shape or to.ndim != 2 or to.shape[1] != 2 or len(to) < 3:
        raise ValueError(f"expected two sets of points [N, 2], got {list(to.shape)} and {list(back.shape)}")
    if not (np.isfinite(to).all() and np.isfinite(back).all()):
        raise ValueError("expected finite points")
    points, values = np.concatenate([to, BORDER]), np.concatenate([back, BORDER])
    count = len(points)
    system = np.zeros((count + 3, count + 3))
    system[:count] = _design(points, points)
    system[:count, :count] += np.eye(count) * smoothing * np.r_[np.ones(len(to)), np.full(len(BORDER), 0.01)]
    system[count:, :count] = system[:count, count:].T
    return Warp(points, np.linalg.solve(system, np.concatenate([values, np.zeros((3, 2))])))


def fit_warp_torch(result: torch.Tensor, source: torch.Tensor, *, smoothing: float = SMOOTHING) -> torch.Tensor:
    """Fit the same warps for a batch, differentiable in both: [B, N, 2] twice -> weights [B, N + 8 + 3, 2]."""
    points, values = _with_border(result), _with_border(source)
    batch, count = points.shape[:2]
    design = _design_torch(points, points)  # [B, M, M + 3]
    ridge = torch.full((count,), smoothing, dtype=points.dtype, device=points.device)
    ridge[-len(BORDER) :] *= 0.01
    kernel = design[:, :, :count] + torch.diag(ridge)
    tail = design[:, :, count:]
    corner = points.new_zeros(batch, 3, 3)
    system = torch.cat([torch.cat([kernel, tail], 2), torch.cat([tail.transpose(1, 2), corner], 2)], 1)
    weights: torch.Tensor = torch.linalg.solve(system, torch.cat([values, values.new_zeros(batch, 3, 2)], 1))
    return weights


def warp_grid_torch(weights: torch.Tensor, result: torch.Tensor, size_px: int) -> torch.Tensor:
    """Evaluate warps of `fit_warp_torch` at a picture's pixels: [B, size, size, 2] for `grid_sample`, in -1..1."""
    knots = torch.linspace(0, 1, GRID, dtype=weights.dtype, device=weights.device)
    y, x = torch.meshgrid(knots, knots, indexing="ij")
    positions = torch.stack([x, y], -1).reshape(1, -1, 2).expand(weights.shape[0], -1, -1)
    coarse = torch.bmm(_design_torch(positions, _with_border(result)), weights)
    coarse = coarse.reshape(-1, GRID, GRID, 2).permute(0, 3, 1, 2)
    where = (torch.arange(size_px, dtype=weights.dtype, device=weights.device) + 0.5) / size_px * 2 - 1
    y, x = torch.meshgrid(where, where, indexing="ij")
    centres = torch.stack([x, y], -1)[None].expand(weights.shape[0], -1, -1, -1)
    fine = F.grid_sample(coarse, centres, mode="bilinear", padding_mode="border", align_corners=True)
    return fine.permute(0, 2, 3, 1) * 2 - 1


def shaped(photo: FaceLayout, style: np.ndarray, shape: float) -> np.ndarray:
    """Move a photo's landmarks towards a style's proportions.

    The style's shape is first laid over the photo's by position and size, so that what is left are proportions alone.

    Args:
        photo: its layout.
        style: [468, 2] landmarks of the style, in its own crop.
        shape: 0 keeps the photo's, 1 takes the style's; above 1 exaggerates, below 0 leads away.

    Returns:
        [468, 2] float64, as shares of the photo's crop.
    """
    own = photo.landmarks.astype(np.float64)
    laid = _lay_over(np.asarray(style, dtype=np.float64), own)
    moved: np.ndarray = own + shape * (laid - own)
    return moved


def warp_picture(pixels: np.ndarray, warp: Warp) -> np.ndarray:
    """Sample a picture [H, H, C] or [H, H] through a warp: the same shape, float32; edges are repeated."""
    size = pixels.shape[0]
    where = warp.grid(size).astype(np.float64) * size - 0.5
    coordinates = np.stack([where[..., 1], where[..., 0]])
    planes = np.atleast_3d(pixels).astype(np.float32)
    moved = [map_coordinates(planes[..., c], coordinates, order=1, mode="nearest") for c in range(planes.shape[2])]
    return np.stack(moved, axis=-1).reshape(pixels.shape)


def warp_layout(layout: FaceLayout, warp: Warp, landmarks: np.ndarray) -> FaceLayout:
    """Move a layout's masks through a warp, and set its landmarks [468, 2] to where the warp puts them."""
    masks = warp_picture(layout.masks.transpose(1, 2, 0), warp).transpose(2, 0, 1)
    return FaceLayout(landmarks.astype(np.float32), masks.clip(0, 1), layout.presence)


def _lay_over(shape: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Move, turn and scale points onto others by least squares (orthogonal Procrustes)."""
    a, b = shape - shape.mean(0), onto - onto.mean(0)
    u, s, vt = np.linalg.svd(a.T @ b)
    flip = np.sign(np.linalg.det(u @ vt))
    turn = u @ np.diag([1.0, flip]) @ vt
    scale = (s * [1.0, flip]).sum() / max((a**2).sum(), 1e-12)
    laid: np.ndarray = scale * a @ turn + onto.mean(0)
    return laid


def _design(positions: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Evaluate kernels r^2 log r of the points, then 1, x, y: [M, N + 3]."""
    squared = ((positions[:, None] - points[None]) ** 2).sum(-1)
    kernel = 0.5 * squared * np.log(np.maximum(squared, 1e-12))
    return np.concatenate([kernel, np.ones((len(positions), 1)), positions], axis=1)


def _design_torch(positions: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Do the same for a batch: [B, M, 2] and [B, N, 2] -> [B, M, N + 3]."""
    squared = (positions[:, :, None] - points[:, None]).square().sum(-1)
    kernel = 0.5 * squared * torch.log(squared.clamp(min=1e-12))
    return torch.cat([kernel, torch.ones_like(positions[..., :1]), positions], dim=2)


def _with_border(points: torch.Tensor) -> torch.Tensor:
    border = torch.as_tensor(BORDER, dtype=points.dtype, device=points.device)
    return torch.cat([points, border[None].expand(points.shape[0], -1, -1)], dim=1)
