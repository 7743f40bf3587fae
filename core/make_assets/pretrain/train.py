"""The training loop of the embedded backbone: resumable, seeded, on a GPU or on two CPU cores.

One step: draw faces, jitter light and geometry (the target), draw an artwork of each or change its tone (what the
structure encoder sees), read the appearance code from a moved or mirrored copy of the target (so that it carries
colours, not the outline), rebuild the target. The discriminator judges crops at full resolution and learns
perceptual features.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.engines.fewshot_gan.detail import detail_distance
from core.files import replacing
from core.make_assets.pretrain import losses
from core.make_assets.pretrain.data import Faces, jitter_geometry, jitter_light
from core.networks.checkpoints import pick_prefixed
from core.networks.mini import DISCRIMINATOR, MiniEncoder, MiniGenerator
from core.networks.ops import channels_last
from core.networks.squeezenet import WEIGHTS_FILE, SqueezeNetFeatures
from core.networks.stylegan2 import Discriminator
from core.procedural import augmentations
from core.weights.load import load_embedded

CROP_PX = DISCRIMINATOR["resolution"]
SWAP_REACH = 0.75  # how far another person's code moves the face's mean colour; the rest is the map's own tone
SWAP_LEVELS = 2  # swapped pictures are compared at half the resolution
MIRROR_SHARE = 0.25  # of the steps: appearance is read from a mirrored copy, so that it carries no outline


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one run; a resumed run takes them from its command line again.

    Attributes:
        batch: pictures per step; two or more, since codes are swapped between them.
        minutes: training time, earlier runs of a resumed one included; the learning rate falls over its last
            `decay_share`.
        stylized_share: share of pictures whose map is read from an artwork.
        *_weight: factors of the losses.
        low_weight, detail_weight, swap_weight: of `losses.low_frequency_l1`, `detail_distance` and `_swap`.
        warmup: steps over which the learning rate rises.
        coarse_share: share of the minutes, from the start, in which pictures are rebuilt at half the resolution,
            without a discriminator.
        discriminator_every: steps between two of the discriminator.
        r1_every, r1_gamma: lazy R1 of StyleGAN2.
        bf16: compute in bfloat16; parameters stay in float32.
        compile: fuse the generator's operations with torch.compile (needs a C++ compiler on a CPU).
    """

    batch: int = 8
    minutes: float = 60.0
    learning_rate: float = 2e-3
    decay_share: float = 0.35
    stylized_share: float = 0.55
    pixel_weight: float = 6.0
    feature_weight: float = 1.0
    map_weight: float = 1e-4
    low_weight: float = 4.0
    detail_weight: float = 0.15
    swap_weight: float = 0.7
    adversarial_weight: float = 0.2
    warmup: int = 100
    coarse_share: float = 0.35
    discriminator_every: int = 2
    r1_every: int = 16
    r1_gamma: float = 2.0
    ema: float = 0.998
    seed: int = 0
    bf16: bool = True
    compile: bool = False
    log_every: int = 50
    save_every_s: float = 240.0

    def __post_init__(self) -> None:
        if self.batch < 2:
            raise ValueError(f"batch must be 2 or more, got {self.batch}")


