"""The page's sentences in the visitor's language: English is written where it is used, `locales/zh-CN.json` translates.

- `t(text)`: in an event, for what the server sends to one visitor.
- `label(text)`: for a component's property, translated in the browser by Gradio.
- `fragment(render)`: for HTML that is there before any event, rendered once per language.

The catalogue's keys are the English texts; what varies stands in braces, and a `core.errors.Sentence` knows its own
template. Whatever the catalogue lacks stays English, so a new text shows up untranslated instead of breaking
(`tests/test_ui_i18n.py` names it). The language is the browser's first one, by the rule that Gradio's own texts
follow, or the two would mix.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.i18n import I18nData

from core.errors import Sentence
from core.ui.server import gradio_adapter

ENGLISH, CHINESE = "en", "zh-CN"
CATALOGUE = Path(__file__).with_name("locales") / f"{CHINESE}.json"

# Gradio tells screen readers these keys themselves, since it has no texts for them: the first in every language.
GRADIO_LACKS = {"common.complete": "Done", "common.progress": "Progress"}

_rendering: ContextVar[str | None] = ContextVar("rendering", default=None)  # set while `fragment` renders
_in_browser: dict[str, str] = {}  # English text or HTML -> Chinese, of everything the page was built with


@functools.cache
def catalogue() -> Mapping[str, str]:
    """English text -> Chinese text."""
    texts: dict[str, str] = json.loads(CATALOGUE.read_text(encoding="utf-8"))
    return texts


def in_chinese(text: str) -> str:
    """Return a text's translation, the text itself where there is none."""
    return catalogue().get(text, text)


def language() -> str:
    """Return the language of the visitor whose event is being handled; English outside of events."""
    if (rendering := _rendering.get()) is not None:
        return rendering
    first = gradio_adapter.header_of_event("accept-language").split(",")[0].split(";")[0].strip()
    return CHINESE if first.lower() == CHINESE.lower() else ENGLISH


def t(text: str, /, **values: object) -> str:
    """Return an English text in the visitor's language, with values for its fields.

    A `Sentence` brings its own values; those that are sentences themselves are translated with it.
    """
    template = text
    if isinstance(text, Sentence):
        template, values = text.template, {**text.values, **values}
    if language() == CHINESE:
        template = in_chinese(template)
    shown = {name: t(value) if isinstance(value, Sentence) else value for name, value in values.items()}
    return template.format(**shown) if shown else template


def label(text: str, /, **values: object) -> Any:
    """Return a component's label, button text or the like, translated in the browser: what `fragment` returns.

    Not every component's types admit it.
    """
    return fragment(lambda: t(text, **values))


def fragment(render: Callable[[], str]) -> I18nData:
    """Return HTML, or a text, that the browser shows in its own language; `render` uses `t`."""
    english, chinese = (_rendered(render, spoken) for spoken in (ENGLISH, CHINESE))
    _in_browser[english] = chinese
    return I18nData(english)


def _rendered(render: Callable[[], str], spoken: str) -> str:
    token = _rendering.set(spoken)
    try:
        return str(render())  # plain, also where it is marked as HTML
    finally:
        _rendering.reset(token)


def for_browser() -> gr.I18n:
    """Return what Gradio's page needs to translate all that was labelled so far: `launch(i18n=...)`."""
    english = {text: text for text in _in_browser} | GRADIO_LACKS
    chinese = _in_browser | {key: in_chinese(text) for key, text in GRADIO_LACKS.items()}
    return gr.I18n(**{ENGLISH: english, CHINESE: chinese})
