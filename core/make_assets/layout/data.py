"""Training pictures of the layout network: labelled faces, seen from many sides and drawn in many ways."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from core.imaging.layout import MESH_POINTS, PARTS
from core.make_assets.pretrain.data import jitter_light
from core.networks.layout import INPUT_PX, MASK_PX
from core.procedural import augmentations
from core.procedural import filters as f

SURE = 0.6


@dataclass(frozen=True)
class LabelledFaces:
    """One split.

    Attributes:
        pictures: [N, 3, 256, 256] uint8.
        landmarks: [N, 468, 2] float32, shares of the side.
        masks: [N, 8, 128, 128] uint8.
        trusted: [N] bool, whether person, hair and bare skin can be relied on.
    """

    pictures: Tensor
    landmarks: Tensor
    masks: Tensor
    trusted: Tensor

    def __len__(self) -> int:
        return len(self.pictures)


@dataclass(frozen=True)
class Batch:
    """What a step sees: pictures [B, 3, 256, 256] in [-1, 1]; landmarks; masks [B, 8, 64, 64]; presence, trust [B]."""

    pictures: Tensor
    landmarks: Tensor
    masks: Tensor
    presence: Tensor
    trusted: Tensor


def label_faces(faces: Path, teachers: Path, cache: Path, split: str) -> LabelledFaces:
    """Label a split once, and read it from `cache` ever after; faces that the teacher doubts are left out."""
    file = cache / f"labels_{split}.npz"
    with (faces / "index.csv").open(newline="") as listing:
        listed = [row for row in csv.DictReader(listing) if row["split"] == split]
    names = [row["file"] for row in listed]
    if not file.exists():
        from core.make_assets.layout.labels import LABEL_PX, Teachers, masks

        said = Teachers(teachers)
        points = np.zeros((len(names), MESH_POINTS, 2), np.float32)
        drawn = np.zeros((len(names), len(PARTS), LABEL_PX, LABEL_PX), np.uint8)
        sure, trusted = np.zeros(len(names), np.float32), np.zeros(len(names), bool)
        for i, name in enumerate(names):
            crop = _open(faces / "images" / name)
            points[i], sure[i] = said.landmarks(crop)
            drawn[i], told = masks(crop, points[i], said.person(crop))
            trusted[i] = told and listed[i]["colour"] == "1"  # in grey, hair and ground are often told apart wrongly
        np.savez(file, points=points, masks=drawn, sure=sure, trusted=trusted)
    stored = np.load(file)
    keep = np.flatnonzero(stored["sure"] > SURE)
    pictures = np.stack([np.asarray(_open(faces / "images" / names[i])) for i in keep])
    return LabelledFaces(
        torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(),
        torch.from_numpy(stored["points"][keep]),
        torch.from_numpy(stored["masks"][keep]),
        torch.from_numpy(stored["trusted"][keep]),
    )


def mirror_of(landmarks: Tensor) -> Tensor:
    """Find for each mesh point the one on the other side of the face: [468] indices, from many faces [N, 468, 2]."""
    mean = landmarks.mean(0)
    flipped = torch.stack([2 * mean[:, 0].mean() - mean[:, 0], mean[:, 1]], 1)
    both = torch.cdist(mean, flipped)
    return torch.from_numpy(linear_sum_assignment(both.numpy())[1])


def draw_batch(faces: LabelledFaces, mirror: Tensor, size: int, rng: torch.Generator) -> Batch:
    """Draw a batch: faces turned, shifted and scaled, three in four of them stylized, one in ten without a face.

    Half of those whose person is known come in other clothes and before another ground, or all would wear dark suits.
    """
    index = torch.randint(len(faces), (size,), generator=rng)
    trusted = faces.trusted[index]
    pictures = faces.pictures[index].float() / 127.5 - 1
    masks = faces.masks[index].float() / 255
    points = faces.landmarks[index]
    for i in torch.nonzero(trusted).flatten().tolist():
        behind = faces.pictures[int(torch.randint(len(faces), (), generator=rng))].float() / 127.5 - 1
        pictures[i] = _elsewhere(pictures[i], masks[i], float(points[i, 152, 1]), behind, rng)
    flip = torch.rand(size, generator=rng) < 0.5
    pictures[flip], masks[flip] = pictures[flip].flip(3), masks[flip].flip(3)
    mirrored = points[:, mirror] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
    points = torch.where(flip[:, None, None], mirrored, points)
    pictures = jitter_light(pictures, rng)
    presence = torch.ones(size)
    turn, shift = _placing(size, rng)  # result = turn (x - 1/2) + 1/2 + shift
    back = torch.linalg.inv(turn)
    theta = torch.cat([back, -2 * (back @ shift[:, :, None])], dim=2)
    seen = F.grid_sample(
        pictures,
        F.affine_grid(theta, [size, 3, INPUT_PX, INPUT_PX], align_corners=False),
        padding_mode="reflection",
        align_corners=False,
    )
    small = F.affine_grid(theta, [size, len(PARTS), MASK_PX, MASK_PX], align_corners=False)
    masks = F.grid_sample(_halved(masks), small, padding_mode="zeros", align_corners=False)
    inside = F.grid_sample(
        torch.ones(size, 1, 8, 8), F.affine_grid(theta, [size, 1, INPUT_PX, INPUT_PX], align_corners=False),
        padding_mode="zeros", align_corners=False,
    )  # fmt: skip
    seen = _surround(seen, inside, pictures, rng)
    points = (points - 0.5) @ turn.transpose(1, 2) + 0.5 + shift[:, None]
    for i in torch.nonzero(torch.rand(size, generator=rng) < 0.1).flatten().tolist():
        seen[i], presence[i] = _without_face(pictures[i], rng), 0.0
        masks[i] = 0
    groups = torch.randperm(size, generator=rng).chunk(8)
    for group in groups[:6]:
        seen[group] = augmentations.random_style(seen[group].clamp(-1, 1), rng)
    for group in groups[5:7]:
        seen[group] = _recoloured(seen[group], rng)
    return Batch(seen.clamp(-1, 1), points, masks, presence, trusted)


def _elsewhere(picture: Tensor, masks: Tensor, chin: float, other: Tensor, rng: torch.Generator) -> Tensor:
    """Change a picture's [3, 256, 256] clothes and ground at random, each in half of the cases.

    Args:
        picture: in [-1, 1].
        masks: [8, 128, 128] in 0..1.
        chin: its height as a share of the side.
        other: another picture, pieces of which may be the ground.
        rng: chance.
    """
    wide = F.interpolate(masks[None], size=(INPUT_PX, INPUT_PX), mode="bilinear", align_corners=False)[0]
    face, hair, person = (wide[PARTS.index(part)] for part in ("face", "hair", "person"))
    rows = ((torch.arange(INPUT_PX) + 0.5) / INPUT_PX)[:, None]
    if torch.rand((), generator=rng) < 0.5:
        clothes = person * (1 - torch.maximum(face, hair)) * ((rows - chin - 0.06) / 0.04).clamp(0, 1)
        picture = picture + clothes * (_cloth(picture, rng) - picture)
    if torch.rand((), generator=rng) < 0.5:
        picture = picture + (1 - person) * (_ground(other, rng) - picture)
    return picture


def _cloth(picture: Tensor, rng: torch.Generator) -> Tensor:
    """Dye a picture [3, 256, 256] in [-1, 1] and print a pattern on it, every other time."""
    fold = (picture.mean(0) - picture.mean()) * float(torch.rand((), generator=rng)) * 1.5
    cloth = _colour(rng) + fold
    if torch.rand((), generator=rng) < 0.5:
        grain = int(torch.randint(3, 40, (), generator=rng))
        noise = f.value_noise((1, 1, INPUT_PX, INPUT_PX), grain, rng)[0]
        cloth = torch.where(noise > 0.5, cloth, _colour(rng) + fold)
    return cloth.clamp(-1, 1)


def _ground(other: Tensor, rng: torch.Generator) -> Tensor:
    """Make a ground [3, 256, 256] in [-1, 1]: a colour, two that run together, or an enlarged, blurred corner."""
    kind = float(torch.rand((), generator=rng))
    if kind < 0.4:
        grain = int(torch.randint(20, 200, (), generator=rng))
        share = f.value_noise((1, 1, INPUT_PX, INPUT_PX), grain, rng)[0] * float(kind < 0.3)
        return _colour(rng) * (1 - share) + _colour(rng) * share
    side = int(torch.randint(48, 129, (), generator=rng))
    top, left = (int(torch.randint(INPUT_PX - side + 1, (), generator=rng)) for _ in range(2))
    corner = other[None, :, top : top + side, left : left + side].flip(2)
    coarse = F.adaptive_avg_pool2d(corner, int(torch.randint(6, side + 1, (), generator=rng)))
    return F.interpolate(coarse, size=(INPUT_PX, INPUT_PX), mode="bicubic", align_corners=False)[0].clamp(-1, 1)


def _colour(rng: torch.Generator) -> Tensor:
    return torch.rand((3, 1, 1), generator=rng) * 2 - 1


def _placing(size: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw similarity moves: half of them small, as alignment leaves them, the others as a search meets them."""
    wide = torch.rand(size, generator=rng) < 0.45
    spread = torch.where(wide, 1.0, 0.25)
    angle = torch.randn(size, generator=rng) * math.radians(14) * spread
    scale = torch.exp((torch.rand(size, generator=rng) * 2 - 1) * 0.42 * spread - 0.12 * spread * wide)
    stretch = torch.exp(torch.randn(size, generator=rng) * 0.04)
    cos, sin = torch.cos(angle), torch.sin(angle)
    turn = torch.stack([torch.stack([cos * stretch, -sin], 1), torch.stack([sin * stretch, cos], 1)], 1)
    shift = torch.randn((size, 2), generator=rng) * 0.09 * spread[:, None]
    return turn * scale[:, None, None], shift


