"""The page's parts without a browser: friendly errors, crops, settings, HTML, the loading of the Studio."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

import app
from core.engines.base import Drawing, DrawOptions, Prepared, TrainingStep
from core.engines.fewshot_gan.backbone import Backbone
from core.engines.fewshot_gan.config import FinetuneConfig
from core.errors import NoFaceFound, NoReferences, StyleFileInvalid, TrainingStopped
from core.execution import jobs
from core.execution.base import Update
from core.execution.choose import make_executor
from core.imaging.align import AlignedFace
from core.imaging.square import Square
from core.options import options_of
from core.progress import Progress
from core.ui import friendly_errors
from core.ui.components import kept_portraits, rendering, status, style_gallery, widgets
from core.ui.server import runs, session, visitors
from core.ui.tabs import stylize_handlers, stylize_tab, train_handlers, train_tab
from core.ui.tabs.stylize_handlers import StylizeTab
from core.ui.tabs.train_handlers import TrainTab
from tests.tiny_backbone import tiny_studio

ROOT = Path(__file__).resolve().parent.parent


def test_an_expected_failure_leaves_as_its_sentence() -> None:
    @friendly_errors.friendly
    def handler() -> None:
        raise NoFaceFound("cat.jpg")

    with pytest.raises(gr.Error, match=r"face in 'cat\.jpg'"):
        handler()


def test_names_in_a_failure_stay_text() -> None:
    @friendly_errors.friendly
    def handler() -> None:
        raise NoFaceFound("<img src=x onerror=alert(1)>.jpg")

    with pytest.raises(gr.Error) as caught:
        handler()
    assert "<img" not in caught.value.message, "Gradio shows an error's text as HTML"
    assert "'&lt;img" in caught.value.message


def test_coroutines_are_friendly_too() -> None:
    @friendly_errors.friendly
    async def handler() -> None:
        raise NoFaceFound("cat.jpg")

    with pytest.raises(gr.Error, match=r"face in 'cat\.jpg'"):
        asyncio.run(handler())


def test_an_unexpected_failure_is_logged_and_stays_vague(caplog: pytest.LogCaptureFixture) -> None:
    @friendly_errors.friendly
    def handler() -> Iterator[int]:
        yield 1
        raise KeyError("secret detail")

    stream = handler()
    assert next(stream) == 1
    with pytest.raises(gr.Error) as caught:
        next(stream)
    assert "secret" not in caught.value.message
    assert "secret detail" in caplog.text


def test_a_full_disk_gets_its_sentence() -> None:
    assert "no space left" in friendly_errors.sentence(OSError(28, "No space left on device", "a.png"))
    assert friendly_errors.sentence(MemoryError()) == friendly_errors.OUT_OF_MEMORY


def test_friendly_keeps_what_gradio_reads_from_the_signature(stylize: StylizeTab) -> None:
    inputs, progress, _, _ = gr.helpers.special_args(stylize.upload_photo, inputs=[None, None])
    assert progress == 3, "after the upload, the engine and the request"
    assert len(inputs) == 4


def test_a_square_by_hand_is_the_frame_that_the_page_shows() -> None:
    frame = session.CropChoice("manual", 25, 50, 40, 30)
    square = frame.for_studio(200, 100)
    assert square == Square((49.5, 49.5), 40, 30)
    again = session.CropChoice.by_hand(Square.around(square.quad()), 200, 100)
    assert dataclasses.astuple(again) == ("manual", *map(pytest.approx, (25, 50, 40, 30)))
    assert session.CropChoice.told("25,50,40,30") == frame
    kept = session.CropChoice("manual", 0, 100, 10, 360)
    assert session.CropChoice.told("-9,400,1,9999") == kept, "kept in its ranges"


@pytest.mark.parametrize("told", ["", "1,2,3", "1,2,3,nan", "a,b,c,d", None, "1,2,3,4,5"])
def test_a_frame_that_is_no_frame_is_refused(told: object) -> None:
    with pytest.raises(ValueError):
        session.CropChoice.told(told)


def test_the_frame_can_be_moved_where_it_makes_sense() -> None:
    frame = session.CropChoice("manual", 35, 40, 60)
    photo = session.ChosenPhoto("a.png", "a.png", 200, 100, "data:,", boxes=((50, 20, 90, 60),), frames=(frame,))
    shown = widgets.photo_view(photo, session.CropChoice())
    assert '<span class="frame"' in shown and "Adjust crop" in shown, "it is shown, and waits"
    moved = widgets.photo_view(photo, session.CropChoice("manual", 25, 50, 40, 30))
    assert '<button type="button" class="frame"' in moved and "width:20.00%;--turn:30.00deg" in moved
    assert "Find the face" in moved and "Use the whole picture" in moved
    assert '<button type="button" class="frame"' in widgets.photo_view(photo, session.CropChoice(), editing=True)
    second = dataclasses.replace(photo, frames=(*photo.frames, session.CropChoice("manual", 80, 40, 30)), face_index=1)
    assert "left:80.00%" in widgets.photo_view(second, session.CropChoice(), editing=True), "the chosen face's frame"
    faceless = dataclasses.replace(photo, boxes=(), frames=(), problem="no face")
    assert '<button type="button" class="frame"' in widgets.photo_view(faceless, session.CropChoice())
    assert 'class="frame"' not in widgets.photo_view(faceless, session.CropChoice("aligned"))


def test_other_crops_go_to_the_studio_by_name() -> None:
    assert session.CropChoice().for_studio(200, 100) == "detect"
    assert session.CropChoice("aligned").for_studio(200, 100) == "aligned"


@pytest.fixture(scope="module")
def train() -> TrainTab:
    """The New style tab in a page of its own, with Stylize beside it."""
    with gr.Blocks(), gr.Tabs() as tabs, gr.Tab("Both"):
        return train_tab.build(stylize_tab.build(tabs, gr.State(None)))


@pytest.fixture(scope="module")
def stylize(train: TrainTab) -> StylizeTab:
    """The Stylize tab beside it."""
    return train.stylize


@pytest.fixture
def settings_of(train: TrainTab) -> Callable[..., dict[str, Any]]:
    """Function that reads the settings with some of them changed."""
    controls = train.second.settings["fewshot_gan"].controls

    def read(**changed: object) -> dict[str, Any]:
        shown = {part: changed.get(name, part.value) for name, part in controls.by_option.items()}
        return controls.read(shown)

    return read


def test_every_hyper_parameter_can_be_set(settings_of: Callable[..., dict[str, Any]]) -> None:
    assert {*settings_of(), "anchor"} == {item.name for item in options_of(FinetuneConfig)}


def test_untouched_settings_are_the_defaults(settings_of: Callable[..., dict[str, Any]]) -> None:
    assert FinetuneConfig(**settings_of()) == FinetuneConfig()


def test_emptied_settings_are_the_defaults(settings_of: Callable[..., dict[str, Any]]) -> None:
    assert (
        settings_of(**dict.fromkeys(settings_of(), "")) == settings_of(**dict.fromkeys(settings_of())) == settings_of()
    )


def test_settings_are_read(settings_of: Callable[..., dict[str, Any]]) -> None:
    typed = {"alpha": "0,5", "swap_layers": "7, 9;11", "identity_weight": "0.001", "style_weight": "0"}
    config = FinetuneConfig(**settings_of(**typed, method="jojogan", references_per_step="2", anchors_per_step=3.0))
    assert (config.method, config.alpha, config.swap_layers, config.identity_weight) == (
        "jojogan",
        0.5,
        (7, 9, 11),
        0.001,
    )
    assert (config.style_weight, config.references_per_step, config.anchors_per_step) == (0.0, 2, 3)


@pytest.mark.parametrize("text", ["seven", "7, -1", "7.5"])
def test_wrong_layers_get_a_sentence(settings_of: Callable[..., dict[str, Any]], text: str) -> None:
    with pytest.raises(friendly_errors.PageProblem, match="'Mixed layers' is whole numbers of 0 or more with commas"):
        settings_of(swap_layers=text)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("steps", 1001, "'Steps' is a whole number from 1 to 1000, not '1001'"),  # as many as this server allows
        ("steps", 2.5, "'Steps' is a whole number from 1 to 1000, not '2.5'"),
        ("alpha", "1.5", "'Alpha' is a number from 0 to 1, not '1.5'"),
        ("method", "best", "'Method' is one of aligned, paper, jojogan, not 'best'"),
        ("seed", -1, "'Seed' is a whole number from 0 to 2147483647, not '-1'"),
        ("seed", True, "'Seed' is a whole number"),
        ("learning_rate", {}, "'Learning rate' is a number from 1e-06 to 0.1"),
    ],
)
def test_settings_out_of_range_get_a_sentence(
    settings_of: Callable[..., dict[str, Any]], name: str, value: object, sentence: str
) -> None:
    with pytest.raises(friendly_errors.PageProblem, match=re.escape(sentence)):
        settings_of(**{name: value})


@pytest.mark.parametrize("text", ["inf", "-Infinity", "nan", "1e999", "much"])
@pytest.mark.parametrize("name", ["alpha", "identity_weight", "style_weight", "references_per_step"])
def test_settings_that_are_no_finite_number_get_a_sentence(
    settings_of: Callable[..., dict[str, Any]], name: str, text: str
) -> None:
    with pytest.raises(friendly_errors.PageProblem, match="number"):
        settings_of(**{name: text})


def test_names_are_escaped_wherever_they_are_shown() -> None:
    evil = '<img src=x onerror=alert(1)>"'
    photo = session.ChosenPhoto("p", evil, 100, 50, "data:,", problem=evil)
    reference = session.Reference("k", "p", evil, problem=evil)
    shown = (
        widgets.photo_view(photo, session.CropChoice())
        + widgets.reference_cards([reference], limit=14)
        + widgets.style_gallery([widgets.Tile("s", evil, "data:,", 4)], "s")
        + widgets.notice(evil)
        + status.status_html(evil)
    )
    assert "<img src=x" not in shown


def test_html_stands_in_templates_alone() -> None:
    for path in (ROOT / "app.py", *sorted((ROOT / "core" / "ui").rglob("*.py"))):
        tags = re.findall(r"</?[a-z][a-z0-9]*[ >]", path.read_text(encoding="utf-8"))
        assert not tags, f"{path.name}: put {tags[0]} into core/ui/components/templates"
    assert rendering.environment().autoescape is True


def test_faces_are_outlined_and_the_chosen_one_is_marked() -> None:
    photo = session.ChosenPhoto("p", "two.jpg", 200, 100, "data:,", boxes=((10, 10, 50, 50), (100, -5, 140, 40)))
    shown = " ".join(widgets.photo_view(dataclasses.replace(photo, face_index=1), session.CropChoice()).split())
    assert shown.count('class="face"') == 2
    assert "left:50.00%;top:0.00%" in shown
    assert 'data-pick="1" aria-pressed="true"' in shown


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "estimating the time left"),
        (1, "almost done"),
        (31, "about 30 seconds left"),
        (64, "about 1 minute left"),
        (300, "about 5 minutes left"),
    ],
)
def test_time_left_in_words(seconds: float | None, words: str) -> None:
    assert widgets.time_left(seconds) == words


def test_the_loss_curve_falls_from_top_to_bottom() -> None:
    curve = widgets.loss_curve([3.0, 2.0, 1.0])
    assert "0.0,8.0 " in curve
    assert "600.0,112.0" in curve
    assert widgets.loss_curve([1.0]) == ""


def test_a_picture_becomes_a_small_data_address() -> None:
    address = widgets.data_address(Image.new("RGBA", (2000, 1000), "red"), side_px=100)
    assert address.startswith("data:image/jpeg;base64,")
    assert len(address) < 4000


def test_file_names_hold_no_surprises() -> None:
    assert style_gallery.file_name("../Old  Engraving!") == "old-engraving"
    assert style_gallery.file_name("///") == "style"


def test_steps_light_up_in_order() -> None:
    empty = train_handlers.heads(())
    assert [" on" in head for head in (empty.first, empty.second, empty.third)] == [True, False, False]
    face = object()
    ready = train_handlers.heads((session.Reference("k", "p", "a", face=face),))
    assert "done" in ready.first
    assert "si-step on" in ready.second
    assert "si-step on" in ready.third


def test_training_needs_a_usable_reference() -> None:
    with pytest.raises(NoReferences):
        train_handlers.checked((session.Reference("k", "p", "a", problem="no face"),))


def two_references() -> tuple[session.Reference, ...]:
    """Two pictures that a visitor just dropped."""
    return tuple(session.Reference(key, f"{key}.png", f"{key}.png") for key in "ab")


def test_a_removed_picture_doesn_t_come_back_from_a_running_event(
    train: TrainTab, monkeypatch: pytest.MonkeyPatch
) -> None:
    face = AlignedFace(Image.new("RGB", (8, 8)), np.zeros((4, 2)), None, "a.png")
    found = [Update(Progress(jobs.LOOKING, 1, 2), jobs.ReadReference(key, face)) for key in "ab"]
    read = [Update(Progress(jobs.READING, 1, 2), jobs.ReadReference(key, face, face.image)) for key in "ab"]
    monkeypatch.setattr(train_handlers, "EXECUTOR", SimpleNamespace(stream=lambda job: iter([*found, *read])))
    removed = session.Edits()
    run = train.toggle_aligned(two_references(), removed, None, True, lambda *_, **__: None)
    shown = next(run)[train.references]
    left = train.remove_card(shown, removed, SimpleNamespace(pick="b"))[train.references]
    assert [item.key for item in left] == ["a"]
    pages = list(run)
    assert pages and all([item.key for item in page[train.references]] == ["a"] for page in pages)


def test_a_set_of_ours_takes_the_place_of_another_and_leaves_the_visitor_s_own(
    train: TrainTab, tiny: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, _ = make_executor(lambda: tiny_studio(tiny))
    monkeypatch.setattr(train_handlers, "EXECUTOR", executor)
    own, removed = session.Reference("own", "own.png", "own.png", problem="no face"), session.Edits()
    references: tuple[session.Reference, ...] = (own,)
    for slug in ("red-chalk", "cyanotype"):
        click = SimpleNamespace(pick=slug)
        *_, page = train.take_set(references, removed, None, click, lambda *_, **__: None)
        references = page[train.references]
    assert [item.name for item in references] == ["own.png", *(f"Cyanotype {i}" for i in range(1, 5))]
    assert all(item.look_view and item.aligned for item in references[1:])
    assert len(removed.removed) == 4
    assert list(train.take_set(references, removed, None, SimpleNamespace(pick="../mini"), None)) == []


def test_own_styles_can_be_removed_and_presets_can_t() -> None:
    tiles = [widgets.Tile("ink", "Ink", "data:,", 6), widgets.Tile("my-1", "A & B", "data:,", 2)]
    shown = widgets.style_gallery(tiles, "ink", own={"my-1"})
    assert shown.count('data-event="delete"') == 1
    assert 'data-event="delete" data-pick="my-1" aria-label="Remove A &amp; B"' in shown
    assert 'data-event="undo" data-pick="my-1"' in widgets.style_removed("my-1", "A & B")


def test_a_style_that_is_gone_is_not_used(train: TrainTab, tmp_path: Path) -> None:
    made = session.MyStyle("my-1", "Old ink", 2, "data:,", str(tmp_path / "my-1" / "ink.safetensors"))
    with pytest.raises(gr.Error, match="no longer here"):
        train.use_style(made, (), None)


def test_only_the_chosen_picture_is_used_as_it_is(train: TrainTab, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[jobs.ReadReferences] = []

    def stream(job: jobs.ReadReferences) -> Iterator[Update[jobs.ReadReference]]:
        asked.append(job)
        yield Update(Progress(jobs.LOOKING, 1, 1), jobs.ReadReference("b"))

    monkeypatch.setattr(train_handlers, "EXECUTOR", SimpleNamespace(stream=stream))
    click = SimpleNamespace(pick="b")
    edits = session.Edits()
    page = train.use_as_it_is(two_references(), edits, click)
    *_, page = train.read_new(page[train.references], edits, None, lambda *_, **__: None)
    assert [item.aligned for item in page[train.references]] == [False, True]
    assert [(picture.key, picture.crop) for picture in asked[0].pictures] == [("a", "detect"), ("b", "aligned")]


def test_a_style_picture_is_cut_out_by_hand_and_found_again(
    train: TrainTab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[jobs.ReadReferences] = []

    def stream(job: jobs.ReadReferences) -> Iterator[Update[jobs.ReadReference]]:
        asked.append(job)
        yield Update(Progress(jobs.LOOKING, 1, 1), jobs.ReadReference("b"))

    monkeypatch.setattr(train_handlers, "EXECUTOR", SimpleNamespace(stream=stream))
    drawing = tmp_path / "b.png"
    Image.new("RGB", (400, 200), "white").save(drawing)
    first, second = two_references()
    references = (first, dataclasses.replace(second, path=str(drawing), name="<b>.png"))
    shown = train.adjust_crop(references, SimpleNamespace(pick="b"))
    assert 'data-frame="b"' in shown and "&lt;b&gt;.png" in shown and "aspect-ratio:400/200" in shown
    assert train.adjust_crop(references, SimpleNamespace(pick="gone")) == ""
    edits, told = session.Edits(), SimpleNamespace(pick="b:25,50,80,10")
    page = train.use_crop(references, edits, told)
    assert page[train.first.editor] == ""
    *_, page = train.read_new(page[train.references], edits, None, lambda *_, **__: None)
    assert asked[0].pictures[1].crop == Square((99.5, 99.5), 160.0, 10.0)
    *_, stale = train.read_new(references, edits, None, lambda *_, **__: None)
    assert stale[train.references][1].square is not None, "who began before sees it too"
    page = train.find_face(page[train.references], edits, SimpleNamespace(pick="b"))
    *_, page = train.read_new(page[train.references], edits, None, lambda *_, **__: None)
    assert asked[-1].pictures[1].crop == "detect" and page[train.references][1].square is None
    with pytest.raises(gr.Error):
        train.use_crop(references, edits, SimpleNamespace(pick="b:x"))


TrainedBy = Callable[[Callable[[jobs.TrainStyle], Iterator[TrainingStep]], int], dict[Any, Any]]
ANNA = SimpleNamespace(session_hash="anna")


@pytest.fixture
def trained_by(train: TrainTab, monkeypatch: pytest.MonkeyPatch, own_data_dir: object) -> TrainedBy:
    """Function that lets a fake train for so many steps, and returns what the page sends."""
    sessions = visitors.Sessions()
    for module in (train_handlers, runs):
        monkeypatch.setattr(module, "SESSIONS", sessions)
    monkeypatch.setattr(train_handlers, "RUNS", runs.Runs())

    def use(run: Callable[[jobs.TrainStyle], Iterator[TrainingStep]], steps: int) -> dict[Any, Any]:
        config = FinetuneConfig(steps=steps)
        studio = SimpleNamespace(default="fewshot_gan", config=lambda *_, **__: config)
        monkeypatch.setattr(train_handlers, "studio", lambda: studio)
        executor = SimpleNamespace(stream=run, accelerator_seconds=lambda *_: None)
        monkeypatch.setattr(train_handlers, "EXECUTOR", executor)
        inputs = {*train.trained_from, train.stylize.state.photo, train.stylize.state.engine}
        return {part: part.value for part in inputs} | {
            train.references: (session.Reference("k", "p", "a", face=object()),)
        }

    return use


def until_stopped(job: jobs.TrainStyle) -> Iterator[TrainingStep]:
    """Practice faces, then steps without an end, each as soon as the one before was taken."""
    for number in itertools.count():
        if job.stop_flag.exists():
            raise TrainingStopped
        picture = Image.new("RGB", (8, 8)) if number < job.config.practice_faces else None
        yield TrainingStep(max(0, number + 1 - job.config.practice_faces), 1000, 3.0, preview=picture)
        time.sleep(0.01)


def test_a_stop_in_the_first_moments_reaches_the_run(train: TrainTab, trained_by: TrainedBy) -> None:
    stream = train.train(trained_by(until_stopped, 3), ANNA)
    next(stream)
    told = asyncio.run(train.stop(ANNA))
    assert "Stopping after this step." in told[train.third.run]
    *_, last = stream
    assert last == train.stopped()
    assert runs.SESSIONS.stop_runs("anna") == 0, "the run's flag is gone with it"


def test_practice_faces_and_steps_are_told(train: TrainTab, trained_by: TrainedBy) -> None:
    begun = threading.Event()

    def run(job: jobs.TrainStyle) -> Iterator[TrainingStep]:
        for number in range(job.config.practice_faces):
            yield TrainingStep(0, job.config.steps, 0.0, preview=Image.new("RGB", (8, 8)))
            assert number or begun.wait(10), "somebody watches now"
        for step in range(1, job.config.steps + 1):
            yield TrainingStep(step, job.config.steps, 3.0 / step)
        raise TrainingStopped

    practice_faces = FinetuneConfig(steps=40).practice_faces
    stream = train.train(trained_by(run, 40), ANNA)
    pages = [next(stream), next(stream)]
    begun.set()
    pages = [page for page in (*pages, *stream) if isinstance(page.get(train.third.run), str)]
    told = [str(page[train.third.run]) for page in pages]
    assert sum("Drawing practice faces" in text for text in told) == practice_faces
    last_face = next(page for page in pages if f"{practice_faces} / {practice_faces}" in page[train.third.run])
    assert "A practice face" in last_face[train.third.preview]["value"]
    first_step = next(text for text in told if "Step" in text)
    assert "Step 5 of 40" in first_step and "from 3.000" in first_step, "and never a step 0, nor its loss"
    assert pages[-1] == train.stopped()


def test_a_tab_that_was_loaded_again_finds_its_run(train: TrainTab, trained_by: TrainedBy) -> None:
    shown = trained_by(until_stopped, 3)
    for tab in ("anna", "anna-again"):
        runs.SESSIONS.adopt(tab, "k" * 32)
    stream = train.train(shown, ANNA)
    next(stream), next(stream)
    stream.close()  # the connection is gone
    runs.SESSIONS.leave("anna")
    again = SimpleNamespace(session_hash="anna-again")
    watched = train.resume(again)
    assert next(watched)[train.references] == shown[train.references]
    assert "goes on" in next(watched)[train.third.run]
    assert any("Step" in str(page.get(train.third.run)) for page in itertools.islice(watched, 12))
    asyncio.run(train.stop(again))
    *_, last = watched
    assert "Training was stopped" in last[train.third.run]
    (page,) = train.resume(SimpleNamespace(session_hash="boris"))
    assert train.third.run not in page, "somebody else's page shows nothing of it"


def test_an_unexpected_failure_of_stop_is_a_sentence(train: TrainTab, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(session_hash: str) -> int:
        raise OSError("disk")

    monkeypatch.setattr(train_handlers.SESSIONS, "stop_runs", broken)
    with pytest.raises(gr.Error, match="our side"):
        asyncio.run(train.stop(SimpleNamespace(session_hash="visitor")))


@pytest.fixture(scope="module")
def page() -> gr.Blocks:
    """The whole page; nothing may change it."""
    return app.build()


def events_of(page: gr.Blocks, handler: str) -> list[gr.blocks.BlockFunction]:
    """The page's events that run a handler."""
    return [event for event in page.fns.values() if event.name == handler]


