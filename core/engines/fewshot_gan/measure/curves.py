"""What a benchmark times against resolution, batch and number of references."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial

import torch

from core.engines.devices import compute_dtype, freeze
from core.engines.fewshot_gan.engine import FewShotGan
from core.engines.fewshot_gan.measure.operations import load_mini, training_step
from core.engines.fewshot_gan.measure.pictures import sample_references
from core.engines.fewshot_gan.synthesize import synthesize
from core.networks.stylegan2 import Generator

RESOLUTIONS = (64, 128, 256, 512, 1024)
BATCHES = (1, 2, 4, 8)
REFERENCES = (1, 2, 4, 7, 14)


@dataclass(frozen=True)
class PointOperation:
    """One point of a curve: `x` is what varies along `axis`."""

    curve: str
    axis: str
    x: int
    run: Callable[[], object]


def curve_points(device: torch.device, *, backbones: Collection[str], quick: bool) -> Iterator[PointOperation]:
    """Give all points of the chosen backbones; `quick` keeps two small ones of each curve."""
    kept = 2 if quick else None
    if "mini" in backbones:
        engine = load_mini(device)
        yield from _batches(engine, BATCHES[:kept])
        yield from _references(engine, REFERENCES[:kept])
    if "ffhq" in backbones:
        yield from _resolutions(device, RESOLUTIONS[:kept])


def _batches(engine: FewShotGan, batches: tuple[int, ...]) -> Iterator[PointOperation]:
    """Time the embedded generator: several pictures at once."""
    for batch in batches:
        w_plus, features = engine.backbone.sample(torch.Generator().manual_seed(0), batch)
        run = partial(synthesize, w_plus, features, engine.backbone)
        yield PointOperation("synthesize (mini)", "pictures in a batch", batch, run)


def _references(engine: FewShotGan, counts: tuple[int, ...]) -> Iterator[PointOperation]:
    """Time the embedded backbone: one training step with ever more references."""
    references = sample_references(engine, counts[-1], torch.Generator().manual_seed(0))
    examples = [engine.example(face) for face in references]
    curve = f"fine-tuning step (mini, {engine.config('sketch').references_per_step} of them in each)"
    for count in counts:
        yield PointOperation(curve, "references", count, training_step(engine, examples[:count]).run)


def _resolutions(device: torch.device, resolutions: tuple[int, ...]) -> Iterator[PointOperation]:
    """StyleGAN2 (config-f channels, random weights): one picture at every resolution."""
    dtype = compute_dtype(device)
    for resolution in resolutions:
        generator = Generator(resolution)
        freeze(generator, device)
        codes = torch.randn(1, generator.n_latent, 512, generator=torch.Generator().manual_seed(0)).to(device)
        run = torch.no_grad()(partial(generator, codes, dtype=dtype))
        yield PointOperation("synthesize (ffhq shapes)", "resolution in px", resolution, run)
