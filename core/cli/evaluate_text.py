"""Comparisons as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from core.cli.tables import table

if TYPE_CHECKING:
    from core.evaluate.arms_report import AblationReport, ArmReport, ArmsReport
    from core.evaluate.intervals import Interval
    from core.evaluate.pairs import PairsReport
    from core.evaluate.results import ResultsReport
    from core.evaluate.scores import SetScores


COSTS = ("references", "training, s", "peak memory, GB", "on the device, GB")


def arms(report: ArmsReport) -> str:
    """Arms side by side, paired differences, claims, protocols, ablations."""
    from core.evaluate.scores import MEASURES

    head = (
        f"{report.n} photos, {len(report.references)} references, preset {report.preset}, "
        f"seed {report.seed}, backbone {report.backbone}"
    )
    compared = report.differences
    rows = [
        [f"{measure.name} {measure.arrow}", *(_interval(found[measure.name], "+") for found in compared.values())]
        for measure in MEASURES
    ]
    return "\n".join(
        [
            head,
            "",
            _side_by_side({"photo": report.photo_as_it_is, **report.arms}),
            "",
            table(["", *compared], rows, title="Paired differences, mean and 95 % interval over photos:"),
            "",
            *(f"{claim.found:>14}  {claim.claim}" for claim in report.claims),
            "",
            *_footnotes(report.protocols, report.notes),
            *(f"left out: {item.message}" for item in report.failed),
            *(line for ablation in report.ablations for line in _ablation(ablation)),
        ]
    )


def pairs(report: PairsReport) -> str:
    """Arms side by side, folds, protocols."""
    held = "; ".join(", ".join(fold) for fold in report.held_out)
    head = (
        f"{report.n} held-out photos against the artist's drawings, preset {report.preset}, "
        f"seed {report.seed}, backbone {report.backbone}. Held out together: {held}"
    )
    return "\n".join([head, "", _side_by_side(report.arms), "", *_footnotes(report.protocols, report.notes)])


def results(report: ResultsReport) -> str:
    """One column, protocols."""
    head = f"{report.n} results, {report.artworks} artworks"
    return "\n".join([head, "", _side_by_side({"results": report}), "", *_footnotes(report.protocols, report.notes)])


def _side_by_side(columns: Mapping[str, SetScores]) -> str:
    """Every measure, whole-set distances, and what training cost where that is known."""
    from core.evaluate.arms_report import ArmReport
    from core.evaluate.scores import MEASURES

    parts = list(columns.values())
    rows = [
        [f"{measure.name} {measure.arrow}", *(_interval(part.measures[measure.name]) for part in parts)]
        for measure in MEASURES
    ]
    rows += [
        ["no face found", *(str(part.no_face_found) for part in parts)],
        ["frechet ↓", *(_number(part.frechet) for part in parts)],
        ["artfid ↓", *(_number(part.artfid) for part in parts)],
    ]
    costs = [_costs(part) if isinstance(part, ArmReport) else ("",) * len(COSTS) for part in parts]
    rows += [[name, *cells] for name, *cells in zip(COSTS, *costs, strict=True) if any(cells)]
    return table(["", *columns], rows)


def _costs(arm: ArmReport) -> tuple[str, ...]:
    peaks = (_number(None if peak is None else peak / 1e9, ".2f") for peak in (arm.peak_bytes, arm.device_peak_bytes))
    return str(arm.references), f"{arm.train_seconds:.1f}", *peaks


def _footnotes(protocols: Mapping[str, str], notes: tuple[str, ...]) -> list[str]:
    return [*(f"{name}: {what}" for name, what in protocols.items()), *notes]


def _ablation(report: AblationReport) -> Iterator[str]:
    """Write an ablation's means, one line per value."""
    yield f"{report.axis}: ours, few-shot ({report.curve})"
    for point in report.points:
        means = ((name, interval.mean) for name, interval in point.measures.items())
        shown = "  ".join(f"{name} {mean:.3f}" for name, mean in means if mean is not None)
        yield f"  {point.value:>8}  {shown}"


def _interval(value: Interval, sign: str = "") -> str:
    if value.mean is None:
        return "-"
    if value.low is None:
        return f"{value.mean:{sign}.3f}"
    return f"{value.mean:{sign}.3f} [{value.low:{sign}.3f}, {value.high:{sign}.3f}]"


def _number(value: float | None, form: str = ".3f") -> str:
    return "" if value is None else f"{value:{form}}"
