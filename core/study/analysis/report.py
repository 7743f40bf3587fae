"""The study's results: which votes count, the tables, the headline, and the paper's figures to put beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType

import numpy as np

from core.errors import Sentence
from core.study.analysis import statistics
from core.study.analysis.ballots import arms_of
from core.study.analysis.photo_votes import QUICK_NOTE, QuickTable, quick_tables
from core.study.analysis.tables import (
    MINIMUM_CHOICES,
    MINIMUM_PARTICIPANTS,
    Interval,
    Scope,
    Settings,
    Table,
    make_table,
    still_missing,
)
from core.study.protocol.packs import ARM_TITLES, ARMS, Arm
from core.study.protocol.records import GROUPS, QuickVoteRow, VoteRow

GROUP_TITLES: Mapping[str, str] = MappingProxyType(
    {"all": "Everybody", "artist": "Good at portrait drawing", "viewer": "Not skilled in art drawing"}
)
_HEADLINE_TITLES: Mapping[Arm, str] = MappingProxyType(
    {
        "jojogan-one": "One-shot, JoJoGAN",
        "jojogan-few": "Few-shot, JoJoGAN",
        "ours-one": "One-shot, ours",
        "ours-few": "Few-shot, ours",
    }
)


@dataclass(frozen=True)
class PaperTable:
    """A published table of preferences, kept as printed.

    Attributes:
        percent: per arm, two decimals.
        participants: people in the study.
        trials: each of them saw.
        caveat: what the figures don't tell, for people.
    """

    percent: Mapping[Arm, float] = field(hash=False)  # so that a report can be a cache's key
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
    QUICK_NOTE,
)


@dataclass(frozen=True)
class ArmStrength:
    """An arm's Plackett-Luce log-strength over packs that show different arms, mean zero, with its 95 % interval."""

    arm: Arm
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
    quick: tuple[QuickTable, ...]
    paper: PaperTable
    notes: tuple[str, ...]
    resamples: int
    seed: int

    @property
    def main_table(self) -> Table | None:
        """The table behind the headline: everybody's, with most arms, then most choices; None while none is shown."""
        shown = [table for table in self.tables if table.group == "all" and not table.withheld]
        return max(shown, key=lambda table: (len(table.arms), table.choices), default=None)

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            **values,
            "tables": [{**asdict(table), "undecided_share": table.undecided_share} for table in self.tables],
            "strengths": [asdict(row) for row in self.strengths],
            "quick": [asdict(table) for table in self.quick],
            "paper": {**vars(self.paper), "percent": dict(self.paper.percent)},
        }


def report(
    votes: Iterable[VoteRow],
    quick_votes: Iterable[QuickVoteRow] = (),
    *,
    flagged: bool = True,
    minimum: int = MINIMUM_PARTICIPANTS,
    minimum_choices: int = MINIMUM_CHOICES,
    titles: Mapping[str, str] = MappingProxyType({}),
    resamples: int = statistics.RESAMPLES,
    seed: int = 0,
) -> Report:
    """Results of all votes of a store.

    Args:
        votes: of any packs; withdrawn participants are not among them.
        quick_votes: on visitors' own photos.
        flagged: count participants with a flag too (quick, one-sided, attention check failed).
        minimum: finished participants that every table needs, groups included; 2 or more.
        minimum_choices: choices that every table needs.
        titles: packs' slugs and titles; packs without a title appear under their slug.
        resamples: of the bootstrap over participants.
        seed: of the bootstrap.
    """
    votes = tuple(votes)
    finished = tuple(vote for vote in votes if vote.finished)
    counted = tuple(vote for vote in finished if flagged or not vote.flags)
    settings = Settings(minimum, minimum_choices, resamples, seed)
    scopes = tuple(_scopes(counted, titles))
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
        strengths=_joint_strengths(counted, settings),
        quick=tuple(quick_tables(quick_votes, minimum_choices=minimum_choices)),
        paper=PAPER_TABLE_1,
        notes=METHOD_NOTES,
        resamples=resamples,
        seed=seed,
    )
    return replace(made, headline=headline(made))


def _people(votes: Iterable[VoteRow]) -> int:
    return len({vote.participant for vote in votes})


