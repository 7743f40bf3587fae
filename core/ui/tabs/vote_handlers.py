"""What the Vote tab's events do: take the participant's code, call one method of the Study, show the next screen.

The code lives in the visitor's browser (`gr.BrowserState`), oldest run first; nothing about a run is kept in a session,
so a closed tab, a second tab and a restarted server all lead back to the same place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.errors import (
    ParticipantWithdrawn,
    StudyClosed,
    StyleIdentityError,
    UnknownPack,
    UnknownParticipant,
    VoteRejected,
)
from core.study.protocol import codes
from core.study.protocol.flow import CONSENT_VERSION, Study
from core.study.records import GROUPS, LABELS, MAX_DWELL_MS, PackCard, Screen
from core.ui.components import widgets
from core.ui.friendly_errors import friendly
from core.ui.i18n import t
from core.ui.server import gradio_adapter
from core.ui.server.study_service import STUDY
from core.ui.tabs import vote_views as views

VOTE_TAB = "vote"
MAX_RUNS = 20
MOVED_ON = "This run went on in another tab, so here is where it is now. No answer was changed."
UNREADABLE = "That didn't reach us. Select again."
NO_RUN = "This browser doesn't know your run. Continue with your code, or start a new one."
NO_CODE = "Type the twelve letters and digits of your code."
AGREE_FIRST = "Please read what we keep, then tick the box. Without it we can't take your votes."
GROUP_FIRST = "Please tell us which of the two groups you belong to. We show the results of both."
Runs = Mapping[str, Any]
LOST = (UnknownParticipant, ParticipantWithdrawn, VoteRejected)  # what `Study.screen` raises
Step = Callable[[Study, str], tuple[Screen, str]]


# --- the browser's memory ----------------------------------------------------------------------------------


def codes_of(runs: Runs | None) -> tuple[str, ...]:
    """Return the codes that a browser remembers, oldest first; whatever else it sends is dropped."""
    kept = runs.get("codes", ()) if isinstance(runs, Mapping) else ()
    kept = kept if isinstance(kept, (list, tuple)) else ()
    return tuple(code for code in kept if isinstance(code, str) and 0 < len(code) <= 32)[-MAX_RUNS:]


def screens_of(runs: Runs | None) -> list[Screen]:
    """Return where each of a browser's runs is, oldest first; runs that are no more are left out."""
    screens = []
    for code in codes_of(runs):
        try:
            screens.append(STUDY.study().screen(code))
        except StyleIdentityError:
            continue
    return screens


def current(runs: Runs | None) -> str | None:
    """Return the code of the browser's latest run, None where there is none."""
    codes = codes_of(runs)
    return codes[-1] if codes else None


def remember(runs: Runs | None, code: str) -> dict[str, Any]:
    """Return the memory with `code` as its latest run."""
    return {"codes": [*(other for other in codes_of(runs) if other != code), code]}


def forget(runs: Runs | None, code: str) -> dict[str, Any]:
    """Return the memory without `code`."""
    return {"codes": [other for other in codes_of(runs) if other != code]}


# --- what the page shows -----------------------------------------------------------------------------------


def sent(event: gr.EventData, name: str) -> Any:
    """Return one value that an event brings; a forged one may lack it."""
    return gradio_adapter.values_sent(event).get(name)


def _stage(screen: Screen, code: str, notice: str = "") -> str:
    pictures, code = STUDY.pictures(), codes.shown(codes.normalised(code) or "")
    if screen.kind == "trial":
        more = pictures.ahead(screen.candidates[0])
        return views.trial(screen, pictures.address, code=code, notice=notice, more=more)
    if screen.kind == "check":
        return views.check(screen, pictures.address, code=code, notice=notice)
    if screen.kind == "review":
        return views.review(screen, code=code, notice=notice)
    others = any(card.title != screen.pack_title for card in STUDY.study().packs_open())
    return views.finished(screen, code=code, others=others, notice=notice)


