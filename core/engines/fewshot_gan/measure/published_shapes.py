"""What a benchmark times of the 1024 px backbone's shapes. Random weights serve for speed: nothing is downloaded.

The encoder comes first and is freed, so that it and a training step never share the memory.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn

from core.engines.base import TrainingStep
from core.engines.devices import compute_dtype, freeze
from core.engines.fewshot_gan.backbone import Backbone
from core.engines.fewshot_gan.config import FinetuneConfig, Method
from core.engines.fewshot_gan.ffhq import (
    ENCODER_PX,
    RESOLUTION,
    E4eInverter,
    jojogan_features,
    load_e4e,
    load_stylegan2,
    recipes,
)
from core.engines.fewshot_gan.finetune import Example, finetune_steps
from core.engines.fewshot_gan.measure.operations import STEPS, Operation, load_mini
from core.engines.fewshot_gan.measure.pictures import make_pictures
from core.engines.fewshot_gan.perceptual import Perceptual, VggLpips
from core.imaging.align import align
from core.imaging.faces import FaceFinder
from core.imaging.photo import Photo
from core.networks.checkpoints import ENCODER_PREFIX
from core.networks.e4e import Encoder4Editing, layer_count
from core.networks.stylegan2 import Discriminator, Generator

QUICK_PX = 64
LONG_PRESET = "sketch"  # what is run in full on a CPU on request, where it takes a quarter of an hour
NOTE = "random weights"
METHOD_TITLES: MappingProxyType[Method, str] = MappingProxyType(
    {"jojogan": "JoJoGAN, discriminator features", "paper": "ours, LPIPS, with an identity anchor"}
)


def ffhq_operations(
    device: torch.device,
    *,
    quick: bool = False,
    long: bool = False,
    photo: Photo | None = None,
    resolution: int | None = None,
) -> Iterator[Operation]:
    """Give loading, aligning, inversion, synthesis, features, training steps; on an accelerator also whole presets.

    Args:
        device: where to compute.
        quick: leave out what takes long: loading, the encoder, synthesis in both precisions, LPIPS; 64 px instead of
            1024.
        long: on a CPU, one whole preset too.
        photo: to find a face in; a sampled one where None.
        resolution: of the generator, for tests.
    """
    shapes = PublishedShapes(device, resolution or (QUICK_PX if quick else RESOLUTION))
    if not quick:
        yield from shapes.loading()
        yield shapes.aligning(photo)
        yield from shapes.inversion()
        gc.collect()
    generator, discriminator = Generator(shapes.resolution), Discriminator(shapes.resolution)
    for network in (generator, discriminator):
        freeze(network, device)
    for dtype in (shapes.dtype,) if quick else (torch.bfloat16, torch.float32):
        yield shapes.synthesis(generator, dtype)
    yield shapes.features(discriminator)
    methods: tuple[Method, ...] = ("jojogan",) if quick else ("jojogan", "paper")
    for method in methods:
        backbone = shapes.backbone(generator, perceptual(method, discriminator, shapes.dtype).to(device), method)
        yield shapes.training_step(backbone, method)
        for preset in whole_presets(device, method, quick=quick, long=long):
            yield shapes.whole_preset(backbone, method, preset)


class PublishedShapes:
    """Random networks of the published shapes on one device.

    Args:
        device: where to compute.
        resolution: 1024 as published; smaller ones for tests.
    """

    def __init__(self, device: torch.device, resolution: int = RESOLUTION) -> None:
        self.device, self.resolution = device, resolution
        self.dtype = compute_dtype(device)
        self.codes = self._normal(1, layer_count(resolution), 512)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(self.device)

    def _picture(self, side_px: int) -> Tensor:
        """Noise [1, 3, side, side] in [-1, 1], the same on every device."""
        return self._normal(1, 3, side_px, side_px).tanh()

    def loading(self) -> Iterator[Operation]:
        """Give two: checkpoints in the published format, read from the page cache and checked name by name."""
        with tempfile.TemporaryDirectory(prefix="checkpoints-") as folder:
            path = Path(folder) / "checkpoint.pt"
            networks = {"g_ema": Generator(self.resolution), "d": Discriminator(self.resolution)}
            torch.save({name: network.state_dict() for name, network in networks.items()}, path)
            name = f"load StyleGAN2, {self.resolution} px, {path.stat().st_size / 1e6:.0f} MB"
            yield Operation(name, "ffhq", lambda: self._place(*load_stylegan2(path, self.resolution)), note=NOTE)
            encoder = Encoder4Editing(self.resolution)
            state = {f"{ENCODER_PREFIX}{key}": value for key, value in encoder.state_dict().items()}
            torch.save({"state_dict": state, "latent_avg": torch.zeros(encoder.n_latent, 512)}, path)
            del networks, encoder, state
            name = f"load e4e, {path.stat().st_size / 1e6:.0f} MB"
            yield Operation(name, "ffhq", lambda: self._place(load_e4e(path, self.resolution)), note=NOTE)

    def _place(self, *networks: nn.Module) -> None:
        for network in networks:
            freeze(network, self.device)

    def aligning(self, photo: Photo | None = None) -> Operation:
        """Detector, landmarks and the crop at the full resolution; the finder is the embedded model's."""
        mini = load_mini(self.device)
        shown = make_pictures(mini, references=0, photo=photo).photo
        return Operation(
            f"detect and align, {self.resolution} px",
            "ffhq",
            lambda: align(shown, mini.finder, size_px=self.resolution),
            note=NOTE,
        )

    def inversion(self) -> Iterator[Operation]:
        """Give one: e4e at 256 px; the network lives only here."""
        average = torch.zeros(layer_count(self.resolution), 512)
        inverter = freeze(E4eInverter(Encoder4Editing(self.resolution), average), self.device)
        x = self._picture(ENCODER_PX)
        run = torch.no_grad()(lambda: inverter(x, dtype=self.dtype))
        yield Operation(f"e4e inversion, {ENCODER_PX} px", "ffhq", run, self.dtype, NOTE)

    def synthesis(self, generator: nn.Module, dtype: torch.dtype) -> Operation:
        """One picture at the full resolution."""
        run = torch.no_grad()(lambda: generator(self.codes, dtype=dtype))
        return Operation(f"synthesize, {self.resolution} px", "ffhq", run, dtype, NOTE)

    def features(self, discriminator: Discriminator) -> Operation:
        """Prepare the discriminator's features of one picture, as JoJoGAN compares them."""
        x = self._picture(self.resolution)
        run = torch.no_grad()(lambda: discriminator.features(x, dtype=self.dtype))
        return Operation(f"discriminator features, {self.resolution} px", "ffhq", run, self.dtype, NOTE)

    def backbone(self, generator: Generator, measure: Perceptual, method: Method) -> Backbone:
        """Make what one method's fine-tuning needs, with the published recipe; it has no encoder and no face finder."""
        return Backbone(
            name="ffhq",
            fingerprint=NOTE,
            resolution=self.resolution,
            encoder_px=ENCODER_PX,
            device=self.device,
            dtype=self.dtype,
            generator=generator,
            encoder=nn.Identity(),
            measures=MappingProxyType({method: measure}),
            finder=FaceFinder(Path()),
            recipes=recipes(generator.n_latent),
        )

    def _train(self, backbone: Backbone, config: FinetuneConfig) -> Iterator[TrainingStep]:
        example = Example(self._picture(self.resolution), self.codes, None)
        return finetune_steps([example], [example], config, backbone, name="benchmark")

    def training_step(self, backbone: Backbone, method: Method) -> Operation:
        """Prepare a step (forward, backward, Adam) with one reference."""
        steps = self._train(backbone, FinetuneConfig(method=method, steps=STEPS))
        name = f"fine-tuning step, {self.resolution} px, 1 reference: {METHOD_TITLES[method]}"
        return Operation(name, "ffhq", lambda: next(steps), self.dtype, NOTE)

    def whole_preset(self, backbone: Backbone, method: Method, preset: str, *, steps: int | None = None) -> Operation:
        """Prepare a preset's whole run with one reference. The paper's 500 steps took 120 s on a Tesla P40."""
        settings = {**FinetuneConfig.presets[preset], "method": method} | ({} if steps is None else {"steps": steps})
        config = FinetuneConfig(**settings)
        name = f"preset {preset}, {self.resolution} px, 1 reference, {config.steps} steps: {METHOD_TITLES[method]}"
        return Operation(name, "ffhq", lambda: list(self._train(backbone, config)), self.dtype, NOTE, once=True)


def whole_presets(device: torch.device, method: Method, *, quick: bool, long: bool) -> tuple[str, ...]:
    """Name the presets to run in full: all on an accelerator; on a CPU one of the slower method's, on request."""
    if quick:
        return ()
    if device.type != "cpu":
        return tuple(FinetuneConfig.presets)
    return (LONG_PRESET,) if long and method == "paper" else ()


def perceptual(method: Method, discriminator: Discriminator, dtype: torch.dtype) -> Perceptual:
    """How a method compares pictures, with random weights."""
    if method == "paper":
        return VggLpips(random_vgg16(), dtype=dtype)
    return jojogan_features(discriminator, dtype)


def random_vgg16() -> dict[str, Tensor]:
    """VGG16's convolutions as a published file would name them, with fresh weights."""
    import lpips  # loads torchvision, which takes seconds

    net = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False).net
    return {f"features.{name.split('.', 1)[1]}": tensor for name, tensor in net.state_dict().items()}