class Trainer:
    """Networks, optimisers and counters of a run; `save` and `load` carry all of it.

    Args:
        config: the settings.
        own_networks: folder with SqueezeNet's weights.
        device: where to train.
    """

    def __init__(self, config: TrainConfig, own_networks: Path, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.device = device
        self.dtype = torch.bfloat16 if config.bf16 else torch.float32
        self.generator = channels_last(MiniGenerator().to(device))
        self.encoder = channels_last(MiniEncoder(256, self.generator.n_latent).to(device))
        self.discriminator = channels_last(Discriminator(**DISCRIMINATOR).to(device))
        self.heads = losses.DistillationHeads(self.discriminator.feature_channels).to(device)
        self.ema_generator, self.ema_encoder = copy.deepcopy(self.generator), copy.deepcopy(self.encoder)
        builders = [*self.generator.parameters(), *self.encoder.parameters()]
        critics = [*self.discriminator.parameters(), *self.heads.parameters()]
        self.build_optimiser = torch.optim.Adam(builders, lr=config.learning_rate, betas=(0.5, 0.99))
        self.discriminator_optimiser = torch.optim.Adam(critics, lr=config.learning_rate, betas=(0.0, 0.99))
        squeezenet = SqueezeNetFeatures(own_networks / WEIGHTS_FILE, taps=losses.FEATURE_TAPS)
        self.squeezenet = channels_last(squeezenet.to(device=device, dtype=self.dtype))
        self.scales: list[float] = []
        self.rng = torch.Generator().manual_seed(config.seed)
        self.step, self.seconds = 0, 0.0
        self.began_with: dict[str, Any] | None = (
            None  # the model card's account of the training that came before this run
        )
        self.run_generator = torch.compile(self.generator, dynamic=False) if config.compile else self.generator

    @property
    def coarse(self) -> bool:
        """True while pictures are rebuilt at half the resolution."""
        return self.seconds < self.config.coarse_share * self.config.minutes * 60

    def state(self) -> dict[str, Any]:
        """Collect everything that resuming needs."""
        modules = {name: getattr(self, name).state_dict() for name in _SAVED_MODULES}
        return modules | {
            "step": self.step,
            "seconds": self.seconds,
            "scales": self.scales,
            "rng": self.rng.get_state(),
            "noise_rng": torch.get_rng_state(),
            "began_with": self.began_with,
            "config": asdict(self.config),
        }

    def save(self, path: Path) -> None:
        """Write a checkpoint; a killed run leaves the last one whole."""
        with replacing(path) as part:
            torch.save(self.state(), part)

    def start_from(self, weights: Path) -> None:
        """Begin with the weights of an exported backbone; optimisers and distillation heads begin anew.

        Raises:
            ValueError: weights of other networks.
        """
        tensors = load_embedded(weights)
        parts = {"generator": self.generator, "encoder": self.encoder, "discriminator": self.discriminator}
        for part, module in parts.items():
            missing, unexpected = module.load_state_dict(pick_prefixed(tensors, part), strict=False)
            if unexpected or any(not name.endswith("kernel") for name in missing):
                raise ValueError(f"{weights} is for another {part}: missing {missing}, unexpected {unexpected}")
        self.ema_generator.load_state_dict(self.generator.state_dict())
        self.ema_encoder.load_state_dict(self.encoder.state_dict())
        card = weights.with_name("card.json")
        self.began_with = json.loads(card.read_text(encoding="utf-8"))["training"] if card.exists() else None

    def load(self, path: Path) -> None:
        """Continue from a checkpoint that `save` wrote."""
        state = torch.load(path, weights_only=True, map_location="cpu")
        for name in _SAVED_MODULES:
            getattr(self, name).load_state_dict(state[name])
        self.step, self.seconds, self.scales = state["step"], state["seconds"], state["scales"]
        self.began_with = state["began_with"]
        self.rng.set_state(state["rng"])
        torch.set_rng_state(state["noise_rng"])


_SAVED_MODULES = (
    *("generator", "encoder", "discriminator", "heads", "ema_generator", "ema_encoder"),
    *("build_optimiser", "discriminator_optimiser"),
)


def learning_rate(config: TrainConfig, seconds: float, step: int) -> float:
    """Rise linearly for `warmup` steps, stay, then fall by a cosine to 2 % over the minutes' last `decay_share`."""
    done = min(1.0, seconds / (config.minutes * 60))
    late = max(0.0, (done - (1 - config.decay_share)) / config.decay_share)
    rise = min(1.0, (step + 1) / max(1, config.warmup))
    return config.learning_rate * rise * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * late)))


