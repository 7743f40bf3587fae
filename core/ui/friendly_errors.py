"""The edge between handlers and the page: every failure leaves as one friendly sentence.

Expected failures carry their own sentence (`core.errors`); anything else is logged and described in general words,
so that no stack trace ever reaches a visitor.
"""

from __future__ import annotations

import errno
import functools
import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import gradio as gr

from core.errors import DiskFull, StyleIdentityError
from core.ui.i18n import translated

LOGGER = logging.getLogger(__name__)

UNEXPECTED = "Something went wrong on our side. Your pictures are still here: please try again in a moment."
OUT_OF_MEMORY = "There is not enough memory for this just now. Try fewer pictures, or try again in a moment."


def sentence(error: Exception) -> str:
    """Return what a visitor reads about `error`; an unexpected one is logged with its traceback first."""
    if isinstance(error, StyleIdentityError):
        return str(error)
    if isinstance(error, gr.Error):
        return error.message
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return str(DiskFull("the result"))
    LOGGER.error("unexpected failure in a handler", exc_info=error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return OUT_OF_MEMORY
    return UNEXPECTED


@contextmanager
def _as_gradio_error() -> Iterator[None]:
    try:
        yield
    except gr.Error as error:
        error.print_exception = False  # it is meant for the visitor, not for the log
        error.message, error.title = translated(error.message), translated(error.title)
        raise
    except Exception as error:  # the page shows the text as HTML, and names in it come from strangers
        text = escape(translated(sentence(error)), quote=False)
        raise gr.Error(text, title=translated("That didn't work"), print_exception=False) from error


def friendly(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a handler (plain, generator or coroutine) so that every exception becomes `gr.Error` with a sentence.

    The signature is kept, since Gradio reads `gr.Request`, `gr.EventData` and `gr.Progress` from it.
    """
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def stream(*args: Any, **options: Any) -> Iterator[Any]:
            with _as_gradio_error():
                yield from handler(*args, **options)

        return stream

    if inspect.iscoroutinefunction(handler):

        @functools.wraps(handler)
        async def wait(*args: Any, **options: Any) -> Any:
            with _as_gradio_error():
                return await handler(*args, **options)

        return wait

    @functools.wraps(handler)
    def call(*args: Any, **options: Any) -> Any:
        with _as_gradio_error():
            return handler(*args, **options)

    return call
