"""`python -m core weights`: the published weights, and what says that a file is the right one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer

from core.cli.options import JsonOutput
from core.cli.tables import table
from core.cli.terminal import expected_failures, print_report
from core.reports import absent

Source = Literal["published sum", "first download", "nothing yet"]


@dataclass(frozen=True)
class ListedWeights:
    """A published file.

    Attributes:
        file, repository: name, and where it is asked for first.
        sha256: that is expected; None before a first download where none was published.
        known_from: what the sum was taken from.
        recorded: when, and from which repository, where it was the first download.
        copy: the file here, None where it was never fetched. It is checked when it is used.
    """

    file: str
    repository: str
    sha256: str | None
    known_from: Source
    recorded: str | None = absent()
    copy: Path | None = absent()


def weights(as_json: JsonOutput = False) -> None:
    """List the published weights that can be fetched, with the sha256 each is held to and where that comes from."""
    with expected_failures():
        listed = _listed()
    if as_json:
        print_report({"weights": listed}, as_json=True)
        return
    heads = ("file", "here", "sha256", "known from")
    rows = [
        (
            f"{item.repository}/{item.file}",
            "yes" if item.copy else "no",
            item.sha256 or "",
            " ".join(filter(None, (item.known_from, item.recorded))),
        )
        for item in listed
    ]
    typer.echo(table(heads, rows))


def _listed() -> list[ListedWeights]:
    from core.weights import first_seen
    from core.weights.fetch import cached
    from core.weights.pins import PUBLISHED

    listed = []
    for file in PUBLISHED:
        seen = None if file.sha256 else first_seen.recorded(file)
        source: Source = "published sum" if file.sha256 else "nothing yet" if seen is None else "first download"
        listed.append(
            ListedWeights(
                file=file.file_name,
                repository=file.repos[0],
                sha256=seen.sha256 if seen else file.sha256,
                known_from=source,
                recorded=f"{seen.recorded}, {seen.repo}" if seen else None,
                copy=cached(file),
            )
        )
    return listed
