"""The ready-made styles: their drawings, and the files that ship."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from core.config import ASSETS_DIR, PRESET_STEPS
from core.shelf import references
from core.shelf.__main__ import EXAMPLE_FACES, REFERENCE_FACES
from core.shelf.drawings import LOOKS, draw


def face() -> torch.Tensor:
    """A grey oval with dark eyes on a light ground, [1, 3, 64, 64] in [-1, 1]."""
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    picture = torch.full((64, 64), 0.8)
    picture[(rows / 0.8) ** 2 + (columns / 0.6) ** 2 < 1] = 0.1
    for side in (-0.25, 0.25):
        picture[(rows + 0.1) ** 2 + (columns - side) ** 2 < 0.01] = -0.9
    return picture.expand(1, 3, 64, 64).clone()


@pytest.mark.parametrize("slug", LOOKS)
def test_a_drawing_is_a_picture_and_repeats(slug: str) -> None:
    first, again = (draw(LOOKS[slug], face(), torch.Generator().manual_seed(3)) for _ in range(2))
    assert first.shape == (1, 3, 64, 64)
    assert first.min() >= -1
    assert first.max() <= 1
    assert torch.equal(first, again)
    assert (first - face()).abs().mean() > 0.05, "a drawing is no copy of the photo"
    assert LOOKS[slug].preset in PRESET_STEPS


def test_looks_differ() -> None:
    drawn = [draw(look, face(), torch.Generator().manual_seed(3)) for look in LOOKS.values()]
    distances = [float((a - b).abs().mean()) for i, a in enumerate(drawn) for b in drawn[:i]]
    assert min(distances) > 0.05


def test_examples_were_not_drawn_as_references() -> None:
    assert not set(EXAMPLE_FACES) & set(REFERENCE_FACES)


def test_the_shelf_is_complete() -> None:
    cards = json.loads((ASSETS_DIR / "styles" / "shelf.json").read_text(encoding="utf-8"))
    assert [card["slug"] for card in cards] == list(LOOKS)
    for card in cards:
        assert (ASSETS_DIR / "styles" / f"{card['slug']}.safetensors").is_file()
        with Image.open(ASSETS_DIR / "styles" / f"{card['slug']}.webp") as picture:
            assert picture.size == (256, 256)


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