def first_of(page: gr.Blocks, event: gr.blocks.BlockFunction) -> gr.blocks.BlockFunction:
    """The event of the chain that an event is in which a visitor causes."""
    return event if event.trigger_after is None else first_of(page, page.fns[event.trigger_after])


def test_another_photo_ends_the_drawing_it_replaces(page: gr.Blocks) -> None:
    draws = [event for handler in ("draw", "redraw") for event in events_of(page, handler)]
    parts = {getattr(block, "elem_id", None): block._id for block in page.blocks.values()}
    photos = [(parts["photo"], "change"), (parts["examples"], "click")]
    others = {event._id for event in draws if first_of(page, event).targets[0] not in photos}
    assert 10 < len(others) < len(draws)
    for cause in (*photos, (parts["photo-view"], "submit")):
        ended = {i for event in page.fns.values() if cause in event.targets for i in event.cancels}
        assert ended == others, "a photo's own drawing is ended by its handler"


def test_removing_waits_for_nobody_and_other_work_shows_that_it_waits(page: gr.Blocks) -> None:
    (remove,), (use, *_) = (events_of(page, handler) for handler in ("remove_card", "read_new"))
    assert not remove.queue
    assert use.queue and use.show_progress == "full" and use.show_progress_on
    card = widgets.reference_cards([session.Reference("k", "p", "a.png", problem="no face")], limit=14)
    assert card.count('data-event="submit"') == 1, "only Remove is a submit"


