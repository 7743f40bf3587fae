"""From the engine that everybody knows to its inside, which only this folder looks at."""

from __future__ import annotations

from core.engines.base import Engine
from core.engines.fewshot_gan.config import NAME
from core.engines.fewshot_gan.engine import FewShotGan


def inside_of(engine: Engine) -> FewShotGan:
    """Return the engine as what it is. Raises ValueError for another one's."""
    if not isinstance(engine, FewShotGan):
        raise ValueError(f"only '{NAME}' can be looked into, got the engine '{engine.description.engine}'")
    return engine
