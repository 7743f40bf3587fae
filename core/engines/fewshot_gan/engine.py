"""The few-shot engine: StyleIdentityGAN and JoJoGAN on one of two backbones, behind the protocol of every engine.

The stages are files of their own: `invert` (with `refine`), `finetune`, `synthesize`. What only this engine can tell
about itself (reconstructions, sampled faces) is here too, for `measure` and for making the assets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from core.config import ASSETS_DIR
from core.engines.allocator import give_back_freed_memory, keep_freed_memory
from core.engines.base import (
    Capabilities,
    Drawing,
    DrawOptions,
    Engine,
    EngineDescription,
    LoadRequest,
    Prepared,
    ReadyStyle,
    Stop,
    Style,
    TrainingConfig,
    TrainingStep,
)
from core.engines.devices import dtype_name, find_device
from core.engines.fewshot_gan.backbone import Backbone
from core.engines.fewshot_gan.choose import choose_backbone
from core.engines.fewshot_gan.config import BACKBONE_TITLES, NAME, BackboneName, FinetuneConfig
from core.engines.fewshot_gan.ffhq import load_ffhq
from core.engines.fewshot_gan.finetune import Example, check_reference_count, finetune_steps, mix_codes
from core.engines.fewshot_gan.hand import brushed_levels, read_hand, read_sitter
from core.engines.fewshot_gan.invert import Inversion, invert
from core.engines.fewshot_gan.mini import MINI_DIR, load_mini
from core.engines.fewshot_gan.pairs import aligned_pairs
from core.engines.fewshot_gan.style_file import GanStyle, load_style, save_style
from core.engines.fewshot_gan.synthesize import synthesize
from core.engines.layouts import layout_reader
from core.errors import TrainingStopped
from core.imaging.align import AlignedFace, use_as_aligned
from core.imaging.paste import keep_photo_colours
from core.imaging.photo import Photo, array_to_image, to_array, to_image, to_tensor
from core.progress import OnProgress, ignore_progress

STYLES_DIR = ASSETS_DIR / "styles"
STYLES_FOR: BackboneName = "mini"  # the ready-made styles were trained on it
CROP_PX = 1024  # brushwork draws from the crop itself, the networks from a reduced one
PHOTO_LOOK_SEED = 0  # of the natural look in which inverted artworks are shown


def load(request: LoadRequest = LoadRequest()) -> FewShotGan:
    """Choose a backbone and load it.

    Tells the C library to keep freed memory, for the whole process: see `core.engines.allocator`.

    Raises:
        DeviceUnusable: PyTorch doesn't know the device, or can't compute on it.
        WeightsUnavailable, WeightsCorrupted, DiskFull: a file of weights can't be had.
        ValueError: there is no such backbone.
    """
    keep_freed_memory()
    choice = choose_backbone(request.variant)
    backbone = load_backbone(choice.name, device=request.device, on_progress=request.on_progress)
    return FewShotGan(backbone, reason=choice.reason)


def load_backbone(
    name: BackboneName, *, device: str | torch.device | None = None, on_progress: OnProgress = ignore_progress
) -> Backbone:
    """Load a backbone's networks onto a device (the accelerator if there is one, else the CPU, where None).

    Raises as `load`.
    """
    place = find_device(device)
    return load_mini(MINI_DIR, place) if name == "mini" else load_ffhq(place, on_progress)


class FewShotGan(Engine):
    """A loaded backbone and its stages.

    Args:
        backbone: the networks; never changed.
        reason: why it was chosen, for the status line.
    """

    def __init__(self, backbone: Backbone, *, reason: str = "") -> None:
        self.backbone = backbone
        self.finder = backbone.finder
        self.capabilities = Capabilities(
            backbone.resolution, trains=True, needs_references=True, crop_px=max(CROP_PX, backbone.resolution)
        )
        self.description = EngineDescription(
            engine=NAME,
            variant=backbone.name,
            title=BACKBONE_TITLES[backbone.name],
            fingerprint=backbone.fingerprint,
            resolution_px=backbone.resolution,
            device=str(backbone.device),
            precision=dtype_name(backbone.dtype),
            reason=reason,
        )

    def prepare(self, face: AlignedFace) -> Inversion:
        """Invert an aligned face."""
        return invert(face, self.backbone)

    def draw(self, prepared: Prepared, style: Style | None, options: DrawOptions = DrawOptions()) -> Drawing:
        """Draw a face in a style; without a style this is the photo as the backbone sees it.

        A style with a hand is drawn by its brushwork, as far as `brush` says; any other by the generator alone, at its
        own resolution. `strength` moves between the base and the tuned generator, with brushwork between the photo
        and the portrait; seed 0 takes the stored noise pictures.
        """
        *_, finished = self.draw_levels(prepared, style, options)
        return finished

    def draw_levels(
        self, prepared: Prepared, style: Style | None, options: DrawOptions = DrawOptions()
    ) -> Iterator[Drawing]:
        """Show the generator's drawing at once, then brushwork level by level."""
        inversion, gan_style = _own(prepared), None if style is None else _own_style(style)
        drawn = self._draw_codes(inversion, gan_style, options)
        hand = None if gan_style is None or options.brush == 0 else gan_style.hand
        yield self._finish(drawn, inversion, gan_style, options)
        if hand is None:
            return
        sitter = read_sitter(inversion.face, layout_reader(), hand, options.shape)
        for pixels in brushed_levels(sitter, hand, options, threads=torch.get_num_threads()):
            side = pixels.shape[0]
            if options.brush < 1:
                under = to_array(drawn.resize((side, side), Image.Resampling.BICUBIC))
                pixels = under + options.brush * (pixels - under)
            if options.strength < 1:
                seen = to_array(inversion.face.image.resize((side, side), Image.Resampling.LANCZOS))
                pixels = seen + options.strength * (pixels - seen)
            yield self._finish(array_to_image(pixels), inversion, gan_style, options)

    def _draw_codes(self, inversion: Inversion, style: GanStyle | None, options: DrawOptions) -> Image.Image:
        picture = synthesize(
            inversion.w_plus,
            inversion.features,
            self.backbone,
            style=style,
            strength=options.strength,
            seed=options.seed,
        )
        return to_image(picture)

    def _finish(
        self, image: Image.Image, inversion: Inversion, style: GanStyle | None, options: DrawOptions
    ) -> Drawing:
        if options.keep_colour:
            image = keep_photo_colours(image, inversion.face.image)
        provenance = {
            "engine": NAME,
            "backbone": self.backbone.name,
            "fingerprint": self.backbone.fingerprint,
            "style": None if style is None else style.name,
            "method": None if style is None else style.method,
            "references": 0 if style is None else style.references,
            "strength": options.strength,
            "keep_colour": options.keep_colour,
            "brush": options.brush if style is not None and style.hand is not None else 0.0,
            "shape": options.shape,
            "skin_tone": options.skin_tone,
            "background": options.background,
            "seed": options.seed,
            "side_px": image.width,
        }
        return Drawing(image, provenance)

    def config(self, preset: str | None = None, **overrides: Any) -> FinetuneConfig:
        """Return settings of "sketch" (150 steps) or "cartoon" (500), with the backbone's defaults filled in.

        Raises:
            ValueError: an unknown preset or setting, a value out of range, or layers that the backbone lacks.
        """
        return self.backbone.resolve(FinetuneConfig.from_preset(preset, **overrides))

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
        """Fine-tune a copy of the generator on aligned artworks; see `Engine.train`."""
        if not isinstance(config, FinetuneConfig):
            raise ValueError(f"expected a FinetuneConfig, got {type(config).__name__}")
        check_reference_count(len(references))
        if config.needs_photo and photo is None:
            raise ValueError("config.anchor is 'photo', so a photo is needed, got None")
        hashes = [_sha256(face) for face in references]
        aligned = config.method == "aligned"  # it learns from pairs, so the artworks need no codes
        pairs = [] if aligned else [self.example(face, stop) for face in references]
        anchors = [self.example(photo, stop)] if photo is not None and config.needs_photo else []
        shown = None if preview is None else self.example(preview, stop)
        _end_if(stop)
        hand = None
        try:
            if aligned:
                hand = read_hand(references, layout_reader())
                person = photo if config.needs_photo else None
                made = aligned_pairs(
                    hand, config.practice_faces, self.backbone, layout_reader(), seed=config.seed, person=person
                )
                for pair in made:
                    if pair is not None:
                        pairs.append(pair)
                    practised = None if pair is None else to_image(pair.picture)
                    yield TrainingStep(0, config.steps, 0.0, preview=practised)
                    _end_if(stop)
            steps = finetune_steps(
                pairs, anchors, config, self.backbone, name=name, preview=shown, hand=hand, hashes=hashes
            )
            for item in steps:
                yield item
                if item.style is None:
                    _end_if(stop)
        finally:
            give_back_freed_memory()

    def example(self, face: AlignedFace, stop: Stop = lambda: False) -> Example:
        """Invert a face once, for as many trainings as wanted. Raises TrainingStopped."""
        _end_if(stop)
        inversion = self.prepare(face)
        picture = to_tensor(face.image, size_px=self.backbone.resolution)
        return Example(picture, inversion.w_plus, inversion.features, _sha256(face))

    def read_as_photo(self, prepared: Prepared) -> Image.Image:
        """Show a face's structure in a natural look (Eq. 1), so that artworks become photos."""
        return self.reconstruct(prepared, look_seed=PHOTO_LOOK_SEED)

    def reconstruct(self, prepared: Prepared, *, look_seed: int | None = None) -> Image.Image:
        """Draw what the base generator makes of the codes: the photo-like inversion.

        Args:
            look_seed: replace the appearance by a random natural one, as Eq. 1 does in training.
        """
        inversion = _own(prepared)
        w_plus = inversion.w_plus
        if look_seed is not None:
            rng = torch.Generator().manual_seed(look_seed)
            layers = self.config().swap_layers or ()
            w_plus = mix_codes(w_plus, self.backbone.random_code(rng).cpu(), swap_layers=layers, alpha=0.0)
        return to_image(synthesize(w_plus, inversion.features, self.backbone))

    def ready_styles(self) -> Sequence[ReadyStyle]:
        """List the styles in `assets/styles`, for the embedded backbone."""
        index = STYLES_DIR / "index.json"
        if self.backbone.name != STYLES_FOR or not index.exists():
            return ()
        return tuple(
            ReadyStyle(
                entry["slug"],
                entry["title"],
                entry["references"],
                STYLES_DIR / f"{entry['slug']}.webp",
                STYLES_DIR / f"{entry['slug']}.safetensors",
            )
            for entry in json.loads(index.read_text(encoding="utf-8"))
        )

    def load_style(self, path: Path) -> GanStyle:
        """Read a style file for this backbone. Raises `StyleFileInvalid` or `StyleForOtherBackbone`."""
        shapes = {name: tuple(parameter.shape) for name, parameter in self.backbone.generator.named_parameters()}
        return load_style(path, backbone=self.backbone.name, fingerprint=self.backbone.fingerprint, shapes=shapes)

    def save_style(self, style: Style, path: Path) -> Path:
        """Write a style file. Raises `DiskFull`."""
        return save_style(_own_style(style), path)

    @property
    def sampled_faces(self) -> int:
        """How many invented faces the backbone carries; 0 where it has none."""
        faces = self.backbone.sample_faces
        return 0 if faces is None else len(faces.codes)

    def sampled_face(self, row: int) -> AlignedFace:
        """One of the backbone's invented faces, drawn and taken as an aligned crop. Raises ValueError."""
        faces = self.backbone.sample_faces
        if faces is None:
            raise ValueError(f"the backbone {self.backbone.name!r} has no sample faces")
        w_plus = faces.codes[row][None, None].expand(-1, self.backbone.generator.n_latent, -1)
        picture = to_image(synthesize(w_plus, faces.features[row][None], self.backbone))
        return use_as_aligned(Photo(picture, f"face {row}"), size_px=self.backbone.resolution)


def _sha256(face: AlignedFace) -> str:
    return hashlib.sha256(np.asarray(face.image).tobytes()).hexdigest()


def _own(prepared: Prepared) -> Inversion:
    if not isinstance(prepared, Inversion):
        raise ValueError(f"expected a face prepared by '{NAME}', got one of '{prepared.engine}'")
    return prepared


def _own_style(style: Style) -> GanStyle:
    if not isinstance(style, GanStyle):
        raise ValueError(f"expected a style of '{NAME}', got one of '{style.engine}'")
    return style


def _end_if(stop: Stop) -> None:
    if stop():
        raise TrainingStopped
