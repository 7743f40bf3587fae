"""`python -m tests.saving FILE`: saves one style after the other to the same file until it is killed."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from core.engines.fewshot_gan.config import FinetuneConfig
from core.engines.fewshot_gan.style_file import GanStyle, StyleMeta, config_values, save_style

SHAPES = {"conv1.conv.weight": (1, 64, 64, 3, 3), "to_rgb1.bias": (1, 3, 1, 1)}
HERE = {"backbone": "mini", "fingerprint": "0123456789abcdef", "shapes": SHAPES}


def big_style(number: int) -> GanStyle:
    """A style of 74 kB whose name and values tell which one it is."""
    weights = {key: torch.full(shape, float(number % 7)).half() for key, shape in SHAPES.items()}
    meta = StyleMeta(HERE["backbone"], HERE["fingerprint"], config_values(FinetuneConfig()), ("ab" * 32,), 0.5)
    return GanStyle.of(f"Number {number}", weights, meta)


if __name__ == "__main__":
    styles = [big_style(number) for number in range(50)]
    print("saving", flush=True)
    while True:
        for style in styles:
            save_style(style, Path(sys.argv[1]))
