"""The study's report for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import indent

from core.cli.tables import table as set_table
from core.study.analysis.figure import paper_percent_beside
from core.study.analysis.photo_votes import PhotoTable
from core.study.analysis.report import GROUP_TITLES, Report
from core.study.analysis.statistics import PositionBias, Separation
from core.study.analysis.tables import Table


def report_lines(made: Report) -> Iterator[str]:
    """Give the report as lines of text: headline, what counts, one block per table, the paper's caveat."""
    yield made.headline
    counted = "counted" if made.flagged else "left out"
    yield (
        f"{made.participants:,} finished with {made.choices:,} choices; {made.participants_unfinished:,} unfinished "
        f"(not counted); {made.participants_flagged:,} flagged ({counted})."
    )
    for table in made.tables:
        counts = f"({table.participants:,} people, {table.choices:,} choices)"
        yield f"\n{table.title} - {GROUP_TITLES[table.group]} {counts}"
        yield _indented([table.withheld] if table.withheld else _table_lines(table))
    if made.strengths:
        yield "\nStrengths over all packs"
        rows = [(row.title, f"{row.strength:+.2f}", _signed(row.interval)) for row in made.strengths]
        yield _indented([set_table(("", "strength", "95 % interval"), rows, right={1})])
    for style in made.quick:
        yield f"\nQuick votes on own photos, style {style.style} ({style.choices:,} choices)"
        yield _indented([style.withheld] if style.withheld else _photo_vote_lines(style))
    yield f"\n{made.paper.caveat}"


def _indented(parts: Iterable[str]) -> str:
    return indent("\n".join(parts), "  ")


def _table_lines(table: Table) -> Iterator[str]:
    paper = paper_percent_beside(table)
    rows = [
        (
            row.title,
            _share(row.share),
            _between(row.interval),
            f"{row.strength:+.2f}  {_signed(row.strength_interval)}",
            f"{paper[row.arm]:.2f} %" if paper else "",
        )
        for row in table.ranked
    ]
    rows.append(("Could not decide", _share(table.undecided_share), "", "", ""))
    yield set_table(("", "share", "95 % interval", "strength", "paper" if paper else ""), rows, right={1})
    yield from _places(table.positions)
    if table.kappa is not None:
        yield f"Agreement (Fleiss' kappa): {table.kappa:.2f}"
    if table.best_two is not None:
        yield _best_two(table.best_two)


def _photo_vote_lines(table: PhotoTable) -> Iterator[str]:
    ranked = sorted(table.results, key=lambda row: -row.choices)
    rows = [(row.title, _share(row.share), _between(row.interval)) for row in ranked]
    rows.append(("Could not decide", _share(table.undecided / table.choices), ""))
    yield set_table(("", "share", "95 % interval"), rows, right={1})
    yield from _places(table.positions)


def _places(bias: PositionBias | None) -> Iterator[str]:
    if bias is not None and bias.p_value is not None:
        counts = ", ".join(f"{label} {count:,}" for label, count in zip("ABCD", bias.observed, strict=False))
        yield f"Places on the screen: {counts}; chi-square {bias.statistic:.2f}, p = {bias.p_value:.3f}"


def _best_two(two: Separation) -> str:
    low, high = two.interval
    lead = f"Lead over the second: {100 * two.difference:.1f} points, {100 * low:.1f} to {100 * high:.1f}"
    if two.separated:
        return f"{lead}; told apart"
    if two.participants_still_needed is None:
        return f"{lead}; level"
    return f"{lead}; not told apart, about {two.participants_still_needed:,} more participants are needed"


def _share(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f} %"


def _between(ends: tuple[float, float]) -> str:
    return f"{100 * ends[0]:.2f}-{100 * ends[1]:.2f} %"


def _signed(ends: tuple[float, float]) -> str:
    return f"({ends[0]:+.2f} to {ends[1]:+.2f})"
