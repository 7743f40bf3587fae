"""Sample sheets, and a finished run turned into the files of `assets/mini/`: weights, checksums, model card."""

from __future__ import annotations

import json
import platform
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.make_assets.pretrain.data import Faces
from core.make_assets.pretrain.people import morph, write_people
from core.make_assets.pretrain.train import Trainer
from core.networks.mini import DISCRIMINATOR
from core.procedural import augmentations
from core.weights.load import save_embedded, write_manifest

SHEET_FACES = 10
SHEET_STYLES = ("line_art", "hatching")
PEOPLE = 24
PEOPLE_SEED = 0  # chosen by eye
WEIGHTS_FILE = "mini.safetensors"
CARD_FILE = "card.json"
FORMAT_VERSION = "1"


def _to_row(pictures: Tensor) -> np.ndarray:
    scaled = ((pictures.float().cpu() + 1) * 127.5).round().clamp(0, 255).byte()
    return np.concatenate(list(scaled.permute(0, 2, 3, 1).numpy()), axis=1)


@torch.no_grad()
def sample_sheet(trainer: Trainer, faces: Faces, path: Path) -> None:
    """Draw rows of held-out faces: photo, rebuilt, other appearance, then artworks, each with what it inverts to."""
    count = min(SHEET_FACES, len(faces))
    index = torch.linspace(0, len(faces) - 1, count).long()
    photos = faces.batch(index)[0].to(trainer.device)
    encoder, generator = trainer.ema_encoder, trainer.ema_generator
    w_plus, maps = encoder(photos, dtype=trainer.dtype)
    rows = [photos, generator(w_plus, features=maps, dtype=trainer.dtype)]
    rows.append(generator(w_plus.roll(1, 0), features=maps, dtype=trainer.dtype))
    rng = torch.Generator().manual_seed(0)
    for name in (*SHEET_STYLES, *list(augmentations.HELD_OUT)[:2]):
        style = {**augmentations.TRAINING, **augmentations.HELD_OUT}[name]
        drawn = torch.cat([style(photo[None].cpu(), rng) for photo in photos]).to(trainer.device)
        maps = encoder.encode_structure(drawn, dtype=trainer.dtype)
        rows += [drawn, generator(w_plus, features=maps, dtype=trainer.dtype)]
    Image.fromarray(np.concatenate([_to_row(row) for row in rows])).save(path)


@torch.no_grad()
def fit_appearance(trainer: Trainer, faces: Faces, *, factors: int) -> tuple[Tensor, Tensor]:
    """Fit a Gaussian to the colour faces' appearance codes: its mean [D] and principal factors [K, D]."""
    codes = []
    for start in range(0, len(faces), 64):
        index = torch.arange(start, min(start + 64, len(faces)))
        index = index[faces.colour[index]]
        if len(index):
            photos = faces.batch(index)[0].to(trainer.device)
            codes.append(trainer.ema_encoder.encode_appearance(photos, dtype=trainer.dtype).cpu())
    stacked = torch.cat(codes).double()
    mean = stacked.mean(0)
    _, spread, directions = torch.linalg.svd(stacked - mean, full_matrices=False)
    kept = (spread[:factors, None] / max(len(stacked) - 1, 1) ** 0.5) * directions[:factors]
    padded = torch.zeros(factors, stacked.shape[1], dtype=torch.double)
    padded[: kept.shape[0]] = kept
    return mean.float(), padded.float()


def export(trainer: Trainer, faces: Faces, folder: Path) -> None:
    """Write half-precision weights in shards, their checksums and the card into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = trainer.ema_generator
    mean, factors = fit_appearance(trainer, faces, factors=generator.appearance_factors.shape[0])
    generator.appearance_mean.copy_(mean)
    generator.appearance_factors.copy_(factors)
    parts = {"generator": generator, "encoder": trainer.ema_encoder, "discriminator": trainer.discriminator}
    tensors = {
        f"{part}.{name}": tensor.detach().cpu().half().contiguous()
        for part, module in parts.items()
        for name, tensor in module.state_dict().items()
        if not name.endswith("kernel")
    }
    metadata = {"format": FORMAT_VERSION, "discriminator": json.dumps(dict(DISCRIMINATOR))}
    fingerprint = save_embedded(tensors, folder / WEIGHTS_FILE, metadata=metadata)
    people = morph(trainer.ema_encoder, generator, faces, count=PEOPLE, seed=PEOPLE_SEED, dtype=trainer.dtype)
    write_people(folder, *people)
    (folder / CARD_FILE).write_text(json.dumps(model_card(trainer, faces), indent=2) + "\n")
    write_manifest(folder, fingerprint=fingerprint)


def model_card(trainer: Trainer, faces: Faces) -> dict[str, Any]:
    """Describe data, losses, time and hardware of a run; scores are added by `evaluate reconstruction --card`."""
    on_gpu = trainer.device.type != "cpu"
    return {
        "model": "mini, 256 px: StyleGAN2 layers over an encoder's structure map",
        "data": {"faces": len(faces), "sources": dict(Counter(faces.sources)), "colour": int(faces.colour.sum())},
        "training": {
            "steps": trainer.step,
            "pictures": trainer.step * trainer.config.batch,
            "minutes": round(trainer.seconds / 60, 1),
            "hardware": torch.cuda.get_device_name(trainer.device)
            if on_gpu
            else f"CPU, {torch.get_num_threads()} threads",
            "torch": torch.__version__,
            "python": platform.python_version(),
            "began_with": trainer.began_with,
        },
        "losses": "weighted L1, SqueezeNet 1.1 features, StyleGAN2 adversarial with R1 on 128 px crops, distillation; "
        "low-frequency L1, local detail, face colour under swapped codes",
        "config": trainer.state()["config"],
    }
