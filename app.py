"""StyleIdentity's web page: builds the tabs, opens the Studio in the background and launches.

Start it with `python app.py`; `GRADIO_SERVER_NAME` and `GRADIO_SERVER_PORT` choose the address,
`STYLEIDENTITY_BACKBONE` the model (`auto`, `mini` or `ffhq`).
"""

# ruff: noqa: E402  # the first two lines of work have to come before the other imports
from __future__ import annotations

from core.threads import share_cores

share_cores()  # before anything imports torch, as `spaces` may do

import spaces  # noqa: F401  # isort: skip  # before anything that could initialise an accelerator

from typing import TYPE_CHECKING, Any

import gradio as gr

from core.config import ASSETS_DIR
from core.ui import api
from core.ui.components import page_head, status, theme, widgets
from core.ui.friendly_errors import friendly
from core.ui.i18n import for_browser, fragment, label
from core.ui.server import gradio_adapter, link_preview, serving
from core.ui.server.limits import ZERO_GPU, limits
from core.ui.server.newest import DRAWINGS
from core.ui.server.runtime import LOADER, OPENER
from core.ui.server.study_service import STUDY
from core.ui.server.visitors import SESSIONS
from core.ui.tabs import engine_choice, photo_vote_tab, stylize_tab, train_tab, vote_tab
from core.ui.tabs.events import DIRECT
from core.ui.tabs.stylize_handlers import STYLIZE_TAB, TRAIN_TAB, warm_up
from core.ui.tabs.vote_handlers import VOTE_TAB

if TYPE_CHECKING:
    from core.studio import Studio

TITLE = "StyleIdentity"
PROMISE = "Your portrait in any art style. Still you."
RELOAD = "() => { window.siLeaving = true; location.reload(); }"
QUEUE_RESERVE = 50  # admission control refuses new work before Gradio has to, with a better sentence
CACHE_SWEEP_S, CACHE_AGE_S = 3600, 86400  # a second net: `core.ui.server.uploads` deletes sooner, and by visitor


def open_studio() -> Studio:
    """Open the Studio that the environment asks for; runs in a thread, so torch loads while the page is up."""
    return OPENER.open(status.LOADING_LINE.on_progress)


def build() -> gr.Blocks:
    """Return the page; needs no Studio yet."""
    page = gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(CACHE_SWEEP_S, CACHE_AGE_S))
    with page:
        api.add_endpoints()  # first, so that no event of the page takes their names
        gr.HTML(fragment(lambda: page_head.title(TITLE, PROMISE)))
        loading = fragment(lambda: status.status_html(status.LOADING))
        status_line = gr.HTML(loading, js_on_load=widgets.CLICKS, elem_id="status")
        engine = engine_choice.build()
        runs = vote_tab.memory()
        with gr.Tabs() as tabs:
            with gr.Tab(label("Stylize"), id=STYLIZE_TAB):
                stylize = stylize_tab.build(tabs, engine.chosen)
                photo_vote_tab.build(stylize, runs)
            with gr.Tab(label("New style"), id=TRAIN_TAB):
                train = train_tab.build(stylize)
            with gr.Tab(label("Vote"), id=VOTE_TAB) as vote:
                vote_tab.build(vote, runs)
        engine_choice.EngineChoice(engine, status_line, stylize, train).connect(page)

        @friendly
        def forget(request: gr.Request) -> None:
            DRAWINGS.supersede(request.session_hash)
            SESSIONS.forget(request.session_hash)
            gradio_adapter.forget_states(page, request.session_hash)

        status_line.delete(forget, None, None, **DIRECT).success(None, js=RELOAD)

        def leave(request: gr.Request) -> None:
            SESSIONS.leave(request.session_hash)
            gradio_adapter.forget_shown_values(page, request.session_hash)

        page.unload(leave)
    # `api_open=False`: a direct call of a queued event would run beside the line, uncounted.
    page.queue(api_open=False, max_size=limits().waiting + QUEUE_RESERVE, default_concurrency_limit=8)
    return page


def launch_options() -> dict[str, Any]:
    """Return `launch`'s options."""
    return {
        "theme": theme.make_theme(),
        "css": theme.make_css(),
        "max_file_size": limits().upload_bytes,
        "i18n": for_browser(),
        "head": page_head.head(),
        "favicon_path": ASSETS_DIR / "icon.png",
        "footer_links": ["api"],
        "mcp_server": True,
        "run_history": False,
        "enable_monitoring": False,
        "strict_cors": True,
        "ssr_mode": False,
        "share": False,
        **gradio_adapter.LAUNCH_WITHOUT_CALLING_ITSELF,
    }


def main() -> None:
    """Check the surroundings, open the Studio, build the page and serve it until a signal asks to stop."""
    serving.prepare()
    # ZeroGPU's workers are forked from this process, so the weights must be placed first, and from this thread.
    opening = LOADER.open_here(open_studio) if ZERO_GPU else LOADER.open_in_background(open_studio, warm_up=warm_up)
    STUDY.open_in_background()
    gradio_adapter.use_link_preview(page_head.link_preview(TITLE, PROMISE, link_preview.address()))
    server = serving.Server(build(), votes=STUDY.votes_kept, on_stop=STUDY.close)
    server.launch(**launch_options())
    server.log_when_open(opening)
    server.wait()


if __name__ == "__main__":
    main()
