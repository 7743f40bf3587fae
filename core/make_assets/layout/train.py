"""Training of the layout network: losses, resumable loop, measurement, and the weights as they are shipped."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from core.engines.layouts import WEIGHTS_FILE
from core.files import replacing
from core.imaging.layout import PARTS
from core.make_assets.layout.data import Batch, LabelledFaces, draw_batch, mirror_of
from core.networks.layout import SHAPES, LayoutNetwork, LayoutOutput
from core.procedural import augmentations
from core.weights.load import save_embedded, write_manifest

_EYES = ((33, 133), (362, 263))  # corners of either eye
_FINE = torch.tensor([33, 133, 362, 263, 159, 145, 386, 374, 61, 291, 0, 17, 13, 14, 105, 334, 1, 152])
_DOUBTED = 0.1  # weight of labels that may be wrong


@dataclass(frozen=True)
class TrainConfig:
    """Settings; times in minutes, the learning rate falls by a cosine over `steps`."""

    steps: int = 4000
    batch: int = 20
    learning_rate: float = 2e-3
    seed: int = 0
    keep_every_min: float = 4.0


class Trainer:
    """Network, its running mean (which is shipped), optimiser and dice."""

    def __init__(self, config: TrainConfig, faces: LabelledFaces) -> None:
        torch.manual_seed(config.seed)
        self.config, self.faces, self.step = config, faces, 0
        self.mirror = mirror_of(faces.landmarks)
        self.network = LayoutNetwork().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        mean, shapes = _variations(faces.landmarks)
        self.network.mean_shape.copy_(mean)
        self.network.shapes.copy_(shapes)
        self.kept = LayoutNetwork()
        self.kept.load_state_dict(self.network.state_dict())
        self.optimiser = torch.optim.AdamW(self.network.parameters(), config.learning_rate, weight_decay=1e-3)
        self.rng = torch.Generator().manual_seed(config.seed)

    def train_step(self) -> float:
        """Do one step and return its loss."""
        for group in self.optimiser.param_groups:
            warm = min(1.0, (self.step + 1) / 200)
            share = min(1.0, self.step / self.config.steps)
            group["lr"] = self.config.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        batch = draw_batch(self.faces, self.mirror, self.config.batch, self.rng)
        self.network.train()
        pictures = batch.pictures.contiguous(memory_format=torch.channels_last)
        loss = loss_of(self.network(pictures), batch)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        self._keep()
        return float(loss.detach())

    @torch.no_grad()
    def _keep(self) -> None:
        share = min(0.998, self.step / (self.step + 20))
        for kept, now in zip(self.kept.state_dict().values(), self.network.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(now, 1 - share)
            else:
                kept.copy_(now)

    def save(self, path: Path) -> None:
        """Write everything that goes on."""
        state = {
            "config": asdict(self.config), "step": self.step, "network": self.network.state_dict(),
            "kept": self.kept.state_dict(), "optimiser": self.optimiser.state_dict(), "rng": self.rng.get_state(),
        }  # fmt: skip
        with replacing(path) as part:
            torch.save(state, part)

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.kept.load_state_dict(state["kept"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.rng.set_state(state["rng"])


def run(trainer: Trainer, held_out: LabelledFaces, folder: Path, minutes: float) -> Iterator[dict[str, float]]:
    """Train until the steps or the minutes are over; yields a measurement at every checkpoint."""
    start = kept = time.monotonic()
    losses: list[float] = []
    while trainer.step < trainer.config.steps and time.monotonic() - start < 60 * minutes:
        losses.append(trainer.train_step())
        if time.monotonic() - kept > 60 * trainer.config.keep_every_min:
            trainer.save(folder / "checkpoint.pt")
            yield {"step": trainer.step, "loss": sum(losses) / len(losses), **measure(trainer.kept, held_out)}
            kept, losses = time.monotonic(), []
    trainer.save(folder / "checkpoint.pt")
    yield {"step": trainer.step, **measure(trainer.kept, held_out)}


def loss_of(said: LayoutOutput, batch: Batch) -> Tensor:
    """Compare landmarks in eye distances at every stage, masks by cross-entropy and overlap, presence."""
    here = batch.presence > 0.5
    true = batch.landmarks[here]
    unit = eye_distance(true)[:, None]
    weight = torch.ones(true.shape[1])
    weight[_FINE] = 4.0
    points = torch.zeros(())
    for number, stage in enumerate(said.stages):
        away = (stage[here] - true).square().sum(2).add(1e-8).sqrt() / unit  # [B, 468]
        points = points + (0.5, 0.7, 1.0)[number] * (away * weight).sum(1).div(weight.sum()).mean()
    logits, masks = said.masks[here], batch.masks[here]
    trusted = torch.ones(masks.shape[:2])
    for part in ("person", "hair", "face"):
        trusted[:, PARTS.index(part)] = torch.where(batch.trusted[here], 1.0, _DOUBTED)
    crossed = (F.binary_cross_entropy_with_logits(logits, masks, reduction="none").mean((2, 3)) * trusted).mean()
    likely = torch.sigmoid(logits)
    overlap = (2 * (likely * masks).sum((2, 3)) + 1) / (likely.sum((2, 3)) + masks.sum((2, 3)) + 1)
    presence = F.binary_cross_entropy_with_logits(said.presence, batch.presence)
    return 4 * points + 2 * crossed + ((1 - overlap) * trusted).mean() + 0.2 * presence


@torch.no_grad()
def measure(network: LayoutNetwork, faces: LabelledFaces, *, limit: int = 96) -> dict[str, float]:
    """Measure on held-out faces, half of them stylized: landmark error in eye distances, overlap of each mask."""
    network.eval()
    rng = torch.Generator().manual_seed(1)
    pictures = faces.pictures[:limit].float() / 127.5 - 1
    drawn = torch.cat([augmentations.random_style(part, rng).clamp(-1, 1) for part in torch.split(pictures, 8)])
    row: dict[str, float] = {}
    true, unit = faces.landmarks[:limit], eye_distance(faces.landmarks[:limit])
    for name, seen in (("photo", pictures), ("drawn", drawn)):
        said = [network(part) for part in torch.split(seen, 16)]
        points = torch.cat([part.landmarks for part in said])
        row[f"{name}_landmarks"] = float(((points - true).norm(dim=2) / unit[:, None]).mean())
        likely = torch.cat([part.masks for part in said]) > 0
        masks = F.avg_pool2d(faces.masks[:limit].float() / 255, 2) > 0.5
        sure = faces.trusted[:limit, None, None, None]
        shared, either = (likely & masks & sure).sum((0, 2, 3)), ((likely | masks) & sure).sum((0, 2, 3))
        row |= {f"{name}_{part}": float(a / max(int(b), 1)) for part, a, b in zip(PARTS, shared, either, strict=True)}
    return row


def eye_distance(landmarks: Tensor) -> Tensor:
    """Return the distance of the eyes' centres [B] of landmarks [B, 468, 2]."""
    left, right = (landmarks[:, list(corners)].mean(1) for corners in _EYES)
    apart: Tensor = (right - left).norm(dim=1)
    return apart


