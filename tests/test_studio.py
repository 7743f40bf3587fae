"""The studio on the embedded backbone: one face all the way through, training that stops, settings and presets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import studio as studio_module
from core.config import PRESET_STEPS
from core.engines.fewshot_gan.backbone import Backbone, BackboneChoice
from core.engines.fewshot_gan.style_file import Style
from core.errors import FaceIndexOutOfRange, NoFaceFound, NoReferences, TooManyReferences, TrainingStopped
from core.imaging.align import AlignedFace, DetectedFace
from core.imaging.photo import Photo, to_image
from core.studio import Studio, TrainingStep
from tests.tiny_backbone import as_face, copies, drawings, same_state, sampled_pictures


@pytest.fixture
def small(tiny: Backbone) -> Iterator[Studio]:
    """A studio over the tiny backbone, which must come out as it went in."""
    before = copies(tiny.generator)
    yield Studio(tiny, BackboneChoice("mini", "for a test"))
    assert same_state(tiny.generator, before)


@pytest.fixture
def face(tiny: Backbone) -> AlignedFace:
    return as_face(sampled_pictures(tiny, 1), "me.png")


@pytest.fixture
def artworks(tiny: Backbone) -> list[AlignedFace]:
    return [as_face(picture, f"art{i}.png") for i, picture in enumerate(drawings(tiny, 2))]


def test_a_face_all_the_way_through(mini_studio: Studio, tmp_path: Path) -> None:
    """Morph face in a larger photo -> crop -> codes -> two steps -> file -> picture -> back into the photo."""
    mini = mini_studio.backbone
    before = copies(mini.generator)
    canvas = Image.new("RGB", (330, 300), (40, 90, 140))
    canvas.paste(to_image(sampled_pictures(mini, 1)), (50, 20))
    photo = Photo(canvas, "me.png")
    boxed = mini_studio.align(photo, crop=(50, 20, 306, 276))
    reference = mini_studio.align(Photo(drawings(mini, 1, seed=3)[0], "art.png"), crop="aligned")
    assert boxed.image.size == reference.image.size == (256, 256)

    config = mini_studio.config("sketch", steps=2, anchors_per_step=1, seed=1)
    *steps, style = mini_studio.train([reference], config, name="Ink", preview=boxed)
    assert [step.step for step in steps] == [1, 2] and all(isinstance(step, TrainingStep) for step in steps)
    assert steps[-1].preview is not None and steps[-1].preview.size == (256, 256)
    assert isinstance(style, Style) and style.references == 1

    loaded = mini_studio.load_style(mini_studio.save_style(style, tmp_path / "ink.safetensors"))
    stylized = mini_studio.stylize(boxed, loaded, strength=0.8, keep_colour=True)
    assert stylized.image.size == (256, 256) and stylized.provenance["style"] == "Ink"
    whole = mini_studio.paste_back(stylized, boxed, photo)
    changed = np.abs(np.asarray(whole).astype(int) - np.asarray(canvas)).max(axis=2) > 0
    assert whole.size == canvas.size and changed[120:180, 150:210].any()
    assert not changed[:18].any() and not changed[:, :48].any() and not changed[:, 308:].any()
    assert same_state(mini.generator, before)


def test_open_chooses_and_loads(monkeypatch: pytest.MonkeyPatch, tiny: Backbone) -> None:
    asked: list[tuple] = []
    monkeypatch.setattr(studio_module, "load_backbone", lambda name, **options: asked.append((name, options)) or tiny)
    studio = Studio.open("ffhq", device="cpu")
    assert studio.choice.name == "ffhq" and studio.backbone is tiny
    assert asked == [("ffhq", {"device": "cpu", "on_progress": None})]
    monkeypatch.setenv("STYLEIDENTITY_BACKBONE", "mini")
    assert Studio.open().choice.name == "mini"


def test_crops(small: Studio) -> None:
    photo = Photo(Image.effect_mandelbrot((200, 120), (-2, -1.2, 1, 1.2), 50).convert("RGB"), "m.png")
    assert small.align(photo, crop="aligned").image.size == (64, 64)
    boxed = small.align(photo, crop=(10, 20, 90, 100))
    corners = [[9.5, 19.5], [9.5, 99.5], [89.5, 99.5], [89.5, 19.5]]  # pixel centres have whole numbers
    assert boxed.quad.tolist() == corners
    with pytest.raises(NoFaceFound, match=r"m\.png"):
        small.align_found(photo, [])
    found = DetectedFace((0, 0, 80, 80), np.zeros((68, 2)))
    with pytest.raises(FaceIndexOutOfRange, match="shows 1 face"):
        small.align_found(photo, [found], 1)


def test_stylizing_twice_or_from_codes_gives_the_same(small: Studio, face: AlignedFace) -> None:
    first = small.stylize(face, None, seed=2)
    again = small.stylize_inverted(small.invert(face), None, seed=2)
    assert first.image.tobytes() == again.image.tobytes() and first.provenance == again.provenance


def test_reconstruction_and_random_looks(small: Studio, face: AlignedFace) -> None:
    inversion = small.invert(face)
    kept = inversion.w_plus.clone()
    plain = small.reconstruct(inversion)
    assert plain.tobytes() == small.stylize(face, None).image.tobytes()
    looks = [small.reconstruct(inversion, random_look_seed=seed).tobytes() for seed in (1, 1, 2)]
    assert looks[0] == looks[1] != looks[2] and looks[0] != plain.tobytes()
    assert (inversion.w_plus == kept).all(), "the codes themselves stay"


@pytest.mark.parametrize(("preset", "steps"), [("sketch", 150), ("cartoon", 500)])
def test_settings_start_from_a_preset(small: Studio, preset: str, steps: int) -> None:
    config = small.config(preset)
    assert config.steps == steps == PRESET_STEPS[preset]
    assert config.swap_layers == tuple(range(8)) and config.identity_weight == 0.02
    assert small.config(preset, steps=3, alpha=0.5).steps == 3


def test_unknown_presets_and_settings_are_refused(small: Studio) -> None:
    with pytest.raises(ValueError, match=r"\['cartoon', 'sketch'\], got 'oil'"):
        small.config("oil")
    with pytest.raises(TypeError, match="magic"):
        small.config("sketch", magic=1)
    with pytest.raises(ValueError, match="alpha"):
        small.config("sketch", alpha=2)


def test_stopping_raises_and_gives_no_style(small: Studio, artworks: list[AlignedFace]) -> None:
    seen: list[TrainingStep | Style] = []
    run = small.train(artworks, small.config("sketch", steps=50), name="x", stop=lambda: len(seen) == 2)
    with pytest.raises(TrainingStopped, match="nothing was saved"):
        seen.extend(run)
    assert [step.step for step in seen] == [1, 2]


def test_stopping_before_the_style_is_given(small: Studio, artworks: list[AlignedFace]) -> None:
    seen: list[TrainingStep | Style] = []
    run = small.train(artworks, small.config("sketch", steps=2), name="x", stop=lambda: bool(seen))
    with pytest.raises(TrainingStopped):
        seen.extend(run)
    assert len(seen) == 1 and not isinstance(seen[0], Style)


def test_stopping_while_the_pictures_are_read(small: Studio, artworks: list[AlignedFace]) -> None:
    asked: list[int] = []

    def after_the_first() -> bool:
        asked.append(1)
        return len(asked) == 2

    with pytest.raises(TrainingStopped):
        list(small.train(artworks * 3, small.config("sketch", steps=2), name="x", stop=after_the_first))
    assert len(asked) == 2, "the other pictures were not read"


def test_a_photo_anchor_needs_a_photo(small: Studio, artworks: list[AlignedFace], face: AlignedFace) -> None:
    config = small.config("sketch", steps=1, anchor="photo")
    with pytest.raises(ValueError, match="a photo is needed, got None"):
        next(small.train(artworks, config, name="x"))
    *_, style = small.train(artworks, config, name="x", photo=face)
    assert style.meta.config["anchor"] == "photo"


def test_the_photo_matters_only_as_an_anchor(small: Studio, artworks: list[AlignedFace], face: AlignedFace) -> None:
    def trained(anchor: str, photo: AlignedFace | None) -> dict:
        config = small.config("sketch", steps=1, anchor=anchor)
        *_, style = small.train(artworks, config, name="x", photo=photo)
        return {name: change.tolist() for name, change in style.weights.items()}

    reusable = trained("style", None)
    assert trained("style", face) == reusable != trained("photo", face)


def test_reference_hashes_tell_pictures_apart(small: Studio, artworks: list[AlignedFace]) -> None:
    *_, style = small.train(artworks, small.config("sketch", steps=1), name="x")
    first, second = style.meta.reference_hashes
    assert len(first) == 64 and first != second
    renamed = [replace(artwork, name="other") for artwork in artworks]
    *_, again = small.train(renamed, small.config("sketch", steps=1), name="x")
    assert again.meta.reference_hashes == (first, second)


@pytest.mark.parametrize(("count", "error"), [(0, NoReferences), (15, TooManyReferences)])
def test_other_than_1_to_14_references(
    small: Studio, artworks: list[AlignedFace], count: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        next(small.train((artworks * 8)[:count], small.config("sketch"), name="x"))


def test_the_shelf(small: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(studio_module, "STYLES_DIR", tmp_path)
    assert small.presets() == []
    entries = [{"slug": "ink", "title": "Ink line", "references": 4}, {"slug": "oil", "title": "Oil", "references": 1}]
    (tmp_path / "shelf.json").write_text(json.dumps(entries), encoding="utf-8")
    cards = small.presets()
    assert [(card.slug, card.title, card.references) for card in cards] == [("ink", "Ink line", 4), ("oil", "Oil", 1)]
    assert cards[0].path == tmp_path / "ink.safetensors" and cards[0].thumbnail == tmp_path / "ink.webp"
    other = Studio(replace(small.backbone, name="ffhq"), small.choice)
    assert other.presets() == [], "ready-made styles are for the embedded backbone"


def test_ready_made_styles_fit_the_embedded_backbone(mini_studio: Studio) -> None:
    cards = mini_studio.presets()
    assert len(cards) >= 6 and len({card.slug for card in cards}) == len(cards)
    for card in cards:
        style = mini_studio.load_style(card.path)
        assert style.name == card.title and style.references == card.references
        with Image.open(card.thumbnail) as picture:
            assert min(picture.size) >= 64
