"""Options as controls of the page, and the way back: what was typed, chosen or sent, as values of the options.

What an option is called, what it means and which values it takes is declared once, in its dataclass (`core.options`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.components import Component

from core.errors import Sentence
from core.options import Option, describe_range, options_of
from core.ui.friendly_errors import PageProblem
from core.ui.i18n import fragment, label, t
from core.ui.server.limits import limits

LONGEST_SLIDER = 2000  # a slider can't be set to one value among many more than its pixels


def offered(kind: type) -> tuple[Option, ...]:
    """List a dataclass's options as this server offers them: counts of steps end where its limit is."""
    return tuple(_limited(item) for item in options_of(kind))


def _limited(item: Option) -> Option:
    if item.name not in ("steps", "preview_every"):
        return item
    return replace(item, high=limits().steps if item.high is None else min(item.high, limits().steps))


# --- from an option to a control ---------------------------------------------------------------------------


def in_percent(item: Option) -> bool:
    """Whether an option is a share, shown as a slider in percent."""
    return item.type is float and not item.optional and (item.low, item.high) == (0, 1)


def control(item: Option, *, elem_id: str, min_width: int = 160) -> Component:
    """Create an option's control in the current layout, where it takes so many pixels or a line of its own.

    An empty text field stands for None.
    """
    made = _control(item, elem_id, min_width)
    assert isinstance(made, Component)
    return made


def _control(item: Option, elem_id: str, min_width: int) -> Any:
    look: dict[str, Any] = {"label": label(item.label), "elem_id": elem_id, "min_width": min_width}
    if item.type is bool:
        return gr.Checkbox(item.default, **look | {"min_width": 150})
    if in_percent(item):
        name = fragment(lambda: t("{label} (%)", label=Sentence(item.label)))
        return gr.Slider(0, 100, 100 * item.default, step=5, buttons=[], **look | {"label": name})
    if item.optional or item.type is tuple:
        return gr.Textbox("", info=fragment(lambda: f"{t(item.help)} {t('Empty: the default.')}"), **look)
    look["info"] = label(item.help)
    if item.choices:
        return gr.Radio([(label(title), value) for value, title in item.choices.items()], value=item.default, **look)
    if item.type is int and item.low is not None and item.high is not None and item.high - item.low < LONGEST_SLIDER:
        return gr.Slider(item.low, item.high, item.default, step=1, **look)
    exact: dict[str, Any] = {"precision": 0} if item.type is int else {"step": item.default / 20 or None}
    return gr.Number(item.default, minimum=item.low, maximum=item.high, **exact, **look)


@dataclass(frozen=True, eq=False)
class Controls:
    """The controls of a dataclass's options.

    Attributes:
        kind: the dataclass.
        by_option: a control for every option that is asked for.
    """

    kind: type
    by_option: Mapping[str, Component]

    def components(self) -> set[Block]:
        """Return the controls, as inputs of an event."""
        return set(self.by_option.values())

    def read(self, shown: Mapping[Any, Any]) -> dict[str, Any]:
        """Return the options' values from what the controls show. Raises PageProblem."""
        items = {item.name: item for item in offered(self.kind)}
        return {name: self._read(items[name], shown[part]) for name, part in self.by_option.items()}

    def _read(self, item: Option, value: object) -> Any:
        name = t(item.label)
        if in_percent(item) and value is not None:
            return _share(item, value, name=name)
        return read(self.kind, item, value, name=name)


def _share(item: Option, value: object, *, name: str) -> float:
    try:
        percent = _number(value)
        if 0 <= percent <= 100:
            return percent / 100
    except (TypeError, ValueError, OverflowError):
        pass
    raise refused(replace(item, high=100), value, name=name)


# --- from a value to the option's --------------------------------------------------------------------------


def read(kind: type, item: Option, value: object, *, name: str) -> Any:
    """Return an option's value from what was typed, chosen or sent; its default where that is empty.

    Args:
        kind: the dataclass that declares the option.
        item: the option, as it is offered.
        value: anything at all.
        name: what to call the option in a sentence.

    Raises:
        PageProblem: the option doesn't take this value.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return item.default
    try:
        converted = _converted(item, value)
        if item.high is not None and isinstance(converted, (int, float)) and converted > item.high:
            raise ValueError(f"{item.name} must be {describe_range(item)}, got {converted!r}")
        return getattr(kind(**{item.name: converted}), item.name)
    except (TypeError, ValueError, OverflowError) as error:
        raise refused(item, value, name=name) from error


def refused(item: Option, value: object, *, name: str) -> PageProblem:
    """Return the problem with a value that an option doesn't take."""
    got = repr(str(value)[:40])
    return PageProblem("'{name}' is {range}, not {got}.", name=name, range=describe_range(item), got=got)


def _converted(item: Option, value: object) -> Any:
    if item.type is tuple:
        return _whole_numbers(value)
    if item.type is bool:
        if value in (0, 1):
            return bool(value)
        raise ValueError(f"expected yes or no, got {value!r}")
    if item.type is int:
        number = _number(value)
        if number != int(number):
            raise ValueError(f"expected a whole number, got {value!r}")
        return int(number)
    return _number(value) if item.type is float else str(value)


def _number(value: object) -> float:
    """Return a finite number; texts may have a decimal comma."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"expected a number, got {value!r}")
    number = float(value.replace(",", ".")) if isinstance(value, str) else float(value)
    if not math.isfinite(number):
        raise ValueError(f"expected a finite number, got {value!r}")
    return number


def _whole_numbers(value: object) -> tuple[int, ...] | None:
    """Return the numbers of a list or of a text with commas; None for no number at all."""
    parts: Iterable[object] = value.replace(";", ",").split(",") if isinstance(value, str) else _listed(value)
    numbers = tuple(int(str(part)) for part in parts if str(part).strip())
    if any(number < 0 for number in numbers):
        raise ValueError(f"expected numbers of 0 or more, got {value!r}")
    return numbers or None


def _listed(value: object) -> Iterable[object]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"expected numbers, got {value!r}")
    return value
