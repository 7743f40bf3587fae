"""What the results' events do: check that this visitor may look, and show the report of the votes so far."""

from __future__ import annotations

import functools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import Markup

from core.study.analysis import figure
from core.study.analysis.export import export, export_salt
from core.study.analysis.report import Report, report
from core.study.records import PackCard, PhotoVoteRow, VoteRow
from core.ui.components import widgets
from core.ui.friendly_errors import PageProblem, friendly
from core.ui.server.study_service import STUDY
from core.ui.server.uploads import published
from core.ui.tabs import results_views as views
from core.ui.tabs.vote_handlers import Runs, codes_of, screens_of


def why_not_yet(runs: Runs | None) -> str:
    """Return why this browser may not look at the results: only after its own runs, or when no study is open."""
    kinds = {screen.kind for screen in screens_of(runs)}
    if kinds - {"finished"}:
        return views.UNFINISHED
    return "" if kinds or not STUDY.study().packs_open() else views.NOT_BEGUN


def _hidden_from(runs: Runs | None) -> tuple[PackCard, ...]:
    """List the open sets of pictures that this browser has yet to vote on."""
    return STUDY.study().packs_hidden_from(codes_of(runs))


@functools.lru_cache(maxsize=4)
def _report(votes: tuple[VoteRow, ...], photo_votes: tuple[PhotoVoteRow, ...], flagged: bool) -> Report:
    packs = STUDY.opened().packs
    titles = {slug: pack.title for slug, pack in packs.items()}
    arm_titles = {slug: pack.arm_titles for slug, pack in packs.items()}
    return report(votes, photo_votes, flagged=flagged, titles=titles, arm_titles=arm_titles)


@functools.lru_cache(maxsize=4)
def _chart(made: Report) -> Markup:
    table = made.main_table
    if table is None:
        return Markup()
    light, dark = (widgets.png_address(figure.render(table, theme=theme)) for theme in ("light", "dark"))
    return views.figure(light, dark, figure.alt_text(table))


@dataclass(frozen=True)
class ResultsPage:
    """What the part shows.

    Attributes:
        column: all of it.
        top: headline and figure.
        settings: the row of settings.
        body: tables and notes.
    """

    column: Any
    top: Markup
    settings: Any
    body: Markup


@friendly
def show(runs: Runs | None, leave_out: bool) -> ResultsPage:
    """Show the report of the votes so far; nothing of it before this visitor may look."""
    if why_not_yet(runs):
        hidden = gr.update(visible=False)
        return ResultsPage(hidden, Markup(), hidden, Markup())
    column = gr.update(visible=True)
    unseen, store = _hidden_from(runs), STUDY.opened().store
    votes = tuple(vote for vote in store.votes() if vote.pack not in {card.slug for card in unseen})
    made = _report(votes, tuple(store.photo_votes()), not leave_out)
    top, rest = views.head(made) + views.yet_to_come(unseen), views.photo_votes(made) + views.notes(made)
    if made.main_table is None:
        return ResultsPage(column, top, gr.update(visible=leave_out), rest)
    tables = views.arms(made) + views.tables(made) + views.joint(made) + rest
    return ResultsPage(column, top + _chart(made), gr.update(visible=True), tables)


@friendly
def download(runs: Runs | None, request: gr.Request) -> Any:
    """Write the answers under pseudonyms, with their codebook, as one file to download."""
    if why := why_not_yet(runs):
        raise PageProblem(why, title="Vote first, then see the results")
    hidden, store = {card.slug for card in _hidden_from(runs)}, STUDY.opened().store
    votes = [row for row in store.votes() if row.pack not in hidden]
    # Read last: a withdrawal in between counts.
    participants = [row for row in store.participants(withdrawn=True) if row.pack not in hidden]
    with tempfile.TemporaryDirectory(prefix="answers-") as folder:
        written = export(
            Path(folder) / "answers",
            votes=votes,
            participants=participants,
            photo_votes=store.photo_votes(),
            salt=export_salt(),
        )
        archive = shutil.make_archive(str(Path(folder) / "portrait-votes"), "zip", written.folder)
        return gr.update(value=published(archive, request.session_hash))
