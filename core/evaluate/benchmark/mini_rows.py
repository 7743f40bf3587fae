"""Rows of the embedded backbone: every stage with its real weights."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.engines.fewshot_gan.backbone import load_backbone
from core.engines.fewshot_gan.finetune import Example, finetune_steps
from core.engines.fewshot_gan.synthesize import synthesize
from core.evaluate.benchmark.machine import Speed, dtype_name
from core.evaluate.benchmark.pictures import Pictures, make_pictures
from core.evaluate.benchmark.timing import Row, Stopwatch, Summary, summarise, work_gflop
from core.imaging.photo import Photo, to_tensor
from core.studio import Studio

ROOT = Path(__file__).resolve().parents[3]
REFERENCE_COUNTS = (1, 4)
PRESET_REFERENCES = 4
PRESET_REPEATS = MappingProxyType({"sketch": 3, "cartoon": 1})  # at most, since one takes minutes


class MiniBench:
    """Measures one opened studio; `row` turns seconds into a report's line."""

    def __init__(
        self,
        studio: Studio,
        watch: Stopwatch,
        speed: Speed,
        *,
        references: int = max(REFERENCE_COUNTS),
        photo: Photo | None = None,
    ) -> None:
        self.studio, self.watch, self.speed = studio, watch, speed
        self.pictures: Pictures = make_pictures(studio, references=references, photo=photo)

    def row(self, name: str, summary: Summary, *, network: bool = True, note: str = "") -> Row:
        """A line in the backbone's dtype, or without one where no network runs."""
        backbone = self.studio.backbone
        if not network:
            return Row(name, backbone.name, "none", summary, note=note)
        work = work_gflop(summary.median_s, self.speed.of(backbone.dtype))
        return Row(name, backbone.name, dtype_name(backbone.dtype), summary, work, note=note)

    def timed(self, name: str, work: Callable[[], object], *, network: bool = True) -> Row:
        """Warm up, repeat, and summarise."""
        return self.row(name, self.watch.time(work), network=network)

    def finetune_step(self, references: int) -> Row:
        """One step (forward, backward, Adam) of the method with its own defaults."""
        config = self.studio.config("sketch", steps=self.watch.warm_ups + self.watch.repeats)
        examples = [self._example(i) for i in range(references)]
        steps = finetune_steps(examples, [], config, self.studio.backbone, name="benchmark")
        for _ in range(self.watch.warm_ups):
            next(steps)
        seconds = [self.watch.seconds(lambda: next(steps)) for _ in range(self.watch.repeats)]
        steps.close()
        return self.row(f"fine-tuning step, {references} reference(s)", summarise(seconds))

    def _example(self, index: int) -> Example:
        face = self.pictures.references[index]
        found = self.studio.invert(face)
        return Example(to_tensor(face.image, size_px=self.studio.backbone.resolution), found.w_plus, found.features)


def mini_rows(watch: Stopwatch, speed: Speed, *, quick: bool, photo: Photo | None = None) -> Iterator[Row]:
    """Load, detect and align, invert, synthesize, stylize, fine-tune; whole presets in a process of their own.

    `quick` keeps the smallest of them.
    """
    studio = Studio.open("mini", device=str(watch.device))
    bench = MiniBench(studio, watch, speed, photo=photo)
    px, pictures = studio.backbone.resolution, bench.pictures
    found = studio.invert(pictures.face)
    if not quick:
        yield bench.timed("load the model", lambda: load_backbone("mini", device=watch.device), network=False)
        yield bench.timed("detect and align", lambda: studio.align(pictures.photo), network=False)
    yield bench.timed(f"invert, {px} px", lambda: studio.invert(pictures.face))
    yield bench.timed(f"synthesize, {px} px", lambda: synthesize(found.w_plus, found.features, studio.backbone))
    if not quick:
        yield bench.timed("photo to picture", lambda: studio.stylize(studio.align(pictures.photo), None))
    for count in REFERENCE_COUNTS[: 1 if quick else None]:
        yield bench.finetune_step(count)
    if not quick:
        for preset in PRESET_REPEATS:
            yield whole_preset(bench, preset, PRESET_REFERENCES)


def whole_preset(bench: MiniBench, preset: str, references: int, *, steps: int | None = None) -> Row:
    """A preset's whole runs, each in a new process: seconds of training, and the processes' largest memory."""
    command = [sys.executable, "-m", "core.evaluate.benchmark.whole_preset", preset, str(references)]
    command += ["--device", str(bench.watch.device)] + ([] if steps is None else ["--steps", str(steps)])
    told = [_told_by(command, preset) for _ in range(min(bench.watch.repeats, PRESET_REPEATS[preset]))]
    backbone, summary = bench.studio.backbone, summarise([run["seconds"] for run in told])
    peaks = [run["peak_bytes"] for run in told if run["peak_bytes"] is not None]
    return Row(
        f"preset {preset}, {references} reference(s), {told[0]['steps']} steps",
        backbone.name,
        dtype_name(backbone.dtype),
        summary,
        work_gflop(summary.median_s, bench.speed.of(backbone.dtype)),
        max(peaks, default=None),
        "references inverted, trained from cold, in a process of its own",
    )


def _told_by(command: list[str], preset: str) -> dict[str, Any]:
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        last = (run.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"the process that trains '{preset}' ended with {run.returncode}: {last}")
    return json.loads(run.stdout.splitlines()[-1])
