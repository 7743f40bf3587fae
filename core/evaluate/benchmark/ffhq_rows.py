"""Rows of the 1024 px backbone's shapes. Random weights serve for speed, so nothing is downloaded.

The encoder is measured first and freed, so that it and a training step never share the memory.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn

from core.config import PRESET_STEPS, FinetuneConfig, Method
from core.engines.fewshot_gan.backbone import Backbone, Recipe, compute_dtype, freeze
from core.engines.fewshot_gan.ffhq import (
    ENCODER_PX,
    JOJOGAN_BLOCKS,
    PAPER_SWAP_LAYERS,
    RESOLUTION,
    E4eInverter,
    load_e4e,
    load_stylegan2,
)
from core.engines.fewshot_gan.finetune import Example, finetune_steps
from core.engines.fewshot_gan.perceptual import DiscriminatorFeatures, Perceptual, VggLpips
from core.evaluate.benchmark.machine import DTYPES, Speed, dtype_name
from core.evaluate.benchmark.pictures import make_pictures
from core.evaluate.benchmark.timing import Row, Stopwatch, summarise, work_gflop
from core.imaging.align import align
from core.imaging.faces import FaceFinder
from core.imaging.photo import Photo
from core.networks.checkpoints import ENCODER_PREFIX
from core.networks.e4e import Encoder4Editing, layer_count
from core.networks.stylegan2 import Discriminator, Generator
from core.studio import Studio

LONG_PRESET = "sketch"  # what `--long` runs on a CPU, where it takes a quarter of an hour
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

    def row(self, name: str, seconds: list[float], dtype: torch.dtype | None) -> Row:
        """A line of the report; `dtype` is None where no network runs."""
        summary = summarise(seconds)
        if dtype is None:
            return Row(name, "ffhq", "none", summary, note="random weights")
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

    def load(self) -> Iterator[Row]:
        """Checkpoints in the published format, read from the page cache and checked name by name."""
        with tempfile.TemporaryDirectory(prefix="checkpoints-") as folder:
            path = Path(folder) / "checkpoint.pt"
            torch.save(
                {"g_ema": Generator(self.resolution).state_dict(), "d": Discriminator(self.resolution).state_dict()},
                path,
            )
            name = f"load StyleGAN2, {self.resolution} px, {path.stat().st_size / 1e6:.0f} MB"
            yield self.row(name, self.times(lambda: self._onto_device(*load_stylegan2(path, self.resolution))), None)
            encoder = Encoder4Editing(self.resolution)
            state = {f"{ENCODER_PREFIX}{key}": value for key, value in encoder.state_dict().items()}
            torch.save({"state_dict": state, "latent_avg": torch.zeros(encoder.n_latent, 512)}, path)
            del encoder, state
            name = f"load e4e, {path.stat().st_size / 1e6:.0f} MB"
            yield self.row(name, self.times(lambda: self._onto_device(load_e4e(path, self.resolution))), None)

    def _onto_device(self, *networks: nn.Module) -> None:
        for network in networks:
            freeze(network, self.watch.device)

    def align(self, photo: Photo, finder: FaceFinder) -> Row:
        """Detector, landmarks and the crop at the full resolution; the finder is the embedded model's."""
        seconds = self.times(lambda: align(photo, finder, size_px=self.resolution))
        return self.row(f"detect and align, {self.resolution} px", seconds, None)

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

    def preset(self, backbone: Backbone, method: Method, preset: str, *, steps: int | None = None) -> Row:
        """A preset's whole run with one reference, once. The paper's 500 steps took 120 s on a Tesla P40."""
        count = steps or PRESET_STEPS[preset]
        seconds = self.watch.seconds(lambda: list(self._steps(backbone, method, count)))
        name = f"preset {preset}, {self.resolution} px, 1 reference, {count} steps: {METHOD_WORDS[method]}"
        return self.row(name, [seconds], self.dtype)


def ffhq_rows(
    watch: Stopwatch,
    speed: Speed,
    *,
    quick: bool = False,
    long: bool = False,
    photo: Photo | None = None,
    resolution: int | None = None,
) -> Iterator[Row]:
    """Loading, alignment, inversion, synthesis, features, training steps; on an accelerator also whole presets.

    Args:
        quick: leave out what takes long: loading, the encoder, synthesis in both precisions, LPIPS; 64 px instead of
            1024.
        long: on a CPU, one whole preset too.
        photo: to find a face in; a sampled one where None.
        resolution: of the generator, for tests.
    """
    bench = FfhqBench(watch, speed, resolution=resolution or (64 if quick else RESOLUTION))
    if not quick:
        yield from bench.load()
        studio = Studio.open("mini", device=str(watch.device))
        yield bench.align(make_pictures(studio, references=0, photo=photo).photo, studio.backbone.finder)
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
        for preset in _whole_presets(watch.device, method, quick=quick, long=long):
            yield bench.preset(backbone, method, preset)


def _whole_presets(device: torch.device, method: Method, *, quick: bool, long: bool) -> tuple[str, ...]:
    if quick:
        return ()
    if device.type != "cpu":
        return tuple(PRESET_STEPS)
    return (LONG_PRESET,) if long and method == "ours" else ()


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
