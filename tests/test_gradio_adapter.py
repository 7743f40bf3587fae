"""What we use of Gradio's insides is where we think it is; after an update, the failure names the member that moved."""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio import block_function, blocks, context, processing_utils, queueing, route_utils, server_messages, utils
from gradio.queueing import Event, EventQueue

from core.ui.server import gradio_adapter

ROOT = Path(__file__).resolve().parent.parent
ADAPTER = Path(gradio_adapter.__file__)
PRIVATE_ATTRIBUTES = {"_queue", "state_holder", "fns", "_data", "keep_in_cache", "event_ids_to_events", "hash_seed"}
# Documented, or types of what the public API takes and returns.
PUBLIC_MODULES = {"gradio", "gradio.blocks", "gradio.components", "gradio.i18n", "gradio.themes.utils"}


@pytest.fixture
def page() -> gr.Blocks:
    """A page with a queued job, a light event and a picture."""
    with gr.Blocks() as made:
        shown = gr.HTML("")
        gr.Button().click(handler, None, shown, concurrency_id="accelerator", concurrency_limit=1, api_name="job")
        gr.Button().click(lambda: "", None, shown, queue=False)
    return made.queue()


def handler() -> str:
    """An event handler."""
    return "done"


def members(page: gr.Blocks) -> Iterator[tuple[str, bool]]:
    """Each member that the adapter uses, and whether this Gradio has it."""
    queue, event = page._queue, SimpleNamespace(concurrency_id="a", concurrency_limit=1)
    attributes = {
        "Blocks": (page, ("_queue", "fns", "blocks", "state_holder", "unload")),
        "Queue": (
            queue,
            ("event_queue_per_concurrency_id", "active_jobs", "event_ids_to_events", "remove_from_queue",
             "send_message", "broadcast_estimations"),
        ),
        "EventQueue": (EventQueue("a", event.concurrency_limit), ("queue",)),
        "BlockFunction": (next(iter(page.fns.values())), ("fn", "api_name", "concurrency_id", "outputs")),
        "LocalContext": (context.LocalContext, ("request", "blocks")),
        "StateHolder": (page.state_holder, ("session_data",)),
        "SessionState": (page.state_holder["tab"], ("config_values",)),
        "EventData": (gr.EventData(None, {}), ("_data",)),
        "Block": (gr.HTML(render=False), ("keep_in_cache",)),
        "processing_utils": (
            processing_utils,
            ("hash_seed", "save_file_to_cache", "ssrf_protected_download", "async_ssrf_protected_get",
             "PUBLIC_HOSTNAME_WHITELIST"),
        ),
        "utils": (utils, ("get_upload_folder",)),
        "route_utils": (route_utils, ("API_PREFIX",)),
        "server_messages": (server_messages, ("ProcessCompletedMessage",)),
    }  # fmt: skip
    for owner, (thing, names) in attributes.items():
        yield from ((f"{owner}.{name}", hasattr(thing, name)) for name in names)
    made_by = inspect.getsource(Event.__init__)
    yield from ((f"Event.{name}", f"self.{name}" in made_by) for name in ("_id", "session_hash", "fn", "alive"))
    yield "Event.concurrency_id", "self.concurrency_id" in made_by
    launch = inspect.signature(blocks.Blocks.launch).parameters
    yield from ((f"Blocks.launch({name})", name in launch) for name in gradio_adapter.LAUNCH_WITHOUT_CALLING_ITSELF)
    counted = inspect.getsource(queueing.Queue.__init__)
    yield from ((name, name in counted) for name in gradio_adapter.UNUSED_STATISTICS)
    yield gradio_adapter.UPLOAD_FOLDER_ENV, gradio_adapter.UPLOAD_FOLDER_ENV in inspect.getsource(utils)
    yield "Queue.remove_from_queue as a coroutine", inspect.iscoroutinefunction(queue.remove_from_queue)
    yield "BlockFunction in block_function", hasattr(block_function, "BlockFunction")


def test_every_private_member_is_still_there(page: gr.Blocks) -> None:
    moved = [name for name, is_there in members(page) if not is_there]
    assert not moved, (
        f"Gradio {gr.__version__} moved or renamed {', '.join(moved)}: mend core/ui/server/gradio_adapter.py "
        "and keep requirements.txt at the release before until then"
    )


def test_only_the_adapter_reaches_into_gradio() -> None:
    for path in (ROOT / "app.py", *sorted((ROOT / "core" / "ui").rglob("*.py"))):
        if path == ADAPTER:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            place = f"{path.name}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Attribute):
                assert node.attr not in PRIVATE_ATTRIBUTES, f"{place} uses .{node.attr}: go through gradio_adapter"
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            private = [name for name in names if name.split(".")[0] == "gradio" and name not in PUBLIC_MODULES]
            assert not private, f"{place} imports {private}: go through gradio_adapter"


def test_the_queue_is_read_and_emptied(page: gr.Blocks) -> None:
    async def story() -> None:
        job = next(number for number, function in page.fns.items() if function.api_name == "job")
        assert gradio_adapter.number_of(page, "job") == job and gradio_adapter.lane_of(page, job) == "accelerator"
        assert gradio_adapter.has_handler(page, job) and not gradio_adapter.has_handler(page, 99)
        assert not gradio_adapter.has_handler(page, True) and gradio_adapter.lane_of(page, "0") is None
        function, queue = page.fns[job], page._queue
        queue.create_event_queue_for_fn(function)
        waiting, running = (Event(name, function, None, None) for name in ("a", "b"))
        queue.event_queue_per_concurrency_id["accelerator"].queue.append(waiting)
        queue.pending_messages_per_session["a"] = messages = asyncio.Queue()
        queue.active_jobs = [[running], None]
        queue.event_ids_to_events |= {event._id: event for event in (waiting, running)}
        assert gradio_adapter.waiting_calls(page) == [gradio_adapter.Call("a", "accelerator", True)]
        assert gradio_adapter.running_calls(page) == [gradio_adapter.Call("b", "accelerator", True)]
        assert len(gradio_adapter.unfinished_calls(page)) == 2
        token = context.LocalContext.blocks.set(page)
        assert await gradio_adapter.drop_waiting_calls("b", handler) == 0, "it runs"
        assert await gradio_adapter.drop_waiting_calls("a", print) == 0, "another handler"
        assert await gradio_adapter.drop_waiting_calls("a", handler) == 1
        context.LocalContext.blocks.reset(token)
        assert messages.get_nowait().success, "its page is told that nothing changes"
        assert gradio_adapter.waiting_calls(page) == []
        gradio_adapter.end_calls(page)
        assert not running.alive

    asyncio.run(story())


def test_outside_of_events_there_is_no_header_and_no_queue() -> None:
    assert gradio_adapter.header_of_event("accept-language") == ""
    assert asyncio.run(gradio_adapter.drop_waiting_calls("a", handler)) == 0


def test_a_file_is_copied_to_where_the_page_may_fetch_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gradio_adapter.UPLOAD_FOLDER_ENV, str(tmp_path / "uploads"))
    picture = tmp_path / "a.png"
    picture.write_bytes(b"picture")
    copy = Path(gradio_adapter.copy_for_page(picture))
    assert copy.read_bytes() == b"picture" and copy.is_relative_to(gradio_adapter.upload_folder())


@pytest.mark.parametrize("data", [{}, None, 3, [1], "x"])
def test_forged_event_data_is_empty(data: object) -> None:
    assert gradio_adapter.values_sent(gr.EventData(None, data)) == {}
