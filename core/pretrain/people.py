"""Faces that ship with the backbone: morphs of several people's maps and codes, so that they are nobody's portrait."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from core.networks.mini import MiniEncoder, MiniGenerator
from core.pretrain.data import Faces

MORPH_SHARES = (0.4, 0.35, 0.25)
NEIGHBOURS = 24
FACES_FILE = "faces.safetensors"


@torch.no_grad()
def morph(
    encoder: MiniEncoder, generator: MiniGenerator, faces: Faces, *, count: int, seed: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Invent `count` faces from three people each.

    The three are sharp colour photos with similar landmarks, so that eyes and outlines meet; the blended map is drawn
    and encoded once more, which turns the rest of double edges into a plain face.

    Returns:
        features [count, 32, h, w] and codes [count, D], float32 on the CPU.
    """
    rng = torch.Generator().manual_seed(seed)
    device = next(generator.parameters()).device
    usable = torch.nonzero(faces.sharp & faces.colour)[:, 0]
    shapes = torch.from_numpy(np.asarray(faces.landmarks, dtype=np.float32))[usable].flatten(1)
    shares = torch.tensor(MORPH_SHARES, device=device)
    features, codes = [], []
    for first in torch.randperm(len(usable), generator=rng)[:count].tolist():
        near = (shapes - shapes[first]).abs().mean(1).argsort()[1 : NEIGHBOURS + 1]
        pick = near[torch.randperm(len(near), generator=rng)[: len(MORPH_SHARES) - 1]]
        rows = usable[torch.cat([torch.tensor([first]), pick])]
        photos = faces.batch(rows)[0].to(device)
        w_plus, maps = encoder(photos, dtype=dtype)
        w = (w_plus[:, 0] * shares[:, None]).sum(0, keepdim=True)
        blended = (maps * shares[:, None, None, None]).sum(0, keepdim=True)
        picture = generator(w[:, None].expand(-1, generator.n_latent, -1), features=blended, dtype=dtype)
        features.append(encoder.encode_structure(picture.clamp(-1, 1), dtype=dtype).cpu())
        codes.append(w.cpu())
    return torch.cat(features), torch.cat(codes)


def write_people(folder: Path, features: Tensor, codes: Tensor) -> None:
    """Save morphs in half precision as `faces.safetensors`."""
    save_file({"features": features.half().contiguous(), "codes": codes.half().contiguous()}, folder / FACES_FILE)
