"""StyleGAN2 generator and discriminator, computing the same function as the published config-f networks.

Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020). State-dict keys are those of the
widespread PyTorch port, whose checkpoints (`g_ema`, `d`) load unchanged.

What differs from the port: activations are modulated instead of weights (equation 1 of the paper, moved through the
linear convolution), so that one weight serves the whole batch and large batches stay one convolution. For one picture
the weights are modulated as in the paper, which is less work; a CPU takes a batch picture by picture, since its time
goes into passing over activations. The activation's gain is folded into the demodulation, and noise and leaky ReLU
work in place. `dtype` chooses the arithmetic while parameters stay in float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.networks.ops import (
    LRELU_GAIN,
    LRELU_SLOPE,
    Blur,
    EqualLinear,
    broadcasts_slowly,
    conv_layer,
    fir_kernel,
    fir_upsample,
    narrow_leaky_relu,
)

Noise = Literal["fixed", "random", "none"] | Sequence[Tensor]


def channel_plan(resolution: int, channel_multiplier: float = 2, max_channels: int = 512) -> dict[int, int]:
    """Plan the channels at every resolution from 4 to `resolution`: 16384 * multiplier / size, but bounded."""
    levels = _log2(resolution)
    return {2**k: min(max_channels, int(16384 * channel_multiplier) // 2**k) for k in range(2, levels + 1)}


def _log2(resolution: int) -> int:
    levels = int(math.log2(resolution)) if resolution > 0 else 0
    if resolution < 8 or resolution > 1024 or 2**levels != resolution:
        raise ValueError(f"resolution must be a power of two from 8 to 1024, got {resolution}")
    return levels


class PixelNorm(nn.Module):
    """Scale every vector along axis 1 to unit mean square."""

    def forward(self, x: Tensor) -> Tensor:  # [B, D]
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


class ConstantInput(nn.Module):
    """The learned start picture, [1, C, size, size], repeated over the batch."""

    def __init__(self, channels: int, size: int = 4) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, size, size))

    def forward(self, batch: int) -> Tensor:
        return self.input.expand(batch, -1, -1, -1)


class ModulatedConv2d(nn.Module):
    """Convolution whose input channels are scaled by a style and whose output is renormalised (demodulation).

    Args:
        up: double the resolution: transposed convolution, then a low-pass filter.
        demodulate: divide by the expected deviation, so that styles act per layer.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        style_dim: int,
        *,
        up: bool = False,
        demodulate: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, out_channels, in_channels, kernel_size, kernel_size))
        self.modulation = EqualLinear(style_dim, in_channels, bias_init=1.0)
        self.scale = 1 / math.sqrt(in_channels * kernel_size**2)
        self.demodulate = demodulate
        if up:
            self.blur = Blur((1, 1), gain=4.0)
        self.up = up

    def forward(self, x: Tensor, w: Tensor, *, bias: Tensor | None = None, gain: float = 1.0) -> Tensor:
        """Convolve x [B, Cin, H, W] as w [B, D] says, times `gain`, plus bias [Cout]: [B, Cout, H', W'].

        The result is not used by the backward pass, so it may be changed in place.
        """
        style = self.modulation(w) * (self.scale if self.demodulate else self.scale * gain)  # [B, Cin]
        weight = self.weight[0]  # [Cout, Cin, k, k]
        if len(x) == 1:
            weight = weight * style[0][:, None, None]
            if self.demodulate:
                weight = weight * (gain * torch.rsqrt(weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8))
            return self._convolve(x, weight.to(x.dtype), bias)
        x = x * style.to(x.dtype)[:, :, None, None]
        if not self.demodulate:
            return self._convolve(x, weight.to(x.dtype), bias)
        energy = weight.square().sum(dim=(2, 3))  # [Cout, Cin]
        factor = gain * torch.rsqrt(style.square() @ energy.t() + 1e-8)  # [B, Cout]
        x = self._convolve(x, weight.to(x.dtype), None) * factor.to(x.dtype)[:, :, None, None]
        return x if bias is None else x.add_(bias.to(x.dtype)[:, None, None])

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        bias = None if bias is None else bias.to(x.dtype)
        if not self.up:
            return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)
        x = self.blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
        return x if bias is None else x.add_(bias[:, None, None])


