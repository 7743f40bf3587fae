"""Styles and drawings that a run keeps in its folder, so that the same command goes on where it was stopped.

A file's name holds a sum over all that it was made from: the model, the settings, the pixels of the crops. So a changed
setting or picture gives another name, and nothing stale is taken. A changed program gives the same name: `redraw` draws
anew, another folder trains anew. What a file took to make is in a small JSON file beside it, written first.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from PIL import Image

from core.engines.base import DrawOptions, Prepared, Style, TrainingConfig, TrainingStep, run_to_end
from core.engines.devices import wait_for
from core.evaluate.cost import measure_cost
from core.evaluate.hand.subjects import Artist, Person
from core.files import write_atomically
from core.imaging.photo import save_png
from core.reports import as_json
from core.studio import Studio

KEY_DIGITS = 12
STYLES_DIR, DRAWINGS_DIR = "styles", "drawings"
UNSEEN = ("preview_every",)  # settings that change nothing of a style
Times = TypeVar("Times", "TrainingTime", "DrawingTimes")


@dataclass(frozen=True)
class TrainingTime:
    """Seconds that a training took."""

    seconds: float


@dataclass(frozen=True)
class DrawingTimes:
    """Seconds from a crop to the first drawing, and to the finished portrait; both include reading the face."""

    first: float
    finished: float


@dataclass(frozen=True)
class KeptStyle:
    """A style file, its key, and what its training took."""

    path: Path
    key: str
    time: TrainingTime


@dataclass(frozen=True)
class KeptDrawing:
    """A drawing's file, and what it took."""

    path: Path
    times: DrawingTimes

    def read(self) -> Image.Image:
        """Return the picture, RGB, as large as it was drawn."""
        with Image.open(self.path) as image:
            return image.convert("RGB")


class Keeper:
    """Trains and draws what the folder does not hold yet.

    Args:
        studio: whose default engine trains and draws.
        folder: of the run.
        redraw: draw anew what is there, once.
    """

    def __init__(self, studio: Studio, folder: Path, *, redraw: bool = False) -> None:
        self._studio, self._folder, self._redraw = studio, folder, redraw
        self._device = torch.device(studio.describe().device)
        self._prepared: dict[str, tuple[Prepared, float]] = {}
        self.trained = self.drawn = 0

    def style(
        self, artist: Artist, method: str, config: TrainingConfig, on_step: Callable[[TrainingStep], None]
    ) -> KeptStyle:
        """Find or train a style; raises as `Studio.train` and `Studio.save_style`."""
        model = self._studio.describe()
        settings = {name: value for name, value in as_json(config).items() if name not in UNSEEN}
        key = _key(model.engine, model.variant, model.fingerprint, method, settings, artist.sha256)
        path = self._folder / STYLES_DIR / f"{artist.name}-{method}-{key}.safetensors"
        kept = _times(path, TrainingTime)
        if kept is None:
            name = f"{artist.name}, {method}"
            style, cost = measure_cost(
                lambda: run_to_end(self._studio.train(artist.faces, config, name=name), on_step), self._device
            )
            kept = TrainingTime(cost.seconds)
            _write_times(path, kept)
            self._studio.save_style(style, path)
            self.trained += 1
        return KeptStyle(path, key, kept)

    def load(self, style: KeptStyle) -> Style:
        """Read a style from its file, so that a run that goes on draws with the very same one."""
        return self._studio.load_style(style.path)

    def drawing(
        self, person: Person, folder: Path, key: str, load: Callable[[], Style], options: DrawOptions
    ) -> KeptDrawing:
        """Find or draw a portrait.

        Args:
            person: who is drawn.
            folder: below the run's, of the style.
            key: of the style.
            load: reads the style; called only where there is something to draw.
            options: how it is drawn.
        """
        name = f"{person.name}-{_key(key, person.sha256, as_json(options))}.png"
        path = self._folder / DRAWINGS_DIR / folder / name
        kept = None if self._redraw else _times(path, DrawingTimes)
        if kept is None:
            style = load()
            prepared, before = self._read(person)
            started = time.perf_counter()
            first, image = 0.0, None
            for level in self._studio.draw_levels(prepared, style, options):
                wait_for(self._device)
                image, first = level.image, first or time.perf_counter() - started
            kept = DrawingTimes(before + first, before + time.perf_counter() - started)
            if image is None:
                raise ValueError(f"the engine '{prepared.engine}' drew nothing")
            _write_times(path, kept)
            save_png(image, path)
            self.drawn += 1
        return KeptDrawing(path, kept)

    def _read(self, person: Person) -> tuple[Prepared, float]:
        """Prepare a face once, with the seconds that took."""
        if person.sha256 not in self._prepared:
            started = time.perf_counter()
            prepared = self._studio.prepare(person.face)
            wait_for(self._device)
            self._prepared[person.sha256] = prepared, time.perf_counter() - started
        return self._prepared[person.sha256]


def _key(*parts: object) -> str:
    text = json.dumps(as_json(parts), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]


def _beside(path: Path) -> Path:
    return path.with_suffix(".json")


def _write_times(path: Path, times: TrainingTime | DrawingTimes) -> None:
    write_atomically(_beside(path), json.dumps(dataclasses.asdict(times)))


def _times(path: Path, kind: type[Times]) -> Times | None:
    """Read what a whole file took; None where it has to be made."""
    if not path.is_file():
        return None
    try:
        return kind(**json.loads(_beside(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
