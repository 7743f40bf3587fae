"""The one Studio of this process and the functions that need its accelerator.

`spaces.GPU` changes nothing outside ZeroGPU. There, each call runs in a forked worker, so arguments and results are
picklable values with CPU tensors, styles travel as paths, and failures are turned into `gr.Error` inside the worker.
Nothing here imports torch before the Studio is opened, which keeps the start of the page quick.
"""

from __future__ import annotations

import functools
import logging
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import spaces

from core.errors import TrainingStopped
from core.ui.friendly_errors import friendly
from core.ui.server.limits import pictures_per_step
from core.ui.server.visitors import SESSIONS

if TYPE_CHECKING:
    from PIL import Image

    from core.config import FinetuneConfig
    from core.engines.fewshot_gan.invert import Inversion
    from core.engines.fewshot_gan.style_file import Style
    from core.imaging.align import AlignedFace
    from core.studio import Studio, Stylized, TrainingStep

LOGGER = logging.getLogger(__name__)

STYLES_IN_MEMORY = 8
LOOK_SEED = 0  # of the natural look in which inverted artworks are shown
ACCELERATOR: dict[str, Any] = {"concurrency_id": "accelerator", "concurrency_limit": 1}
FACES: dict[str, Any] = {"concurrency_id": "faces", "concurrency_limit": 2}


class StudioLoader:
    """Opens the Studio once; a failed opening is tried again at the next call.

    Whoever asks once it is open takes no lock: a ZeroGPU worker is forked at any moment, and a lock that another
    thread holds just then would stay held in the worker for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: Callable[[], Studio] | None = None
        self._warm_up: Callable[[Studio], object] | None = None
        self._opening: Future[Studio] | None = None
        self._ready: Studio | None = None

    def open_in_background(
        self, open_studio: Callable[[], Studio], *, warm_up: Callable[[Studio], object] | None = None
    ) -> Future[Studio]:
        """Open the Studio in a thread, then let `warm_up` make the first visitor's wait shorter; return its future."""
        with self._lock:
            self._open, self._warm_up, self._ready = open_studio, warm_up, None
            self._opening = self._start()
            return self._opening

    def open_here(self, open_studio: Callable[[], Studio]) -> Future[Studio]:
        """Open the Studio in the calling thread and return its future, done.

        ZeroGPU emulates the accelerator in the main thread alone, so weights must be placed from there.
        """
        future: Future[Studio] = Future()
        try:
            opened = open_studio()
        except Exception as error:
            future.set_exception(error)
        else:
            self._ready = opened
            future.set_result(opened)
        with self._lock:
            self._open, self._warm_up, self._opening = open_studio, None, future
        return future

    def _start(self) -> Future[Studio]:
        future: Future[Studio] = Future()

        def work() -> None:
            try:
                opened = self._open()
            except Exception as error:
                future.set_exception(error)  # kept for whoever asks for the Studio
                return
            self._ready = opened
            future.set_result(opened)
            if self._warm_up is not None:
                try:
                    self._warm_up(opened)
                except Exception:
                    LOGGER.warning("the first drawing, made to warm up, failed", exc_info=True)

        threading.Thread(target=work, name="open-studio", daemon=True).start()
        return future

    def studio(self, *, timeout_s: float | None = None) -> Studio:
        """Return the Studio, waiting until it is open.

        Raises what the opening raised, and `concurrent.futures.TimeoutError` if it takes longer than `timeout_s`.
        """
        if self._ready is not None:
            return self._ready
        with self._lock:
            if self._opening is None:
                raise RuntimeError("open_in_background() was not called")
            if self._opening.done() and self._opening.exception() is not None:
                self._opening = self._start()
            opening = self._opening
        return opening.result(timeout=timeout_s)

    def state(self) -> tuple[Literal["starting", "ok", "failed"], Studio | None]:
        """Return how the opening stands, without waiting and without trying again."""
        if self._ready is not None:
            return "ok", self._ready
        opening = self._opening
        failed = opening is not None and opening.done() and opening.exception() is not None
        return ("failed" if failed else "starting"), None


LOADER = StudioLoader()