class NoiseWeight(nn.Module):
    """Holds the learned strength of a layer's noise under the published name `noise.weight`."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


class Bias(nn.Module):
    """Holds a layer's bias under the published name `activate.bias`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise, bias and scaled leaky ReLU."""

    def __init__(self, in_channels: int, out_channels: int, style_dim: int, *, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(in_channels, out_channels, 3, style_dim, up=up)
        self.noise = NoiseWeight()
        self.activate = Bias(out_channels)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """Map x [B, Cin, H, W], w [B, D], noise [1 or B, 1, H', W'] or None -> [B, Cout, H', W']."""
        bias, strength = self.activate.bias * LRELU_GAIN, self.noise.weight * LRELU_GAIN
        if broadcasts_slowly(x, len(bias)):
            return narrow_leaky_relu(self.conv(x, w, gain=LRELU_GAIN), bias, noise=noise, strength=strength)
        x = self.conv(x, w, bias=bias, gain=LRELU_GAIN)
        if noise is not None:
            x = x.add_((noise * strength).to(x.dtype))
        return F.leaky_relu_(x, LRELU_SLOPE)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to colour, added to the upsampled colours of the level below."""

    def __init__(self, in_channels: int, style_dim: int, *, up: bool = True) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(in_channels, 3, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        if up:
            self.upsample = Upsample()

    def forward(self, x: Tensor, w: Tensor, skip: Tensor | None = None) -> Tensor:
        """Map x [B, C, H, W], w [B, D], skip [B, 3, H/2, W/2] in float32 -> [B, 3, H, W] in float32."""
        rgb: Tensor = self.conv(x, w).float() + self.bias
        return rgb if skip is None else rgb + self.upsample(skip)


class Upsample(nn.Module):
    """Doubling of a picture by a FIR filter; the kernel is a buffer named `kernel`."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", fir_kernel(gain=4.0))

    def forward(self, x: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, 3, 2H, 2W]
        return fir_upsample(x, self.kernel)