@pytest.fixture
def draw(
    stylize: StylizeTab, monkeypatch: pytest.MonkeyPatch, own_data_dir: object
) -> Callable[[], Iterator[dict[Any, Any]]]:
    """Function that draws a photo in a rough level and a finished one."""
    face = AlignedFace(Image.new("RGB", (640, 640)), np.zeros((4, 2)), None, "a.png")

    def levels(job: jobs.DrawPortrait) -> Iterator[jobs.Portrait]:
        for side in (64, 512):
            drawing = Drawing(Image.new("RGB", (side, side)))
            yield jobs.Portrait(face, Prepared("flat", face), face.image, drawing.image, drawing)

    monkeypatch.setattr(stylize_handlers, "EXECUTOR", SimpleNamespace(stream=levels))
    monkeypatch.setattr(style_gallery, "drawable", lambda *_: {})
    monkeypatch.setattr(stylize_handlers, "SESSIONS", visitors.Sessions())
    monkeypatch.setattr(
        stylize_handlers, "_style_or_complain", lambda *_: style_gallery.FoundStyle("Ink", Path("ink.safetensors"))
    )
    monkeypatch.setattr(stylize_handlers, "published", lambda path, *_: str(path))
    shown = {part: getattr(part, "value", None) for part in stylize.drawn_from}
    shown[stylize.state.photo] = session.ChosenPhoto("a.png", "a.png", 640, 640, "data:,")

    def drawn(other: dict[Any, Any] = {}) -> Iterator[dict[Any, Any]]:  # noqa: B006
        return stylize.draw(shown | other, SimpleNamespace(session_hash="visitor"), lambda *_, **__: None)

    return drawn


