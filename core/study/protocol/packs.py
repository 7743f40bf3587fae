"""Study packs: fixed, hashed stimuli whose file names tell nothing about the method that made them.

A pack is a folder with `pack.json` and `files/<opaque hex>.png`. `pack.json` lists every file's sha256; the pack's
digest is the sha256 of its canonical content, so one digest names every pixel that a participant saw. Only the server
reads `pack.json`; the page gets the paths of single pictures. Names are keyed hashes of the content, all candidates of
a trial have the same number of pixels and of bytes, and all files the same time stamp, so neither a name, a size nor a
header tells the method.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.config import ASSETS_DIR, data_dir
from core.errors import PackDamaged
from core.study.records import LABELS, are_arms, arm_title, is_slug

FORMAT = "styleidentity-study-pack"
VERSION = 1
INDEX_NAME = "pack.json"
_FILE = re.compile(r"files/[0-9a-f]{32}\.png")
_KEY = re.compile(r"[0-9a-f]{16}")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """One question: a photo, the style's references and one picture per arm. `key` is opaque."""

    key: str
    photo: Path
    references: tuple[Path, ...]
    candidates: Mapping[str, Path]


@dataclass(frozen=True)
class Pack:
    """A study's stimuli.

    Attributes:
        slug, title: its name on disk and for participants.
        arms: identifiers of what is compared.
        arm_titles: what people read for each arm.
        trials: in their own order; every run draws another.
        digest: sha256 of pack.json's canonical content, which holds every file's sha256.
        folder: that holds it.
        provenance: how the pictures came about.
    """

    slug: str
    title: str
    arms: tuple[str, ...]
    arm_titles: Mapping[str, str]
    trials: tuple[Trial, ...]
    digest: str
    folder: Path
    provenance: Mapping[str, object]


def load_pack(folder: Path) -> Pack:
    """Read and check a pack: its format, every name, every file's sha256 and size.

    Raises:
        PackDamaged: whatever is wrong, with the reason in words.
    """
    try:
        index = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PackDamaged(folder.name, f"it has no {INDEX_NAME}") from None
    except (OSError, ValueError) as error:
        raise PackDamaged(folder.name, f"its {INDEX_NAME} can't be read ({error})") from error
    if problem := header_problem(index):
        raise PackDamaged(folder.name, problem)
    files = {name: _checked_file(folder, name, sha256) for name, sha256 in index["files"].items()}
    return Pack(
        slug=index["slug"],
        title=index["title"],
        arms=tuple(index["arms"]),
        arm_titles={arm: arm_title(arm, index.get("arm_titles", {})) for arm in index["arms"]},
        trials=_trials(folder, index, files),
        digest=digest_of(index),
        folder=folder,
        provenance=index["provenance"],
    )


def find_packs(folders: tuple[Path, ...] | None = None) -> dict[str, Pack]:
    """Return every sound pack by slug: the ready ones in `assets/study`, then the owner's in the data folder's `packs`.

    A damaged pack, or one whose slug is taken, is left out with a logged warning.
    """
    found: dict[str, Pack] = {}
    for parent in (ASSETS_DIR / "study", data_dir() / "packs") if folders is None else folders:
        for index in sorted(parent.glob(f"*/{INDEX_NAME}")):
            if index.parent.suffix == ".part":
                continue
            try:
                pack = load_pack(index.parent)
            except PackDamaged as error:
                _logger.warning("Left out: %s", error)
                continue
            if pack.slug in found:
                _logger.warning(
                    "Left out: the study pack in '%s' has the same name as the one in '%s'. Build it under another.",
                    pack.folder,
                    found[pack.slug].folder,
                )
                continue
            found[pack.slug] = pack
    return found


def digest_of(index: Mapping[str, object]) -> str:
    """Return the sha256 of the canonical JSON of pack.json's content: keys sorted, no spaces, UTF-8."""
    text = json.dumps(index, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def header_problem(index: object) -> str:
    """Say what is wrong with pack.json's content beside its files, as the rest of a sentence; "" for nothing."""
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        return f"its {INDEX_NAME} is not a study pack's"
    if index.get("version") != VERSION:
        return f"it has format version {index.get('version')!r}; this app reads {VERSION}"
    files: object = index.get("files")
    arms: Any = index.get("arms")
    titles: object = index.get("arm_titles", {})
    rules = {
        "its name is not made of small letters, digits and dashes": is_slug(index.get("slug")),
        "it has no title": isinstance(index.get("title"), str) and bool(index["title"].strip()),
        f"its arms are not 2 to {len(LABELS)} different names of small letters, digits and dashes": are_arms(arms),
        "its titles of arms are not texts for arms of its own": isinstance(titles, dict)
        and are_arms(arms)
        and all(name in arms and isinstance(title, str) and title.strip() for name, title in titles.items()),
        "it has no trials": isinstance(index.get("trials"), list) and bool(index["trials"]),
        "it lists no files": isinstance(files, dict) and bool(files),
        "its provenance is missing": isinstance(index.get("provenance"), dict),
    }
    return next((problem for problem, holds in rules.items() if not holds), "")


def _checked_file(folder: Path, name: str, sha256: object) -> tuple[Path, tuple[int, int]]:
    """Return the file's path and its (width, height); refuses names that leave the folder and altered content."""
    path = folder / name
    if not _FILE.fullmatch(name) or not path.resolve().is_relative_to(folder.resolve()):
        raise PackDamaged(folder.name, f"the file name '{name}' is not allowed")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PackDamaged(folder.name, f"'{name}' can't be read ({error.strerror or error})") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise PackDamaged(folder.name, f"'{name}' was altered")
    if not content.startswith(_PNG_SIGNATURE) or len(content) < 24:
        raise PackDamaged(folder.name, f"'{name}' is not a PNG picture")
    return path, (int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big"))


def _trials(
    folder: Path, index: Mapping[str, Any], files: Mapping[str, tuple[Path, tuple[int, int]]]
) -> tuple[Trial, ...]:
    trials = []
    for number, entry in enumerate(index["trials"], start=1):
        try:
            names = [entry["photo"], *entry["references"], *(entry["candidates"][arm] for arm in index["arms"])]
            extra = set(entry["candidates"]) - set(index["arms"])
            sizes = {files[name][1] for name in names}
            trial = Trial(
                key=str(entry["key"]),
                photo=files[entry["photo"]][0],
                references=tuple(files[name][0] for name in entry["references"]),
                candidates={arm: files[entry["candidates"][arm]][0] for arm in index["arms"]},
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise PackDamaged(folder.name, f"trial {number} lacks a part or names an unlisted file") from error
        if extra or len(sizes) != 1 or not _KEY.fullmatch(trial.key):
            raise PackDamaged(folder.name, f"the pictures of trial {number} don't belong together")
        trials.append(trial)
    if len({trial.key for trial in trials}) != len(trials):
        raise PackDamaged(folder.name, "two trials have the same key")
    return tuple(trials)