@dataclass(frozen=True)
class VotePage:
    """What an event shows, by the tab's parts; what is None stays as it is.

    Attributes:
        memory: the browser's, of its runs.
        intro: the way into a run.
        sets: the sets of pictures to choose from.
        notice: what is wrong with the way in; an old notice goes.
        stage: the screen of a run.
        code: the panel of the code.
        code_notice: what is wrong with the code; an old notice goes.
    """

    memory: Any = None
    intro: Any = None
    sets: Any = None
    notice: str = ""
    stage: str | None = None
    code: Any = None
    code_notice: str = ""


def _page(*, notice: str = "", code_notice: str = "", **parts: Any) -> VotePage:
    return VotePage(notice=widgets.notice(notice), code_notice=widgets.notice(code_notice), **parts)


def _run(screen: Screen, code: str, notice: str = "", *, memory: Any = None) -> VotePage:
    """Show the page while a run is on it."""
    hidden = gr.update(visible=False)
    return _page(memory=memory, intro=hidden, stage=_stage(screen, code, notice), code=hidden)


def _intro(runs: Runs | None, notice: str = "", *, forgotten: str | None = None) -> VotePage:
    """Show the page before a run. The browser's memory is written only to forget a code: it may not be read yet."""
    memory = None if forgotten is None else forget(runs, forgotten)
    runs, code = runs if memory is None else memory, gr.update(visible=True)
    cards = STUDY.study().packs_open()
    if not cards:
        return _page(memory=memory, intro=gr.update(visible=False), stage=views.no_study(notice), code=code)
    done = _finished_titles(runs)
    choices = [(_set_name(card, done=card.title in done), card.slug) for card in cards]
    first = next((card.slug for card in cards if card.title not in done), cards[0].slug)
    sets = gr.update(choices=choices, value=first, visible=len(cards) > 1)
    return _page(memory=memory, intro=gr.update(visible=True), sets=sets, notice=notice, stage="", code=code)


def _set_name(card: PackCard, *, done: bool) -> str:
    if done:
        return t("{title}: {count} photos, done in this browser", title=t(card.title), count=card.trials)
    return t("{title}: {count} photos", title=t(card.title), count=card.trials)


def _finished_titles(runs: Runs | None) -> set[str]:
    return {screen.pack_title for screen in screens_of(runs) if screen.kind == "finished"}


def _lost(runs: Runs | None, code: str, error: StyleIdentityError) -> VotePage:
    """Show the way in, with the reason why a run can't go on."""
    sentence = t(error.sentence)
    if isinstance(error, VoteRejected):
        sentence = f"{sentence} {t('Your old code {code} still withdraws its answers.', code=code)}"
    return _intro(runs, sentence, forgotten=code)


def _step(runs: Runs | None, step: Step) -> VotePage:
    """Take one step of the current run and show where it leads; what can't be done becomes a sentence on the page."""
    code = current(runs)
    if code is None:
        return _intro(runs, NO_RUN)
    study = STUDY.study()
    try:
        try:
            screen, notice = step(study, code)
        except VoteRejected as rejected:
            screen, notice = study.screen(code), rejected.sentence
    except LOST as error:
        return _lost(runs, code, error)
    return _run(screen, code, notice)


# --- before a run ------------------------------------------------------------------------------------------


@friendly
def open_tab(runs: Runs | None, shown: str | None = None) -> VotePage:
    """Show the run that this browser remembers, or the way in.

    `shown` is the kind and ticket of the screen on the page: where it is still the right one, it stays untouched.
    """
    code = current(runs)
    if code is None:
        return _intro(runs)
    try:
        screen = STUDY.study().screen(code)
    except LOST as error:
        return _lost(runs, code, error)
    if shown == f"{screen.kind} {screen.ticket}":
        return _page()
    resumed = screen.resumed and screen.kind != "finished"
    return _run(screen, code, views.WELCOME_BACK if resumed else "")


