"""The whole benchmark: machine, rows and curves as one report."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch

from core.engines.allocator import keep_freed_memory
from core.engines.devices import compute_dtype, dtype_name, find_device
from core.engines.fewshot_gan.measure.curves import curve_points
from core.engines.fewshot_gan.measure.operations import Operation, mini_operations
from core.engines.fewshot_gan.measure.published_shapes import ffhq_operations
from core.evaluate.benchmark.machine import QUICK_CHANNELS, QUICK_PX, Machine, convolution_speed, this_machine
from core.evaluate.benchmark.timing import Point, TimedRow, summarise, time_once, time_repeated
from core.evaluate.plans import BenchmarkPlan
from core.imaging.photo import load_photo
from core.progress import OnProgress, Progress, ignore_progress

ROOT = Path(__file__).resolve().parents[3]
PRESET_REFERENCES = 4
PRESET_REPEATS = MappingProxyType({"sketch": 3, "cartoon": 1})  # at most, since one takes minutes
PRESET_NOTE = "references inverted, trained from cold, in a process of its own"


@dataclass(frozen=True)
class BenchmarkReport:
    """Machine, its GFLOP/s by dtype, and what was timed."""

    machine: Machine
    convolution_gflop_per_s: dict[str, float]
    quick: bool
    repeats: int
    rows: tuple[TimedRow, ...]
    sweep: tuple[Point, ...]
    task: Literal["benchmark"] = "benchmark"


def run(plan: BenchmarkPlan, *, on_progress: OnProgress = ignore_progress) -> BenchmarkReport:
    """Measure.

    Raises:
        StyleIdentityError: the device can't be used, the embedded weights are damaged, or the photo can't be used.
    """
    keep_freed_memory()
    device = find_device(plan.device)
    size = {"channels": QUICK_CHANNELS, "side_px": QUICK_PX} if plan.quick else {}
    speed = convolution_speed(device, repeats=plan.repeats, **size)
    rows: list[TimedRow] = []
    points: list[Point] = []
    for name in plan.backbones:
        for row in _rows(name, plan, device, speed):
            rows.append(row)
            on_progress(Progress(f"rows of {name}", len(rows), len(rows) + 1))
    if plan.sweep:
        for point in curve_points(device, backbones=plan.backbones, quick=plan.quick):
            seconds = time_repeated(point.run, device, repeats=plan.repeats)
            points.append(Point(**vars(seconds), curve=point.curve, axis=point.axis, x=point.x))
            on_progress(Progress("curves", len(points), len(points) + 1))
    return BenchmarkReport(this_machine(device), speed, plan.quick, plan.repeats, tuple(rows), tuple(points))


def _rows(backbone: str, plan: BenchmarkPlan, device: torch.device, speed: Mapping[str, float]) -> Iterator[TimedRow]:
    photo = None if plan.photo is None else load_photo(plan.photo)
    if backbone == "ffhq":
        operations = ffhq_operations(device, quick=plan.quick, long=plan.long, photo=photo)
    else:
        operations = mini_operations(device, quick=plan.quick, photo=photo)
    for operation in operations:
        yield time_operation(operation, device, speed, repeats=plan.repeats)
    if backbone == "mini" and not plan.quick:
        for preset in PRESET_REPEATS:
            yield time_preset(preset, PRESET_REFERENCES, device, speed, repeats=plan.repeats)


def time_operation(operation: Operation, device: torch.device, speed: Mapping[str, float], *, repeats: int) -> TimedRow:
    """Time one operation."""
    if operation.once:
        seconds = summarise([time_once(operation.run, device)])
    else:
        seconds = time_repeated(operation.run, device, repeats=repeats)
    dtype = "none" if operation.dtype is None else dtype_name(operation.dtype)
    work = None if operation.dtype is None else seconds.median_s * speed[dtype]
    return TimedRow(
        **vars(seconds),
        name=operation.name,
        backbone=operation.backbone,
        dtype=dtype,
        work_gflop=work,
        note=operation.note,
    )


class _Preset(NamedTuple):
    """What a process says of its training."""

    seconds: float
    steps: int
    peak_bytes: int | None


def time_preset(
    preset: str, references: int, device: torch.device, speed: Mapping[str, float], *, repeats: int,
    steps: int | None = None,
) -> TimedRow:  # fmt: skip
    """Time a preset's whole runs with `mini`, each in a new process, and note the processes' largest memory."""
    command = [sys.executable, "-m", "core.evaluate.benchmark.whole_preset", preset, str(references)]
    command += ["--device", str(device)] + ([] if steps is None else ["--steps", str(steps)])
    runs = [_run_preset(command, preset) for _ in range(min(repeats, PRESET_REPEATS[preset]))]
    seconds, dtype = summarise([run.seconds for run in runs]), dtype_name(compute_dtype(device))
    return TimedRow(
        **vars(seconds),
        name=f"preset {preset}, {references} reference(s), {runs[0].steps} steps",
        backbone="mini",
        dtype=dtype,
        work_gflop=seconds.median_s * speed[dtype],
        peak_bytes=max((run.peak_bytes for run in runs if run.peak_bytes is not None), default=None),
        note=PRESET_NOTE,
    )


def _run_preset(command: list[str], preset: str) -> _Preset:
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        last = (run.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"the process that trains '{preset}' ended with {run.returncode}: {last}")
    return _Preset(**json.loads(run.stdout.splitlines()[-1]))
