"""Where a visitor is in line and how long it may take, in plain words: a script and a style for the page's head."""

from __future__ import annotations

import json
from pathlib import Path

from core.ui.i18n import CHINESE, ENGLISH, catalogue

SCRIPT = Path(__file__).resolve().parent.parent / "static" / "waiting.js"
# Over a piece of HTML, Gradio's small tracker has no height of its own: give its line a place under the text.
STYLE = """
.progress-text[data-words] { font-size: 0 !important; }
.progress-text[data-words]::after { content: attr(data-words); font-size: 0.875rem; line-height: 1.5; }
[data-testid="status-tracker"].minimal:has(> .progress-text[data-words]) {
  position: static !important; height: auto !important; max-height: none !important; overflow: visible !important;
  align-items: flex-start !important; background: none !important;
}
[data-testid="status-tracker"].minimal > .progress-text[data-words] {
  position: static !important; transform: none !important; padding: 0 !important;
}
:has(> [data-testid="status-tracker"].minimal) > .html-container.pending { opacity: 1; }
"""
WORDS = {
    "next": "You are next in line.",
    "place": "Number {place} of {size} in line.",
    "working": "Working on it.",
    "seconds": "About {count} seconds.",
    "minute": "About a minute.",
    "minutes": "About {count} minutes.",
}


def head() -> str:
    """Return the HTML for the page's head, in every language that the page speaks."""
    chinese = {key: catalogue().get(text, text) for key, text in WORDS.items()}
    spoken = json.dumps({ENGLISH: WORDS, CHINESE: chinese}, ensure_ascii=False)
    script = SCRIPT.read_text(encoding="utf-8").replace('"WORDS"', spoken)
    return f"<style>{STYLE}</style><script>{script}</script>"
