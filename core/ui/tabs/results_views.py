"""The Results tab as HTML: a headline, the figure, one table per set of pictures, and how it was computed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from core.study.analysis.photo_votes import QuickTable
from core.study.analysis.report import GROUP_TITLES, Report
from core.study.analysis.statistics import PositionBias
from core.study.analysis.tables import ArmResult, Table
from core.study.protocol.packs import Arm
from core.study.protocol.records import PackCard
from core.ui.i18n import t, translated

UNFINISHED = "You are in the middle of a run. The results wait until it is finished, so that they can't sway you."
NOT_BEGUN = "Choose for yourself first: the results show once you have finished a run, so that they can't sway you."
_DASH = "–"
_SIGNIFICANT = 0.05


def percent(share: float) -> str:
    """Return a share as "47.1 %"."""
    return f"{100 * share:.1f} %"


def _between(ends: tuple[float, float]) -> str:
    return f"{100 * ends[0]:.0f}{_DASH}{100 * ends[1]:.0f} %"


def _signed(value: float, ends: tuple[float, float]) -> str:
    return f"<strong>{value:+.2f}</strong> <small>{ends[0]:+.2f} {_DASH} {ends[1]:+.2f}</small>"


def people(count: int) -> str:
    """Return "1 person" or "12 people"."""
    return t("1 person") if count == 1 else t("{count} people", count=f"{count:,}")


def _to_vote(text: str, *, main: bool = True) -> str:
    kind = "st-plain main" if main else "st-plain"
    return f'<button type="button" class="{kind}" data-pick="vote">{escape(t(text))}</button>'


# --- headline, figure, or why there is none ----------------------------------------------------------------


def hidden(why: str) -> str:
    """Return what stands here before the visitor may look: `UNFINISHED` or `NOT_BEGUN`."""
    button = _to_vote("Take part" if why == NOT_BEGUN else "Go on voting")
    words = f"<strong>{escape(t('Not yet'))}</strong><span>{escape(t(why))}</span>"
    return f'<div class="si-empty st-wait">{words}{button}</div>'


def head(report: Report) -> str:
    """Return the headline with what it rests on, or the empty state."""
    headline = escape(translated(report.headline))
    if report.main_table is None:
        return _too_few(report, headline)
    return (
        f'<section class="st-results"><h2>{headline}</h2><p class="st-rest">{escape(_rests_on(report))}</p></section>'
    )


def yet_to_come(hidden: Sequence[PackCard]) -> str:
    """Return which sets' results are kept from a visitor who has not voted on them, with the way there."""
    if not hidden:
        return ""
    titles = ", ".join(t(card.title) for card in hidden)
    words = t("Results of these sets show once you have voted on them too: {titles}.", titles=titles)
    return f'<p class="st-rest">{escape(words)} {_to_vote("Go on voting", main=False)}</p>'


def _rests_on(report: Report) -> str:
    words = [t("{people} finished, {count} choices.", people=people(report.participants), count=f"{report.choices:,}")]
    if report.participants_flagged:
        flagged = people(report.participants_flagged)
        if report.flagged:
            words.append(t("{people} answered in a hurry, one-sidedly or inattentively: counted.", people=flagged))
        else:
            words.append(t("{people} answered in a hurry, one-sidedly or inattentively: left out.", people=flagged))
    if report.participants_unfinished:
        words.append(t("{people} still on the way: not counted.", people=people(report.participants_unfinished)))
    return " ".join(words)


def _too_few(report: Report, headline: str) -> str:
    done = min(report.participants, report.minimum)
    return (
        f'<div class="si-empty st-wait"><strong>{headline}</strong><div class="bar" role="progressbar" '
        f'aria-label="{escape(t("People who have finished"))}" aria-valuemin="0" aria-valuemax="{report.minimum}" '
        f'aria-valuenow="{done}"><i style="width:{100 * done / max(1, report.minimum):.0f}%"></i></div>'
        f"<span>{escape(t('A few votes say more about chance than about portraits.'))}</span></div>"
    )


def figure(light: str, dark: str, alt: str) -> str:
    """Return the chart twice, for light and dark, as data addresses; the page shows one of them."""
    text = escape(alt)
    return (
        f'<figure class="st-chart"><img class="on-light" src="{light}" alt="{text}">'
        f'<img class="on-dark" src="{dark}" alt="{text}"></figure>'
    )


# --- tables ------------------------------------------------------------------------------------------------


def _table(name: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]], *, rest: str = "") -> str:
    """A table that scrolls sideways by itself; cells are HTML."""
    head_cells = "".join(f'<th scope="col">{column}</th>' for column in columns)
    lines = "".join(
        f'<tr><th scope="row">{escape(t(title))}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for title, cells in rows
    )
    return (
        f'<div class="st-scroll" tabindex="0" role="region" aria-label="{escape(name)}"><table><thead><tr><td></td>'
        f"{head_cells}</tr></thead><tbody>{lines}{rest}</tbody></table></div>"
    )


def _scopes(tables: Iterable[Table]) -> Mapping[tuple[str, str, str], list[Table]]:
    found: dict[tuple[str, str, str], list[Table]] = {}
    for table in tables:
        found.setdefault((table.pack, table.pack_digest, table.title), []).append(table)
    return found


def tables(report: Report) -> str:
    """Return one table per set of pictures, the headline's first: methods down, groups across, with 95 % intervals."""
    shown = [scope for scope in _scopes(report.tables).values() if any(not table.withheld for table in scope)]
    shown.sort(key=lambda scope: report.main_table not in scope)
    return "".join(_scope(scope, report.paper.percent) for scope in shown)


