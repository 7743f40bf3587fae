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

import torch
from torch import Tensor, nn

from core.networks.mini import DISCRIMINATOR, MiniEncoder, MiniGenerator
from core.networks.ops import channels_last
from core.networks.squeezenet import SqueezeNetFeatures
from core.networks.stylegan2 import Discriminator
from core.pretrain import losses, styles
from core.pretrain.data import Faces, jitter_geometry, jitter_light

CROP_PX = DISCRIMINATOR["resolution"]
MIRROR_SHARE = 0.25  # of the steps: appearance is read from a mirrored copy, so that it carries no outline


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one run; a resumed run takes them from its command line again.

    Attributes:
        batch: pictures per step.
        minutes: training time, earlier runs of a resumed one included; the learning rate falls over its last
            `decay_share`.
        stylized_share: share of pictures whose map is read from an artwork.
        *_weight: factors of the losses.
        coarse_share: share of the minutes, from the start, in which pictures are rebuilt at half the resolution,
            without a discriminator.
        judge_every: steps between two of the discriminator.
        r1_every, r1_gamma: lazy R1 of StyleGAN2.
        bf16: compute in bfloat16; parameters stay in float32.
        compile: fuse the generator's operations with torch.compile (needs a C++ compiler on a CPU).
    """

    batch: int = 8
    minutes: float = 60.0
    learning_rate: float = 2e-3
    decay_share: float = 0.35
    stylized_share: float = 0.55
    pixel_weight: float = 4.0
    feature_weight: float = 1.0
    map_weight: float = 1e-4
    adversarial_weight: float = 0.12
    coarse_share: float = 0.35
    judge_every: int = 2
    r1_every: int = 16
    r1_gamma: float = 2.0
    ema: float = 0.998
    seed: int = 0
    bf16: bool = True
    compile: bool = False
    log_every: int = 50
    save_every_s: float = 240.0


class Trainer:
    """Networks, optimisers and counters of a run; `save` and `load` carry all of it."""

    def __init__(self, config: TrainConfig, oracles: Path, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.device = device
        self.dtype = torch.bfloat16 if config.bf16 else torch.float32
        self.generator = channels_last(MiniGenerator().to(device))
        self.encoder = channels_last(MiniEncoder(256, self.generator.n_latent).to(device))
        self.discriminator = channels_last(Discriminator(**DISCRIMINATOR).to(device))
        self.heads = losses.DistillationHeads(self._block_channels()).to(device)
        self.ema_generator, self.ema_encoder = copy.deepcopy(self.generator), copy.deepcopy(self.encoder)
        builders = [*self.generator.parameters(), *self.encoder.parameters()]
        judges = [*self.discriminator.parameters(), *self.heads.parameters()]
        self.build_optimiser = torch.optim.Adam(builders, lr=config.learning_rate, betas=(0.5, 0.99))
        self.judge_optimiser = torch.optim.Adam(judges, lr=config.learning_rate, betas=(0.0, 0.99))
        squeezenet = SqueezeNetFeatures(oracles / "squeezenet11_features.npz", taps=losses.FEATURE_TAPS)
        self.squeezenet = squeezenet.to(device=device, dtype=self.dtype).to(memory_format=torch.channels_last)
        self.scales: list[float] = []
        self.rng = torch.Generator().manual_seed(config.seed)
        self.step, self.seconds = 0, 0.0
        self.run_generator = torch.compile(self.generator, dynamic=False) if config.compile else self.generator

    def _block_channels(self) -> list[int]:
        return [block.skip[1].weight.shape[0] for block in self.discriminator.convs[1:]]

    @property
    def coarse(self) -> bool:
        """True while pictures are rebuilt at half the resolution."""
        return self.seconds < self.config.coarse_share * self.config.minutes * 60

    def state(self) -> dict:
        """Everything that resuming needs."""
        modules = {name: getattr(self, name).state_dict() for name in _SAVED_MODULES}
        return modules | {
            "step": self.step,
            "seconds": self.seconds,
            "scales": self.scales,
            "rng": self.rng.get_state(),
            "noise_rng": torch.get_rng_state(),
            "config": asdict(self.config),
        }

    def save(self, path: Path) -> None:
        """Write a checkpoint beside `path` and move it there, so that a killed run leaves the last one whole."""
        part = path.with_suffix(".part")
        torch.save(self.state(), part)
        part.replace(path)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint that `save` wrote."""
        state = torch.load(path, weights_only=True, map_location="cpu")
        for name in _SAVED_MODULES:
            getattr(self, name).load_state_dict(state[name])
        self.step, self.seconds, self.scales = state["step"], state["seconds"], state["scales"]
        self.rng.set_state(state["rng"])
        torch.set_rng_state(state["noise_rng"])


_SAVED_MODULES = (
    *("generator", "encoder", "discriminator", "heads", "ema_generator", "ema_encoder"),
    *("build_optimiser", "judge_optimiser"),
)


def learning_rate(config: TrainConfig, seconds: float) -> float:
    """Constant, then a cosine down to 2 % over the last `decay_share` of the run's minutes."""
    done = min(1.0, seconds / (config.minutes * 60))
    late = max(0.0, (done - (1 - config.decay_share)) / config.decay_share)
    return config.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * late)))


