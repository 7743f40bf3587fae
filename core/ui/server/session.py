"""What one visitor has open, as small picklable values for `gr.State`."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from core.engines.base import Prepared
    from core.imaging.align import AlignedFace

Box = tuple[int, int, int, int]
CropMode = Literal["detect", "aligned", "manual"]


@dataclass(frozen=True)
class Crop:
    """How the face is cut out: found, the picture as it is, or a square.

    The square's centre is in percent of the picture's width and height, its side in percent of the shorter one.
    """

    mode: CropMode = "detect"
    across_percent: float = 50.0
    down_percent: float = 50.0
    size_percent: float = 70.0

    def square(self, width: int, height: int) -> Box:
        """Return the manual square as (left, top, right, bottom) in pixels, kept inside the picture."""
        side = max(1, round(min(width, height) * self.size_percent / 100))
        left = min(max(0, round(width * self.across_percent / 100 - side / 2)), width - side)
        top = min(max(0, round(height * self.down_percent / 100 - side / 2)), height - side)
        return left, top, left + side, top + side

    def for_studio(self, width: int, height: int) -> Literal["detect", "aligned"] | Box:
        """Return `Studio.align`'s `crop` argument."""
        return self.square(width, height) if self.mode == "manual" else self.mode


@dataclass(frozen=True)
class ChosenPhoto:
    """An uploaded photo: its file, upright size in pixels, faces (largest first), and a sentence if none was found."""

    path: str
    name: str
    width: int
    height: int
    view: str  # data address of a small copy for the page
    boxes: tuple[Box, ...] = ()
    face_index: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Portrait:
    """The last drawn face, kept so that strength and colour redraw without reading the face again."""

    key: tuple[object, ...]
    face: AlignedFace
    prepared: Prepared | None


@dataclass(frozen=True)
class KeptPortrait:
    """A finished portrait that the visitor can go back to.

    Attributes:
        of: what decides it: face and style; a newer one of the same takes its place.
        title: of the style.
        before, after: files of the photo and the portrait, in the same framing.
        picture: data address of a small copy.
        blended: the drawing lies in the whole photo.
    """

    of: tuple[object, ...]
    title: str
    before: str
    after: str
    picture: str
    blended: bool = False


@dataclass(frozen=True)
class Reference:
    """One style picture on the New style page; `problem` is empty when `face` can be trained on.

    `readable` is false for a file that is no picture, where using it as it is would not help.
    """

    key: str
    path: str
    name: str
    aligned: bool = False
    face: AlignedFace | None = None
    crop_view: str = ""
    look_view: str = ""
    problem: str = ""
    readable: bool = True


@dataclass(frozen=True)
class MyStyle:
    """A style that this visitor trained or opened.

    Its file has the folder `slug` to itself, with what the style gallery shows beside it.

    Attributes:
        thumbnail: a data address.
        engine: who alone can draw in it; "" in what an earlier version kept.
    """

    slug: str
    title: str
    references: int
    thumbnail: str
    path: str
    engine: str = ""


def new_key() -> str:
    """Return a short random name."""
    return uuid.uuid4().hex[:12]
