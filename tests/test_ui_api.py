"""The endpoints for programs and agents, called over HTTP as a stranger would: gradio_client, and MCP."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import inspect
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import gradio as gr
import httpx
import pytest
from gradio import processing_utils
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from core.config import ASSETS_DIR
from core.engines.base import DrawOptions
from core.engines.fewshot_gan.config import FinetuneConfig
from core.options import options_of
from core.ui import api
from core.ui.server import fetching, runtime
from core.ui.server.limits import DemoLimits
from core.ui.tabs.stylize_handlers import example_paths
from tests.app_process import AppProcess

if TYPE_CHECKING:
    from core.studio import Studio

ENDPOINTS = {"list_styles", "stylize", "train"}
DRAWN = {item.name for item in options_of(DrawOptions)} - {"keep_colour"}
WEB_FILE = {"path": "http://127.0.0.1:9/me.jpg", "meta": {"_type": "gradio.FileData"}}  # Gradio fetches it itself
PUBLIC, PRIVATE = "localhost", "127.0.0.1"  # names of this machine that the tests let count as a public host, or don't


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the running app with the embedded model."""
    with AppProcess(tmp_path_factory.mktemp("api")) as running:
        yield running.url


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    """A program's view of the page."""
    caller = Client(address, verbose=False)
    yield caller
    caller.close()


def test_only_the_three_endpoints_are_public(client: Client) -> None:
    info = client.view_api(return_format="dict")
    assert set(info["named_endpoints"]) == {f"/{name}" for name in ENDPOINTS}
    assert not info["unnamed_endpoints"]
    types = {
        item["parameter_name"]: item["python_type"]["type"] for item in info["named_endpoints"]["/train"]["parameters"]
    }
    assert types["references"] == "list[filepath]"
    assert types["preset"] == "Literal['sketch', 'cartoon']"
    assert types["steps"] == "None | int"


@pytest.mark.parametrize("name", sorted(ENDPOINTS))
def test_every_parameter_is_described(name: str) -> None:
    endpoint = api.endpoints()[name]
    description, parameters, returned = gr.utils.get_function_description(endpoint)
    assert description
    assert returned
    asked = set(inspect.signature(endpoint).parameters) - {"request"}
    assert {name for name, text in parameters.items() if text} == asked


def test_options_are_parameters_of_the_endpoints() -> None:
    """An option that is added to its dataclass shows up; what is asked for in another way does not."""
    drawing, training = (inspect.signature(api.endpoints()[name]).parameters for name in ("stylize", "train"))
    assert DRAWN | {"keep_colours"} <= drawing.keys()
    assert {item.name for item in options_of(FinetuneConfig)} - {"anchor", "preview_every"} <= training.keys()
    assert all(training[name].default is None for name in ("steps", "seed", "alpha")), "the preset or engine decides"
    assert (drawing["strength"].default, drawing["into_photo"].default, drawing["blend"].default) == (1.0, False, False)


def test_three_lines_draw_a_portrait(address: str) -> None:
    client = Client(address, verbose=False)
    result = client.predict(handle_file(str(example_paths()[0])), style="charcoal", api_name="/stylize")
    with Image.open(result) as portrait:
        assert portrait.format == "PNG"
        portrait.load()
    assert portrait.size == (512, 512)
    sizes = set()
    for name in ("blend", "into_photo"):  # the second is its former name
        whole = client.predict(
            handle_file(str(example_paths()[0])), style="charcoal", brush=0, **{name: True}, api_name="/stylize"
        )
        with Image.open(whole) as blended, Image.open(example_paths()[0]) as photo:
            sizes.add((blended.size, photo.size))
    client.close()
    ((blended_size, photo_size),) = sizes
    assert blended_size == photo_size