def _scopes(votes: tuple[VoteRow, ...], titles: Mapping[str, str]) -> Iterator[Scope]:
    """Each pack (a rebuilt one is a pack of its own), then all packs with the same arms where there are several."""
    packs: dict[tuple[str, str], list[VoteRow]] = {}
    for vote in votes:
        packs.setdefault((vote.pack, vote.pack_digest), []).append(vote)
    slugs = [slug for slug, _ in packs]
    by_arms: dict[tuple[Arm, ...], list[VoteRow]] = {}
    for (slug, digest), mine in packs.items():
        title = titles.get(slug, slug)
        if slugs.count(slug) > 1:
            title = Sentence("{title} (version {version})", title=Sentence(title), version=digest[:8])
        arms = arms_of(mine[0])
        by_arms.setdefault(arms, []).extend(mine)
        yield Scope(slug, digest, title, arms, tuple(mine))
    for arms, mine in by_arms.items():
        if len({vote.pack_digest for vote in mine}) > 1:
            yield Scope("", "", Sentence("All studies of {count} pictures", count=len(arms)), arms, tuple(mine))


def _joint_strengths(votes: tuple[VoteRow, ...], settings: Settings) -> tuple[ArmStrength, ...]:
    """Plackett-Luce over packs with different arms, each with enough votes: the one statistic that joins them."""
    by_set: dict[tuple[Arm, ...], list[VoteRow]] = {}
    for vote in votes:
        by_set.setdefault(arms_of(vote), []).append(vote)
    sets = [members for members, mine in by_set.items() if not still_missing(_people(mine), len(mine), settings)]
    if len(sets) < 2 or not _connected(sets):
        return ()
    votes = tuple(vote for vote in votes if arms_of(vote) in sets)
    people = {name: index for index, name in enumerate(dict.fromkeys(vote.participant for vote in votes))}
    arms = [arm for arm in ARMS if any(arm in members for members in sets)]
    shown = np.array([[arm in members for arm in arms] for members in sets])  # [S, A]
    wins = np.zeros((len(people), *shown.shape), dtype=int)  # [P, S, A]
    for vote in votes:
        if vote.choice is not None:
            wins[people[vote.participant], sets.index(arms_of(vote)), arms.index(vote.choice)] += 1
    resampled = statistics.resampled_over_participants(wins, resamples=settings.resamples, seed=settings.seed)
    strengths = statistics.plackett_luce_top1(wins.sum(axis=0), shown)
    spread = statistics.plackett_luce_top1_resampled(resampled, shown)
    intervals = statistics.expanded_percentile_interval(spread, len(people))
    rows = zip(arms, strengths, intervals, strict=True)
    return tuple(
        ArmStrength(arm, ARM_TITLES[arm], float(strength), (float(low), float(high)))
        for arm, strength, (low, high) in rows
    )


def _connected(sets: list[tuple[Arm, ...]]) -> bool:
    """Whether every arm can be compared with every other one through shared arms."""
    reached, left = set(sets[0]), list(sets[1:])
    while touching := [members for members in left if reached & set(members)]:
        reached.update(*touching)
        left = [members for members in left if members not in touching]
    return not left


def headline(made: Report) -> str:
    """The result in one sentence, such as "Few-shot, ours: preferred in 47 % of 1,240 choices, 44-50 %"."""
    table = made.main_table
    if table is None:
        return Sentence(
            "No results yet: {count} finished so far. They appear when {people} people have finished the same study "
            "and made {choices} choices.",
            count=f"{made.participants:,}",
            people=f"{made.minimum:,}",
            choices=f"{made.minimum_choices:,}",
        )
    best, two = table.ranked[0], table.best_two
    low, high = best.interval
    sentence = Sentence(
        "{title}: preferred in {share} % of {choices} choices, {low}-{high} %",
        title=Sentence(_HEADLINE_TITLES[best.arm]),
        share=f"{100 * best.share:.0f}",
        choices=f"{table.choices:,}",
        low=f"{100 * low:.0f}",
        high=f"{100 * high:.0f}",
    )
    if two.separated:
        return sentence
    second = Sentence(_HEADLINE_TITLES[two.second].lower().replace("jojogan", "JoJoGAN"))
    return Sentence("{sentence}; not yet told apart from {second}", sentence=sentence, second=second)
