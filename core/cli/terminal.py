"""What commands share towards the terminal: sentences for expected failures, progress bars, JSON and plain reports.

Results go to stdout; progress and failures go to stderr.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from core.cli.tables import table
from core.errors import StyleIdentityError
from core.files import write_atomically
from core.progress import OnProgress, Progress, ignore_progress
from core.reports import as_json as to_json

if TYPE_CHECKING:
    from rich.progress import TaskID

REPORT_NAME = "report.json"
INTERRUPTED = 130  # the shell's code for Ctrl-C


@contextmanager
def expected_failures() -> Iterator[None]:
    """Turn expected failures into their sentence on stderr and exit code 1, and Ctrl-C into a clean stop (130)."""
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
def progress_bar(*, quiet: bool) -> Iterator[OnProgress]:
    """Give a listener that draws on stderr, one bar per piece of work. It does nothing when quiet."""
    if quiet:
        yield ignore_progress
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bars = Bars(*columns, console=Console(stderr=True))
    tasks: dict[str, TaskID] = {}

    def report(progress: Progress) -> None:
        what, unit = (f"{progress.what}, MB", 10**6) if progress.unit == "bytes" else (progress.what, 1)
        if not tasks:
            bars.start()
        if what not in tasks:
            tasks[what] = bars.add_task(what)
        bars.update(tasks[what], completed=progress.done // unit, total=progress.of // unit or None)

    try:
        yield report
    finally:
        if tasks:
            bars.stop()


def print_report(
    report: object, *, as_json: bool, text: Callable[[], str] | None = None, hide: Sequence[str] = ()
) -> None:
    """Write a report to stdout: one JSON object, or what `text` gives.

    Without `text` these are names and values, the parts of a part indented, without the parts in `hide`.
    """
    if as_json:
        typer.echo(_json(report))
    elif text is not None:
        typer.echo(text())
    else:
        shown = {name: value for name, value in to_json(report).items() if name not in hide}
        typer.echo(table(("", ""), _rows(shown, depth=0)))


def save_report(report: object, folder: Path) -> None:
    """Write a report as `REPORT_NAME` into a folder."""
    write_atomically(folder / REPORT_NAME, _json(report))


def _json(report: object) -> str:
    return json.dumps(to_json(report), allow_nan=False, indent=2)


def _rows(report: Mapping[str, object], *, depth: int) -> Iterator[tuple[str, str]]:
    for name, value in report.items():
        label = "  " * depth + str(name).replace("_", " ")
        if isinstance(value, Mapping):
            yield label, ""
            yield from _rows(value, depth=depth + 1)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield label, ""
            yield from (("", "  ".join(_shown(part) for part in row.values())) for row in value)
        elif value != [] and value is not None:
            yield label, _shown(value)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
