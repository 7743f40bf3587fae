"""Which of the engine's two models to use here: the embedded one, or the published one of 1024 px."""

from __future__ import annotations

import os
from dataclasses import dataclass

from core.config import BACKBONE_ENV
from core.engines.devices import best_device
from core.engines.fewshot_gan.config import BackboneName
from core.weights.fetch import cached, hub_reachable
from core.weights.pins import E4E_FFHQ, STYLEGAN2_FFHQ

REACH_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class BackboneChoice:
    """Which backbone runs, and the sentence that says why."""

    name: BackboneName
    reason: str


def choose_backbone(preference: str | None = None, *, timeout_s: float = REACH_TIMEOUT_S) -> BackboneChoice:
    """Decide between `mini` and `ffhq`; "auto" answers within `timeout_s`, also when the network hangs.

    Args:
        preference: "auto", "mini" or "ffhq"; `$STYLEIDENTITY_BACKBONE`, else "auto", where None.

    Raises:
        ValueError: another name.
    """
    wanted = preference or os.environ.get(BACKBONE_ENV) or "auto"
    if wanted == "mini":
        return BackboneChoice("mini", "The embedded model was asked for.")
    if wanted == "ffhq":
        return BackboneChoice("ffhq", "The 1024 px model was asked for.")
    if wanted != "auto":
        raise ValueError(f"the backbone must be 'auto', 'mini' or 'ffhq', got {wanted!r}")
    if best_device().type == "cpu":
        return BackboneChoice("mini", "This machine has no GPU, and the embedded model is quick without one.")
    if all(cached(file) for file in (STYLEGAN2_FFHQ, E4E_FFHQ)):
        return BackboneChoice("ffhq", "A GPU and the downloaded 1024 px model are here.")
    if hub_reachable(timeout_s):
        return BackboneChoice("ffhq", "A GPU is here and the 1024 px model can be downloaded.")
    return BackboneChoice("mini", "The 1024 px model is not here and can't be downloaded now.")
