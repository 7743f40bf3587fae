"""The Vote tab: consent and group, one trial at a time, thanks, and then everyone's results."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import gradio as gr
from gradio.blocks import Block

from core.ui.components import consent, widgets
from core.ui.components.theme import STATIC
from core.ui.i18n import fragment, label
from core.ui.server.study_service import STORAGE_KEY, browser_secret
from core.ui.tabs import results_part
from core.ui.tabs import vote_handlers as on
from core.ui.tabs import vote_views as views
from core.ui.tabs.events import AS_SENT, DIRECT, by_part
from core.ui.tabs.results_views import NOT_BEGUN

SCRIPT = STATIC / "vote.js"
SHOW_TOP = """() => {
  const parts = ['#vote-stage .st', '#vote-notice p', '#vote-code-notice p', '#vote-intro'];
  const part = parts.map((name) => document.querySelector(name)).find(Boolean);
  const place = part && part.getBoundingClientRect();
  if (part && (place.top < 0 || place.bottom > window.innerHeight)) part.scrollIntoView({block: 'start'});
}"""
# The browser's memory is there: a page that was loaded again in the middle of a run (vote.js) returns to it.
BACK_TO_RUN = """() => {
  let tries = 50;
  const open = () => {
    const tab = document.querySelector('button[role=tab][data-tab-id="vote"]');
    if (tab) tab.click(); else if (tries-- > 0) setTimeout(open, 100);
  };
  try {
    if (!sessionStorage.getItem('styleidentity-voting')) return;
    sessionStorage.removeItem('styleidentity-voting');
    open();
  } catch (error) { /* this browser keeps nothing */ }
}"""
WHAT_IS_SHOWN = """(runs) => {
  const stage = document.querySelector('#vote-stage .st');
  return [runs, stage ? `${stage.dataset.kind} ${stage.dataset.ticket}` : ''];
}"""
TO_RESULTS = """() => {
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  document.querySelector('#results')?.scrollIntoView({block: 'start', behavior: still ? 'auto' : 'smooth'});
}"""
TELL_STAGE = """() => document.querySelectorAll('.st').forEach(
  (stage) => stage.dispatchEvent(new Event('vote-failed', {bubbles: true})))"""


@dataclass(frozen=True)
class Intro:
    """The way into a run: what it is, what is kept, the set, the group, and the start."""

    column: gr.Column
    pack: gr.Radio
    group: gr.Radio
    agreed: gr.Checkbox
    notice: gr.HTML
    start: gr.Button
    later: gr.HTML


@dataclass(frozen=True)
class CodePanel:
    """The way back into a run, or out of it, with nothing but its code."""

    panel: gr.Accordion
    typed: gr.Textbox
    notice: gr.HTML
    resume: gr.Button
    leave: gr.Button
    sure: gr.Column
    keep: gr.Button
    yes: gr.Button


def _intro() -> Intro:
    with gr.Column(visible=False, elem_id="vote-intro") as column:
        gr.HTML(fragment(views.intro))
        with gr.Row(equal_height=False):
            with gr.Column(scale=6, min_width=320):
                gr.HTML(fragment(consent.terms_html), elem_id="vote-terms")
            with gr.Column(scale=5, min_width=320):
                return Intro(
                    column=column,
                    pack=gr.Radio([], label=label("Which set?"), visible=False, elem_id="vote-pack"),
                    group=gr.Radio(
                        [
                            (label("I am good at portrait drawing"), "artist"),
                            (label("I don't draw"), "viewer"),
                        ],
                        value=None,
                        label=label("Which is true of you?"),
                        elem_id="vote-group",
                    ),
                    agreed=gr.Checkbox(False, label=label(consent.AGREE), elem_id="vote-agreed"),
                    notice=gr.HTML("", elem_id="vote-notice"),
                    start=gr.Button(label("Start"), variant="primary", size="lg", elem_id="vote-start"),
                    later=gr.HTML(fragment(lambda: widgets.hint(NOT_BEGUN))),
                )


def _code() -> CodePanel:
    """Lay out the panel, which is there also while no study takes new participants."""
    with gr.Accordion(label("I have a code"), open=False, visible=False, elem_id="vote-code") as panel:
        gr.HTML(fragment(lambda: widgets.hint("Go on where you stopped, or take your answers out of every result.")))
        typed = gr.Textbox(label=label("Your code"), placeholder="XXXX-XXXX-XXXX", max_length=40, max_lines=1)
        notice = gr.HTML("", elem_id="vote-code-notice")
        with gr.Row():
            resume = gr.Button(label("Continue"), elem_id="vote-resume", min_width=120)
            leave = gr.Button(label("Withdraw"), variant="stop", elem_id="vote-withdraw", min_width=120)
        with gr.Column(visible=False, elem_id="vote-sure") as sure:
            gr.HTML(fragment(lambda: widgets.hint(views.FOR_GOOD)))
            with gr.Row():
                keep = gr.Button(label("Keep them"), min_width=120)
                yes = gr.Button(label("Yes, withdraw"), variant="stop", elem_id="vote-withdraw-yes", min_width=120)
    return CodePanel(panel, typed, notice, resume, leave, sure, keep, yes)


def memory() -> gr.BrowserState:
    """Return the browser's memory of its runs; put it outside of the tabs, so that it is there before they are."""
    runs = gr.BrowserState({"codes": []}, storage_key=STORAGE_KEY, secret=browser_secret())
    runs.change(None, js=BACK_TO_RUN)
    return runs


