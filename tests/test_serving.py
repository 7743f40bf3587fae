"""Operations: checks at the start, `/health`, logs that name nobody, and a stop that takes seconds."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import re
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from core.engines.base import EngineDescription
from core.errors import DataFolderUnwritable, WeightsUnavailable
from core.execution.loader import StudioLoader
from core.ui.server import gradio_adapter, health, limits, logs, queueing, serving
from core.ui.server.compression import CompressPage
from tests.forked import Forked
from tests.visitor import environment, serve

EMPTY_PAGE = SimpleNamespace(
    _queue=SimpleNamespace(event_queue_per_concurrency_id={}, active_jobs=[], event_ids_to_events={}), fns={}
)


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> StudioLoader:
    """A loader of the test's own."""
    opened = StudioLoader()
    monkeypatch.setattr(health, "LOADER", opened)
    return opened


def studio() -> SimpleNamespace:
    """As much of a Studio as operators hear of."""
    about = EngineDescription("fewshot_gan", "mini", "Built-in model", "0123", 256, "cpu", "bfloat16")
    return SimpleNamespace(describe=lambda: about)


# --- the data folder ---------------------------------------------------------------------------------------


def test_the_data_folder_is_made_and_tried(own_data_dir: Path) -> None:
    assert serving.check_data_folder() == own_data_dir
    assert own_data_dir.is_dir() and list(own_data_dir.iterdir()) == []


