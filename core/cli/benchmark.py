"""`python -m core benchmark`: options in, one report out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.cli.options import EngineName, JsonOutput, grouped, only_few_shot_gan
from core.cli.tables import table
from core.cli.terminal import expected_failures, print_report, progress_bar
from core.evaluate.plans import BenchmarkPlan

if TYPE_CHECKING:
    from core.evaluate.benchmark.report import BenchmarkReport


@grouped
def benchmark(
    plan: BenchmarkPlan,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Also draw the report.")] = None,
    engine: EngineName = None,
    as_json: JsonOutput = False,
) -> None:
    """Measure how long everything takes on this machine: medians, and their ratio to its convolution speed."""
    if plot is not None and plot.suffix.lower() != ".png":
        raise typer.BadParameter(f"--plot needs a name that ends in .png, got '{plot.name}'")
    with expected_failures(), progress_bar(quiet=as_json) as progress:
        only_few_shot_gan(engine)
        from core.evaluate.benchmark.report import run

        report = run(plan, on_progress=progress)
        if plot is not None:
            from core.evaluate.benchmark.plot import draw

            draw(report, plot)
    print_report(report, as_json=as_json, text=lambda: as_text(report))


def as_text(report: BenchmarkReport) -> str:
    """Write the report for a terminal: machine, convolution speed, and a line per row."""
    machine = report.machine
    speeds = ", ".join(f"{value:.0f} in {name}" for name, value in report.convolution_gflop_per_s.items())
    rows = [
        (
            f"{row.backbone}: {row.name}",
            row.dtype,
            *(f"{seconds:.4f}" for seconds in (row.median_s, row.min_s, row.max_s)),
            "" if row.work_gflop is None else f"{row.work_gflop:.1f}",
            "" if row.peak_bytes is None else f"{row.peak_bytes / 1e9:.2f}",
        )
        for row in report.rows
    ]
    return "\n".join(
        [
            f"{machine.cpu}, {machine.cores} cores, {machine.threads} threads; {machine.device_name}; "
            f"torch {machine.torch}",
            f"3x3 convolution, GFLOP/s: {speeds}",
            "",
            table(("what", "dtype", "median s", "least", "most", "GFLOP", "peak GB"), rows, right=range(2, 7)),
            *(f"{point.curve}, {point.axis} {point.x}: {point.median_s:.4f} s" for point in report.sweep),
            "",
            "GFLOP: what this machine's convolution does in that time; compares between machines.",
        ]
    )