def _surround(seen: Tensor, inside: Tensor, others: Tensor, rng: torch.Generator) -> Tensor:
    """Fill what lies outside of the crops: reflection as it is, one colour, or another picture."""
    choice = torch.rand(len(seen), generator=rng)
    colour = torch.rand((len(seen), 3, 1, 1), generator=rng) * 2 - 1
    other = F.avg_pool2d(others.roll(1, 0).flip(2), 9, 1, 4)
    fill = torch.where(choice[:, None, None, None] < 0.4, colour.expand_as(seen), other)
    filled = seen * inside + fill * (1 - inside)
    return torch.where(choice[:, None, None, None] < 0.7, filled, seen)


def _without_face(picture: Tensor, rng: torch.Generator) -> Tensor:
    """Make a picture [3, 256, 256] without a face: an enlarged corner, a face upside down, or shuffled tiles."""
    kind = int(torch.randint(3, (), generator=rng))
    if kind == 0:
        top, left = (int(v) for v in torch.randint(2, (2,), generator=rng) * 176)
        corner = picture[None, :, top : top + 80, left : left + 80]
        return F.interpolate(corner, size=(INPUT_PX, INPUT_PX), mode="bilinear", align_corners=False)[0]
    if kind == 1:
        return picture.flip(1)
    tiles = picture.unfold(1, 64, 64).unfold(2, 64, 64).reshape(3, 16, 64, 64)[:, torch.randperm(16, generator=rng)]
    return tiles.reshape(3, 4, 4, 64, 64).permute(0, 1, 3, 2, 4).reshape(3, INPUT_PX, INPUT_PX)


def _recoloured(x: Tensor, rng: torch.Generator) -> Tensor:
    """Mix the colour channels at random, as expressive painters do."""
    mix = torch.eye(3) * 0.8 + torch.randn((len(x), 3, 3), generator=rng) * 0.35
    return torch.einsum("bij,bjhw->bihw", mix, x) + torch.randn((len(x), 3, 1, 1), generator=rng) * 0.15


def _halved(masks: Tensor) -> Tensor:
    return F.avg_pool2d(masks, 2)


def _open(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB").resize((INPUT_PX, INPUT_PX), Image.Resampling.LANCZOS)
