"""Draws a benchmark's report: bars of the medians, and cost curves where there are any."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.evaluate.benchmark.report import BenchmarkReport
from core.evaluate.benchmark.timing import Point, TimedRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(report: BenchmarkReport, path: Path) -> None:
    """Write a PNG of the report.

    Raises:
        OSError: the file can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    axes_names = list(dict.fromkeys(point.axis for point in report.sweep))
    heights = [1.5 + 0.42 * len(report.rows), *([3.4] if axes_names else [])]
    figure = Figure(figsize=(13, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2 if axes_names else 1, max(1, len(axes_names)), height_ratios=heights)
    _bars(figure.add_subplot(grid[0, :]), report.rows)
    for column, axis in enumerate(axes_names):
        place = figure.add_subplot(grid[1, column])
        _curve(place, axis, [point for point in report.sweep if point.axis == axis])
    machine = report.machine
    figure.suptitle(f"{machine.cpu}, {machine.threads} threads, {machine.device_name}, torch {machine.torch}")
    figure.savefig(path, dpi=120, format="png")


def _bars(axes: Axes, rows: Sequence[TimedRow]) -> None:
    labels = [textwrap.fill(f"{row.name} [{row.backbone}, {row.dtype}]", 60) for row in rows]
    medians = [row.median_s for row in rows]
    errors = [[row.median_s - row.min_s for row in rows], [row.max_s - row.median_s for row in rows]]
    colours = ["#3b6ea5" if row.backbone == "mini" else "#c46a3f" for row in rows]
    bars = axes.barh(range(len(rows)), medians, xerr=errors, color=colours, log=True)
    axes.bar_label(bars, [f"{value:.3g} s" for value in medians], padding=6)
    axes.set_yticks(range(len(rows)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("seconds: median, least and most")
    axes.margins(x=0.12)


def _curve(axes: Axes, axis: str, points: Sequence[Point]) -> None:
    for name in dict.fromkeys(point.curve for point in points):
        mine = [point for point in points if point.curve == name]
        axes.plot([point.x for point in mine], [point.median_s for point in mine], marker="o", label=name)
    axes.set_xlabel(axis)
    axes.set_ylabel("seconds")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
