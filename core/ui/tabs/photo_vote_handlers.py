"""Photo votes: methods on the visitor's own photo, blind. The photo is stored nowhere, nor is any drawing.

The paper's four are compared in a style that each of them learned; in any other ready-made style, drawings with and
without brushwork. They travel as data addresses and stand in no file; which is whose stays in the session until the
vote.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from core.config import ASSETS_DIR, PAPER_ARMS, data_dir
from core.engines.base import DrawOptions
from core.execution.jobs import CompareStyles
from core.study.protocol import design
from core.study.records import LABELS, Group, arm_title
from core.ui.components import style_gallery, widgets
from core.ui.friendly_errors import PageProblem, friendly
from core.ui.i18n import t
from core.ui.server.runtime import EXECUTOR, LOCAL
from core.ui.server.session import ChosenPhoto, CropChoice, Portrait
from core.ui.server.study_service import STUDY
from core.ui.tabs import vote_views as views
from core.ui.tabs.events import Changes, unchanged
from core.ui.tabs.stylize_handlers import as_seen
from core.ui.tabs.vote_handlers import Runs, current, screens_of, sent

if TYPE_CHECKING:
    from PIL import Image

SHOWN_PX = 512
DRAWINGS = {"generator": DrawOptions(brush=0.0), "hand": DrawOptions()}
Offered = tuple[str, int, CropChoice, str]  # photo, face, cut and style


@dataclass(frozen=True)
class Ballot:
    """One comparison that waits for its vote. It stays on the server."""

    token: str
    order: tuple[str, ...]
    style: str


def arms_folders() -> tuple[Path, Path]:
    """Return where styles to compare lie: the ready ones, then the owner's; one folder a style, one file a method."""
    return ASSETS_DIR / "study" / "arms", data_dir() / "arms"


def arm_styles(slug: str | None) -> Mapping[str, Path]:
    """Return the files of the methods that are there for a ready-made style, empty if fewer than two."""
    for folder in arms_folders():
        names = {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()
        if slug not in names:
            continue
        files = {arm.id: folder / slug / f"{arm.id}.safetensors" for arm in PAPER_ARMS}
        found = {arm: path for arm, path in files.items() if path.is_file()}
        if len(found) > 1:
            return found
    return {}


def compared(slug: str | None) -> Mapping[str, tuple[Path, DrawOptions]]:
    """Return by which style file and options each arm draws in a ready-made style; empty if there is only one way."""
    learned = arm_styles(slug)
    if learned:
        return {arm: (path, DrawOptions()) for arm, path in learned.items()}
    found = style_gallery.find(slug, ())
    if found is None:
        return {}
    brushwork = LOCAL.style_at(found.path).has_brushwork
    return {arm: (found.path, options) for arm, options in DRAWINGS.items()} if brushwork else {}


def _address(picture: Image.Image) -> str:
    copy = picture.convert("RGB")
    copy.thumbnail((SHOWN_PX, SHOWN_PX))
    buffer = io.BytesIO()
    copy.save(buffer, format="PNG")
    return widgets.png_address(buffer.getvalue())


@dataclass(frozen=True, eq=False)
class PhotoVote:
    """The panel with what its events do.

    Attributes:
        offered: what the panel offers a comparison of.
        ballot: the comparison that waits for its vote.
    """

    panel: gr.Accordion
    stage: gr.HTML
    offered: gr.State
    ballot: gr.State

    def offer(
        self,
        portrait_file: Any,
        photo: ChosenPhoto | None,
        crop: CropChoice,
        chosen: str | None,
        engine: str | None,
        offered: Offered | None,
    ) -> Changes:
        """Show the panel, folded, once there is a portrait in a style that has methods to compare.

        Drawing the same face again changes nothing. The methods are those of the server's own engine.
        """
        here = portrait_file and photo is not None and engine is None and bool(compared(chosen))
        now = (photo.path, photo.face_index, crop, str(chosen)) if here and photo is not None else None
        if now == offered:
            return unchanged()
        panel = gr.update(visible=now is not None, open=False)
        return {self.offered: now, self.panel: panel, self.stage: "", self.ballot: None}

    @friendly
    def compare(
        self,
        photo: ChosenPhoto | None,
        portrait: Portrait | None,
        crop: CropChoice,
        chosen: str | None,
        progress: gr.Progress = gr.Progress(),
    ) -> Changes:
        """Draw the visitor's face with every method."""
        ways = compared(chosen)
        if photo is None or not ways:
            raise PageProblem("Draw your portrait first, in one of the ready-made styles.", title="No portrait yet")
        order = design.one_order(tuple(ways), np.random.default_rng(secrets.randbits(128)))
        progress(0.3, desc=t("Drawing"))
        seen = as_seen(photo, portrait, crop, None)
        drawn: dict[str, Image.Image] = {}
        for options in {options: None for _, options in ways.values()}:  # full strength, the style's colours, seed 0
            alike = [arm for arm in order if ways[arm][1] == options]
            job = CompareStyles(style_paths=tuple(ways[arm][0] for arm in alike), options=options, **seen)
            made = EXECUTOR.result(job)
            seen |= {"face": made.face, "prepared": made.prepared}
            drawn |= dict(zip(alike, made.drawings, strict=True))
        ballot = Ballot(secrets.token_hex(16), order, str(chosen))
        shown = [_address(drawn[arm]) for arm in order]
        return {
            self.stage: views.photo_vote(ballot.token, _address(made.face.image), shown),
            self.ballot: ballot,
        }

    @friendly
    def vote(self, ballot: Ballot | None, runs: Runs | None, event: gr.EventData) -> Changes:
        """Take the vote once."""
        choice = sent(event, "choice")
        if ballot is None or sent(event, "ticket") != ballot.token or not (choice is None or choice in LABELS):
            over = widgets.hint("This comparison is over. Make another one if you like.")
            return {self.stage: over, self.ballot: None}
        STUDY.study().photo_vote(
            ballot.token, order=ballot.order, choice=choice, style=ballot.style, group=_group(runs)
        )
        thanks = views.photo_vote_thanks(_methods(ballot) if _may_know(runs) else ())
        return {self.stage: thanks, self.ballot: None}


def _group(runs: Runs | None) -> Group | None:
    """Return what was said when this browser's latest run began, None without one."""
    code = current(runs)
    return None if code is None else STUDY.study().group_of(code)


def _methods(ballot: Ballot) -> tuple[tuple[str, str], ...]:
    return tuple((label, arm_title(arm)) for label, arm in zip(LABELS, ballot.order, strict=False))


def _may_know(runs: Runs | None) -> bool:
    """Whether this browser has finished a run and has none in the middle."""
    return {screen.kind for screen in screens_of(runs)} == {"finished"}