def stage_html(elem_id: str) -> gr.HTML:
    """Return an empty stage: it shows one screen of `vote_views` after the other and tells what is done there."""
    return gr.HTML("", js_on_load=SCRIPT.read_text(encoding="utf-8"), apply_default_css=False, elem_id=elem_id)


def build(tab: gr.Tab, runs: gr.BrowserState) -> None:
    """Lay out the tab inside the current `gr.Tab` and connect its events; `runs` is the browser's memory of codes."""
    stage, intro, code = stage_html("vote-stage"), _intro(), _code()
    results = results_part.build(runs)
    parts: dict[str, Block] = {
        "memory": runs,
        "intro": intro.column,
        "sets": intro.pack,
        "notice": intro.notice,
        "stage": stage,
        "code": code.panel,
        "code_notice": code.notice,
    }
    page = [*parts.values()]
    show = functools.partial(by_part, parts=parts)

    shown = gr.Textbox(visible=False)  # its value comes from the page
    opened = tab.select(show(on.open_tab), [runs, shown], page, js=WHAT_IS_SHOWN, **DIRECT)
    asked = [runs, intro.pack, intro.agreed, intro.group]
    # Unread: after a restart of the server, Gradio doesn't know any more which sets this page was offered.
    begun = intro.start.click(show(on.begin), asked, page, **AS_SENT | DIRECT)
    resumed = [
        event(show(on.resume), [runs, code.typed], page, **DIRECT) for event in (code.resume.click, code.typed.submit)
    ]
    code.leave.click(lambda: gr.update(visible=True), None, code.sure, **DIRECT)
    for event in (code.keep.click, code.yes.click):
        event(lambda: gr.update(visible=False), None, code.sure, **DIRECT)
    left = code.yes.click(show(on.withdraw_typed), [runs, code.typed], page, **DIRECT)
    for led_elsewhere in (begun, *resumed, left):
        led_elsewhere.success(None, js=SHOW_TOP)

    for event, handler in ((stage.choose, on.choose), (stage.undo, on.undo)):
        event(show(handler), runs, page, **DIRECT).failure(None, js=TELL_STAGE)
    steps = ((stage.finish, on.finish), (stage.withdraw, on.withdraw), (stage.again, on.again))
    ended = [event(show(handler), runs, page, **DIRECT) for event, handler in steps]
    for step in ended:
        step.failure(None, js=TELL_STAGE)
    another = results.top.click(show(on.again), runs, page, **DIRECT)
    another.success(None, js=SHOW_TOP)
    stage.results(None, js=TO_RESULTS)
    for may_have_changed in (opened, begun, *resumed, left, *ended):
        results.show_after(may_have_changed.success)
