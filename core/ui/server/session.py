"""What one visitor has open, as small picklable values for `gr.State`."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from core.config import CropMode
from core.imaging.square import Square

if TYPE_CHECKING:
    from core.engines.base import Prepared
    from core.imaging.align import AlignedFace
    from core.imaging.geometry import Box

FRAME_RANGES = ((0.0, 100.0), (0.0, 100.0), (10.0, 150.0), (-360.0, 360.0))  # across, down, size; degrees


@dataclass(frozen=True)
class CropChoice:
    """How the face is cut out: found, the picture as it is, or a square by hand.

    The square's centre is in percent of the picture's width and height, its side in percent of the shorter one; it is
    turned clockwise.
    """

    mode: CropMode | Literal["manual"] = "detect"
    across_percent: float = 50.0
    down_percent: float = 50.0
    size_percent: float = 70.0
    degrees: float = 0.0

    def for_studio(self, width: int, height: int) -> CropMode | Square:
        """Return `Studio.align`'s `crop` argument."""
        if self.mode != "manual":
            return self.mode
        centre = width * self.across_percent / 100 - 0.5, height * self.down_percent / 100 - 0.5
        return Square(centre, min(width, height) * self.size_percent / 100, self.degrees)

    @classmethod
    def by_hand(cls, square: Square, width: int, height: int) -> CropChoice:
        """Describe a square on a picture of this size."""
        across, down = (100 * (at + 0.5) / side for at, side in zip(square.centre, (width, height), strict=True))
        return cls("manual", across, down, 100 * square.side / min(width, height), square.degrees)

    @classmethod
    def told(cls, numbers: object) -> CropChoice:
        """Read what the page's frame tells: across, down, size and degrees, parted by commas; kept in their ranges.

        Raises ValueError for anything else.
        """
        values = [float(number) for number in str(numbers).split(",")]
        if len(values) != len(FRAME_RANGES) or not all(map(math.isfinite, values)):
            raise ValueError(f"expected four numbers, got {numbers!r}")
        across, down, size, degrees = (
            min(max(value, low), high) for value, (low, high) in zip(values, FRAME_RANGES, strict=True)
        )
        return cls("manual", across, down, size, degrees)


@dataclass(frozen=True)
class ChosenPhoto:
    """An uploaded photo.

    Attributes:
        path, name: of the file.
        width, height: upright, in pixels.
        view: data address of a small copy for the page.
        boxes: of the faces, the largest first.
        frames: their crops, as squares by hand would be.
        face_index: the face that is drawn.
        problem: a sentence if no face was found.
    """

    path: str
    name: str
    width: int
    height: int
    view: str
    boxes: tuple[Box, ...] = ()
    frames: tuple[CropChoice, ...] = ()
    face_index: int = 0
    problem: str = ""

    @property
    def frame(self) -> CropChoice:
        """The chosen face's crop; a square in the middle where there is none."""
        return self.frames[self.face_index] if self.face_index < len(self.frames) else CropChoice("manual")


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

    `readable` is false for a file that is no picture, where using it as it is would not help; `square` is the part of
    it that the visitor chose by hand.
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
    square: Square | None = None

    @property
    def crop(self) -> CropMode | Square:
        """Return `Studio.align`'s `crop` argument."""
        return self.square or ("aligned" if self.aligned else "detect")


@dataclass(eq=False)
class Edits:
    """What the visitor did to style pictures meanwhile: changed in place, so that running events see it.

    Attributes:
        removed: keys of pictures.
        cropped: pictures that were cut out anew, by key, as they are now.
    """

    removed: set[str] = field(default_factory=set)
    cropped: dict[str, Reference] = field(default_factory=dict)

    def current(self, references: Iterable[Reference]) -> list[Reference]:
        """Return pictures as they are now, whatever an event knew of them when it began."""

        def latest(item: Reference) -> Reference:
            found = self.cropped.get(item.key, item)
            return item if found.crop == item.crop else found

        return [latest(item) for item in references if item.key not in self.removed]

    def crop(self, reference: Reference) -> None:
        """Note that a picture was cut out anew."""
        self.cropped[reference.key] = reference

    def read(self, reference: Reference) -> None:
        """Note what became of a picture that was cut out anew, unless that happened again."""
        if reference.key in self.cropped and self.cropped[reference.key].crop == reference.crop:
            self.cropped[reference.key] = reference


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
