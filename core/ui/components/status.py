"""The status line: which model runs, on what, and why, in plain words."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from core.errors import Sentence, StyleIdentityError
from core.progress import Progress
from core.ui.components.rendering import render
from core.ui.friendly_errors import sentence
from core.ui.i18n import t
from core.ui.server.study_service import STUDY

if TYPE_CHECKING:
    from core.studio import Studio

CONTACT_ENV = "STYLEIDENTITY_CONTACT"  # whom to write to, as the page shall say it
LOADING = Sentence("Getting the model ready. You can already choose a photo.")


class LoadingLine:
    """What the line says while the Studio opens; a download's progress arrives from another thread."""

    def __init__(self) -> None:
        self._text = LOADING

    def on_progress(self, done: Progress) -> None:
        """Take note of a download."""
        self._text = Sentence(
            "Downloading the model, {done} of {total} MB ({share}). You can already choose a photo.",
            done=f"{done.done / 1e6:.0f}",
            total=f"{done.of / 1e6:.0f}",
            share=f"{done.fraction:.0%}",
        )

    def html(self) -> Markup:
        """Return the line."""
        return status_html(self._text)


LOADING_LINE = LoadingLine()


def device_name(device: object) -> str:
    """Name a torch device as a visitor would."""
    kind = str(device).split(":")[0]
    names = {"cpu": t("the processor"), "mps": t("Apple's graphics chip")}
    return names.get(kind, t("a graphics card"))


def status_html(text: str, *, kind: str = "busy", about: Sequence[str] = ()) -> Markup:
    """Return the line; `kind` is "busy", "ready" or "failed" and colours the dot. `about` unfolds on demand.

    With `about` goes the button that deletes a visitor's pictures ("delete").
    """
    return render("page.html", "status", text=text, kind=kind, about=about)


def describe(studio: Studio, engine: str | None = None, *, problem: StyleIdentityError | None = None) -> Markup:
    """Return the ready line of an engine of an open Studio; `problem` is why it isn't the one that was asked for."""
    about = studio.describe(engine)
    ready = t("Ready. Your pictures are deleted after you leave.")
    where = t("{model}, on {device}.", model=t(about.title), device=device_name(about.device))
    why = t(about.reason) if about.reason else ""
    machine = " ".join(fact for fact in (where, why, t(STUDY.votes_kept())) if fact)
    contact = os.environ.get(CONTACT_ENV, "").strip()
    facts = [machine, t("Draw only people who agreed to it, and children only if their parents did.")]
    if contact:
        facts.append(t("Questions and complaints: {contact}", contact=contact))
    return status_html(ready if problem is None else problem.sentence, kind="ready", about=facts)


def failed(error: Exception) -> Markup:
    """Return the line of a Studio that would not open."""
    return status_html(sentence(error), kind="failed")
