"""The screens of the preference study as HTML. Pure functions; no arm is named before a run is finished.

Each screen gets a root element with a tag of its own, because Gradio patches what is there node by node: with the same
tags, the last trial's pictures would stand under the next trial's letters until the new ones have arrived.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from markupsafe import Markup

from core.study.records import LABELS, Screen
from core.ui.components.rendering import render
from core.ui.i18n import t

Address = Callable[[Path], str]

TEMPLATE = "vote.html"
ASK = "Select the best portrait"
UNDECIDED = "Can't decide"
FOR_GOOD = "They then count in no result. This can't be undone."
WELCOME_BACK = "Welcome back. Your earlier answers are kept; pick up where you left off."
NO_PACKS = "There is no set of pictures to vote on yet. Please come back later."
# What the page says by itself (vote.js).
PAGE_TEXTS = {
    "slow": "This takes longer than usual. Your choice is still here: press Confirm again.",
    "failed": "That didn't reach us. Your choice is still here: press Confirm again.",
    "picture": "A picture didn't load. Check your connection, then open this page again; your answers are kept.",
    "copied": "Copied",
}


def _screen(kind: str, body: Markup, *, ticket: str = "", more: Sequence[str] = ()) -> Markup:
    return render(
        TEMPLATE,
        "screen",
        tag=f"si-{secrets.token_hex(4)}",
        kind=kind,
        body=body,
        page_texts={name: t(text) for name, text in PAGE_TEXTS.items()},
        ticket=ticket,
        more=more,
    )


def _group() -> str:
    """Return a name for a screen's radio buttons: another stage on the page has its own."""
    return f"st-{secrets.token_hex(4)}"


def _lettered(addresses: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(LABELS, addresses, strict=False))


# --- a run -------------------------------------------------------------------------------------------------


def trial(screen: Screen, address: Address, *, code: str, notice: str = "", more: Sequence[str] = ()) -> Markup:
    """Return one question. `more` are addresses of the run's other pictures, fetched ahead in an order of their own."""
    body = _question(screen, address, t(ASK), t("The person in the photo, drawn in this style."), notice, code)
    return _screen("trial", body, ticket=screen.ticket, more=more)


def check(screen: Screen, address: Address, *, code: str, notice: str = "") -> Markup:
    """Return the attention check: the last pictures again, with an instruction instead of the question."""
    ask = t("This time, please select {letter}", letter=screen.check_label)
    why = t("Whichever you like best: this only shows that somebody is reading. Then it goes on as before.")
    return _screen("check", _question(screen, address, ask, why, notice, code), ticket=screen.ticket)


def _question(screen: Screen, address: Address, ask: str, why: str, notice: str, code: str) -> Markup:
    return render(
        TEMPLATE,
        "question",
        at=screen,
        photo=address(screen.photo) if screen.photo else None,
        styles=[address(path) for path in screen.references],
        candidates=_lettered([address(path) for path in screen.candidates]),
        group=_group(),
        ask=ask,
        why=why,
        notice=notice,
        code=code,
    )


def review(screen: Screen, *, code: str, notice: str = "") -> Markup:
    """Return the last screen before the answers are fixed."""
    return _screen("review", render(TEMPLATE, "review", at=screen, notice=notice, code=code), ticket=screen.ticket)


def finished(screen: Screen, *, code: str, others: bool, notice: str = "") -> Markup:
    """Return the thanks: what the participant chose by method, the code, and where to go next."""
    undecided = screen.of - sum(count for _, count in screen.revealed)
    rows = [*screen.revealed, *([(UNDECIDED, undecided)] if undecided > 0 else [])]
    body = render(TEMPLATE, "finished", at=screen, rows=rows, code=code, others=others, notice=notice)
    return _screen("finished", body)


# --- beside the study --------------------------------------------------------------------------------------


def photo_vote(token: str, photo: str, shown: Sequence[str]) -> Markup:
    """Return a single comparison on the visitor's own photo; `photo` and `shown` are data addresses."""
    candidates = _lettered(shown)
    body = render(TEMPLATE, "photo_vote", photo=photo, candidates=candidates, group=_group(), ask=t(ASK))
    return _screen("photo-vote", body, ticket=token)


def photo_vote_thanks(methods: Sequence[tuple[str, str]]) -> Markup:
    """Return the thanks for a vote on an own photo, with each (label, method) if the visitor may know them."""
    return _screen("thanks", render(TEMPLATE, "photo_vote_thanks", methods=methods))


def intro() -> Markup:
    """Return what the study is, in two lines."""
    return render(TEMPLATE, "intro")


def no_study(notice: str = "") -> Markup:
    """Return the empty state where no study is open; `notice` is what happened before."""
    return render(TEMPLATE, "no_study", said=notice or NO_PACKS)
