"""What an engine is: it reads an aligned face, learns a style from references, and draws the face in the style.

Page, command line and measurements know engines by this protocol alone. What an engine keeps of a face or a style
(codes, maps, weights) is its own affair: `Prepared`, `Style` and `Drawing` are frozen values that are handed on, not
opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar

from core.errors import TrainingStopped
from core.options import check_ranges, option
from core.progress import OnProgress, ignore_progress

if TYPE_CHECKING:
    from PIL import Image

    from core.imaging.align import AlignedFace
    from core.imaging.faces import FaceFinder

Stop = Callable[[], bool]
Background = Literal["photo", "plain", "style"]
Size = Literal["512", "1024"]
Config = TypeVar("Config", bound="TrainingConfig")


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do.

    Attributes:
        resolution_px: side of its quick drawings.
        crop_px: side of the aligned crops that it reads; `resolution_px` where 0.
        trains: it learns new styles from references.
        needs_references: a style of its own making needs at least one style picture.
        live: quick enough to draw camera frames as they come.
    """

    resolution_px: int
    trains: bool = False
    needs_references: bool = False
    live: bool = False
    crop_px: int = 0

    @property
    def reads_px(self) -> int:
        """Side of the aligned crops that it reads."""
        return self.crop_px or self.resolution_px


@dataclass(frozen=True)
class EngineDescription:
    """What runs, for the status line, logs, reports and a picture's history.

    Attributes:
        engine: name in the registry.
        variant: which of the engine's published models, "" where it has one only.
        title: the model in a visitor's words, in English.
        fingerprint: of the model's weights.
        resolution_px: side of its drawings.
        device, precision: PyTorch's names.
        reason: why this variant was chosen; an English sentence, or "".
    """

    engine: str
    variant: str
    title: str
    fingerprint: str
    resolution_px: int
    device: str
    precision: str
    reason: str = ""


@dataclass(frozen=True)
class Prepared:
    """A face as an engine read it. Engines add what they need; nobody else looks inside. Can be pickled.

    Attributes:
        engine: who prepared it, and alone can draw it.
        face: the aligned crop that was read.
    """

    engine: str
    face: AlignedFace


@dataclass(frozen=True)
class Style:
    """A style as an engine learned or read it. Engines add what they need.

    Attributes:
        engine: who made it, and alone can draw in it.
        name: for people.
        references: number of style pictures behind it.
        method: how it was learned, in the engine's terms.
    """

    engine: str
    name: str
    references: int
    method: str

    @property
    def has_brushwork(self) -> bool:
        """Whether drawings in it change with `DrawOptions.brush`."""
        return False


@dataclass(frozen=True)
class ReadyStyle:
    """A style that ships with the app.

    Attributes:
        slug: its name in addresses, on the command line and in votes.
        title: for people.
        references: number of style pictures behind it.
        thumbnail, path: its picture and its style file.
    """

    slug: str
    title: str
    references: int
    thumbnail: Path
    path: Path


