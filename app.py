"""StyleIdentity's web page: builds the tabs, opens the Studio in the background and launches.

Start it with `python app.py`; `GRADIO_SERVER_NAME` and `GRADIO_SERVER_PORT` choose the address,
`STYLEIDENTITY_BACKBONE` the model (`auto`, `mini` or `ffhq`).
"""

from __future__ import annotations

import spaces  # isort: skip  # before anything that could initialise an accelerator

import inspect
import logging
from typing import TYPE_CHECKING, Any

import gradio as gr

from core.ui import engine, status, stylize_tab, theme, train_tab
from core.ui.session import SESSIONS, sessions_dir
from core.ui.stylize_handlers import STYLIZE_TAB, TRAIN_TAB, warm_up

if TYPE_CHECKING:
    from core.studio import Studio

TITLE = "StyleIdentity"
PROMISE = "Bring a style in a few pictures. Stay yourself."
ZERO_GPU = spaces.config.Config.zero_gpu
MAX_WAITING = 40
CACHE_SWEEP_S, CACHE_AGE_S = 1800, 7200
MAX_UPLOAD = "150mb"  # a style file of the full-size model; photos have a limit and a sentence of their own


def open_studio() -> Studio:
    """Open the Studio that the environment asks for; runs in a thread, so torch loads while the page is up."""
    from core.studio import Studio

    return Studio.open(on_progress=status.LOADING_LINE.on_progress)


def leave(request: gr.Request) -> None:
    """Clean up after a closed tab."""
    SESSIONS.leave(request.session_hash)


def build() -> gr.Blocks:
    """Return the page; needs no Studio yet."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(CACHE_SWEEP_S, CACHE_AGE_S)) as page:
        gr.HTML(f'<div class="si-head"><h1>{TITLE}</h1><p>{PROMISE}</p></div>')
        status_line = gr.HTML(status.status_html(status.LOADING), elem_id="status")
        with gr.Tabs() as tabs:
            with gr.Tab("Stylize", id=STYLIZE_TAB):
                stylize = stylize_tab.build(tabs, status_line, page)
            with gr.Tab("New style", id=TRAIN_TAB):
                train_tab.build(tabs, stylize)
        page.unload(leave)
    return page.queue(max_size=MAX_WAITING, default_concurrency_limit=8)


def launch_options() -> dict[str, Any]:
    """Return `launch`'s options, leaving out those that the installed Gradio doesn't know."""
    sessions_dir().mkdir(parents=True, exist_ok=True)
    wanted = {
        "theme": theme.make_theme(),
        "css": theme.make_css(),
        "allowed_paths": [str(sessions_dir())],
        "max_file_size": MAX_UPLOAD,
        "footer_links": [],
        "run_history": False,
        "enable_monitoring": False,
        "strict_cors": True,
        "ssr_mode": False,
        "share": False,
    }
    known = inspect.signature(gr.Blocks.launch).parameters
    return {name: value for name, value in wanted.items() if name in known}


def main() -> None:
    """Open the Studio, build the page and serve it until interrupted."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    SESSIONS.sweep()
    opening = engine.DOOR.open_in_background(open_studio, warm_up=None if ZERO_GPU else warm_up)
    if ZERO_GPU:
        opening.result()  # ZeroGPU forks its workers from this process, so the model must be here first
    build().launch(**launch_options())


if __name__ == "__main__":
    main()
