"""Options declared once: what their readers get, and the values they refuse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from core.engines.base import DrawOptions
from core.engines.fewshot_gan.config import FinetuneConfig
from core.options import check_ranges, describe_range, option, options_of


@dataclass(frozen=True)
class Settings:
    hidden: str = "no option"
    count: int = option(3, label="Count", help="How many.", low=1, high=9)
    share: float | None = option(None, label="Share", help="How much.", low=0)
    layers: tuple[int, ...] | None = option(None, label="Layers", help="Which.")
    kind: Literal["a", "b"] = option("a", label="Kind", help="Of what kind.", choices={"a": "First", "b": "Second"})
    loud: bool = option(False, label="Loud", help="Whether.")

    def __post_init__(self) -> None:
        check_ranges(self)


def test_options_are_read_from_the_fields() -> None:
    found = {item.name: item for item in options_of(Settings)}
    assert list(found) == ["count", "share", "layers", "kind", "loud"]
    assert [(item.type, item.optional) for item in found.values()] == [
        *((int, False), (float, True), (tuple, True), (str, False), (bool, False))
    ]
    assert (found["count"].default, found["count"].low, found["count"].high) == (3, 1, 9)
    assert (found["kind"].label, found["kind"].help) == ("Kind", "Of what kind.")
    assert dict(found["kind"].choices) == {"a": "First", "b": "Second"}
    assert [describe_range(found[name]) for name in ("count", "share", "kind")] == [
        *("a whole number from 1 to 9", "a number of 0 or more", "one of a, b")
    ]


def test_options_come_in_the_order_asked_for() -> None:
    assert [item.name for item in options_of(Settings, ("loud", "count"))] == ["loud", "count"]
    with pytest.raises(KeyError, match="hidden"):
        options_of(Settings, ["hidden"])


@pytest.mark.parametrize(
    "wrong",
    [
        *({"count": 0}, {"count": 10}, {"count": 2.0}, {"count": True}, {"count": None}, {"count": "3"}),
        *({"share": -0.1}, {"share": float("nan")}, {"share": float("inf")}, {"kind": "c"}),
    ],
)
def test_values_out_of_range_are_refused(wrong: dict) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=rf"{name} must be .*, got {value!r}"):
        Settings(**wrong)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        *((FinetuneConfig, wrong) for wrong in ({"method": "cyclegan"}, {"steps": 0}, {"learning_rate": 0.0})),
        *((FinetuneConfig, wrong) for wrong in ({"alpha": 1.5}, {"identity_weight": -1.0}, {"anchor": "cat"})),
        *((FinetuneConfig, wrong) for wrong in ({"references_per_step": 15}, {"anchors_per_step": 0})),
        *((FinetuneConfig, wrong) for wrong in ({"preview_every": 0}, {"seed": -1})),
        *((DrawOptions, wrong) for wrong in ({"strength": 1.01}, {"seed": 2**31})),
    ],
)
def test_impossible_settings_are_refused(kind: type, wrong: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be "):
        kind(**wrong)


def test_every_option_fits_its_own_default() -> None:
    for kind in (FinetuneConfig, DrawOptions):
        assert all(item.label and item.help.endswith(".") for item in options_of(kind))
        kind()