def draw_batch(faces: Faces, config: TrainConfig, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw one batch on the CPU: target, what the structure encoder sees, drawings among them, and loss weights.

    Returns:
        target [B, 3, R, R], seen [B, 3, R, R], is_drawn [B] bool, weights [B, 1, R, R].
    """
    index = torch.multinomial(faces.sampling, config.batch, generator=rng)
    target, weights = faces.batch(index)
    if torch.rand((), generator=rng) < 0.5:
        target, weights = target.flip(3), weights.flip(3)
    both = jitter_geometry(torch.cat([target, weights], 1), rng)
    target, weights = jitter_light(both[:, :3].clamp(-1, 1), rng), both[:, 3:].clamp(1, 5)
    is_drawn = torch.rand(config.batch, generator=rng) < config.stylized_share
    seen = target.clone()
    for i in range(config.batch):
        change = augmentations.random_style if is_drawn[i] else augmentations.random_tone
        seen[i : i + 1] = change(target[i : i + 1], rng)
    return target, seen, is_drawn, weights


def _random_crops(x: Tensor, corners: Tensor) -> Tensor:
    crops = [x[i, :, r : r + CROP_PX, c : c + CROP_PX] for i, (r, c) in enumerate(corners.tolist())]
    return torch.stack(crops)


def train_step(trainer: Trainer, faces: Faces) -> dict[str, float]:
    """Train generator and encoder by a step, then the discriminator; return the losses."""
    config, device, coarse = trainer.config, trainer.device, trainer.coarse
    target, seen, _, weights = (t.to(device) for t in draw_batch(faces, config, trainer.rng))
    rebuilt, maps, w = _rebuild(trainer, target, seen, levels=2 if coarse else None)
    if coarse:
        target, weights = _halve(target), _halve(weights)
    with torch.no_grad():
        wanted = [x.float() for x in trainer.squeezenet(target)]
        if not trainer.scales:
            trainer.scales = [1.0 / max(x.abs().mean().item(), 1e-6) for x in wanted]
    pixel = losses.weighted_l1(rebuilt, target, weights)
    feature = losses.feature_distance(trainer.squeezenet, rebuilt, wanted, trainer.scales)
    loss = config.pixel_weight * pixel + config.feature_weight * feature + config.map_weight * maps.square().mean()
    low, swap = losses.low_frequency_l1(rebuilt, target), _swap(trainer, w, maps, target)
    loss = loss + config.low_weight * low + config.swap_weight * swap
    report = {"pixel": pixel.item(), "feature": feature.item(), "low": low.item(), "swap": swap.item()}
    if not coarse:
        detail = detail_distance(rebuilt, target)
        loss = loss + config.detail_weight * detail
        report["detail"] = detail.item()
    corners = torch.randint(0, 256 - CROP_PX + 1, (config.batch, 2), generator=trainer.rng)
    adversarial_step = not coarse and trainer.step % config.discriminator_every == 0
    if adversarial_step:
        fake = _random_crops(rebuilt, corners)
        adversarial = losses.generator_adversarial(trainer.discriminator(fake, dtype=trainer.dtype))
        loss = loss + config.adversarial_weight * config.discriminator_every * adversarial
        report["adversarial"] = adversarial.item()
    trainer.build_optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    trainer.build_optimiser.step()
    if adversarial_step:
        report |= _discriminator_step(trainer, faces, fake.detach(), _random_crops(seen, corners), corners)
    _average(trainer)
    return report


def _rebuild(trainer: Trainer, target: Tensor, seen: Tensor, *, levels: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """Rebuild pictures [B, 3, H, W], maps, codes [B, D]: structure of `seen`, colours of a moved copy of `target`."""
    maps = trainer.encoder.encode_structure(seen, dtype=trainer.dtype)
    mirror = torch.rand((), generator=trainer.rng) < MIRROR_SHARE
    moved = jitter_geometry(target.flip(3) if mirror else target, trainer.rng)
    w = trainer.encoder.encode_appearance(moved, dtype=trainer.dtype)
    w_plus = w[:, None].expand(-1, trainer.generator.n_latent, -1)
    rebuilt = trainer.run_generator(w_plus, features=maps, noise="random", dtype=trainer.dtype, levels=levels)
    return rebuilt, maps, w


def _swap(trainer: Trainer, w: Tensor, maps: Tensor, target: Tensor) -> Tensor:
    """Measure how far the face's colour misses its place between the map's owner and the code's, for half the batch."""
    half = len(w) // 2
    own, other = losses.face_colour(target[:half]), losses.face_colour(target[half : 2 * half])
    w_plus = w[half : 2 * half, None].expand(-1, trainer.generator.n_latent, -1)
    swapped = trainer.generator(w_plus, features=maps[:half], noise="random", dtype=trainer.dtype, levels=SWAP_LEVELS)
    return (losses.face_colour(swapped) - torch.lerp(own, other, SWAP_REACH)).abs().mean()


def _halve(x: Tensor) -> Tensor:
    return nn.functional.avg_pool2d(x, 2)


def _discriminator_step(
    trainer: Trainer, faces: Faces, fake: Tensor, drawn: Tensor, corners: Tensor
) -> dict[str, float]:
    """Train the discriminator on sharp real crops against rebuilt ones, and its features on real and drawn ones."""
    config = trainer.config
    index = torch.multinomial(faces.sampling * faces.sharp, config.batch, generator=trainer.rng)
    real = _random_crops(jitter_light(faces.batch(index)[0], trainer.rng).to(trainer.device), corners)
    shown = torch.cat([real, drawn])
    with torch.no_grad():
        wanted = trainer.squeezenet(shown)
    found = trainer.discriminator.features(shown, dtype=trainer.dtype)
    distilled = trainer.heads(found, wanted, trainer.scales)
    logits_real = trainer.discriminator.logits(found[-1][: config.batch])
    adversarial = losses.discriminator_adversarial(logits_real, trainer.discriminator(fake, dtype=trainer.dtype))
    loss = adversarial + distilled
    if trainer.step % (config.r1_every * config.discriminator_every) == 0:
        penalty = losses.r1_penalty(trainer.discriminator, real[:4])
        loss = loss + penalty * (config.r1_gamma * config.r1_every)
    trainer.discriminator_optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    trainer.discriminator_optimiser.step()
    return {"discriminator": adversarial.item(), "distilled": distilled.item()}


@torch.no_grad()
def _average(trainer: Trainer) -> None:
    keep = min(trainer.config.ema, (1 + trainer.step) / (10 + trainer.step))
    for mean, live in ((trainer.ema_generator, trainer.generator), (trainer.ema_encoder, trainer.encoder)):
        for slow, fast in zip(mean.parameters(), live.parameters(), strict=True):
            slow.lerp_(fast, 1 - keep)


def run(trainer: Trainer, faces: Faces, out: Path) -> Iterator[dict[str, float]]:
    """Train for `config.minutes`; yield mean losses every `log_every` steps and save `out/checkpoint.pt`."""
    config = trainer.config
    started, before = time.monotonic(), trainer.seconds
    saved, count = started, 0
    sums: dict[str, float] = {}
    while trainer.seconds < config.minutes * 60:
        rate = learning_rate(config, trainer.seconds, trainer.step)
        for optimiser in (trainer.build_optimiser, trainer.discriminator_optimiser):
            optimiser.param_groups[0]["lr"] = rate
        for name, value in train_step(trainer, faces).items():
            sums[name] = sums.get(name, 0.0) + value
        count += 1
        trainer.step += 1
        now = time.monotonic()
        trainer.seconds = before + now - started
        if now - saved > config.save_every_s:
            trainer.save(out / "checkpoint.pt")
            saved = now
        if trainer.step % config.log_every == 0:
            means = {name: value / count for name, value in sums.items()}
            yield {"step": trainer.step, "seconds": round(trainer.seconds, 1), "learning_rate": rate} | means
            sums, count = {}, 0
    trainer.save(out / "checkpoint.pt")


def write_log(path: Path, row: dict[str, float]) -> None:
    """Append one JSON line."""
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
