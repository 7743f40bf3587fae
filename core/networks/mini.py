"""The embedded backbone's generator and encoder: StyleGAN2 layers over a feature map that keeps the person.

A W+ code alone loses the person when a generator has seen only a few thousand faces. Here the encoder gives two things:

- `features` [B, 32, R/8, R/8], read from the *luminance* of the picture, holds structure (who this is);
- `w_plus` [B, L, 512], read from the colours at low resolution, holds appearance (light, skin, hair, background).

The generator is StyleGAN2's from R/8 up, started from that map instead of a constant. The map is trained to be the
same for a photo and for artworks of it, so that an inverted artwork looks like a photo of the drawn person: the pairs
of equation 1 of StyleIdentityGAN need that.

Layers: Karras et al. 2020 (StyleGAN2). The split into a structure map and an appearance code follows the idea of
identity-preserving face recovery; the architecture is this project's own.
"""

from __future__ import annotations

import math
from typing import TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.networks.ops import BiasedLeakyReLU, EqualConv2d, EqualLinear, conv_layer, luminance
from core.networks.stylegan2 import Noise, Synthesis


class DiscriminatorSize(TypedDict):
    """Arguments of `core.networks.stylegan2.Discriminator`."""

    resolution: int
    channel_multiplier: float
    max_channels: int


STYLE_DIM = 512
MAP_CHANNELS = 32
MAP_STRIDE = 8
# The discriminator sees crops at full resolution; its features measure pictures in the few-shot fine-tune.
DISCRIMINATOR: DiscriminatorSize = {"resolution": 128, "channel_multiplier": 0.1875, "max_channels": 128}


class MiniGenerator(Synthesis):
    """Feature map and codes to picture.

    Args:
        resolution: side of the picture; the map has 1/8 of it.
        widths: channels at 1/8, 1/4, 1/2 and the full resolution.
        factors: directions of appearance that the fitted distribution keeps.
    """

    appearance_mean: Tensor
    appearance_factors: Tensor

    def __init__(
        self, resolution: int = 256, *, widths: tuple[int, int, int, int] = (128, 96, 48, 24), factors: int = 64
    ) -> None:
        start = resolution // MAP_STRIDE
        channels = {start * 2**k: width for k, width in enumerate(widths)}
        super().__init__(start, resolution, channels, STYLE_DIM)
        self.position = nn.Parameter(torch.zeros(1, widths[0], start, start))
        self.read_map = nn.Sequential(EqualConv2d(MAP_CHANNELS, widths[0], 3), BiasedLeakyReLU(widths[0]))
        self.register_buffer("appearance_mean", torch.zeros(STYLE_DIM))
        self.register_buffer("appearance_factors", torch.zeros(factors, STYLE_DIM))

    def mapping(self, z: Tensor) -> Tensor:
        """Turn z [B, D], standard normal, into a natural appearance code w [B, D].

        A Gaussian fitted to the codes of the training faces stands where StyleGAN2 has a mapping network; the first
        `factors` entries of z are used.
        """
        factors = self.appearance_factors
        return self.appearance_mean + z[:, : factors.shape[0]] @ factors

    def forward(
        self,
        w_plus: Tensor,
        *,
        features: Tensor | None,
        noise: Noise = "fixed",
        dtype: torch.dtype = torch.float32,
        levels: int | None = None,
    ) -> Tensor:
        """Draw codes [B, L, D] and map [B, 32, R/8, R/8]: a picture [B, 3, R, R] in float32, about [-1, 1].

        Args:
            w_plus: codes.
            features: the structure map.
            noise: as in `core.networks.stylegan2.Generator`.
            dtype: of the arithmetic.
            levels: stop after so many doublings of R/8 (0 to 3); None runs all.
        """
        if features is None:
            raise ValueError("the embedded generator needs the encoder's feature map, got None")
        x = features.to(dtype).contiguous(memory_format=torch.channels_last)
        return self.synthesize(self.read_map(x) + self.position.to(dtype), w_plus, noise, levels=levels)


