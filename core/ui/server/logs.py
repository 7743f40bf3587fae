"""Structured logs: one line per event, as JSON where a program reads them, without personal data.

No message names a file, an address or a session. Of an unexpected failure its kind and the places in the code are
kept, never its text, since that may quote what a visitor sent.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

import structlog
from structlog.typing import Processor

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

LOG_ENV = "STYLEIDENTITY_LOG"
LEVEL_ENV = "STYLEIDENTITY_LOG_LEVEL"
ROOT = Path(__file__).resolve().parents[3]
_QUIET = (
    "httpx",
    "httpcore",
    "httpx2",
    "uvicorn.access",
    "filelock",
    "PIL",
    "matplotlib",
    "asyncio",
    "python_multipart",
)


def places(failure: tuple[type[BaseException], BaseException, TracebackType | None]) -> dict[str, object]:
    """Return a failure's kind and the places it passed, the innermost last, without what it says."""
    kind, _, trace = failure
    frames = traceback.extract_tb(trace)[-8:]
    return {"kind": kind.__qualname__, "at": [f"{_short(frame.filename)}:{frame.lineno}" for frame in frames]}


def _short(file_name: str) -> str:
    """Return a source file's path without the machine's own folders."""
    path = Path(file_name)
    if path.is_relative_to(ROOT):
        return path.relative_to(ROOT).as_posix()
    parts = path.parts
    return "/".join(parts[parts.index("site-packages") + 1 :] if "site-packages" in parts else parts[-2:])


def _without_text(_: object, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Processor: replace `exc_info` by the failure's kind and places."""
    failure = event.pop("exc_info", None)
    if failure is True:
        failure = sys.exc_info()
    elif isinstance(failure, BaseException):
        failure = (type(failure), failure, failure.__traceback__)
    if isinstance(failure, tuple) and failure[0] is not None:
        event["failure"] = places(failure)
    event.pop("stack_info", None)
    return event


def configure(*, stream: TextIO | None = None, environment: Mapping[str, str] | None = None) -> None:
    """Send every log of this process through structlog.

    `$STYLEIDENTITY_LOG` is "json" or "console"; by default console on a terminal, else JSON.
    `$STYLEIDENTITY_LOG_LEVEL` is a level's name, by default INFO. Raises `ValueError` for another value.
    """
    stream = stream or sys.stderr
    environment = os.environ if environment is None else environment
    form = environment.get(LOG_ENV) or ("console" if stream.isatty() else "json")
    if form not in ("json", "console"):
        raise ValueError(f"{LOG_ENV} must be 'json' or 'console', got {form!r}")
    level = (environment.get(LEVEL_ENV) or "INFO").upper()
    if not isinstance(logging.getLevelName(level), int):
        raise ValueError(f"{LEVEL_ENV} must be a level's name such as INFO, got {level!r}")
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_text,
    ]
    on_console = structlog.dev.ConsoleRenderer(colors=stream.isatty())
    rendered: Processor = structlog.processors.JSONRenderer() if form == "json" else on_console
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(stream)
    clean = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[clean, rendered])
    handler.setFormatter(formatter)
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


def take_over(*names: str) -> None:
    """Let loggers that brought handlers of their own write through ours."""
    for name in names:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


def log_printed_failures() -> None:
    """Log failures that Gradio would print with `traceback.print_exc`, which quotes what a visitor sent."""
    printed = logging.getLogger("gradio")

    def print_exc(limit: int | None = None, file: SupportsWrite[str] | None = None, chain: bool = True) -> None:
        if file is None:
            printed.warning("a request failed inside Gradio", exc_info=True)
        else:
            traceback.print_exception(*sys.exc_info(), limit=limit, file=file, chain=chain)

    traceback.print_exc = print_exc
