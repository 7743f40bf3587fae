"""The page's words in the visitor's language: English is written where it is used, `locales/zh-CN.json` translates it.

- `t(text)`: in an event, for what the server sends to one visitor.
- `label(text)`: for a component's property, translated in the browser by Gradio.
- `fragment(render)`: for HTML that is there before any event, rendered once per language.
- `translated(sentence)`: for sentences from elsewhere, such as `core.errors`: found by their English template.

The catalogue's keys are the English texts; what varies stands in braces. Whatever it lacks stays English, so new words
show up untranslated instead of breaking (`tests/test_ui_words.py` names them). The language is the browser's first
one, by the rule that Gradio's own words follow, or the two would mix.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path

import gradio as gr
from gradio.context import LocalContext
from gradio.i18n import I18nData

ENGLISH, CHINESE = "en", "zh-CN"
CATALOGUE = Path(__file__).with_name("locales") / f"{CHINESE}.json"
# Tells screen readers and line breaking which language the page speaks; Gradio always says English.
HEAD = f"<script>if (navigator.language === '{CHINESE}') document.documentElement.lang = '{CHINESE}';</script>"

# Gradio tells screen readers these keys themselves, for want of words: the first in every language.
GRADIO_LACKS = {"common.complete": "Done", "common.progress": "Progress"}

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_rendering: ContextVar[str | None] = ContextVar("rendering", default=None)  # set while `fragment` renders
_in_browser: dict[str, str] = {}  # English text or HTML -> Chinese, of everything the page was built with


@functools.cache
def catalogue() -> Mapping[str, str]:
    """English text -> Chinese text."""
    return json.loads(CATALOGUE.read_text(encoding="utf-8"))


@functools.cache
def _templates() -> tuple[tuple[re.Pattern[str], str], ...]:
    """A pattern and the translation of each text with placeholders, the most telling first."""
    texts = sorted((text for text in catalogue() if _PLACEHOLDER.search(text)), key=len, reverse=True)
    return tuple((_pattern(text), catalogue()[text]) for text in texts)


def _pattern(text: str) -> re.Pattern[str]:
    parts = _PLACEHOLDER.split(text)  # text, name, text, name, ..., text
    return re.compile("".join(f"(?P<{part}>.+?)" if i % 2 else re.escape(part) for i, part in enumerate(parts)), re.S)


def language() -> str:
    """Return the language of the visitor whose event is being handled; English outside of events."""
    if (rendering := _rendering.get()) is not None:
        return rendering
    request = LocalContext.request.get(None)
    headers = getattr(request, "headers", None) or {}
    first = headers.get("accept-language", "").split(",")[0].split(";")[0].strip()
    return CHINESE if first.lower() == CHINESE.lower() else ENGLISH


def t(text: str, /, **values: object) -> str:
    """Return an English text in the visitor's language, with values for its placeholders."""
    if language() == CHINESE:
        text = catalogue().get(text, text)
    return text.format(**values) if values else text


def translated(sentence: str) -> str:
    """Return a finished English sentence in the visitor's language, as it is where the catalogue has none like it."""
    if language() != CHINESE or not sentence:
        return sentence
    if (known := catalogue().get(sentence)) is not None:
        return known
    for pattern, chinese in _templates():
        if (match := pattern.fullmatch(sentence)) is not None:
            return chinese.format(**{name: translated(value) for name, value in match.groupdict().items()})
    return sentence


def label(text: str, /, **values: object) -> I18nData:
    """Return a component's label, button text or the like, translated in the browser."""
    return fragment(lambda: t(text, **values))


def fragment(render: Callable[[], str]) -> I18nData:
    """Return HTML, or a text, that the browser shows in its own language; `render` uses `t`."""
    english, chinese = (_rendered(render, spoken) for spoken in (ENGLISH, CHINESE))
    _in_browser[english] = chinese
    return I18nData(english)


def _rendered(render: Callable[[], str], spoken: str) -> str:
    token = _rendering.set(spoken)
    try:
        return render()
    finally:
        _rendering.reset(token)


def for_browser() -> gr.I18n:
    """Return what Gradio's page needs to translate all that was labelled so far: `launch(i18n=...)`."""
    english = {text: text for text in _in_browser} | GRADIO_LACKS
    chinese = _in_browser | {key: catalogue().get(text, text) for key, text in GRADIO_LACKS.items()}
    return gr.I18n(**{ENGLISH: english, CHINESE: chinese})
