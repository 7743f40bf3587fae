"""Few-shot fine-tuning of a copy of the generator: StyleIdentityGAN (Eq. 1 and 2) and the JoJoGAN baseline.

Eq. 1 mixes a reference's code with a random natural one in the swapped layers; the mixed code keeps the reference's
structure, so (mixed code -> reference) approximates a (photo -> artwork) pair:

    w_mix = w_own + alpha * w_style + (1 - alpha) * w_random      (only swapped layers change)

Eq. 2 adds `identity_weight` times the distance between what the tuned generator makes of an anchor and the anchor:
this photo (as in the paper), or the base generator's renderings of sampled faces, so that one style serves all photos.

Differs from the paper: several anchors may share a run; and where `style_weight` is not 0 (the embedded backbone) the
Gram statistics of the anchors' results are pulled towards the references', which teaches strokes where no reference
has the anchor's shape. The fewer the references, the more their statistics tell of the subjects instead of the style,
so the weight counts in full from `STATISTICS_REFERENCES` on, in proportion below. `style_weight=0` is the paper's loss.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from core.config import MAX_REFERENCES
from core.engines.base import TrainingStep
from core.engines.fewshot_gan.backbone import Backbone
from core.engines.fewshot_gan.config import FinetuneConfig
from core.engines.fewshot_gan.hand import Hand
from core.engines.fewshot_gan.perceptual import Perceptual, PerceptualFeatures, style_distance
from core.engines.fewshot_gan.style_file import FORMAT_VERSION, GanStyle, StyleMeta, config_values
from core.errors import NoReferences, TooManyReferences
from core.imaging.photo import to_image
from core.networks.stylegan2 import Synthesis

MICRO_BATCH = 3  # pictures that are drawn together; a step's memory grows no further
SAMPLED_ANCHORS = 8
STATISTICS_REFERENCES = 5
ADAM_BETAS = (0.0, 0.99)


@dataclass(frozen=True)
class Example:
    """A picture with its inversion: a style reference, or an identity anchor.

    Attributes:
        picture: [1, 3, R, R] in [-1, 1].
        w_plus: [1, L, D].
        features: [1, C, h, w] or None.
        sha256: of the picture's pixels, for the style's history.
    """

    picture: Tensor
    w_plus: Tensor
    features: Tensor | None
    sha256: str = ""


def mix_codes(w_plus: Tensor, w_random: Tensor, *, swap_layers: Sequence[int], alpha: float) -> Tensor:
    """Eq. 1: codes [B, L, D] whose layers `swap_layers` move to the random code [B, D] by 1 - alpha."""
    mixed = w_plus.clone()
    layers = list(swap_layers)
    mixed[:, layers] = alpha * w_plus[:, layers] + (1 - alpha) * w_random[:, None]
    return mixed


def check_reference_count(count: int) -> None:
    """Raise `NoReferences` or `TooManyReferences` for other than 1 to 14 references."""
    if not count:
        raise NoReferences
    if count > MAX_REFERENCES:
        raise TooManyReferences(count, MAX_REFERENCES)


def finetune_steps(
    references: Sequence[Example],
    anchors: Sequence[Example],
    config: FinetuneConfig,
    backbone: Backbone,
    *,
    name: str,
    preview: Example | None = None,
    hand: Hand | None = None,
    hashes: Sequence[str] | None = None,
) -> Iterator[TrainingStep]:
    """Train a style step by step; the last step holds it. Closing the iterator leaves nothing behind.

    Args:
        references: 1 to 14 artworks with inversions, or pairs that were made of them.
        anchors: whose identity to keep (Eq. 2); none samples faces of the base generator.
        config: open fields take the backbone's defaults.
        name: of the style.
        preview: a face to draw every `preview_every` steps.
        hand: the artworks that the style keeps for brushwork.
        hashes: sha256 of each artwork; of `references` where None.

    Raises:
        NoReferences, TooManyReferences: other than 1 to 14 references.
    """
    check_reference_count(len(references))
    config = backbone.resolve(config)
    run = _Run(references, anchors, config, backbone, hand=hand, hashes=hashes)
    started = time.monotonic()
    for step in range(1, config.steps + 1):
        loss = run.step()
        left = (time.monotonic() - started) / step * (config.steps - step) if step > 1 else None
        due = preview is not None and (step % config.preview_every == 0 or step in (1, config.steps))
        picture = to_image(run.render(preview)) if preview is not None and due else None
        style = run.style(name, loss) if step == config.steps else None
        yield TrainingStep(step, config.steps, loss, left, picture, style)


@dataclass(frozen=True)
class _Task:
    """One picture of a step: codes [1, L, D] and map that draw it, and its share of the loss."""

    w_plus: Tensor
    features: Tensor | None
    loss: Callable[[PerceptualFeatures], Tensor]


class _Run:
    """State of one fine-tune: the tuned copy, its optimiser, and the targets' remembered features."""

    def __init__(
        self,
        references: Sequence[Example],
        anchors: Sequence[Example],
        config: FinetuneConfig,
        backbone: Backbone,
        *,
        hand: Hand | None = None,
        hashes: Sequence[str] | None = None,
    ) -> None:
        self.config, self.backbone, self.hand = config, backbone, hand
        self.hashes = tuple(reference.sha256 for reference in references) if hashes is None else tuple(hashes)
        self.style_weight = (config.style_weight or 0.0) * min(1.0, len(references) / STATISTICS_REFERENCES)
        self.recipe = backbone.recipes[config.method]
        self.measure: Perceptual = backbone.measures[config.method]
        self.rng = torch.Generator().manual_seed(config.seed)
        self.tuned: Synthesis = copy.deepcopy(backbone.generator)
        trainable = [parameter.requires_grad_(True) for parameter in _synthesis_parameters(self.tuned)]
        self.optimiser = torch.optim.Adam(trainable, lr=config.learning_rate, betas=ADAM_BETAS)
        self.references = [_to_device(example, backbone.device) for example in references]
        with torch.no_grad():
            self.reference_features = [self.measure(reference.picture) for reference in self.references]
        self.anchors: list[Example] = []
        self.anchor_features: list[PerceptualFeatures] = []
        self.grams: list[Tensor] = []
        if config.identity_weight or self.style_weight:
            self._remember_anchors(anchors)

    @torch.no_grad()
    def _remember_anchors(self, anchors: Sequence[Example]) -> None:
        chosen = [_to_device(anchor, self.backbone.device) for anchor in anchors]
        if not chosen:
            w_plus, features = self.backbone.sample(self.rng, SAMPLED_ANCHORS)
            for row in range(len(w_plus)):
                part = slice(row, row + 1)
                example = (w_plus[part], None if features is None else features[part])
                chosen.append(Example(self._draw(self.backbone.generator, *example), *example))
        self.anchors = chosen
        self.anchor_features = [self.measure(anchor.picture) for anchor in chosen]
        layers = zip(*(found.grams() for found in self.reference_features), strict=True)
        self.grams = [torch.cat(layer).mean(dim=0, keepdim=True) for layer in layers]

    def _draw(self, generator: Synthesis, w_plus: Tensor, features: Tensor | None) -> Tensor:
        picture: Tensor = generator(w_plus, features=features, noise="fixed", dtype=self.backbone.dtype)
        return picture

    def step(self) -> float:
        """One Adam step over references and anchors; returns the loss."""
        self.optimiser.zero_grad(set_to_none=True)
        tasks = [*self._reference_tasks(), *self._anchor_tasks()]
        total = sum(self._learn(tasks[start : start + MICRO_BATCH]) for start in range(0, len(tasks), MICRO_BATCH))
        self.optimiser.step()
        return float(total)

    def _learn(self, tasks: list[_Task]) -> Tensor:
        """Draw these pictures together and add the gradients of their losses; the sum stays on the device."""
        w_plus = torch.cat([task.w_plus for task in tasks])
        drawn = self.measure(self._draw(self.tuned, w_plus, _stack([task.features for task in tasks])))
        loss = torch.stack([task.loss(drawn.rows(slice(i, i + 1))) for i, task in enumerate(tasks)]).sum()
        torch.autograd.backward(loss)
        return loss.detach()

    def _reference_tasks(self) -> list[_Task]:
        """Eq. 1: some references' codes, mixed with random ones, and how far their drawings are from them."""
        config = self.config
        count = config.references_per_step or len(self.references)
        order = torch.randperm(len(self.references), generator=self.rng)[:count].tolist()
        mixed = mix_codes(
            torch.cat([self.references[row].w_plus for row in order]),
            self.backbone.random_code(self.rng, len(order)),
            swap_layers=config.swap_layers or (),
            alpha=config.alpha or 0.0,
        )

        def loss(drawn: PerceptualFeatures, *, row: int) -> Tensor:
            weight = self.recipe.colour_weight
            return self.measure.distance(drawn, self.reference_features[row], colour_weight=weight) / len(order)

        return [
            _Task(mixed[i : i + 1], self.references[row].features, partial(loss, row=row))
            for i, row in enumerate(order)
        ]

    def _anchor_tasks(self) -> list[_Task]:
        """Eq. 2: some anchors, and how far their drawings are from them in identity and from the style in texture."""
        if not self.anchors:
            return []
        picks = torch.randperm(len(self.anchors), generator=self.rng)[: self.config.anchors_per_step].tolist()

        def loss(drawn: PerceptualFeatures, *, pick: int) -> Tensor:
            kept = (self.config.identity_weight or 0.0) * self.measure.distance(drawn, self.anchor_features[pick])
            if self.style_weight:
                kept = kept + self.style_weight * style_distance(drawn, self.grams)
            return kept / len(picks)

        return [
            _Task(self.anchors[pick].w_plus, self.anchors[pick].features, partial(loss, pick=pick)) for pick in picks
        ]

    @torch.no_grad()
    def render(self, example: Example) -> Tensor:
        """Draw what the tuned generator makes of an example, on the CPU."""
        example = _to_device(example, self.backbone.device)
        return self._draw(self.tuned, example.w_plus, example.features).cpu()

    @torch.no_grad()
    def changes(self) -> dict[str, Tensor]:
        """Differences to the base generator, float16 on the CPU; parameters that did not move are left out."""
        base = dict(self.backbone.generator.named_parameters())
        moved = {name: parameter - base[name] for name, parameter in self.tuned.named_parameters()}
        return {name: change.half().cpu() for name, change in moved.items() if bool(change.any())}

    def style(self, name: str, loss: float) -> GanStyle:
        """Return the style as it is now."""
        meta = StyleMeta(
            backbone=self.backbone.name,
            fingerprint=self.backbone.fingerprint,
            config=config_values(self.config),
            reference_hashes=self.hashes,
            final_loss=loss,
            version=1 if self.hand is None else FORMAT_VERSION,
        )
        return GanStyle.of(name, self.changes(), meta, self.hand)


def _synthesis_parameters(generator: Synthesis) -> list[torch.nn.Parameter]:
    """All parameters but the mapping network's, which no picture in a run passes through."""
    return [parameter for name, parameter in generator.named_parameters() if not name.startswith("style.")]


def _stack(features: Sequence[Tensor | None]) -> Tensor | None:
    known = [part for part in features if part is not None]
    return torch.cat(known) if known else None


def _to_device(example: Example, device: torch.device) -> Example:
    features = None if example.features is None else example.features.to(device)
    return Example(example.picture.to(device), example.w_plus.to(device), features, example.sha256)
