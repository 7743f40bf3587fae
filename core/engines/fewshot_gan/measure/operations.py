"""What a benchmark times of the embedded backbone: every stage with its real weights. Nothing is timed here.

Operations come one by one, each with what it needs already there; what only it needs is freed when the next is asked
for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import get_args

import torch

from core.engines.base import DrawOptions, LoadRequest, Size
from core.engines.fewshot_gan.config import BackboneName
from core.engines.fewshot_gan.engine import FewShotGan, load, load_backbone
from core.engines.fewshot_gan.finetune import Example, finetune_steps
from core.engines.fewshot_gan.hand import brushed_levels, read_hand, read_sitter
from core.engines.fewshot_gan.measure.pictures import make_pictures
from core.engines.fewshot_gan.synthesize import synthesize
from core.engines.layouts import layout_reader
from core.imaging.align import AlignedFace, align
from core.imaging.photo import Photo

REFERENCE_COUNTS = (1, 4)
STEPS = 1000  # of a training that is stopped when it was measured


@dataclass(frozen=True)
class Operation:
    """A piece of work.

    Attributes:
        name: with its shapes.
        backbone: whose.
        run: does it; may be called as often as wanted.
        dtype: of the arithmetic; None where no network runs.
        note: what a reader should know.
        once: it takes minutes and needs no warm-up.
    """

    name: str
    backbone: BackboneName
    run: Callable[[], object]
    dtype: torch.dtype | None = None
    note: str = ""
    once: bool = False


def load_mini(device: torch.device) -> FewShotGan:
    """Load the engine with the embedded backbone."""
    return load(LoadRequest("mini", str(device)))


def mini_operations(device: torch.device, *, quick: bool, photo: Photo | None = None) -> Iterator[Operation]:
    """Give loading, aligning, inversion, synthesis, drawing and training steps; `quick` keeps the smallest of them."""
    engine = load_mini(device)
    backbone, px = engine.backbone, engine.backbone.resolution
    pictures = make_pictures(engine, references=max(REFERENCE_COUNTS), photo=photo)
    found = engine.prepare(pictures.face)

    def aligned() -> object:
        return align(pictures.photo, engine.finder, size_px=px)

    def drawn() -> object:
        return engine.draw(engine.prepare(align(pictures.photo, engine.finder, size_px=px)), None)

    if not quick:
        yield Operation("load the model", "mini", lambda: load_backbone("mini", device=device))
        yield Operation("detect and align", "mini", aligned)
    yield Operation(f"invert, {px} px", "mini", lambda: engine.prepare(pictures.face), backbone.dtype)
    yield Operation(
        f"synthesize, {px} px", "mini", lambda: synthesize(found.w_plus, found.features, backbone), backbone.dtype
    )
    if not quick:
        yield Operation("photo to picture", "mini", drawn, backbone.dtype)
        yield from _strokes(pictures.face, pictures.references[0])
    counts = REFERENCE_COUNTS[: 1 if quick else None]
    examples = [engine.example(face) for face in pictures.references[: counts[-1]]]
    for count in counts:
        yield training_step(engine, examples[:count])


def _strokes(face: AlignedFace, reference: AlignedFace) -> Iterator[Operation]:
    """Give reading a layout, and a portrait in the hand of one reference, at either size."""
    reader = layout_reader()
    hand = read_hand([reference], reader)

    def portrait(size: Size) -> object:
        options = DrawOptions(size=size)
        sitter = read_sitter(face, reader, hand, options.shape)
        return deque(brushed_levels(sitter, hand, options, threads=torch.get_num_threads()), maxlen=1)

    yield Operation("read a layout", "mini", lambda: reader.read(face.image), torch.float32)
    for size in get_args(Size):
        yield Operation(f"strokes of one reference, {size} px", "mini", partial(portrait, size))


def training_step(engine: FewShotGan, examples: Sequence[Example]) -> Operation:
    """Prepare a step (forward, backward, Adam) of the method with its own defaults."""
    config = replace(engine.config("sketch"), steps=STEPS)
    steps = finetune_steps(examples, [], config, engine.backbone, name="benchmark")
    name = f"fine-tuning step, {len(examples)} reference(s)"
    return Operation(name, "mini", lambda: next(steps), engine.backbone.dtype)