def studio() -> Studio:
    """Return the process's Studio, waiting until it is open."""
    return LOADER.studio()


@functools.lru_cache(maxsize=STYLES_IN_MEMORY)
def _read_style(path: str, changed_ns: int) -> Style:
    return studio().load_style(Path(path))


def style_at(path: str) -> Style:
    """Load a style file, keeping the last few in memory. Raises StyleFileInvalid, StyleForOtherBackbone."""
    file = Path(path)
    return _read_style(path, file.stat().st_mtime_ns if file.exists() else 0)


def forget_styles(_: Path) -> None:
    """Drop the styles in memory, since one of them may be a visitor's who left."""
    _read_style.cache_clear()


SESSIONS.when_removed(forget_styles)


# Accelerator seconds to declare, the longest that a call may take, since ZeroGPU ends it there. They are estimates with
# room to spare, to be replaced by measurements: a worker starts and takes the weights over, every step launches some
# thousand kernels whatever their size, and a picture's way forward and back through the networks costs as its pixels.
START_S = 10.0
STEP_S = 0.05
TRAINING_S_PER_MEGAPIXEL = 0.03
DRAWING_S = 0.5


def draw_seconds(face: AlignedFace, inversion: Inversion | None, *_: object) -> int:
    """Accelerator seconds to declare for `draw`."""
    return math.ceil(START_S + DRAWING_S * (2 if inversion is None else 1))


@spaces.GPU(duration=draw_seconds)
@friendly
def draw(
    face: AlignedFace,
    inversion: Inversion | None,
    style_path: str,
    strength: float,
    keep_colour: bool,
    seed: int,
) -> tuple[Inversion, Stylized]:
    """Return the face's inversion (given or made here) and the stylized picture; strength in [0, 1]."""
    inverted = studio().invert(face) if inversion is None else inversion
    style = style_at(style_path)
    return inverted, studio().stylize_inverted(inverted, style, strength=strength, keep_colour=keep_colour, seed=seed)


def many_seconds(faces: Sequence[AlignedFace], *_: object) -> int:
    """Accelerator seconds to declare for a run over several faces."""
    return math.ceil(START_S + 2 * DRAWING_S * len(faces))


@spaces.GPU(duration=many_seconds)
@friendly
def draw_many(
    faces: Sequence[AlignedFace], style_path: str, strength: float, keep_colour: bool, seed: int
) -> Iterator[Stylized]:
    """Yield one stylized picture per face, in order."""
    style = style_at(style_path)
    for face in faces:
        yield studio().stylize(face, style, strength=strength, keep_colour=keep_colour, seed=seed)


@spaces.GPU(duration=many_seconds)
@friendly
def looks(faces: Sequence[AlignedFace]) -> Iterator[Image.Image]:
    """Yield each face as training sees it: its structure in a natural look (Eq. 1), so that artworks become photos."""
    for face in faces:
        yield studio().reconstruct(studio().invert(face), random_look_seed=LOOK_SEED)


def train_seconds(references: Sequence[AlignedFace], config: FinetuneConfig, *_: object) -> int:
    """Accelerator seconds to declare for `train`: they grow with steps, pictures per step and the pictures' pixels."""
    pictures = pictures_per_step(config, len(references)) + 1 / config.preview_every
    megapixels = studio().backbone.resolution ** 2 / 1e6
    step_s = STEP_S + pictures * TRAINING_S_PER_MEGAPIXEL * megapixels
    return math.ceil(START_S + len(references) * DRAWING_S + config.steps * step_s)


@spaces.GPU(duration=train_seconds)
@friendly
def train(
    references: Sequence[AlignedFace],
    config: FinetuneConfig,
    name: str,
    photo: AlignedFace | None,
    preview: AlignedFace | None,
    stop_flag: str,
) -> Iterator[TrainingStep | Style]:
    """Yield the steps of a run and, unless the file `stop_flag` appears meanwhile, the finished style."""
    flag = Path(stop_flag)
    steps = studio().train(references, config, name=name, photo=photo, preview=preview, stop=flag.exists)
    try:
        yield from steps
    except TrainingStopped:
        return
