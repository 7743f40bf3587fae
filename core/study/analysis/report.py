"""The study's results: which votes count, the tables, the headline, and the paper's figures to put beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from core.config import PAPER_ARMS
from core.errors import Sentence
from core.study.analysis import statistics
from core.study.analysis.photo_votes import PHOTO_VOTES_NOTE, PhotoTable, photo_tables
from core.study.analysis.tables import (
    MINIMUM_CHOICES,
    MINIMUM_PARTICIPANTS,
    ArmResult,
    Interval,
    Scope,
    Settings,
    Table,
    make_table,
    still_missing,
)
from core.study.records import GROUPS, PhotoVoteRow, VoteRow, arm_title, arms_in_order

GROUP_TITLES: Mapping[str, str] = MappingProxyType(
    {"all": "Everybody", "artist": "Good at portrait drawing", "viewer": "Not skilled in art drawing"}
)
_HEADLINE_TITLES: Mapping[str, str] = MappingProxyType({arm.id: arm.paper_title for arm in PAPER_ARMS})


@dataclass(frozen=True)
class PaperTable:
    """A published table of preferences, kept as printed.

    Attributes:
        percent: per arm, two decimals.
        participants: people in the study.
        trials: each of them saw.
        caveat: what the figures don't tell, for people.
    """

    percent: Mapping[str, float] = field(hash=False)  # so that a report can be a cache's key
    participants: int
    trials: int
    caveat: str


# 28 participants x 11 trials are 308 votes. Only 29.22 % is a whole count of them (90); 3.00 %, 14.00 % and 48.74 %
# would be 9.24, 43.12 and 150.12 votes.
PAPER_TABLE_1 = PaperTable(
    percent=MappingProxyType({"jojogan-one": 3.00, "jojogan-few": 14.00, "ours-one": 29.22, "ours-few": 48.74}),
    participants=28,
    trials=11,
    caveat=(
        "The paper's figures are shown as printed. They sum to 94.96 %, and together they don't come from 28 people "
        "times 11 whole votes, so its counts are unknown and no interval is drawn for them."
    ),
)

METHOD_NOTES: tuple[str, ...] = (
    "A share is an arm's choices over all choices, including those where a participant couldn't decide.",
    "Only finished runs count, since votes can be taken back until then; withdrawn participants never count.",
    "Every interval is a 95 % interval. Wilson's takes votes as independent; the bootstrap draws whole participants, "
    "because one person's votes are alike (percentiles, set further out for few participants after Hesterberg 2015). "
    "The interval shown is the wider of the two at each end.",
    "Strengths are top-1 Plackett-Luce log-strengths with mean zero and half a choice per arm added, so that an arm "
    "that always wins stays finite; undecided votes say nothing about them.",
    "Whether the place on the screen mattered: a chi-square test of the places chosen against those expected from the "
    "orders shown.",
    "Agreement is Fleiss' kappa over the trials, with \"can't decide\" as a choice of its own; 0 is chance, 1 is full.",
    "How many people are still needed: to tell the leading arm from the second with 80 % power at the 5 % level if the "
    "difference is as measured so far; early on this is often too few.",
    "Somebody who takes two studies counts as two participants, since nothing links the runs.",
    PHOTO_VOTES_NOTE,
)


@dataclass(frozen=True)
class ArmStrength:
    """An arm's Plackett-Luce log-strength over packs that show different arms, mean zero, with its 95 % interval."""

    arm: str
    title: str
    strength: float
    interval: Interval


