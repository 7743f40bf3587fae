"""Everyone's results as HTML: a headline, the figure, one table per set of pictures, and how it was computed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from markupsafe import Markup

from core.study.analysis.photo_votes import PhotoTable
from core.study.analysis.report import GROUP_TITLES, Report
from core.study.analysis.statistics import PositionBias
from core.study.analysis.tables import ArmResult, Table
from core.study.records import PackCard
from core.ui.components.rendering import render
from core.ui.i18n import t

TEMPLATE = "results.html"
UNFINISHED = "You are in the middle of a run. The results wait until it is finished, so that they can't sway you."
NOT_BEGUN = "The results show once you have finished a set, so that they can't sway you."
# What was compared, in a line each; packs of others bring arms that we know nothing of.
ARM_SAYS: Mapping[str, str] = MappingProxyType(
    {
        "jojogan-one": "The earlier method, which learns from one picture of the style.",
        "jojogan-few": "The earlier method, which learns from all pictures of the style.",
        "ours-one": "Keeps watching that it stays the same person; learns from one picture.",
        "ours-few": "Keeps watching that it stays the same person; learns from all pictures.",
        "generator": "What the network draws, as it is.",
        "hand": "What the network draws, redrawn with the strokes of the style pictures.",
    }
)
_DASH = "–"
_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Column:
    """The head of a table's column, with a note in small print."""

    title: str
    note: str = ""


@dataclass(frozen=True)
class Cell:
    """A number, and beside it in small print how sure it is."""

    strong: str = ""
    small: str = ""
    plain: str = ""


@dataclass(frozen=True)
class TableRow:
    """A table's row; its title is translated when it is shown."""

    title: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Check:
    """Strengths and checks of one table."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[TableRow]
    sentences: Sequence[str]


def percent(share: float) -> str:
    """Return a share as "47.1 %"."""
    return f"{100 * share:.1f} %"


def people(count: int) -> str:
    """Return "1 person" or "12 people"."""
    return t("1 person") if count == 1 else t("{count} people", count=f"{count:,}")


def _between(ends: tuple[float, float]) -> str:
    return f"{100 * ends[0]:.0f}{_DASH}{100 * ends[1]:.0f} %"


def _share(share: float, interval: tuple[float, float]) -> Cell:
    return Cell(percent(share), _between(interval))


def _strength(value: float, ends: tuple[float, float]) -> Cell:
    return Cell(f"{value:+.2f}", f"{ends[0]:+.2f} {_DASH} {ends[1]:+.2f}")


# --- headline and figure ----------------------------------------------------------------


def head(report: Report) -> Markup:
    """Return the headline with what it rests on, or the empty state."""
    if report.main_table is None:
        done = min(report.participants, report.minimum)
        return render(TEMPLATE, "too_few", headline=report.headline, done=done, minimum=report.minimum)
    return render(TEMPLATE, "headline", text=report.headline, rests_on=_rests_on(report))


def yet_to_come(cards: Sequence[PackCard]) -> Markup:
    """Return which sets' results are kept from a visitor who has not voted on them, with the way there."""
    return render(TEMPLATE, "yet_to_come", titles=[t(card.title) for card in cards]) if cards else Markup()


def _rests_on(report: Report) -> list[str]:
    done, flagged = people(report.participants), people(report.participants_flagged)
    sentences = [t("{people} finished, {count} choices.", people=done, count=f"{report.choices:,}")]
    if report.participants_flagged and report.flagged:
        sentences.append(t("{people} answered in a hurry, one-sidedly or inattentively: counted.", people=flagged))
    elif report.participants_flagged:
        sentences.append(t("{people} answered in a hurry, one-sidedly or inattentively: left out.", people=flagged))
    if report.participants_unfinished:
        going_on = people(report.participants_unfinished)
        sentences.append(t("{people} still on the way: not counted.", people=going_on))
    return sentences


def figure(light: str, dark: str, alt: str) -> Markup:
    """Return the chart twice, for light and dark, as data addresses; the page shows one of them."""
    return render(TEMPLATE, "figure", light=light, dark=dark, alt=alt)


def arms(report: Report) -> Markup:
    """Return what was compared, in a line each."""
    found = {row.arm: row.title for table in report.tables for row in table.results}
    return render(TEMPLATE, "arms", arms=[(title, ARM_SAYS[arm]) for arm, title in found.items() if arm in ARM_SAYS])


# --- tables ------------------------------------------------------------------------------------------------


def tables(report: Report) -> Markup:
    """Return one table per set of pictures, the headline's first: methods down, groups across, with 95 % intervals."""
    shown = [scope for scope in _scopes(report.tables).values() if any(not table.withheld for table in scope)]
    shown.sort(key=lambda scope: report.main_table not in scope)
    return Markup().join(_scope(scope, report.paper.percent) for scope in shown)


def _scopes(tables: Iterable[Table]) -> Mapping[tuple[str, str, str], list[Table]]:
    found: dict[tuple[str, str, str], list[Table]] = {}
    for table in tables:
        found.setdefault((table.pack, table.pack_digest, table.title), []).append(table)
    return found


