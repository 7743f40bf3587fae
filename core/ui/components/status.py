"""The status line: which model runs, on what, and why, in plain words."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from core.progress import Progress
from core.ui.friendly_errors import sentence
from core.ui.i18n import t, translated
from core.ui.server.study_service import DOOR

if TYPE_CHECKING:
    from core.studio import Studio

MODEL_NAMES = {"mini": "Built-in model", "ffhq": "Full-size model (FFHQ)"}
LOADING = "Getting the model ready. You can already choose a photo."


class LoadingLine:
    """What the line says while the Studio opens; a download's progress arrives from another thread."""

    def __init__(self) -> None:
        self._text = LOADING

    def on_progress(self, done: Progress) -> None:
        """Take note of a download."""
        of = f"{done.done / 1e6:.0f} of {done.of / 1e6:.0f} MB"
        self._text = f"Downloading the model, {of} ({done.fraction:.0%}). You can already choose a photo."

    def html(self) -> str:
        """Return the line."""
        return status_html(self._text)


LOADING_LINE = LoadingLine()


def device_words(device: object) -> str:
    """Name a torch device as a visitor would."""
    kind = str(device).split(":")[0]
    names = {"cpu": t("the processor"), "mps": t("Apple's graphics chip")}
    return names.get(kind, t("a graphics card"))


def status_html(text: str, *, kind: str = "busy", why: str = "") -> str:
    """Return the line; `kind` is "busy", "ready" or "failed" and colours the dot. Phones leave `why` out."""
    shown = f"<span>{escape(translated(text))}</span>"
    if why:
        shown += f'<span class="why">{escape(translated(why))}</span>'
    dot = f'<span class="dot {kind}" aria-hidden="true"></span>'
    return f'<p class="si-status" role="status">{dot}<span>{shown}</span></p>'


def describe(studio: Studio) -> str:
    """Return the ready line of an open Studio."""
    choice = studio.choice
    where = t(
        "{model}, {side} px, on {device}. Your pictures are deleted after you leave.",
        model=t(MODEL_NAMES.get(choice.name, choice.name)),
        side=studio.backbone.resolution,
        device=device_words(studio.backbone.device),
    )
    where = f"{where} {translated(DOOR.votes_kept())}".rstrip()
    reason = choice.reason.strip()
    why = f"{reason[:1].upper()}{reason[1:].rstrip('.')}." if reason else ""
    return status_html(where, kind="ready", why=why)


def failed(error: Exception) -> str:
    """Return the line of a Studio that would not open."""
    return status_html(sentence(error), kind="failed")
