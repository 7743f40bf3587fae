"""The page's parts without a browser: errors at the edge, a visitor's folder, crops, settings, HTML, the door."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import gradio as gr
import pytest
from PIL import Image

from core.config import FinetuneConfig
from core.errors import NoFaceFound, NoReferences, TrainingStopped
from core.ui import (
    advanced,
    edge,
    engine,
    session,
    status,
    styles,
    stylize_handlers,
    train_handlers,
    visitors,
    widgets,
)


def test_an_expected_failure_leaves_as_its_sentence() -> None:
    @edge.friendly
    def handler() -> None:
        raise NoFaceFound("cat.jpg")

    with pytest.raises(gr.Error, match=r"face in 'cat\.jpg'"):
        handler()


def test_names_in_a_failure_stay_text() -> None:
    @edge.friendly
    def handler() -> None:
        raise NoFaceFound("<img src=x onerror=alert(1)>.jpg")

    with pytest.raises(gr.Error) as caught:
        handler()
    assert "<img" not in caught.value.message, "Gradio shows an error's text as HTML"
    assert "'&lt;img" in caught.value.message


def test_coroutines_are_friendly_too() -> None:
    @edge.friendly
    async def handler() -> None:
        raise NoFaceFound("cat.jpg")

    with pytest.raises(gr.Error, match=r"face in 'cat\.jpg'"):
        asyncio.run(handler())


def test_an_unexpected_failure_is_logged_and_stays_vague(caplog: pytest.LogCaptureFixture) -> None:
    @edge.friendly
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
    assert "no space left" in edge.sentence(OSError(28, "No space left on device", "a.png"))
    assert edge.sentence(MemoryError()) == edge.OUT_OF_MEMORY


def test_friendly_keeps_what_gradio_reads_from_the_signature() -> None:
    inputs, progress, _, _ = gr.helpers.special_args(stylize_handlers.upload_photo, inputs=[None])
    assert progress == 2, "after the upload and the request"
    assert len(inputs) == 3


@pytest.mark.parametrize(
    ("crop", "expected"),
    [
        (session.Crop("manual", 50, 50, 50), (75, 25, 125, 75)),
        (session.Crop("manual", 0, 0, 50), (0, 0, 50, 50)),
        (session.Crop("manual", 100, 100, 100), (100, 0, 200, 100)),
    ],
)
def test_a_manual_square_stays_inside_the_picture(crop: session.Crop, expected: session.Box) -> None:
    assert crop.for_studio(200, 100) == expected


def test_other_crops_go_to_the_studio_by_name() -> None:
    assert session.Crop().for_studio(200, 100) == "detect"
    assert session.Crop("aligned").for_studio(200, 100) == "aligned"


def test_every_hyper_parameter_can_be_set() -> None:
    assert {*advanced.FIELDS, "anchor"} == {field.name for field in dataclasses.fields(FinetuneConfig)}


def test_untouched_settings_are_the_defaults() -> None:
    with gr.Blocks():
        values = [control.value for control in advanced.controls()]
    assert FinetuneConfig(**advanced.overrides(values)) == FinetuneConfig()


def test_settings_are_read() -> None:
    given = advanced.overrides(["jojogan", 20.0, 1e-3, "0,5", "7, 9;11", "0.001", "0", "2", 3.0, 5.0, 4.0])
    config = FinetuneConfig(**given)
    assert (config.alpha, config.swap_layers, config.identity_weight) == (0.5, (7, 9, 11), 0.001)
    assert (config.style_weight, config.references_per_step, config.anchors_per_step) == (0.0, 2, 3)


@pytest.mark.parametrize("text", ["seven", "7, -1"])
def test_wrong_layers_get_a_sentence(text: str) -> None:
    with pytest.raises(gr.Error):
        advanced.layers_from(text)


def test_names_are_escaped_wherever_they_are_shown() -> None:
    evil = '<img src=x onerror=alert(1)>"'
    photo = session.ChosenPhoto("p", evil, 100, 50, "data:,", problem=evil)
    reference = session.Reference("k", "p", evil, problem=evil)
    shown = (
        widgets.photo_view(photo, session.Crop())
        + widgets.reference_cards([reference], limit=14)
        + widgets.shelf([("s", evil, 4, "data:,")], "s")
        + widgets.notice(evil)
        + status.status_html(evil)
    )
    assert "<img src=x" not in shown


def test_faces_are_outlined_and_the_chosen_one_is_marked() -> None:
    photo = session.ChosenPhoto("p", "two.jpg", 200, 100, "data:,", boxes=((10, 10, 50, 50), (100, -5, 140, 40)))
    shown = widgets.photo_view(dataclasses.replace(photo, face_index=1), session.Crop())
    assert shown.count('class="face"') == 2
    assert "left:50.00%;top:0.00%" in shown
    assert 'data-pick="1" aria-pressed="true"' in shown
    assert 'class="square"' in widgets.photo_view(photo, session.Crop("manual"))


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
    assert styles.file_name("../Old  Engraving!") == "old-engraving"
    assert styles.file_name("///") == "style"


def test_steps_light_up_in_order() -> None:
    empty = train_handlers.heads(())
    assert [" on" in head or "step on" in head for head in empty] == [True, False, False]
    face = object()
    ready = train_handlers.heads((session.Reference("k", "p", "a", face=face),))
    assert "done" in ready[0]
    assert "si-step on" in ready[1]
    assert "si-step on" in ready[2]


def test_training_needs_a_usable_reference() -> None:
    with pytest.raises(NoReferences):
        train_handlers._checked((session.Reference("k", "p", "a", problem="no face"),))


def test_uploads_from_elsewhere_are_refused() -> None:
    assert stylize_handlers.uploaded_path(None) is None
    with pytest.raises(gr.Error):
        stylize_handlers.uploaded_path({"path": "/etc/hostname"})


def test_the_door_opens_once_and_tries_again_after_a_failure() -> None:
    calls: list[int] = []
    warmed = threading.Event()

    def opening() -> str:
        calls.append(1)
        if len(calls) == 1:
            raise NoFaceFound("first")
        return "studio"

    door = engine.StudioDoor()
    future = door.open_in_background(opening, warm_up=lambda studio: warmed.set())
    assert isinstance(future.exception(timeout=10), NoFaceFound)
    assert door.studio(timeout_s=10) == "studio"
    assert door.studio() == "studio"
    assert warmed.wait(10)
    assert len(calls) == 2


def test_stopping_ends_the_stream_without_a_style(monkeypatch: pytest.MonkeyPatch, own_data_dir: object) -> None:
    class Studio:
        def train(self, references: object, config: object, **options: object) -> Iterator[int]:
            yield 1
            if options["stop"]():
                raise TrainingStopped
            yield 2

    flag = visitors.Sessions().begin_run("visitor")
    monkeypatch.setattr(engine, "studio", Studio)
    steps = engine.train((), FinetuneConfig(), "name", None, None, str(flag))
    assert next(steps) == 1
    flag.touch()
    assert list(steps) == []


def test_declared_accelerator_time_grows_with_steps_pictures_and_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    def declared(steps: int, references: int, resolution: int) -> int:
        backbone = SimpleNamespace(resolution=resolution, name="mini")
        monkeypatch.setattr(engine, "studio", lambda: SimpleNamespace(backbone=backbone))
        config = FinetuneConfig(steps=steps, identity_weight=1.0, references_per_step=0)
        return engine.train_seconds([None] * references, config)

    short = declared(150, 1, 256)
    assert short < declared(500, 1, 256) < declared(500, 8, 256) < declared(500, 8, 1024)
    assert engine.draw_seconds(None, object()) < engine.draw_seconds(None, None) + 1
    assert engine.many_seconds([None] * 3) < engine.many_seconds([None] * 24)
