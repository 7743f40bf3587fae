"""Few-shot training: Eq. 1 and 2 in closed form, seeds, an untouched base generator, and runs that stop midway."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import MappingProxyType

import pytest
import torch

from core.engines.base import TrainingStep, run_to_end
from core.engines.devices import freeze
from core.engines.fewshot_gan import finetune as finetuning
from core.engines.fewshot_gan.backbone import Backbone, Recipe
from core.engines.fewshot_gan.config import FinetuneConfig
from core.engines.fewshot_gan.engine import FewShotGan
from core.engines.fewshot_gan.finetune import Example, finetune_steps, mix_codes
from core.engines.fewshot_gan.perceptual import style_distance
from core.engines.fewshot_gan.style_file import GanStyle
from core.engines.fewshot_gan.synthesize import synthesize
from core.errors import NoReferences, TooManyReferences, TrainingStopped
from core.imaging.photo import to_tensor
from core.networks.stylegan2 import Generator
from tests.tiny_backbone import copies, drawings, example_of, same_state, sampled_pictures

PAPER = FinetuneConfig(method="paper", steps=2, style_weight=0.0, identity_weight=0.0)


@pytest.fixture(scope="module")
def references(tiny: Backbone) -> list[Example]:
    return [example_of(picture, tiny, f"{number:064x}") for number, picture in enumerate(drawings(tiny, 4))]


@pytest.fixture(scope="module")
def anchor(tiny: Backbone) -> Example:
    """A person who is none of the references."""
    return example_of(sampled_pictures(tiny, 1, seed=9), tiny)


def train(
    backbone: Backbone,
    references: Sequence[Example],
    config: FinetuneConfig,
    *,
    anchors: Sequence[Example] = (),
    preview: Example | None = None,
) -> tuple[list[TrainingStep], GanStyle]:
    """A whole run: its steps and the style."""
    steps: list[TrainingStep] = []
    style = run_to_end(finetune_steps(references, anchors, config, backbone, name="Ink", preview=preview), steps.append)
    assert isinstance(style, GanStyle)
    return steps, style


def same_weights(a: GanStyle, b: GanStyle) -> bool:
    return set(a.weights) == set(b.weights) and all(torch.equal(a.weights[name], b.weights[name]) for name in a.weights)


def test_mixing_is_equation_1() -> None:
    rng = torch.Generator().manual_seed(0)
    own, random = torch.randn(2, 6, 8, generator=rng), torch.randn(2, 8, generator=rng)
    mixed = mix_codes(own, random, swap_layers=(1, 4), alpha=0.3)
    for layer in range(6):
        expected = 0.3 * own[:, layer] + 0.7 * random if layer in (1, 4) else own[:, layer]
        torch.testing.assert_close(mixed[:, layer], expected)
    assert torch.equal(mix_codes(own, random, swap_layers=(), alpha=0.3), own)
    torch.testing.assert_close(mix_codes(own, random, swap_layers=(0, 5), alpha=1.0), own)
    replaced = mix_codes(own, random, swap_layers=range(6), alpha=0.0)
    assert torch.equal(replaced, random[:, None].expand(-1, 6, -1))


def test_a_run_tells_of_every_step_and_the_last_one_holds_the_style(tiny: Backbone, references: list[Example]) -> None:
    before = [copies(part) for part in (tiny.generator, tiny.encoder, tiny.measures["paper"])]
    steps, style = train(tiny, references[:2], FinetuneConfig(method="paper", steps=3, seed=5))
    after = (tiny.generator, tiny.encoder, tiny.measures["paper"])
    assert all(same_state(part, state) for part, state in zip(after, before, strict=True))
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in tiny.generator.parameters())

    assert [(item.step, item.steps) for item in steps] == [(1, 3), (2, 3), (3, 3)]
    assert steps[0].seconds_left is None and steps[1].seconds_left > 0 and steps[2].seconds_left == 0
    assert [item.style for item in steps] == [None, None, style]
    assert (style.engine, style.name, style.references, style.method) == ("fewshot_gan", "Ink", 2, "paper")
    assert style.meta.backbone == "mini" and style.meta.fingerprint == tiny.fingerprint
    assert style.meta.reference_hashes == tuple(reference.sha256 for reference in references[:2])
    assert style.meta.final_loss == steps[-1].loss
    assert style.meta.config["seed"] == 5 and style.meta.config["swap_layers"] == list(range(8))
    assert style.meta.config["identity_weight"] == 0.02, "what the backbone filled in is written down"


def test_a_style_holds_differences_in_half_precision(tiny: Backbone, references: list[Example]) -> None:
    _, style = train(tiny, references[:1], PAPER)
    known = dict(tiny.generator.named_parameters())
    assert style.weights and set(style.weights) <= set(known)
    for name, change in style.weights.items():
        assert change.dtype == torch.float16 and change.device.type == "cpu" and change.shape == known[name].shape
        assert bool(change.any()) and not change.requires_grad
        assert change.abs().max() <= 2.01 * 2e-3 * 10, "two Adam steps go that far at most"


def test_the_seed_decides(tiny: Backbone, references: list[Example]) -> None:
    config = FinetuneConfig(method="paper", steps=2, references_per_step=2)
    torch.manual_seed(1)
    first = train(tiny, references, config)
    torch.manual_seed(2)
    again, other = train(tiny, references, config), train(tiny, references, replace(config, seed=1))
    assert same_weights(first[1], again[1]) and [r.loss for r in first[0]] == [r.loss for r in again[0]]
    assert not same_weights(first[1], other[1])


def gradients(tiny: Backbone, references: list[Example], anchors: list[Example]) -> dict[str, torch.Tensor]:
    run = finetuning._Run(references, anchors, tiny.resolve(FinetuneConfig(method="paper", seed=3)), tiny)
    run.step()
    return {name: parameter.grad for name, parameter in run.tuned.named_parameters() if parameter.grad is not None}


def test_micro_batches_add_up_to_the_same_gradient(
    tiny: Backbone, references: list[Example], anchor: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for size in (1, 3, 4):
        monkeypatch.setattr(finetuning, "MICRO_BATCH", size)
        found.append(gradients(tiny, references, [anchor]))
    assert len(found[0]) > 20
    for other in found[1:]:
        assert set(other) == set(found[0])
        for name, gradient in found[0].items():
            assert (other[name] - gradient).norm() <= 1e-3 * gradient.norm() + 1e-6, name


@pytest.mark.parametrize(("pictures", "passes"), [(1, 1), (4, 2)])
def test_references_and_anchors_share_a_pass(
    tiny: Backbone, references: list[Example], anchor: Example, pictures: int, passes: int
) -> None:
    run = finetuning._Run(references[:pictures], [anchor], tiny.resolve(FinetuneConfig(method="paper", steps=2)), tiny)
    drawn: list[int] = []
    run.tuned.register_forward_pre_hook(lambda _, given: drawn.append(len(given[0])))
    run.step()
    assert len(drawn) == passes and sum(drawn) == pictures + 1, "an accelerator waits for launches, not for pictures"
    assert max(drawn) <= finetuning.MICRO_BATCH


def test_all_references_count_equally(tiny: Backbone, references: list[Example]) -> None:
    """The first loss over all references is the mean of what each of them gives with the same random codes."""
    run = finetuning._Run(references, [], tiny.resolve(replace(PAPER, seed=3)), tiny)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(3)).tolist()
    rng = torch.Generator().manual_seed(3)
    torch.randperm(4, generator=rng)
    w_random = torch.cat([tiny.random_code(rng, 2), tiny.random_code(rng, 2)])
    expected = 0.0
    with torch.no_grad():
        for row, w in zip(order, w_random, strict=True):
            picture = tiny.generator(w.expand(1, 8, -1), features=references[row].features)
            measure = tiny.measures["paper"]
            distance = measure.distance(measure(picture), measure(references[row].picture), colour_weight=1.0)
            expected += distance.item() / 4
    assert run.step() == pytest.approx(expected, rel=1e-4)


def first_loss(tiny: Backbone, references: list[Example], anchor: Example, **weights: float) -> float:
    config = replace(PAPER, steps=1, anchor="photo", **weights)
    return train(tiny, references[:1], config, anchors=[anchor])[0][0].loss


def test_equation_2_adds_the_weighted_terms(tiny: Backbone, references: list[Example], anchor: Example) -> None:
    measure = tiny.measures["paper"]
    with torch.no_grad():
        drawn = measure(tiny.generator(anchor.w_plus, features=anchor.features))
        identity = measure.distance(drawn, measure(anchor.picture)).item()
        style = style_distance(drawn, measure(references[0].picture).grams()).item()
    assert identity > 0.01 and style > 0.01
    plain = first_loss(tiny, references, anchor)
    assert first_loss(tiny, references, anchor, identity_weight=2.0) - plain == pytest.approx(2 * identity, rel=1e-3)
    weighted = 0.5 * style / finetuning.STATISTICS_REFERENCES
    assert first_loss(tiny, references, anchor, style_weight=0.5) - plain == pytest.approx(weighted, rel=1e-3)


@pytest.mark.parametrize(("count", "share"), [(1, 0.2), (4, 0.8), (5, 1.0), (14, 1.0)])
def test_statistics_of_few_references_count_less(
    tiny: Backbone, references: list[Example], count: int, share: float
) -> None:
    given = [references[i % len(references)] for i in range(count)]
    assert finetuning._Run(given, (), replace(PAPER, style_weight=0.5), tiny).style_weight == pytest.approx(0.5 * share)


def test_the_identity_term_holds_on_to_the_anchor(tiny: Backbone, references: list[Example], anchor: Example) -> None:
    measure = tiny.measures["paper"]
    away = []
    for weight in (0.0, 20.0):
        config = FinetuneConfig(method="paper", steps=6, anchor="photo", identity_weight=weight, style_weight=0.0)
        _, style = train(tiny, references[:1], config, anchors=[anchor])
        picture = synthesize(anchor.w_plus, anchor.features, tiny, style=style)
        with torch.no_grad():
            away.append(measure.distance(measure(picture), measure(anchor.picture)).item())
    assert away[1] < away[0]


def test_without_anchors_faces_of_the_base_generator_serve(tiny: Backbone, references: list[Example]) -> None:
    run = finetuning._Run(references, [], tiny.resolve(FinetuneConfig(method="paper")), tiny)
    assert len(run.anchors) == finetuning.SAMPLED_ANCHORS
    for example in run.anchors:
        with torch.no_grad():
            assert torch.equal(example.picture, tiny.generator(example.w_plus, features=example.features))


def test_jojogan_has_no_anchor_term(tiny: Backbone, references: list[Example], anchor: Example) -> None:
    config = tiny.resolve(FinetuneConfig(method="jojogan"))
    run = finetuning._Run(references, [anchor], config, tiny)
    assert run.anchors == [] and run.measure is tiny.measures["jojogan"]
    steps, style = train(tiny, references[:2], FinetuneConfig(method="jojogan", steps=2))
    assert style.method == style.meta.config["method"] == "jojogan" and steps[-1].loss > 0
    _, ours = train(tiny, references[:2], FinetuneConfig(method="paper", steps=2))
    assert not same_weights(style, ours)


@pytest.mark.parametrize(("count", "error"), [(0, NoReferences), (15, TooManyReferences)])
def test_other_than_1_to_14_references(
    tiny: Backbone, references: list[Example], count: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        next(finetune_steps((references * 4)[:count], [], PAPER, tiny, name="x"))


def test_fourteen_references(tiny: Backbone, references: list[Example]) -> None:
    steps, style = train(tiny, (references * 4)[:14], replace(PAPER, steps=1))
    assert style.references == 14 and len(steps) == 1


def test_previews_come_at_their_pace(tiny: Backbone, references: list[Example], anchor: Example) -> None:
    config = replace(PAPER, steps=7, preview_every=3)
    steps, style = train(tiny, references[:1], config, preview=anchor)
    assert [item.step for item in steps if item.preview is not None] == [1, 3, 6, 7]
    first, last = (to_tensor(steps[at].preview) for at in (0, -1))
    assert first.shape == (1, 3, 64, 64) and not torch.equal(first, last)
    finished = synthesize(anchor.w_plus, anchor.features, tiny, style=style).clamp(-1, 1)
    torch.testing.assert_close(last, finished, rtol=0, atol=0.06)  # half precision in the style, 8 bits in the picture
    assert same_weights(style, train(tiny, references[:1], config)[1]), "looking does not change the training"


def test_closing_midway_leaves_nothing(tiny: Backbone, references: list[Example]) -> None:
    before = copies(tiny.generator)
    steps = finetune_steps(references[:1], [], FinetuneConfig(method="paper", steps=50), tiny, name="x")
    assert next(steps).step == 1
    steps.close()
    del steps
    gc.collect()
    assert not [item for item in gc.get_objects() if type(item) is finetuning._Run]
    assert same_state(tiny.generator, before)


def test_a_run_without_a_style_was_stopped() -> None:
    tidied: list[bool] = []

    def steps() -> Iterator[TrainingStep]:
        yield TrainingStep(1, 2, 0.5)
        tidied.append(True)

    with pytest.raises(TrainingStopped):
        run_to_end(steps())
    assert tidied == [True]


def test_a_generator_from_a_constant_trains_too(tiny: Backbone, references: list[Example]) -> None:
    """As `ffhq`: codes alone make the face, anchors are random codes, and the mapping network stays."""
    torch.manual_seed(8)
    generator = freeze(Generator(64, mlp_layers=2, channel_multiplier=0.015625), tiny.device)
    recipe = Recipe((7, 9), alpha=0.5, identity_weight=0.001)
    plain = replace(tiny, generator=generator, sample_faces=None, recipes=MappingProxyType({"paper": recipe}))
    before = copies(generator)
    rng = torch.Generator().manual_seed(1)
    w_plus, features = plain.sample(rng, 2)
    assert features is None and w_plus.shape == (2, 10, 512)
    examples = [replace(references[i], w_plus=w_plus[i : i + 1], features=None) for i in range(2)]
    _, style = train(plain, examples, FinetuneConfig(method="paper", steps=2))
    assert same_state(generator, before)
    assert "input.input" in style.weights and not any(name.startswith("style.") for name in style.weights)


def test_the_loss_falls_on_a_drawing_of_a_face(mini: FewShotGan) -> None:
    backbone = replace(mini.backbone, refining_steps=0)  # else there is little left to learn in so few steps
    reference = example_of(drawings(backbone, 1, style="duotone", seed=4)[0], backbone)
    before = copies(backbone.generator)
    config = FinetuneConfig(method="paper", steps=6, swap_layers=(), style_weight=0.0, identity_weight=0.0)
    losses = [item.loss for item in train(backbone, [reference], config)[0]]
    assert losses[-1] < 0.9 * losses[0]
    assert same_state(backbone.generator, before)