def _scope(scope: list[Table], paper: Mapping[str, float]) -> Markup:
    arms = scope[0].arms
    beside = set(arms) == set(paper)
    columns = [_column(table) for table in scope]
    undecided = [_DASH if table.undecided_share is None else percent(table.undecided_share) for table in scope]
    if beside:
        columns.append(Column(t("The paper"), t("28 people, as printed")))
        undecided.append("")
    found = [{row.arm: row for row in table.results} for table in scope]
    rows = []
    for arm in arms:
        cells = [_cell(by_arm.get(arm)) for by_arm in found]
        rows.append(TableRow(_title(arm, scope), [*cells, *([Cell(plain=f"{paper[arm]:.2f} %")] if beside else [])]))
    missing = [f"{t(GROUP_TITLES[table.group])}: {t(table.withheld)}" for table in scope if table.withheld]
    return render(
        TEMPLATE,
        "set_of_pictures",
        title=t(scope[0].title),
        columns=columns,
        rows=rows,
        undecided=undecided,
        missing=missing,
        checks=[_check(table) for table in scope if not table.withheld],
    )


def _column(table: Table) -> Column:
    counts = t("{people}, {count} choices", people=people(table.participants), count=f"{table.choices:,}")
    return Column(t(GROUP_TITLES[table.group]), counts)


def _title(arm: str, scope: list[Table]) -> str:
    return next(row.title for table in scope for row in table.results if row.arm == arm)


def _cell(row: ArmResult | None) -> Cell:
    return Cell(plain=_DASH) if row is None else _share(row.share, row.interval)


def joint(report: Report) -> Markup:
    """Return the strengths over sets with different methods, where there are any."""
    if not report.strengths:
        return Markup()
    rows = [TableRow(row.title, [_strength(row.strength, row.interval)]) for row in report.strengths]
    columns = [Column(t("Strength (Plackett-Luce)"))]
    return render(TEMPLATE, "joint", title=t("All sets together"), columns=columns, rows=rows)


def photo_votes(report: Report) -> Markup:
    """Return the votes on visitors' own photos, style by style, where there are any."""
    return Markup().join(_photo_votes_of(table) for table in report.quick)


def _photo_votes_of(table: PhotoTable) -> Markup:
    return render(
        TEMPLATE,
        "photo_votes",
        title=t("Quick votes on own photos: {style}", style=t(table.style.replace("-", " ").capitalize())),
        counts=t("{count} choices", count=f"{table.choices:,}"),
        withheld=table.withheld,
        columns=[Column(t("Everybody"))],
        rows=[TableRow(row.title, [_share(row.share, row.interval)]) for row in table.results],
        undecided=[] if table.withheld else [percent(table.undecided / table.choices)],
        sentences=[] if table.withheld else [_place(table.positions)],
    )


# --- checks ------------------------------------------------------------------------------------------------


def _check(table: Table) -> Check:
    columns = [t("Chosen"), t("Strength (Plackett-Luce)"), t("Wilson interval"), t("Bootstrap over people")]
    rows = [
        TableRow(
            row.title,
            [
                Cell(plain=f"{row.choices:,}"),
                _strength(row.strength, row.strength_interval),
                Cell(small=_between(row.wilson)),
                Cell(small=_between(row.bootstrap)),
            ],
        )
        for row in table.results
    ]
    sentences = [_place(table.positions), _agreement(table), _best(table)]
    return Check(t(GROUP_TITLES[table.group]), [Column(column) for column in columns], rows, sentences)


def _place(bias: PositionBias | None) -> str:
    if bias is None or bias.p_value is None or bias.statistic is None:
        return t("Place on the screen: too few choices to tell whether it mattered.")
    counts = ", ".join(f"{letter} {count:,}" for letter, count in zip("ABCD", bias.observed, strict=False))
    values = {"counts": counts, "statistic": f"{bias.statistic:.2f}", "p": f"{bias.p_value:.3f}"}
    if bias.p_value < _SIGNIFICANT:
        return t("Place on the screen ({counts}): it may have mattered (chi-square {statistic}, p = {p}).", **values)
    return t("Place on the screen ({counts}): no sign that it mattered (chi-square {statistic}, p = {p}).", **values)


def _agreement(table: Table) -> str:
    if table.kappa is None:
        return t("Agreement between people: can't be computed yet.")
    kappa = f"{table.kappa:.2f}"
    return t("Agreement between people (Fleiss' kappa): {kappa}; 0 is chance, 1 is full agreement.", kappa=kappa)


def _best(table: Table) -> str:
    two = table.best_two
    if two is None:
        return ""
    titles = {row.arm: t(row.title) for row in table.results}
    low, high = (f"{100 * end:.1f}" for end in two.interval)
    gap = t(
        "{best} leads {second} by {points} points ({low} to {high}):",
        best=titles[two.best],
        second=titles[two.second],
        points=f"{100 * two.difference:.1f}",
        low=low,
        high=high,
    )
    if two.separated:
        return f"{gap} {t('clear difference.')}"
    if two.participants_still_needed is None:
        return f"{gap} {t('no clear difference.')}"
    needed = t(
        "no clear difference; about {people} more would be needed.", people=people(two.participants_still_needed)
    )
    return f"{gap} {needed}"


def notes(report: Report) -> Markup:
    """Return how it was computed."""
    drawn = t("Bootstrap: {count} resamples, seed {seed}.", count=f"{report.resamples:,}", seed=report.seed)
    return render(TEMPLATE, "notes", sentences=(*report.notes, report.paper.caveat), drawn=drawn)