def test_a_portrait_is_shown_as_it_grows_and_can_be_downloaded_when_finished(
    stylize: StylizeTab, draw: Callable[[], Iterator[dict[Any, Any]]]
) -> None:
    slider, download = stylize.right.slider, stylize.right.download
    *rough, finished = draw()
    assert len(rough) == 2 and all("Drawing …" in page[slider]["value"] for page in rough)
    assert all(page[download] == gr.update(interactive=False) for page in rough)
    assert all(page[stylize.state.portrait].prepared is not None for page in rough), "a redraw needs no reading"
    assert "Drawing" not in finished[slider]["value"] and finished[download]["interactive"]
    with Image.open(finished[download]["value"]) as saved:
        assert saved.size == (512, 512)


def test_portraits_of_a_visit_can_be_gone_back_to(
    stylize: StylizeTab, draw: Callable[[], Iterator[dict[Any, Any]]]
) -> None:
    request, right, state = SimpleNamespace(session_hash="visitor"), stylize.right, stylize.state
    *_, first = draw()
    (portrait,) = first[state.kept]
    assert first[state.shown] is portrait and portrait.picture in first[right.strip]
    *_, again = draw()
    assert len(again[state.kept]) == 1, "the same face in the same style takes the earlier one's place"
    other = dataclasses.replace(portrait, of=("another",))
    page = stylize.look_back((again[state.shown], other), "png", SimpleNamespace(pick="1"), request)
    assert page[state.shown] is other and page[right.download]["value"] == other.after
    assert stylize.look_back((other,), "png", SimpleNamespace(pick="4"), request) == gr.skip()
    assert page[right.slider]["file"] == other.after, "what is shared is the file"
    assert stylize.save_as(None, "png", request) == gr.skip(), "there is no portrait yet"


