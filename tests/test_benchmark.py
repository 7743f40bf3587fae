"""The benchmark: closed forms of its statistics, and its smallest rows for real."""

from __future__ import annotations

import ctypes
import json
import platform
import resource
import subprocess
import tempfile
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from core.cli.benchmark import as_text
from core.cli.main import app
from core.config import ASSETS_DIR
from core.engines.allocator import give_back_freed_memory, keep_freed_memory
from core.engines.fewshot_gan.backbone import Backbone
from core.engines.fewshot_gan.measure import operations
from core.engines.fewshot_gan.measure.operations import Operation, mini_operations
from core.engines.fewshot_gan.measure.published_shapes import (
    PublishedShapes,
    ffhq_operations,
    perceptual,
    whole_presets,
)
from core.engines.fewshot_gan.mini import LANDMARKS_FILE, MINI_DIR
from core.evaluate.benchmark.machine import (
    Machine,
    convolution_gflop,
    convolution_speed,
    cpu_model,
    this_machine,
)
from core.evaluate.benchmark.report import BenchmarkReport, time_operation, time_preset
from core.evaluate.benchmark.timing import Point, TimedRow, summarise, time_repeated
from core.imaging.faces import FaceFinder
from core.imaging.photo import load_photo
from core.networks.stylegan2 import Discriminator, Generator
from core.progress import peak_memory_bytes
from core.reports import as_json

CPU = torch.device("cpu")
SLOW_SPEED = {"bfloat16": 1.0, "float32": 1.0}  # GFLOP/s: work in GFLOP is then the median in seconds
ROW_KEYS = {"name", "backbone", "dtype", "median_s", "min_s", "max_s", "repeats", "work_gflop", "peak_bytes", "note"}
POINT_KEYS = {"curve", "axis", "x", "median_s", "min_s", "max_s", "repeats"}
needs_mini = pytest.mark.skipif(
    not list((ASSETS_DIR / "mini").glob("*.safetensors")), reason="the embedded backbone is not there"
)


def timed_once(operation: Operation) -> TimedRow:
    return time_operation(operation, CPU, SLOW_SPEED, repeats=1)


def test_summary_of_known_numbers() -> None:
    summary = summarise([5.0, 1.0, 2.0, 100.0])
    assert (summary.median_s, summary.min_s, summary.max_s, summary.repeats) == (3.5, 1.0, 100.0, 4)
    with pytest.raises(ValueError, match="at least one"):
        summarise([])


def test_convolution_work_in_closed_form() -> None:
    assert convolution_gflop(2, 10, 100) == pytest.approx(2 * 9 * 2 * 10 * 10 * 100 * 100 / 1e9)


def test_repeated_work_is_warmed_up_first() -> None:
    calls: list[int] = []

    def work() -> None:
        calls.append(1)
        if len(calls) == 1:
            time.sleep(0.2)

    seconds = time_repeated(work, CPU, repeats=3)
    assert len(calls) > 3 == seconds.repeats
    assert 0 <= seconds.min_s <= seconds.median_s <= seconds.max_s < 0.2


def test_a_row_relates_seconds_to_the_convolution_speed() -> None:
    work = Operation("invert", "mini", lambda: None, torch.float32, note="a note")
    row = time_operation(work, CPU, {"float32": 300.0}, repeats=2)
    assert (row.name, row.backbone, row.dtype, row.repeats, row.note) == ("invert", "mini", "float32", 2, "a note")
    assert row.work_gflop == pytest.approx(300 * row.median_s) and row.peak_bytes is None
    report = as_json(row)
    assert set(report) == ROW_KEYS and json.loads(json.dumps(report)) == report
    calls: list[int] = []
    once = timed_once(Operation("align", "ffhq", lambda: calls.append(1), once=True))
    assert (once.dtype, once.work_gflop, once.repeats, len(calls)) == ("none", None, 1, 1)


def test_machine_and_speed() -> None:
    machine = this_machine(CPU)
    assert (machine.torch, machine.device, machine.device_name) == (torch.__version__, "cpu", "CPU")
    assert machine.cores is not None and machine.cores >= 1
    assert machine.cpu == cpu_model() != ""
    speed = convolution_speed(CPU, repeats=1, channels=8, side_px=16)
    assert set(speed) == {"bfloat16", "float32"}
    assert all(value > 0 for value in speed.values())
    peak = peak_memory_bytes()
    assert peak is None or peak > 10_000_000


