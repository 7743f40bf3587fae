"""The screens of the preference study as HTML. Pure functions; no arm is named before a run is finished.

Each screen gets a root element with a tag of its own, because Gradio patches what is there node by node: with the same
tags, the last trial's pictures would stand under the next trial's letters until the new ones have arrived.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from core.study.protocol.records import LABELS, Screen
from core.ui.i18n import t, translated

Address = Callable[[Path], str]

ASK = "Select the best portrait"
UNDECIDED = "Can't decide"
FOR_GOOD = "They then count in no result. This can't be undone."
WELCOME_BACK = "Welcome back. Your earlier answers are kept; we go on where you stopped."
# What the page says by itself (vote.js).
PAGE_WORDS = {
    "slow": "This takes longer than usual. Your choice is still here: press Confirm again.",
    "failed": "That didn't reach us. Your choice is still here: press Confirm again.",
    "picture": "A picture didn't load. Check your connection, then open this page again; your answers are kept.",
    "copied": "Copied",
}


def _root(kind: str, body: str, *, ticket: str = "", more: Sequence[str] = ()) -> str:
    tag = f"si-{secrets.token_hex(4)}"
    words = json.dumps({name: t(text) for name, text in PAGE_WORDS.items()}, ensure_ascii=False)
    return (
        f'<{tag} class="st" data-kind="{kind}" data-ticket="{escape(ticket)}" data-more="{escape(" ".join(more))}" '
        f'data-words="{escape(words)}">{body}</{tag}>'
    )


def say(sentence: str) -> str:
    """Return the line that speaks to the participant; an empty one keeps its place for the page's own sentences."""
    return f'<p class="st-say" role="status" aria-live="polite">{escape(translated(sentence))}</p>'


def _button(do: str, text: str, *, looks: str, more: str = "") -> str:
    return f'<button type="button" class="{looks}" data-do="{do}"{more}>{escape(t(text))}</button>'


def _heading(text: str) -> str:
    return f'<h2 class="st-ask" tabindex="-1">{escape(text)}</h2>'


# --- where the participant is ------------------------------------------------------------------------------


def _top(screen: Screen) -> str:
    """Progress and the way back."""
    done = screen.of if screen.kind == "review" else screen.number - 1
    steps = "".join(f'<i class="{"done" if i < done else "now" if i == done else ""}"></i>' for i in range(screen.of))
    words = {
        "trial": t("<strong>{number}</strong> of {count}", number=screen.number, count=screen.of),
        "check": t("In between"),
        "review": t("All {count} answered", count=screen.of),
    }
    undo = _button("undo", "Undo", looks="st-quiet") if screen.can_undo else ""
    return (
        f'<header class="st-top"><p class="st-count">{words.get(screen.kind, "")}</p><div class="st-steps" '
        f'role="progressbar" aria-label="{t("Answered")}" aria-valuemin="0" aria-valuemax="{screen.of}" '
        f'aria-valuenow="{done}">{steps}</div>{undo}</header>'
    )


def _figure(caption: str, pictures: Sequence[str], names: Sequence[str]) -> str:
    """Small pictures under a caption; `pictures` are addresses."""
    shown = "".join(
        f'<img src="{escape(address)}" alt="{escape(name)}">' for address, name in zip(pictures, names, strict=True)
    )
    return f'<figure><figcaption>{escape(caption)}</figcaption><div class="st-row">{shown}</div></figure>'


def _words(ask: str, why: str) -> str:
    return f'<div class="st-words">{_heading(ask)}<p>{escape(why)}</p></div>'


# --- the answer --------------------------------------------------------------------------------------------


def _card(label: str, key: int, picture: str, group: str) -> str:
    name = escape(t("Portrait {letter}", letter=label))
    return (
        f'<label class="st-card"><input type="radio" name="{group}" value="{label}" aria-label="{name}">'
        f'<span class="st-pic"><img src="{escape(picture)}" alt="" draggable="false"></span>'
        f'<span class="st-tag"><b>{label}</b><kbd>{key}</kbd></span></label>'
    )


