"""What the study's tests share: a small pack of random pictures, a study on it, and a participant who clicks."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from PIL import Image

from core.config import PAPER_ARMS
from core.study.protocol.flow import CONSENT_VERSION, Study
from core.study.protocol.packs import Pack
from core.study.protocol.packwriter import TrialPictures, write_pack
from core.study.records import Group, Screen
from core.study.storage import sqlite
from core.study.storage.store import Store

ARMS = tuple(arm.id for arm in PAPER_ARMS)
ARM_TITLES = {arm.id: arm.title for arm in PAPER_ARMS}


def noise(seed: int, *, levels: int = 256, side_px: int = 8) -> Image.Image:
    """A picture of random grey steps; fewer levels make a smaller PNG."""
    pixels = np.random.default_rng(seed).integers(0, levels, (side_px, side_px, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def pictures(number: int, arms: Sequence[str] = ARMS) -> TrialPictures:
    """One trial; each arm compresses better than the one before it."""
    candidates = {arm: noise(100 * number + place, levels=256 >> (2 * place)) for place, arm in enumerate(arms, 1)}
    return TrialPictures(photo=noise(100 * number), references=[noise(7), noise(8)], candidates=candidates)


def small_pack(
    folder: Path,
    *,
    slug: str = "small",
    trials: int = 11,
    arms: Sequence[str] = ARMS,
    first: int = 0,
    arm_titles: Mapping[str, str] = MappingProxyType({}),
) -> Pack:
    """Writes a pack of 8-pixel pictures into `folder / slug`."""
    return write_pack(
        folder / slug,
        slug=slug,
        title=slug.title(),
        arms=arms,
        trials=[pictures(first + number, arms) for number in range(trials)],
        provenance={"made": "for tests"},
        arm_titles=arm_titles,
    )


def study_on(path: Path, *packs: Pack) -> Study:
    """A study whose store is the file `path`."""
    return Study(Store(path), {pack.slug: pack for pack in packs}, app_version="test")


@contextmanager
def kept_open(study: Study) -> Iterator[None]:
    """Somebody else has the file open, so that not every call is its last user, who has to tidy up; and no vote waits
    for the disk: four times as quick."""
    connect = sqlite.connect

    def unsynced(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    study.store.votes()  # makes the file
    with pytest.MonkeyPatch.context() as patch, closing(connect(study.store.path)) as reader:
        patch.setattr(sqlite, "connect", unsynced)
        reader.execute("SELECT count(*) FROM sqlite_master").fetchall()
        yield


def begin(study: Study, *, slug: str = "small", group: Group = "viewer") -> str:
    """A new participant's code."""
    return study.begin(slug, group=group, consent_version=CONSENT_VERSION)


def answer(study: Study, code: str, choice: Callable[[Screen], str | None] = lambda screen: "A") -> Screen:
    """Answers everything up to the review, the attention check rightly; `choice` decides each trial."""
    screen = study.screen(code)
    while screen.kind in ("trial", "check"):
        letter = screen.check_label if screen.kind == "check" else choice(screen)
        screen = study.choose(code, screen.ticket, letter, 4000)
    return screen


def run_through(study: Study, *, slug: str = "small", group: Group = "viewer", **options: object) -> str:
    """A participant from the beginning to the end."""
    code = begin(study, slug=slug, group=group)
    answer(study, code, **options)
    study.finish(code)
    return code
