"""Training faces in memory and the augmentations of one step.

Reads a folder of aligned 256 px crops: `images/*.webp`, `index.csv` (file, source, split, colour, native_crop_px, ...)
and `landmarks68.npz` (files, points [N, 68, 2] in crop pixels).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

SHARP_CROP_PX = 200  # crops resampled up from fewer pixels are soft and never shown to the discriminator as real


@dataclass(frozen=True)
class Faces:
    """One split of the data.

    Attributes:
        pictures: [N, 3, R, R] uint8.
        weights: [N, 1, R, R] float16, loss weight of every pixel: high on eyes and mouth, then face, then the rest.
        sampling: [N] float32, how often a picture is drawn; sharp crops and colour count more.
        sharp: [N] bool, at least `SHARP_CROP_PX` before resampling.
        colour: [N] bool.
        landmarks: [N, 68, 2] float32 in pixels of the pictures.
        names, sources: file names and sources.
    """

    pictures: Tensor
    weights: Tensor
    sampling: Tensor
    sharp: Tensor
    colour: Tensor
    landmarks: np.ndarray
    names: tuple[str, ...]
    sources: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return pictures [B, 3, R, R] float32 in [-1, 1] and weights [B, 1, R, R] float32 of the rows `index` [B]."""
        return self.pictures[index].float() / 127.5 - 1, self.weights[index].float()


def load_faces(folder: Path, split: str, *, resolution: int = 256, limit: int | None = None) -> Faces:
    """Read one split (`train` or `val`) into memory; `ValueError` when the folder holds none of it."""
    with (folder / "index.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    rows = rows[:: max(1, len(rows) // limit)] if limit else rows
    if not rows:
        raise ValueError(f"{folder / 'index.csv'} lists no picture of the split {split!r}")
    archive = np.load(folder / "landmarks68.npz")
    points = dict(zip(archive["files"].tolist(), archive["points"], strict=True))
    pictures = torch.empty((len(rows), 3, resolution, resolution), dtype=torch.uint8)
    weights = torch.empty((len(rows), 1, resolution, resolution), dtype=torch.float16)
    landmarks = np.empty((len(rows), 68, 2), dtype=np.float32)
    for i, row in enumerate(rows):
        with Image.open(folder / "images" / row["file"]) as image:
            side = image.width
            small = image.convert("RGB").resize((resolution, resolution), Image.Resampling.LANCZOS)
        pictures[i] = torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1)
        landmarks[i] = points[row["file"]] * (resolution / side)
        weights[i, 0] = face_weights(landmarks[i], resolution)
    native = torch.tensor([float(row["native_crop_px"]) for row in rows])
    colour = torch.tensor([row["colour"] == "1" for row in rows])
    sharp = native >= SHARP_CROP_PX
    sampling = torch.where(sharp, 3.0, 1.0) * torch.where(colour, 1.5, 1.0)
    return Faces(
        pictures,
        weights,
        sampling,
        sharp,
        colour,
        landmarks,
        tuple(row["file"] for row in rows),
        tuple(row["source"] for row in rows),
    )


def face_weights(landmarks: np.ndarray, resolution: int) -> Tensor:
    """Weigh a picture's pixels for the losses: 1 elsewhere, 2 on the face's ellipse, up to 5 at eyes, nose and mouth.

    Args:
        landmarks: [68, 2] x, y in pixels.
        resolution: side R of the picture.

    Returns:
        [R, R] float32.
    """
    rows, columns = torch.meshgrid(torch.arange(resolution), torch.arange(resolution), indexing="ij")
    left, right = landmarks[36:42].mean(0), landmarks[42:48].mean(0)
    eye_distance = max(float(np.linalg.norm(right - left)), 8.0)
    low, high = landmarks.min(0), landmarks.max(0)
    centre, reach = (low + high) / 2, (high - low) / 2 * 1.15 + 1
    ellipse = ((columns - centre[0]) / reach[0]) ** 2 + ((rows - centre[1]) / reach[1]) ** 2 <= 1
    weights: Tensor = 1.0 + ellipse.float()
    for part, size in ((left, 0.34), (right, 0.34), (landmarks[48:68].mean(0), 0.42), (landmarks[30], 0.3)):
        distance = (columns - part[0]) ** 2 + (rows - part[1]) ** 2
        weights += 3.0 * torch.exp(-distance / (2 * (size * eye_distance) ** 2))
    return weights.clamp(max=5.0)


def jitter_geometry(x: Tensor, rng: torch.Generator) -> Tensor:
    """Turn, scale and shift each picture [B, C, R, R] a little at random, as alignment errors do."""
    batch = x.shape[0]
    angle, grow = (torch.rand((2, batch), generator=rng) - 0.5) * torch.tensor([[0.14], [0.14]])
    shift = (torch.rand((batch, 2), generator=rng) - 0.5) * 0.08
    cos, sin = torch.cos(angle) * (1 + grow), torch.sin(angle) * (1 + grow)
    theta = torch.stack([torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], 1)
    grid = F.affine_grid(theta.to(x.device), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


def jitter_light(x: Tensor, rng: torch.Generator) -> Tensor:
    """Change exposure, contrast, white balance and saturation of each picture [B, 3, R, R] in [-1, 1] at random."""
    batch = x.shape[0]

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return (torch.rand((batch, *shape), generator=rng) * (high - low) + low).to(x.device)

    y = ((x + 1) / 2).clamp(1e-4, 1) ** draw(-0.3, 0.3, 1, 1, 1).exp()
    y = (y - 0.5) * draw(0.85, 1.15, 1, 1, 1) + 0.5
    y = y * draw(0.85, 1.15, 3, 1, 1)
    grey = y.mean(dim=1, keepdim=True)
    amount = torch.where(draw(0, 1, 1, 1, 1) < 0.12, torch.zeros(()), draw(0.7, 1.3, 1, 1, 1))
    return (grey + (y - grey) * amount).clamp(0, 1) * 2 - 1
