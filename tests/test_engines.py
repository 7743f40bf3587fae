"""Several engines side by side: the registry, the studio over any of them, and those that fail to load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core.engines import registry
from core.engines.base import Capabilities, DrawOptions, Engine, EngineDescription, LoadRequest, TrainingConfig
from core.engines.fewshot_gan import engine as fewshot_gan
from core.engines.fewshot_gan.backbone import Backbone
from core.engines.fewshot_gan.config import FinetuneConfig
from core.engines.registry import EngineEntry
from core.errors import EngineUnavailable, EngineUnknown, WeightsUnavailable
from core.execution.choose import make_executor
from core.execution.in_process import InProcessExecutor
from core.execution.jobs import DrawPhotos, DrawPortrait, PictureFile, TrainStyle
from core.imaging.align import AlignedFace
from core.studio import Studio
from tests.fake_engine import SIDE_PX, FlatConfig
from tests.tiny_backbone import as_face, sampled_pictures, tiny_studio

RED = (200, 40, 60)


@pytest.fixture
def photo(tmp_path: Path) -> PictureFile:
    Image.new("RGB", (160, 120), (40, 60, 200)).save(tmp_path / "me.png")
    return PictureFile(tmp_path / "me.png")


@pytest.fixture
def artwork() -> AlignedFace:
    return as_face(Image.new("RGB", (SIDE_PX, SIDE_PX), RED), "art.png")


def middle(image: Image.Image) -> Any:
    return image.getpixel((image.width // 2, image.height // 2))


@pytest.mark.parametrize("as_default", [True, False], ids=["the only engine", "beside another"])
def test_a_second_engine_trains_and_draws_through_jobs(
    flat_engine: EngineEntry, tiny: Backbone, photo: PictureFile, artwork: AlignedFace, tmp_path: Path, as_default: bool
) -> None:
    studio = Studio.open("flat") if as_default else tiny_studio(tiny)
    engine = None if as_default else "flat"
    executor, _ = make_executor(lambda: studio)
    config = studio.config("sketch", engine=engine, warmth=9)
    assert isinstance(config, FlatConfig) and (config.steps, config.warmth) == (2, 9)
    steps = list(executor.stream(TrainStyle((artwork,), config, "Red", tmp_path / "stop", engine=engine)))
    style = steps[-1].style
    assert [step.step for step in steps] == [1, 2] and style is not None and style.engine == "flat"
    path = studio.save_style(style, tmp_path / "red.json")

    job = DrawPortrait(photo, path, DrawOptions(strength=1.0), crop="aligned", engine=engine)
    portrait = executor.result(job)
    assert portrait.prepared.engine == "flat" and portrait.after.size == (SIDE_PX, SIDE_PX)
    assert middle(portrait.after) == RED and middle(portrait.before) == (40, 60, 200)
    half = DrawPortrait(photo, path, DrawOptions(strength=0.5), portrait.face, portrait.prepared, engine=engine)
    assert middle(executor.result(half).after) == (120, 50, 130)
    *_, last = executor.stream(DrawPhotos((photo,), path, engine=engine))
    assert last.value is not None and last.value.problem is not None, "there is no face in it, says the engine's finder"


def test_a_face_that_another_engine_prepared_is_read_anew(
    flat_engine: EngineEntry, tiny: Backbone, artwork: AlignedFace, photo: PictureFile, tmp_path: Path
) -> None:
    studio = tiny_studio(tiny)
    executor = InProcessExecutor(lambda: studio, make_executor(lambda: studio)[1])
    path = studio.save_style(_red_style(studio, artwork), tmp_path / "red.json")
    other = studio.prepare(artwork)
    assert other.engine == "fewshot_gan"
    drawn = executor.result(DrawPortrait(photo, path, face=artwork, prepared=other, engine="flat"))
    assert drawn.prepared.engine == "flat" and middle(drawn.after) == RED


def _red_style(studio: Studio, artwork: AlignedFace) -> Any:
    *_, last = studio.train([artwork], studio.config(engine="flat", steps=1), name="Red", engine="flat")
    return last.style


def test_engines_refuse_what_others_made(flat_engine: EngineEntry, tiny: Backbone, artwork: AlignedFace) -> None:
    studio = tiny_studio(tiny)
    style, own = _red_style(studio, artwork), studio.prepare(as_face(sampled_pictures(tiny, 1)))
    with pytest.raises(ValueError, match="expected a style of 'fewshot_gan', got one of 'flat'"):
        studio.draw(own, style)
    with pytest.raises(ValueError, match="expected a face prepared by 'fewshot_gan', got one of 'flat'"):
        studio.engine().draw(studio.prepare(artwork, engine="flat"), None)
    with pytest.raises(ValueError, match="expected a FinetuneConfig, got FlatConfig"):
        next(studio.train([artwork], FlatConfig(), name="x"))


def test_what_an_engine_need_not_have() -> None:
    class Plain(Engine):
        description = EngineDescription("plain", "", "Plain", "", 8, "cpu", "float32")
        capabilities = Capabilities(8)

        def prepare(self, face: AlignedFace) -> Any: ...

        def draw(self, prepared: Any, style: Any, options: DrawOptions = DrawOptions()) -> Any: ...

    engine = Plain()
    assert engine.ready_styles() == () and engine.config(steps=3) == TrainingConfig(steps=3)
    with pytest.raises(ValueError, match="the preset must be one of none, got 'sketch'"):
        engine.config("sketch")
    for use in (
        lambda: next(engine.train([], TrainingConfig(), name="x")),
        lambda: engine.load_style(Path("a")),
        lambda: engine.save_style(None, Path("a")),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match="the engine 'plain' "):
            use()


def test_an_engine_that_fails_to_load_leaves_the_others(tiny: Backbone) -> None:
    attempts: list[LoadRequest] = []

    def load(request: LoadRequest) -> Engine:
        attempts.append(request)
        raise OSError("libmagic.so: cannot open shared object file\nand a long story")

    registry.register(EngineEntry("broken", "Magic brush", load))
    try:
        with pytest.raises(
            EngineUnavailable, match=r"'Magic brush' can't be used now\. It says: libmagic\.so: cannot open"
        ):
            Studio.open("broken")
        studio = tiny_studio(tiny)
        for _ in range(2):
            with pytest.raises(EngineUnavailable, match="The others still work"):
                studio.engine("broken")
        assert len(attempts) == 3, "asked again, it is tried again"
        drawn = studio.stylize(as_face(sampled_pictures(tiny, 1)), None)
        assert drawn.provenance["engine"] == "fewshot_gan"
    finally:
        registry.forget("broken")


def test_an_engine_whose_weights_can_t_be_had_says_why_and_what_works() -> None:
    def load(request: LoadRequest) -> Engine:
        raise WeightsUnavailable("brush.safetensors", "no network")

    registry.register(EngineEntry("remote", "Remote", load, advice="A pencil works without it."))
    said = (
        r"^The engine 'Remote' can't be used now\. The model file 'brush\.safetensors'.* A pencil works without it\.$"
    )
    try:
        with pytest.raises(EngineUnavailable, match=said):
            registry.load("remote")
    finally:
        registry.forget("remote")


def test_an_engine_is_loaded_once(flat_engine: EngineEntry, tiny: Backbone) -> None:
    studio = tiny_studio(tiny)
    assert studio.engine("flat") is studio.engine("flat")
    assert studio.engine() is studio.engine("fewshot_gan")
    assert studio.describe("flat").title == "Flat colour" and studio.capabilities("flat").live
    assert studio.capabilities() == Capabilities(64, trains=True, needs_references=True, crop_px=1024)


def test_the_registry_lists_engines_with_their_settings(flat_engine: EngineEntry) -> None:
    first, second = registry.entries()
    assert (first.name, first.training, dict(first.variants).keys()) == (
        "fewshot_gan",
        FinetuneConfig,
        {"mini", "ffhq"},
    )
    assert second is flat_engine and second.training is FlatConfig
    with pytest.raises(ValueError, match="there is an engine 'flat' already"):
        registry.register(flat_engine)


def test_unknown_names_are_answered_with_the_known_ones(
    flat_engine: EngineEntry, tiny: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ask in (Studio.open, registry.load, tiny_studio(tiny).engine):
        with pytest.raises(EngineUnknown, match=r"no engine 'sharp'\. Choose one of these: fewshot_gan, flat\."):
            ask("sharp")
    monkeypatch.setenv("STYLEIDENTITY_ENGINE", "sharp")
    with pytest.raises(EngineUnknown, match="'sharp'"):
        Studio.open()
    with pytest.raises(ValueError, match=r"'fewshot_gan' has no model 'maxi'; there is auto, mini, ffhq"):
        Studio.open("fewshot_gan", backbone="maxi")
    with pytest.raises(ValueError, match=r"'flat' has no model 'mini'; there is auto"):
        Studio.open("flat", backbone="mini")


def test_the_environment_chooses_engine_and_backbone(
    flat_engine: EngineEntry, tiny: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str | None]] = []

    def load_backbone(name: str, *, device: str | None, on_progress: object) -> Backbone:
        asked.append((name, device))
        return tiny

    monkeypatch.setattr(fewshot_gan, "load_backbone", load_backbone)
    monkeypatch.setenv("STYLEIDENTITY_BACKBONE", "ffhq")
    described = Studio.open(device="cpu").describe()
    assert (described.engine, described.reason) == ("fewshot_gan", "The 1024 px model was asked for.")
    Studio.open(backbone="mini")
    assert asked == [("ffhq", "cpu"), ("mini", None)], "what is said counts more than the environment"
    monkeypatch.setenv("STYLEIDENTITY_ENGINE", "flat")
    assert Studio.open().describe().engine == "flat"
    assert Studio.open("fewshot_gan").describe().engine == "fewshot_gan"
