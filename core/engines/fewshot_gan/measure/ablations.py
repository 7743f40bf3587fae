"""What the paper's ablations vary: lambda or alpha of the method, or the number of references. Imports no torch.

The paper tries lambda 0.0005, 0.001 and 0.002 with LPIPS on the 1024 px backbone, whose default is 0.001. The embedded
backbone measures identity by another distance, of another scale, and defaults to 0.05, so the same numbers mean
something else there: `lambda=0.5x,1x,2x` are the paper's steps as multiples of the running backbone's default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from core.config import MAX_REFERENCES
from core.engines.base import TrainingConfig
from core.engines.fewshot_gan.config import FinetuneConfig

Axis = Literal["lambda", "references", "alpha"]
AXES: tuple[Axis, ...] = get_args(Axis)
_RANGES = {
    "lambda": (0.0, float("inf"), "0 or more"),
    "alpha": (0.0, 1.0, "0 to 1"),
    "references": (1.0, float(MAX_REFERENCES), f"1 to {MAX_REFERENCES}, whole"),
}


@dataclass(frozen=True)
class Value:
    """One point of an ablation: as typed, and as a number; `relative` to the backbone's default."""

    label: str
    number: float
    relative: bool = False


@dataclass(frozen=True)
class Ablation:
    """What varies, and over which values, in the order typed."""

    axis: Axis
    values: tuple[Value, ...]

    @property
    def most_references(self) -> int:
        """The most references that a value needs; 0 where their number does not vary."""
        return int(max(value.number for value in self.values)) if self.axis == "references" else 0

    def overrides(self, value: Value, default: TrainingConfig) -> dict[str, Any]:
        """Return settings of one point that differ from the default's; none where the references vary."""
        if self.axis == "references":
            return {}
        if self.axis == "alpha":
            return {"alpha": value.number}
        return {"identity_weight": value.number * (identity_weight(default) if value.relative else 1)}

    def references(self, value: Value) -> int | None:
        """How many references one point takes; None is all."""
        return int(value.number) if self.axis == "references" else None

    def position(self, value: Value, config: TrainingConfig) -> float:
        """Where a run lies on the axis: the absolute lambda also for relative ones."""
        return identity_weight(config) if self.axis == "lambda" else value.number


def identity_weight(config: TrainingConfig) -> float:
    """Lambda of a run with all defaults filled in. Raises ValueError for another engine's settings."""
    if not isinstance(config, FinetuneConfig):
        raise ValueError(f"expected a FinetuneConfig, got {type(config).__name__}")
    return float(config.identity_weight or 0.0)


def parse_ablation(text: str) -> Ablation:
    """Read `"lambda=0.5x,1x,2x"`, `"references=1,2,7,14"` or `"alpha=0,0.25,0.5"`. Raises ValueError."""
    name, equals, listed = text.partition("=")
    axis = next((axis for axis in AXES if axis == name), None)
    if axis is None or not equals:
        raise ValueError(f"--ablate takes lambda=..., references=... or alpha=..., got '{text}'")
    values = tuple(_value(axis, part.strip()) for part in listed.split(","))
    if len({(value.number, value.relative) for value in values}) < len(values):
        raise ValueError(f"--ablate {axis} names a value twice: '{listed}'")
    return Ablation(axis, values)


def _value(axis: Axis, text: str) -> Value:
    relative = text.endswith("x") and axis == "lambda"
    try:
        number = float(text.removesuffix("x") if relative else text)
    except ValueError:
        raise ValueError(f"--ablate {axis} takes numbers, got '{text}'") from None
    low, high, wanted = _RANGES[axis]
    if not low <= number <= high or number == float("inf") or (axis == "references" and not number.is_integer()):
        raise ValueError(f"--ablate {axis} takes values of {wanted}, got '{text}'")
    return Value(text, number, relative)
