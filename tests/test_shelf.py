"""The ready-made styles: their drawings, and the files that ship."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.config import ASSETS_DIR, PRESET_STEPS
from core.imaging.photo import load_photo
from core.make_assets.gallery import references, sets
from core.make_assets.gallery.__main__ import EXAMPLE_FACES, REFERENCE_FACES
from core.make_assets.gallery.sets import SET_FACES
from core.procedural.drawings import EXAMPLE_SETS, READY_MADE, DrawnStyle, draw

DRAWINGS = {**READY_MADE, **EXAMPLE_SETS}


def face() -> torch.Tensor:
    """A grey oval with dark eyes on a light ground, [1, 3, 64, 64] in [-1, 1]."""
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    picture = torch.full((64, 64), 0.8)
    picture[(rows / 0.8) ** 2 + (columns / 0.6) ** 2 < 1] = 0.1
    for side in (-0.25, 0.25):
        picture[(rows + 0.1) ** 2 + (columns - side) ** 2 < 0.01] = -0.9
    return picture.expand(1, 3, 64, 64).clone()


@pytest.mark.parametrize("look", DRAWINGS.values(), ids=DRAWINGS)
def test_a_drawing_is_a_picture_and_repeats(look: DrawnStyle) -> None:
    first, again = (draw(look, face(), torch.Generator().manual_seed(3)) for _ in range(2))
    assert first.shape == (1, 3, 64, 64)
    assert first.min() >= -1
    assert first.max() <= 1
    assert torch.equal(first, again)
    assert (first - face()).abs().mean() > 0.05, "a drawing is no copy of the photo"
    assert look.preset in PRESET_STEPS


def test_looks_differ() -> None:
    drawn = [draw(look, face(), torch.Generator().manual_seed(3)) for look in DRAWINGS.values()]
    distances = [float((a - b).abs().mean()) for i, a in enumerate(drawn) for b in drawn[:i]]
    assert min(distances) > 0.05


def test_examples_were_not_drawn_as_references() -> None:
    assert not set(EXAMPLE_FACES) & set(REFERENCE_FACES)


def test_the_shelf_is_complete() -> None:
    cards = json.loads((ASSETS_DIR / "styles" / "shelf.json").read_text(encoding="utf-8"))
    assert [card["slug"] for card in cards] == list(READY_MADE)
    for card in cards:
        assert (ASSETS_DIR / "styles" / f"{card['slug']}.safetensors").is_file()
        with Image.open(ASSETS_DIR / "styles" / f"{card['slug']}.webp") as picture:
            assert picture.size == (256, 256)


def test_every_set_is_there_in_one_size() -> None:
    listing = json.loads((ASSETS_DIR / "sets" / "sets.json").read_text(encoding="utf-8"))
    assert [entry["slug"] for entry in listing] == list(EXAMPLE_SETS)
    for entry in listing:
        pictures = sorted((ASSETS_DIR / "sets" / entry["slug"]).iterdir())
        assert [path.name for path in pictures] == [f"{i}.webp" for i in range(1, len(SET_FACES) + 1)]
        assert {load_photo(path).image.size for path in pictures} == {(256, 256)}
    assert not set(SET_FACES) & set(EXAMPLE_FACES)


def test_sets_are_drawn_again_alike(tmp_path: Path) -> None:
    sets.main(["--out", str(tmp_path)])
    assert (tmp_path / "sets.json").read_bytes() == (ASSETS_DIR / "sets" / "sets.json").read_bytes()
    for shipped in sorted((ASSETS_DIR / "sets").rglob("*.webp")):
        paths = (shipped, tmp_path / shipped.relative_to(ASSETS_DIR / "sets"))
        before, drawn = (np.asarray(load_photo(path).image, dtype=np.float64) for path in paths)
        assert np.abs(drawn - before).mean() < 4, "arithmetic differs between machines"


def test_shipped_files_stay_small() -> None:
    mini = sum(path.stat().st_size for path in (ASSETS_DIR / "mini").iterdir())
    everything = sum(path.stat().st_size for path in ASSETS_DIR.rglob("*") if path.is_file())
    assert mini <= 40e6
    assert everything <= 60e6


def test_references_as_pictures(tmp_path: Path) -> None:
    for count in ("1", "7"):
        references.main(["pencil", "--count", count, "--out", str(tmp_path / count)])
    assert [path.name for path in sorted((tmp_path / "7").iterdir())] == [f"pencil_{i:02}.png" for i in range(1, 8)]
    drawn = [Image.open(path).convert("RGB") for path in sorted((tmp_path / "7").iterdir())]
    assert {picture.size for picture in drawn} == {(256, 256)}
    assert len({picture.tobytes() for picture in drawn}) == 7
    assert Image.open(tmp_path / "1" / "pencil_01.png").convert("RGB").tobytes() == drawn[0].tobytes()
    with pytest.raises(SystemExit):
        references.main(["pencil", "--count", "15", "--out", str(tmp_path)])
