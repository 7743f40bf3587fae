"""Rows of the 1024 px backbone's shapes. Random weights serve for speed, so nothing is downloaded.

The encoder is measured first and freed, so that it and a training step never share the memory.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn

from core.backbone import Backbone, Recipe, compute_dtype, freeze
from core.backbone_ffhq import ENCODER_PX, JOJOGAN_BLOCKS, PAPER_SWAP_LAYERS, RESOLUTION, E4eInverter
from core.benchmark.machine import DTYPES, Speed, dtype_name
from core.benchmark.timing import Row, Stopwatch, summarise, work_gflop
from core.config import FinetuneConfig, Method
from core.faces import FaceFinder
from core.finetune import Example, finetune_steps
from core.networks.e4e import Encoder4Editing, layer_count
from core.networks.stylegan2 import Discriminator, Generator
from core.perceptual import DiscriminatorFeatures, Perceptual, VggLpips

LONG_RUN_STEPS = 500  # the paper needs 120 s for these on a Tesla P40
METHOD_WORDS: MappingProxyType[Method, str] = MappingProxyType(
    {"jojogan": "JoJoGAN, discriminator features", "ours": "ours, LPIPS, with an identity anchor"}
)


class FfhqBench:
    """Random networks of the published shapes on one device.

    Args:
        resolution: 1024 as published; smaller ones for tests.
    """

    def __init__(self, watch: Stopwatch, speed: Speed, *, resolution: int = RESOLUTION) -> None:
        self.watch, self.speed, self.resolution = watch, speed, resolution
        self.dtype = compute_dtype(watch.device)
        self.codes = self._normal(1, layer_count(resolution), 512)

    def row(self, name: str, seconds: list[float], dtype: torch.dtype) -> Row:
        """A line of the report."""
        summary = summarise(seconds)
        work = work_gflop(summary.median_s, self.speed.of(dtype))
        return Row(name, "ffhq", dtype_name(dtype), summary, work, note="random weights")

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(self.watch.device)

    def picture(self, side_px: int) -> Tensor:
        """Noise [1, 3, side, side] in [-1, 1], the same on every device."""
        return self._normal(1, 3, side_px, side_px).tanh()

    def times(self, work: Callable[[], object]) -> list[float]:
        """Seconds of the repeats after a warm-up."""
        for _ in range(self.watch.warm_ups):
            work()
        return [self.watch.seconds(work) for _ in range(self.watch.repeats)]

    @torch.no_grad()
    def invert(self) -> Row:
        """e4e at 256 px; the network lives only here."""
        average = torch.zeros(layer_count(self.resolution), 512)
        inverter = freeze(E4eInverter(Encoder4Editing(self.resolution), average), self.watch.device)
        x = self.picture(ENCODER_PX)
        seconds = self.times(lambda: inverter(x, dtype=self.dtype))
        return self.row(f"e4e inversion, {ENCODER_PX} px", seconds, self.dtype)

    @torch.no_grad()
    def synthesize(self, generator: Generator, dtype: torch.dtype) -> Row:
        """One picture at the full resolution."""
        seconds = self.times(lambda: generator(self.codes, dtype=dtype))
        return self.row(f"synthesize, {self.resolution} px", seconds, dtype)

    @torch.no_grad()
    def features(self, discriminator: Discriminator) -> Row:
        """The discriminator's features of one picture, as JoJoGAN compares them."""
        x = self.picture(self.resolution)
        seconds = self.times(lambda: discriminator.features(x, dtype=self.dtype))
        return self.row(f"discriminator features, {self.resolution} px", seconds, self.dtype)

    def backbone(self, generator: Generator, measure: Perceptual, method: Method) -> Backbone:
        """What one method's fine-tuning needs, with the published recipe; it has no encoder and no face finder."""
        swapped = PAPER_SWAP_LAYERS if method == "ours" else range(7, 18)
        layers = _existing(swapped, generator)
        alpha, identity_weight = (0.5, 0.001) if method == "ours" else (0.0, 0.0)
        return Backbone(
            name="ffhq",
            fingerprint="random weights",
            resolution=self.resolution,
            encoder_px=ENCODER_PX,
            device=self.watch.device,
            dtype=self.dtype,
            generator=generator,
            encoder=nn.Identity(),
            measures=MappingProxyType({method: measure}),
            finder=FaceFinder(Path()),
            recipes=MappingProxyType({method: Recipe(layers, alpha, identity_weight)}),
        )

    def _steps(self, backbone: Backbone, method: Method, steps: int) -> Iterator[object]:
        example = Example(self.picture(self.resolution), self.codes, None)
        return finetune_steps([example], [example], FinetuneConfig(method, steps), backbone, name="benchmark")

    def finetune_step(self, backbone: Backbone, method: Method) -> Row:
        """One step (forward, backward, Adam) with one reference."""
        steps = self._steps(backbone, method, self.watch.warm_ups + self.watch.repeats)
        seconds = self.times(lambda: next(steps))
        steps.close()
        return self.row(
            f"fine-tuning step, {self.resolution} px, 1 reference: {METHOD_WORDS[method]}", seconds, self.dtype
        )

    def finetune_run(self, backbone: Backbone, method: Method, steps: int = LONG_RUN_STEPS) -> Row:
        """A whole run with one reference, once."""
        seconds = self.watch.seconds(lambda: list(self._steps(backbone, method, steps)))
        name = f"{steps} steps, {self.resolution} px, 1 reference: {METHOD_WORDS[method]}"
        return self.row(name, [seconds], self.dtype)


def ffhq_rows(watch: Stopwatch, speed: Speed, *, quick: bool, resolution: int | None = None) -> Iterator[Row]:
    """Inversion, synthesis, features and training steps; on an accelerator also a whole run.

    Args:
        quick: leave out what takes long: the encoder, synthesis in both precisions, LPIPS; 64 px instead of 1024.
        resolution: of the generator, for tests.
    """
    bench = FfhqBench(watch, speed, resolution=resolution or (64 if quick else RESOLUTION))
    if not quick:
        yield bench.invert()
        gc.collect()
    generator = freeze(Generator(bench.resolution), watch.device)
    for dtype in (bench.dtype,) if quick else DTYPES:
        yield bench.synthesize(generator, dtype)
    discriminator = freeze(Discriminator(bench.resolution), watch.device)
    yield bench.features(discriminator)
    for method in ("jojogan",) if quick else ("jojogan", "ours"):
        measure = _measure(method, discriminator, bench.dtype).to(watch.device)
        backbone = bench.backbone(generator, measure, method)
        yield bench.finetune_step(backbone, method)
        if watch.device.type != "cpu" and not quick:
            yield bench.finetune_run(backbone, method)


def _measure(method: Method, discriminator: Discriminator, dtype: torch.dtype) -> Perceptual:
    if method == "ours":
        return VggLpips(random_vgg16(), dtype=dtype)
    blocks = [block for block in JOJOGAN_BLOCKS if block < len(discriminator.convs)]
    return DiscriminatorFeatures(discriminator, blocks, dtype=dtype)


def random_vgg16() -> dict[str, Tensor]:
    """VGG16's convolutions as a published file would name them, with fresh weights."""
    import lpips  # loads torchvision, which takes seconds

    net = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False).net
    return {f"features.{name.split('.', 1)[1]}": tensor for name, tensor in net.state_dict().items()}


def _existing(layers: Iterable[int], generator: Generator) -> tuple[int, ...]:
    return tuple(layer for layer in layers if layer < generator.n_latent)