def test_the_report_as_text() -> None:
    machine = Machine("Fast 9", 8, 4, 10**9, "cpu", "CPU", "float32", "AVX2", "2.11.0", "3.11.7", "Linux x86_64")
    rows = (
        TimedRow(0.25, 0.125, 0.5, 3, name="invert, 256 px", backbone="mini", dtype="float32", work_gflop=75.04),
        TimedRow(
            1.0, 1.0, 1.0, 1, name="preset", backbone="mini", dtype="none", work_gflop=None, peak_bytes=1_234_567_890
        ),
    )
    curve = (Point(0.5, 0.5, 0.5, 1, curve="synthesize (mini)", axis="pictures in a batch", x=2),)
    report = BenchmarkReport(machine, {"bfloat16": 512.4, "float32": 300.0}, True, 3, rows, curve)
    assert as_text(report).splitlines() == [
        "Fast 9, 8 cores, 4 threads; CPU; torch 2.11.0",
        "3x3 convolution, GFLOP/s: 512 in bfloat16, 300 in float32",
        "",
        "what                  dtype    median s   least    most  GFLOP  peak GB",
        "mini: invert, 256 px  float32    0.2500  0.1250  0.5000   75.0",
        "mini: preset          none       1.0000  1.0000  1.0000            1.23",
        "synthesize (mini), pictures in a batch 2: 0.5000 s",
        "",
        "GFLOP: what this machine's convolution does in that time; compares between machines.",
    ]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_freed_memory_is_kept_until_it_is_given_back() -> None:
    def resident_bytes() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    assert keep_freed_memory() is True
    used = np.ones(100_000_000, dtype=np.uint8)
    full = resident_bytes()
    del used
    assert full - resident_bytes() < 20_000_000
    assert give_back_freed_memory() is True
    assert full - resident_bytes() > 80_000_000


def test_without_the_setting_the_answer_is_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert keep_freed_memory() is False and give_back_freed_memory() is False


def test_ffhq_shapes_at_a_small_size() -> None:
    rows = [timed_once(operation) for operation in ffhq_operations(CPU, quick=True, resolution=32)]
    assert [row.name.split(",")[0] for row in rows] == ["synthesize", "discriminator features", "fine-tuning step"]
    assert all(row.median_s > 0 and row.work_gflop == row.median_s and row.backbone == "ffhq" for row in rows)


def test_ffhq_checkpoints_are_written_loaded_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = [timed_once(operation) for operation in PublishedShapes(CPU, resolution=32).loading()]
    assert [row.name.split(",")[0] for row in rows] == ["load StyleGAN2", "load e4e"]
    assert all(row.median_s > 0 and row.dtype == "none" and row.work_gflop is None for row in rows)
    assert not list(tmp_path.iterdir())


@needs_mini
def test_a_preset_at_a_small_size_is_one_run() -> None:
    shapes, discriminator = PublishedShapes(CPU, resolution=32), Discriminator(32)
    backbone = shapes.backbone(Generator(32), perceptual("jojogan", discriminator, torch.float32), "jojogan")
    row = time_operation(shapes.whole_preset(backbone, "jojogan", "sketch", steps=2), CPU, SLOW_SPEED, repeats=5)
    assert row.name.startswith("preset sketch, 32 px, 1 reference, 2 steps: JoJoGAN") and row.repeats == 1
    row = timed_once(shapes.aligning())
    assert row.name == "detect and align, 32 px" and row.dtype == "none"


def test_whole_presets_at_1024_px_wait_for_an_accelerator_or_for_patience() -> None:
    gpu = torch.device("cuda")
    assert whole_presets(gpu, "jojogan", quick=False, long=False) == ("sketch", "cartoon")
    assert whole_presets(gpu, "paper", quick=True, long=True) == ()
    assert whole_presets(CPU, "paper", quick=False, long=False) == ()
    assert whole_presets(CPU, "paper", quick=False, long=True) == ("sketch",)
    assert whole_presets(CPU, "jojogan", quick=False, long=True) == ()


@pytest.fixture
def finding_tiny(tiny: Backbone, monkeypatch: pytest.MonkeyPatch) -> Backbone:
    """The tiny backbone with the real face finder, in place of the embedded one."""
    backbone = replace(tiny, finder=FaceFinder(MINI_DIR / LANDMARKS_FILE))
    monkeypatch.setattr("core.engines.fewshot_gan.engine.load_backbone", lambda name, **options: backbone)
    return backbone


