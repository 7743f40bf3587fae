"""A results table as a picture: bars with 95 % intervals beside the paper's figures, light or dark, PNG or SVG.

Drawn on a figure of its own, never through pyplot's state, so that threads don't meet. It is narrow on purpose: on a
phone 390 px wide its smallest words still have about 10 px.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from core.study.analysis.report import GROUP_TITLES, PAPER_TABLE_1
from core.study.analysis.tables import ArmResult, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Theme = Literal["light", "dark"]
Form = Literal["png", "svg"]

# The page's tokens (core.ui.components.theme); a test keeps them equal.
_TOKENS = ("panel", "ink", "quiet", "line", "field-line", "accent")
_COLOURS: Mapping[Theme, tuple[str, ...]] = {
    "light": ("#fffdf8", "#1f1b16", "#62594d", "#e3dac9", "#9a8f7e", "#24437a"),
    "dark": ("#1b1a18", "#f0eae0", "#b8afa1", "#35322d", "#7a7267", "#a3bcec"),
}
COLOURS: Mapping[Theme, Mapping[str, str]] = MappingProxyType(
    {theme: MappingProxyType(dict(zip(_TOKENS, colours, strict=True))) for theme, colours in _COLOURS.items()}
)

WIDTH_IN = 4.6
DPI = 220  # a phone's pixels, and print
_ROW_IN, _ROW_WITHOUT_PAPER_IN, _FRAME_IN = 0.76, 0.60, 0.86  # height of one arm's row, and of everything else
_BODY_PT, _SMALL_PT = 10.5, 9.0
_FOOTER_CHARACTERS = 56  # fit the width
_BAR, _PAPER_BAR = 0.27, 0.10  # heights, in rows
_BAR_AT, _PAPER_AT, _TITLE_AT = 0.05, 0.31, -0.25  # middles below a row's own middle, in rows


def paper_percent_beside(table: Table) -> Mapping[str, float]:
    """Return the paper's figures for a table: they exist for everybody's choices between all four arms only."""
    return PAPER_TABLE_1.percent if table.group == "all" and set(table.arms) == set(PAPER_TABLE_1.percent) else {}


def draw(table: Table, *, theme: Theme = "light") -> Figure:
    """Draw a shown table, arms from the most chosen down. Raises ValueError for a withheld one."""
    from matplotlib.figure import Figure

    if table.withheld:
        raise ValueError(f"a withheld table can't be drawn: {table.withheld}")
    colours, rows, paper = COLOURS[theme], table.ranked, paper_percent_beside(table)
    rows_in = (_ROW_IN if paper else _ROW_WITHOUT_PAPER_IN) * len(rows)
    height = _FRAME_IN + rows_in
    figure = Figure(figsize=(WIDTH_IN, height), facecolor=colours["panel"])
    axes = figure.add_axes((0.035, 0.72 / height, 0.93, rows_in / height))
    reach = 100 * max(row.interval[1] for row in rows)
    reach = max(reach, *paper.values(), 10.0) if paper else max(reach, 10.0)
    for place, row in enumerate(rows):
        _draw_row(axes, place, row, paper.get(row.arm), reach=reach, colours=colours)
    _draw_frame(axes, len(rows), reach=reach, colours=colours)
    figure.text(0.035, 0.10 / height, _footer(table), color=colours["quiet"], size=_SMALL_PT, va="bottom")
    return figure


def _draw_row(
    axes: Axes, place: int, row: ArmResult, paper: float | None, *, reach: float, colours: Mapping[str, str]
) -> None:
    low, high = (100 * end for end in row.interval)
    share, middle = 100 * row.share, place + _BAR_AT
    behind: dict[str, Any] = {"facecolor": colours["panel"], "linewidth": 0, "pad": 1}  # no grid line through the words
    axes.text(
        0.008 * reach, place + _TITLE_AT, row.title, color=colours["ink"], size=_BODY_PT, va="center", bbox=behind
    )
    axes.barh(middle, share, height=_BAR, color=colours["accent"], linewidth=0)
    for end, colour in ((low, "panel"), (high, "ink")):  # light on the bar, dark beyond its end
        line: dict[str, Any] = {"color": colours[colour], "markeredgewidth": 1.5, "linewidth": 1.5, "zorder": 3}
        axes.plot([share, end], [middle, middle], **line, solid_capstyle="butt")
        if abs(end - share) > 0.004 * reach:
            axes.plot(end, middle, "|", **line, markersize=8)
    axes.text(
        max(high, share) + 0.02 * reach,
        middle,
        f"{share:.1f} %",
        color=colours["ink"],
        size=_BODY_PT,
        weight="bold",
        va="center_baseline",
        bbox=behind,
    )
    if paper is not None:
        beneath = place + _PAPER_AT
        axes.barh(beneath, paper, height=_PAPER_BAR, color=colours["field-line"], linewidth=0)
        said = f"paper {paper:.2f} %"
        axes.text(paper + 0.02 * reach, beneath, said, color=colours["quiet"], size=_SMALL_PT, va="center", bbox=behind)


def _draw_frame(axes: Axes, rows: int, *, reach: float, colours: Mapping[str, str]) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_facecolor("none")
    axes.set_xlim(0, reach * 1.36)  # room for the words behind the longest bar
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %" if value <= 100 else ""))
    axes.tick_params(axis="x", length=0, pad=5, labelsize=_SMALL_PT, labelcolor=colours["quiet"])
    axes.grid(axis="x", color=colours["line"], linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set(color=colours["field-line"], zorder=5)


def _footer(table: Table) -> str:
    who = "" if table.group == "all" else f" ({GROUP_TITLES[table.group].lower()})"
    sentence = (
        f"Share of {table.choices:,} choices by {table.participants:,} people{who}, "
        f"{100 * table.undecided / table.choices:.1f} % undecided. Lines are 95 % intervals."
    )
    return textwrap.fill(sentence, _FOOTER_CHARACTERS)


def render(table: Table, *, theme: Theme = "light", form: Form = "png") -> bytes:
    """Return the drawn table as a file's bytes; the same table gives the same PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    figure = draw(table, theme=theme)
    {"png": FigureCanvasAgg, "svg": FigureCanvasSVG}[form](figure)
    buffer = io.BytesIO()
    metadata = {"Date": None, "Title": table.title} if form == "svg" else {"Title": table.title}
    figure.savefig(buffer, format=form, dpi=DPI, facecolor=figure.get_facecolor(), metadata=metadata)
    return buffer.getvalue()


def alt_text(table: Table) -> str:
    """Say what the picture shows, for those who can't see it."""
    if table.withheld:
        return table.withheld
    paper = paper_percent_beside(table)
    parts = [
        f"{row.title} {100 * row.share:.1f} % ({100 * row.interval[0]:.1f} to {100 * row.interval[1]:.1f} %)"
        + (f", in the paper {paper[row.arm]:.2f} %" if paper else "")
        for row in table.ranked
    ]
    return (
        f"Bar chart of {table.title}, {GROUP_TITLES[table.group].lower()}: share of {table.choices:,} choices with "
        f"95 % intervals. {'; '.join(parts)}; undecided {100 * table.undecided / table.choices:.1f} %."
    )
