"""Options that are declared once, as fields of a frozen dataclass: range, label and help stand beside the default.

Command line, API and page build their parameters from `options_of`, so an option added to its dataclass shows up in
all three.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from types import MappingProxyType, NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from core.errors import Sentence

_KEY = "option"


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: of its field.
        type: a plain type: int, float, bool, str or tuple; without None.
        optional: None is allowed, and leaves the choice to whoever uses the option.
        default: its value when nothing is said.
        label: for the page.
        help: one short sentence.
        low, high: the range, both ends included; None where there is no end.
        choices: the closed set of values, with their labels; empty for open ones.
    """

    name: str
    type: type
    optional: bool
    default: Any
    label: str
    help: str
    low: float | None
    high: float | None
    choices: Mapping[str, str]


def option(
    default: Any,
    *,
    label: str,
    help: str,
    low: float | None = None,
    high: float | None = None,
    choices: Mapping[str, str] | None = None,
) -> Any:
    """Declare a dataclass field as an option; see `Option` for the arguments."""
    described = {
        "label": label,
        "help": help,
        "low": low,
        "high": high,
        "choices": MappingProxyType(dict(choices or {})),
    }
    return field(default=default, metadata={_KEY: described})


def options_of(kind: type, names: Iterable[str] | None = None) -> tuple[Option, ...]:
    """List the options of a dataclass, in the order of its fields or of `names`."""
    hints = get_type_hints(kind)
    declared = {item.name: _read(item, hints[item.name]) for item in fields(kind) if _KEY in item.metadata}
    return tuple(declared[name] for name in (declared if names is None else names))


def check_ranges(instance: Any) -> None:
    """Raise ValueError with the rule and the value where an option of a dataclass instance is out of range."""
    for item in options_of(type(instance)):
        value = getattr(instance, item.name)
        if value is None and item.optional:
            continue
        if item.choices and value not in item.choices:
            raise ValueError(f"{item.name} must be {describe_range(item)}, got {value!r}")
        if item.type in (int, float):
            number = isinstance(value, int if item.type is int else (int, float)) and not isinstance(value, bool)
            low, high = -math.inf if item.low is None else item.low, math.inf if item.high is None else item.high
            if not (number and math.isfinite(value) and low <= value <= high):
                raise ValueError(f"{item.name} must be {describe_range(item)}, got {value!r}")


def describe_range(item: Option) -> Sentence:
    """Say what values an option takes: "a whole number from 1 to 2000"."""
    if item.choices:
        return Sentence("one of {choices}", choices=", ".join(item.choices))
    if item.type is bool:
        return Sentence("yes or no")
    if item.type is tuple:
        return Sentence("whole numbers of 0 or more with commas between them, for example 7, 9, 11")
    low, high = _shown(item.low), _shown(item.high)
    if item.type is int:
        if high:
            return Sentence("a whole number from {low} to {high}", low=low, high=high)
        return Sentence("a whole number of {low} or more", low=low) if low else Sentence("a whole number")
    if high:
        return Sentence("a number from {low} to {high}", low=low, high=high)
    return Sentence("a number of {low} or more", low=low) if low else Sentence("a number")


def _shown(end: float | None) -> str:
    return "" if end is None else str(end) if isinstance(end, int) else f"{end:g}"


def _read(item: Field[Any], hint: Any) -> Option:
    parts = [part for part in get_args(hint) if part is not NoneType] if NoneType in get_args(hint) else [hint]
    plain = parts[0]
    if get_origin(plain) is Literal:
        plain = type(get_args(plain)[0])
    default = None if item.default is MISSING else item.default
    return Option(
        name=item.name,
        type=get_origin(plain) or plain,
        optional=NoneType in get_args(hint),
        default=default,
        **item.metadata[_KEY],
    )
