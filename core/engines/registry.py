"""Which engines there are, and which one to use: the only place that knows every engine's name.

Entries name their loader; an engine's networks are imported when it is loaded, so that listing engines costs nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType

from core.config import ENGINE_ENV
from core.engines.base import Engine, LoadRequest, TrainingConfig
from core.engines.fewshot_gan.config import BACKBONE_TITLES, FinetuneConfig
from core.errors import (
    EngineUnavailable,
    EngineUnknown,
    Sentence,
    StyleIdentityError,
    WeightsChanged,
    WeightsCorrupted,
    WeightsUnavailable,
)

OTHERS_WORK = "The others still work."


@dataclass(frozen=True)
class EngineEntry:
    """An engine that can be loaded.

    Attributes:
        name: for `--engine`, `$STYLEIDENTITY_ENGINE` and files.
        title: for people.
        load: makes the engine ready to draw.
        training: its settings, from which command line, API and page derive their options; None where it has none.
        variants: its published models by name, with their titles for people.
        advice: a sentence that says what works where its weights can't be had.
    """

    name: str
    title: str
    load: Callable[[LoadRequest], Engine]
    training: type[TrainingConfig] | None = None
    variants: MappingProxyType[str, str] = field(default_factory=lambda: MappingProxyType({}))
    advice: str = OTHERS_WORK


def _load_fewshot_gan(request: LoadRequest) -> Engine:
    from core.engines.fewshot_gan.engine import load

    return load(request)


_ENTRIES: dict[str, EngineEntry] = {}


def register(entry: EngineEntry) -> None:
    """Make an engine known under its name. Raises ValueError for a name that is taken."""
    if entry.name in _ENTRIES:
        raise ValueError(f"there is an engine {entry.name!r} already")
    _ENTRIES[entry.name] = entry


def forget(name: str) -> None:
    """Take an engine out of the registry again."""
    _ENTRIES.pop(name, None)


def entries() -> tuple[EngineEntry, ...]:
    """List the engines; the first one is used where none is named."""
    return tuple(_ENTRIES.values())


def entry(name: str | None = None) -> EngineEntry:
    """Return an engine's entry.

    Args:
        name: `$STYLEIDENTITY_ENGINE` where None, and the first engine where that is unset too.

    Raises:
        EngineUnknown: there is no such engine.
    """
    wanted = name or os.environ.get(ENGINE_ENV, "").strip() or next(iter(_ENTRIES))
    if wanted not in _ENTRIES:
        raise EngineUnknown(wanted, ", ".join(_ENTRIES))
    return _ENTRIES[wanted]


def load(name: str | None = None, request: LoadRequest = LoadRequest()) -> Engine:
    """Load an engine.

    Raises:
        EngineUnknown: there is no such engine.
        EngineUnavailable: its weights can't be had, or it can't be loaded for a reason that nobody foresaw.
        StyleIdentityError: it can't be loaded for another foreseen one: no such device, no space, ...
        ValueError: it has no such variant.
    """
    chosen = entry(name)
    if request.variant not in (None, "auto", *chosen.variants):
        known = ", ".join(("auto", *chosen.variants)) if chosen.variants else "auto"
        raise ValueError(f"the engine '{chosen.name}' has no model {request.variant!r}; there is {known}")
    try:
        return chosen.load(request)
    except (WeightsUnavailable, WeightsChanged, WeightsCorrupted) as error:
        raise EngineUnavailable(chosen.title, error.sentence, Sentence(chosen.advice)) from error
    except StyleIdentityError:
        raise
    except Exception as error:
        said = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        raise EngineUnavailable(
            chosen.title, Sentence("It says: {words}.", words=said), Sentence(OTHERS_WORK)
        ) from error


register(
    EngineEntry(
        name="fewshot_gan",
        title="Few-shot StyleGAN",
        load=_load_fewshot_gan,
        training=FinetuneConfig,
        variants=BACKBONE_TITLES,
        advice="The embedded model (--backbone mini) works without it.",
    )
)
