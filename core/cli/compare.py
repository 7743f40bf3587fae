"""`python -m core evaluate arms | pairs | results`: options in, one report and its pictures out."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.cli import options
from core.cli.terminal import Progress, expected_failures, plain, print_report, progress_bar
from core.errors import PicturesUnusable
from core.imaging.listing import list_photos, pictures_in

if TYPE_CHECKING:
    import core.progress
    from core.evaluate.ablations import Ablation
    from core.evaluate.arms import ArmRun, Panel, TrainingPlan
    from core.evaluate.metric_networks import Judges
    from core.studio import Studio

REPORT_NAME, SHEET_NAME = "report.json", "contact_sheet.png"


class JudgeChoice(str, Enum):
    """Which networks measure."""

    auto = "auto"
    shipped = "shipped"
    published = "published"


class ArmOption(str, Enum):
    """One of the four arms."""

    jojogan_one = "jojogan-one"
    jojogan_few = "jojogan-few"
    ours_one = "ours-one"
    ours_few = "ours-few"


Save = Annotated[Path, typer.Option(help="Folder for the report, the pictures and the curves.")]
OwnNetworksFolder = Annotated[
    Path | None,
    typer.Option("--oracles", help="Folder with your own metric networks (ONNX recogniser, SqueezeNet features)."),
]
JudgesOption = Annotated[
    JudgeChoice,
    typer.Option(
        "--judges",
        help="Stand-ins that ship, published networks (downloads them), or the published ones already here.",
    ),
]
Steps = Annotated[
    int | None, typer.Option(min=1, max=2000, help="Training steps of every arm; the preset's by default.")
]
PresetOption = Annotated[options.Preset, typer.Option("--preset", help="Kind of drawing, sets the steps.")]


def arms(
    photos: Annotated[Path, typer.Option(help="Folder of photos or aligned crops.")],
    save: Save,
    references: Annotated[Path | None, typer.Option(help="Folder of style pictures, 2 to 14.")] = None,
    reference: options.Reference = None,
    ablate: Annotated[
        list[str] | None,
        typer.Option(help="Also vary lambda=..., references=... or alpha=... (lambda=0.5x: of the default); repeat."),
    ] = None,
    preset: PresetOption = options.Preset.sketch,
    steps: Steps = None,
    own_networks: OwnNetworksFolder = None,
    judges: JudgesOption = JudgeChoice.auto,
    index: Annotated[Path | None, typer.Option(help="CSV with file, source, split, colour.")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split of the index.")] = None,
    limit: Annotated[int | None, typer.Option(min=2, help="At most this many photos, evenly spread.")] = None,
    crop: options.Crop = options.CropOption.detect,
    reference_crop: options.ReferenceCrop = None,
    seed: options.Seed = 0,
    backbone: options.Backbone = options.BackboneOption.auto,
    device: options.Device = None,
    as_json: options.JsonOutput = False,
) -> None:
    """JoJoGAN and ours, one-shot and few-shot: table, contact sheet, and curves of ablations."""
    if (references is None) == (not reference):
        raise typer.BadParameter("give the style pictures either as --references DIR or as several --reference FILE")
    with expected_failures(), progress_bar(quiet=as_json) as progress:
        listed = list_photos(photos, index=index, split=split, limit=limit)
        paths = pictures_in(references) if references is not None else list(reference or ())
        from core.evaluate.ablations import check_counts, parse_ablation
        from core.evaluate.arms import TrainingPlan, make_panel, run_arms
        from core.evaluate.arms_report import arms_report, as_table

        try:
            ablations = [parse_ablation(text) for text in ablate or ()]
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        check_counts(ablations, len(paths), references.name if references is not None else "--reference")
        studio, chosen = _open(backbone, device, judges, own_networks, progress)
        plan = TrainingPlan(preset.value, seed, steps)
        cuts = {"crop": crop.value, "reference_crop": (reference_crop or options.CropOption.detect).value}
        panel = make_panel(studio, listed, paths, chosen, **cuts, on_progress=progress)
        save.mkdir(parents=True, exist_ok=True)
        runs = run_arms(studio, panel, plan, chosen, save, on_progress=progress)
        report = arms_report(studio, panel, plan, runs, chosen)
        _draw_sheet(panel, runs, report, save / SHEET_NAME)
        report["sheet"] = SHEET_NAME
        report["ablations"] = [
            _ablate(studio, ablation, panel, plan, chosen, runs, report, save, progress) for ablation in ablations
        ]
        _write_report(report, save)
    if as_json:
        print_report(report, as_json=True)
    else:
        typer.echo(as_table(report))
        for entry in report["ablations"]:
            typer.echo(_points(entry))
        typer.echo(f"Written to {save}: {REPORT_NAME}, {SHEET_NAME}, the drawings and the styles.")


def pairs(
    pairs: Annotated[Path, typer.Option(help="Folder of <name>_photo.* and <name>_art.* in one frame.")],
    save: Save,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Every pair is held out once, in so many turns; 3 by default.")
    ] = None,
    held_out: Annotated[
        int | None, typer.Option(min=1, help="Instead score one fixed split with so many held-out pairs.")
    ] = None,
    arm: Annotated[list[ArmOption] | None, typer.Option(help="Only this arm; repeat for more. All by default.")] = None,
    preset: PresetOption = options.Preset.sketch,
    steps: Steps = None,
    own_networks: OwnNetworksFolder = None,
    judges: JudgesOption = JudgeChoice.auto,
    crop: options.Crop = options.CropOption.detect,
    seed: options.Seed = 0,
    backbone: options.Backbone = options.BackboneOption.auto,
    device: options.Device = None,
    as_json: options.JsonOutput = False,
) -> None:
    """Train on some of an artist's drawings, score on the others against the artist's own answer."""
    if folds is not None and held_out is not None:
        raise typer.BadParameter("--folds holds every pair out once and --held-out a fixed few: give one of them")
    with expected_failures(), progress_bar(quiet=as_json) as progress:
        from core.evaluate import pairs as measuring
        from core.evaluate.arms import TrainingPlan
        from core.evaluate.pairs_report import as_table, draw_pairs
        from core.evaluate.train_arms import ARM_SPECS

        count = len(measuring.pair_files(pairs))
        try:
            split = (
                measuring.make_folds(count, folds or 3, seed=seed)
                if held_out is None
                else measuring.fixed_split(count, held_out, seed=seed)
            )
        except ValueError as error:
            raise PicturesUnusable(pairs.name, f"can't be split so: {error}") from error
        measuring.check_split(pairs, count, split)
        studio, chosen = _open(backbone, device, judges, own_networks, progress)
        loaded = measuring.load_pairs(studio, pairs, chosen, crop=crop.value)
        specs = [spec for spec in ARM_SPECS if not arm or spec.name in {option.value for option in arm}]
        save.mkdir(parents=True, exist_ok=True)
        plan = TrainingPlan(preset.value, seed, steps)
        report = measuring.evaluate_pairs(studio, loaded, split, plan, chosen, save, arms=specs, on_progress=progress)
        draw_pairs(loaded, report, save, save / SHEET_NAME)
        _write_report(report, save)
    if as_json:
        print_report(report, as_json=True)
    else:
        typer.echo(as_table(report))
        typer.echo(f"Written to {save}: {REPORT_NAME}, {SHEET_NAME} and the drawings.")


def results(
    inputs: Annotated[Path, typer.Option(help="Folder of input photos, square.")],
    results: Annotated[Path, typer.Option(help="Folder of results with the same names and sizes.")],
    references: Annotated[Path, typer.Option(help="Folder of artworks in the style, square.")],
    crop: Annotated[
        options.CropOption, typer.Option(help="Results lie in their inputs' frame, or show the input's face crop.")
    ] = options.CropOption.aligned,
    own_networks: OwnNetworksFolder = None,
    judges: JudgesOption = JudgeChoice.auto,
    backbone: options.Backbone = options.BackboneOption.auto,
    device: options.Device = None,
    as_json: options.JsonOutput = False,
) -> None:
    """Every measure of finished pictures of any program, against their photos and a folder of artworks."""
    with expected_failures(), progress_bar(quiet=as_json) as progress:
        from core.evaluate.results import as_table, evaluate_results

        studio, chosen = _open(backbone, device, judges, own_networks, progress)
        report = evaluate_results(studio, inputs, results, references, chosen, crop=crop.value, on_progress=progress)
    if as_json:
        print_report(report, as_json=True)
    else:
        typer.echo(as_table(report))


def _open(
    backbone: options.BackboneOption,
    device: str | None,
    judges: JudgeChoice,
    own_networks: Path | None,
    progress: Progress,
) -> tuple[Studio, Judges]:
    """The studio and its judges; downloads are shown in megabytes."""
    from core.evaluate.metric_networks import choose_judges
    from core.metrics.own_networks import load_own_networks
    from core.studio import Studio

    def show(part: core.progress.Progress) -> None:
        progress(f"{part.what}, MB", part.done // 10**6, max(1, part.of // 10**6))

    own = load_own_networks(own_networks) if own_networks else None
    studio = Studio.open(backbone.value, device=device, on_progress=show)
    return studio, choose_judges(studio, judges.value, own_networks=own, on_progress=show)


def _ablate(
    studio: Studio, ablation: Ablation, panel: Panel, plan: TrainingPlan, judges: Judges, runs: list[ArmRun],
    report: dict[str, object], save: Path, progress: Progress,
) -> dict[str, object]:  # fmt: skip
    """One ablation: trained, reported and drawn."""
    from core.evaluate.ablations import ablation_report, run_ablation
    from core.evaluate.curves import draw_curves

    found = run_ablation(studio, ablation, panel, plan, judges, runs, on_progress=progress)
    curve = save / f"ablation_{ablation.axis}.png"
    entry = ablation_report(ablation, found, panel, judges, curve)
    subtitle = f"{report['n']} photos, preset {plan.preset}, seed {plan.seed}, backbone {report['backbone']}"
    draw_curves(ablation.axis, entry["points"], curve, subtitle=subtitle, baseline=report["arms"]["jojogan-few"])
    return entry


def _draw_sheet(panel: Panel, runs: list[ArmRun], report: dict[str, object], path: Path) -> None:
    from core.evaluate.contact import Sheet, Tile, save_contact

    rows = [
        [Tile(photo.image), *(Tile(run.drawings[i], _caption(run, i)) for run in runs)]
        for i, (photo, _) in enumerate(panel.photos)
    ]
    subtitle = (
        f"preset {report['preset']}, seed {report['seed']}, model {report['backbone']}; "
        "identity: more is nearer to the photo, style: less is nearer to the references"
    )
    columns = ["Photo", *(run.spec.title for run in runs)]
    title = "The same photos and references, four ways"
    save_contact(Sheet(title, subtitle, [face.image for face in panel.references], columns, rows), path)


def _caption(run: ArmRun, row: int) -> str:
    scores = run.rows[row]
    return f"identity {scores.identity:.2f}   style {scores.style:.2f}"


def _points(entry: dict[str, object]) -> str:
    """An ablation's means, one line per value."""
    lines = [f"{entry['axis']}: ours, few-shot ({entry['curve']})"]
    for point in entry["points"]:
        means = ((name, value["mean"]) for name, value in point["measures"].items())
        shown = "  ".join(f"{name} {mean:.3f}" for name, mean in means if mean is not None)
        lines.append(f"  {point['value']:>8}  {shown}")
    return "\n".join(lines)


def _write_report(report: dict[str, object], save: Path) -> None:
    (save / REPORT_NAME).write_text(json.dumps(plain(report), allow_nan=False, indent=2), encoding="utf-8")
