"""The benchmark: closed forms of its statistics, and its smallest rows for real."""

from __future__ import annotations

import ctypes
import json
import platform
import resource
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from core.cli.main import app
from core.config import ASSETS_DIR
from core.engines.allocator import give_back_freed_memory, keep_freed_memory
from core.evaluate.benchmark.machine import (
    Speed,
    convolution_gflop,
    cpu_model,
    machine_facts,
    measure_speed,
)
from core.evaluate.benchmark.timing import Row, Stopwatch, summarise, work_gflop
from core.progress import peak_memory_bytes

CPU = torch.device("cpu")
ONCE = Stopwatch(CPU, repeats=1)
SLOW_SPEED = Speed({"bfloat16": 1.0, "float32": 1.0})
needs_mini = pytest.mark.skipif(
    not list((ASSETS_DIR / "mini").glob("*.safetensors")), reason="the embedded backbone is not there"
)


def test_summary_of_known_numbers() -> None:
    summary = summarise([5.0, 1.0, 2.0, 100.0])
    assert (summary.median_s, summary.min_s, summary.max_s, summary.repeats) == (3.5, 1.0, 100.0, 4)
    with pytest.raises(ValueError, match="at least one"):
        summarise([])


def test_convolution_work_in_closed_form() -> None:
    assert convolution_gflop(2, 10, 100) == pytest.approx(2 * 9 * 2 * 10 * 10 * 100 * 100 / 1e9)
    assert work_gflop(0.5, 300.0) == 150.0


def test_stopwatch_warms_up_and_repeats() -> None:
    calls: list[int] = []
    summary = Stopwatch(CPU, repeats=3, warm_ups=2).time(lambda: calls.append(1))
    assert len(calls) == 5
    assert summary.repeats == 3
    assert 0 <= summary.min_s <= summary.median_s <= summary.max_s


def test_row_reports_flat_values() -> None:
    report = Row("invert", "mini", "float32", summarise([2.0]), 4.0).as_report()
    assert report["median_s"] == 2.0
    assert list(report)[:3] == ["name", "backbone", "dtype"]
    assert json.loads(json.dumps(report)) == report


def test_machine_facts_and_speed() -> None:
    facts = machine_facts(CPU)
    assert facts["torch"] == torch.__version__
    assert facts["cores"] >= 1
    assert facts["device_name"] == "CPU"
    assert facts["cpu"] == cpu_model() != ""
    speed = measure_speed(ONCE, channels=8, side_px=16)
    assert set(speed.gflop_per_s) == {"bfloat16", "float32"}
    assert all(value > 0 for value in speed.gflop_per_s.values())
    peak = peak_memory_bytes()
    assert peak is None or peak > 10_000_000


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
    from core.evaluate.benchmark.ffhq_rows import ffhq_rows

    rows = list(ffhq_rows(ONCE, SLOW_SPEED, quick=True, resolution=32))
    assert [row.name.split(",")[0] for row in rows] == ["synthesize", "discriminator features", "fine-tuning step"]
    assert all(row.summary.median_s > 0 and row.work_gflop == row.summary.median_s for row in rows)


def test_ffhq_checkpoints_are_written_loaded_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.evaluate.benchmark.ffhq_rows import FfhqBench

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = list(FfhqBench(ONCE, SLOW_SPEED, resolution=32).load())
    assert [row.name.split(",")[0] for row in rows] == ["load StyleGAN2", "load e4e"]
    assert all(row.summary.median_s > 0 and row.dtype == "none" and row.work_gflop is None for row in rows)
    assert not list(tmp_path.iterdir())


@needs_mini
def test_a_preset_at_a_small_size_is_one_run() -> None:
    from core.evaluate.benchmark.ffhq_rows import FfhqBench, _measure
    from core.evaluate.benchmark.pictures import make_pictures
    from core.networks.stylegan2 import Discriminator, Generator
    from core.studio import Studio

    bench = FfhqBench(ONCE, SLOW_SPEED, resolution=32)
    backbone = bench.backbone(Generator(32), _measure("jojogan", Discriminator(32), torch.float32), "jojogan")
    row = bench.preset(backbone, "jojogan", "sketch", steps=2)
    assert row.name.startswith("preset sketch, 32 px, 1 reference, 2 steps: JoJoGAN") and row.summary.repeats == 1
    studio = Studio.open("mini", device="cpu")
    row = bench.align(make_pictures(studio, references=0).photo, studio.backbone.finder)
    assert row.name == "detect and align, 32 px" and row.dtype == "none"


def test_whole_presets_at_1024_px_wait_for_an_accelerator_or_for_patience() -> None:
    from core.evaluate.benchmark.ffhq_rows import _whole_presets

    gpu = torch.device("cuda")
    assert _whole_presets(gpu, "jojogan", quick=False, long=False) == ("sketch", "cartoon")
    assert _whole_presets(gpu, "ours", quick=True, long=True) == ()
    assert _whole_presets(CPU, "ours", quick=False, long=False) == ()
    assert _whole_presets(CPU, "ours", quick=False, long=True) == ("sketch",)
    assert _whole_presets(CPU, "jojogan", quick=False, long=True) == ()


@needs_mini
def test_quick_report_and_drawing(tmp_path: Path) -> None:
    target = tmp_path / "speed.png"
    arguments = ["benchmark", "--quick", "--repeats", "1", "--backbone", "mini", "--device", "cpu"]
    result = CliRunner().invoke(app, [*arguments, "--sweep", "--json", "--plot", str(target)])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert {"task", "machine", "convolution_gflop_per_s", "rows", "sweep", "quick", "repeats"} == set(report)
    assert [row["name"].split(",")[0] for row in report["rows"]] == ["invert", "synthesize", "fine-tuning step"]
    for row in report["rows"]:
        assert 0 < row["min_s"] <= row["median_s"] <= row["max_s"]
        assert row["work_gflop"] > 0
    assert {point["axis"] for point in report["sweep"]} == {"pictures in a batch", "references"}
    with Image.open(target) as picture:
        assert picture.width > 500


@needs_mini
@pytest.mark.slow
def test_preset_in_a_process_of_its_own() -> None:
    from core.evaluate.benchmark.mini_rows import MiniBench, whole_preset
    from core.studio import Studio

    bench = MiniBench(Studio.open("mini", device="cpu"), Stopwatch(CPU, repeats=2), SLOW_SPEED, references=1)
    row = whole_preset(bench, "sketch", 1, steps=2)
    assert row.summary.median_s > 0
    assert row.peak_bytes is None or row.peak_bytes > 100_000_000
    assert "2 steps" in row.name and row.summary.repeats == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plot", "speed.jpg"], "ends in .png"),
        (["--repeats", "0"], "--repeats"),
    ],
)
def test_usage_errors(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["benchmark", "--quick", *arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_an_unusable_device_is_told() -> None:
    result = CliRunner().invoke(app, ["benchmark", "--quick", "--device", "toaster"])
    assert result.exit_code == 1 and "'toaster' can't be used" in result.stderr and "--device" in result.stderr