@pytest.mark.parametrize(
    ("form", "size", "kind"),
    [
        ("png", (512, 512), "PNG"),
        ("jpeg", (512, 512), "JPEG"),
        ("print", (2048, 2048), "JPEG"),
        ("pair", (1034, 512), "JPEG"),
    ],
)
def test_a_portrait_is_saved_as_the_visitor_wants_it(
    stylize: StylizeTab,
    draw: Callable[[], Iterator[dict[Any, Any]]],
    form: str,
    size: tuple[int, int],
    kind: str,
) -> None:
    *_, finished = draw()
    saved = stylize.save_as(finished[stylize.state.shown], form, SimpleNamespace(session_hash="visitor"))
    saved, shared = saved[stylize.right.download], saved[stylize.right.slider]["file"]
    assert saved["interactive"] and shared == saved["value"]
    with Image.open(shared) as picture:
        assert (picture.size, picture.format) == (size, kind)
        assert b"rainedAlgorithmicMedia" in Path(shared).read_bytes(), "it says that AI made it"


def test_only_the_last_portraits_and_their_files_stay(tmp_path: Path) -> None:
    kept: tuple[session.KeptPortrait, ...] = ()
    picture = Image.new("RGB", (64, 64))
    for number in range(kept_portraits.MOST + 3):
        of = (min(number, kept_portraits.MOST),)
        made = kept_portraits.keep(tmp_path, picture, picture, of=of, title="Ink", blended=False)
        kept = kept_portraits.with_newest(kept, made)
    assert len(kept) == kept_portraits.MOST == len({portrait.of for portrait in kept})
    assert sorted(tmp_path.iterdir()) == sorted(Path(portrait.after).parent for portrait in kept)
    shutil.rmtree(tmp_path)
    with pytest.raises(friendly_errors.PageProblem, match="no longer here"):
        kept_portraits.saved(kept[0], "png")


