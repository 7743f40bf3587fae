"""`python -m core evaluate`: reconstruction, style, sheet, table2 (and arms, pairs, results of `commands_compare`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.cli import options
from core.cli.compare import arms, pairs, results
from core.cli.terminal import expected_failures, print_report, progress_bar
from core.evaluate.card import add_scores
from core.imaging.listing import list_photos

app = typer.Typer(help="Measure the model, a style, or finished pictures.", no_args_is_help=True)
for compare in (arms, pairs, results):
    app.command()(compare)

Photos = Annotated[Path, typer.Option(help="Folder of photos or aligned crops.")]
Save = Annotated[Path, typer.Option(help="Folder for the pictures this makes.")]
OwnNetworksFolder = Annotated[
    Path | None,
    typer.Option("--oracles", help="Folder with your own metric networks (ONNX recogniser, SqueezeNet features)."),
]
Index = Annotated[Path | None, typer.Option(help="CSV with file, source, split, colour; found beside the photos.")]
Split = Annotated[str | None, typer.Option(help="Only this split of the index.")]
Limit = Annotated[int | None, typer.Option(min=1, help="At most this many photos, evenly spread.")]


@app.command()
def reconstruction(
    photos: Photos,
    save: Save,
    own_networks: OwnNetworksFolder = None,
    index: Index = None,
    split: Split = None,
    limit: Limit = None,
    crop: options.Crop = options.CropOption.detect,
    probes: Annotated[int, typer.Option(min=0, help="Photos for the further probes; 0 leaves them out.")] = 16,
    card: Annotated[Path | None, typer.Option(help="Also write the scores into this model card.")] = None,
    backbone: options.Backbone = options.BackboneOption.auto,
    device: options.Device = None,
    as_json: options.JsonOutput = False,
) -> None:
    """How much of each face survives inversion. Writes SAVE/<name>.png and SAVE/aligned/<name>.png, 256 px."""
    with expected_failures(), progress_bar(quiet=as_json) as progress:
        listed = list_photos(photos, index=index, split=split, limit=limit)
        from core.engines.fewshot_gan.measure.reconstruction import evaluate_reconstruction
        from core.metrics.own_networks import load_own_networks
        from core.studio import Studio

        judges = load_own_networks(own_networks) if own_networks else None
        report = evaluate_reconstruction(
            Studio.open(backbone.value, device=device),
            listed,
            save,
            identity=judges.identity if judges else None,
            crop=crop.value,
            probes=probes,
            on_progress=progress,
        )
        if card is not None:
            add_scores(card, report)
    print_report(report, as_json=as_json, hide=("pictures",))


@app.command()
def style(
    photos: Photos,
    save: Save,
    reference: options.Reference,
    preset: options.PresetChoice = None,
    own_networks: OwnNetworksFolder = None,
    index: Index = None,
    split: Split = None,
    limit: Limit = None,
    crop: options.Crop = options.CropOption.detect,
    reference_crop: options.ReferenceCrop = None,
    method: options.Method = None,
    steps: options.Steps = None,
    learning_rate: options.LearningRate = None,
    alpha: options.Alpha = None,
    swap_layers: options.SwapLayers = None,
    identity_weight: options.IdentityWeight = None,
    style_weight: options.StyleWeight = None,
    references_per_step: options.ReferencesPerStep = None,
    anchors_per_step: options.AnchorsPerStep = None,
    seed: options.Seed = 0,
    backbone: options.Backbone = options.BackboneOption.auto,
    device: options.Device = None,
    as_json: options.JsonOutput = False,
) -> None:
    """Train one style, draw every photo in it, and measure style against identity. Writes SAVE/<name>.png, 256 px."""
    training = options.TrainingOptions(
        method=method,
        steps=steps,
        learning_rate=learning_rate,
        alpha=alpha,
        swap_layers=swap_layers,
        identity_weight=identity_weight,
        style_weight=style_weight,
        references_per_step=references_per_step,
        anchors_per_step=anchors_per_step,
    )
    overrides = training.given()
    if not reference:
        raise typer.BadParameter("give at least one --reference")
    with expected_failures(), progress_bar(quiet=as_json) as progress:
        listed = list_photos(photos, index=index, split=split, limit=limit)
        from core.evaluate.style import evaluate_style
        from core.metrics.own_networks import load_own_networks
        from core.studio import Studio

        judges = load_own_networks(own_networks) if own_networks else None
        studio = Studio.open(backbone.value, device=device)
        try:
            config = studio.config((preset or options.Preset.sketch).value, seed=seed, **overrides)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        report = evaluate_style(
            studio,
            listed,
            reference,
            config,
            save,
            own_networks=judges,
            crop=crop.value,
            reference_crop=(reference_crop or options.CropOption.detect).value,
            on_progress=progress,
        )
    print_report(report, as_json=as_json, hide=("pictures",))


@app.command()
def sheet(
    photos: Photos,
    save: Annotated[Path, typer.Option(help="The picture to write: .webp, .png or .jpg.")],
    style: Annotated[list[str], typer.Option(help="Slug of a ready-made style, or a style file; repeat for more.")],
    index: Index = None,
    split: Split = None,
    limit: Limit = 24,
    crop: options.Crop = options.CropOption.detect,
    backbone: options.Backbone = options.BackboneOption.auto,
    device: options.Device = None,
    as_json: options.JsonOutput = False,
) -> None:
    """Contact sheet: photos above their reconstructions above styles."""
    with expected_failures(), progress_bar(quiet=as_json) as progress:
        listed = list_photos(photos, index=index, split=split, limit=limit)
        from core.cli.stylize import find_style
        from core.evaluate.sheet import draw_sheet, save_sheet
        from core.studio import Studio

        studio = Studio.open(backbone.value, device=device)
        styles = [find_style(studio, wanted) for wanted in style]
        save_sheet(draw_sheet(studio, listed, styles, crop=crop.value, on_progress=progress), save)
    print_report({"sheet": str(save), "photos": len(listed), "styles": style}, as_json=as_json)


@app.command()
def table2(
    inputs: Annotated[Path, typer.Option(help="Folder of input photos.")],
    results: Annotated[Path, typer.Option(help="Folder of results with the same names.")],
    as_json: options.JsonOutput = False,
) -> None:
    """SSIM of finished results against their inputs, by the protocol of the paper's Table 2."""
    with expected_failures():
        from core.evaluate.table2 import evaluate_table2

        report = evaluate_table2(inputs, results)
    print_report(report, as_json=as_json, hide=("pairs",))
