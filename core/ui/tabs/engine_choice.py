"""Which engine works for a visitor, and how the page opens: the status line, and the choice where there are several."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import TimeoutError as Waiting
from dataclasses import dataclass

import gradio as gr
from gradio.blocks import Block

from core.engines import registry
from core.ui.components import status, style_gallery, widgets
from core.ui.friendly_errors import friendly
from core.ui.i18n import label
from core.ui.server.runtime import FACES, LOADER, OPENER, studio
from core.ui.server.session import MyStyle
from core.ui.server.visitors import SESSIONS
from core.ui.tabs import train_tab
from core.ui.tabs.events import DIRECT, PRIVATE, Changes
from core.ui.tabs.stylize_handlers import StylizeTab
from core.ui.tabs.train_handlers import TrainTab

# A secret of this tab, gone with it: after a reload the visitor finds their own styles again.
TAB_KEY = """(chosen, mine) => {
  try {
    const known = sessionStorage.getItem('styleidentity-tab');
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    const key = known || Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
    sessionStorage.setItem('styleidentity-tab', key);
    return [chosen, mine, key];
  } catch (error) { return [chosen, mine, '']; }
}"""


@dataclass(frozen=True, eq=False)
class EngineParts:
    """The choice above the tabs.

    Attributes:
        radio: the engines; hidden where there is one.
        chosen: name of the visitor's engine; None for the server's own.
    """

    radio: gr.Radio
    chosen: gr.State


def build() -> EngineParts:
    """Lay out the choice in the current column; a single engine is not even named to participants of a study."""
    several = len(registry.entries()) > 1
    choices = [(label(entry.title), entry.name) for entry in registry.entries()] if several else []
    return EngineParts(gr.Radio(choices, label=label("Engine"), visible=several, elem_id="engine"), gr.State(None))


@dataclass(frozen=True, eq=False)
class EngineChoice:
    """The choice with what its events do."""

    parts: EngineParts
    status_line: gr.HTML
    stylize: StylizeTab
    train: TrainTab

    @property
    def opened(self) -> list[Block]:
        """What the opening of the page changes."""
        state = self.stylize.state
        shown = [self.status_line, self.parts.radio, self.stylize.left.gallery]
        return [*shown, state.chosen, state.mine, *self.train.abilities]

    def greet(
        self, chosen: str | None, mine: tuple[MyStyle, ...], tab_key: str | None, request: gr.Request
    ) -> Iterator[Changes]:
        """Tell how the Studio opens, then fill the style gallery.

        `tab_key` is the browser tab's secret: after a reload, the tab finds its own styles again. `?style=SLUG` in the
        page's address chooses a style.
        """
        state = self.stylize.state
        SESSIONS.adopt(request.session_hash, tab_key)
        try:
            mine = mine or SESSIONS.styles(request.session_hash)
            while True:
                try:
                    opened = LOADER.studio(timeout_s=1.0)
                    break
                except Waiting:
                    yield {self.status_line: status.LOADING_LINE.html(), state.mine: mine}
            first = registry.entries()[0].name
            asked = str(request.query_params.get("style", ""))  # a link may open the page with a style chosen
            chosen = asked if style_gallery.find(asked, mine) else chosen
            yield {
                self.status_line: status.describe(opened, problem=OPENER.problem),
                self.parts.radio: opened.default if self.parts.radio.visible else gr.skip(),
                **self.stylize.styles(mine, chosen or style_gallery.first_style(), None),
                **({} if opened.default == first else self.train.for_engine(opened.default)),
            }
        except Exception as error:
            yield {
                self.status_line: status.failed(error),
                self.stylize.left.gallery: widgets.style_gallery([], None),
                state.chosen: None,
                state.mine: mine,
            }

    @friendly
    def choose(self, name: str | None, mine: tuple[MyStyle, ...]) -> Changes:
        """Let another engine draw and learn: its styles, without the portrait of the one before.

        Raises as `Studio.engine`; then the engine before stays in use.
        """
        opened = studio()
        about = opened.describe(name)
        engine = None if about.engine == opened.default else about.engine
        return {
            self.parts.chosen: engine,
            self.status_line: status.describe(opened, engine),
            self.stylize.state.portrait: None,
            **self.stylize.styles(mine, style_gallery.first_style(engine), engine),
            **self.stylize.no_result(),
            **self.train.for_engine(about.engine),
        }

    def back(self, engine: str | None) -> Changes:
        """Show which engine is still in use."""
        return {self.parts.radio: engine or studio().default}

    def connect(self, page: gr.Blocks) -> None:
        """Connect the events of choice and page."""
        state, train, radio = self.stylize.state, self.train, self.parts.radio
        tab_key = gr.Textbox(visible=False)  # its value comes from the browser's tab
        opened = page.load(
            self.greet,
            [state.chosen, state.mine, tab_key],
            self.opened,
            js=TAB_KEY,
            show_progress="hidden",
            **PRIVATE,
        )
        train_tab.resume_after(train, opened.then)
        result = [part for part in self.stylize.result if part is not state.portrait]
        changed = radio.input(
            self.choose,
            [radio, state.mine],
            [self.parts.chosen, state.portrait, *result, *self.opened],
            show_progress_on=self.status_line,
            **PRIVATE,
            **FACES,
        )
        changed.failure(self.back, self.parts.chosen, radio, **DIRECT)
        changed.success(
            train.read_again,
            [train.references, train.edits, self.parts.chosen],
            train.page,
            show_progress_on=train.first.drop,
            **PRIVATE,
            **FACES,
        )