def test_quick_report_and_drawing(finding_tiny: Backbone, shared_dir: Path, tmp_path: Path) -> None:
    target, photo = tmp_path / "speed.png", str(shared_dir / "faces" / "images" / "london_0000.webp")
    arguments = ["benchmark", "--quick", "--repeats", "1", "--backbone", "mini", "--device", "cpu"]
    result = CliRunner().invoke(app, [*arguments, "--sweep", "--json", "--plot", str(target), "--photo", photo])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert {"task", "machine", "convolution_gflop_per_s", "rows", "sweep", "quick", "repeats"} == set(report)
    assert [row["name"].split(",")[0] for row in report["rows"]] == ["invert", "synthesize", "fine-tuning step"]
    for row in report["rows"]:
        assert set(row) == ROW_KEYS and row["backbone"] == "mini"
        assert 0 < row["min_s"] <= row["median_s"] <= row["max_s"]
        assert row["work_gflop"] > 0
    assert report["task"] == "benchmark" and report["machine"]["device"] == "cpu"
    assert all(set(point) == POINT_KEYS for point in report["sweep"])
    assert {point["axis"] for point in report["sweep"]} == {"pictures in a batch", "references"}
    with Image.open(target) as picture:
        assert picture.width > 500


def test_every_stage_of_the_embedded_model_is_an_operation(
    finding_tiny: Backbone, shared_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strokes = operations.brushed_levels
    monkeypatch.setattr(operations, "brushed_levels", lambda *given, **named: islice(strokes(*given, **named), 1))
    photo = load_photo(shared_dir / "faces" / "images" / "london_0000.webp")
    rows = [timed_once(replace(operation, once=True)) for operation in mini_operations(CPU, quick=False, photo=photo)]
    assert [(row.name, row.dtype) for row in rows] == [
        ("load the model", "none"),
        ("detect and align", "none"),
        ("invert, 64 px", "float32"),
        ("synthesize, 64 px", "float32"),
        ("photo to picture", "float32"),
        ("read a layout", "float32"),
        ("strokes of one reference, 512 px", "none"),
        ("strokes of one reference, 1024 px", "none"),
        ("fine-tuning step, 1 reference(s)", "float32"),
        ("fine-tuning step, 4 reference(s)", "float32"),
    ]
    assert all(row.median_s > 0 and row.backbone == "mini" for row in rows)


@needs_mini
@pytest.mark.slow
def test_preset_in_a_process_of_its_own() -> None:
    row = time_preset("cartoon", 1, CPU, SLOW_SPEED, repeats=5, steps=2)
    assert row.median_s == row.work_gflop > 0
    assert row.peak_bytes is None or row.peak_bytes > 100_000_000
    assert row.name == "preset cartoon, 1 reference(s), 2 steps"
    assert row.repeats == 1, "the longest preset runs once, however many repeats are asked for"


def test_presets_are_summed_up_over_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The median of their seconds and the most of their memory; a process that fails is quoted."""
    said = iter(
        ({"seconds": 4.0, "peak_bytes": 7}, {"seconds": 2.0, "peak_bytes": 9}, {"seconds": 9.0, "peak_bytes": 8})
    )
    started: list[list[str]] = []

    def answer(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        started.append(command)
        return subprocess.CompletedProcess(command, 0, "a line\n" + json.dumps({**next(said), "steps": 150}), "")

    monkeypatch.setattr(subprocess, "run", answer)
    row = time_preset("sketch", 4, CPU, {"bfloat16": 10.0, "float32": 10.0}, repeats=3)
    assert (row.median_s, row.min_s, row.max_s, row.repeats) == (4.0, 2.0, 9.0, 3)
    assert (row.peak_bytes, row.work_gflop, row.backbone) == (9, 40.0, "mini")
    assert row.name == "preset sketch, 4 reference(s), 150 steps"
    assert all(command[-4:] == ["sketch", "4", "--device", "cpu"] for command in started)

    def fail(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 3, "", "a trace\nMemoryError: too much\n")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(RuntimeError, match="the process that trains 'sketch' ended with 3: MemoryError: too much"):
        time_preset("sketch", 4, CPU, SLOW_SPEED, repeats=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plot", "speed.jpg"], "ends in .png"),
        (["--repeats", "0"], "--repeats"),
        (["--backbone", "maxi"], "one of mini, ffhq, both, got 'maxi'"),
    ],
)
def test_usage_errors(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["benchmark", "--quick", *arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_an_unusable_device_is_told() -> None:
    result = CliRunner().invoke(app, ["benchmark", "--quick", "--device", "toaster"])
    assert result.exit_code == 1 and "'toaster' can't be used" in result.stderr and "--device" in result.stderr