@dataclass(frozen=True)
class DrawOptions:
    """How a face is drawn in a style; command line, API and page derive their options from these fields."""

    strength: float = option(1.0, label="Style strength", help="0: photo-like, 1: the style in full.", low=0, high=1)
    keep_colour: bool = option(False, label="Keep my colours", help="Keep the photo's colours.")
    brush: float = option(
        1.0, label="Brushwork", help="0: the model's drawing, 1: the artist's strokes.", low=0, high=1
    )
    shape: float = option(0.3, label="Shape", help="How far the face takes the style's proportions.", low=0, high=1)
    skin_tone: float = option(
        1.0, label="Skin tone", help="How far the skin stays as light or dark as on the photo.", low=0, high=1
    )
    background: Background = option(
        "style",
        label="Background",
        help="What is behind the person.",
        choices={"style": "The style's", "plain": "Plain", "photo": "My photo's"},
    )
    size: Size = option(
        "512",
        label="Size",
        help="Side of portraits with brushwork, in pixels.",
        choices={"512": "512 px", "1024": "1024 px, slower"},
    )
    seed: int = option(
        0,
        label="Seed",
        help="Another number draws other strokes; the same one, the same picture.",
        low=0,
        high=2**31 - 1,
    )

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class Drawing:
    """A finished picture and how it was made.

    Attributes:
        image: RGB, square, the engine's resolution.
        provenance: engine, model, style, options, ... as plain values that JSON can hold.
    """

    image: Image.Image
    provenance: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingConfig:
    """Settings that every training run has; an engine adds its own in a frozen subclass."""

    steps: int = option(150, label="Steps", help="Training steps.", low=1, high=2000)
    seed: int = option(0, label="Seed", help="Same seed, same style.", low=0, high=2**31 - 1)
    preview_every: int = option(
        10, label="Steps between previews", help="Steps between two previews.", low=1, high=2000
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    preset_titles: ClassVar[Mapping[str, str]] = {}  # for people, in English; a preset's own name where there is none
    person_option: ClassVar[str | None] = None  # takes "photo" for a style that suits one person, "style" for any

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def needs_photo(self) -> bool:
        """Whether the style is made for the person on one photo, which then has to be given."""
        return False

    @classmethod
    def preset_title(cls, name: str) -> str:
        """Return a preset's name for people, in English."""
        return cls.preset_titles.get(name, name.replace("_", " ").capitalize())

    @property
    def practice_faces(self) -> int:
        """How many faces are drawn to learn from before the first step."""
        return 0

    def pictures_per_step(self, references: int) -> int:
        """Count the pictures that pass through the networks in one step, which decides how long the step takes."""
        return references

    @classmethod
    def from_preset(cls: type[Config], preset: str | None = None, **overrides: Any) -> Config:
        """Return a preset's settings with some of them changed.

        Raises:
            ValueError: an unknown preset or setting, or a value out of range.
        """
        if preset is not None and preset not in cls.presets:
            raise ValueError(f"the preset must be one of {', '.join(cls.presets) or 'none'}, got {preset!r}")
        known = {declared.name for declared in fields(cls)}
        if unknown := sorted(set(overrides) - known):
            raise ValueError(f"{cls.__name__} has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        return cls(**{**(cls.presets[preset] if preset is not None else {}), **overrides})


@dataclass(frozen=True)
class TrainingStep:
    """A moment of a training run. The last one of a run that was not stopped holds the style.

    Attributes:
        step: 1 .. steps; 0 while faces to learn from are drawn.
        loss: what was minimised.
        seconds_left: estimate from the steps so far; None at the first.
        preview: the preview face, drawn in the unfinished style, every few steps; at step 0 a face to learn
            from, None while it is being drawn.
        style: the finished style; None before the last step.
    """

    step: int
    steps: int
    loss: float
    seconds_left: float | None = None
    preview: Image.Image | None = None
    style: Style | None = None


def run_to_end(steps: Iterable[TrainingStep], on_step: Callable[[TrainingStep], None] = lambda _: None) -> Style:
    """Train to the end and return the style; `on_step` hears of every step.

    Raises:
        TrainingStopped: the run ended without a style.
    """
    style = None
    for item in steps:  # beyond the style too, so that whoever trains can tidy up
        on_step(item)
        style = item.style or style
    if style is None:
        raise TrainingStopped
    return style


@dataclass(frozen=True)
class LoadRequest:
    """How an engine shall be loaded.

    Attributes:
        variant: which of its published models; its own choice where None.
        device: PyTorch's name of a device; the engine's own choice where None.
        on_progress: hears of downloads.
    """

    variant: str | None = None
    device: str | None = None
    on_progress: OnProgress = ignore_progress


class Engine(Protocol):
    """A loaded engine. It holds no visitor's data and may be shared by threads.

    A new engine subclasses this, sets the three attributes, and writes `prepare` and `draw`; one that trains adds
    `train`, `load_style` and `save_style`. Then `core.engines.registry` gets one entry.
    """

    description: EngineDescription
    capabilities: Capabilities
    finder: FaceFinder

    def prepare(self, face: AlignedFace) -> Prepared:
        """Read an aligned face once, so that it can be drawn many times."""
        ...

    def draw(self, prepared: Prepared, style: Style | None, options: DrawOptions = DrawOptions()) -> Drawing:
        """Draw a face in a style; without one, the face as the engine sees it."""
        ...

    def draw_levels(
        self, prepared: Prepared, style: Style | None, options: DrawOptions = DrawOptions()
    ) -> Iterator[Drawing]:
        """Draw as `draw`, showing what is there so far: the last drawing is the finished one."""
        yield self.draw(prepared, style, options)

    def config(self, preset: str | None = None, **overrides: Any) -> TrainingConfig:
        """Return the settings of a run, with whatever the engine decides filled in. Raises ValueError."""
        return TrainingConfig.from_preset(preset, **overrides)

    def train(
        self,
        references: Sequence[AlignedFace],
        config: TrainingConfig,
        *,
        name: str,
        photo: AlignedFace | None = None,
        preview: AlignedFace | None = None,
        stop: Stop = lambda: False,
    ) -> Iterator[TrainingStep]:
        """Learn a style from aligned artworks, step by step; closing the iterator leaves nothing behind.

        Args:
            references: the artworks.
            config: from `config`.
            name: of the style.
            photo: the person whose style it shall be, where `config.needs_photo`.
            preview: a face to draw meanwhile.
            stop: asked before every picture that is read and before every step.

        Raises:
            NoReferences, TooManyReferences: more or fewer artworks than the engine takes.
            TrainingStopped: `stop` said so; nothing is kept.
            ValueError: a photo is needed, and None was given; or this engine does not train.
        """
        raise ValueError(f"the engine '{self.description.engine}' does not train")

    def read_as_photo(self, prepared: Prepared) -> Image.Image:
        """Show what the engine takes a reference for: an artwork as the photo behind it, as far as it can tell."""
        return prepared.face.image

    def ready_styles(self) -> Sequence[ReadyStyle]:
        """List the styles that ship for this engine and model, in the order to show."""
        return ()

    def load_style(self, path: Path) -> Style:
        """Read and check a style file. Raises StyleFileInvalid, StyleForOtherBackbone."""
        raise ValueError(f"the engine '{self.description.engine}' has no style files")

    def save_style(self, style: Style, path: Path) -> Path:
        """Write a style file and return its path. Raises DiskFull."""
        raise ValueError(f"the engine '{self.description.engine}' has no style files")