class Synthesis(nn.Module):
    """The convolutions of a StyleGAN2 generator from a start picture up; `Generator` adds mapping and constant.

    Args:
        start_px: side of the start picture.
        resolution: side of the result; `start_px` times a power of two.
        channels: channels at every level from `start_px` to `resolution`.
        style_dim: length D of one code.
    """

    def __init__(self, start_px: int, resolution: int, channels: dict[int, int], style_dim: int) -> None:
        super().__init__()
        self.resolution = resolution
        self.style_dim = style_dim
        levels = [start_px * 2**k for k in range(1, int(math.log2(resolution // start_px)) + 1)]
        self.n_latent = 2 + 2 * len(levels)
        self.conv1 = StyledConv(channels[start_px], channels[start_px], style_dim)
        self.to_rgb1 = ToRGB(channels[start_px], style_dim, up=False)
        self.convs = nn.ModuleList()
        self.to_rgbs = nn.ModuleList()
        for size in levels:
            self.convs.append(StyledConv(channels[size // 2], channels[size], style_dim, up=True))
            self.convs.append(StyledConv(channels[size], channels[size], style_dim))
            self.to_rgbs.append(ToRGB(channels[size], style_dim))
        self.noises = nn.Module()
        for index, size in enumerate([start_px, *(size for size in levels for _ in range(2))]):
            self.noises.register_buffer(f"noise_{index}", torch.randn(1, 1, size, size))

    def draw_noise(self, seed: int) -> list[Tensor]:
        """Draw the noise pictures [1, 1, h, w] of every layer from a seed, the same on every device."""
        rng = torch.Generator().manual_seed(seed)
        stored = [getattr(self.noises, f"noise_{index}") for index in range(self.n_latent - 1)]
        return [torch.randn(buffer.shape, generator=rng).to(buffer.device) for buffer in stored]

    def _noise(self, index: int, noise: Noise, batch: int) -> Tensor | None:
        if not isinstance(noise, str):
            return noise[index]
        if noise == "none":
            return None
        stored: Tensor = getattr(self.noises, f"noise_{index}")
        return stored if noise == "fixed" else torch.randn(batch, *stored.shape[1:], device=stored.device)

    def synthesize(self, x: Tensor, w_plus: Tensor, noise: Noise, *, levels: int | None = None) -> Tensor:
        """Turn a start picture x [B, C, start, start] and codes w_plus [B, L, D] into [B, 3, H, W] in float32.

        `levels` stops after so many doublings, for a smaller picture; None runs all.

        Raises:
            ValueError: codes of another shape, or noise of another kind or count.
        """
        if w_plus.ndim != 3 or w_plus.shape[1:] != (self.n_latent, self.style_dim):
            raise ValueError(
                f"w_plus must have shape [B, {self.n_latent}, {self.style_dim}], got {tuple(w_plus.shape)}"
            )
        if isinstance(noise, str) and noise not in ("fixed", "random", "none"):
            raise ValueError(f"noise must be 'fixed', 'random', 'none' or one picture per layer, got {noise!r}")
        if not isinstance(noise, str) and len(noise) != self.n_latent - 1:
            raise ValueError(f"noise must hold {self.n_latent - 1} pictures, one per layer, got {len(noise)}")
        batch = len(w_plus)
        if batch == 1 or x.device.type != "cpu" or torch.compiler.is_compiling():
            return self._synthesize(x, w_plus, noise, levels)
        rows = [(x[row : row + 1], w_plus[row : row + 1], _row_of(noise, row)) for row in range(batch)]
        return torch.cat([self._synthesize(*row, levels) for row in rows])

    def _synthesize(self, x: Tensor, w_plus: Tensor, noise: Noise, levels: int | None) -> Tensor:
        batch = len(w_plus)
        x = self.conv1(x, w_plus[:, 0], self._noise(0, noise, batch))
        rgb: Tensor = self.to_rgb1(x, w_plus[:, 1])
        for level, to_rgb in enumerate(self.to_rgbs[:levels]):
            index = 2 * level + 1
            x = self.convs[index - 1](x, w_plus[:, index], self._noise(index, noise, batch))
            x = self.convs[index](x, w_plus[:, index + 1], self._noise(index + 1, noise, batch))
            rgb = to_rgb(x, w_plus[:, index + 2], rgb)
        return rgb


def _row_of(noise: Noise, row: int) -> Noise:
    """Return what `noise` means for one picture of a batch."""
    return noise if isinstance(noise, str) else [part if len(part) == 1 else part[row : row + 1] for part in noise]


class Generator(Synthesis):
    """StyleGAN2 generator from a learned 4x4 constant.

    Args:
        resolution: side of the picture, a power of two from 8 to 1024.
        style_dim: length D of z and w.
        mlp_layers: layers of the mapping network.
        channel_multiplier: 2 for config-f.
    """

    def __init__(
        self, resolution: int, style_dim: int = 512, mlp_layers: int = 8, channel_multiplier: float = 2
    ) -> None:
        channels = channel_plan(resolution, channel_multiplier)
        super().__init__(4, resolution, channels, style_dim)
        layers = [EqualLinear(style_dim, style_dim, lr_mul=0.01, activate=True) for _ in range(mlp_layers)]
        self.style = nn.Sequential(PixelNorm(), *layers)
        self.input = ConstantInput(channels[4])

    def mapping(self, z: Tensor) -> Tensor:
        """Map z [B, D], standard normal, to w [B, D]."""
        w: Tensor = self.style(z)
        return w

    def forward(
        self,
        w_plus: Tensor,
        *,
        features: Tensor | None = None,
        noise: Noise = "fixed",
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Draw codes [B, L, D]: a picture [B, 3, H, W] in float32, about [-1, 1].

        Args:
            w_plus: codes.
            features: must be None; the embedded backbone's generator takes a map here.
            noise: the stored noise pictures, fresh ones, none, or those of `draw_noise`.
            dtype: of the arithmetic.
        """
        if features is not None:
            raise ValueError("this generator starts at a constant; features must be None")
        x = self.input(w_plus.shape[0]).to(dtype).contiguous(memory_format=torch.channels_last)
        return self.synthesize(x, w_plus, noise)


class ResBlock(nn.Module):
    """Two 3x3 convolutions, the second halving the resolution, beside a 1x1 skip."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = conv_layer(in_channels, in_channels, 3)
        self.conv2 = conv_layer(in_channels, out_channels, 3, down=True)
        self.skip = conv_layer(in_channels, out_channels, 1, down=True, activate=False)

    def forward(self, x: Tensor) -> Tensor:  # [B, Cin, H, W] -> [B, Cout, H/2, W/2]
        both: Tensor = self.conv2(self.conv1(x)) + self.skip(x)
        return both / math.sqrt(2)


class Discriminator(nn.Module):
    """StyleGAN2 discriminator with residual blocks.

    Args:
        resolution: side of the pictures; `features` takes any multiple of 4.
        channel_multiplier: 2 for config-f.
        max_channels: 512 for config-f.

    Attributes:
        feature_channels: C_i of `features`, by block.
    """

    STDDEV_GROUP = 4

    def __init__(self, resolution: int, channel_multiplier: float = 2, *, max_channels: int = 512) -> None:
        super().__init__()
        channels = channel_plan(resolution, channel_multiplier, max_channels)
        sizes = sorted(channels, reverse=True)
        blocks: list[nn.Module] = [conv_layer(3, channels[resolution], 1)]
        blocks += [ResBlock(channels[size], channels[size // 2]) for size in sizes[:-1]]
        self.convs = nn.ModuleList(blocks)
        self.feature_channels = [channels[size // 2] for size in sizes[:-1]]
        self.final_conv = conv_layer(channels[4] + 1, channels[4], 3)
        self.final_linear = nn.Sequential(
            EqualLinear(channels[4] * 16, channels[4], activate=True), EqualLinear(channels[4], 1)
        )

    def features(self, x: Tensor, *, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """Compute the residual blocks' outputs [B, C_i, H / 2^i, W / 2^i], i = 1, 2, ..., for x [B, 3, H, W].

        Item i - 1 is block i in JoJoGAN's count, where the 1x1 stem is block 0.
        """
        x = self.convs[0](x.to(dtype).contiguous(memory_format=torch.channels_last))
        outputs = []
        for block in self.convs[1:]:
            x = block(x)
            outputs.append(x)
        return outputs

    def forward(self, x: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """Rate pictures [B, 3, resolution, resolution]: logits [B, 1] in float32, larger for real ones."""
        return self.logits(self.features(x, dtype=dtype)[-1])

    def logits(self, x: Tensor) -> Tensor:
        """Turn the last features [B, C, 4, 4] into [B, 1] in float32; appends the batch's deviation as a channel."""
        x = x.float()
        batch, channels, height, width = x.shape
        group = min(batch, self.STDDEV_GROUP)
        if batch % group:
            group = 1
        spread = x.view(group, -1, channels, height, width)
        spread = (spread.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3), keepdim=True)
        x = torch.cat([x, spread.repeat(group, 1, height, width)], dim=1)
        logits: Tensor = self.final_linear(self.final_conv(x).flatten(1))
        return logits
