"""What measurements are asked for. Imports no torch, so that the command line can ask without waiting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.engines.base import DrawOptions
from core.options import check_ranges, option

NetworkChoice = Literal["auto", "shipped", "published"]
BenchmarkBackbone = Literal["mini", "ffhq", "both"]
Subset = Literal["all", "small"]
SkinTone = Literal["dark", "middle", "light"]


@dataclass(frozen=True)
class TrainingPlan:
    """What all arms share.

    Attributes:
        preset: of the engine.
        seed: of every arm.
        steps: instead of the preset's.
    """

    preset: str = "sketch"
    seed: int = 0
    steps: int | None = None


@dataclass(frozen=True)
class HandPlan(TrainingPlan):
    """What `evaluate hand` trains and draws.

    Attributes:
        methods: of training, in the order of the report.
        few: one style from all artworks, instead of one from each.
        drawing: how every photo is drawn.
    """

    methods: tuple[str, ...] = ("paper", "jojogan", "aligned")
    few: bool = False
    drawing: DrawOptions = DrawOptions()


@dataclass(frozen=True)
class SkinGroups:
    """Names of photos (file names without suffix) by how dark or light the skin on them is."""

    dark: tuple[str, ...] = ("portrait_00", "portrait_03", "portrait_06")
    middle: tuple[str, ...] = ("portrait_01", "portrait_04", "portrait_07")
    light: tuple[str, ...] = ("portrait_02", "portrait_05")

    def tone(self, name: str) -> SkinTone | None:
        """Say in which group a photo is; None for one in no group."""
        tones: tuple[SkinTone, ...] = ("dark", "middle", "light")
        return next((tone for tone in tones if name in getattr(self, tone)), None)


@dataclass(frozen=True)
class BenchmarkPlan:
    """What to time."""

    backbone: BenchmarkBackbone = option(
        "both",
        label="Model",
        help="Embedded model, the 1024 px model's shapes, or both.",
        choices={"mini": "Built-in model", "ffhq": "Full-size model", "both": "Both"},
    )
    repeats: int = option(
        5, label="Repeats", help="Timed runs of every row, after a warm-up; whole presets up to three times.",
        low=1, high=100,
    )  # fmt: skip
    quick: bool = option(False, label="Quick", help="Only the smallest rows.")
    sweep: bool = option(False, label="Curves", help="Also the cost against resolution, references and batch.")
    long: bool = option(False, label="Long", help="On a CPU, also a whole preset at 1024 px: a quarter of an hour.")
    photo: Path | None = option(None, label="Photo", help="Photo to find a face in; a sampled face by default.")
    device: str | None = option(None, label="Device", help="PyTorch device; chosen by default.")

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def backbones(self) -> tuple[str, ...]:
        """The models to time."""
        return ("mini", "ffhq") if self.backbone == "both" else (self.backbone,)
