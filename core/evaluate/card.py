"""A model card's scores, taken from a reconstruction report. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from core.errors import PicturesUnusable
from core.files import write_atomically
from core.reports import absent, as_json

if TYPE_CHECKING:
    from core.engines.fewshot_gan.measure.reconstruction import ReconstructionReport

_Kept = TypeVar("_Kept")


@dataclass(frozen=True)
class PartScores:
    """What is kept of a `Summary`."""

    n: int
    identity_mean: float | None
    identity_p05: float | None
    ssim_mean: float | None
    colour_error_mean: float | None
    sharpness_ratio_mean: float | None


@dataclass(frozen=True)
class DestylizationScores:
    """What is kept of `Destylization`."""

    returned_identity_mean: float | None


@dataclass(frozen=True)
class AppearanceSwapScores:
    """What is kept of `AppearanceSwap`."""

    colour_gap_closed_mean: float | None
    identity_to_structure_mean: float | None


@dataclass(frozen=True)
class RandomAppearanceScores:
    """What is kept of `RandomAppearance`."""

    identity_mean: float | None


@dataclass(frozen=True)
class CardScores(PartScores):
    """What a card keeps of a report, under the report's names and with three decimals."""

    by_source: Mapping[str, PartScores]
    by_colour: Mapping[str, PartScores]
    destylization: DestylizationScores | None = absent()
    appearance_swap: AppearanceSwapScores | None = absent()
    random_looks: RandomAppearanceScores | None = absent()


def scores(report: ReconstructionReport) -> CardScores:
    """Return what a card keeps of a report."""
    return CardScores(
        **vars(_kept(PartScores, report)),
        by_source={label: _kept(PartScores, part) for label, part in (report.by_source or {}).items()},
        by_colour={label: _kept(PartScores, part) for label, part in (report.by_colour or {}).items()},
        destylization=_probe(DestylizationScores, report.destylization),
        appearance_swap=_probe(AppearanceSwapScores, report.appearance_swap),
        random_looks=_probe(RandomAppearanceScores, report.random_looks),
    )


def _kept(kind: type[_Kept], part: object) -> _Kept:
    """Return those numbers of a part that its card keeps."""
    values = {item.name: getattr(part, item.name) for item in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value and round(value, 3) for name, value in values.items()})


def _probe(kind: type[_Kept], probe: object | None) -> _Kept | None:
    return None if probe is None else _kept(kind, probe)


def add_scores(card: Path, report: ReconstructionReport) -> None:
    """Write a report's scores into a model card. Raises PicturesUnusable when the file is no card."""
    try:
        content = json.loads(card.read_text(encoding="utf-8"))
        content["scores"] = as_json(scores(report))
    except (OSError, ValueError, TypeError) as error:
        raise PicturesUnusable(card.name, "is no model card (a JSON file such as assets/mini/card.json)") from error
    write_atomically(card, json.dumps(content, indent=2) + "\n")