def test_a_newer_drawing_ends_the_one_before_after_its_level(
    stylize: StylizeTab, draw: Callable[[], Iterator[dict[Any, Any]]]
) -> None:
    older, newer = draw(), None
    next(older)
    stylize.supersede(SimpleNamespace(session_hash="somebody else"))
    stylize.supersede(SimpleNamespace(session_hash="visitor"))
    newer = draw()
    next(newer)
    assert list(older) == [] and len(list(newer)) == 2


def test_every_drawing_ends_the_one_before(page: gr.Blocks) -> None:
    for event in (*events_of(page, "draw"), *events_of(page, "redraw")):
        assert event.trigger_mode == "always_last"
        assert page.fns[event.trigger_after].name == "supersede" and not page.fns[event.trigger_after].queue


def test_leaving_a_photo_ends_its_drawing(stylize: StylizeTab, draw: Callable[[], Iterator[dict[Any, Any]]]) -> None:
    running = draw()
    next(running)
    page = stylize.leave_photo(SimpleNamespace(session_hash="visitor"))
    assert list(running) == [], "nothing of the photo that was left comes after it"
    assert page[stylize.state.portrait] is None and page[stylize.left.gallery]["faces"]["of"] is None


def test_a_face_is_tried_in_every_style_once(
    stylize: StylizeTab,
    draw: Callable[..., Iterator[dict[Any, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    face = AlignedFace(Image.new("RGB", (64, 64)), np.zeros((4, 2)), None, "a.png")
    asked: list[jobs.CompareStyles] = []

    def compare(job: jobs.CompareStyles) -> jobs.Comparison:
        asked.append(job)
        if len(asked) == 3:
            raise StyleFileInvalid("ink.safetensors", "it is damaged")
        return jobs.Comparison(face, Prepared("flat", face), tuple(Image.new("RGB", (64, 64)) for _ in job.style_paths))

    monkeypatch.setattr(style_gallery, "drawable", lambda *_: {"ink": tmp_path / "ink.safetensors"})
    monkeypatch.setattr(stylize_handlers.EXECUTOR, "result", compare, raising=False)
    tried, *_, finished = draw()
    faces = tried[stylize.left.gallery]["faces"]
    assert [job.style_paths for job in asked] == [(tmp_path / "ink.safetensors",)] and asked[0].options.brush == 0
    assert faces["pictures"]["ink"].startswith("data:image/") and finished[stylize.state.shown] is not None
    known = {part: tried[part] for part in (stylize.state.tried, stylize.state.portrait)}
    list(draw(known))
    assert len(asked) == 1, "the tiles show this face already"
    other, *_ = draw({**known, stylize.state.crop: session.CropChoice("manual")})
    assert len(asked) == 2 and other[stylize.left.gallery]["faces"]["of"] != faces["of"], "another crop, another face"
    *_, finished = draw()
    assert len(asked) == 3 and finished[stylize.state.shown] is not None, "the portrait is drawn all the same"


def test_only_styles_that_can_be_read_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def style_at(path: Path, engine: str | None) -> None:
        if path.name == "gone":
            raise StyleFileInvalid(path.name, "it is damaged")

    cards = [SimpleNamespace(slug=slug, path=Path(slug)) for slug in ("ink", "gone")]
    monkeypatch.setattr(style_gallery, "studio", lambda: SimpleNamespace(ready_styles=lambda engine: cards))
    monkeypatch.setattr(style_gallery, "LOCAL", SimpleNamespace(style_at=style_at))
    assert style_gallery.drawable(()) == {"ink": Path("ink")}


def test_nothing_is_drawn_without_a_face(stylize: StylizeTab) -> None:
    shown = {part: getattr(part, "value", None) for part in stylize.drawn_from}
    photo = session.ChosenPhoto("a.png", "a.png", 64, 64, "data:,", problem="no face")
    request = SimpleNamespace(session_hash="visitor")
    for chosen in (None, photo):
        shown[stylize.state.photo] = chosen
        assert list(stylize.redraw(shown, request, lambda *_, **__: None)) == [gr.skip()]


def test_what_a_drawing_needs_most_is_not_folded(page: gr.Blocks) -> None:
    parts = {getattr(block, "elem_id", None): block for block in page.blocks.values()}

    def is_folded(part: Any) -> bool:
        return isinstance(part, gr.Accordion) or (part.parent is not None and is_folded(part.parent))

    shown = ("strength", "brush", "shape", "skin-tone", "background", "size", "keep-colour")
    assert [is_folded(parts[name]) for name in (*shown, "seed")] == [False] * len(shown) + [True]
    assert isinstance(parts["background"], gr.Radio) and isinstance(parts["size"], gr.Radio)


def drawn_with(stylize: StylizeTab, **changed: object) -> DrawOptions:
    """What the controls of a drawing give, some of them changed."""
    drawing = stylize.right.drawing
    return DrawOptions(
        **drawing.read({part: changed.get(name, part.value) for name, part in drawing.by_option.items()})
    )


def test_a_drawing_s_options_are_controls(stylize: StylizeTab) -> None:
    assert {*stylize.right.drawing.by_option} == {item.name for item in options_of(DrawOptions)}
    assert drawn_with(stylize) == DrawOptions()
    assert drawn_with(stylize, strength=35, keep_colour=True, seed=7.0) == DrawOptions(0.35, True, seed=7)

    assert (drawn_with(stylize, seed=None).seed, drawn_with(stylize, seed=2**31 - 1).seed) == (0, 2**31 - 1)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        *(("seed", seed, "'Seed' is a whole number from 0 to 2147483647") for seed in (-1, 2**31, 1e300, float("nan"))),
        *(("strength", share, "'Style strength' is a number from 0 to 100") for share in (-1, 101, "much", [])),
    ],
)
def test_a_drawing_s_options_out_of_range_get_a_sentence(
    stylize: StylizeTab, name: str, value: object, sentence: str
) -> None:
    with pytest.raises(friendly_errors.PageProblem, match=sentence):
        drawn_with(stylize, **{name: value})


def test_seeds_are_bounded_on_the_page(page: gr.Blocks) -> None:
    seeds = [block for block in page.blocks.values() if isinstance(block, gr.Number) and "eed" in str(block.label)]
    assert [block.maximum for block in seeds] == [2**31 - 1] * 2