class PlainBlock(nn.Module):
    """Residual block of two 3x3 convolutions at one size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv_layer(channels, channels, 3)
        self.conv2 = conv_layer(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W]
        residual: Tensor = self.conv2(self.conv1(x))
        return (x + residual) / math.sqrt(2)


class StructureEncoder(nn.Module):
    """Luminance [B, 1, R, R] -> map [B, 32, R/8, R/8]; a small U-Net over 1/4, 1/8, 1/16 and 1/32."""

    def __init__(self, widths: tuple[int, int, int, int] = (64, 128, 160, 192)) -> None:
        super().__init__()
        quarter, eighth, sixteenth, low = widths
        self.stem = conv_layer(16, quarter, 3)
        self.quarter = PlainBlock(quarter)
        self.to_eighth = conv_layer(4 * quarter, eighth, 1)
        self.eighth = nn.Sequential(PlainBlock(eighth), PlainBlock(eighth))
        self.to_sixteenth = conv_layer(4 * eighth, sixteenth, 1)
        self.sixteenth = PlainBlock(sixteenth)
        self.to_low = conv_layer(4 * sixteenth, low, 1)
        self.low = nn.Sequential(PlainBlock(low), PlainBlock(low))
        self.from_low = conv_layer(low, sixteenth, 1)
        self.sixteenth_up = PlainBlock(sixteenth)
        self.from_sixteenth = conv_layer(sixteenth, eighth, 1)
        self.merge = nn.Sequential(PlainBlock(eighth), PlainBlock(eighth))
        self.to_map = EqualConv2d(eighth, MAP_CHANNELS, 1)

    def forward(self, luma: Tensor) -> Tensor:
        x = self.quarter(self.stem(F.pixel_unshuffle(luma, 4).contiguous(memory_format=torch.channels_last)))
        eighth = self.eighth(self.to_eighth(F.pixel_unshuffle(x, 2)))
        sixteenth = self.sixteenth(self.to_sixteenth(F.pixel_unshuffle(eighth, 2)))
        low = self.low(self.to_low(F.pixel_unshuffle(sixteenth, 2)))
        sixteenth = self.sixteenth_up((sixteenth + _double(self.from_low(low))) / math.sqrt(2))
        eighth = self.merge((eighth + _double(self.from_sixteenth(sixteenth))) / math.sqrt(2))
        features: Tensor = self.to_map(eighth)
        return features


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


class AppearanceEncoder(nn.Module):
    """Colours at 64 px [B, 3, 64, 64] -> one code w [B, 512]."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.stem = conv_layer(3 * 16, 2 * width, 3)
        self.blocks = nn.ModuleList([PlainBlock(2 * width), PlainBlock(4 * width)])
        self.down = conv_layer(8 * width, 4 * width, 1)
        self.code = nn.Sequential(
            EqualLinear(4 * width * 64, STYLE_DIM, activate=True), EqualLinear(STYLE_DIM, STYLE_DIM)
        )

    def forward(self, small: Tensor) -> Tensor:
        x = self.blocks[0](self.stem(F.pixel_unshuffle(small, 4).contiguous(memory_format=torch.channels_last)))
        x = self.blocks[1](self.down(F.pixel_unshuffle(x, 2)))
        w: Tensor = self.code(x.flatten(1))
        return w


class MiniEncoder(nn.Module):
    """Picture to appearance codes and structure map.

    Args:
        resolution: side of the pictures.
        n_latent: codes L of the generator.
    """

    def __init__(self, resolution: int = 256, n_latent: int = 8) -> None:
        super().__init__()
        self.resolution = resolution
        self.n_latent = n_latent
        self.structure = StructureEncoder()
        self.appearance = AppearanceEncoder()

    def encode_structure(self, x: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """Read the map [B, 32, R/8, R/8] in float32 of a picture [B, 3, R, R] in [-1, 1] from its luminance alone."""
        features: Tensor = self.structure(luminance(x).to(dtype)).float()
        return features

    def encode_appearance(self, x: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """Read the code w [B, 512] in float32 of a picture [B, 3, R, R] in [-1, 1]."""
        small = F.interpolate(x, size=(64, 64), mode="area")
        w: Tensor = self.appearance(small.to(dtype)).float()
        return w

    def forward(self, x: Tensor, *, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Encode a picture [B, 3, R, R] in [-1, 1]: w_plus [B, L, 512] and features [B, 32, R/8, R/8], both float32."""
        if x.shape[1:] != (3, self.resolution, self.resolution):
            raise ValueError(f"expected [B, 3, {self.resolution}, {self.resolution}], got {tuple(x.shape)}")
        w = self.encode_appearance(x, dtype=dtype)
        return w[:, None].expand(-1, self.n_latent, -1), self.encode_structure(x, dtype=dtype)
