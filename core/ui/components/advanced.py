"""The folded settings of a training run: one control per field of `FinetuneConfig`, and the way back from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from core.engines.fewshot_gan.config import FinetuneConfig
from core.ui.friendly_errors import PageProblem
from core.ui.i18n import fragment, label, t
from core.ui.server.limits import MAX_SEED, limits

FIELDS = (
    "method",
    "steps",
    "learning_rate",
    "alpha",
    "swap_layers",
    "identity_weight",
    "style_weight",
    "references_per_step",
    "anchors_per_step",
    "seed",
    "preview_every",
)


def controls() -> list[Any]:
    """Create the controls, in the order of `FIELDS` (`anchor` is asked for in the open)."""
    default = FinetuneConfig()

    def empty(text: str) -> Any:
        return fragment(lambda: f"{t(text)} {t('Empty: the default.')}")

    with gr.Row():
        method = gr.Radio(
            [(label("Ours"), "paper"), (label("JoJoGAN (baseline)"), "jojogan")], value="paper", label=label("Method")
        )
        steps = gr.Slider(1, min(2000, limits().steps), default.steps, step=1, label=label("Steps"), elem_id="steps")
    with gr.Row():
        rate = gr.Number(default.learning_rate, label=label("Learning rate"), minimum=1e-6, maximum=0.1, step=1e-4)
        alpha = gr.Textbox("", label=label("Alpha"), info=empty("Share of each picture's own look kept, 0 to 1."))
    with gr.Row():
        layers = gr.Textbox("", label=label("Mixed layers"), info=empty("For example 7, 9, 11."))
        identity = gr.Textbox("", label=label("Identity weight"), info=empty("For example 0.001."))
        style = gr.Textbox("", label=label("Texture weight"), info=empty("0 is the paper's loss."))
    with gr.Row():
        per_step = gr.Textbox("", label=label("Pictures per step"), info=empty("0: all of them."))
        anchors = gr.Slider(1, 16, default.anchors_per_step, step=1, label=label("Faces per step"))
    with gr.Row():
        seed = gr.Number(default.seed, label=label("Seed"), precision=0, minimum=0, maximum=MAX_SEED)
        every = gr.Slider(1, 100, default.preview_every, step=1, label=label("Steps between previews"))
    return [method, steps, rate, alpha, layers, identity, style, per_step, anchors, seed, every]


def layers_from(text: str | None) -> tuple[int, ...] | None:
    """Return the layer numbers of a comma-separated list, None for an empty one. Raises PageProblem."""
    parts = str(text or "").replace(";", ",").split(",")
    try:
        layers = tuple(int(part) for part in parts if part.strip())
    except ValueError as error:
        raise PageProblem("Write the mixed layers as numbers with commas, for example 7, 9, 11.") from error
    if any(layer < 0 for layer in layers):
        raise PageProblem("Layer numbers start at 0.")
    return layers or None


def weight_from(text: str | None) -> float | None:
    """Return a weight as a number, None for an empty text. Raises PageProblem."""
    if not str("" if text is None else text).strip():
        return None
    try:
        weight = float(str(text).replace(",", "."))
        if not math.isfinite(weight):
            raise ValueError("got infinity or no number, expected a finite one")
        return weight
    except ValueError as error:
        raise PageProblem(
            "Write alpha, weights and pictures per step as numbers, for example 0.001, or leave them empty."
        ) from error


def overrides(values: Sequence[Any]) -> Mapping[str, Any]:
    """Return `Studio.config`'s overrides from the controls' values, in the order of `FIELDS`."""
    given = dict(zip(FIELDS, values, strict=True))
    given["swap_layers"] = layers_from(given["swap_layers"])
    per_step = weight_from(given["references_per_step"])
    given["references_per_step"] = None if per_step is None else int(per_step)
    for name in ("steps", "anchors_per_step", "seed", "preview_every"):
        given[name] = int(given[name] or 0)
    given["learning_rate"] = float(given["learning_rate"] or 0)
    for name in ("alpha", "identity_weight", "style_weight"):
        given[name] = weight_from(given[name])
    return given