def _answers(shown: Sequence[str], ask: str, *, may_pass: bool) -> str:
    """The candidates, large and equal, and what confirms; `shown` are addresses."""
    group = f"st-{secrets.token_hex(4)}"  # another stage on the page has a group of its own
    labelled = enumerate(zip(LABELS, shown, strict=False), start=1)
    cards = "".join(_card(label, i, address, group) for i, (label, address) in labelled)
    none = (
        f'<label class="st-none"><input type="radio" name="{group}" value="none">'
        f"<span>{escape(t(UNDECIDED))}</span><kbd>0</kbd></label>"
    )
    keys = t("{first} to {last} select, {enter} confirms", first=_key("1"), last=_key(len(shown)), enter=_key("Enter"))
    return (
        f'<div class="st-choices" role="radiogroup" aria-label="{escape(ask)}"><div class="st-cards n{len(shown)}">'
        f'{cards}</div><div class="st-foot">{none if may_pass else "<span></span>"}<p class="st-keys">{keys}</p>'
        f"{_button('choose', 'Confirm', looks='st-go', more=' disabled')}</div></div>"
    )


def _key(name: object) -> str:
    return f"<kbd>{name}</kbd>"


# --- screens -----------------------------------------------------------------------------------------------


def trial(screen: Screen, address: Address, *, code: str, notice: str = "", more: Sequence[str] = ()) -> str:
    """Return one question. `more` are addresses of the run's other pictures, fetched ahead in an order of their own."""
    body = _question(screen, address, t(ASK), t("The person in the photo, drawn in this style."), notice)
    return _root("trial", body + _aside(code), ticket=screen.ticket, more=more)


def check(screen: Screen, address: Address, *, code: str, notice: str = "") -> str:
    """Return the attention check: the last pictures again, with an instruction instead of the question."""
    ask = t("This time, please select {letter}", letter=screen.check_label)
    why = t("Whichever you like best: this only shows that somebody is reading. Then it goes on as before.")
    return _root("check", _question(screen, address, ask, why, notice) + _aside(code), ticket=screen.ticket)


def _question(screen: Screen, address: Address, ask: str, why: str, notice: str) -> str:
    photo = [address(screen.photo)] if screen.photo else []
    styles = [address(path) for path in screen.references]
    names = [t("Picture {number} of the style", number=i) for i in range(1, len(styles) + 1)]
    given = _figure(t("The photo"), photo, [t("The photo")] * len(photo)) + _figure(t("The style"), styles, names)
    shown = [address(path) for path in screen.candidates]
    return (
        f'<section class="st-panel">{_top(screen)}{say(notice)}<div class="st-given">{given}{_words(ask, why)}</div>'
        f"{_answers(shown, ask, may_pass=screen.kind == 'trial')}</section>"
    )


def review(screen: Screen, *, code: str, notice: str = "") -> str:
    """Return the last screen before the answers are fixed."""
    why = t(
        "Finish to see which method you preferred. Until then you can go back with Undo; afterwards your answers can't "
        "be changed, only withdrawn."
    )
    body = (
        f'<section class="st-panel">{_top(screen)}{say(notice)}<div class="st-words st-end">'
        f"{_heading(t('That was the last one'))}<p>{escape(why)}</p>{_button('finish', 'Finish', looks='st-go')}</div>"
        "</section>"
    )
    return _root("review", body + _aside(code), ticket=screen.ticket)


def revealed(screen: Screen) -> str:
    """Return how often the participant chose each method, as bars with their numbers."""
    chosen = sum(count for _, count in screen.revealed)
    rows = [*screen.revealed, *([(UNDECIDED, screen.of - chosen)] if screen.of > chosen else [])]
    bars = "".join(
        f'<li><span class="name">{escape(t(title))}</span><span class="bar">'
        f'<i style="width:{100 * count / max(1, screen.of):.0f}%"></i></span>'
        f'<span class="count">{escape(t("{part} of {count}", part=count, count=screen.of))}</span></li>'
        for title, count in rows
    )
    return f'<ul class="st-own">{bars}</ul>'


