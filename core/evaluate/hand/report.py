"""From drawings' numbers to a report: methods side by side, their ratios, and what became of dark and light skin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from core.evaluate.hand.scores import HandScores
from core.evaluate.plans import HandPlan, SkinTone
from core.metrics.crops import mean_of
from core.reports import Failed

BASELINE = "paper"
TONES: tuple[SkinTone, ...] = ("dark", "middle", "light")
Colouring = Literal["colour", "grey"]


@dataclass(frozen=True)
class Means:
    """Means over drawings that have the number; None where there are none."""

    identity: float | None
    style_256: float | None
    style_512: float | None
    bands: float | None
    bands_share: float | None
    landmarks: float | None


@dataclass(frozen=True)
class Portrait(HandScores):
    """One drawing: who drew whom, its numbers, seconds from the crop, and its file in the run's folder."""

    method: str
    artist: str
    colouring: Colouring
    person: str
    tone: SkinTone | None
    first_seconds: float
    finished_seconds: float
    file: str


@dataclass(frozen=True)
class StyleResult(Means):
    """One style: means over people, and its training.

    Attributes:
        in_order: whether drawn faces are as dark or light as the groups of photos are; None without all three groups.
    """

    method: str
    artist: str
    colouring: Colouring
    references: int
    training_seconds: float
    in_order: bool | None
    file: str


@dataclass(frozen=True)
class MethodResult(Means):
    """One method: means over all drawings, medians of seconds.

    Attributes:
        method: its name.
        styles, drawings: how many.
        lowest_identity, lowest_artist: the style that keeps least of the people, its mean over them and its name.
        training_seconds, first_seconds, finished_seconds: of a training; from a crop to the first drawing, and to the
            finished portrait.
        sheet: name of its contact sheet.
    """

    method: str
    styles: int
    drawings: int
    lowest_identity: float
    lowest_artist: str
    training_seconds: float
    first_seconds: float
    finished_seconds: float
    sheet: str


@dataclass(frozen=True)
class Ratios(Means):
    """A method's means over the baseline's; for identity more is better, for all others less."""

    method: str
    against: str


@dataclass(frozen=True)
class ToneResult:
    """A group of photos in one method's styles: mean L* of photos and drawings, and the mean change with its sign."""

    tone: SkinTone
    drawings: int
    photo: float | None
    drawing: float | None
    change: float | None


@dataclass(frozen=True)
class SkinResult:
    """Skin in one method's styles from colour or from grey artworks.

    Attributes:
        method, colouring: which.
        styles: how many.
        tones: dark, middle, light.
        in_order: whether the groups' means keep their order; None without all three.
        styles_in_order, styles_compared: how many styles keep it, of those in which all three groups were drawn.
    """

    method: str
    colouring: Colouring
    styles: int
    tones: tuple[ToneResult, ...]
    in_order: bool | None
    styles_in_order: int
    styles_compared: int


@dataclass(frozen=True)
class HandReport:
    """A run.

    Attributes:
        backbone, fingerprint: what trained and drew.
        plan: how.
        threads: of torch, since seconds depend on them.
        people, artists: names.
        protocols, notes: what the numbers are, and what a reader must know.
        methods, ratios, skin, styles, portraits: the results, from short to long.
        failed: pictures left out.
    """

    backbone: str
    fingerprint: str
    plan: HandPlan
    threads: int
    people: tuple[str, ...]
    artists: tuple[str, ...]
    protocols: dict[str, str]
    notes: tuple[str, ...]
    methods: tuple[MethodResult, ...]
    ratios: tuple[Ratios, ...]
    skin: tuple[SkinResult, ...]
    styles: tuple[StyleResult, ...]
    portraits: tuple[Portrait, ...]
    failed: tuple[Failed, ...]
    task: Literal["hand"] = "hand"


def means(rows: Iterable[HandScores]) -> Means:
    """Average each number of some drawings."""
    listed = list(rows)
    names = Means.__dataclass_fields__
    columns = {name: [getattr(row, name) for row in listed] for name in names}
    return Means(**{name: mean_of(column) for name, column in columns.items()})


def method_result(styles: Sequence[StyleResult], portraits: Sequence[Portrait], *, sheet: str) -> MethodResult:
    """Sum up one method's styles and drawings, one or more of both."""
    lowest = min(styles, key=lambda style: style.identity or 0.0)
    return MethodResult(
        **vars(means(portraits)),
        method=styles[0].method,
        styles=len(styles),
        drawings=len(portraits),
        lowest_identity=lowest.identity or 0.0,
        lowest_artist=lowest.artist,
        training_seconds=float(np.median([style.training_seconds for style in styles])),
        first_seconds=float(np.median([portrait.first_seconds for portrait in portraits])),
        finished_seconds=float(np.median([portrait.finished_seconds for portrait in portraits])),
        sheet=sheet,
    )


def ratios(methods: Sequence[MethodResult]) -> tuple[Ratios, ...]:
    """Divide the other methods' means by the baseline's; nothing where that was not run."""
    base = next((result for result in methods if result.method == BASELINE), None)
    if base is None:
        return ()

    def over(result: MethodResult, name: str) -> float | None:
        value, unit = getattr(result, name), getattr(base, name)
        return value / unit if value is not None and unit else None

    return tuple(
        Ratios(
            **{name: over(result, name) for name in Means.__dataclass_fields__}, method=result.method, against=BASELINE
        )
        for result in methods
        if result is not base
    )


def skin_results(portraits: Sequence[Portrait]) -> tuple[SkinResult, ...]:
    """Sum up the skin's lightness by method and colouring; nothing where no photo is in a group."""
    found = []
    for method in dict.fromkeys(portrait.method for portrait in portraits):
        for colouring in ("colour", "grey"):
            rows = [row for row in portraits if (row.method, row.colouring) == (method, colouring) and row.tone]
            if not rows:
                continue
            artists = dict.fromkeys(row.artist for row in rows)
            kept = [tones_in_order([row for row in rows if row.artist == artist]) for artist in artists]
            tones = tuple(_tone([row for row in rows if row.tone == tone], tone) for tone in TONES)
            compared = [order for order in kept if order is not None]
            order = tones_in_order(rows)
            found.append(SkinResult(method, colouring, len(artists), tones, order, sum(compared), len(compared)))
    return tuple(found)


def tones_in_order(portraits: Iterable[Portrait]) -> bool | None:
    """Tell whether drawn faces go from dark over middle to light by groups; None where a group is missing."""
    rows = list(portraits)
    lights = [mean_of(row.lightness for row in rows if row.tone == tone) for tone in TONES]
    known = [light for light in lights if light is not None]
    return all(a < b for a, b in pairwise(known)) if len(known) == len(TONES) else None


def _tone(rows: Sequence[Portrait], tone: SkinTone) -> ToneResult:
    seen = [row for row in rows if row.lightness is not None and row.skin_change is not None]
    drawing, change = mean_of(row.lightness for row in seen), mean_of(row.skin_change for row in seen)
    photo = None if drawing is None or change is None else drawing - change
    return ToneResult(tone, len(seen), photo, drawing, change)
