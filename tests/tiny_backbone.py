"""A backbone like `mini` at 64 px with made-up weights, for tests of the stages that need no good pictures."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import torch
from PIL import Image
from torch import Tensor, nn

from core.engines.devices import freeze
from core.engines.fewshot_gan.backbone import Backbone, Recipe, SampleFaces
from core.engines.fewshot_gan.engine import FewShotGan
from core.engines.fewshot_gan.finetune import Example
from core.engines.fewshot_gan.invert import invert
from core.engines.fewshot_gan.mini import LANDMARKS_FILE, MINI_DIR
from core.engines.fewshot_gan.perceptual import DiscriminatorFeatures
from core.imaging.align import AlignedFace, use_as_aligned
from core.imaging.faces import FaceFinder
from core.imaging.photo import Photo, to_image, to_tensor
from core.networks.mini import MAP_CHANNELS, MiniEncoder, MiniGenerator
from core.networks.stylegan2 import Discriminator
from core.procedural import augmentations as styles
from core.studio import Studio

SIDE_PX = 64


def tiny_backbone() -> Backbone:
    """Float32 networks on the CPU, the same at every call."""
    torch.manual_seed(5)
    generator = MiniGenerator(SIDE_PX, widths=(16, 12, 8, 8), factors=4)
    generator.appearance_mean.normal_()
    generator.appearance_factors.normal_()
    encoder = MiniEncoder(SIDE_PX, generator.n_latent)
    discriminator = Discriminator(SIDE_PX, 0.0625, max_channels=32)
    for parameter in generator.noises.buffers():
        parameter.mul_(0.1)
    for module in (generator, encoder, discriminator):
        _soften_biases(module)
        freeze(module, torch.device("cpu"))
    layers = tuple(range(generator.n_latent))
    return Backbone(
        name="mini",
        fingerprint="0123456789abcdef",
        resolution=SIDE_PX,
        encoder_px=SIDE_PX,
        device=torch.device("cpu"),
        dtype=torch.float32,
        generator=generator,
        encoder=encoder,
        measures=MappingProxyType(
            {
                method: DiscriminatorFeatures(discriminator, blocks, dtype=torch.float32)
                for method, blocks in {"aligned": (1, 2, 3), "paper": (1, 2, 3), "jojogan": (1, 3, 4)}.items()
            }
        ),
        finder=FaceFinder("no-landmarks.dat"),
        recipes=MappingProxyType(
            {
                "aligned": Recipe(layers, alpha=0.5, identity_weight=0.0, colour_weight=1.0),
                "paper": Recipe(layers, alpha=0.0, identity_weight=0.02, style_weight=1.0, colour_weight=1.0),
                "jojogan": Recipe(layers, alpha=0.0, identity_weight=0.0),
            }
        ),
        sample_faces=SampleFaces(torch.randn(10, MAP_CHANNELS, 8, 8), torch.randn(10, 512)),
    )


def tiny_studio(backbone: Backbone | None = None) -> Studio:
    """A studio over a backbone, the tiny one by default."""
    return Studio(FewShotGan(backbone or tiny_backbone(), reason="the tests need no good pictures"))


def tiny_studio_that_finds_faces() -> Studio:
    """The tiny studio with the real face finder."""
    return tiny_studio(replace(tiny_backbone(), finder=FaceFinder(MINI_DIR / LANDMARKS_FILE)))


def _soften_biases(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        if name.endswith("noise.weight"):
            nn.init.constant_(parameter, 0.1)


@torch.no_grad()
def sampled_pictures(backbone: Backbone, count: int, *, seed: int = 0) -> Tensor:
    """Faces of the backbone's own, [count, 3, R, R] in [-1, 1]."""
    w_plus, features = backbone.sample(torch.Generator().manual_seed(seed), count)
    return backbone.generator(w_plus, features=features, dtype=backbone.dtype).clamp(-1, 1)


def drawings(backbone: Backbone, count: int, *, style: str = "hatching", seed: int = 0) -> list[Image.Image]:
    """Artworks made from sampled faces by one of the training styles."""
    rng = torch.Generator().manual_seed(seed)
    pictures = sampled_pictures(backbone, count, seed=seed)
    return [to_image(styles.TRAINING[style](picture[None], rng)) for picture in pictures]


def as_face(picture: Image.Image | Tensor, name: str = "face.png") -> AlignedFace:
    """A picture as an aligned face of its own size."""
    image = picture if isinstance(picture, Image.Image) else to_image(picture)
    return use_as_aligned(Photo(image, name), size_px=image.width)


def example_of(picture: Image.Image | Tensor, backbone: Backbone, sha256: str = "") -> Example:
    """A picture with its inversion."""
    face = as_face(picture)
    inversion = invert(face, backbone)
    return Example(to_tensor(face.image, size_px=backbone.resolution), inversion.w_plus, inversion.features, sha256)


def copies(module: nn.Module) -> dict[str, Tensor]:
    """The module's present state, to compare with later."""
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same_state(module: nn.Module, remembered: dict[str, Tensor]) -> bool:
    """Whether every tensor still has the very same bits."""
    state = module.state_dict()
    return set(state) == set(remembered) and all(torch.equal(state[name], remembered[name]) for name in state)
