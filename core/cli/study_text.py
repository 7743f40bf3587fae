"""The study's report for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from core.study.analysis.figure import paper_percent_beside
from core.study.analysis.photo_votes import QuickTable
from core.study.analysis.report import GROUP_TITLES, Report
from core.study.analysis.statistics import PositionBias
from core.study.analysis.tables import Table


def report_lines(made: Report) -> Iterator[str]:
    """The report as lines of text: headline, what counts, one block per table, the paper's caveat."""
    yield made.headline
    counted = "counted" if made.flagged else "left out"
    yield (
        f"{made.participants:,} finished with {made.choices:,} choices; {made.participants_unfinished:,} unfinished "
        f"(not counted); {made.participants_flagged:,} flagged ({counted})."
    )
    for table in made.tables:
        yield ""
        yield (
            f"{table.title} - {GROUP_TITLES[table.group]} ({table.participants:,} people, {table.choices:,} choices)"
        )
        yield from (f"  {line}" for line in ([table.withheld] if table.withheld else _table_lines(table)))
    if made.strengths:
        yield ""
        yield "Strengths over all packs"
        yield from (f"  {row.title:<20}{row.strength:+6.2f}  {_signed(row.interval)}" for row in made.strengths)
    for table in made.quick:
        yield ""
        yield f"Quick votes on own photos, style {table.style} ({table.choices:,} choices)"
        yield from (f"  {line}" for line in ([table.withheld] if table.withheld else _quick_lines(table)))
    yield ""
    yield made.paper.caveat


def _table_lines(table: Table) -> Iterator[str]:
    paper = paper_percent_beside(table)
    head = f"{'':<20}{'share':>8}  {'95 % interval':<17}{'strength':<24}"
    yield (head + ("paper" if paper else "")).rstrip()
    for row in table.ranked:
        line = (
            f"{row.title:<20}{100 * row.share:>6.2f} %  {_percent(row.interval):<17}"
            f"{f'{row.strength:+.2f}  {_signed(row.strength_interval)}':<24}"
        )
        yield (line + (f"{paper[row.arm]:.2f} %" if paper else "")).rstrip()
    yield f"{'Could not decide':<20}{100 * table.undecided_share:>6.2f} %"
    yield from _places(table.positions)
    if table.kappa is not None:
        yield f"Agreement (Fleiss' kappa): {table.kappa:.2f}"
    if table.best_two is not None:
        yield _best_two(table)


def _quick_lines(table: QuickTable) -> Iterator[str]:
    for row in sorted(table.results, key=lambda row: -row.choices):
        yield f"{row.title:<20}{100 * row.share:>6.2f} %  {_percent(row.interval)}"
    yield f"{'Could not decide':<20}{100 * table.undecided / table.choices:>6.2f} %"
    yield from _places(table.positions)


def _places(bias: PositionBias | None) -> Iterator[str]:
    if bias is not None and bias.p_value is not None:
        counts = ", ".join(f"{label} {count:,}" for label, count in zip("ABCD", bias.observed, strict=False))
        yield f"Places on the screen: {counts}; chi-square {bias.statistic:.2f}, p = {bias.p_value:.3f}"


def _best_two(table: Table) -> str:
    two = table.best_two
    low, high = two.interval
    lead = f"Lead over the second: {100 * two.difference:.1f} points, {100 * low:.1f} to {100 * high:.1f}"
    if two.separated:
        return f"{lead}; told apart"
    if two.participants_still_needed is None:
        return f"{lead}; level"
    return f"{lead}; not told apart, about {two.participants_still_needed:,} more participants are needed"


def _percent(ends: tuple[float, float]) -> str:
    return f"{100 * ends[0]:.2f}-{100 * ends[1]:.2f} %"


def _signed(ends: tuple[float, float]) -> str:
    return f"({ends[0]:+.2f} to {ends[1]:+.2f})"