@friendly
def begin(runs: Runs | None, pack: str | None, agreed: bool, group: str | None) -> VotePage:
    """Start a run, once its terms are agreed to and the group is named."""
    if not agreed:
        return _page(notice=AGREE_FIRST)
    if group not in GROUPS:
        return _page(notice=GROUP_FIRST)
    study = STUDY.study()
    slug = pack or next((card.slug for card in study.packs_open()), "")
    try:
        code = codes.shown(codes.normalised(study.begin(slug, group=group, consent_version=CONSENT_VERSION)) or "")
    except (StudyClosed, UnknownPack) as gone:
        return _intro(runs, gone.sentence)
    return _run(study.screen(code), code, memory=remember(runs, code))


@friendly
def resume(runs: Runs | None, typed: str) -> VotePage:
    """Go on with a run whose code was typed in."""
    code = codes.normalised(typed or "")
    if code is None:
        return _page(code_notice=NO_CODE)
    try:
        screen = STUDY.study().screen(typed)  # as it was typed, since that is what a refusal repeats
    except LOST as unknown:
        return _page(code_notice=unknown.sentence)
    notice = views.WELCOME_BACK if screen.kind != "finished" else ""
    return _run(screen, code, notice, memory=remember(runs, codes.shown(code)))


@friendly
def withdraw_typed(runs: Runs | None, typed: str) -> VotePage:
    """Withdraw the run whose code was typed in."""
    code = codes.normalised(typed or "")
    if code is None:
        return _page(code_notice=NO_CODE)
    try:
        taken_out = STUDY.study().withdraw(typed)
    except (UnknownParticipant, ParticipantWithdrawn) as unknown:
        return _page(code_notice=unknown.sentence)
    return _intro(runs, _withdrawn(taken_out), forgotten=codes.shown(code))


def _withdrawn(count: int) -> str:
    if count == 1:
        return t("Withdrawn: 1 answer was taken out of every result. Thank you for your time.")
    return t("Withdrawn: {count} answers were taken out of every result. Thank you for your time.", count=count)


# --- during and after a run --------------------------------------------------------------------------------


@friendly
def choose(runs: Runs | None, event: gr.EventData) -> VotePage:
    """Take one answer. The same answer sent twice is taken once."""
    ticket, choice, dwell = (sent(event, name) for name in ("ticket", "choice", "dwell_ms"))
    if not isinstance(ticket, str) or not (choice is None or choice in LABELS):
        return _step(runs, lambda study, code: (study.screen(code), UNREADABLE))
    dwell_ms = int(dwell) if isinstance(dwell, (int, float)) and 0 <= dwell < MAX_DWELL_MS else MAX_DWELL_MS

    def step(study: Study, code: str) -> tuple[Screen, str]:
        expected = study.screen(code).ticket == ticket
        return study.choose(code, ticket, choice, dwell_ms), "" if expected else MOVED_ON

    return _step(runs, step)


@friendly
def undo(runs: Runs | None, event: gr.EventData) -> VotePage:
    """Go back one trial, if the page that asks shows where the run is."""
    ticket = str(sent(event, "ticket") or "")

    def step(study: Study, code: str) -> tuple[Screen, str]:
        expected = study.screen(code).ticket == ticket
        return study.undo(code, ticket), "" if expected else MOVED_ON

    return _step(runs, step)


@friendly
def finish(runs: Runs | None) -> VotePage:
    """Fix the answers and show what was chosen."""
    return _step(runs, lambda study, code: (study.finish(code), ""))


@friendly
def withdraw(runs: Runs | None) -> VotePage:
    """Take the current run's answers out of every result."""
    code = current(runs)
    if code is None:
        return _intro(runs)
    try:
        notice = _withdrawn(STUDY.study().withdraw(code))
    except (UnknownParticipant, ParticipantWithdrawn) as gone:
        notice = gone.sentence
    return _intro(runs, notice, forgotten=code)


@friendly
def again(runs: Runs | None) -> VotePage:
    """Show the way in once more, for another set of pictures."""
    return _intro(runs)
