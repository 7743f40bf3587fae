"""Command-line options that several commands share, and the hyper-parameters they make. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from core.config import MAX_REFERENCES


class Preset(str, Enum):
    """Starting values of the hyper-parameters."""

    sketch = "sketch"
    cartoon = "cartoon"


class BackboneOption(str, Enum):
    """Face generator to use."""

    auto = "auto"
    mini = "mini"
    ffhq = "ffhq"


class MethodOption(str, Enum):
    """Training method."""

    ours = "ours"
    jojogan = "jojogan"


class AnchorOption(str, Enum):
    """Whose identity the training keeps."""

    photo = "photo"
    style = "style"


class CropOption(str, Enum):
    """How a photo is cut."""

    detect = "detect"
    aligned = "aligned"


_STYLE = "The style picture(s)"
_TRAINING = "Training"
_RUN = "Running"

Reference = Annotated[
    list[Path] | None,
    typer.Option("--reference", help=f"Style picture with a face; up to {MAX_REFERENCES}.", rich_help_panel=_STYLE),
]
StyleName = Annotated[
    str | None,
    typer.Option("--style", help="A ready-made style's name (see `styles`), or a style file.", rich_help_panel=_STYLE),
]
ReferenceCrop = Annotated[
    CropOption | None,
    typer.Option(help="Find the references' faces (default), or take them as aligned crops.", rich_help_panel=_STYLE),
]
PresetChoice = Annotated[
    Preset | None,
    typer.Option("--preset", help="Kind of drawing, sets the steps; sketch by default.", rich_help_panel=_STYLE),
]
Method = Annotated[
    MethodOption | None, typer.Option(help="The paper's method or its baseline.", rich_help_panel=_TRAINING)
]
Steps = Annotated[
    int | None,
    typer.Option(min=1, max=2000, help="Training steps; the preset's by default.", rich_help_panel=_TRAINING),
]
LearningRate = Annotated[float | None, typer.Option(help="Adam step size.", rich_help_panel=_TRAINING)]
Alpha = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Share of a reference's own appearance kept (Eq. 1).", rich_help_panel=_TRAINING),
]
SwapLayers = Annotated[
    str | None, typer.Option(help="Layers with mixed appearance, as in 7,9,11.", rich_help_panel=_TRAINING)
]
IdentityWeight = Annotated[
    float | None, typer.Option(min=0, help="Lambda of the identity term (Eq. 2).", rich_help_panel=_TRAINING)
]
StyleWeight = Annotated[
    float | None,
    typer.Option(min=0, help="Weight of the style term on faces; 0 is the paper.", rich_help_panel=_TRAINING),
]
ReferencesPerStep = Annotated[
    int | None,
    typer.Option(min=0, max=MAX_REFERENCES, help="References in one step; 0 is all.", rich_help_panel=_TRAINING),
]
AnchorsPerStep = Annotated[
    int | None, typer.Option(min=1, max=16, help="Identity faces in one step.", rich_help_panel=_TRAINING)
]
Anchor = Annotated[
    AnchorOption | None,
    typer.Option(help="Keep one photo's identity, or that of faces in general.", rich_help_panel=_TRAINING),
]
Crop = Annotated[CropOption, typer.Option(help="Find the face, or take photos as aligned crops.")]
Seed = Annotated[int, typer.Option(min=0, help="Same seed, same picture.", rich_help_panel=_RUN)]
Backbone = Annotated[
    BackboneOption,
    typer.Option(help="Embedded model, published 1024 px model, or what suits.", rich_help_panel=_RUN),
]
Device = Annotated[str | None, typer.Option(help="PyTorch device; chosen by default.", rich_help_panel=_RUN)]
JsonOutput = Annotated[
    bool, typer.Option("--json", help="One JSON object on stdout, no progress.", rich_help_panel=_RUN)
]


@dataclass(frozen=True)
class TrainingOptions:
    """Hyper-parameters as typed on the command line; None leaves the preset's or the backbone's value."""

    method: MethodOption | None = None
    steps: int | None = None
    learning_rate: float | None = None
    alpha: float | None = None
    swap_layers: str | None = None
    identity_weight: float | None = None
    style_weight: float | None = None
    references_per_step: int | None = None
    anchors_per_step: int | None = None
    anchor: AnchorOption | None = None

    def given(self) -> dict[str, object]:
        """Overrides for `Studio.config`: only what was typed, as plain values.

        Raises:
            typer.BadParameter: when `swap_layers` is not a list of layer numbers.
        """
        values = {name: value for name, value in vars(self).items() if value is not None}
        if self.swap_layers is not None:
            values["swap_layers"] = parse_layers(self.swap_layers)
        return {name: value.value if isinstance(value, Enum) else value for name, value in values.items()}


def parse_layers(text: str) -> tuple[int, ...]:
    """`"7,9,11"` -> (7, 9, 11), sorted and unique; `typer.BadParameter` for anything else."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise typer.BadParameter(f"--swap-layers takes layer numbers such as 7,9,11, got '{text}'")
    return tuple(sorted({int(part) for part in parts}))
