"""Handlers fail with one friendly sentence, in the visitor's language.

Expected failures carry their own sentence (`core.errors`); anything else is logged and described in general words,
so that no stack trace ever reaches a visitor.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import gradio as gr

from core.errors import DiskFull, Sentence, StyleIdentityError
from core.files import is_disk_full
from core.ui.components.rendering import escaped_text
from core.ui.i18n import t

Handler = TypeVar("Handler", bound=Callable[..., Any])

LOGGER = logging.getLogger(__name__)

FAILED = Sentence("That didn't work")
UNEXPECTED = Sentence("Something went wrong on our side. Your pictures are still here: please try again in a moment.")
OUT_OF_MEMORY = Sentence("There is not enough memory for this just now. Try fewer pictures, or try again in a moment.")


class PageProblem(StyleIdentityError):
    """Something on the page that the visitor must put right first.

    Args:
        template: the sentence that says what to do, with a field in braces for each of `values`.
        title: the message's heading.
    """

    def __init__(self, template: str, /, *, title: str = FAILED, **values: object) -> None:
        self.title = title
        self.say(Sentence(template, **values))


def sentence(error: Exception) -> str:
    """Return what a visitor reads about `error`; an unexpected one is logged with its traceback first."""
    if isinstance(error, StyleIdentityError):
        return error.sentence
    if isinstance(error, gr.Error):
        return str(error.message)
    if is_disk_full(error):
        return DiskFull("the result").sentence
    LOGGER.error("unexpected failure in a handler", exc_info=error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return OUT_OF_MEMORY
    return UNEXPECTED


def for_gradio(error: Exception) -> gr.Error:
    """Return the error that Gradio shows; it takes the text for HTML, and names in it come from strangers."""
    title = error.title if isinstance(error, PageProblem) else FAILED
    return gr.Error(escaped_text(t(sentence(error))), title=t(title), print_exception=False)


@contextmanager
def _as_gradio_error() -> Iterator[None]:
    try:
        yield
    except gr.Error as error:
        error.print_exception = False  # it is meant for the visitor, not for the log
        raise
    except Exception as error:
        raise for_gradio(error) from error


def friendly(handler: Handler) -> Handler:
    """Wrap a handler (plain, generator or coroutine) so that every exception becomes `gr.Error` with a sentence.

    The signature is kept, since Gradio reads `gr.Request`, `gr.EventData` and `gr.Progress` from it.
    """
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def stream(*args: Any, **options: Any) -> Iterator[Any]:
            with _as_gradio_error():
                yield from handler(*args, **options)

        return cast(Handler, stream)

    if inspect.iscoroutinefunction(handler):

        @functools.wraps(handler)
        async def wait(*args: Any, **options: Any) -> Any:
            with _as_gradio_error():
                return await handler(*args, **options)

        return cast(Handler, wait)

    @functools.wraps(handler)
    def call(*args: Any, **options: Any) -> Any:
        with _as_gradio_error():
            return handler(*args, **options)

    return cast(Handler, call)
