"""Curves of an ablation: every measure against what varies, with its interval over photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.engines.fewshot_gan.measure.ablations import Axis
from core.evaluate.arms_report import AblationPoint, ArmReport
from core.evaluate.scores import MEASURES, Measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES: dict[Axis, str] = {
    "lambda": "lambda of Eq. 2 (identity weight)",
    "alpha": "alpha of Eq. 1",
    "references": "references",
}
LINE, BAND, BASELINE = "#3b6ea5", "#3b6ea533", "#c46a3f"


def draw_curves(axis: Axis, points: Sequence[AblationPoint], path: Path, *, subtitle: str, baseline: ArmReport) -> None:
    """Write a PNG with one panel per measure.

    Args:
        axis: what varies.
        points: of the ablation.
        path: of the PNG.
        subtitle: what stays the same.
        baseline: the JoJoGAN few-shot arm, drawn as a dashed line.

    Raises:
        OSError: the file can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6.6), layout="constrained")
    FigureCanvasAgg(figure)
    ordered = sorted(points, key=lambda point: point.number)
    for place, measure in zip(figure.subplots(2, 3).flat, MEASURES, strict=True):
        _panel(place, measure, axis, ordered, baseline.measures[measure.name].mean)
    figure.supxlabel(TITLES[axis])
    figure.suptitle(f"Ours, few-shot, against {TITLES[axis]}\n{subtitle}", fontsize=12)
    figure.savefig(path, dpi=120, format="png")


def _panel(place: Axes, measure: Measure, axis: Axis, points: Sequence[AblationPoint], baseline: float | None) -> None:
    intervals = [(point.number, point.measures[measure.name]) for point in points]
    known = [(number, interval.mean) for number, interval in intervals if interval.mean is not None]
    numbers = [number for number, _ in known]
    place.plot(numbers, [mean for _, mean in known], marker="o", color=LINE, label="ours, few-shot")
    spread = [(number, interval.low, interval.high) for number, interval in intervals if interval.low is not None]
    if spread:
        places, lows, highs = zip(*spread, strict=True)
        place.fill_between(places, lows, highs, color=BAND, linewidth=0)
    if baseline is not None:
        place.axhline(baseline, color=BASELINE, linestyle="--", linewidth=1.2, label="JoJoGAN, few-shot")
    place.set_title(f"{measure.title} {measure.arrow}", fontsize=10)
    if axis == "lambda" and numbers and min(numbers) > 0 and max(numbers) > 3 * min(numbers):
        place.set_xscale("log")
        place.minorticks_off()
    place.set_xticks(numbers, [f"{number:g}" for number in numbers], fontsize=8)
    place.grid(alpha=0.3)
    if measure is MEASURES[0]:
        place.legend(fontsize=8)
