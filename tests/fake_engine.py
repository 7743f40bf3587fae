"""A second engine, for whatever must work with any engine: it lays a flat colour over the face."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from PIL import Image

from core.config import ASSETS_DIR
from core.engines.base import (
    Capabilities,
    Drawing,
    DrawOptions,
    Engine,
    EngineDescription,
    LoadRequest,
    Prepared,
    Stop,
    Style,
    TrainingConfig,
    TrainingStep,
)
from core.engines.registry import EngineEntry
from core.errors import NoReferences, TrainingStopped
from core.files import write_atomically
from core.imaging.align import AlignedFace
from core.imaging.faces import FaceFinder
from core.options import option

NAME, SIDE_PX = "flat", 96


@dataclass(frozen=True)
class FlatStyle(Style):
    """The mean colour of the references, 0 to 255."""

    colour: tuple[int, int, int]


@dataclass(frozen=True)
class FlatConfig(TrainingConfig):
    """An option that no other engine has."""

    warmth: int = option(0, label="Warmth", help="Added to the red.", low=0, high=255)

    presets: ClassVar = MappingProxyType({"sketch": {"steps": 2}, "cartoon": {"steps": 3}})


class FlatColour(Engine):
    """Draws at once and trains at once."""

    description = EngineDescription(NAME, "", "Flat colour", "f1a7", SIDE_PX, "cpu", "uint8", "a test asked for it")
    capabilities = Capabilities(SIDE_PX, trains=True, needs_references=True, live=True)
    finder = FaceFinder(ASSETS_DIR / "mini" / "landmarks68.dat")

    def prepare(self, face: AlignedFace) -> Prepared:
        """Keep the face as it is."""
        return Prepared(NAME, face)

    def draw(self, prepared: Prepared, style: Style | None, options: DrawOptions = DrawOptions()) -> Drawing:
        """Blend the face with the style's colour."""
        face = prepared.face.image
        colour = style.colour if isinstance(style, FlatStyle) else (0, 0, 0)
        strength = options.strength if style else 0
        blended = Image.blend(face, Image.new("RGB", face.size, colour), strength)
        return Drawing(blended, {"engine": NAME, "style": style and style.name, "side_px": SIDE_PX})

    def draw_levels(
        self, prepared: Prepared, style: Style | None, options: DrawOptions = DrawOptions()
    ) -> Iterator[Drawing]:
        """Show a small drawing before the finished one."""
        finished = self.draw(prepared, style, options)
        yield replace(finished, image=finished.image.resize((SIDE_PX // 4, SIDE_PX // 4)))
        yield finished

    def config(self, preset: str | None = None, **overrides: Any) -> FlatConfig:
        """Return the settings of a run."""
        return FlatConfig.from_preset(preset, **overrides)

    def train(
        self,
        references: Sequence[AlignedFace],
        config: TrainingConfig,
        *,
        name: str,
        photo: AlignedFace | None = None,
        preview: AlignedFace | None = None,
        stop: Stop = lambda: False,
    ) -> Iterator[TrainingStep]:
        """Take the first reference's mean colour."""
        if not references:
            raise NoReferences
        red, green, blue = references[0].image.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
        style = FlatStyle(NAME, name, len(references), "mean", (red, green, blue))
        for step in range(1, config.steps + 1):
            if stop():
                raise TrainingStopped
            drawn = self.draw(self.prepare(preview), style).image if preview else None
            yield TrainingStep(step, config.steps, 1 / step, 0.0, drawn, style if step == config.steps else None)

    def load_style(self, path: Path) -> FlatStyle:
        """Read a style file."""
        values = json.loads(path.read_text(encoding="utf-8"))
        return FlatStyle(**{**values, "colour": tuple(values["colour"])})

    def save_style(self, style: Style, path: Path) -> Path:
        """Write a style file."""
        return write_atomically(path, json.dumps(vars(style)))


ENTRY = EngineEntry(NAME, "Flat colour", lambda request: FlatColour(), FlatConfig)


def _fail(_: LoadRequest) -> Engine:
    raise RuntimeError("a library is missing")


BROKEN = EngineEntry("broken", "Broken engine", _fail)
