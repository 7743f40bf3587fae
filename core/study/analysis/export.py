"""Write votes, runs and photo votes as CSV, JSON Lines and Parquet with their codebook.

Participants appear under pseudonyms: HMAC-SHA256 of the stored identifier under a salt that stays with the votes. The
same salt gives the same pseudonyms in every export; without it nobody who knows a participant's code finds the votes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.config import data_dir
from core.errors import SaltUnusable
from core.files import make_once, replacing, write_atomically
from core.study.analysis.codebook import DTYPES, TABLES, codebook
from core.study.records import LABELS, ParticipantRow, PhotoVoteRow, VoteRow

if TYPE_CHECKING:
    import pandas as pd

SALT_NAME = "study-export.salt"
CODEBOOK_NAME = "CODEBOOK.md"
_PSEUDONYM_CHARACTERS = 16  # 64 bits: no two of a billion participants are likely to share one
_SALT = re.compile(r"(?:[0-9a-f]{2}){16,}")
Cell = str | int | bool | None  # columns, their kinds and order are declared once, in `codebook`
_FLAG_COLUMNS = {"quick": "flag_quick", "one-sided": "flag_one_sided", "check-failed": "flag_check_failed"}


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: that holds it.
        files: in the order written.
        rows: of each table.
    """

    folder: Path
    files: tuple[Path, ...]
    rows: Mapping[str, int]


def export(
    folder: Path,
    *,
    votes: Iterable[VoteRow],
    participants: Iterable[ParticipantRow],
    photo_votes: Iterable[PhotoVoteRow] = (),
    salt: bytes,
) -> Exported:
    """Write every table in three forms and `CODEBOOK.md`; earlier exports in the folder are replaced file by file.

    Withdrawn participants and their votes are left out here too, whatever is passed in.

    Args:
        folder: made when it is missing.
        salt: of the pseudonyms, see `export_salt`.

    Raises:
        ValueError: an empty salt.
        OSError: a file can't be written.
    """
    if not salt:
        raise ValueError("pseudonyms need a salt, got an empty one")
    participants = list(participants)
    withdrawn = {row.participant for row in participants if row.withdrawn_utc is not None}
    votes = [row for row in votes if row.participant not in withdrawn]
    participants = [row for row in participants if row.participant not in withdrawn]
    frames = {
        "votes": _frame("votes", (vote_record(row, salt) for row in votes)),
        "participants": _frame("participants", (participant_record(row, salt) for row in participants)),
        "quick_votes": _frame("quick_votes", (photo_vote_record(row) for row in photo_votes)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    files = [path for table, frame in frames.items() for path in _write_forms(frame, folder / table)]
    rows = {table: len(frame) for table, frame in frames.items()}
    packs = sorted({(row.pack, row.pack_digest) for row in participants})
    text = codebook(rows, packs)
    files.append(write_atomically(folder / CODEBOOK_NAME, text))
    return Exported(folder, tuple(files), rows)


def pseudonym(participant: str, salt: bytes) -> str:
    """Return the stable stand-in for a stored identifier, 16 hex digits."""
    return hmac.new(salt, participant.encode("utf-8"), hashlib.sha256).hexdigest()[:_PSEUDONYM_CHARACTERS]


def export_salt(path: Path | None = None) -> bytes:
    """Return the salt in a file, made at random when there is none; by default beside the votes in the data folder.

    Raises:
        SaltUnusable: the file holds something else.
    """
    path = path or data_dir() / SALT_NAME
    salt = make_once(path, lambda: secrets.token_hex(32).encode()).decode("ascii", errors="replace").strip()
    if not _SALT.fullmatch(salt):
        raise SaltUnusable(str(path))
    return bytes.fromhex(salt)


def vote_record(row: VoteRow, salt: bytes) -> dict[str, Cell]:
    """Return a vote as it is exported."""
    return {
        "participant": pseudonym(row.participant, salt),
        "group": row.group,
        "pack": row.pack,
        "pack_digest": row.pack_digest,
        "trial": row.trial_key,
        "place": row.place,
        **_shown(row.order),
        "choice": row.choice,
        "position": None if row.position is None else LABELS[row.position],
        "dwell_ms": row.dwell_ms,
        "app_version": row.app_version,
        "utc": row.utc,
        "finished": row.finished,
        **_flags(row.flags),
    }


def participant_record(row: ParticipantRow, salt: bytes) -> dict[str, Cell]:
    """Return a run as it is exported."""
    return {
        "participant": pseudonym(row.participant, salt),
        "group": row.group,
        "pack": row.pack,
        "pack_digest": row.pack_digest,
        "consent_version": row.consent_version,
        "started_utc": row.started_utc,
        "finished_utc": row.finished_utc,
        "check_passed": row.check_passed,
        **_flags(row.flags),
    }


def photo_vote_record(row: PhotoVoteRow) -> dict[str, Cell]:
    """Return a photo vote as it is exported; its token, which only keeps it from counting twice, is left out."""
    return {
        **_shown(row.order),
        "choice": row.choice,
        "position": None if row.choice is None else LABELS[row.order.index(row.choice)],
        "group": row.group,
        "style": row.style,
        "utc": row.utc,
    }


def _shown(order: tuple[str, ...]) -> dict[str, str | None]:
    arms = (*order, *(None for _ in range(len(LABELS) - len(order))))
    return {f"shown_{label.lower()}": arm for label, arm in zip(LABELS, arms, strict=True)}


def _flags(flags: Collection[str]) -> dict[str, bool]:
    return {column: flag in flags for flag, column in _FLAG_COLUMNS.items()}


def _frame(table: str, records: Iterable[Mapping[str, Cell]]) -> pd.DataFrame:
    """Make typed columns in the codebook's order, also without a row."""
    import pandas as pd

    records = list(records)
    columns = {item.name: DTYPES[item.kind] for item in TABLES[table]}
    if records and list(records[0]) != list(columns):
        raise ValueError(f"{table}: expected the columns {list(columns)}, got {list(records[0])}")
    values = {name: pd.Series([record[name] for record in records], dtype=kind) for name, kind in columns.items()}
    return pd.DataFrame(values)


def _write_forms(frame: pd.DataFrame, stem: Path) -> list[Path]:
    def write_jsonl(path: Path) -> None:
        text = frame.to_json(orient="records", lines=True, force_ascii=False)
        path.write_text(text if len(frame) else "", encoding="utf-8", newline="\n")  # pandas ends no rows with a line

    forms: Mapping[str, Callable[[Path], object]] = {
        ".csv": lambda path: frame.to_csv(path, index=False, lineterminator="\n"),
        ".jsonl": write_jsonl,
        ".parquet": lambda path: frame.to_parquet(path, engine="pyarrow", index=False),
    }
    for suffix, write in forms.items():
        with replacing(stem.with_suffix(suffix)) as part:
            write(part)
    return [stem.with_suffix(suffix) for suffix in forms]
