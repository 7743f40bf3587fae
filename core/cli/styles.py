"""`python -m core styles`: the ready-made styles."""

from __future__ import annotations

import typer

from core.cli.options import JsonOutput, Running, grouped
from core.cli.tables import table
from core.cli.terminal import expected_failures, print_report
from core.progress import ignore_progress


@grouped
def styles(running: Running, as_json: JsonOutput = False) -> None:
    """List the ready-made styles of the running model, for `stylize --style`."""
    with expected_failures():
        studio = running.open(ignore_progress)
        model, ready = studio.describe(), studio.ready_styles()
    if as_json:
        listed = [
            {"style": style.slug, "title": style.title, "references": style.references, "file": str(style.path)}
            for style in ready
        ]
        print_report({"backbone": model.variant, "styles": listed}, as_json=True)
        return
    if ready:
        rows = [(style.slug, style.title, str(style.references)) for style in ready]
        typer.echo(table(("style", "title", "references"), rows, right={2}))
    else:
        typer.echo(f"The model '{model.variant or model.engine}' has no ready-made styles.", err=True)
