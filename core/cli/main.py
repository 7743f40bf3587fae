"""Command line: `python -m core stylize | styles | study | evaluate | benchmark | weights`.

Commands validate and call the Studio. Heavy imports wait inside the commands, so that `--help` is quick.
"""

from __future__ import annotations

import typer

from core.cli.benchmark import benchmark
from core.cli.evaluate import app as evaluate_app
from core.cli.study import app as study_app
from core.cli.styles import styles
from core.cli.stylize import stylize
from core.cli.weights import weights

app = typer.Typer(
    help="Few-shot portrait stylization that keeps the person recognisable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(stylize)
app.command()(styles)
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(study_app, name="study")
app.command()(benchmark)
app.command()(weights)
