"""`python -m core evaluate`: options in, one report and its pictures out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.cli import evaluate_text as text
from core.cli.evaluate_hand import hand
from core.cli.options import (
    ArmTraining,
    CropOption,
    JsonOutput,
    Networks,
    OracleFolder,
    PhotoSet,
    Reference,
    ReferenceCrop,
    Running,
    Save,
    TrainingOptions,
    grouped,
    only_few_shot_gan,
    own_networks,
)
from core.cli.terminal import REPORT_NAME, expected_failures, print_report, progress_bar, save_report
from core.config import CropMode
from core.evaluate.card import add_scores
from core.imaging.listing import pictures_in

if TYPE_CHECKING:
    from core.evaluate.arms import ArmRun, Comparison

SHEET_NAME = "contact_sheet.png"

app = typer.Typer(help="Measure the model, a style, or finished pictures.", no_args_is_help=True)
app.command()(hand)


@app.command()
@grouped
def reconstruction(
    photos: PhotoSet,
    save: Save,
    running: Running,
    oracles: OracleFolder = None,
    probes: Annotated[int, typer.Option(min=0, help="Photos for the further probes; 0 leaves them out.")] = 16,
    card: Annotated[Path | None, typer.Option(help="Also write the scores into this model card.")] = None,
    as_json: JsonOutput = False,
) -> None:
    """How much of each face survives inversion. Writes SAVE/<name>.png and SAVE/aligned/<name>.png, 256 px."""
    with expected_failures(), progress_bar(quiet=as_json) as progress:
        only_few_shot_gan(running.engine)
        listed = photos.listed()
        from core.engines.fewshot_gan.measure.reconstruction import evaluate_reconstruction

        own = own_networks(oracles)
        report = evaluate_reconstruction(
            running.open(progress).engine(),
            listed,
            save,
            identity=own.identity if own else None,
            crop=photos.crop,
            probes=probes,
            on_progress=progress,
        )
        if card is not None:
            add_scores(card, report)
    print_report(report, as_json=as_json, hide=("pictures",))


@app.command()
@grouped
def style(
    photos: PhotoSet,
    save: Save,
    training: TrainingOptions,
    running: Running,
    reference: Reference = None,
    reference_crop: ReferenceCrop = None,
    oracles: OracleFolder = None,
    as_json: JsonOutput = False,
) -> None:
    """Train one style, draw every photo in it, and measure style against identity. Writes SAVE/<name>.png, 256 px."""
    if not reference:
        raise typer.BadParameter("give at least one --reference")
    with expected_failures(), progress_bar(quiet=as_json) as progress:
        entry = running.entry()
        if training.check(entry).needs_photo:
            raise typer.BadParameter("here one style serves all photos, so it can't be made for the person on one")
        listed = photos.listed()
        from core.evaluate.panel import make_panel, train_and_draw
        from core.evaluate.style_report import style_report

        own = own_networks(oracles)
        studio = running.open(progress)
        config = training.config(studio, entry)
        panel = make_panel(
            studio, listed, reference,
            crop=photos.crop, reference_crop=reference_crop or "detect", on_progress=progress,
        )  # fmt: skip
        name = reference[0].stem
        run = train_and_draw(studio, panel.photos, panel.references, config, name=name, on_progress=progress)
        report = style_report(panel, run, save, backbone=studio.describe().variant, own=own)
    print_report(report, as_json=as_json, hide=("pictures",))


@dataclasses.dataclass(frozen=True)
class ComparedPhotos(PhotoSet):
    """Photos enough for intervals over them."""

    limit: Annotated[int | None, typer.Option(min=2, help="At most this many photos, evenly spread.")] = None


@app.command()
@grouped
def arms(
    photos: ComparedPhotos,
    save: Save,
    training: ArmTraining,
    networks: Networks,
    running: Running,
    references: Annotated[Path | None, typer.Option(help="Folder of style pictures, 2 to 14.")] = None,
    reference: Reference = None,
    reference_crop: ReferenceCrop = None,
    ablate: Annotated[
        list[str] | None,
        typer.Option(help="Also vary lambda=..., references=... or alpha=... (lambda=0.5x: of the default); repeat."),
    ] = None,
    as_json: JsonOutput = False,
) -> None:
    """JoJoGAN and ours, one-shot and few-shot: table, contact sheet, and curves of ablations."""
    if (references is None) == (not reference):
        raise typer.BadParameter("give the style pictures either as --references DIR or as several --reference FILE")
    with expected_failures(), progress_bar(quiet=as_json) as progress:
        only_few_shot_gan(running.engine)
        plan = training.plan(running.entry())
        listed = photos.listed()
        paths = pictures_in(references) if references is not None else list(reference or ())
        from core.engines.fewshot_gan.measure.ablations import parse_ablation
        from core.evaluate.arms import check_counts, make_comparison, run_ablation, run_arms
        from core.evaluate.arms_report import ablation_report, arms_report
        from core.evaluate.curves import draw_curves

        try:
            ablations = [parse_ablation(asked) for asked in ablate or ()]
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        check_counts(ablations, len(paths), references.name if references is not None else "--reference")
        own = own_networks(networks.oracles)
        studio = running.open(progress)
        comparison = make_comparison(
            studio, listed, paths, networks.choose(studio, own, progress),
            crop=photos.crop, reference_crop=reference_crop or "detect", on_progress=progress,
        )  # fmt: skip
        save.mkdir(parents=True, exist_ok=True)
        runs = run_arms(studio, comparison, plan, save, on_progress=progress)
        report = arms_report(studio, comparison, plan, runs, sheet=SHEET_NAME)
        subtitle = f"preset {report.preset}, seed {report.seed}, model {report.backbone}"
        _draw_sheet(comparison, runs, subtitle, save / SHEET_NAME)
        found = []
        for ablation in ablations:
            curve = save / f"ablation_{ablation.axis}.png"
            points = run_ablation(studio, ablation, comparison, plan, runs, on_progress=progress)
            found.append(ablation_report(ablation, points, comparison.style, curve.name))
            subtitle = f"{report.n} photos, preset {plan.preset}, seed {plan.seed}, backbone {report.backbone}"
            baseline = report.arms["jojogan-few"]
            draw_curves(ablation.axis, found[-1].points, curve, subtitle=subtitle, baseline=baseline)
        report = dataclasses.replace(report, ablations=tuple(found))
        save_report(report, save)
    written = f"Written to {save}: {REPORT_NAME}, {SHEET_NAME}, the drawings and the styles."
    print_report(report, as_json=as_json, text=lambda: f"{text.arms(report)}\n{written}")


@app.command()
@grouped
def pairs(
    pairs: Annotated[Path, typer.Option(help="Folder of <name>_photo.* and <name>_art.* in one frame.")],
    save: Save,
    training: ArmTraining,
    networks: Networks,
    running: Running,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Every pair is held out once, in so many turns; 3 by default.")
    ] = None,
    held_out: Annotated[
        int | None, typer.Option(min=1, help="Instead score one fixed split with so many held-out pairs.")
    ] = None,
    arm: Annotated[
        list[str] | None, typer.Option(metavar="ARM", help="Only this arm; repeat for more. All by default.")
    ] = None,
    crop: CropOption = "detect",
    as_json: JsonOutput = False,
) -> None:
    """Train on some of an artist's drawings, score on the others against the artist's own answer."""
    if folds is not None and held_out is not None:
        raise typer.BadParameter("--folds holds every pair out once and --held-out a fixed few: give one of them")
    with expected_failures(), progress_bar(quiet=as_json) as progress:
        only_few_shot_gan(running.engine)
        plan = training.plan(running.entry())
        from core.config import PAPER_ARMS
        from core.evaluate import pairs as measuring

        known = {item.id: item for item in PAPER_ARMS}
        if unknown := [name for name in arm or () if name not in known]:
            raise typer.BadParameter(f"--arm takes {', '.join(known)}, got '{unknown[0]}'")
        split = measuring.choose_split(pairs, folds=folds, held_out=held_out, seed=plan.seed)
        own = own_networks(networks.oracles)
        studio = running.open(progress)
        chosen = networks.choose(studio, own, progress)
        loaded = measuring.load_pairs(studio, pairs, chosen, crop=crop)
        save.mkdir(parents=True, exist_ok=True)
        kept = [item for item in PAPER_ARMS if not arm or item.id in arm]
        report = measuring.evaluate_pairs(studio, loaded, split, plan, chosen, save, arms=kept, on_progress=progress)
        measuring.draw_pairs(loaded, report, save, save / SHEET_NAME)
        save_report(report, save)
    written = f"Written to {save}: {REPORT_NAME}, {SHEET_NAME} and the drawings."
    print_report(report, as_json=as_json, text=lambda: f"{text.pairs(report)}\n{written}")


@app.command()
@grouped
def results(
    inputs: Annotated[Path, typer.Option(help="Folder of input photos, square.")],
    results: Annotated[Path, typer.Option(help="Folder of results with the same names and sizes.")],
    references: Annotated[Path, typer.Option(help="Folder of artworks in the style, square.")],
    networks: Networks,
    running: Running,
    crop: Annotated[
        CropMode, typer.Option(help="Results lie in their inputs' frame, or show the input's face crop.")
    ] = "aligned",
    as_json: JsonOutput = False,
) -> None:
    """Every measure of finished pictures of any program, against their photos and a folder of artworks."""
    with expected_failures(), progress_bar(quiet=as_json) as progress:
        from core.evaluate.results import evaluate_results

        own = own_networks(networks.oracles)
        studio = running.open(progress)
        chosen = networks.choose(studio, own, progress)
        report = evaluate_results(studio, inputs, results, references, chosen, crop=crop, on_progress=progress)
    print_report(report, as_json=as_json, text=lambda: text.results(report))


@dataclasses.dataclass(frozen=True)
class SheetPhotos(PhotoSet):
    """Photos few enough for one picture."""

    limit: Annotated[int, typer.Option(min=1, help="At most this many photos, evenly spread.")] = 24


@app.command()
@grouped
def sheet(
    photos: SheetPhotos,
    save: Annotated[Path, typer.Option(help="The picture to write: .webp, .png or .jpg.")],
    style: Annotated[list[str], typer.Option(help="Slug of a ready-made style, or a style file; repeat for more.")],
    running: Running,
    tile_px: Annotated[int, typer.Option(min=32, max=1024, help="Side of each picture.")] = 128,
    reconstruction: Annotated[bool, typer.Option(help="Show each face as the engine sees it, too.")] = True,
    as_json: JsonOutput = False,
) -> None:
    """Contact sheet: photos above their reconstructions above styles."""
    with expected_failures(), progress_bar(quiet=as_json) as progress:
        listed = photos.listed()
        from core.evaluate.contact import draw_bands, save_bands

        studio = running.open(progress)
        styles = [studio.find_style(wanted) for wanted in style]
        made = draw_bands(
            studio, listed, styles,
            crop=photos.crop, reconstruction=reconstruction, tile_px=tile_px, on_progress=progress,
        )  # fmt: skip
        save_bands(made, save)
    print_report({"sheet": str(save), "photos": len(listed), "styles": style}, as_json=as_json)


@app.command()
def table2(
    inputs: Annotated[Path, typer.Option(help="Folder of input photos.")],
    results: Annotated[Path, typer.Option(help="Folder of results with the same names.")],
    as_json: JsonOutput = False,
) -> None:
    """SSIM of finished results against their inputs, by the protocol of the paper's Table 2."""
    with expected_failures():
        from core.evaluate.table2 import evaluate_table2

        report = evaluate_table2(inputs, results)
    print_report(report, as_json=as_json, hide=("pairs",))


def _draw_sheet(comparison: Comparison, runs: list[ArmRun], subtitle: str, path: Path) -> None:
    from core.evaluate.contact import Sheet, Tile, save_contact

    def tile(run: ArmRun, row: int) -> Tile:
        scores = run.rows[row]
        return Tile(run.drawings[row], f"identity {scores.identity:.2f}   style {scores.style:.2f}")

    rows = [[Tile(photo.image), *(tile(run, row) for run in runs)] for row, photo in enumerate(comparison.subjects)]
    meaning = "identity: more is nearer to the photo, style: less is nearer to the references"
    save_contact(
        Sheet(
            "The same photos and references, four ways",
            f"{subtitle}; {meaning}",
            [face.image for face in comparison.panel.references],
            ["Photo", *(run.arm.title for run in runs)],
            rows,
        ),
        path,
    )
