"""The studio: a backbone loaded once, and the stages composed. What the app and the command line call."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from core.config import ASSETS_DIR, PRESET_STEPS, FinetuneConfig
from core.engines.allocator import give_back_freed_memory, keep_freed_memory
from core.engines.fewshot_gan import synthesize as drawing
from core.engines.fewshot_gan.backbone import Backbone, BackboneChoice, OnProgress, choose_backbone, load_backbone
from core.engines.fewshot_gan.finetune import Example, check_reference_count, finetune_steps, mix_codes
from core.engines.fewshot_gan.invert import Inversion, invert
from core.engines.fewshot_gan.style_file import Style, load_style, save_style
from core.engines.fewshot_gan.synthesize import Stylized
from core.errors import TrainingStopped
from core.imaging.align import AlignedFace, DetectedFace, align, align_one_of, crop_manually, use_as_aligned
from core.imaging.paste import paste_back
from core.imaging.photo import Photo, to_image, to_tensor

STYLES_DIR = ASSETS_DIR / "styles"

Crop = Literal["detect", "aligned"] | tuple[int, int, int, int]


@dataclass(frozen=True)
class StyleCard:
    """A ready-made style as the shelf shows it."""

    slug: str
    title: str
    references: int
    thumbnail: Path
    path: Path


@dataclass(frozen=True)
class TrainingStep:
    """Progress of a training run, as `core.engines.fewshot_gan.finetune.StepReport` but with a picture."""

    step: int
    steps: int
    loss: float
    seconds_left: float | None
    preview: Image.Image | None


@dataclass(frozen=True)
class Studio:
    """A loaded backbone and the sentence that says why it was chosen. Holds no visitor's data; safe to share."""

    backbone: Backbone
    choice: BackboneChoice

    @classmethod
    def open(
        cls, preference: str | None = None, *, device: str | None = None, on_progress: OnProgress | None = None
    ) -> Studio:
        """Choose and load a backbone: "auto", "mini", "ffhq", or `$STYLEIDENTITY_BACKBONE` where None.

        Tells the C library to keep freed memory, for the whole process: see `core.engines.allocator`.
        """
        keep_freed_memory()
        choice = choose_backbone(preference)
        return cls(load_backbone(choice.name, device=device, on_progress=on_progress), choice)

    def find_faces(self, photo: Photo) -> list[DetectedFace]:
        """Faces of a photo, the largest first; may be empty."""
        return self.backbone.finder.find(photo)

    def align(self, photo: Photo, *, face_index: int = 0, crop: Crop = "detect") -> AlignedFace:
        """Crop a face the way the generator knows faces.

        Args:
            face_index: which face, the largest being 0.
            crop: "detect" finds it, "aligned" takes the picture's central square, a box (left, top, right, bottom)
                in photo pixels takes that.

        Raises:
            NoFaceFound, FaceTooSmall, FaceCutOff, FaceIndexOutOfRange, PhotoTooSmall: with what to do about it.
        """
        size_px = self.backbone.resolution
        if crop == "detect":
            return align(photo, self.backbone.finder, face_index=face_index, size_px=size_px)
        if crop == "aligned":
            return use_as_aligned(photo, size_px=size_px)
        return crop_manually(photo, crop, size_px=size_px)

    def align_found(self, photo: Photo, faces: Sequence[DetectedFace], face_index: int = 0) -> AlignedFace:
        """Crop one of the faces that `find_faces` gave, without searching again."""
        return align_one_of(photo, faces, face_index=face_index, size_px=self.backbone.resolution)

    def invert(self, face: AlignedFace) -> Inversion:
        """Codes of an aligned face."""
        return invert(face, self.backbone)

    def reconstruct(self, inversion: Inversion, *, random_look_seed: int | None = None) -> Image.Image:
        """What the base generator makes of the codes: the photo-like inversion.

        Args:
            random_look_seed: replace the appearance by a random natural one, as Eq. 1 does in training.
        """
        w_plus = inversion.w_plus
        if random_look_seed is not None:
            rng = torch.Generator().manual_seed(random_look_seed)
            layers = self.backbone.resolve(FinetuneConfig()).swap_layers or ()
            w_plus = mix_codes(w_plus, self.backbone.random_code(rng).cpu(), swap_layers=layers, alpha=0.0)
        return to_image(drawing.synthesize(w_plus, inversion.features, self.backbone))

    def config(self, preset: str, **overrides: object) -> FinetuneConfig:
        """Hyper-parameters of "sketch" (150 steps) or "cartoon" (500), with the backbone's defaults filled in."""
        if preset not in PRESET_STEPS:
            raise ValueError(f"preset must be one of {sorted(PRESET_STEPS)}, got {preset!r}")
        return self.backbone.resolve(FinetuneConfig(**({"steps": PRESET_STEPS[preset]} | overrides)))

    def train(
        self,
        references: Sequence[AlignedFace],
        config: FinetuneConfig,
        *,
        name: str,
        photo: AlignedFace | None = None,
        preview: AlignedFace | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> Iterator[TrainingStep | Style]:
        """Fine-tune on aligned artworks: progress after every step, then the style.

        Args:
            photo: identity anchor for `config.anchor == "photo"`.
            preview: a face to draw while it trains.
            stop: asked before every picture that is read and before every step.

        Raises:
            NoReferences, TooManyReferences: other than 1 to 14 artworks.
            TrainingStopped: `stop` said so; nothing is kept.
            ValueError: "photo" anchoring without a photo.
        """
        check_reference_count(len(references))
        if config.anchor == "photo" and photo is None:
            raise ValueError("config.anchor is 'photo', so a photo is needed, got None")
        examples = [self._example(face, stop) for face in references]
        anchors = [self._example(photo, stop)] if photo is not None and config.anchor == "photo" else []
        shown = None if preview is None else self._example(preview, stop)
        _end_if(stop)
        try:
            for item in finetune_steps(examples, anchors, config, self.backbone, name=name, preview=shown):
                if isinstance(item, Style):
                    yield item
                    return
                picture = None if item.preview is None else to_image(item.preview)
                yield TrainingStep(item.step, item.steps, item.loss, item.seconds_left, picture)
                if item.step < item.steps:
                    _end_if(stop)
        finally:
            give_back_freed_memory()

    def _example(self, face: AlignedFace, stop: Callable[[], bool] | None) -> Example:
        _end_if(stop)
        inversion = self.invert(face)
        picture = to_tensor(face.image, size_px=self.backbone.resolution)
        sha256 = hashlib.sha256(np.asarray(face.image).tobytes()).hexdigest()
        return Example(picture, inversion.w_plus, inversion.features, sha256)

    def stylize(
        self,
        face: AlignedFace,
        style: Style | None,
        *,
        strength: float = 1.0,
        keep_colour: bool = False,
        seed: int = 0,
    ) -> Stylized:
        """Draw an aligned face in a style. See `core.engines.fewshot_gan.synthesize.stylize`."""
        inversion = self.invert(face)
        return self.stylize_inverted(inversion, style, strength=strength, keep_colour=keep_colour, seed=seed)

    def stylize_inverted(
        self,
        inversion: Inversion,
        style: Style | None,
        *,
        strength: float = 1.0,
        keep_colour: bool = False,
        seed: int = 0,
    ) -> Stylized:
        """As `stylize`, for codes that are already known."""
        return drawing.stylize(
            inversion.w_plus,
            inversion.features,
            style,
            self.backbone,
            photo=inversion.crop,
            strength=strength,
            keep_colour=keep_colour,
            seed=seed,
        )

    def paste_back(self, stylized: Stylized, face: AlignedFace, photo: Photo) -> Image.Image:
        """The result in its place in the original photo, under a soft mask; [W, H] of the photo."""
        return paste_back(stylized.image, face, photo)

    def presets(self) -> list[StyleCard]:
        """Ready-made styles for this backbone, in the shelf's order."""
        shelf = STYLES_DIR / "shelf.json"
        if self.backbone.name != "mini" or not shelf.exists():
            return []
        return [
            StyleCard(
                entry["slug"],
                entry["title"],
                entry["references"],
                STYLES_DIR / f"{entry['slug']}.webp",
                STYLES_DIR / f"{entry['slug']}.safetensors",
            )
            for entry in json.loads(shelf.read_text(encoding="utf-8"))
        ]

    def load_style(self, path: Path) -> Style:
        """Read a style file for this backbone. Raises `StyleFileInvalid` or `StyleForOtherBackbone`."""
        shapes = {name: tuple(parameter.shape) for name, parameter in self.backbone.generator.named_parameters()}
        return load_style(path, backbone=self.backbone.name, fingerprint=self.backbone.fingerprint, shapes=shapes)

    def save_style(self, style: Style, path: Path) -> Path:
        """Write a style file. Raises `DiskFull`."""
        return save_style(style, path)


def _end_if(stop: Callable[[], bool] | None) -> None:
    if stop is not None and stop():
        raise TrainingStopped
