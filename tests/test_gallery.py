"""The ready-made styles: their drawings, the programs that make them, and the files that ship."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.config import ASSETS_DIR
from core.engines.base import Drawing, LoadRequest
from core.engines.fewshot_gan import engine as engine_module
from core.engines.fewshot_gan.backbone import Backbone, SampleFaces
from core.engines.fewshot_gan.config import FinetuneConfig
from core.engines.fewshot_gan.engine import FewShotGan
from core.imaging.photo import load_photo
from core.make_assets.gallery import draw as gallery
from core.make_assets.gallery import references, sets, thumbnail
from core.make_assets.gallery.draw import EXAMPLE_FACES, PACK_FACES, READY_MADE, REFERENCE_FACES, THUMBNAIL_PX
from core.make_assets.gallery.sets import SET_FACES
from core.networks.mini import MAP_CHANNELS
from core.procedural.drawings import EXAMPLE_SETS, PACK_STYLES, DrawnStyle, draw
from core.studio import Studio

EVERY_STYLE = {**PACK_STYLES, **EXAMPLE_SETS}


@pytest.fixture(autouse=True)
def loaded_once(mini: FewShotGan, monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs get the engine that is loaded already."""

    def load(request: LoadRequest) -> FewShotGan:
        assert request.variant == "mini"
        return mini

    monkeypatch.setattr(sets, "load", load)
    monkeypatch.setattr(references, "load", load)


def face() -> torch.Tensor:
    """A grey oval with dark eyes on a light ground, [1, 3, 64, 64] in [-1, 1]."""
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    picture = torch.full((64, 64), 0.8)
    picture[(rows / 0.8) ** 2 + (columns / 0.6) ** 2 < 1] = 0.1
    for side in (-0.25, 0.25):
        picture[(rows + 0.1) ** 2 + (columns - side) ** 2 < 0.01] = -0.9
    return picture.expand(1, 3, 64, 64).clone()


@pytest.mark.parametrize("style", EVERY_STYLE.values(), ids=EVERY_STYLE)
def test_a_drawing_is_a_picture_and_repeats(style: DrawnStyle) -> None:
    first, again = (draw(style, face(), torch.Generator().manual_seed(3)) for _ in range(2))
    assert first.shape == (1, 3, 64, 64)
    assert first.min() >= -1 and first.max() <= 1
    assert torch.equal(first, again)
    assert (first - face()).abs().mean() > 0.05, "a drawing is no copy of the photo"
    assert style.preset in FinetuneConfig.presets


def test_drawing_styles_differ() -> None:
    drawn = [draw(style, face(), torch.Generator().manual_seed(3)) for style in EVERY_STYLE.values()]
    distances = [float((a - b).abs().mean()) for i, a in enumerate(drawn) for b in drawn[:i]]
    assert min(distances) > 0.05


def test_no_face_is_shown_that_was_trained_on() -> None:
    assert not set(EXAMPLE_FACES) & {*REFERENCE_FACES, *PACK_FACES}
    assert not set(SET_FACES) & set(EXAMPLE_FACES)


