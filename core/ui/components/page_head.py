"""What stands in the page's head: its language, when it shows itself, and plain words for those who wait in line."""

from __future__ import annotations

from markupsafe import Markup

from core.config import PhotoLimits
from core.ui.components import gradio_words
from core.ui.components.rendering import render
from core.ui.components.theme import font_face, static_text
from core.ui.i18n import CHINESE, ENGLISH, in_chinese

PATIENCE_S = 3  # after which the page shows itself in any case
PARTS = ("#photo button", "#examples img", "#styles .si-tile", "#empty .si-empty", "#strength input")
HEAVY_BYTES = 3_000_000  # pictures above are sent as JPEG; longer ones than the server keeps are so in any case
JPEG_QUALITY = 0.92
WAITING = {
    "next": "You are next in line.",
    "place": "Number {place} of {size} in line.",
    "working": "Working on it.",
    "seconds": "About {count} seconds.",
    "minute": "About a minute.",
    "minutes": "About {count} minutes.",
}


def head() -> Markup:
    """Return the HTML for the page's head, in every language that the page speaks."""
    return render(
        "page.html",
        "head",
        chinese=CHINESE,
        font_face=font_face(),
        patience_s=PATIENCE_S,
        parts=PARTS,
        arriving_script=static_text("page_load.js"),
        waiting_texts={ENGLISH: WAITING, CHINESE: {name: in_chinese(text) for name, text in WAITING.items()}},
        waiting_style=static_text("waiting.css"),
        waiting_script=static_text("waiting.js"),
        shrink={"longest_px": PhotoLimits().max_side_px, "heavy_bytes": HEAVY_BYTES, "quality": JPEG_QUALITY},
        shrink_script=static_text("shrink.js"),
        words=gradio_words.spoken(),
        words_script=static_text("words.js"),
        api_page_script=static_text("api_page.js"),
    )


def link_preview(name: str, promise: str, picture: str) -> Markup:
    """Return the HTML that has to be in the page's own file: what a link to it shows, and the script that asks first.

    Args:
        name, promise: in words.
        picture: its address.
    """
    asks = static_text("leaving.js")
    return render("page.html", "link_preview", name=name, promise=promise, picture=picture, leaving_script=asks)


def title(name: str, promise: str) -> Markup:
    """Return the page's own headline."""
    return render("page.html", "title", name=name, promise=promise)