def test_a_data_folder_that_can_t_be_written_is_named(own_data_dir: Path) -> None:
    own_data_dir.write_bytes(b"a file where the folder should be")
    with pytest.raises(DataFolderUnwritable, match="set STYLEIDENTITY_DATA to a folder that is") as caught:
        serving.check_data_folder()
    assert str(own_data_dir) in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "text", "complaint"),
    [
        ("STYLEIDENTITY_LIMIT_STEPS", "lots", "must be a whole number"),
        ("STYLEIDENTITY_LOG", "xml", "must be 'json' or 'console'"),
        ("STYLEIDENTITY_LOG_LEVEL", "loud", "must be a level's name"),
        ("STYLEIDENTITY_DATA", "/dev/null/data", "can't be written"),
    ],
)
def test_the_start_is_refused_with_a_sentence(
    variable: str, text: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits.limits.cache_clear()
    monkeypatch.setenv(variable, text)
    before = logging.getLogger().handlers[:], logging.getLogger().level
    monkeypatch.setattr(traceback, "print_exc", traceback.print_exc)  # put back afterwards
    try:
        with pytest.raises(SystemExit, match=complaint) as caught:
            serving.prepare()
    finally:
        logging.getLogger().handlers[:], logging.getLogger().level = before
        limits.limits.cache_clear()
    assert str(caught.value).startswith("StyleIdentity can't start: ")


# --- health ------------------------------------------------------------------------------------------------


def test_health_follows_the_studio(loader: StudioLoader) -> None:
    def asked(**options: object) -> tuple[dict, int]:
        now = health.report(EMPTY_PAGE, **{"votes": "", "stopping": False, "uptime_s": 3.4} | options)
        return dataclasses.asdict(now), now.http_status

    release = threading.Event()

    def opening() -> SimpleNamespace:
        release.wait(10)
        raise WeightsUnavailable("model.pt", "no network")

    future = loader.open_in_background(opening)
    assert asked()[0]["status"] == "starting" and asked()[1] == 200
    release.set()
    assert future.exception(timeout=10) is not None
    answer, status = asked()
    assert (answer["status"], answer["backbone"], status) == ("failed", None, 503)
    loader.open_here(studio)
    answer, status = asked(votes="Votes are kept on this machine only.")
    assert status == 200
    assert answer == {
        "status": "ok",
        "version": health.VERSION,
        "engine": "fewshot_gan",
        "backbone": "mini",
        "fingerprint": "0123",
        "device": "cpu",
        "queue": {"waiting": 0, "running": 0, "waiting_jobs": 0, "running_jobs": 0},
        "votes": "Votes are kept on this machine only.",
        "uptime_s": 3,
    }
    assert asked(stopping=True)[0]["status"] == "stopping" and asked(stopping=True)[1] == 503


def test_the_line_is_counted_by_kind() -> None:
    def event(lane: str, session: str = "a") -> SimpleNamespace:
        return SimpleNamespace(concurrency_id=lane, session_hash=session, alive=True)

    job, light, waiting = event("accelerator"), event("7"), event("accelerator", "b")
    page = SimpleNamespace(
        _queue=SimpleNamespace(
            event_queue_per_concurrency_id={"accelerator": SimpleNamespace(queue=[waiting])},
            active_jobs=[[job], None, [light]],
            event_ids_to_events={"1": job, "2": light, "3": waiting},
        ),
        fns={3: SimpleNamespace(concurrency_id="accelerator"), 4: SimpleNamespace(concurrency_id="4")},
    )
    assert queueing.line(page) == queueing.Line(waiting=1, running=2, waiting_jobs=1, running_jobs=1)
    assert (queueing.jobs_of(page, "a"), queueing.jobs_of(page, "b"), queueing.jobs_of(page, "c")) == (1, 1, 0)
    assert [queueing.is_job(page, index) for index in (3, 4, 5, "3", None)] == [True, False, False, False, False]
    gradio_adapter.end_calls(page)
    assert not job.alive and not light.alive
    assert page._queue.event_queue_per_concurrency_id["accelerator"].queue == []


def test_a_closed_tab_leaves_its_states_and_nothing_else() -> None:
    with gr.Blocks() as page:
        kept, shown = gr.State(None), gr.HTML("")
    session = page.state_holder["tab"]
    session[kept._id] = "photo"
    session._update_value_in_config(shown._id, "x" * 1000)
    gradio_adapter.forget_shown_values(page, "tab")
    gradio_adapter.forget_shown_values(page, "nobody")
    assert session.state_data == {kept._id: "photo"} and session.config_values == {}
    session._update_value_in_config(shown._id, "back")  # as the page does once the tab is connected again
    assert session.config_values[shown._id]["props"]["value"] == "back"


# --- logs --------------------------------------------------------------------------------------------------


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the configured logs write; pytest's own handlers come back afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    yield stream
    root.handlers[:], root.level = before
    structlog.reset_defaults()


def test_logs_are_json_lines(written: io.StringIO) -> None:
    logs.configure(stream=written, environment={"STYLEIDENTITY_LOG": "json"})
    structlog.get_logger("styleidentity").info("ready", backbone="mini")
    logging.getLogger("core.ui.server.visitors").warning("%d folders", 3)
    logging.getLogger("httpx").info("HTTP Request: GET http://10.1.2.3/")
    first, second = map(json.loads, written.getvalue().splitlines())
    assert {"event": "ready", "backbone": "mini", "level": "info", "logger": "styleidentity"}.items() <= first.items()
    assert {"event": "3 folders", "level": "warning", "logger": "core.ui.server.visitors"}.items() <= second.items()
    assert first["timestamp"].endswith("Z")


def test_a_failure_is_logged_by_kind_and_place_only(written: io.StringIO) -> None:
    logs.configure(stream=written, environment={"STYLEIDENTITY_LOG": "json"})

    def handler() -> None:
        raise ValueError("/home/anna/holiday.jpg from 10.1.2.3")

    try:
        handler()
    except ValueError as error:
        logging.getLogger("core.ui.friendly_errors").error("unexpected failure in a handler", exc_info=error)
        structlog.get_logger("styleidentity").exception("again")
    text = written.getvalue()
    assert "holiday" not in text and "10.1.2.3" not in text
    for line in map(json.loads, text.splitlines()):
        assert line["failure"]["kind"] == "ValueError"
        assert line["failure"]["at"][-1].startswith("tests/test_serving.py:")


def test_what_gradio_prints_is_logged_without_its_text(
    written: io.StringIO, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    logs.configure(stream=written, environment={"STYLEIDENTITY_LOG": "json"})
    monkeypatch.setattr(traceback, "print_exc", traceback.print_exc)  # put back afterwards
    logs.log_printed_failures()
    elsewhere = io.StringIO()
    try:
        raise ValueError("holiday.jpg")
    except ValueError:
        traceback.print_exc()
        traceback.print_exc(file=elsewhere)
    assert json.loads(written.getvalue())["failure"]["kind"] == "ValueError"
    assert "holiday" not in written.getvalue() + capsys.readouterr().err
    assert "holiday" in elsewhere.getvalue(), "a file of the caller's own gets everything"


def test_people_read_plain_lines(written: io.StringIO) -> None:
    logs.configure(stream=written, environment={"STYLEIDENTITY_LOG": "console", "STYLEIDENTITY_LOG_LEVEL": "warning"})
    structlog.get_logger("styleidentity").info("ready")
    structlog.get_logger("styleidentity").warning("the model could not be opened", reason="no network")
    assert "ready" not in written.getvalue()
    assert "the model could not be opened" in written.getvalue() and "reason" in written.getvalue()


def test_the_start_is_told(written: io.StringIO, own_data_dir: Path) -> None:
    logs.configure(stream=written, environment={"STYLEIDENTITY_LOG": "json"})
    server = serving.Server(EMPTY_PAGE, votes=lambda: "Votes are kept on this machine only.")
    opening: Future = Future()
    server.log_when_open(opening)
    opening.set_result(studio())
    failing: Future = Future()
    server.log_when_open(failing)
    failing.set_exception(WeightsUnavailable("model.pt", "no network"))
    ready, failed = map(json.loads, written.getvalue().splitlines())
    assert ready["event"] == "ready"
    told = {name: ready[name] for name in ("backbone", "device", "precision", "data_folder", "votes")}
    assert told == {
        "backbone": "mini",
        "device": "cpu",
        "precision": "bfloat16",
        "data_folder": str(own_data_dir),
        "votes": "Votes are kept on this machine only.",
    }
    assert "Check the network" in failed["reason"] and failed["failure"]["kind"] == "WeightsUnavailable"


def test_the_page_is_launched_behind_admission_control_with_bounded_memory(written: io.StringIO) -> None:
    given: dict[str, object] = {}

    def launch(**options: object) -> tuple[None, str, None]:
        given.update(options)
        return None, "http://127.0.0.1:1/", None

    server = serving.Server(SimpleNamespace(**vars(EMPTY_PAGE), launch=launch))
    assert server.launch(share=False) == "http://127.0.0.1:1/"
    assert given["state_session_capacity"] == limits.limits().visitors
    assert given["prevent_thread_lock"] and given["share"] is False
    middleware = [item.cls for item in given["app_kwargs"]["middleware"]]
    assert middleware == [serving.AdmissionControl, serving.CompressPage], "the first one is the outermost"
    assert "/health" in [route.path for route in given["app_kwargs"]["routes"]]


def test_only_the_page_itself_is_compressed() -> None:
    def answer(request: Request) -> Response:
        return PlainTextResponse("a portrait " * 1000)

    app = Starlette(routes=[Route(path, answer) for path in ("/", "/stream")], middleware=[Middleware(CompressPage)])
    client = TestClient(app)
    assert client.get("/").headers["content-encoding"] == "gzip"
    assert "content-encoding" not in client.get("/stream").headers
    assert client.get("/").text == client.get("/stream").text == "a portrait " * 1000
    assert "content-encoding" not in client.get("/", headers={"accept-encoding": "identity"}).headers


# --- the end -----------------------------------------------------------------------------------------------


def test_votes_are_handed_over_but_not_waited_for_endlessly(
    monkeypatch: pytest.MonkeyPatch, written: io.StringIO
) -> None:
    logs.configure(stream=written, environment={"STYLEIDENTITY_LOG": "json"})
    monkeypatch.setattr(serving, "HANDOVER_S", 0.2)
    closed: list[bool] = []
    page = SimpleNamespace(**vars(EMPTY_PAGE), close=lambda verbose: closed.append(verbose))
    release = threading.Event()
    started = time.monotonic()
    serving.Server(page, on_stop=lambda: release.wait(30)).stop(grace_s=0.1)
    assert time.monotonic() - started < 5 and closed == [False]
    release.set()

    def broken() -> None:
        raise OSError("disk")

    serving.Server(page, on_stop=broken).stop(grace_s=0.1)
    assert closed == [False, False]
    assert "could not be handed over" in written.getvalue()


def test_a_sweep_that_fails_doesn_t_end_the_server(monkeypatch: pytest.MonkeyPatch, written: io.StringIO) -> None:
    logs.configure(stream=written, environment={"STYLEIDENTITY_LOG": "json"})
    swept: list[str] = []

    def broken(kind: str) -> None:
        swept.append(kind)
        raise FileNotFoundError(kind)

    monkeypatch.setattr(serving, "SWEEP_S", -1.0)
    monkeypatch.setattr(serving.signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(serving.SESSIONS, "sweep", lambda: broken("visitors"))
    monkeypatch.setattr(serving.UPLOADS, "sweep", lambda in_use: broken("uploads"))
    server = serving.Server(SimpleNamespace(**vars(EMPTY_PAGE), blocks={}))
    rounds = iter([False, False, True])
    ended: list[str] = []
    monkeypatch.setattr(server, "_asked", SimpleNamespace(wait=lambda seconds: next(rounds)))
    monkeypatch.setattr(server, "stop", lambda: ended.append("stopped"))
    monkeypatch.setattr(server, "_end", lambda code: ended.append(f"ended {code}"))
    server.wait()
    assert swept == ["visitors", "uploads"] * 2 and ended == ["stopped", "ended 0"]
    told = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line["event"] for line in told] == ["the sweep failed"] * 4
    assert told[0]["failure"]["kind"] == "FileNotFoundError"


def check_identity(address: str) -> None:
    """The page's own name, icon and picture are what links and home screens show."""
    page = httpx.get(address).text
    told = dict(re.findall(r'<meta\s+(?:property|name)="((?:og|twitter):\w+)"\s+content="([^"]*)"', page))
    assert told["og:title"] == "StyleIdentity" and told["og:description"].startswith("Your portrait in any art style")
    assert not any("radio" in text for text in told.values()), "nothing of Gradio's own"
    kinds = {"preview.png": "image/png", "favicon.ico": "image/png", "pwa_icon/192": "image/png"}
    assert {path: httpx.get(address + path).headers["content-type"] for path in kinds} == kinds
    manifest = httpx.get(f"{address}manifest.json").json()
    assert manifest["name"] == "StyleIdentity" and all("pwa_icon" in icon["src"] for icon in manifest["icons"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "module", "fresh"), [(signal.SIGTERM, "app", True), (signal.SIGINT, "tests.tiny_app", False)]
)
def test_a_signal_ends_the_server_and_leaves_no_uploads(number: int, module: str, fresh: bool, tmp_path: Path) -> None:
    with serve(tmp_path / "data", module=module, fresh=fresh) as server:
        reply = httpx.get(f"{server.address}health")
        assert reply.status_code == 200
        assert reply.json()["status"] == "ok" and reply.json()["backbone"] == "mini"
        if module == "app":
            check_identity(server.address)
        photo = {"files": ("holiday-of-anna.png", b"not a picture")}
        assert httpx.post(f"{server.address}gradio_api/upload", files=photo).status_code == 200
        assert len(list((server.data / "uploads").rglob("*.png"))) == 1
        started = time.monotonic()
        assert server.end(number) == 0
        assert time.monotonic() - started < 10
        events = [line["event"] for line in server.logged()]
        assert events.index("serving") < events.index("stopping") < events.index("stopped")
        assert {"ready", "serving"} <= set(events)
        assert list((server.data / "uploads").iterdir()) == []
        text = server.log.read_text()
        assert "holiday" not in text and "Traceback" not in text


@pytest.mark.slow
def test_the_app_says_why_it_can_t_start(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"1")
    log = tmp_path / "app.log"
    assert Forked("tests.tiny_app", environment(blocked / "data"), log).wait(120) == 1
    assert "StyleIdentity can't start: The data folder" in log.read_text()
    assert "Traceback" not in log.read_text()
