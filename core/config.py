"""Settings as frozen dataclasses, units in their names, and the paths and environment names of the project."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from platformdirs import user_data_path

ASSETS_DIR = Path(__file__).resolve().parent.parent / "assets"
DATA_ENV = "STYLEIDENTITY_DATA"
ENGINE_ENV = "STYLEIDENTITY_ENGINE"
BACKBONE_ENV = "STYLEIDENTITY_BACKBONE"

VERSION = "1.0.0"

CropMode = Literal["detect", "aligned"]  # find the face, or take the picture's central square

MAX_REFERENCES = 14  # StyleIdentityGAN trains on groups of 1, 2, 7 and 14


@dataclass(frozen=True)
class Arm:
    """One of the ways to make a style that are compared.

    Attributes:
        id: in packs, votes and file names.
        title: for readers.
        paper_title: in the paper's tables.
        method: training method.
        few: trains on all references; on the first one otherwise.
    """

    id: str
    title: str
    paper_title: str
    method: str
    few: bool


PAPER_ARMS: tuple[Arm, ...] = (
    Arm("jojogan-one", "JoJoGAN, one-shot", "One-shot, JoJoGAN", "jojogan", few=False),
    Arm("jojogan-few", "JoJoGAN, few-shot", "Few-shot, JoJoGAN", "jojogan", few=True),
    Arm("ours-one", "Ours, one-shot", "One-shot, ours", "paper", few=False),
    Arm("ours-few", "Ours, few-shot", "Few-shot, ours", "paper", few=True),
)

# Two ways to draw in one style, with titles for readers: compared where the paper's methods learned no styles.
DRAWING_ARMS: Mapping[str, str] = MappingProxyType({"generator": "Generator alone", "hand": "The artist's hand"})


def data_dir() -> Path:
    """Folder for caches and votes: `$STYLEIDENTITY_DATA`, else the platform's user data folder. Not created here."""
    chosen = os.environ.get(DATA_ENV)
    return Path(chosen).expanduser() if chosen else user_data_path("styleidentity")


@dataclass(frozen=True)
class PhotoLimits:
    """What an upload may be.

    Attributes:
        max_bytes: encoded size.
        max_megapixels: decoded size; checked before decoding.
        max_side_px: longer pictures are reduced to this side, since the face crop never needs more.
        min_side_px: shorter pictures are refused.
    """

    max_bytes: int = 30_000_000
    max_megapixels: float = 80.0
    max_side_px: int = 4096
    min_side_px: int = 64