@dataclass(frozen=True)
class Report:
    """Everything the results page and `python -m core study report` show.

    Attributes:
        headline: one sentence.
        flagged: whether votes of flagged participants are counted.
        minimum: finished participants a table needs.
        minimum_choices: choices a table needs.
        participants: finished runs that count.
        choices: their votes, can't-decide ones included.
        participants_unfinished: runs with votes that are not finished; not counted.
        participants_flagged: finished runs with a flag, counted or not.
        tables: for everybody and per group, pack by pack, then over all packs with the same arms.
        strengths: over the packs with enough votes when they show different arms and share enough of them to compare;
            else empty.
        quick: votes on visitors' own photos, style by style; they count in no other field.
        paper: the paper's figures.
        notes: how it was computed.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """

    headline: str
    flagged: bool
    minimum: int
    minimum_choices: int
    participants: int
    choices: int
    participants_unfinished: int
    participants_flagged: int
    tables: tuple[Table, ...]
    strengths: tuple[ArmStrength, ...]
    quick: tuple[PhotoTable, ...]
    paper: PaperTable
    notes: tuple[str, ...]
    resamples: int
    seed: int

    @property
    def main_table(self) -> Table | None:
        """The table behind the headline: everybody's, with most arms, then most choices; None while none is shown."""
        shown = [table for table in self.tables if table.group == "all" and not table.withheld]
        return max(shown, key=lambda table: (len(table.arms), table.choices), default=None)


def report(
    votes: Iterable[VoteRow],
    photo_votes: Iterable[PhotoVoteRow] = (),
    *,
    flagged: bool = True,
    minimum: int = MINIMUM_PARTICIPANTS,
    minimum_choices: int = MINIMUM_CHOICES,
    titles: Mapping[str, str] = MappingProxyType({}),
    arm_titles: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    resamples: int = statistics.RESAMPLES,
    seed: int = 0,
) -> Report:
    """Report on all votes of a store.

    Args:
        votes: of any packs; withdrawn participants are not among them.
        photo_votes: on visitors' own photos.
        flagged: count participants with a flag too (quick, one-sided, attention check failed).
        minimum: finished participants that every table needs, groups included; 2 or more.
        minimum_choices: choices that every table needs.
        titles: packs' slugs and titles; packs without a title appear under their slug.
        arm_titles: packs' slugs and what their arms are called; the paper's titles serve for the rest.
        resamples: of the bootstrap over participants.
        seed: of the bootstrap.
    """
    votes = tuple(votes)
    finished = tuple(vote for vote in votes if vote.finished)
    counted = tuple(vote for vote in finished if flagged or not vote.flags)
    settings = Settings(minimum, minimum_choices, resamples, seed)
    scopes = tuple(_scopes(counted, titles, arm_titles))
    tables = tuple(make_table(scope, group, settings) for scope in scopes for group in (None, *GROUPS))
    made = Report(
        headline="",
        flagged=flagged,
        minimum=minimum,
        minimum_choices=minimum_choices,
        participants=_people(counted),
        choices=len(counted),
        participants_unfinished=_people(vote for vote in votes if not vote.finished),
        participants_flagged=_people(vote for vote in finished if vote.flags),
        tables=tables,
        strengths=_joint_strengths(counted, _titles(scopes), settings),
        quick=tuple(photo_tables(photo_votes, minimum_choices=minimum_choices)),
        paper=PAPER_TABLE_1,
        notes=METHOD_NOTES,
        resamples=resamples,
        seed=seed,
    )
    return replace(made, headline=headline(made))


def _people(votes: Iterable[VoteRow]) -> int:
    return len({vote.participant for vote in votes})


def _scopes(
    votes: tuple[VoteRow, ...], titles: Mapping[str, str], arm_titles: Mapping[str, Mapping[str, str]]
) -> Iterator[Scope]:
    """Each pack (a rebuilt one is a pack of its own), then all packs with the same arms where there are several."""
    packs: dict[tuple[str, str], list[VoteRow]] = {}
    for vote in votes:
        packs.setdefault((vote.pack, vote.pack_digest), []).append(vote)
    slugs = [slug for slug, _ in packs]
    by_arms: dict[tuple[str, ...], list[Scope]] = {}
    for (slug, digest), mine in packs.items():
        title = titles.get(slug, slug)
        if slugs.count(slug) > 1:
            title = Sentence("{title} (version {version})", title=Sentence(title), version=digest[:8])
        scope = Scope(slug, digest, title, arms_in_order(mine[0].order), tuple(mine), arm_titles.get(slug, {}))
        by_arms.setdefault(scope.arms, []).append(scope)
        yield scope
    for arms, scopes in by_arms.items():
        if len(scopes) > 1:
            title = Sentence("All studies of {count} pictures", count=len(arms))
            yield Scope("", "", title, arms, tuple(vote for scope in scopes for vote in scope.votes), _titles(scopes))


