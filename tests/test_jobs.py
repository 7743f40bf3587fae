"""Every job of page and API on a small studio with the real face finder, from files to pictures and styles."""

from __future__ import annotations

import itertools
import pickle
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.config import ASSETS_DIR, PhotoLimits
from core.engines.base import DrawOptions, run_to_end
from core.engines.fewshot_gan.config import FinetuneConfig
from core.engines.fewshot_gan.style_file import GanStyle
from core.errors import (
    FaceIndexOutOfRange,
    NoFaceFound,
    PhotoTooLarge,
    PhotoUnreadable,
    StyleFileInvalid,
    TrainingStopped,
)
from core.execution.base import Executor, Update, last_result
from core.execution.choose import make_executor
from core.execution.in_process import InProcessExecutor
from core.execution.jobs import (
    ROUGH_PX,
    CompareStyles,
    DrawnPhoto,
    DrawPhotos,
    DrawPortrait,
    FindFaces,
    PictureFile,
    ReadReference,
    ReadReferences,
    ReferencePicture,
    TrainStyle,
)
from core.execution.local import LocalAccelerator
from core.execution.turns import Turns
from core.execution.zero_gpu import DRAWING_S, PRACTICE_S, START_S, drawing_seconds, training_seconds
from core.imaging.align import AlignedFace
from core.imaging.square import Square
from core.studio import Studio
from tests.fake_engine import SIDE_PX, FlatColour, FlatStyle
from tests.tiny_backbone import drawings, tiny_backbone, tiny_studio_that_finds_faces

FIRST, SECOND, *_ = sorted((ASSETS_DIR / "examples").glob("*.png"))


@pytest.fixture(scope="module")
def studio() -> Studio:
    return tiny_studio_that_finds_faces()


@pytest.fixture(scope="module")
def made(studio: Studio) -> tuple[Executor, LocalAccelerator]:
    return make_executor(lambda: studio)


