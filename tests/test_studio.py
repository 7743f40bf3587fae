"""The studio on the few-shot engine: one face all the way through, training that stops, settings, ready-made styles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.engines.base import DrawOptions, TrainingStep, run_to_end
from core.engines.fewshot_gan import engine as engine_module
from core.engines.fewshot_gan.backbone import Backbone
from core.engines.fewshot_gan.engine import FewShotGan
from core.engines.fewshot_gan.style_file import GanStyle
from core.errors import (
    NoFaceFound,
    NoReferences,
    StyleUnknown,
    TooManyReferences,
    TrainingStopped,
)
from core.imaging.align import AlignedFace
from core.imaging.photo import Photo, to_image
from core.imaging.square import Square
from core.studio import Studio
from tests.tiny_backbone import as_face, copies, drawings, same_state, sampled_pictures, tiny_studio


@pytest.fixture
def small(tiny: Backbone) -> Iterator[Studio]:
    """A studio over the tiny backbone, which must come out as it went in."""
    before = copies(tiny.generator)
    yield tiny_studio(tiny)
    assert same_state(tiny.generator, before)


@pytest.fixture
def face(tiny: Backbone) -> AlignedFace:
    return as_face(sampled_pictures(tiny, 1), "me.png")


@pytest.fixture
def artworks(tiny: Backbone) -> list[AlignedFace]:
    return [as_face(picture, f"art{i}.png") for i, picture in enumerate(drawings(tiny, 2))]


def trained(
    studio: Studio, artworks: list[AlignedFace], photo: AlignedFace | None = None, **settings: object
) -> GanStyle:
    """A style of one step."""
    config = studio.config("sketch", **{"steps": 1, **settings})
    style = run_to_end(studio.train(artworks, config, name="x", photo=photo))
    assert isinstance(style, GanStyle)
    return style


def test_a_face_all_the_way_through(mini_studio: Studio, mini: FewShotGan, tmp_path: Path) -> None:
    """A face in a larger photo -> crop -> codes -> two steps -> file -> picture -> back into the photo."""
    backbone = mini.backbone
    before = copies(backbone.generator)
    canvas = Image.new("RGB", (330, 300), (40, 90, 140))
    canvas.paste(to_image(sampled_pictures(backbone, 1)), (50, 20))
    photo = Photo(canvas, "me.png")
    boxed = mini_studio.align(photo, crop=Square((177.5, 147.5), 256))
    reference = mini_studio.align(Photo(drawings(backbone, 1, seed=3)[0], "art.png"), crop="aligned")
    assert boxed.image.size == reference.image.size == (1024, 1024), "brushwork draws from the crop itself"

    config = mini_studio.config("sketch", steps=2, anchors_per_step=1, seed=1)
    steps = list(mini_studio.train([reference], config, name="Ink", preview=boxed))
    assert [step.step for step in steps] == [0, 0, 1, 2], "two practice faces come first"
    assert steps[-1].preview is not None and steps[-1].preview.size == (256, 256)
    assert steps[-1].style is not None and steps[-1].style.references == 1

    loaded = mini_studio.load_style(mini_studio.save_style(steps[-1].style, tmp_path / "ink.safetensors"))
    drawing = mini_studio.stylize(boxed, loaded, DrawOptions(strength=0.8, keep_colour=True))
    assert drawing.image.size == (512, 512) and drawing.provenance["style"] == "Ink"
    whole = mini_studio.paste_back(drawing, boxed, photo)
    changed = np.abs(np.asarray(whole).astype(int) - np.asarray(canvas)).max(axis=2) > 0
    assert whole.size == canvas.size and changed[120:180, 150:210].any()
    assert not changed[:18].any() and not changed[:, :48].any() and not changed[:, 308:].any()
    assert same_state(backbone.generator, before)


def test_crops(small: Studio) -> None:
    photo = Photo(Image.effect_mandelbrot((200, 120), (-2, -1.2, 1, 1.2), 50).convert("RGB"), "m.png")
    assert small.align(photo, crop="aligned").image.size == (1024, 1024)
    boxed = small.align(photo, crop=Square((49.5, 59.5), 80))
    corners = [[9.5, 19.5], [9.5, 99.5], [89.5, 99.5], [89.5, 19.5]]  # pixel centres have whole numbers
    assert boxed.quad.tolist() == corners
    with pytest.raises(ValueError, match="'detect', 'aligned' or a square, got 'middle'"):
        small.align(photo, crop="middle")
    with pytest.raises(NoFaceFound, match=r"m\.png"):
        small.align_found(photo, [])


def test_stylizing_twice_or_from_a_prepared_face_gives_the_same(small: Studio, face: AlignedFace) -> None:
    options = DrawOptions(seed=2)
    first, again = small.stylize(face, None, options), small.draw(small.prepare(face), None, options)
    assert first.image.tobytes() == again.image.tobytes()
    assert first.image.tobytes() != small.stylize(face, None).image.tobytes()


def test_reconstructions_in_natural_looks(small: Studio, tiny: Backbone, face: AlignedFace) -> None:
    engine = FewShotGan(tiny)
    inversion = engine.prepare(face)
    kept = inversion.w_plus.clone()
    plain = engine.reconstruct(inversion)
    assert plain.tobytes() == small.stylize(face, None).image.tobytes()
    natural = [engine.reconstruct(inversion, look_seed=seed).tobytes() for seed in (0, 0, 1)]
    assert natural[0] == natural[1] != natural[2] and natural[0] != plain.tobytes()
    assert small.read_as_photo(face).tobytes() == natural[0]
    assert (inversion.w_plus == kept).all(), "the codes themselves stay"


@pytest.mark.parametrize(("preset", "steps"), [("sketch", 150), ("cartoon", 500), (None, 150)])
def test_settings_start_from_a_preset(small: Studio, preset: str | None, steps: int) -> None:
    config = small.config(preset, method="paper")
    assert config.steps == steps
    assert config.swap_layers == tuple(range(8)) and config.identity_weight == 0.02
    assert small.config(preset).method == "aligned"
    assert small.config(preset, steps=3, alpha=0.5).steps == 3


@pytest.mark.parametrize(
    ("preset", "settings", "sentence"),
    [
        ("oil", {}, "one of sketch, cartoon, got 'oil'"),
        ("sketch", {"magic": 1}, "FinetuneConfig has no magic; it has alpha, anchor"),
        ("sketch", {"alpha": 2}, "alpha must be a number from 0 to 1, got 2"),
        ("sketch", {"swap_layers": (8,)}, r"swap_layers must be in \[0, 7\], got \(8,\)"),
    ],
)
def test_unknown_presets_and_settings_are_refused(small: Studio, preset: str, settings: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        small.config(preset, **settings)


@pytest.mark.parametrize(("steps", "seen_before"), [(50, 2), (2, 1)], ids=["midway", "before the style is given"])
def test_stopping_raises_and_gives_no_style(
    small: Studio, artworks: list[AlignedFace], steps: int, seen_before: int
) -> None:
    seen: list[TrainingStep] = []
    config = small.config("sketch", steps=steps, method="paper")
    run = small.train(artworks, config, name="x", stop=lambda: len(seen) == seen_before)
    with pytest.raises(TrainingStopped, match="nothing was saved"):
        seen.extend(run)
    assert [step.step for step in seen] == list(range(1, seen_before + 1))
    assert not any(step.style for step in seen)


def test_stopping_while_the_pictures_are_read(small: Studio, artworks: list[AlignedFace]) -> None:
    asked: list[int] = []

    def after_the_first() -> bool:
        asked.append(1)
        return len(asked) == 2

    with pytest.raises(TrainingStopped):
        list(small.train(artworks * 3, small.config("sketch", steps=2), name="x", stop=after_the_first))
    assert len(asked) == 2, "the other pictures were not read"


@pytest.mark.parametrize(("method", "steps"), [("paper", 1), ("aligned", 4)])
def test_the_photo_matters_only_as_an_anchor(
    small: Studio, artworks: list[AlignedFace], face: AlignedFace, method: str, steps: int
) -> None:
    run = {"method": method, "steps": steps, "seed": 3}

    def changes(style: GanStyle) -> dict:
        return {name: change.tolist() for name, change in style.weights.items()}

    with pytest.raises(ValueError, match="a photo is needed, got None"):
        trained(small, artworks, anchor="photo", **run)
    anchored = trained(small, artworks, face, anchor="photo", **run)
    assert anchored.meta.config["anchor"] == "photo"
    reusable = changes(trained(small, artworks, **run))
    assert changes(trained(small, artworks, face, **run)) == reusable != changes(anchored)


def test_reference_hashes_tell_pictures_apart(small: Studio, artworks: list[AlignedFace]) -> None:
    first, second = trained(small, artworks).meta.reference_hashes
    assert len(first) == 64 and first != second
    renamed = [replace(artwork, name="other") for artwork in artworks]
    assert trained(small, renamed).meta.reference_hashes == (first, second)


@pytest.mark.parametrize(("count", "error"), [(0, NoReferences), (15, TooManyReferences)])
def test_other_than_1_to_14_references(
    small: Studio, artworks: list[AlignedFace], count: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        next(small.train((artworks * 8)[:count], small.config("sketch"), name="x"))


def test_ready_made_styles(tiny: Backbone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engine = FewShotGan(tiny)
    monkeypatch.setattr(engine_module, "STYLES_DIR", tmp_path)
    assert engine.ready_styles() == ()
    entries = [{"slug": "ink", "title": "Ink line", "references": 4}, {"slug": "oil", "title": "Oil", "references": 1}]
    (tmp_path / "index.json").write_text(json.dumps(entries), encoding="utf-8")
    ink, oil = engine.ready_styles()
    assert (ink.slug, ink.title, ink.references, oil.title) == ("ink", "Ink line", 4, "Oil")
    assert ink.path == tmp_path / "ink.safetensors" and ink.thumbnail == tmp_path / "ink.webp"
    assert FewShotGan(replace(tiny, name="ffhq")).ready_styles() == (), "they are for the embedded backbone"
    with pytest.raises(StyleUnknown, match=r"'chalk' is neither .* \(ink, oil\)"):
        Studio(engine).find_style("chalk")


def test_shipped_styles_fit_the_embedded_backbone(mini_studio: Studio) -> None:
    """They were trained as a visitor's own are, and hold what they were trained on."""
    ready = mini_studio.ready_styles()
    assert len(ready) >= 12 and len({style.slug for style in ready}) == len(ready)
    for entry in ready:
        style = mini_studio.find_style(entry.slug)
        assert (style.engine, style.method) == ("fewshot_gan", "aligned")
        assert (style.name, style.references) == (entry.title, entry.references)
        assert mini_studio.find_style(str(entry.path)).name == entry.title
        with Image.open(entry.thumbnail) as picture:
            assert min(picture.size) >= 64
    assert {path.stem for path in ready[0].path.parent.glob("*.safetensors")} == {entry.slug for entry in ready}
