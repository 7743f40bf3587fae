"""The comparison with the artist's own drawings as a table and a contact sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from core.evaluate.arms_report import arm_lines, grid
from core.evaluate.contact import Sheet, Tile, save_contact
from core.evaluate.pairs import Pair
from core.evaluate.train_arms import ARM_SPECS


def as_table(report: Mapping[str, object]) -> str:
    """The report for a terminal: arms side by side, folds, protocols."""
    held = "; ".join(", ".join(fold) for fold in report["held_out"])
    head = (
        f"{report['n']} held-out photos against the artist's drawings, preset {report['preset']}, "
        f"seed {report['seed']}, backbone {report['backbone']}. Held out together: {held}"
    )
    lines = [head, "", *grid(["", *report["arms"]], arm_lines(report["arms"])), ""]
    return "\n".join([*lines, *(f"{name}: {what}" for name, what in report["protocols"].items()), *report["notes"]])


def draw_pairs(pairs: Sequence[Pair], report: Mapping[str, object], drawings: Path, path: Path) -> None:
    """Contact sheet: photo, the artist's answer, every arm's drawing from `drawings/<arm>/<name>.png`."""
    titles = {spec.name: spec.title for spec in ARM_SPECS}
    arms = [name for name in report["arms"] if name in titles]
    held = {name for fold in report["held_out"] for name in fold}
    rows = []
    for pair in pairs:
        if pair.name in held:
            files = [drawings / arm / f"{pair.name}.png" for arm in arms]
            scores = [_ssim(report["arms"][arm]["pictures"], pair.photo.name) for arm in arms]
            tiles = [Tile(_read(file), caption) for file, caption in zip(files, scores, strict=True)]
            rows.append([Tile(pair.photo.image), Tile(pair.answer.image), *tiles])
    subtitle = f"held out from training; preset {report['preset']}, seed {report['seed']}, model {report['backbone']}"
    columns = ["Photo", "The artist", *(titles[arm] for arm in arms)]
    save_contact(Sheet("Beside the artist's own answer", subtitle, [], columns, rows), path)


def _ssim(rows: Sequence[Mapping[str, object]], name: str) -> str:
    found = next((row for row in rows if row["name"] == name), None)
    return "" if found is None else f"SSIM {found['ssim']:.2f}   perceptual {found['content']:.2f}"


def _read(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")
