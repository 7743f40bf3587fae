"""What makes an endpoint of a function: parameters that come from options, and the signature that Gradio documents."""

from __future__ import annotations

import functools
import inspect
import operator
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal, cast

from core.engines import registry
from core.engines.base import DrawOptions
from core.options import Option, options_of
from core.ui.components import settings
from core.ui.friendly_errors import friendly

CALLED = {"keep_colour": "keep_colours"}  # options that callers know by another name
UNSEEN = "preview_every"  # callers see no previews
DRAWING = {CALLED.get(item.name, item.name): item for item in options_of(DrawOptions)}


def _annotation(item: Option, *, optional: bool) -> Any:
    """Return the type that callers read."""
    kind: Any = item.type
    if item.choices:
        kind = operator.getitem(Literal, tuple(item.choices))
    elif item.type is tuple:
        kind = list[int]
    return kind | None if optional else kind


def _option(called: str, item: Option, *, optional: bool) -> inspect.Parameter:
    return inspect.Parameter(
        called,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=None if optional else item.default,
        annotation=_annotation(item, optional=optional),
    )


def drawing_parameters() -> dict[inspect.Parameter, str]:
    """Return a parameter with its description for every option of a drawing."""
    return {_option(called, item, optional=item.optional): item.help for called, item in DRAWING.items()}


def training_parameters() -> dict[inspect.Parameter, str]:
    """Return a parameter with its description for every option of any engine's training.

    All can be left out, since the preset decides on some and the engine on others.
    """
    found: dict[str, dict[str, Option]] = {}
    for entry in registry.entries():
        for item in () if entry.training is None else settings.offered(entry.training):
            if item.name not in (UNSEEN, entry.training and entry.training.person_option):  # `photo` decides the latter
                found.setdefault(item.name, {})[entry.name] = item
    learners = [entry for entry in registry.entries() if entry.training is not None]
    made = {}
    for name, items in found.items():
        first = next(iter(items.values()))
        choices = {value: title for item in items.values() for value, title in item.choices.items()}
        only = "" if len(items) == len(learners) else f" Only for engine {', '.join(items)}."
        made[_option(name, replace(first, choices=choices), optional=True)] = first.help + only
    return made


def preset_parameter() -> inspect.Parameter:
    """Return the parameter for the presets of all engines."""
    names = dict.fromkeys(name for entry in registry.entries() if entry.training for name in entry.training.presets)
    return inspect.Parameter(
        "preset",
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=next(iter(names), ""),
        annotation=operator.getitem(Literal, tuple(names)) if names else str,
    )


def _by_name(handler: Callable[..., Any], signature: inspect.Signature) -> Callable[..., Any]:
    """Return the handler for callers who send values in the order of the signature."""

    def named(values: Sequence[Any], options: Mapping[str, Any]) -> dict[str, Any]:
        return signature.bind(*values, **options).arguments

    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def stream(*values: Any, **options: Any) -> Iterator[Any]:
            yield from handler(**named(values, options))

        return stream

    @functools.wraps(handler)
    def call(*values: Any, **options: Any) -> Any:
        return handler(**named(values, options))

    return call


def published(
    handler: Callable[..., Any],
    more: Mapping[inspect.Parameter, str] = MappingProxyType({}),
    *replaced: inspect.Parameter,
) -> Callable[..., Any]:
    """Return an endpoint with friendly errors and the signature and description that Gradio documents.

    Types are resolved, for a generator the type of what it yields.

    Args:
        more: parameters in place of the handler's `**options`, with their descriptions.
        replaced: parameters in place of the handler's of the same name.
    """
    hints = typing.get_type_hints(handler)
    result = hints.pop("return")
    if inspect.isgeneratorfunction(handler):
        (result,) = typing.get_args(result)
    new = {parameter.name: parameter for parameter in replaced}
    own = [
        new.get(name, parameter.replace(annotation=hints.get(name, parameter.annotation)))
        for name, parameter in inspect.signature(handler).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    signature = inspect.Signature([*own, *more], return_annotation=result)
    made: Any = friendly(_by_name(handler, signature))
    made.__signature__ = signature
    made.__annotations__ = {name: item.annotation for name, item in signature.parameters.items()}
    described = "".join(f"    {parameter.name}: {text}\n" for parameter, text in more.items())
    made.__doc__ = (inspect.getdoc(handler) or "").replace("\n\nReturns:", f"\n{described}\nReturns:")
    return cast(Callable[..., Any], made)
