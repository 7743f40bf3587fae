"""Operations that StyleGAN2's networks share: FIR resampling, equalised layers, scaled leaky ReLU.

Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020), appendix B. Everything is plain
PyTorch. Parameters stay in float32; a layer computes in the dtype of its input, so bfloat16 needs no autocast.
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LRELU_SLOPE = 0.2
LRELU_GAIN = math.sqrt(2.0)
CPU_VECTOR = 32  # bfloat16 numbers in 512 bits
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601

M = TypeVar("M", bound=nn.Module)


def luminance(x: Tensor) -> Tensor:
    """Weigh the colours of [B, 3, H, W] to one channel [B, 1, H, W], by ITU-R BT.601."""
    return (x * x.new_tensor(LUMA)[None, :, None, None]).sum(dim=1, keepdim=True)


def fir_kernel(*, gain: float = 1.0) -> Tensor:
    """Make the [1, 3, 3, 1] binomial low-pass filter, a kernel [4, 4] whose entries sum to `gain`."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = torch.outer(taps, taps)
    return kernel / kernel.sum() * gain


def fir_filter(x: Tensor, kernel: Tensor, padding: tuple[int, int]) -> Tensor:
    """Filter every channel with one symmetric kernel.

    Args:
        x: [B, C, H, W].
        kernel: [4, 4], symmetric and separable.
        padding: zeros before and after each spatial axis; each in 0..3.

    Returns:
        [B, C, H + sum(padding) - 3, W + sum(padding) - 3].
    """
    channels = x.shape[1]
    before, after = padding
    weight = kernel.to(x.dtype).expand(channels, 1, -1, -1)
    if before == after:
        return F.conv2d(x, weight, padding=before, groups=channels)
    return F.conv2d(F.pad(x, (before, after, before, after)), weight, groups=channels)


def fir_upsample(x: Tensor, kernel: Tensor) -> Tensor:
    """Double the size by zero insertion and a low-pass filter: [B, C, H, W] -> [B, C, 2H, 2W].

    `kernel` [4, 4] sums to 4, which keeps the brightness.
    """
    channels = x.shape[1]
    weight = kernel.to(x.dtype).expand(channels, 1, -1, -1)
    return F.conv_transpose2d(x, weight, stride=2, padding=1, groups=channels)


def scaled_leaky_relu(x: Tensor) -> Tensor:
    """Apply leaky ReLU of slope 0.2 times sqrt(2), which keeps the variance of unit Gaussians."""
    return F.leaky_relu(x, LRELU_SLOPE) * LRELU_GAIN


def broadcasts_slowly(x: Tensor, channels: int) -> bool:
    """Tell whether adding one value per channel or pixel to channels-last pictures like `x` is slow.

    A CPU adds pixel by pixel there; where the channels fill no whole vectors, 24 of them at 256 px take 3 ms.
    """
    return x.device.type == "cpu" and x.dtype == torch.bfloat16 and channels % CPU_VECTOR != 0


def narrow_leaky_relu(
    x: Tensor, bias: Tensor, *, noise: Tensor | None = None, strength: Tensor | None = None, gain: float = 1.0
) -> Tensor:
    """Apply leaky ReLU to `gain * x + bias + strength * noise`, where `broadcasts_slowly`.

    One product [B*H*W, 2] @ [2, C] adds both in 0.2 ms.

    Args:
        x: [B, C, H, W].
        bias: [C].
        noise: [1 or B, 1, H, W], one value per pixel; None adds none.
        strength: [1], of the noise.
        gain: factor of `x`.
    """
    pixels = x.permute(0, 2, 3, 1).contiguous()
    channels = pixels.shape[-1]
    columns, rows = [torch.ones(pixels.shape[:3])], [bias]
    if noise is not None and strength is not None:
        columns.append(noise[:, 0].expand(pixels.shape[:3]))
        rows.append(strength.expand(channels))
    each = torch.stack(columns, dim=-1).view(-1, len(columns)).to(x.dtype)
    flat = torch.addmm(pixels.view(-1, channels), each, torch.stack(rows).to(x.dtype), beta=gain)
    return F.leaky_relu_(flat, LRELU_SLOPE).view(pixels.shape).permute(0, 3, 1, 2)


class EqualLinear(nn.Module):
    """Fully connected layer with run-time weight scaling ("equalised learning rate").

    Args:
        in_dim: length of the last axis of the input.
        out_dim: length of the last axis of the output.
        bias_init: initial bias before `lr_mul`.
        lr_mul: learning-rate multiplier, folded into the weights.
        activate: apply `scaled_leaky_relu`.
    """

    def __init__(
        self, in_dim: int, out_dim: int, *, bias_init: float = 0.0, lr_mul: float = 1.0, activate: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_dim, in_dim) / lr_mul)
        self.bias = nn.Parameter(torch.full((out_dim,), bias_init))
        self.scale = lr_mul / math.sqrt(in_dim)
        self.lr_mul = lr_mul
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:  # [..., in_dim] -> [..., out_dim]
        out = F.linear(x, (self.weight * self.scale).to(x.dtype), (self.bias * self.lr_mul).to(x.dtype))
        return scaled_leaky_relu(out) if self.activate else out


class EqualConv2d(nn.Module):
    """Convolution without bias and with run-time weight scaling; `stride` 1 keeps the size for odd kernels."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.scale = 1 / math.sqrt(in_channels * kernel_size**2)
        self.stride = stride
        self.padding = kernel_size // 2 if stride == 1 else 0

    def forward(self, x: Tensor) -> Tensor:  # [B, Cin, H, W] -> [B, Cout, H', W']
        weight = (self.weight * self.scale).to(x.dtype)
        return F.conv2d(x, weight, stride=self.stride, padding=self.padding)


class BiasedLeakyReLU(nn.Module):
    """Per-channel bias, then `scaled_leaky_relu`; the state dict calls the bias `bias`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W]
        if broadcasts_slowly(x, x.shape[1]):
            return narrow_leaky_relu(x, self.bias * LRELU_GAIN, gain=LRELU_GAIN)
        return scaled_leaky_relu(x + self.bias.to(x.dtype).view(1, -1, 1, 1))


class Blur(nn.Module):
    """FIR low-pass filter as a layer; the kernel is a buffer named `kernel`, as in published checkpoints."""

    kernel: Tensor

    def __init__(self, padding: tuple[int, int], *, gain: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("kernel", fir_kernel(gain=gain))
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W]
        return fir_filter(x, self.kernel, self.padding)


def channels_last(module: M) -> M:
    """Lay out all 4-D parameters for channels-last convolution, in place; returns the module."""
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return module


def conv_layer(
    in_channels: int, out_channels: int, kernel_size: int, *, down: bool = False, activate: bool = True
) -> nn.Sequential:
    """Chain [blur and stride 2], convolution and [bias, leaky ReLU], numbered as in published checkpoints.

    Args:
        in_channels: of the input.
        out_channels: of the result.
        kernel_size: side of the kernel; odd.
        down: halve the resolution: blur, then a strided convolution without padding.
        activate: add bias and `scaled_leaky_relu`; without it the layer has no bias.
    """
    layers: list[nn.Module] = []
    if down:
        total = 2 + (kernel_size - 1)
        layers.append(Blur(((total + 1) // 2, total // 2)))
    layers.append(EqualConv2d(in_channels, out_channels, kernel_size, stride=2 if down else 1))
    if activate:
        layers.append(BiasedLeakyReLU(out_channels))
    return nn.Sequential(*layers)
