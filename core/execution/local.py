"""The accelerated operations on a Studio of this very process, and the styles that it keeps in memory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.execution.base import Drawn

if TYPE_CHECKING:
    from PIL import Image

    from core.engines.base import Drawing, DrawOptions, Prepared, Style, TrainingConfig, TrainingStep
    from core.imaging.align import AlignedFace
    from core.studio import Studio

STYLES_IN_MEMORY = 24  # a few MB each with the embedded model


class LocalAccelerator:
    """Works on the Studio that `studio` gives; may be shared by threads."""

    def __init__(self, studio: Callable[[], Studio]) -> None:
        self._studio = studio
        self._read_style = functools.lru_cache(maxsize=STYLES_IN_MEMORY)(self._load_style)

    def _load_style(self, path: Path, changed_ns: int, engine: str | None) -> Style:
        return self._studio().load_style(path, engine=engine)

    def style_at(self, path: Path, engine: str | None = None) -> Style:
        """Load a style file, keeping the last few in memory. Raises StyleFileInvalid, StyleForOtherBackbone."""
        return self._read_style(path, path.stat().st_mtime_ns if path.exists() else 0, engine)

    def forget_styles(self) -> None:
        """Drop the styles in memory, since one of them may be a visitor's who left."""
        self._read_style.cache_clear()

    def draw(
        self,
        face: AlignedFace,
        prepared: Prepared | None,
        style_paths: Sequence[Path],
        options: DrawOptions,
        engine: str | None,
    ) -> Drawn:
        """Draw a face in every style; see `Accelerated.draw`."""
        studio = self._studio()
        styles = [self.style_at(path, engine) for path in style_paths]
        prepared = self._prepared(face, prepared, engine)
        return Drawn(prepared, tuple(studio.draw(prepared, style, options) for style in styles))

    def draw_levels(
        self,
        face: AlignedFace,
        prepared: Prepared | None,
        style_path: Path,
        options: DrawOptions,
        engine: str | None,
    ) -> Iterator[Drawn]:
        """Draw a face in one style, a quick drawing first; see `Accelerated.draw_levels`."""
        style = self.style_at(style_path, engine)
        prepared = self._prepared(face, prepared, engine)
        for drawing in self._studio().draw_levels(prepared, style, options):
            yield Drawn(prepared, (drawing,))

    def _prepared(self, face: AlignedFace, prepared: Prepared | None, engine: str | None) -> Prepared:
        """Read a face, unless this engine has read it before."""
        studio = self._studio()
        if prepared is None or prepared.engine != studio.describe(engine).engine:
            return studio.prepare(face, engine=engine)
        return prepared

    def draw_many(
        self, faces: Sequence[AlignedFace], style_path: Path, options: DrawOptions, engine: str | None
    ) -> Iterator[Drawing]:
        """Draw faces in one style, in order."""
        style = self.style_at(style_path, engine)
        for face in faces:
            yield self._studio().stylize(face, style, options)

    def read_as_photos(self, faces: Sequence[AlignedFace], engine: str | None) -> Iterator[Image.Image]:
        """Show references as training sees them, in order."""
        for face in faces:
            yield self._studio().read_as_photo(face, engine=engine)

    def train(
        self,
        references: Sequence[AlignedFace],
        config: TrainingConfig,
        name: str,
        photo: AlignedFace | None,
        preview: AlignedFace | None,
        stop_flag: Path,
        engine: str | None,
    ) -> Iterator[TrainingStep]:
        """Train a style; see `Accelerated.train`."""
        return self._studio().train(
            references, config, name=name, photo=photo, preview=preview, stop=stop_flag.exists, engine=engine
        )
