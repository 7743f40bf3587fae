"""Cost against resolution, batch and references: curves for `--sweep`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from core.engines.fewshot_gan.backbone import compute_dtype, freeze
from core.engines.fewshot_gan.synthesize import synthesize
from core.evaluate.benchmark.machine import Speed
from core.evaluate.benchmark.mini_rows import MiniBench
from core.evaluate.benchmark.timing import Stopwatch, Summary
from core.networks.stylegan2 import Generator
from core.studio import Studio

RESOLUTIONS = (64, 128, 256, 512, 1024)
BATCHES = (1, 2, 4, 8)
REFERENCES = (1, 2, 4, 7, 14)


@dataclass(frozen=True)
class Point:
    """One measurement of a curve: `x` is what varies along `axis`."""

    curve: str
    axis: str
    x: int
    summary: Summary

    def as_report(self) -> dict[str, object]:
        """Flat plain values."""
        return {"curve": self.curve, "axis": self.axis, "x": self.x, **vars(self.summary)}


@torch.no_grad()
def resolution_curve(watch: Stopwatch, resolutions: tuple[int, ...]) -> Iterator[Point]:
    """StyleGAN2 (config-f channels, random weights): one picture at every resolution."""
    dtype = compute_dtype(watch.device)
    for resolution in resolutions:
        generator = freeze(Generator(resolution), watch.device)
        rng = torch.Generator().manual_seed(0)
        codes = torch.randn(1, generator.n_latent, 512, generator=rng).to(watch.device)
        summary = watch.time(lambda codes=codes, generator=generator: generator(codes, dtype=dtype))
        yield Point("synthesize (ffhq shapes)", "resolution in px", resolution, summary)


def batch_curve(watch: Stopwatch, studio: Studio, batches: tuple[int, ...]) -> Iterator[Point]:
    """The embedded generator: several pictures at once."""
    for batch in batches:
        w_plus, features = studio.backbone.sample(torch.Generator().manual_seed(0), batch)
        summary = watch.time(lambda w=w_plus, f=features: synthesize(w, f, studio.backbone))
        yield Point("synthesize (mini)", "pictures in a batch", batch, summary)


def reference_curve(bench: MiniBench, counts: tuple[int, ...]) -> Iterator[Point]:
    """The embedded backbone: one training step with ever more references."""
    curve = f"fine-tuning step (mini, {bench.studio.config('sketch').references_per_step} of them in each)"
    for count in counts:
        yield Point(curve, "references", count, bench.finetune_step(count).summary)


def sweep(watch: Stopwatch, speed: Speed, *, backbones: tuple[str, ...], quick: bool) -> Iterator[Point]:
    """All curves of the chosen backbones; `quick` keeps two small points of each."""
    kept = slice(2 if quick else None)
    if "mini" in backbones:
        studio = Studio.open("mini", device=str(watch.device))
        yield from batch_curve(watch, studio, BATCHES[kept])
        bench = MiniBench(studio, watch, speed, references=REFERENCES[kept][-1])
        yield from reference_curve(bench, REFERENCES[kept])
    if "ffhq" in backbones:
        yield from resolution_curve(watch, RESOLUTIONS[kept])
