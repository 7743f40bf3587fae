"""The page's colours: readable in light and dark, known to Gradio, and nothing fetched from elsewhere."""

from __future__ import annotations

import pytest

from core.ui.components import theme

TEXT_PAIRS = [
    ("ink", "paper"),
    ("ink", "panel"),
    ("ink", "sunken"),
    ("ink", "accent-soft"),
    ("quiet", "paper"),
    ("quiet", "panel"),
    ("quiet", "sunken"),
    ("accent", "paper"),
    ("accent", "panel"),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    ("alert", "alert-soft"),
    ("alert", "panel"),
]


def contrast(first: str, second: str) -> float:
    """The WCAG 2 contrast ratio of two "#rrggbb" colours, from 1 to 21."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("tokens", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXT_PAIRS)
def test_text_has_at_least_aa_contrast(tokens: dict[str, str], text: str, ground: str) -> None:
    assert contrast(tokens[text], tokens[ground]) >= 4.5


@pytest.mark.parametrize("tokens", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_field_borders_and_focus_rings_are_visible(tokens: dict[str, str]) -> None:
    assert contrast(tokens["field-line"], tokens["panel"]) >= 3
    assert contrast(tokens["accent"], tokens["paper"]) >= 3


def test_contrast_of_known_pairs() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=1e-3)  # the textbook near miss


def test_theme_and_style_sheet_load_nothing_from_the_network() -> None:
    made = theme.make_theme()
    assert not made._stylesheets
    assert "http" not in theme.make_css().replace("http://www.w3.org/2000/svg", "")  # a name, not an address
    assert set(theme.LIGHT) == set(theme.DARK)
