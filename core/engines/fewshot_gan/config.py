"""Settings of the few-shot engine: its published models and the hyper-parameters of a run. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from core.config import MAX_REFERENCES
from core.engines.base import TrainingConfig
from core.options import option

NAME = "fewshot_gan"

BackboneName = Literal["mini", "ffhq"]
BACKBONE_TITLES: MappingProxyType[str, str] = MappingProxyType(
    {"mini": "Built-in model", "ffhq": "Full-size model (FFHQ)"}
)

MOST_PAIRS = 12  # that brushwork makes for a run

Method = Literal["aligned", "paper", "jojogan"]
AnchorMode = Literal["photo", "style"]
FORMER_METHODS: Mapping[str, Method] = MappingProxyType({"ours": "paper"})  # in style files, packs and command lines


@dataclass(frozen=True)
class FinetuneConfig(TrainingConfig):
    """Hyper-parameters of one few-shot run.

    Attributes:
        method: "aligned" keeps the references for brushwork and learns from pairs that brushwork made of sampled faces
            (`pairs`); "paper" is StyleIdentityGAN (Eq. 1 and 2), which adds the identity term and measures pictures
            perceptually; "jojogan" is the baseline.
        steps: optimiser steps; 150 for sketches and 500 for cartoons in the paper.
        learning_rate: Adam step size; betas are (0, 0.99).
        alpha: share of the reference's own code kept in the mixed layers, in [0, 1] (Eq. 1); the backbone's default
            for the method where None. The public program passes 1 - alpha.
        swap_layers: mixed layers, or None for the backbone's default for the method.
        identity_weight: lambda of Eq. 2; the backbone's default where None.
        style_weight: weight of the feature-statistics term on the anchors with five references or more, and in
            proportion with fewer (see `finetune`); the backbone's default where None. 0 gives the paper's loss.
        references_per_step: references of one step's gradient; 0 means all, None the backbone's default. They pass
            two by two, so memory does not grow with their number.
        anchor: "photo" keeps one person's identity, "style" that of sampled faces.
        anchors_per_step: identity anchors of one step's gradient.
        seed: of the mixing codes and of the order of references and anchors.
        preview_every: steps between two live previews.
    """

    method: Method = option(
        "aligned",
        label="Method",
        help="How the style is learned.",
        choices={"aligned": "The artist's hand", "paper": "The paper's", "jojogan": "JoJoGAN (baseline)"},
    )
    learning_rate: float = option(2e-3, label="Learning rate", help="Adam step size.", low=1e-6, high=0.1)
    alpha: float | None = option(
        None, label="Alpha", help="Share of each picture's own look kept (Eq. 1), 0 to 1.", low=0, high=1
    )
    swap_layers: tuple[int, ...] | None = option(
        None, label="Mixed layers", help="Layers with mixed appearance, for example 7, 9, 11."
    )
    identity_weight: float | None = option(
        None, label="Identity weight", help="Lambda of the identity term (Eq. 2), for example 0.001.", low=0
    )
    style_weight: float | None = option(
        None, label="Texture weight", help="Weight of the style term on faces; 0 is the paper's loss.", low=0
    )
    references_per_step: int | None = option(
        None, label="Pictures per step", help="References in one step; 0: all of them.", low=0, high=MAX_REFERENCES
    )
    anchor: AnchorMode = option(
        "style",
        label="Works on",
        help="Keep one photo's identity, or that of faces in general.",
        choices={"style": "Any face", "photo": "Only my photo"},
    )
    anchors_per_step: int = option(1, label="Faces per step", help="Identity faces in one step.", low=1, high=16)

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
        {"sketch": MappingProxyType({"steps": 150}), "cartoon": MappingProxyType({"steps": 500})}
    )
    preset_titles: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"sketch": "Sketch: lines and tone, quickest", "cartoon": "Cartoon: new shapes and colours"}
    )
    person_option: ClassVar[str | None] = "anchor"

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", FORMER_METHODS.get(self.method, self.method))
        if self.swap_layers is not None:
            object.__setattr__(self, "swap_layers", tuple(self.swap_layers))
        super().__post_init__()

    @property
    def needs_photo(self) -> bool:
        """Whether the style keeps the identity of one person's photo."""
        return self.anchor == "photo"

    @property
    def practice_faces(self) -> int:
        """Sampled faces that brushwork draws before the first step."""
        return min(MOST_PAIRS, max(2, self.steps // 8)) if self.method == "aligned" else 0

    def pictures_per_step(self, references: int) -> int:
        """Count what passes through the generator in one step; for settings with defaults filled in."""
        anchors = self.anchors_per_step if self.identity_weight or self.style_weight else 0
        return min(self.references_per_step or references, references) + anchors
