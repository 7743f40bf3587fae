"""A study pack made of drawn faces, for tests of the page: real files in the real format, no model needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from core.study.protocol.packs import Pack
from core.study.protocol.packwriter import TrialPictures, write_pack
from tests.study_parts import ARMS

LINE_WIDTHS = {"jojogan-one": 1, "jojogan-few": 2, "ours-one": 4, "ours-few": 6}


def face(generator: np.random.Generator, *, side_px: int, width: int, paper: str, ink: str) -> Image.Image:
    """One drawn face; `generator` decides its proportions, `width` the pen (in 1/128 of the side)."""
    unit = side_px / 128
    image = Image.new("RGB", (side_px, side_px), paper)
    draw = ImageDraw.Draw(image)
    pen = max(1, round(width * unit))
    x, y = generator.uniform(30, 42), generator.uniform(14, 26)
    eye, mouth = generator.uniform(50, 60), generator.uniform(88, 98)
    draw.ellipse([x * unit, y * unit, (128 - x) * unit, 114 * unit], outline=ink, width=pen)
    for side in (-1, 1):
        centre = 64 + side * generator.uniform(12, 16)
        draw.ellipse([(centre - 4) * unit, eye * unit, (centre + 4) * unit, (eye + 6) * unit], outline=ink, width=pen)
    draw.line([64 * unit, (eye + 6) * unit, 60 * unit, 80 * unit, 66 * unit, 81 * unit], fill=ink, width=pen)
    draw.arc([50 * unit, (mouth - 8) * unit, 78 * unit, mouth * unit], 10, 170, fill=ink, width=pen)
    return image


def trial(number: int, *, side_px: int) -> TrialPictures:
    """One trial: the same proportions for photo and candidates, a pen of its own for each arm."""

    def drawn(width: int, paper: str, ink: str, *, seed: int = number) -> Image.Image:
        return face(np.random.default_rng(seed), side_px=side_px, width=width, paper=paper, ink=ink)

    return TrialPictures(
        photo=drawn(3, "#caa98d", "#3b2a20"),
        references=[drawn(2, "#f4efe4", "#27408b", seed=900 + i) for i in range(4)],
        candidates={arm: drawn(LINE_WIDTHS[arm], "#f4efe4", "#27408b") for arm in ARMS},
    )


def write(
    folder: Path, *, slug: str = "drawn", title: str = "Drawn faces", trials: int = 11, side_px: int = 96
) -> Pack:
    """Write the pack into `folder`."""
    return write_pack(
        folder,
        slug=slug,
        title=title,
        arms=ARMS,
        trials=[trial(number, side_px=side_px) for number in range(trials)],
        provenance={"made_by": "tests/drawn_pack.py"},
    )
