"""A model card's scores, taken from a reconstruction report. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import PicturesUnusable
from core.files import write_atomically

if TYPE_CHECKING:
    from core.engines.fewshot_gan.measure.reconstruction import ReconstructionReport

MEASURES = ("identity_mean", "identity_p05", "ssim_mean", "colour_error_mean", "sharpness_ratio_mean")
PROBED = {
    "destylization": ("returned_identity_mean",),
    "appearance_swap": ("colour_gap_closed_mean", "identity_to_structure_mean"),
    "random_looks": ("identity_mean",),
}


def scores(report: ReconstructionReport) -> dict[str, object]:
    """Return what a card keeps of a report, with three decimals."""
    kept: dict[str, object] = {"n": report.n, **_rounded(report, MEASURES)}
    for name, parts in (("by_source", report.by_source), ("by_colour", report.by_colour)):
        kept[name] = {label: {"n": part.n, **_rounded(part, MEASURES)} for label, part in (parts or {}).items()}
    probes = ((name, getattr(report, name), measures) for name, measures in PROBED.items())
    return kept | {name: _rounded(probe, measures) for name, probe, measures in probes if probe is not None}


def _rounded(part: object, names: tuple[str, ...]) -> dict[str, float | None]:
    values = {name: getattr(part, name) for name in names}
    return {name: None if value is None else round(value, 3) for name, value in values.items()}


def add_scores(card: Path, report: ReconstructionReport) -> None:
    """Write a report's scores into a model card. Raises PicturesUnusable when the file is no card."""
    try:
        content = json.loads(card.read_text(encoding="utf-8"))
        content["scores"] = scores(report)
    except (OSError, ValueError, TypeError) as error:
        raise PicturesUnusable(card.name, "is no model card (a JSON file such as assets/mini/card.json)") from error
    write_atomically(card, json.dumps(content, indent=2) + "\n")
