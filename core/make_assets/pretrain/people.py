"""Faces that ship with the backbone: morphs of several people's maps and codes, so that they are nobody's portrait.

Inside the face all three people's maps are blended; hair, ears and background are one person's, since outlines that
don't meet would show twice. `python -m core.make_assets.pretrain.new_faces` makes them anew.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from core.engines.fewshot_gan.refine import refine
from core.make_assets.pretrain.data import Faces
from core.networks.mini import MiniEncoder, MiniGenerator

MORPH_SHARES = (0.4, 0.35, 0.25)
NEIGHBOURS = 24
STEPS = 30  # of refining
FACE_EDGE = 6.0  # steepness of the mask's edge
FACES_FILE = "faces.safetensors"


@torch.no_grad()
def morph(
    encoder: MiniEncoder, generator: MiniGenerator, faces: Faces, *, count: int, seed: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Invent `count` faces from three people each.

    The three are sharp colour photos with similar landmarks, so that eyes and mouths meet; the blended map is drawn and
    encoded once more, which turns the rest of double edges into a plain face. Both encodings are refined, since the
    encoder alone leaves eyes without irises.

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
        read_w, read_maps = encoder(photos, dtype=dtype)
        w_plus, maps = refine(generator, read_w, read_maps, photos, steps=STEPS, dtype=dtype)
        w = (w_plus[:, 0] * shares[:, None]).sum(0, keepdim=True)
        inside = face_mask(faces.landmarks[rows[0]], photos.shape[-1], maps.shape[-1]).to(device)
        blended = torch.lerp(maps[:1], (maps * shares[:, None, None, None]).sum(0, keepdim=True), inside)
        codes_of_all = w[:, None].expand(-1, generator.n_latent, -1)
        picture = generator(codes_of_all, features=blended, dtype=dtype).clamp(-1, 1)
        plain = encoder.encode_structure(picture, dtype=dtype)
        _, plain = refine(generator, codes_of_all, plain, picture, steps=STEPS, dtype=dtype)
        features.append(plain.cpu())
        codes.append(w.cpu())
    return torch.cat(features), torch.cat(codes)


def face_mask(landmarks: np.ndarray, picture_px: int, side: int) -> Tensor:
    """Draw a soft ellipse over brows to chin, [side, side] in [0, 1]; `landmarks`: [68, 2] in the picture's pixels."""
    low, high = landmarks.min(0) / picture_px, landmarks.max(0) / picture_px
    centre, reach = (low + high) / 2, (high - low) / 2
    grid = (torch.arange(side) + 0.5) / side
    across, down = (grid - centre[0]) / reach[0], (grid - centre[1]) / reach[1]
    return torch.sigmoid((1 - across[None, :] ** 2 - down[:, None] ** 2) * FACE_EDGE)


def write_people(folder: Path, features: Tensor, codes: Tensor) -> None:
    """Save morphs in half precision as `faces.safetensors`."""
    save_file({"features": features.half().contiguous(), "codes": codes.half().contiguous()}, folder / FACES_FILE)
