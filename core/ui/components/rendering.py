"""Every piece of HTML comes from here: Jinja templates in `templates/`, whose values are escaped unless marked as HTML.

Templates are made of macros. They translate by `t(text, **values)`, and by `t_html` where the text itself holds tags.
"""

from __future__ import annotations

import functools
import html
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import Extension
from markupsafe import Markup

from core.ui.i18n import t

TEMPLATES = Path(__file__).with_name("templates")


class _JoinLines(Extension):
    """Joins a template's lines at tags, so that its layout puts no blanks between a page's elements."""

    _BREAK = re.compile(r"(?<=[>}])\s*\n\s*|\s*\n\s*(?=[<{])")

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Return the source without line breaks beside tags; inside a tag and inside a text they stay."""
        return self._BREAK.sub("", source)


def _t_html(text: str, /, **values: object) -> Markup:
    """Return a translated text that holds tags; its values are escaped."""
    return Markup(t(text)).format(**values)


@functools.cache
def environment() -> Environment:
    """Return the one environment of the page's templates."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, extensions=[_JoinLines]
    )
    made.globals |= {"t": t, "t_html": _t_html}
    return made


def render(template: str, macro: str, /, **values: object) -> Markup:
    """Return the HTML that a macro of a template makes of its values."""
    made: Markup = getattr(environment().get_template(template).module, macro)(**values)
    return made


def escaped_text(text: str) -> str:
    """Return a text for a place that takes HTML but shows it between tags, where quotes may stay."""
    return html.escape(text, quote=False)
