"""The studio: loaded engines, and the stages that all of them share. Hands on values, nothing of an engine's inside."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from core.config import CropMode
from core.engines import registry
from core.engines.base import (
    Capabilities,
    Drawing,
    DrawOptions,
    Engine,
    EngineDescription,
    LoadRequest,
    Prepared,
    ReadyStyle,
    Stop,
    Style,
    TrainingConfig,
    TrainingStep,
)
from core.errors import StyleUnknown
from core.imaging.align import AlignedFace, align, align_one_of, crop_square, use_as_aligned
from core.imaging.faces import DetectedFace
from core.imaging.paste import paste_back
from core.imaging.photo import Photo
from core.imaging.square import Square
from core.progress import OnProgress, ignore_progress

Crop = CropMode | Square  # a square lies in the photo's pixels


class Studio:
    """Engines by name, the first one in use where none is named. Holds no visitor's data; safe to share by threads.

    Faces, styles and drawings carry the name of their engine, so only what begins with a picture takes `engine`.

    Args:
        engine: the default one, loaded.
        request: how further engines are loaded when they are first asked for.
    """

    def __init__(self, engine: Engine, request: LoadRequest = LoadRequest()) -> None:
        self.default = engine.description.engine
        self._engines: dict[str, Engine] = {self.default: engine}
        self._request = request
        self._loading = threading.Lock()

    @classmethod
    def open(
        cls,
        engine: str | None = None,
        *,
        backbone: str | None = None,
        device: str | None = None,
        on_progress: OnProgress = ignore_progress,
    ) -> Studio:
        """Load an engine and make a studio of it.

        Args:
            engine: its name; `$STYLEIDENTITY_ENGINE`, else the first in the registry, where None.
            backbone: which of its published models; its own choice where None or "auto".
            device: PyTorch's name of a device; the engine's own choice where None.
            on_progress: hears of downloads.

        Raises:
            EngineUnknown, EngineUnavailable: there is no such engine, or it can't be loaded.
            WeightsUnavailable, WeightsCorrupted, DeviceUnusable, DiskFull: what it needs is not to be had.
        """
        loaded = registry.load(engine, LoadRequest(backbone, device, on_progress))
        return cls(loaded, LoadRequest(device=device, on_progress=on_progress))

    def engine(self, name: str | None = None) -> Engine:
        """Return an engine, loaded if it was not yet. Raises as `open`; the other engines stay usable."""
        wanted = name or self.default
        if wanted not in self._engines:  # no lock where it is there: a forked worker would inherit a held one
            with self._loading:
                if wanted not in self._engines:
                    self._engines[wanted] = registry.load(wanted, self._request)
        return self._engines[wanted]

    def describe(self, engine: str | None = None) -> EngineDescription:
        """Say which model runs, on what, and why."""
        return self.engine(engine).description

    def capabilities(self, engine: str | None = None) -> Capabilities:
        """Say what an engine can do."""
        return self.engine(engine).capabilities

    def find_faces(self, photo: Photo, *, engine: str | None = None) -> list[DetectedFace]:
        """Faces of a photo, the largest first; may be empty."""
        return self.engine(engine).finder.find(photo)

    def align(
        self, photo: Photo, *, face_index: int = 0, crop: Crop = "detect", engine: str | None = None
    ) -> AlignedFace:
        """Crop a face the way the engine knows faces.

        Args:
            face_index: which face, the largest being 0.
            crop: "detect" finds it, "aligned" takes the picture's central square, a `Square` in
                photo pixels takes that.

        Raises:
            NoFaceFound, FaceTooSmall, FaceCutOff, FaceIndexOutOfRange, PhotoTooSmall: with what to do about it.
        """
        chosen = self.engine(engine)
        size_px = chosen.capabilities.reads_px
        if crop == "detect":
            return align(photo, chosen.finder, face_index=face_index, size_px=size_px)
        if crop == "aligned":
            return use_as_aligned(photo, size_px=size_px)
        if isinstance(crop, str):
            raise ValueError(f"crop must be 'detect', 'aligned' or a square, got {crop!r}")
        return crop_square(photo, crop, size_px=size_px)

    def align_found(self, photo: Photo, faces: Sequence[DetectedFace], *, engine: str | None = None) -> AlignedFace:
        """Crop the largest of the faces that `find_faces` gave, without searching again. Raises as `align`."""
        size_px = self.capabilities(engine).reads_px
        return align_one_of(photo, faces, size_px=size_px)

    def prepare(self, face: AlignedFace, *, engine: str | None = None) -> Prepared:
        """Let an engine read a face once, so that it can be drawn many times."""
        return self.engine(engine).prepare(face)

    def read_as_photo(self, face: AlignedFace, *, engine: str | None = None) -> Image.Image:
        """Show what an engine takes a reference for: an artwork as the photo behind it, as far as it can tell."""
        chosen = self.engine(engine)
        return chosen.read_as_photo(chosen.prepare(face))

    def draw(self, prepared: Prepared, style: Style | None, options: DrawOptions = DrawOptions()) -> Drawing:
        """Draw a prepared face in a style of the same engine; without a style, the face as the engine sees it."""
        return self.engine(prepared.engine).draw(prepared, style, options)

    def draw_levels(
        self, prepared: Prepared, style: Style | None, options: DrawOptions = DrawOptions()
    ) -> Iterator[Drawing]:
        """Draw as `draw`, a quick drawing first, the finished one last."""
        yield from self.engine(prepared.engine).draw_levels(prepared, style, options)

    def stylize(self, face: AlignedFace, style: Style | None, options: DrawOptions = DrawOptions()) -> Drawing:
        """Draw an aligned face: `prepare` and `draw` in one."""
        return self.draw(self.prepare(face, engine=None if style is None else style.engine), style, options)

    def paste_back(self, drawing: Drawing, face: AlignedFace, photo: Photo) -> Image.Image:
        """Blend the drawing into its place in the photo under a soft mask; of the photo's size."""
        return paste_back(drawing.image, face, photo)

    def config(self, preset: str | None = None, *, engine: str | None = None, **overrides: Any) -> TrainingConfig:
        """Return a preset's settings, some changed, the engine's defaults filled in. Raises ValueError."""
        return self.engine(engine).config(preset, **overrides)

    def train(
        self,
        references: Sequence[AlignedFace],
        config: TrainingConfig,
        *,
        name: str,
        photo: AlignedFace | None = None,
        preview: AlignedFace | None = None,
        stop: Stop = lambda: False,
        engine: str | None = None,
    ) -> Iterator[TrainingStep]:
        """Learn a style from aligned artworks, step by step; the last step holds it. See `Engine.train`."""
        return self.engine(engine).train(references, config, name=name, photo=photo, preview=preview, stop=stop)

    def ready_styles(self, *, engine: str | None = None) -> Sequence[ReadyStyle]:
        """Ready-made styles of an engine, in the order to show."""
        return self.engine(engine).ready_styles()

    def load_style(self, path: Path, *, engine: str | None = None) -> Style:
        """Read a style file. Raises `StyleFileInvalid` or `StyleForOtherBackbone`."""
        return self.engine(engine).load_style(path)

    def find_style_file(self, wanted: str) -> Path:
        """Find a style by its file's path or a ready-made one's slug; a file wins. Raises `StyleUnknown`."""
        if Path(wanted).is_file():
            return Path(wanted)
        ready = {style.slug: style for style in self.ready_styles()}
        if wanted not in ready:
            raise StyleUnknown(wanted, ", ".join(ready) or "there are none for this model")
        return ready[wanted].path

    def find_style(self, wanted: str) -> Style:
        """Read the style that `find_style_file` finds. Raises as that does and as `load_style`."""
        return self.load_style(self.find_style_file(wanted))

    def save_style(self, style: Style, path: Path) -> Path:
        """Write a style file and return its path. Raises `DiskFull`."""
        return self.engine(style.engine).save_style(style, path)
