"""A second engine on page and API, over HTTP; it is only in the registry, beside one that can't be loaded."""

from __future__ import annotations

import asyncio
import inspect
import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from core.engines import registry
from core.engines.registry import EngineEntry
from core.errors import EngineUnavailable, EngineUnknown
from core.studio import Studio
from core.ui import api
from core.ui.components import style_gallery
from core.ui.server import runtime
from core.ui.server.session import MyStyle
from core.ui.tabs import engine_choice, stylize_tab, train_handlers, train_tab
from core.ui.tabs.train_handlers import TrainTab
from tests.fake_engine import BROKEN, NAME, SIDE_PX
from tests.tiny_backbone import tiny_studio
from tests.visitor import ROOT, Visitor, serve

FACE = ROOT / "assets" / "examples" / "face_1.png"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The tiny app with three engines."""
    with serve(tmp_path_factory.mktemp("engines") / "data", TESTS_WITH_ENGINES="1") as running:
        yield running.address


def train_a_style(visitor: Visitor) -> asyncio.Task:
    """Start a training on one picture, as far as the page lets."""

    async def story() -> None:
        visitor.set("aligned", True)
        visitor.set("references", [await visitor.upload("art.png", FACE.read_bytes())])
        (added,) = await visitor.fire("references", "upload")
        assert added.succeeded, added.error
        assert all(outcome.succeeded for outcome in await visitor.fire("train", "click"))

    return asyncio.create_task(story())


async def use_the_second_engine(address: str) -> None:
    async with Visitor(address) as visitor:
        await visitor.open()
        assert visitor.value("engine") == "fewshot_gan" and "Built-in model, on" in visitor.value("status")
        assert all(outcome.succeeded for outcome in await visitor.choose("engine", NAME))
        assert "Flat colour, on" in visitor.value("status")
        assert visitor.props[visitor.id_of("anchor")]["visible"] is False, "it makes no style for one person"
        await visitor.choose("preset", "cartoon")
        assert visitor.value(f"{NAME}-steps") == 3
        visitor.set(f"{NAME}-warmth", 9)
        await train_a_style(visitor)
        assert "Done." in visitor.value("run")

        visitor.set("photo", await visitor.upload("me.png", FACE.read_bytes()))
        await visitor.fire("photo", "change")
        drawn = await visitor.fire("use", "click")
        assert all(outcome.succeeded for outcome in drawn), [outcome.error for outcome in drawn]
        with Image.open(io.BytesIO(await visitor.file(visitor.value("download")))) as portrait:
            assert portrait.size == (SIDE_PX, SIDE_PX)
            assert len(portrait.convert("RGB").getcolors()) == 1, "flat: the style's one colour"

        back = await visitor.choose("engine", "broken")
        told = back[0].error.replace("&#x27;", "'")
        assert "The engine 'Broken engine' can't be used now. It says: a library is missing." in told
        assert visitor.value("engine") == NAME, "the engine before stays in use"
        assert all(outcome.succeeded for outcome in await visitor.choose("keep-colour", True))

        assert all(outcome.succeeded for outcome in await visitor.choose("engine", "fewshot_gan"))
        assert 'data-pick="my-' not in visitor.value("styles"), "the other engine can't draw in that style"
        assert "Built-in model, on" in visitor.value("status")


def test_a_second_engine_trains_and_draws_on_the_page(address: str) -> None:
    asyncio.run(use_the_second_engine(address))


def test_a_second_engine_trains_and_draws_for_programs(address: str) -> None:
    client = Client(address, verbose=False)
    picture = handle_file(str(FACE))
    style = client.predict([picture], aligned=True, engine=NAME, steps=2, warmth=9, api_name="/train")
    drawn = client.predict(picture, style_file=handle_file(style), engine=NAME, api_name="/stylize")
    with Image.open(drawn) as portrait:
        assert portrait.size == (SIDE_PX, SIDE_PX)
    for wrong, sentence in (
        ({"engine": NAME, "alpha": 0.5}, "The engine 'flat' has no 'alpha'"),
        ({"engine": NAME, "photo": picture}, "makes styles for everyone"),
        ({"warmth": 9}, "The engine 'fewshot_gan' has no 'warmth'"),
        ({"engine": "broken"}, "The engine 'Broken engine' can't be used now"),
    ):
        with pytest.raises(AppError, match=sentence):
            client.predict([picture], steps=2, aligned=True, **wrong, api_name="/train")
    assert {entry["engine"] for entry in client.predict(api_name="/list_styles")} <= {"fewshot_gan"}
    client.close()


# --- without a server --------------------------------------------------------------------------------------


@pytest.fixture
def train() -> TrainTab:
    """The New style tab, for the engines that are there now."""
    with gr.Blocks(), gr.Tabs() as tabs, gr.Tab("Both"):
        return train_tab.build(stylize_tab.build(tabs, gr.State(None)))


def test_one_engine_is_no_choice() -> None:
    with gr.Blocks():
        radio = engine_choice.build().radio
    assert not radio.visible and not radio.choices


def test_several_engines_are_a_choice(flat_engine: EngineEntry, train: TrainTab) -> None:
    with gr.Blocks():
        radio = engine_choice.build().radio
    assert radio.visible and [name for _, name in radio.choices] == ["fewshot_gan", NAME]
    columns = {name: one.column.visible for name, one in train.second.settings.items()}
    assert columns == {"fewshot_gan": True, NAME: False}
    assert [*train.second.settings[NAME].controls.by_option] == ["steps", "seed", "preview_every", "warmth"]


def test_an_engine_s_option_is_a_parameter_that_names_its_engine(flat_engine: EngineEntry) -> None:
    endpoint = api.endpoints()["train"]
    assert "warmth" in inspect.signature(endpoint).parameters
    _, described, _ = gr.utils.get_function_description(endpoint)
    assert described["warmth"] == "Added to the red. Only for engine flat."
    assert "Only for" not in described["steps"]


def test_an_engine_that_does_not_train_says_so(
    flat_engine: EngineEntry, train: TrainTab, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = SimpleNamespace(capabilities=lambda engine: SimpleNamespace(trains=engine != NAME))
    monkeypatch.setattr(train_handlers, "studio", lambda: studio)
    shown = train.for_engine(NAME)
    assert "learns no new ones" in shown[train.cannot]["value"] and not shown[train.steps]["visible"]
    shown = train.for_engine("fewshot_gan")
    assert (
        shown[train.steps]["visible"] and not shown[train.cannot]["visible"] and shown[train.second.person]["visible"]
    )


def test_own_styles_are_shown_to_the_engine_that_draws_them(
    flat_engine: EngineEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime.LOADER, "_ready", tiny_studio())
    mine = tuple(
        MyStyle(f"my-{name}", name, 1, "data:,", f"{name}.safetensors", name) for name in ("fewshot_gan", NAME)
    )
    assert [tile.slug for tile in style_gallery.tiles(mine, NAME)] == [f"my-{NAME}"]
    assert style_gallery.find(f"my-{NAME}", mine) is None
    assert style_gallery.find(f"my-{NAME}", mine, NAME) == style_gallery.FoundStyle(NAME, Path(f"{NAME}.safetensors"))


def test_the_next_engine_opens_where_the_first_one_can_t(
    flat_engine: EngineEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.register(BROKEN)
    try:
        monkeypatch.setenv("STYLEIDENTITY_ENGINE", BROKEN.name)
        monkeypatch.setattr(registry, "entries", lambda: (BROKEN, flat_engine))
        opener = runtime.StudioOpener()
        assert opener.open(lambda done: None).default == NAME
        assert isinstance(opener.problem, EngineUnavailable) and "Broken engine" in str(opener.problem)
        monkeypatch.setattr(registry, "entries", lambda: (BROKEN,))
        with pytest.raises(EngineUnavailable, match="Broken engine"):
            opener.open(lambda done: None)
        monkeypatch.setenv("STYLEIDENTITY_ENGINE", "oil")
        with pytest.raises(EngineUnknown):
            opener.open(lambda done: None)
    finally:
        registry.forget(BROKEN.name)


def test_the_engine_that_is_asked_for_leaves_no_problem(
    flat_engine: EngineEntry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STYLEIDENTITY_ENGINE", NAME)
    opener = runtime.StudioOpener()
    opened = opener.open(lambda done: None)
    assert isinstance(opened, Studio) and opened.default == NAME and opener.problem is None
