"""What commands share towards the terminal: sentences for expected failures, a progress bar, JSON and plain reports.

Results go to stdout; progress and failures go to stderr.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import typer

from core.errors import StyleIdentityError

Progress = Callable[[str, int, int], None]  # what, done, of how many
INTERRUPTED = 130  # the shell's code for Ctrl-C


@contextmanager
def expected_failures() -> Iterator[None]:
    """Turns expected failures into their sentence on stderr and exit code 1, and Ctrl-C into a clean stop (130)."""
    try:
        yield
    except StyleIdentityError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    except OSError as error:
        about = f" '{error.filename}'" if error.filename else ""
        typer.echo(f"We couldn't read or write{about}: {error.strerror or error}.", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        typer.echo("Stopped. Files that were already written are whole.", err=True)
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Progress]:
    """Yields `report(what, done, of)`, drawn on stderr: one bar per `what`. Does nothing when quiet."""
    if quiet:
        yield lambda what, done, of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bars = Bars(*columns, console=Console(stderr=True))
    tasks: dict[str, object] = {}

    def report(what: str, done: int, of: int) -> None:
        if not tasks:
            bars.start()
        if what not in tasks:
            tasks[what] = bars.add_task(what, total=of)
        bars.update(tasks[what], completed=done, total=of)

    try:
        yield report
    finally:
        if tasks:
            bars.stop()


def print_report(report: Mapping[str, object], *, as_json: bool, hide: tuple[str, ...] = ()) -> None:
    """Writes a report to stdout: one JSON object, or indented `name  value` lines without the parts in `hide`."""
    if as_json:
        typer.echo(json.dumps(plain(report), allow_nan=False, indent=2))
    else:
        shown = {name: value for name, value in report.items() if name not in hide}
        typer.echo("\n".join(_lines(shown, indent=0)))


def plain(value: object) -> object:
    """JSON-ready copy: tuples and sets become lists, NaN and infinity None, array scalars numbers, the rest text."""
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(part) for part in value]
    if isinstance(value, (bool, int, str)) or value is None:
        return value
    number = value.item() if hasattr(value, "item") else value
    if isinstance(number, float):
        return number if math.isfinite(number) else None
    return number if isinstance(number, int) else str(value)


def _lines(report: Mapping[str, object], *, indent: int) -> Iterator[str]:
    width = max((len(str(name)) for name, value in report.items() if not isinstance(value, Mapping)), default=0)
    for name, value in report.items():
        label = " " * indent + str(name).replace("_", " ")
        if isinstance(value, Mapping):
            yield label
            yield from _lines(value, indent=indent + 2)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield label
            yield from (" " * (indent + 2) + "  ".join(_shown(part) for part in row.values()) for row in value)
        elif value != [] and value is not None:
            yield f"{label:<{indent + width}}  {_shown(value)}"


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
