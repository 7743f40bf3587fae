"""StyleIdentity's web page: builds the tabs, opens the Studio in the background and launches.

Start it with `python app.py`; `GRADIO_SERVER_NAME` and `GRADIO_SERVER_PORT` choose the address,
`STYLEIDENTITY_BACKBONE` the model (`auto`, `mini` or `ffhq`).
"""

from __future__ import annotations

import spaces  # isort: skip  # before anything that could initialise an accelerator

import inspect
from typing import TYPE_CHECKING, Any

import gradio as gr

from core.ui import api
from core.ui.components import page_load as arrival
from core.ui.components import status, theme, waiting
from core.ui.i18n import HEAD, for_browser, fragment, label, t
from core.ui.server import queueing, serving
from core.ui.server import runtime as engine
from core.ui.server import study_service as study_door
from core.ui.server.limits import limits
from core.ui.server.visitors import SESSIONS
from core.ui.tabs import photo_vote_tab as quick_tab
from core.ui.tabs import results_tab, stylize_tab, train_tab, vote_tab
from core.ui.tabs.stylize_handlers import STYLIZE_TAB, TRAIN_TAB, warm_up
from core.ui.tabs.vote_handlers import RESULTS_TAB, VOTE_TAB

if TYPE_CHECKING:
    from core.studio import Studio

TITLE = "StyleIdentity"
PROMISE = "Bring a style in a few pictures. Stay yourself."
ZERO_GPU = spaces.config.Config.zero_gpu
QUEUE_RESERVE = 50  # the gate refuses new work before Gradio has to, with a better sentence
CACHE_SWEEP_S, CACHE_AGE_S = 3600, 86400  # a second net: `core.ui.server.uploads` deletes sooner, and by visitor


def open_studio() -> Studio:
    """Open the Studio that the environment asks for; runs in a thread, so torch loads while the page is up."""
    from core.studio import Studio

    return Studio.open(on_progress=status.LOADING_LINE.on_progress)


def build() -> gr.Blocks:
    """Return the page; needs no Studio yet."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(CACHE_SWEEP_S, CACHE_AGE_S)) as page:
        api.add_endpoints()  # first, so that no event of the page takes their names
        gr.HTML(fragment(lambda: f'<div class="si-head"><h1>{TITLE}</h1><p>{t(PROMISE)}</p></div>'))
        status_line = gr.HTML(fragment(lambda: status.status_html(status.LOADING)), elem_id="status")
        runs = vote_tab.memory()
        with gr.Tabs() as tabs:
            with gr.Tab(label("Stylize"), id=STYLIZE_TAB):
                stylize = stylize_tab.build(tabs, status_line, page)
                quick_tab.build(stylize, runs)
            with gr.Tab(label("New style"), id=TRAIN_TAB):
                train_tab.build(tabs, stylize)
            with gr.Tab(label("Vote"), id=VOTE_TAB) as vote:
                vote_tab.build(vote, tabs, runs)
            with gr.Tab(label("Results"), id=RESULTS_TAB) as results:
                results_tab.build(results, tabs, runs)

        def leave(request: gr.Request) -> None:
            SESSIONS.leave(request.session_hash)
            queueing.forget_page(page, request.session_hash)

        page.unload(leave)
    # `api_open=False`: a direct call of a queued event would run beside the line, uncounted.
    return page.queue(api_open=False, max_size=limits().waiting + QUEUE_RESERVE, default_concurrency_limit=8)


def launch_options() -> dict[str, Any]:
    """Return `launch`'s options, leaving out those that the installed Gradio doesn't know."""
    wanted = {
        "theme": theme.make_theme(),
        "css": theme.make_css(),
        "max_file_size": limits().upload_bytes,
        "i18n": for_browser(),
        "head": HEAD + arrival.HEAD + waiting.head(),
        "footer_links": ["api"],
        "mcp_server": True,
        "run_history": False,
        "enable_monitoring": False,
        "strict_cors": True,
        "ssr_mode": False,
        "share": False,
        # Its one effect: no call to the own address, which crowded out by returning visitors would end the start.
        "_frontend": False,
    }
    known = inspect.signature(gr.Blocks.launch).parameters
    return {name: value for name, value in wanted.items() if name in known}


def main() -> None:
    """Check the surroundings, open the Studio, build the page and serve it until a signal asks to stop."""
    serving.prepare()
    if ZERO_GPU:  # its workers are forked from this process, so the weights must be placed first, and from this thread
        opening = engine.DOOR.open_here(open_studio)
    else:
        opening = engine.DOOR.open_in_background(open_studio, warm_up=warm_up)
    study_door.DOOR.open_in_background()
    server = serving.Server(build(), votes=study_door.DOOR.votes_kept, on_stop=study_door.DOOR.close)
    server.launch(**launch_options())
    server.tell_when_open(opening)
    server.wait()


if __name__ == "__main__":
    main()
