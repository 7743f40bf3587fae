"""How the page looks: tokens for light (warm paper) and dark (near black), a Gradio theme and the style sheet.

One accent (ink blue), a serif for the title only, 12 px corners, visible focus rings. Text colours have at least
4.5:1 against their backgrounds (`tests/test_ui_theme.py` computes it).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import gradio as gr
from gradio.themes.utils import colors, sizes

from core.ui.i18n import CHINESE, in_chinese

LIGHT: Mapping[str, str] = MappingProxyType(
    {
        "paper": "#faf6ee",
        "panel": "#fffdf8",
        "sunken": "#f3ede1",
        "ink": "#1f1b16",
        "quiet": "#62594d",
        "line": "#e3dac9",
        "field-line": "#9a8f7e",
        "accent": "#24437a",
        "accent-strong": "#1a3260",
        "accent-soft": "#e5ebf5",
        "on-accent": "#ffffff",
        "alert": "#8f2318",
        "alert-soft": "#fbeae6",
        "good": "#2f6b3c",
    }
)
DARK: Mapping[str, str] = MappingProxyType(
    {
        "paper": "#121110",
        "panel": "#1b1a18",
        "sunken": "#232120",
        "ink": "#f0eae0",
        "quiet": "#b8afa1",
        "line": "#35322d",
        "field-line": "#7a7267",
        "accent": "#a3bcec",
        "accent-strong": "#c1d2f4",
        "accent-soft": "#232d42",
        "on-accent": "#10192c",
        "alert": "#f2a597",
        "alert-soft": "#3a1f1b",
        "good": "#8fc79a",
    }
)

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
TITLE_FONT = "Fraunces"  # by the Fraunces Project Authors, SIL Open Font License: `static/fonts/OFL.txt`
STATIC = Path(__file__).resolve().parent.parent / "static"
STYLE_SHEETS = (STATIC / "page.css", STATIC / "study.css")

# Gradio's variable -> our token; each is set for light and dark.
_VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "body_background_fill": "paper",
        "body_text_color": "ink",
        "body_text_color_subdued": "quiet",
        "background_fill_primary": "panel",
        "background_fill_secondary": "sunken",
        "border_color_primary": "line",
        "border_color_accent": "accent",
        "border_color_accent_subdued": "line",
        "color_accent_soft": "accent-soft",
        "link_text_color": "accent",
        "link_text_color_hover": "accent-strong",
        "link_text_color_active": "accent-strong",
        "link_text_color_visited": "accent",
        "block_background_fill": "panel",
        "block_border_color": "line",
        "block_info_text_color": "quiet",
        "block_label_background_fill": "panel",
        "block_label_border_color": "line",
        "block_label_text_color": "quiet",
        "block_title_text_color": "ink",
        "panel_background_fill": "panel",
        "panel_border_color": "line",
        "accordion_text_color": "ink",
        "table_text_color": "ink",
        "checkbox_background_color": "panel",
        "checkbox_background_color_selected": "accent",
        "checkbox_border_color": "field-line",
        "checkbox_border_color_focus": "accent",
        "checkbox_border_color_hover": "accent",
        "checkbox_border_color_selected": "accent",
        "checkbox_label_background_fill": "panel",
        "checkbox_label_background_fill_hover": "sunken",
        "checkbox_label_background_fill_selected": "accent-soft",
        "checkbox_label_border_color": "line",
        "checkbox_label_border_color_selected": "accent",
        "checkbox_label_text_color": "ink",
        "checkbox_label_text_color_selected": "ink",
        "error_background_fill": "alert-soft",
        "error_border_color": "alert",
        "error_text_color": "alert",
        "error_icon_color": "alert",
        "input_background_fill": "panel",
        "input_background_fill_focus": "panel",
        "input_border_color": "field-line",
        "input_border_color_focus": "accent",
        "input_border_color_hover": "accent",
        "input_placeholder_color": "quiet",
        "loader_color": "accent",
        "slider_color": "accent",
        "stat_background_fill": "accent",
        "button_primary_background_fill": "accent",
        "button_primary_background_fill_hover": "accent-strong",
        "button_primary_border_color": "accent",
        "button_primary_border_color_hover": "accent-strong",
        "button_primary_text_color": "on-accent",
        "button_primary_text_color_hover": "on-accent",
        "button_secondary_background_fill": "panel",
        "button_secondary_background_fill_hover": "sunken",
        "button_secondary_border_color": "field-line",
        "button_secondary_border_color_hover": "accent",
        "button_secondary_text_color": "ink",
        "button_secondary_text_color_hover": "ink",
        "button_cancel_background_fill": "panel",
        "button_cancel_background_fill_hover": "alert-soft",
        "button_cancel_border_color": "alert",
        "button_cancel_border_color_hover": "alert",
        "button_cancel_text_color": "alert",
        "button_cancel_text_color_hover": "alert",
    }
)


def make_theme() -> gr.themes.Base:
    """Return the Gradio theme made of the tokens; it loads no font from the network."""
    corners = sizes.Size(xxs="4px", xs="6px", sm="8px", md="12px", lg="12px", xl="12px", xxl="12px", name="corners")
    theme = gr.themes.Base(
        primary_hue=colors.blue,
        neutral_hue=colors.stone,
        radius_size=corners,
        spacing_size=sizes.spacing_md,
        text_size=sizes.text_md,
        font=SANS,
        font_mono=MONO,
    )
    values = {name: LIGHT[token] for name, token in _VARIABLES.items()}
    values |= {f"{name}_dark": DARK[token] for name, token in _VARIABLES.items()}
    return theme.set(
        **values,
        color_accent=LIGHT["accent"],
        block_shadow="none",
        block_border_width="1px",
        block_label_shadow="none",
        block_title_text_weight="600",
        button_primary_shadow="none",
        button_secondary_shadow="none",
        button_border_width="1px",
        button_large_text_weight="600",
        button_large_radius="12px",
        button_small_radius="12px",
        button_medium_radius="12px",
        checkbox_label_shadow="none",
        input_border_width="1px",
        input_shadow="none",
        input_shadow_focus="none",
        layout_gap="16px",
    )


def make_css() -> str:
    """Return the tokens as custom properties (`--si-...`) followed by the style sheets."""

    def block(selector: str, tokens: Mapping[str, str]) -> str:
        lines = "\n".join(f"  --si-{name}: {value};" for name, value in tokens.items())
        return f"{selector} {{\n{lines}\n}}\n"

    sheets = "".join(sheet.read_text(encoding="utf-8") for sheet in STYLE_SHEETS)
    return block(":root", LIGHT) + block(":root.dark, .dark", DARK) + _texts() + sheets


def static_text(name: str) -> str:
    """Return a script or a style sheet that goes into the page."""
    return (STATIC / name).read_text(encoding="utf-8")


def font_face() -> str:
    """Return the style sheet of the title's font, the font inside it: nothing is fetched, and nothing jumps."""
    font = base64.b64encode((STATIC / "fonts" / "fraunces-600.woff2").read_bytes()).decode("ascii")
    source = f'src: url("data:font/woff2;base64,{font}") format("woff2")'
    return f"@font-face {{ font-family: {TITLE_FONT}; font-weight: 600; font-display: block; {source}; }}"


def _texts() -> str:
    """Return texts for places where Gradio has some of its own that can't be set, as `--si-drop-...`."""
    texts = {
        "portraits": "Drop portraits here, or click to choose them",
        "photos": "Drop photos here, or click to choose them",
    }
    english = "".join(f" --si-drop-{name}: {json.dumps(text)};" for name, text in texts.items())
    translated = {name: json.dumps(in_chinese(text), ensure_ascii=False) for name, text in texts.items()}
    chinese = "".join(f" --si-drop-{name}: {text};" for name, text in translated.items())
    return f":root {{{english} }}\n:root:lang({CHINESE}) {{{chinese} }}\n"
