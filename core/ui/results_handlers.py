"""What the Results tab's events do: check that this visitor may look, and show the report of the votes so far."""

from __future__ import annotations

import base64
import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from core.study import figure
from core.study.export import export, export_salt
from core.study.records import VoteRow
from core.study.report import Report, report
from core.ui import results_views as views
from core.ui.edge import friendly
from core.ui.study_door import DOOR
from core.ui.uploads import published
from core.ui.vote_handlers import VOTE_TAB, Runs, screens_of


def why_not_yet(runs: Runs | None) -> str:
    """Return why this browser may not look at the results: only after its own runs, or when no study is open."""
    kinds = {screen.kind for screen in screens_of(runs)}
    if kinds - {"finished"}:
        return views.UNFINISHED
    return "" if kinds or DOOR.study().results_allowed(None) else views.NOT_BEGUN


@functools.lru_cache(maxsize=4)
def _report(votes: tuple[VoteRow, ...], flagged: bool) -> Report:
    titles = {slug: pack.title for slug, pack in DOOR.opened().packs.items()}
    return report(votes, flagged=flagged, titles=titles)


@functools.lru_cache(maxsize=4)
def _chart(made: Report) -> str:
    table = made.main_table
    if table is None:
        return ""
    light, dark = (_address(figure.render(table, theme=theme)) for theme in ("light", "dark"))
    return views.figure(light, dark, figure.alt_text(table))


def _address(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


@friendly
def show(runs: Runs | None, leave_out: bool) -> tuple[Any, ...]:
    """Values for: headline and figure, settings, tables and notes."""
    if why := why_not_yet(runs):
        return views.hidden(why), gr.update(visible=False), ""
    made = _report(tuple(DOOR.opened().store.votes()), not leave_out)
    if made.main_table is None:
        return views.head(made), gr.update(visible=leave_out), views.notes(made)
    body = views.tables(made) + views.joint(made) + views.notes(made)
    return views.head(made) + _chart(made), gr.update(visible=True), body


@friendly
def download(runs: Runs | None, request: gr.Request) -> Any:
    """Write the answers under pseudonyms, with their codebook, as one file to download."""
    if why := why_not_yet(runs):
        raise gr.Error(why, title="Not yet")
    store = DOOR.opened().store
    votes = store.votes()
    participants = store.participants(withdrawn=True)  # read last: a withdrawal in between counts
    with tempfile.TemporaryDirectory(prefix="answers-") as folder:
        written = export(
            Path(folder) / "answers",
            votes=votes,
            participants=participants,
            quick_votes=store.quick_votes(),
            salt=export_salt(),
        )
        archive = shutil.make_archive(str(Path(folder) / "portrait-votes"), "zip", written.folder)
        return gr.update(value=published(archive, request.session_hash))


def go_to_vote() -> Any:
    """Show the Vote tab."""
    return gr.update(selected=VOTE_TAB)
