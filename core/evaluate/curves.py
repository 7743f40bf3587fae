"""Curves of an ablation: every measure against what varies, with its interval over photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from core.evaluate.measure import MEASURES, Measure

TITLES = {"lambda": "lambda of Eq. 2 (identity weight)", "alpha": "alpha of Eq. 1", "references": "references"}
LINE, BAND, BASELINE = "#3b6ea5", "#3b6ea533", "#c46a3f"


def draw_curves(
    axis: str, points: Sequence[Mapping[str, object]], path: Path, *, subtitle: str, baseline: Mapping
) -> None:
    """Write a PNG with one panel per measure.

    Args:
        axis: "lambda", "references" or "alpha".
        points: `number`, `value` and `measures` each, as in `core.evaluate.ablations.ablation_report`.
        subtitle: what stays the same.
        baseline: the JoJoGAN few-shot arm's part of the report, drawn as a dashed line.

    Raises:
        OSError: the file can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6.6), layout="constrained")
    FigureCanvasAgg(figure)
    ordered = sorted(points, key=lambda point: point["number"])
    for place, measure in zip(figure.subplots(2, 3).flat, MEASURES, strict=True):
        _panel(place, measure, axis, ordered, baseline["measures"][measure.name]["mean"])
    figure.supxlabel(TITLES[axis])
    figure.suptitle(f"Ours, few-shot, against {TITLES[axis]}\n{subtitle}", fontsize=12)
    figure.savefig(path, dpi=120, format="png")


def _panel(place, measure: Measure, axis: str, points: Sequence[Mapping], baseline: float | None) -> None:
    known = [point for point in points if point["measures"][measure.name]["mean"] is not None]
    numbers = [point["number"] for point in known]
    values = [point["measures"][measure.name] for point in known]
    place.plot(numbers, [value["mean"] for value in values], marker="o", color=LINE, label="ours, few-shot")
    spread = [(x, value) for x, value in zip(numbers, values, strict=True) if value["low"] is not None]
    if spread:
        lows, highs = ([value[end] for _, value in spread] for end in ("low", "high"))
        place.fill_between([x for x, _ in spread], lows, highs, color=BAND, linewidth=0)
    if baseline is not None:
        place.axhline(baseline, color=BASELINE, linestyle="--", linewidth=1.2, label="JoJoGAN, few-shot")
    place.set_title(f"{measure.title} {measure.arrow}", fontsize=10)
    if axis == "lambda" and numbers and min(numbers) > 0 and max(numbers) > 3 * min(numbers):
        place.set_xscale("log")
        place.minorticks_off()
    place.set_xticks(numbers, [f"{point['number']:g}" for point in known], fontsize=8)
    place.grid(alpha=0.3)
    if measure is MEASURES[0]:
        place.legend(fontsize=8)
