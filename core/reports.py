"""Reports are frozen dataclasses; here alone they become JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

_MAY_BE_ABSENT = "may be absent from the JSON"


@dataclasses.dataclass(frozen=True)
class Failed:
    """A picture that was left out, and the sentence that says why."""

    name: str
    message: str


def absent() -> Any:
    """Declare a report's field that has no key in the JSON while it is None or empty."""
    return dataclasses.field(default=None, metadata={_MAY_BE_ABSENT: True})


def as_json(value: object) -> Any:
    """Copy a report, or a part of one, into what JSON can hold.

    Dataclasses become objects, tuples and sets lists, NaN and infinity None, array scalars numbers, the rest text.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {
            field.name: as_json(part)
            for field, part in parts
            if not (field.metadata.get(_MAY_BE_ABSENT) and (part is None or part == () or part == {}))
        }
    if isinstance(value, Mapping):
        return {str(name): as_json(part) for name, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_json(part) for part in value]
    if isinstance(value, (bool, int, str)) or value is None:
        return value
    number = value.item() if hasattr(value, "item") else value
    if isinstance(number, float):
        return number if math.isfinite(number) else None
    return number if isinstance(number, int) else str(value)
