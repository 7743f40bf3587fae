"""The comparison of arms as a report: JSON-ready numbers, what they say of the paper's claims, and a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from core.evaluate.arms import ArmRun, Panel, TrainingPlan
from core.evaluate.intervals import Interval
from core.evaluate.measure import MEASURES, StyleTarget, as_rows, differences, protocols, score, summarise
from core.evaluate.metric_networks import Judges
from core.studio import Studio

COMPARED = (
    ("ours-one", "jojogan-one"),
    ("ours-few", "jojogan-few"),
    ("ours-few", "ours-one"),
    ("jojogan-few", "jojogan-one"),
)
CLAIMS = (  # pair, measure, what the paper or the project claims
    ("ours-one - jojogan-one", "identity", "one-shot, ours keeps more identity than JoJoGAN"),
    ("ours-few - jojogan-few", "identity", "few-shot, ours keeps more identity than JoJoGAN"),
    ("ours-one - jojogan-one", "style", "one-shot, ours is as near to the style as JoJoGAN, or nearer"),
    ("ours-few - jojogan-few", "style", "few-shot, ours is as near to the style as JoJoGAN, or nearer"),
    ("ours-few - jojogan-few", "patches", "few-shot, ours is as near to the patches as JoJoGAN, or nearer"),
    ("ours-few - ours-one", "style", "few-shot is nearer to the style than one-shot (ours)"),
    ("jojogan-few - jojogan-one", "style", "few-shot is nearer to the style than one-shot (JoJoGAN)"),
)
LEAST_PHOTOS = 6  # of which all must point one way for a sign test at the 5 % level


def arms_report(
    studio: Studio, panel: Panel, plan: TrainingPlan, runs: Sequence[ArmRun], judges: Judges
) -> dict[str, object]:
    """JSON-ready: protocols, arms, the photos as they are, paired differences, claims, and every photo's numbers."""
    finder, photos = studio.backbone.finder, [photo for photo, _ in panel.photos]
    as_they_are = [score(photo.image, photo, panel.style, judges, finder) for photo in photos]
    by_name = {run.spec.name: run for run in runs}
    compared = {
        f"{first} - {second}": differences(by_name[first].rows, by_name[second].rows)
        for first, second in COMPARED
        if first in by_name and second in by_name
    }
    names = [photo.name for photo in photos]
    return {
        "task": "arms",
        "backbone": studio.backbone.name,
        "fingerprint": studio.backbone.fingerprint,
        "preset": plan.preset,
        "seed": plan.seed,
        "n": len(photos),
        "references": [face.name for face in panel.references],
        "protocols": dict(protocols(judges)),
        "notes": list(judges.notes),
        "photo_as_it_is": summarise(as_they_are, [photo.image for photo in photos], panel.style, judges),
        "arms": {run.spec.name: arm_report(run, panel.style, judges) for run in runs},
        "differences": {
            pair: {name: interval.as_report() for name, interval in found.items()} for pair, found in compared.items()
        },
        "claims": claims(compared),
        "failed": panel.failed,
        "pictures": {run.spec.name: as_rows(names, run.rows) for run in runs},
    }


def arm_report(run: ArmRun, style: StyleTarget, judges: Judges) -> dict[str, object]:
    """One arm's part of the report."""
    return {
        "title": run.spec.title,
        "references": run.references,
        "config": asdict(run.config),
        "train_seconds": run.cost.seconds,
        "peak_bytes": run.cost.peak_bytes,
        "peak_is_of_this_arm": run.cost.peak_of_run,
        "device_peak_bytes": run.cost.device_peak_bytes,
        **summarise(run.rows, run.drawings, style, judges),
    }


def claims(compared: Mapping[str, Mapping[str, Interval]]) -> list[dict[str, object]]:
    """What the paired differences say of each claim: `found` is `verdict` of the first arm against the second."""
    higher = {measure.name: measure.higher_is_better for measure in MEASURES}
    return [
        {
            "claim": sentence,
            "found": verdict(compared[pair][measure], higher_is_better=higher[measure]),
            "measure": measure,
            "pair": pair,
            **compared[pair][measure].as_report(),
        }
        for pair, measure, sentence in CLAIMS
        if pair in compared
    ]


def verdict(interval: Interval, *, higher_is_better: bool) -> str:
    """ "better" or "worse" where the whole interval of enough photos lies on that side of 0, else "not told apart"."""
    if interval.low is None or interval.high is None or interval.n < LEAST_PHOTOS:
        return "not told apart"
    low, high = (interval.low, interval.high) if higher_is_better else (-interval.high, -interval.low)
    return "better" if low > 0 else "worse" if high < 0 else "not told apart"


def as_table(report: Mapping[str, object]) -> str:
    """The report for a terminal: arms side by side, paired differences, claims, protocols."""
    columns = {"photo": report["photo_as_it_is"], **report["arms"]}
    head = (
        f"{report['n']} photos, {len(report['references'])} references, preset {report['preset']}, "
        f"seed {report['seed']}, backbone {report['backbone']}"
    )
    lines = [head, "", *grid(["", *columns], arm_lines(columns)), ""]
    lines += ["Paired differences, mean and 95 % interval over photos:"]
    pairs = report["differences"]
    rows = [
        [_title(measure), *(_interval(found[measure.name], signed=True) for found in pairs.values())]
        for measure in MEASURES
    ]
    lines += [*grid(["", *pairs], rows), ""]
    lines += [f"{entry['found']:>14}  {entry['claim']}" for entry in report["claims"]]
    lines += ["", *(f"{name}: {protocol}" for name, protocol in report["protocols"].items()), *report["notes"]]
    lines += [f"left out: {item['message']}" for item in report["failed"]]
    return "\n".join(lines)


def _title(measure) -> str:
    return f"{measure.name} {measure.arrow}"


def arm_lines(columns: Mapping[str, Mapping[str, object]]) -> Iterator[list[str]]:
    """A table's lines: every measure, whole-set distances, and what training cost where that is known."""
    for measure in MEASURES:
        yield [_title(measure), *(_interval(part["measures"][measure.name]) for part in columns.values())]
    yield ["no face found", *(str(part["no_face_found"]) for part in columns.values())]
    for name in ("frechet", "artfid"):
        yield [f"{name} ↓", *(_number(part[name]) for part in columns.values())]
    costs = (
        ("references", "references", 1, ".0f"),
        ("train_seconds", "training, s", 1, ".1f"),
        ("peak_bytes", "peak memory, GB", 1e9, ".2f"),
        ("device_peak_bytes", "on the device, GB", 1e9, ".2f"),
    )
    for name, title, unit, form in costs:
        values = [part.get(name) for part in columns.values()]
        if any(value is not None for value in values):
            yield [title, *(_number(None if value is None else value / unit, form) for value in values)]


def _interval(value: Mapping[str, object], *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    if value["mean"] is None:
        return "-"
    if value["low"] is None:
        return f"{value['mean']:{sign}.3f}"
    return f"{value['mean']:{sign}.3f} [{value['low']:{sign}.3f}, {value['high']:{sign}.3f}]"


def _number(value: object, form: str = ".3f") -> str:
    return "" if value is None else f"{value:{form}}"


def grid(head: Sequence[str], rows: Iterator[list[str]] | Sequence[list[str]]) -> list[str]:
    """Lines of left-aligned columns as wide as their longest cell."""
    table = [list(head), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
