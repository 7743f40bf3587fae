"""`python -m core benchmark`: options in, one report out."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from core.cli import options
from core.cli.terminal import expected_failures, print_report, progress_bar


class BenchmarkBackbone(str, Enum):
    """Whose shapes to measure."""

    mini = "mini"
    ffhq = "ffhq"
    both = "both"


def benchmark(
    backbone: Annotated[
        BenchmarkBackbone, typer.Option(help="Embedded model, the 1024 px model's shapes, or both.")
    ] = BenchmarkBackbone.both,
    repeats: Annotated[
        int,
        typer.Option(min=1, max=100, help="Timed runs of every row, after a warm-up; whole presets up to three times."),
    ] = 5,
    quick: Annotated[bool, typer.Option("--quick", help="Only the smallest rows.")] = False,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Also the cost against resolution, references and batch.")
    ] = False,
    long: Annotated[
        bool, typer.Option("--long", help="On a CPU, also a whole preset at 1024 px: a quarter of an hour.")
    ] = False,
    photo: Annotated[Path | None, typer.Option(help="Photo to find a face in; a sampled face by default.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Also draw the report.")] = None,
    device: options.Device = None,
    as_json: options.JsonOutput = False,
) -> None:
    """Measure how long everything takes on this machine: medians, and their ratio to its convolution speed."""
    if plot is not None and plot.suffix.lower() != ".png":
        raise typer.BadParameter(f"--plot needs a name that ends in .png, got '{plot.name}'")
    with expected_failures(), progress_bar(quiet=as_json) as progress:
        from core.evaluate.benchmark.report import BenchmarkOptions, as_table, run

        names = ("mini", "ffhq") if backbone is BenchmarkBackbone.both else (backbone.value,)
        wanted = BenchmarkOptions(names, device, repeats, quick, sweep, photo, long)
        report = run(wanted, on_progress=progress)
        if plot is not None:
            from core.evaluate.benchmark.plot import draw

            draw(report, plot)
    if as_json:
        print_report(report, as_json=True)
    else:
        typer.echo(as_table(report))
