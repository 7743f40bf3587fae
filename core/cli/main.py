"""Command line: `python -m core stylize | styles | study | evaluate | benchmark`. Commands validate, call the Studio.

Heavy imports wait inside the commands, so that `--help` is quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.cli import options
from core.cli.benchmark import benchmark
from core.cli.evaluate import app as evaluate_app
from core.cli.study import app as study_app
from core.cli.terminal import expected_failures, print_report, progress_bar

app = typer.Typer(
    help="Few-shot portrait stylization that keeps the person recognisable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(study_app, name="study")
app.command()(benchmark)


@app.command()
def stylize(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Photo(s) that show a face.")],
    reference: options.Reference = None,
    style: options.StyleName = None,
    preset: options.PresetChoice = None,
    reference_crop: options.ReferenceCrop = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out"),
    save_style: Annotated[Path | None, typer.Option(help="Keep the trained style: F.safetensors.")] = None,
    strength: Annotated[float, typer.Option(min=0, max=1, help="0: photo-like, 1: the style in full.")] = 1.0,
    keep_colour: Annotated[bool, typer.Option("--keep-colour", help="Keep the photo's colours.")] = False,
    paste_back: Annotated[bool, typer.Option("--paste-back", help="Also lay the result into the photo.")] = False,
    crop: options.Crop = options.CropOption.detect,
    face_index: Annotated[int, typer.Option(min=0, help="Which face: 0 is the largest.")] = 0,
    method: options.Method = None,
    steps: options.Steps = None,
    learning_rate: options.LearningRate = None,
    alpha: options.Alpha = None,
    swap_layers: options.SwapLayers = None,
    identity_weight: options.IdentityWeight = None,
    style_weight: options.StyleWeight = None,
    references_per_step: options.ReferencesPerStep = None,
    anchors_per_step: options.AnchorsPerStep = None,
    anchor: options.Anchor = None,
    seed: options.Seed = 0,
    backbone: options.Backbone = options.BackboneOption.auto,
    device: options.Device = None,
    as_json: options.JsonOutput = False,
) -> None:
    """Draw photos in a style: a ready-made or saved one (--style), or one trained from pictures (--reference).

    Writes OUT/<photo's name>.png. A photo that can't be used is reported, the others go on, and the exit code is 1.
    """
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
        anchor=anchor,
    )
    overrides = training.given()
    typed = {"preset": preset, "reference_crop": reference_crop, **overrides}
    _check_sources(reference, style, save_style, typed, photos)
    with expected_failures(), progress_bar(quiet=as_json) as progress:
        from core.cli.stylize import Request, run

        request = Request(
            photos=tuple(photos),
            references=tuple(reference or ()),
            style=style,
            preset=(preset or options.Preset.sketch).value,
            reference_crop=(reference_crop or options.CropOption.detect).value,
            overrides=overrides,
            out=out,
            save_style=save_style,
            strength=strength,
            keep_colour=keep_colour,
            paste_back=paste_back,
            crop=crop.value,
            face_index=face_index,
            seed=seed,
            backbone=backbone.value,
            device=device,
        )
        report = run(request, on_progress=progress)
    _finish(report, as_json=as_json)


def _check_sources(
    references: list[Path] | None,
    style: str | None,
    save_style: Path | None,
    typed: dict[str, object],
    photos: list[Path],
) -> None:
    """Refuses combinations that would ignore an option; `typed` holds what steers training, None where not given."""
    typed = {name: value for name, value in typed.items() if value is not None}
    if bool(references) == (style is not None):
        raise typer.BadParameter("give either --reference (to train a style) or --style (to use one), not both or none")
    if style is not None and save_style is not None:
        raise typer.BadParameter("--save-style keeps a newly trained style, so it needs --reference, not --style")
    if style is not None and typed:
        names = ", ".join("--" + name.replace("_", "-") for name in typed)
        raise typer.BadParameter(f"{names} steer training, so they need --reference, not --style")
    if typed.get("anchor") == "photo" and len(photos) > 1:
        raise typer.BadParameter("--anchor photo trains for one person: give one PHOTO, or use --anchor style")
    if save_style is not None and save_style.suffix != ".safetensors":
        raise typer.BadParameter(f"--save-style needs a name that ends in .safetensors, got '{save_style.name}'")


def _finish(report: dict[str, object], *, as_json: bool) -> None:
    """Prints what was written and what failed; exit code 1 when a photo failed."""
    failed = report["failed"]
    for item in failed:
        typer.echo(item["message"], err=True)
    if as_json:
        print_report(report, as_json=True)
    else:
        for result in report["results"]:
            for path in result["files"]:
                typer.echo(path)
        if report["saved_style"]:
            typer.echo(report["saved_style"])
    if failed:
        raise typer.Exit(1)


@app.command()
def styles(
    backbone: options.Backbone = options.BackboneOption.auto,
    as_json: options.JsonOutput = False,
) -> None:
    """List the ready-made styles of the running model, for `stylize --style`."""
    with expected_failures():
        from core.studio import Studio

        studio = Studio.open(backbone.value)
        cards = [
            {"style": card.slug, "title": card.title, "references": card.references, "file": str(card.path)}
            for card in studio.presets()
        ]
    if as_json:
        print_report({"backbone": studio.choice.name, "styles": cards}, as_json=True)
    else:
        for card in cards:
            typer.echo(f"{card['style']:<20}  {card['title']}  ({card['references']} reference(s))")
        if not cards:
            typer.echo(f"The model '{studio.choice.name}' has no ready-made styles.", err=True)