def export(network: LayoutNetwork, folder: Path) -> None:
    """Write `layout.safetensors` and `manifest.json` to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        name: (tensor.half() if tensor.dtype == torch.float32 else tensor).contiguous()
        for name, tensor in network.state_dict().items()
    }
    write_manifest(folder, fingerprint=save_embedded(state, folder / WEIGHTS_FILE, metadata={"network": "layout"}))


def _variations(landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean shape [468, 2] and principal variations [K, 468, 2], in eye distances, upright, at unit deviation."""
    left, right = (landmarks[:, list(corners)].mean(1) for corners in _EYES)
    across, centre = right - left, (left + right) / 2
    unit = across.norm(dim=1)
    cos, sin = across[:, 0] / unit, across[:, 1] / unit
    undo = torch.stack([torch.stack([cos, sin], 1), torch.stack([-sin, cos], 1)], 1)
    local = torch.einsum("bij,bnj->bni", undo, landmarks - centre[:, None]) / unit[:, None, None]
    mean = local.mean(0)
    flat = (local - mean).flatten(1)
    _, spread, basis = torch.pca_lowrank(flat, q=SHAPES, center=False, niter=4)
    return mean, (basis.T * (spread / math.sqrt(len(flat)))[:, None]).reshape(SHAPES, *mean.shape)
