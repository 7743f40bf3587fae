"""Comparisons as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from core.cli.tables import table

if TYPE_CHECKING:
    from core.evaluate.arms_report import AblationReport, ArmReport, ArmsReport
    from core.evaluate.hand.report import HandReport, MethodResult, Ratios, SkinResult
    from core.evaluate.intervals import Interval
    from core.evaluate.pairs import PairsReport
    from core.evaluate.results import ResultsReport
    from core.evaluate.scores import SetScores


HAND_MEASURES = (  # field of `Means`, as it is printed
    ("identity", "identity ↑"),
    ("style_256", "style, 256 px ↓"),
    ("style_512", "style, 512 px ↓"),
    ("bands", "bands ↓"),
    ("bands_share", "bands, share of the photo's ↓"),
    ("landmarks", "landmarks, of the eyes' distance ↓"),
)
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
            table(("", ""), [(claim.found, claim.claim) for claim in report.claims], right={0}),
            "",
            *_footnotes(report.protocols, report.notes),
            *(f"left out: {item.message}" for item in report.failed),
            *map(_ablation, report.ablations),
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


def hand(report: HandReport) -> str:
    """Methods side by side, ratios, skin, protocols."""
    plan = report.plan
    few = "one style from all" if plan.few else "a style from each"
    head = (
        f"{len(report.people)} photos, {few} of the artworks ({len(report.artists)} style(s)), preset {plan.preset}"
        f"{'' if plan.steps is None else f', {plan.steps} steps'}, seed {plan.seed}, backbone {report.backbone}, "
        f"{plan.drawing.size} px, shape {plan.drawing.shape:g}, {report.threads} thread(s)"
    )
    return "\n".join(
        [
            head,
            "",
            _methods(report.methods),
            *(["", _ratios(report.ratios)] if report.ratios else []),
            *(["", _skin(report.skin)] if report.skin else []),
            "",
            *(f"{name}: {what}" for name, what in report.protocols.items()),
            *report.notes,
            *(f"left out: {item.message}" for item in report.failed),
        ]
    )


def _methods(methods: Sequence[MethodResult]) -> str:
    rows = [
        [title, *(_number(getattr(result, name), absent="-") for result in methods)] for name, title in HAND_MEASURES
    ]
    lowest = [f"{result.lowest_identity:.3f} ({result.lowest_artist})" for result in methods]
    rows.insert(1, ["lowest style's identity ↑", *lowest])
    for name, title in (("training", "training, s"), ("first", "first drawing, s"), ("finished", "portrait, s")):
        rows.append([title, *(f"{getattr(result, f'{name}_seconds'):.2f}" for result in methods)])
    return table(["", *(result.method for result in methods)], rows, right=range(1, len(methods) + 1))


def _ratios(ratios: Sequence[Ratios]) -> str:
    rows = [[title, *(_number(getattr(ratio, name), absent="-") for ratio in ratios)] for name, title in HAND_MEASURES]
    title = f"Means over those of '{ratios[0].against}':"
    return table(["", *(ratio.method for ratio in ratios)], rows, title=title, right=range(1, len(ratios) + 1))


def _skin(results: Sequence[SkinResult]) -> str:
    columns = [
        "method",
        "artworks",
        "styles",
        *(tone.tone for tone in results[0].tones),
        "order of means",
        "styles in order",
    ]
    title = "Skin, L* by groups of photos; drawings as change from the photo, and their own:"
    photos = [
        "photos",
        "",
        "",
        *("-" if tone.photo is None else f"{tone.photo:.1f}" for tone in results[0].tones),
        "",
        "",
    ]
    return table(columns, [photos, *map(list, map(_skin_row, results))], title=title)


def _skin_row(result: SkinResult) -> Iterator[str]:
    yield from (result.method, result.colouring, str(result.styles))
    for tone in result.tones:
        yield "-" if tone.change is None else f"{tone.change:+.1f} ({tone.drawing:.1f})"
    yield "-" if result.in_order is None else "kept" if result.in_order else "lost"
    yield f"{result.styles_in_order} of {result.styles_compared}"


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


def _ablation(report: AblationReport) -> str:
    """Set an ablation's means, one line per value."""
    rows = [
        [point.value, *(_number(interval.mean, absent="-") for interval in point.measures.values())]
        for point in report.points
    ]
    title = f"{report.axis}: ours, few-shot ({report.curve})"
    return table(["", *report.points[0].measures], rows, title=title, right={0})


def _interval(value: Interval, sign: str = "") -> str:
    if value.mean is None:
        return "-"
    if value.low is None:
        return f"{value.mean:{sign}.3f}"
    return f"{value.mean:{sign}.3f} [{value.low:{sign}.3f}, {value.high:{sign}.3f}]"


def _number(value: float | None, form: str = ".3f", *, absent: str = "") -> str:
    return absent if value is None else f"{value:{form}}"
