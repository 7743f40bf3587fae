"""What every exported column means: the one description that `CODEBOOK.md` is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from core.config import PAPER_ARMS
from core.study.records import LABELS, MAX_DWELL_MS
from core.study.storage.flags import ONE_SIDED_CHANCE, ONE_SIDED_MIN_CHOICES, ONE_SIDED_SHARE, QUICK_MEDIAN_MS

Kind = Literal["text", "integer", "yes or no"]
DTYPES: Mapping[Kind, str] = MappingProxyType({"text": "string", "integer": "Int64", "yes or no": "boolean"})
NEVER = "never missing"


@dataclass(frozen=True)
class Column:
    """One column of an exported table.

    Attributes:
        name: as in the files.
        kind: of the values.
        meaning: in words, with the unit where there is one.
        missing: when and why a value is empty.
    """

    name: str
    kind: Kind
    meaning: str
    missing: str = NEVER


_ARMS = ", ".join(f"`{arm.id}` ({arm.title})" for arm in PAPER_ARMS)
_TIME = "date and time in UTC, ISO 8601; clocks can jump, so don't order by it across machines"
_FLAGS = (
    Column(
        "flag_quick",
        "yes or no",
        f"the participant's median time per picture is under {QUICK_MEDIAN_MS} ms; a mark, nothing was removed for it",
    ),
    Column(
        "flag_one_sided",
        "yes or no",
        f"at least {ONE_SIDED_SHARE:.0%} of at least {ONE_SIDED_MIN_CHOICES} choices of the participant went to one "
        f"position, which somebody who chooses evenly does with a probability below {ONE_SIDED_CHANCE}; a mark, "
        "nothing was removed for it",
    ),
    Column(
        "flag_check_failed",
        "yes or no",
        "the participant pressed another letter than the attention check asked for; a mark, nothing was removed for it",
    ),
)
_RUN = (
    Column(
        "participant",
        "text",
        "pseudonym of one run through one pack, the same in every file and every export made with the same salt; "
        "somebody who took two packs has two",
    ),
    Column(
        "group",
        "text",
        "what the participant said of themselves: `artist` (good at portrait drawing) or `viewer` (not skilled in art "
        "drawing)",
    ),
    Column("pack", "text", "name of the study pack"),
    Column("pack_digest", "text", "sha256 of the pack's index, which holds the sha256 of every picture shown"),
)

VOTE_COLUMNS: tuple[Column, ...] = (
    *_RUN,
    Column("trial", "text", "opaque key of the trial in its pack"),
    Column("place", "integer", "the trial's number in the run, from 1"),
    *(
        Column(
            f"shown_{label.lower()}",
            "text",
            f"arm shown as {label}, number {place} from the left: {_ARMS}" if place == 1 else f"arm shown as {label}",
            NEVER if place <= 2 else f"the pack has fewer than {place} arms",
        )
        for place, label in enumerate(LABELS, start=1)
    ),
    Column("choice", "text", "arm chosen as the best", "the participant couldn't decide"),
    Column("position", "text", "letter under which the chosen arm was shown", "the participant couldn't decide"),
    Column(
        "dwell_ms",
        "integer",
        f"milliseconds from showing the trial to the answer, by a clock that never jumps; cut off at {MAX_DWELL_MS}",
    ),
    Column("app_version", "text", "version of the app that took the vote"),
    Column("utc", "text", f"when the vote was taken: {_TIME}"),
    Column(
        "finished",
        "yes or no",
        "the participant confirmed the whole run; votes of unfinished runs could still be taken back and are left out "
        "of the app's own results",
    ),
    *_FLAGS,
)
PARTICIPANT_COLUMNS: tuple[Column, ...] = (
    *_RUN,
    Column("consent_version", "text", "version of the consent text that the participant agreed to"),
    Column("started_utc", "text", f"when the run began: {_TIME}"),
    Column("finished_utc", "text", f"when the run was confirmed: {_TIME}", "the run isn't finished"),
    Column(
        "check_passed",
        "yes or no",
        "the participant pressed the letter that the attention check asked for",
        "the run didn't get as far as the check",
    ),
    *_FLAGS,
)
PHOTO_VOTE_COLUMNS: tuple[Column, ...] = (
    *(column for column in VOTE_COLUMNS if column.name.startswith("shown_")),
    Column("choice", "text", "arm chosen as the best", "the visitor couldn't decide"),
    Column("position", "text", "letter under which the chosen arm was shown", "the visitor couldn't decide"),
    Column("group", "text", "`artist` or `viewer`, as in the visitor's latest run", "the visitor took no run"),
    Column("style", "text", "name of the ready-made style, `own` for a visitor's own"),
    Column("utc", "text", f"when the vote was taken: {_TIME}"),
)
TABLES: Mapping[str, tuple[Column, ...]] = MappingProxyType(
    {"votes": VOTE_COLUMNS, "participants": PARTICIPANT_COLUMNS, "quick_votes": PHOTO_VOTE_COLUMNS}
)
ABOUT: Mapping[str, str] = MappingProxyType(
    {
        "votes": "One row per counted vote. An answer that was taken back is not here.",
        "participants": "One row per run, finished or not.",
        "quick_votes": (
            "One row per vote on a visitor's own photo, which is kept nowhere. They are no part of the study: visitors "
            "vote as often as they like on what they like, so don't pool them with the votes."
        ),
    }
)

_FRONT = """# Codebook of the preference study

Every table comes three times with the same rows and columns: CSV (UTF-8, comma, header row, an empty field is a
missing value, `True` and `False`), JSON Lines (missing values are `null`) and Parquet (typed, missing values are null).

- Withdrawn participants are in none of the files. Participants may withdraw later on: export again before you publish,
  and delete older exports.
- Participants appear under pseudonyms, salted hashes of what the app keeps. The code that resumes or withdraws a run
  is stored nowhere.
- No names, addresses, free text or visitors' photos are collected.
- A preference share in the app's results is an arm's choices over all choices of finished runs, those where the
  participant couldn't decide included.
"""


def codebook(rows: Mapping[str, int], packs: Sequence[tuple[str, str]]) -> str:
    """Return the codebook as Markdown.

    Args:
        rows: number of rows of each table.
        packs: slug and digest of every pack voted on.
    """
    parts = [_FRONT]
    if packs:
        parts.append("## Packs\n\n" + "\n".join(f"- `{slug}`: `{digest}`" for slug, digest in packs) + "\n")
    for table, columns in TABLES.items():
        lines = [f"| `{item.name}` | {item.kind} | {item.meaning} | {item.missing} |" for item in columns]
        parts.append(
            f"## {table} ({rows[table]:,} row{'' if rows[table] == 1 else 's'})\n\n{ABOUT[table]}\n\n"
            "| Column | Kind | Meaning, unit | Missing when |\n|---|---|---|---|\n" + "\n".join(lines) + "\n"
        )
    return "\n".join(parts)
