"""What a participant agrees to, in plain words. Change a word, and `flow.CONSENT_VERSION` changes too."""

from __future__ import annotations

from markupsafe import Markup

from core.ui.components.rendering import render

TITLE = "Before you start"
TERMS: tuple[tuple[str, str], ...] = (
    (
        "What you do",
        "You look at one photo at a time, with one or more pictures of an art style, and select the best of the "
        "portraits below. It takes about five minutes. You may pause and come back.",
    ),
    (
        "What we keep",
        "Which portrait you select in which place, how long you look, the group you choose below, the date, and the "
        "version of this app.",
    ),
    (
        "What we never keep",
        "Your name, your IP address, any photo of you, or anything you type.",
    ),
    (
        "What it is for",
        "To learn which way of drawing people prefer. The answers, without your code, can be downloaded from this "
        "page and may be published.",
    ),
    (
        "Leaving",
        "Taking part is voluntary. You get a code: with it you can withdraw at any time, during or after, without a "
        "reason. Your answers are then removed from all results; copies already downloaded can't be recalled.",
    ),
)
AGREE = "I have read this and want to take part."


def terms_html() -> Markup:
    """Return the terms as a list of questions and answers."""
    return render("vote.html", "consent", title=TITLE, terms=TERMS)