def draw_batch(faces: Faces, config: TrainConfig, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One batch on the CPU: target, what the structure encoder sees, drawings among them, and loss weights.

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
        change = styles.random_style if is_drawn[i] else styles.random_tone
        seen[i : i + 1] = change(target[i : i + 1], rng)
    return target, seen, is_drawn, weights


def _random_crops(x: Tensor, corners: Tensor) -> Tensor:
    crops = [x[i, :, r : r + CROP_PX, c : c + CROP_PX] for i, (r, c) in enumerate(corners.tolist())]
    return torch.stack(crops)


def train_step(trainer: Trainer, faces: Faces) -> dict[str, float]:
    """One step of generator and encoder, then one of the discriminator; returns the losses."""
    config, device, coarse = trainer.config, trainer.device, trainer.coarse
    target, seen, _, weights = (t.to(device) for t in draw_batch(faces, config, trainer.rng))
    rebuilt, maps = _rebuild(trainer, target, seen, levels=2 if coarse else None)
    if coarse:
        target, weights = _halve(target), _halve(weights)
    with torch.no_grad():
        wanted = [x.float() for x in trainer.squeezenet(target)]
        if not trainer.scales:
            trainer.scales = [1.0 / max(x.abs().mean().item(), 1e-6) for x in wanted]
    pixel = losses.weighted_l1(rebuilt, target, weights)
    feature = losses.feature_distance(trainer.squeezenet, rebuilt, wanted, trainer.scales)
    loss = config.pixel_weight * pixel + config.feature_weight * feature + config.map_weight * maps.square().mean()
    report = {"pixel": pixel.item(), "feature": feature.item()}
    corners = torch.randint(0, 256 - CROP_PX + 1, (config.batch, 2), generator=trainer.rng)
    judging = not coarse and trainer.step % config.judge_every == 0
    if judging:
        fake = _random_crops(rebuilt, corners)
        adversarial = losses.generator_adversarial(trainer.discriminator(fake, dtype=trainer.dtype))
        loss = loss + config.adversarial_weight * config.judge_every * adversarial
        report["adversarial"] = adversarial.item()
    trainer.build_optimiser.zero_grad(set_to_none=True)
    loss.backward()
    trainer.build_optimiser.step()
    if judging:
        report |= _judge_step(trainer, faces, fake.detach(), _random_crops(seen, corners), corners)
    _average(trainer)
    return report


def _rebuild(trainer: Trainer, target: Tensor, seen: Tensor, *, levels: int | None) -> tuple[Tensor, Tensor]:
    """Rebuilt pictures [B, 3, H, W] and maps: structure from `seen`, colours from a moved copy of `target`."""
    maps = trainer.encoder.encode_structure(seen, dtype=trainer.dtype)
    mirror = torch.rand((), generator=trainer.rng) < MIRROR_SHARE
    moved = jitter_geometry(target.flip(3) if mirror else target, trainer.rng)
    w = trainer.encoder.encode_appearance(moved, dtype=trainer.dtype)
    w_plus = w[:, None].expand(-1, trainer.generator.n_latent, -1)
    rebuilt = trainer.run_generator(w_plus, features=maps, noise="random", dtype=trainer.dtype, levels=levels)
    return rebuilt, maps


def _halve(x: Tensor) -> Tensor:
    return nn.functional.avg_pool2d(x, 2)


def _judge_step(trainer: Trainer, faces: Faces, fake: Tensor, drawn: Tensor, corners: Tensor) -> dict[str, float]:
    """Train the discriminator on sharp real crops against rebuilt ones, and its features on real and drawn ones."""
    config = trainer.config
    index = torch.multinomial(faces.sampling * faces.sharp, config.batch, generator=trainer.rng)
    real = _random_crops(jitter_light(faces.batch(index)[0], trainer.rng).to(trainer.device), corners)
    shown = torch.cat([real, drawn])
    with torch.no_grad():
        wanted = trainer.squeezenet(shown)
    found = trainer.discriminator.features(shown, dtype=trainer.dtype)
    distilled = trainer.heads(found, wanted, trainer.scales)
    logits_real = trainer.discriminator.judge(found[-1][: config.batch])
    judged = losses.discriminator_adversarial(logits_real, trainer.discriminator(fake, dtype=trainer.dtype))
    loss = judged + distilled
    if trainer.step % (config.r1_every * config.judge_every) == 0:
        penalty = losses.r1_penalty(trainer.discriminator, real[:4])
        loss = loss + penalty * (config.r1_gamma * config.r1_every)
    trainer.judge_optimiser.zero_grad(set_to_none=True)
    loss.backward()
    trainer.judge_optimiser.step()
    return {"judge": judged.item(), "distilled": distilled.item()}


@torch.no_grad()
def _average(trainer: Trainer) -> None:
    keep = min(trainer.config.ema, (1 + trainer.step) / (10 + trainer.step))
    for mean, live in ((trainer.ema_generator, trainer.generator), (trainer.ema_encoder, trainer.encoder)):
        for slow, fast in zip(mean.parameters(), live.parameters(), strict=True):
            slow.lerp_(fast, 1 - keep)


def run(trainer: Trainer, faces: Faces, out: Path) -> Iterator[dict[str, float]]:
    """Train for `config.minutes`; yields mean losses every `log_every` steps and saves `out/checkpoint.pt`."""
    config = trainer.config
    started, before = time.monotonic(), trainer.seconds
    saved, sums, count = started, {}, 0
    while trainer.seconds < config.minutes * 60:
        rate = learning_rate(config, trainer.seconds)
        for optimiser in (trainer.build_optimiser, trainer.judge_optimiser):
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
