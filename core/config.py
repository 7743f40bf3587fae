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
BACKBONE_ENV = "STYLEIDENTITY_BACKBONE"

VERSION = "1.0.0"

MAX_REFERENCES = 14  # StyleIdentityGAN trains on groups of 1, 2, 7 and 14

Method = Literal["ours", "jojogan"]
BackboneName = Literal["mini", "ffhq"]
AnchorMode = Literal["photo", "style"]


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


@dataclass(frozen=True)
class FinetuneConfig:
    """Hyper-parameters of one few-shot run (StyleIdentityGAN Eq. 1 and 2; JoJoGAN for `method="jojogan"`).

    Attributes:
        method: "ours" adds the identity term and measures pictures perceptually; "jojogan" is the baseline.
        steps: optimiser steps; 150 for sketches and 500 for cartoons in the paper.
        learning_rate: Adam step size; betas are (0, 0.99).
        alpha: share of the reference's own code kept in the mixed layers, in [0, 1] (Eq. 1); the backbone's default
            for the method where None. The public program passes 1 - alpha.
        swap_layers: mixed layers, or None for the backbone's default for the method.
        identity_weight: lambda of Eq. 2; the backbone's default where None.
        style_weight: weight of the feature-statistics term on the anchors with five references or more, and in
            proportion with fewer (see `core.engines.fewshot_gan.finetune`); the backbone's default where None. 0 gives the paper's loss.
        references_per_step: references of one step's gradient; 0 means all, None the backbone's default. They pass
            two by two, so memory does not grow with their number.
        anchor: "photo" keeps one person's identity, "style" that of sampled faces.
        anchors_per_step: identity anchors of one step's gradient.
        seed: of the mixing codes and of the order of references and anchors.
        preview_every: steps between two live previews.
    """

    method: Method = "ours"
    steps: int = 150
    learning_rate: float = 2e-3
    alpha: float | None = None
    swap_layers: tuple[int, ...] | None = None
    identity_weight: float | None = None
    style_weight: float | None = None
    references_per_step: int | None = None
    anchor: AnchorMode = "style"
    anchors_per_step: int = 1
    seed: int = 0
    preview_every: int = 10

    def __post_init__(self) -> None:
        checks = {
            "method is 'ours' or 'jojogan'": self.method in ("ours", "jojogan"),
            "anchor is 'photo' or 'style'": self.anchor in ("photo", "style"),
            "1 <= steps <= 2000": 1 <= self.steps <= 2000,
            "0 < learning_rate <= 0.1": 0 < self.learning_rate <= 0.1,
            "0 <= alpha <= 1": self.alpha is None or 0 <= self.alpha <= 1,
            "identity_weight >= 0": self.identity_weight is None or self.identity_weight >= 0,
            "style_weight >= 0": self.style_weight is None or self.style_weight >= 0,
            "0 <= references_per_step <= 14": self.references_per_step is None
            or 0 <= self.references_per_step <= MAX_REFERENCES,
            "1 <= anchors_per_step <= 16": 1 <= self.anchors_per_step <= 16,
            "preview_every >= 1": self.preview_every >= 1,
        }
        for rule, holds in checks.items():
            if not holds:
                raise ValueError(f"FinetuneConfig needs {rule}, got {self}")


PRESET_STEPS: Mapping[str, int] = MappingProxyType({"sketch": 150, "cartoon": 500})
