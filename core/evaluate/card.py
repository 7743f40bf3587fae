"""A model card's scores, taken from a reconstruction report. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from core.errors import PicturesUnusable

MEASURES = ("identity_mean", "identity_p05", "ssim_mean", "colour_error_mean", "sharpness_ratio_mean")
PROBED = {
    "destylization": ("returned_identity_mean",),
    "appearance_swap": ("colour_gap_closed_mean", "identity_to_structure_mean"),
    "random_looks": ("identity_mean",),
}


def scores(report: Mapping[str, object]) -> dict[str, object]:
    """Return what a card keeps of `evaluate_reconstruction`'s report, with three decimals."""
    kept: dict[str, object] = {"n": report["n"], **_rounded(report, MEASURES)}
    for group in ("by_source", "by_colour"):
        kept[group] = {name: {"n": row["n"], **_rounded(row, MEASURES)} for name, row in report[group].items()}
    return kept | {probe: _rounded(report[probe], names) for probe, names in PROBED.items() if probe in report}


def _rounded(row: Mapping[str, float | None], names: tuple[str, ...]) -> dict[str, float | None]:
    return {name: None if row[name] is None else round(row[name], 3) for name in names}


def add_scores(card: Path, report: Mapping[str, object]) -> None:
    """Write a report's scores into a model card. Raises PicturesUnusable when the file is no card."""
    try:
        told = json.loads(card.read_text(encoding="utf-8"))
        told["scores"] = scores(report)
    except (OSError, ValueError, TypeError) as error:
        raise PicturesUnusable(card.name, "is no model card (a JSON file such as assets/mini/card.json)") from error
    card.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