@pytest.fixture(scope="module")
def executor(made: tuple[Executor, LocalAccelerator]) -> Executor:
    return made[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def crowd(folder: Path) -> PictureFile:
    """Two faces side by side, the second one larger, in a wide photo."""
    canvas = Image.new("RGB", (640, 320), (180, 190, 200))
    canvas.paste(Image.open(FIRST).convert("RGB").resize((220, 220)), (20, 60))
    canvas.paste(Image.open(SECOND).convert("RGB").resize((300, 300)), (320, 10))
    canvas.save(folder / "crowd.png")
    return PictureFile(folder / "crowd.png")


@pytest.fixture(scope="module")
def empty(folder: Path) -> PictureFile:
    """A picture without a face."""
    Image.new("RGB", (128, 128), (90, 120, 60)).save(folder / "meadow.png")
    return PictureFile(folder / "meadow.png")


@pytest.fixture(scope="module")
def broken(folder: Path) -> PictureFile:
    """No picture at all."""
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    return PictureFile(folder / "broken.png", name="IMG_1.png")


@pytest.fixture(scope="module")
def artworks(studio: Studio, folder: Path) -> list[Path]:
    paths = []
    for number, picture in enumerate(drawings(tiny_backbone(), 2)):
        paths.append(folder / f"art{number}.png")
        picture.save(paths[-1])
    return paths


@pytest.fixture(scope="module")
def references(studio: Studio, artworks: list[Path]) -> tuple[AlignedFace, ...]:
    return tuple(studio.align(PictureFile(path).load(), crop="aligned") for path in artworks)


@pytest.fixture(scope="module")
def styles(studio: Studio, references: tuple[AlignedFace, ...], folder: Path) -> tuple[Path, Path]:
    """Two style files."""
    paths = []
    for seed in range(2):
        style = run_to_end(
            studio.train(references, studio.config("sketch", method="paper", steps=2, seed=seed), name=f"Ink {seed}")
        )
        paths.append(studio.save_style(style, folder / f"ink{seed}.safetensors"))
    return paths[0], paths[1]


def pixels(image: Image.Image) -> bytes:
    return image.convert("RGB").tobytes()


# --- finding faces ------------------------------------------------------------------------------------------


def test_faces_are_found_and_the_largest_is_cut_out(executor: Executor, crowd: PictureFile, studio: Studio) -> None:
    found = executor.result(FindFaces(crowd))
    assert found.photo.image.size == (640, 320) and found.problem is None
    (left, *_), (other, *_) = found.boxes
    assert left > 300 > other, "the largest first"
    assert found.face is not None and pixels(found.face.image) == pixels(studio.align(crowd.load()).image)


def test_a_picture_without_a_face_is_a_photo_with_a_problem(executor: Executor, empty: PictureFile) -> None:
    found = executor.result(FindFaces(empty))
    assert found.photo.name == "meadow.png" and found.boxes == () and found.face is None
    assert isinstance(found.problem, NoFaceFound) and "'meadow.png'" in str(found.problem)


def test_unreadable_and_large_pictures_are_refused(executor: Executor, broken: PictureFile) -> None:
    with pytest.raises(PhotoUnreadable, match=r"'IMG_1\.png' as a picture"):
        executor.result(FindFaces(broken))
    with pytest.raises(PhotoTooLarge, match=r"'face_1\.png'"):
        executor.result(FindFaces(PictureFile(FIRST, limits=PhotoLimits(max_bytes=1000))))


# --- drawing ------------------------------------------------------------------------------------------------


def test_a_portrait_and_the_next_one_of_the_same_face(
    executor: Executor, studio: Studio, styles: tuple[Path, Path]
) -> None:
    source = PictureFile(FIRST)
    first = executor.result(DrawPortrait(source, styles[0]))
    wanted = studio.stylize(studio.align(source.load()), studio.load_style(styles[0]))
    assert pixels(first.after) == pixels(wanted.image) and pixels(first.before) == pixels(first.face.image)
    assert first.after.size == (64, 64)

    gone = PictureFile(Path("no longer there.png"))
    options = DrawOptions(strength=0.5, keep_colour=True, seed=3)
    again = executor.result(DrawPortrait(gone, styles[1], options, first.face, first.prepared))
    assert again.prepared is first.prepared, "the face was not read again"
    wanted = studio.draw(first.prepared, studio.load_style(styles[1]), options)
    assert pixels(again.after) == pixels(wanted.image)


def test_a_portrait_of_another_face_or_part(executor: Executor, crowd: PictureFile, styles: tuple[Path, Path]) -> None:
    first, second = (executor.result(DrawPortrait(crowd, styles[0], face_index=index)) for index in (0, 1))
    assert pixels(first.before) != pixels(second.before)
    boxed = executor.result(DrawPortrait(crowd, styles[0], crop=Square((129.5, 169.5), 220)))
    assert boxed.face.quad.min() == 19.5
    with pytest.raises(FaceIndexOutOfRange, match="2 face"):
        executor.result(DrawPortrait(crowd, styles[0], face_index=2))


def test_a_portrait_in_its_photo(executor: Executor, crowd: PictureFile, styles: tuple[Path, Path]) -> None:
    portrait = executor.result(DrawPortrait(crowd, styles[0], face_index=1, blend=True))
    assert portrait.drawing.provenance["background"] == "photo", "behind a drawing in its photo there is the photo"
    assert pixels(portrait.before) == pixels(crowd.load().image)
    assert portrait.after.size == portrait.before.size and pixels(portrait.after) != pixels(portrait.before)
    right = (320, 0, 640, 320)
    assert pixels(portrait.after.crop(right)) == pixels(portrait.before.crop(right)), "the other person stays"
    again = DrawPortrait(crowd, styles[0], face=portrait.face, prepared=portrait.prepared, blend=True)
    assert pixels(executor.result(again).after) == pixels(portrait.after)


def test_a_portrait_grows_from_a_quick_drawing_to_the_finished_one(tmp_path: Path) -> None:
    studio = Studio(FlatColour())
    executor, _ = make_executor(lambda: studio)
    path = studio.save_style(FlatStyle("flat", "Red", 1, "mean", (200, 30, 30)), tmp_path / "red.json")
    job = DrawPortrait(PictureFile(FIRST), path, DrawOptions(strength=0.5), crop="aligned")
    quick, finished = executor.stream(job)
    assert (quick.after.size, finished.after.size) == ((SIDE_PX // 4,) * 2, (SIDE_PX,) * 2)
    assert quick.prepared is finished.prepared, "read once"
    assert pixels(executor.result(job).after) == pixels(finished.after)

    Image.open(FIRST).convert("RGB").resize((2000, 2000)).save(tmp_path / "large.png")
    large = PictureFile(tmp_path / "large.png")
    *rough, whole = executor.stream(replace(job, source=large, blend=True))
    assert [portrait.after.size for portrait in rough] == [(ROUGH_PX, ROUGH_PX)] * 2, "quick to lay in"
    assert whole.before.size == whole.after.size == (2000, 2000)
    reduced = np.asarray(whole.after.resize(rough[-1].after.size, Image.Resampling.BOX), dtype=float)
    assert np.abs(reduced - np.asarray(rough[-1].after, dtype=float)).mean() < 3, "in the same place"


def test_several_styles_are_drawn_alike(executor: Executor, styles: tuple[Path, Path]) -> None:
    source = PictureFile(FIRST)
    compared = executor.result(CompareStyles(source, styles))
    for path, drawing in zip(styles, compared.drawings, strict=True):
        alone = executor.result(DrawPortrait(source, path, face=compared.face, prepared=compared.prepared))
        assert pixels(drawing) == pixels(alone.after)
    assert pixels(compared.drawings[0]) != pixels(compared.drawings[1])


def test_style_files_that_changed_are_read_again(
    made: tuple[Executor, LocalAccelerator], styles: tuple[Path, Path], tmp_path: Path
) -> None:
    executor, local = made
    path = tmp_path / "mine.safetensors"
    path.write_bytes(styles[0].read_bytes())
    kept = local.style_at(path)
    assert local.style_at(path) is kept
    local.forget_styles()
    assert local.style_at(path) is not kept
    path.unlink()
    with pytest.raises(StyleFileInvalid, match="it is no longer here"):
        executor.result(DrawPortrait(PictureFile(FIRST), path))


def test_photos_are_drawn_and_the_others_say_why_not(
    executor: Executor, styles: tuple[Path, Path], broken: PictureFile, empty: PictureFile, studio: Studio
) -> None:
    sources = (PictureFile(FIRST, "first"), broken, empty, PictureFile(SECOND))
    updates = list(executor.stream(DrawPhotos(sources, styles[0])))
    done = [update.value for update in updates if update.value is not None]
    assert [photo.name for photo in done] == ["IMG_1.png", "meadow.png", "first", "face_2.png"]
    assert [type(photo.problem) for photo in done[:2]] == [PhotoUnreadable, NoFaceFound]
    style = studio.load_style(styles[0])
    for photo, path in zip(done[2:], (FIRST, SECOND), strict=True):
        wanted = studio.stylize(studio.align(PictureFile(path).load()), style)
        assert photo.image is not None and pixels(photo.image) == pixels(wanted.image)
    looked = [update.progress for update in updates if update.progress.what == "looking for faces"]
    assert {progress.of for progress in looked} == {4}
    drawn = [update.progress.done for update in updates if update.progress.what == "drawing"]
    assert drawn == [1, 2] and updates[-1].progress.fraction == 1


def test_no_photo_with_a_face_needs_no_accelerator(broken: PictureFile, studio: Studio) -> None:
    executor = InProcessExecutor(lambda: studio, None)  # type: ignore[arg-type]
    *_, last = executor.stream(DrawPhotos((broken,), Path("no style")))
    assert isinstance(last, Update) and isinstance(last.value, DrawnPhoto)
    assert isinstance(last.value.problem, PhotoUnreadable)


# --- references and training --------------------------------------------------------------------------------


def test_references_are_aligned_then_shown_as_photos(
    executor: Executor, studio: Studio, artworks: list[Path], broken: PictureFile, references: tuple[AlignedFace, ...]
) -> None:
    pictures = (
        ReferencePicture("found", PictureFile(FIRST)),
        ReferencePicture("broken", broken),
        ReferencePicture("faceless", PictureFile(artworks[0])),
        ReferencePicture("as it is", PictureFile(artworks[0]), crop="aligned"),
        ReferencePicture("known", PictureFile(Path("gone.png")), face=references[1]),
    )
    read: dict[str, list[ReadReference]] = {}
    for update in executor.stream(ReadReferences(pictures)):
        if update.value is not None:
            read.setdefault(update.value.key, []).append(update.value)
    assert [item.readable for item in (*read["broken"], *read["faceless"])] == [False, True]
    assert isinstance(read["faceless"][0].problem, NoFaceFound)
    assert [len(read[key]) for key in ("found", "as it is", "known")] == [2, 2, 1], "a known face is not aligned again"
    for key in ("found", "as it is", "known"):
        last = read[key][-1]
        assert last.face is not None and last.as_photo is not None
        assert pixels(last.as_photo) == pixels(studio.read_as_photo(last.face))


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    return tmp_path / "stop"


def test_a_training_shows_a_preview_and_ends_with_the_style(
    executor: Executor, studio: Studio, references: tuple[AlignedFace, ...], flag: Path, styles: tuple[Path, Path]
) -> None:
    config = studio.config("sketch", method="paper", steps=2)
    steps = list(executor.stream(TrainStyle(references, config, "Ink 0", flag, preview=PictureFile(FIRST))))
    assert [step.preview is not None for step in steps] == [True, True]
    assert steps[-1].style is not None and steps[-1].style.name == "Ink 0"
    again = studio.load_style(studio.save_style(steps[-1].style, flag.with_name("again.safetensors")))
    before = studio.load_style(styles[0])
    assert isinstance(again, GanStyle) and isinstance(before, GanStyle) and again.meta == before.meta
    assert all(torch.equal(change, before.weights[name]) for name, change in again.weights.items())
    plain = list(executor.stream(TrainStyle(references, config, "Ink 0", flag)))
    assert not any(step.preview for step in plain)


def test_a_training_stops_when_the_flag_appears(
    executor: Executor, studio: Studio, references: tuple[AlignedFace, ...], flag: Path
) -> None:
    run = executor.stream(TrainStyle(references, studio.config("sketch", method="paper", steps=50), "x", flag))
    assert next(run).step == 1
    flag.touch()
    with pytest.raises(TrainingStopped):
        next(run)


def test_a_training_for_one_person(
    executor: Executor, studio: Studio, references: tuple[AlignedFace, ...], flag: Path, crowd: PictureFile
) -> None:
    config = studio.config("sketch", method="paper", steps=1, anchor="photo")
    with pytest.raises(ValueError, match="a photo is needed"):
        list(executor.stream(TrainStyle(references, config, "x", flag)))
    (step,) = executor.stream(TrainStyle(references, config, "x", flag, person=crowd, face_index=1))
    assert step.preview is not None, "the person is the preview where there is no other"
    with pytest.raises(FaceIndexOutOfRange):
        list(executor.stream(TrainStyle(references, config, "x", flag, person=crowd, face_index=2)))


# --- executors ----------------------------------------------------------------------------------------------


def test_jobs_and_what_they_give_can_be_pickled(
    executor: Executor, studio: Studio, styles: tuple[Path, Path], references: tuple[AlignedFace, ...], flag: Path
) -> None:
    portrait = DrawPortrait(PictureFile(FIRST), styles[0])
    training = TrainStyle(references, studio.config("sketch", method="paper", steps=1), "x", flag)
    for job in (portrait, training):
        here, there = (list(executor.stream(item)) for item in (job, pickle.loads(pickle.dumps(job))))
        assert len(pickle.loads(pickle.dumps(here))) == len(there) == 1


def test_the_result_is_the_last_one() -> None:
    assert last_result(iter([1, 2, 3])) == 3
    with pytest.raises(RuntimeError, match="expected a result, got none"):
        last_result(iter([]))


def test_closing_a_stream_ends_the_work(
    studio: Studio, styles: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[bool] = []

    class Watched(LocalAccelerator):
        def draw_many(self, *arguments: object) -> Iterator[object]:
            try:
                yield from super().draw_many(*arguments)  # type: ignore[arg-type]
            finally:
                ended.append(True)

    executor = InProcessExecutor(lambda: studio, Watched(lambda: studio))
    run = executor.stream(DrawPhotos((PictureFile(FIRST),) * 2, styles[0]))
    while next(run).progress.what != "drawing":
        pass
    run.close()  # type: ignore[attr-defined]
    assert ended == [True]


def test_nobody_shares_this_process_by_the_second(made: tuple[Executor, LocalAccelerator], studio: Studio) -> None:
    executor, _ = made
    assert type(executor) is InProcessExecutor
    assert executor.accelerator_seconds(studio.config("sketch"), 4) is None


def test_declared_time_grows_with_steps_pictures_and_pixels() -> None:
    def seconds(steps: int, references: int, resolution_px: int) -> float:
        config = FinetuneConfig(method="paper", steps=steps, identity_weight=1.0, references_per_step=0)
        return training_seconds(config, references, resolution_px)

    assert START_S + DRAWING_S < seconds(150, 1, 256) < seconds(500, 1, 256)
    assert seconds(500, 1, 256) < seconds(500, 8, 256) < seconds(500, 8, 1024)
    assert training_seconds(FinetuneConfig(steps=500), 1, 256) > seconds(500, 1, 256) + 10 * PRACTICE_S
    sizes = DrawOptions(brush=0), DrawOptions(), DrawOptions(size="1024")
    assert DRAWING_S == drawing_seconds(sizes[0]) < drawing_seconds(sizes[1]) < drawing_seconds(sizes[2])


def steps(count: int, done: list[int]) -> Iterator[int]:
    """Work that notes every step."""
    for number in range(count):
        done.append(number)
        yield number


def until_told(told: threading.Event, begun: threading.Event) -> Iterator[str]:
    """Quick work that takes as long as the test wants."""
    begun.set()
    told.wait(10)
    yield "done"


def test_long_work_stops_between_its_steps_while_quick_work_runs() -> None:
    turns, done = Turns(clock=itertools.count(0.0, 100.0).__next__), []  # every step takes 100 s, so it may stop long
    told, begun = threading.Event(), threading.Event()
    drawing = threading.Thread(target=list, args=[turns.at_once(until_told(told, begun))])
    drawing.start()
    assert begun.wait(5)
    training = threading.Thread(target=list, args=[turns.between(steps(3, done))])
    training.start()
    training.join(0.2)
    assert training.is_alive() and done == [0], "its first step is done, the second one waits"
    told.set()
    training.join(5)
    assert done == [0, 1, 2]


def test_long_work_keeps_a_share_however_much_quick_work_there_is() -> None:
    turns, done = Turns(clock=itertools.count(0.0, 0.01).__next__), []
    told, begun = threading.Event(), threading.Event()
    drawing = threading.Thread(target=list, args=[turns.at_once(until_told(told, begun))])
    drawing.start()
    assert begun.wait(5)
    started = time.monotonic()
    assert list(turns.between(steps(4, done))) == done == [0, 1, 2, 3]
    assert 4 * 0.04 * 0.9 < time.monotonic() - started < 2, "after a step of 10 ms it stops for 40 ms"
    told.set()
    drawing.join()


def test_quick_work_that_nobody_waits_for_stops_nobody() -> None:
    turns = Turns(clock=itertools.count(0.0, 100.0).__next__)
    left = turns.at_once(steps(3, []))
    next(left)  # and its visitor is gone, without closing anything
    started = time.monotonic()
    assert list(turns.between(steps(2, []))) == [0, 1]
    assert time.monotonic() - started < 1


def test_work_that_is_given_up_ends_at_once() -> None:
    turns, ended = Turns(), []

    def work() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            ended.append(True)

    for kind in (turns.between, turns.at_once):
        results = kind(work())
        next(results)
        results.close()
    assert ended == [True, True]
    assert list(turns.between(steps(2, []))) == [0, 1], "nobody is thought to be working still"