def test_the_gallery_is_trained_and_written(tiny: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A style of one step on a small backbone."""
    rng = torch.Generator().manual_seed(0)
    faces = SampleFaces(torch.randn(24, MAP_CHANNELS, 8, 8, generator=rng), torch.randn(24, 512, generator=rng))
    engine = FewShotGan(replace(tiny, sample_faces=faces))
    slugs = ["gouache"]
    monkeypatch.setattr(gallery, "EXAMPLE_FACES", EXAMPLE_FACES[:1])
    gallery.write_styles(engine, slugs, tmp_path, steps=1, size_px=128)
    gallery.write_pictures(engine, tmp_path, slugs)
    monkeypatch.setattr(engine_module, "STYLES_DIR", tmp_path / "styles")
    assert [style.slug for style in engine.ready_styles()] == slugs
    for ready in engine.ready_styles():
        style = engine.load_style(ready.path)
        assert (style.name, style.references) == (ready.title, ready.references) == (ready.title, len(REFERENCE_FACES))
        assert style.meta.config["steps"] == 1 and style.meta.config["method"] == "aligned"
        assert style.hand is not None and len(style.hand.references) == len(REFERENCE_FACES)
        assert load_photo(ready.thumbnail).image.size == (THUMBNAIL_PX, THUMBNAIL_PX)
    assert load_photo(tmp_path / "examples" / "face_1.png").image.size == (gallery.EXAMPLE_PX, gallery.EXAMPLE_PX)


def test_the_index_names_every_style() -> None:
    ready = json.loads((ASSETS_DIR / "styles" / "index.json").read_text(encoding="utf-8"))
    assert [entry["slug"] for entry in ready] == list(READY_MADE) and len(ready) >= 12
    for entry in ready:
        assert (ASSETS_DIR / "styles" / f"{entry['slug']}.safetensors").is_file()
        with Image.open(ASSETS_DIR / "styles" / f"{entry['slug']}.webp") as picture:
            assert picture.size == (THUMBNAIL_PX, THUMBNAIL_PX)


def test_no_two_ready_made_styles_look_alike_on_a_tile() -> None:
    tiles = {
        slug: np.asarray(load_photo(ASSETS_DIR / "styles" / f"{slug}.webp").image.resize((32, 32)), dtype=np.float64)
        for slug in READY_MADE
    }
    apart = {(a, b): np.abs(tiles[a] - tiles[b]).mean() for a in tiles for b in tiles if a < b}
    assert min(apart.values()) > 10, min(apart, key=lambda pair: apart[pair])


def test_every_set_is_there_in_one_size() -> None:
    listing = json.loads((ASSETS_DIR / "sets" / "sets.json").read_text(encoding="utf-8"))
    assert [entry["slug"] for entry in listing] == list(EXAMPLE_SETS)
    for entry in listing:
        pictures = sorted((ASSETS_DIR / "sets" / entry["slug"]).iterdir())
        assert [path.name for path in pictures] == [f"{i}.webp" for i in range(1, len(SET_FACES) + 1)]
        assert {load_photo(path).image.size for path in pictures} == {(256, 256)}


def test_sets_are_drawn_again_alike(tmp_path: Path) -> None:
    sets.main(["--out", str(tmp_path)])
    assert (tmp_path / "sets.json").read_bytes() == (ASSETS_DIR / "sets" / "sets.json").read_bytes()
    for shipped in sorted((ASSETS_DIR / "sets").rglob("*.webp")):
        paths = (shipped, tmp_path / shipped.relative_to(ASSETS_DIR / "sets"))
        before, drawn = (np.asarray(load_photo(path).image, dtype=np.float64) for path in paths)
        assert np.abs(drawn - before).mean() < 4, "arithmetic differs between machines"


def test_shipped_files_stay_small() -> None:
    everything = sum(path.stat().st_size for path in ASSETS_DIR.rglob("*") if path.is_file())
    assert everything <= 140e6
    assert max(path.stat().st_size for path in ASSETS_DIR.rglob("*") if path.is_file()) <= 10e6


def test_references_as_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = gallery.draw_technique
    monkeypatch.setattr(references, "draw_technique", lambda *given: whole(*given, size_px=128))
    for count in ("1", "2"):
        references.main(["gouache", "--count", count, "--out", str(tmp_path / count)])
    assert [path.name for path in sorted((tmp_path / "2").iterdir())] == ["gouache_01.png", "gouache_02.png"]
    drawn = [Image.open(path).convert("RGB") for path in sorted((tmp_path / "2").iterdir())]
    assert {picture.size for picture in drawn} == {(128, 128)}
    assert drawn[0].tobytes() != drawn[1].tobytes()
    assert Image.open(tmp_path / "1" / "gouache_01.png").convert("RGB").tobytes() == drawn[0].tobytes()
    with pytest.raises(SystemExit):
        references.main(["gouache", "--count", "15", "--out", str(tmp_path)])


def test_the_thumbnail_shows_its_styles_and_stays_small(
    mini_studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnail.Studio, "open", lambda engine, backbone: mini_studio)
    monkeypatch.setattr(mini_studio, "draw", lambda prepared, style: Drawing(prepared.face.image))
    path = tmp_path / "readme" / "thumbnail.png"
    thumbnail.main(["--save", str(path)])
    assert path.stat().st_size < 400_000
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"), dtype=int)
    assert pixels.shape == (630, 1200, 3)
    paper = np.array([0xFA, 0xF6, 0xEE])
    assert np.abs(pixels[5, 5] - paper).max() <= 2
    shown = 1 + thumbnail.MAX_STYLES
    middle = np.abs(pixels[500, :] - paper).max(axis=1) > 12  # a line through the lower faces
    starts = np.flatnonzero(np.diff(np.convolve(middle, np.ones(7), "same") > 0) & ~middle[:-1])
    assert len(starts) >= shown, "fewer pictures than styles"


def test_the_shipped_thumbnail_is_one() -> None:
    with Image.open(ASSETS_DIR / "readme" / "thumbnail.png") as picture:
        assert picture.size == thumbnail.SIZE_PX
