"""The whole benchmark: machine, rows and curves as one report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.engines.allocator import keep_freed_memory
from core.engines.fewshot_gan.backbone import find_device
from core.evaluate.benchmark.ffhq_rows import ffhq_rows
from core.evaluate.benchmark.machine import machine_facts, measure_speed
from core.evaluate.benchmark.mini_rows import mini_rows
from core.evaluate.benchmark.sweep import sweep
from core.evaluate.benchmark.timing import Stopwatch
from core.imaging.photo import load_photo

Progress = Callable[[str, int, int], None]
QUICK_SPEED = {"channels": 32, "side_px": 32}


@dataclass(frozen=True)
class BenchmarkOptions:
    """What to measure.

    Attributes:
        backbones: of "mini" and "ffhq".
        device: PyTorch's name of it; chosen where None.
        repeats: timed runs of every row.
        quick: the smallest rows only.
        sweep: also the cost curves.
        photo: to find a face in; a sampled one where None.
        long: on a CPU, also what takes a quarter of an hour.
    """

    backbones: tuple[str, ...] = ("mini", "ffhq")
    device: str | None = None
    repeats: int = 5
    quick: bool = False
    sweep: bool = False
    photo: Path | None = None
    long: bool = False


def run(options: BenchmarkOptions, *, on_progress: Progress = lambda what, done, of: None) -> dict[str, object]:
    """Measure.

    Returns:
        JSON-ready report: `machine`, `convolution_gflop_per_s` by dtype, `rows`, `sweep`, `quick` and `repeats`.

    Raises:
        StyleIdentityError: the device can't be used, the embedded weights are damaged, or the photo can't be used.
    """
    keep_freed_memory()
    device = find_device(options.device)
    watch = Stopwatch(device, options.repeats)
    photo = None if options.photo is None else load_photo(options.photo)
    speed = measure_speed(watch, **(QUICK_SPEED if options.quick else {}))
    rows, points = [], []
    makers = {
        "mini": lambda: mini_rows(watch, speed, quick=options.quick, photo=photo),
        "ffhq": lambda: ffhq_rows(watch, speed, quick=options.quick, long=options.long, photo=photo),
    }
    for name in options.backbones:
        for row in makers[name]():
            rows.append(row.as_report())
            on_progress(f"rows of {name}", len(rows), len(rows) + 1)
    if options.sweep:
        for point in sweep(watch, speed, backbones=options.backbones, quick=options.quick):
            points.append(point.as_report())
            on_progress("curves", len(points), len(points) + 1)
    return {
        "task": "benchmark",
        "machine": machine_facts(device),
        "convolution_gflop_per_s": dict(speed.gflop_per_s),
        "quick": options.quick,
        "repeats": options.repeats,
        "rows": rows,
        "sweep": points,
    }


def as_table(report: Mapping[str, object]) -> str:
    """The report for a terminal: machine, convolution speed, and a line per row."""
    machine, speed = report["machine"], report["convolution_gflop_per_s"]
    speeds = ", ".join(f"{value:.0f} in {name}" for name, value in speed.items())
    wide = max((len(f"{row['backbone']}: {row['name']}") for row in report["rows"]), default=4)
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads; {machine['device_name']}; "
        f"torch {machine['torch']}",
        f"3x3 convolution, GFLOP/s: {speeds}",
        "",
        f"{'what':<{wide}} {'dtype':<9} {'median s':>9} {'least':>9} {'most':>9} {'GFLOP':>9} {'peak GB':>8}",
    ]
    for row in report["rows"]:
        work = "" if row["work_gflop"] is None else f"{row['work_gflop']:.1f}"
        peak = "" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 1e9:.2f}"
        times = " ".join(f"{row[name]:>9.4f}" for name in ("median_s", "min_s", "max_s"))
        lines.append(f"{row['backbone'] + ': ' + row['name']:<{wide}} {row['dtype']:<9} {times} {work:>9} {peak:>8}")
    lines += [f"{point['curve']}, {point['axis']} {point['x']}: {point['median_s']:.4f} s" for point in report["sweep"]]
    return "\n".join(
        [*lines, "", "GFLOP: what this machine's convolution does in that time; compares between machines."]
    )