def _scope(scope: list[Table], paper: Mapping[Arm, float]) -> str:
    arms, title = scope[0].arms, translated(scope[0].title)
    beside = set(arms) == set(paper)
    columns = [_column(table) for table in scope]
    columns += [f"{escape(t('The paper'))}<small>{escape(t('28 people, as printed'))}</small>"] if beside else []
    found = [{row.arm: row for row in table.results} for table in scope]
    rows = [
        (
            _title(arm, scope),
            [*(_cell(by_arm.get(arm)) for by_arm in found), *([f"{paper[arm]:.2f} %"] if beside else [])],
        )
        for arm in arms
    ]
    missing = "".join(
        f"<li>{escape(t(GROUP_TITLES[table.group]))}: {escape(translated(table.withheld))}</li>"
        for table in scope
        if table.withheld
    )
    return (
        f'<section class="st-results"><h3>{escape(title)}</h3>'
        f"{_table(title, columns, rows, rest=_undecided(scope, beside=beside))}"
        f"{f'<ul>{missing}</ul>' if missing else ''}{_details(scope)}</section>"
    )


def _column(table: Table) -> str:
    counts = t("{people}, {count} choices", people=people(table.participants), count=f"{table.choices:,}")
    return f"{escape(t(GROUP_TITLES[table.group]))}<small>{escape(counts)}</small>"


def _undecided(scope: list[Table], *, beside: bool) -> str:
    shares = [table.undecided_share for table in scope]
    cells = "".join(f"<td>{_DASH if share is None else percent(share)}</td>" for share in shares)
    title = escape(t("Can't decide"))
    return f'<tr class="rest"><th scope="row">{title}</th>{cells}{"<td></td>" if beside else ""}</tr>'


def _title(arm: Arm, scope: list[Table]) -> str:
    return next(row.title for table in scope for row in table.results if row.arm == arm)


def _cell(row: ArmResult | None) -> str:
    return _DASH if row is None else f"<strong>{percent(row.share)}</strong> <small>{_between(row.interval)}</small>"


# --- checks ------------------------------------------------------------------------------------------------


def _details(scope: list[Table]) -> str:
    parts = "".join(_checks(table) for table in scope if not table.withheld)
    return f"<details><summary>{escape(t('Strengths and checks'))}</summary>{parts}</details>"


def _checks(table: Table) -> str:
    group = t(GROUP_TITLES[table.group])
    columns = [t("Chosen"), t("Strength (Plackett-Luce)"), t("Wilson interval"), t("Bootstrap over people")]
    rows = [
        (
            row.title,
            [
                f"{row.choices:,}",
                _signed(row.strength, row.strength_interval),
                f"<small>{_between(row.wilson)}</small>",
                f"<small>{_between(row.bootstrap)}</small>",
            ],
        )
        for row in table.results
    ]
    said = "".join(
        f"<li>{escape(sentence)}</li>" for sentence in (_place(table.positions), _agreement(table), _best(table))
    )
    return f"<h4>{escape(group)}</h4>{_table(group, columns, rows)}<ul>{said}</ul>"


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
    words = "Agreement between people (Fleiss' kappa): {kappa}; 0 is chance, 1 is full agreement."
    return t(words, kappa=f"{table.kappa:.2f}")


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
        return f"{gap} {t('told apart.')}"
    if two.participants_still_needed is None:
        return f"{gap} {t('not told apart.')}"
    needed = t("not told apart; about {people} more would be needed.", people=people(two.participants_still_needed))
    return f"{gap} {needed}"


def joint(report: Report) -> str:
    """Return the strengths over sets with different methods, where there are any."""
    if not report.strengths:
        return ""
    title = t("All sets together")
    rows = [(row.title, [_signed(row.strength, row.interval)]) for row in report.strengths]
    table = _table(title, [t("Strength (Plackett-Luce)")], rows)
    return f'<section class="st-results"><h3>{escape(title)}</h3>{table}</section>'


def quick(report: Report) -> str:
    """Return the votes on visitors' own photos, style by style, where there are any."""
    return "".join(_quick_table(table) for table in report.quick)


def _quick_table(table: QuickTable) -> str:
    title = t("Quick votes on own photos: {style}", style=t(table.style.replace("-", " ").capitalize()))
    counts = f"<small>{escape(t('{count} choices', count=f'{table.choices:,}'))}</small>"
    if table.withheld:
        body = f'<p class="st-rest">{escape(translated(table.withheld))}</p>'
        return f'<section class="st-results"><h3>{escape(title)} {counts}</h3>{body}</section>'
    rows = [
        (row.title, [f"<strong>{percent(row.share)}</strong> <small>{_between(row.interval)}</small>"])
        for row in table.results
    ]
    title_of_rest, share = escape(t("Can't decide")), percent(table.undecided / table.choices)
    rest = f'<tr class="rest"><th scope="row">{title_of_rest}</th><td>{share}</td></tr>'
    body = _table(title, [escape(t("Everybody"))], rows, rest=rest)
    said = f"<ul><li>{escape(_place(table.positions))}</li></ul>"
    return f'<section class="st-results"><h3>{escape(title)} {counts}</h3>{body}{said}</section>'


def notes(report: Report) -> str:
    """Return how it was computed."""
    items = "".join(f"<li>{escape(translated(note))}</li>" for note in (*report.notes, report.paper.caveat))
    drawn = t("Bootstrap: {count} resamples, seed {seed}.", count=f"{report.resamples:,}", seed=report.seed)
    return (
        f'<details class="st-results st-notes"><summary>{escape(t("How this was computed"))}</summary><ul>{items}</ul>'
        f'<p class="si-hint">{escape(drawn)}</p></details>'
    )
