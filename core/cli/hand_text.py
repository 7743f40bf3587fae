"""`evaluate hand` as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from core.cli.tables import table

if TYPE_CHECKING:
    from core.evaluate.hand.report import HandReport, MethodResult, Ratios, SkinResult

MEASURES = (  # field of `Means`, as it is printed
    ("identity", "identity ↑"),
    ("style_256", "style, 256 px ↓"),
    ("style_512", "style, 512 px ↓"),
    ("bands", "bands ↓"),
    ("bands_share", "bands, share of the photo's ↓"),
    ("landmarks", "landmarks, of the eyes' distance ↓"),
)


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
    rows = [[title, *(_number(getattr(result, name)) for result in methods)] for name, title in MEASURES]
    lowest = [f"{result.lowest_identity:.3f} ({result.lowest_artist})" for result in methods]
    rows.insert(1, ["lowest style's identity ↑", *lowest])
    for name, title in (("training", "training, s"), ("first", "first drawing, s"), ("finished", "portrait, s")):
        rows.append([title, *(f"{getattr(result, f'{name}_seconds'):.2f}" for result in methods)])
    return table(["", *(result.method for result in methods)], rows, right=range(1, len(methods) + 1))


def _ratios(ratios: Sequence[Ratios]) -> str:
    rows = [[title, *(_number(getattr(ratio, name)) for ratio in ratios)] for name, title in MEASURES]
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


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