def _titles(scopes: Iterable[Scope]) -> Mapping[str, str]:
    """Name the arms of several packs, the first pack's title first."""
    return {arm: title for scope in reversed(list(scopes)) for arm, title in scope.arm_titles.items()}


def _joint_strengths(
    votes: tuple[VoteRow, ...], titles: Mapping[str, str], settings: Settings
) -> tuple[ArmStrength, ...]:
    """Plackett-Luce over packs with different arms, each with enough votes: the one statistic that joins them."""
    by_set: dict[tuple[str, ...], list[VoteRow]] = {}
    for vote in votes:
        by_set.setdefault(arms_in_order(vote.order), []).append(vote)
    sets = [members for members, mine in by_set.items() if not still_missing(_people(mine), len(mine), settings)]
    if len(sets) < 2 or not _connected(sets):
        return ()
    votes = tuple(vote for vote in votes if arms_in_order(vote.order) in sets)
    people = {name: row for row, name in enumerate(dict.fromkeys(vote.participant for vote in votes))}
    arms = arms_in_order(arm for members in sets for arm in members)
    shown = np.array([[arm in members for arm in arms] for members in sets])  # [S, A]
    wins = np.zeros((len(people), *shown.shape), dtype=int)  # [P, S, A]
    for vote in votes:
        if vote.choice is not None:
            row = people[vote.participant], sets.index(arms_in_order(vote.order)), arms.index(vote.choice)
            wins[row] += 1
    resampled = statistics.resampled_over_participants(wins, resamples=settings.resamples, seed=settings.seed)
    strengths = statistics.plackett_luce_top1(wins.sum(axis=0), shown)
    spread = statistics.plackett_luce_top1_resampled(resampled, shown)
    intervals = statistics.expanded_percentile_interval(spread, len(people))
    return tuple(
        ArmStrength(arm, arm_title(arm, titles), float(strength), (float(low), float(high)))
        for arm, strength, (low, high) in zip(arms, strengths, intervals, strict=True)
    )


def _connected(sets: list[tuple[str, ...]]) -> bool:
    """Tell whether every arm can be compared with every other one through shared arms."""
    reached, left = set(sets[0]), list(sets[1:])
    while touching := [members for members in left if reached & set(members)]:
        reached.update(*touching)
        left = [members for members in left if members not in touching]
    return not left


def headline(made: Report) -> str:
    """Return the result in one sentence: "Few-shot, ours: preferred in 47 % of 1,240 choices, 44-50 %"."""
    table = made.main_table
    if table is None or table.best_two is None:
        return Sentence(
            "No results yet: {count} finished so far. They appear when {people} people have finished the same study "
            "and made {choices} choices.",
            count=f"{made.participants:,}",
            people=f"{made.minimum:,}",
            choices=f"{made.minimum_choices:,}",
        )
    best, second, *_ = table.ranked
    low, high = best.interval
    sentence = Sentence(
        "{title}: preferred in {share} % of {choices} choices, {low}-{high} %",
        title=Sentence(_headline_title(best)),
        share=f"{100 * best.share:.0f}",
        choices=f"{table.choices:,}",
        low=f"{100 * low:.0f}",
        high=f"{100 * high:.0f}",
    )
    if table.best_two.separated:
        return sentence
    name = _headline_title(second)
    name = name[0].lower() + name[1:] if name in _HEADLINE_TITLES.values() else name
    return Sentence("{sentence}; no clear difference to {second} yet", sentence=sentence, second=Sentence(name))


def _headline_title(row: ArmResult) -> str:
    return _HEADLINE_TITLES.get(row.arm, row.title) if row.title == arm_title(row.arm) else row.title
