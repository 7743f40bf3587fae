"""The one table printer: plain columns, the same in a terminal and in a pipe."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Sequence


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "", right: Collection[int] = ()
) -> str:
    """Set a table as text, every column as wide as its longest cell.

    Args:
        columns: heads; no line of heads where all are empty.
        rows: cells.
        title: a line above.
        right: columns that are set to the right, by place.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="", show_header=any(columns))
    for place, head in enumerate(columns):
        drawn.add_column(Text(head), justify="right" if place in right else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    page = io.StringIO()
    Console(file=page, width=10_000, color_system=None, force_terminal=False).print(drawn)
    lines = [line.rstrip() for line in page.getvalue().splitlines()]
    return "\n".join([title, *lines] if title else lines)