@pytest.mark.slow
def test_training_streams_and_returns_a_style_that_draws(client: Client, tmp_path: Path) -> None:
    pictures = [handle_file(str(path)) for path in example_paths()[:2]]
    run = client.submit(pictures, name="Two faces", steps=5, method="ours", aligned=True, api_name="/train")
    style = Path(run.result(timeout=120))
    assert style.name == "two-faces.safetensors"
    assert run.outputs()[0] is None, "a value on the way, so that cancelling frees the slot"
    given = {"style_file": handle_file(str(style)), "brush": 0, "api_name": "/stylize"}
    drawn, plain = client.predict(pictures[0], **given), client.predict(pictures[0], **given, strength=0)
    with Image.open(drawn) as one, Image.open(plain) as other:
        assert one.tobytes() != other.tobytes(), "the style must change the picture"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"style": "../../etc/passwd"}, "no ready-made style"),
        ({"strength": 3}, "'strength' is a number from 0 to 1"),
        ({"strength": "much"}, "'strength' is a number from 0 to 1"),
        ({"face": 1.5}, "'face' is a whole number"),
        ({"face": 9}, "face 9 can't be chosen"),
        ({"engine": "oil"}, "There is no engine 'oil'"),
        ({"photo": "me.jpg"}, "Send each file"),
        ({"photo": None}, "Send each file"),
        ({"photo": {"path": "/etc/hostname"}}, "not uploaded here"),
        ({"photo": "http://127.0.0.1:9/me.jpg"}, "web address can't be fetched"),
        ({"photo": WEB_FILE}, "web address can't be fetched"),
        ({"photo": "http://[x"}, "web address can't be fetched"),
        ({"photo": "http://127.0.0.1:9/file=\0"}, "web address can't be fetched"),
        ({"photo": "\0"}, "Send each file"),
        ({"seed": 2**31}, "'seed' is a whole number from 0 to 2147483647"),
        ({"seed": None}, "'seed' is a whole number from 0 to 2147483647"),
        ({"photo": "data:image/png;base64,!!"}, "data address can't be read"),
        ({"photo": "data:image/png;base64,aGVsbG8="}, "We couldn't read 'picture'"),
        (
            {"style_file": "data:,aGVsbG8="},
            "'style.safetensors' is not a style this app can use: it is not a safetensors file",
        ),
    ],
)
def test_wrong_arguments_get_a_sentence(client: Client, arguments: dict[str, object], sentence: str) -> None:
    given = {"photo": handle_file(str(example_paths()[0])), **arguments}
    with pytest.raises(AppError, match=sentence):
        client.predict(**given, api_name="/stylize")


def test_queued_endpoints_can_t_be_run_beside_the_line(address: str, client: Client) -> None:
    numbers = {item["api_name"]: item["id"] for item in client.config["dependencies"]}
    for name in ("stylize", "train"):
        for path in (name, "predict"):
            body = {"data": [], "fn_index": numbers[name]} if path == "predict" else {"data": []}
            reply = httpx.post(f"{address}gradio_api/run/{path}", json=body)
            assert reply.status_code == 404 and "join the queue" in reply.json()["detail"]
    body = {"data": [], "fn_index": numbers["list_styles"]}
    assert httpx.post(f"{address}gradio_api/run/predict", json=body).status_code == 200
    assert client.predict(api_name="/list_styles")[0]["slug"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"references": []}, "a list of 1 to 14 pictures"),
        ({"references": "all"}, "a list of 1 to 14 pictures"),
        ({"steps": 100_000}, "'steps' is a whole number from 1 to 1000"),
        ({"alpha": 2}, "'alpha' is a number from 0 to 1, not '2'"),
        ({"swap_layers": [7, -1]}, "'swap_layers' is whole numbers of 0 or more"),
        ({"swap_layers": [700]}, "These settings can't be used"),
        ({"engine": "oil"}, "There is no engine 'oil'. Choose one of these: fewshot_gan"),
        ({"preset": "oil"}, "'preset' is one of sketch, cartoon"),
        ({"method": "best"}, "'method' is one of aligned, paper, jojogan"),
        ({"references": ["no file"]}, "Send each file"),
    ],
)
def test_wrong_training_gets_a_sentence(client: Client, arguments: dict[str, object], sentence: str) -> None:
    given = {"references": [handle_file(str(example_paths()[0]))], "steps": 3, **arguments}
    with pytest.raises(AppError, match=sentence):
        client.predict(**given, api_name="/train")


# --- style files and web addresses -------------------------------------------------------------------------


def test_a_style_file_may_be_a_data_address(mini_studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime.LOADER, "_ready", mini_studio)
    content = (ASSETS_DIR / "styles" / "charcoal.safetensors").read_bytes()
    given = f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"
    with api._chosen_style("", given, SimpleNamespace(session_hash=None)) as chosen:
        assert chosen.title == "Charcoal" == runtime.LOCAL.style_at(chosen.path).name
    assert runtime.LOCAL._read_style.cache_info().currsize == 0, "a caller's style is forgotten with its file"


