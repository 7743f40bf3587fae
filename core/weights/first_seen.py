"""What was downloaded first under a name: the sha256 that stands in where no published one is known.

`weights-seen.json` in the data folder holds `{"owner/name/file": {"sha256": ..., "repo": ..., "recorded": ...}}`. An
entry is written once and never replaced; whoever trusts another file removes the entry by hand.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock

from core.config import data_dir
from core.errors import WeightsUnavailable
from core.files import write_atomically
from core.weights.pins import HubFile

RECORD_NAME = "weights-seen.json"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FirstDownload:
    """What was downloaded first: the sha256 that counts from then on, the repository that gave it, and when (UTC)."""

    sha256: str
    repo: str = ""
    recorded: str = ""


def recorded(file: HubFile) -> FirstDownload | None:
    """Return the first download of this file, None before there was one.

    Raises:
        WeightsUnavailable: the record is there and can't be read, so nothing can be compared with it.
    """
    return _read(file).get(_key(file))


def record(file: HubFile, *, repo: str, sha256: str) -> str:
    """Note the first download of a file, in the data folder and in the log.

    Returns:
        The recorded sha256: the given one, or that of another process that was first.

    Raises:
        WeightsUnavailable: as from `recorded`.
        DiskFull: there is no space for the record.
    """
    path = record_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        seen = _read(file)
        if _key(file) not in seen:
            now = datetime.now(timezone.utc).isoformat(timespec="seconds")
            seen[_key(file)] = FirstDownload(sha256, repo, now)
            entries = {key: asdict(entry) for key, entry in seen.items()}
            write_atomically(path, json.dumps(entries, indent=2, sort_keys=True) + "\n")
            _logger.warning(
                "No published sha256 of '%s' is known. This first one, from %s, is expected from now on: %s",
                file.file_name,
                repo,
                sha256,
            )
        return seen[_key(file)].sha256


def record_path() -> Path:
    """Return where the record is."""
    return data_dir() / RECORD_NAME


def _key(file: HubFile) -> str:
    return f"{file.repos[0]}/{file.file_name}"


def _read(file: HubFile) -> dict[str, FirstDownload]:
    path = record_path()
    if not path.exists():
        return {}
    try:
        seen = json.loads(path.read_text(encoding="utf-8"))
        return {str(key): _entry(entry) for key, entry in seen.items()}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise WeightsUnavailable(
            file.file_name, f"'{RECORD_NAME}' in the data folder can't be read; repair it or remove it"
        ) from error


def _entry(entry: Mapping[str, object]) -> FirstDownload:
    return FirstDownload(str(entry["sha256"]), *(str(entry.get(name, "")) for name in ("repo", "recorded")))
