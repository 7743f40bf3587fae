"""core.make_assets.gallery.thumbnail: the picture that links to the app show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from core.config import ASSETS_DIR
from core.make_assets.gallery import thumbnail

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from core.studio import Studio


def test_the_thumbnail_shows_every_style_and_stays_small(
    mini_studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnail.Studio, "open", lambda preference: mini_studio)
    path = tmp_path / "readme" / "thumbnail.png"
    thumbnail.main(["--save", str(path)])
    assert path.stat().st_size < 400_000
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"), dtype=int)
    assert pixels.shape == (630, 1200, 3)
    paper = np.array([0xFA, 0xF6, 0xEE])
    assert np.abs(pixels[5, 5] - paper).max() <= 2
    shown = 1 + min(thumbnail.MAX_STYLES, len(mini_studio.presets()))
    middle = np.abs(pixels[500, :] - paper).max(axis=1) > 12  # a line through the lower faces
    starts = np.flatnonzero(np.diff(np.convolve(middle, np.ones(7), "same") > 0) & ~middle[:-1])
    assert len(starts) >= shown, "fewer pictures than styles"


def test_the_shipped_thumbnail_is_one() -> None:
    with Image.open(ASSETS_DIR / "readme" / "thumbnail.png") as picture:
        assert picture.size == thumbnail.SIZE_PX