def finished(screen: Screen, *, code: str, others: bool, notice: str = "") -> str:
    """Return the thanks: what the participant chose by method, the code, and where to go next."""
    words = "Your {count} answers on “{title}” are saved. This is what you chose:"
    saved = t(words, count=screen.of, title=t(screen.pack_title))
    acts = _button("results", "See everyone's results", looks="st-plain main")
    acts += _button("again", "Vote on another set", looks="st-plain") if others else ""
    keep = t("Keep your code {code} if you may want to withdraw later.", code=f"<strong>{escape(code)}</strong>")
    body = (
        f'<section class="st-after">{say(notice)}{_heading(t("Thank you"))}<p>{escape(saved)}</p>{revealed(screen)}'
        f'<div class="st-acts">{acts}</div></section>'
    )
    return _root("finished", body + _aside(code, before=keep))


def _aside(code: str, *, before: str = "") -> str:
    """The code, and the way out, behind one button; `before` is HTML."""
    shown = escape(code)
    about = t(
        "Close the page whenever you like: this browser remembers where you are. With the code you can go on in "
        "another browser, or withdraw later. Nobody can look it up for you."
    )
    copying = _button("copy", "Copy", looks="st-plain", more=f' data-code="{shown}"')
    first = _button("close", "Go on", looks="st-plain main")
    first += _button("ask-withdraw", "Withdraw my answers", looks="st-plain danger")
    sure = _button("close", "Keep them", looks="st-plain main")
    sure += _button("withdraw", "Yes, withdraw", looks="st-plain danger")
    return (
        f'<p class="st-aside">{before or escape(t("Every answer is saved when you confirm it."))} '
        f"{_button('open', 'Your code, pause, withdraw', looks='si-link')}</p>"
        f'<dialog class="st-dialog" aria-label="{escape(t("Your code"))}"><div class="st-code">'
        f'<h2>{escape(t("Your code"))}</h2><p class="st-letters"><output>{shown}</output>{copying}</p>'
        f'<p>{escape(about)}</p><div class="st-acts">{first}</div></div>'
        f'<div class="st-sure" hidden><h2>{escape(t("Withdraw your answers?"))}</h2>'
        f'<p>{escape(t(FOR_GOOD))}</p><div class="st-acts">{sure}</div></div></dialog>'
    )


# --- beside the study --------------------------------------------------------------------------------------


def quick(token: str, photo: str, shown: Sequence[str]) -> str:
    """Return a single comparison on the visitor's own photo; `photo` and `shown` are data addresses."""
    given = _figure(t("Your photo"), [photo], [t("Your photo")])
    ask, why = t(ASK), t("Each of them is you, in the style you chose.")
    body = (
        f'<section class="st-panel">{say("")}<div class="st-given">{given}{_words(ask, why)}</div>'
        f"{_answers(shown, ask, may_pass=True)}</section>"
    )
    return _root("quick", body, ticket=token)


def quick_thanks(whose: Sequence[tuple[str, str]]) -> str:
    """Return the thanks for a quick vote, with whose pictures they were if the visitor may know: (label, title)."""
    rows = "".join(f"<li><b>{label}</b> {escape(t(title))}</li>" for label, title in whose)
    later = t("Whose they were is told to those who have finished a run under Vote, so that nobody knows too early.")
    told = f'<ul class="st-whose">{rows}</ul>' if rows else f"<p>{escape(later)}</p>"
    thanks = _heading(t("Thank you, your vote is saved"))
    return _root("thanks", f'<section class="st-after">{say("")}{thanks}{told}</section>')


def intro() -> str:
    """Return what the study is, in two lines."""
    about = t(
        "Different ways of drawing the same person in the same style, side by side, without their names. You select "
        "the best; at the end you see whose they were."
    )
    return f'<div class="st-intro"><h2>{escape(t("Which portrait is best?"))}</h2><p>{escape(about)}</p></div>'


def nothing_here(notice: str = "") -> str:
    """Return the empty state where no study is open; `notice` is what happened before."""
    said = translated(notice) if notice else t("There is no set of pictures to vote on yet. Please come back later.")
    strong = escape(t("No vote is open just now"))
    return f'<div class="si-empty st-wait"><strong>{strong}</strong><span>{escape(said)}</span></div>'