class Site(BaseHTTPRequestHandler):
    """Serves a small file, one without end, a slow one, and redirects."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Answer as the path asks."""
        self.asked.append(self.path)
        leads_to = {"/inside": f"http://{PRIVATE}:{self.server.server_port}/secret", "/moved": "small", "/loop": "loop"}
        self.send_response(302 if self.path in leads_to else 404 if self.path == "/gone" else 200)
        if self.path in leads_to:
            self.send_header("Location", leads_to[self.path])
        self.end_headers()
        with contextlib.suppress(OSError):  # the caller hung up
            self.wfile.write(b"picture")
            while self.path == "/endless":
                self.wfile.write(b"x" * 1000)
            while self.path == "/slow":
                self.wfile.write(b"x")
                time.sleep(0.02)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A site that counts as public under one of its names; Gradio fetches as in the app."""
    server = ThreadingHTTPServer((PRIVATE, 0), Site)
    Site.asked.clear()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(processing_utils, "PUBLIC_HOSTNAME_WHITELIST", [PUBLIC])
    monkeypatch.setattr(processing_utils, "async_ssrf_protected_get", processing_utils.async_ssrf_protected_get)
    monkeypatch.setattr(fetching, "limits", lambda: DemoLimits(photo_bytes=2_000_000))
    fetching.use_in_gradio()
    yield f"http://{PUBLIC}:{server.server_port}"
    server.shutdown()
    server.server_close()


def fetched(address: str, folder: Path) -> bytes:
    """What Gradio takes from a web address."""
    return Path(processing_utils.ssrf_protected_download(address, cache_dir=str(folder))).read_bytes()


@pytest.mark.parametrize("path", ["small", "moved"])
def test_public_addresses_are_fetched(site: str, path: str, tmp_path: Path) -> None:
    assert fetched(f"{site}/{path}", tmp_path) == b"picture"


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("endless", "more than 2 MB"),
        ("slow", "takes too long"),
        ("loop", "can't be fetched"),
        ("gone", "can't be fetched"),
        ("inside", "can't be fetched"),
    ],
)
def test_an_address_that_gives_no_file_in_time_gets_a_sentence(
    site: str, path: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "FETCH_S", 1.0)
    with pytest.raises(gr.Error, match=sentence):
        fetched(f"{site}/{path}", tmp_path)
    assert "/secret" not in Site.asked and len(Site.asked) <= 1 + fetching.MAX_REDIRECTS
    assert not [found for found in tmp_path.rglob("*") if found.is_file()]


def test_a_private_address_is_never_asked(site: str, tmp_path: Path) -> None:
    with pytest.raises(gr.Error, match="can't be fetched"):
        fetched(site.replace(PUBLIC, PRIVATE), tmp_path)
    assert not Site.asked


@pytest.mark.slow
def test_agents_list_and_call_the_tools(address: str) -> None:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    picture = base64.b64encode(example_paths()[0].read_bytes()).decode()

    async def talk() -> dict[str, Any]:
        async with (
            streamable_http_client(f"{address}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = {tool.name.removeprefix("StyleIdentity_"): tool for tool in (await session.list_tools()).tools}
            photo, said = f"data:image/png;base64,{picture}", []

            async def note(progress: float, total: float | None, message: str | None) -> None:
                said.append(message)

            async def call(short: str, **arguments: object) -> Any:
                return await session.call_tool(tools[short].name, arguments, progress_callback=note)

            listed = await call("list_styles")
            trained = await call("train", references=[photo], steps=5, aligned=True)
            drawn = await call("stylize", photo=photo, style_file=trained.content[0].text, brush=0)
            wrong = await call("stylize", photo=photo, strength=7)
            return locals()

    seen = asyncio.run(talk())
    tools = seen["tools"]
    assert set(tools) == ENDPOINTS
    assert "stay recognisable" in tools["stylize"].description
    assert tools["train"].inputSchema["required"] == ["references"]
    assert "four to eight" in tools["train"].inputSchema["properties"]["references"]["description"]
    assert "charcoal" in seen["listed"].content[0].text
    assert seen["trained"].content[0].text.endswith("my-style.safetensors")
    assert any("Training: Step 5 of 5" in str(message) for message in seen["said"])
    assert seen["drawn"].content[0].mimeType == "image/png"
    assert seen["wrong"].isError
    assert "'strength' is a number" in seen["wrong"].content[0].text
