"""The endpoints for programs and agents, called over HTTP as a stranger would: gradio_client, and MCP."""

from __future__ import annotations

import asyncio
import base64
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from core.ui import api
from core.ui.stylize_handlers import example_paths
from tests.app_process import AppProcess

ENDPOINTS = {"list_styles", "stylize", "train"}


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


@pytest.mark.parametrize("endpoint", [api.list_styles, api.stylize, api.train], ids=lambda endpoint: endpoint.__name__)
def test_every_parameter_is_described(endpoint: object) -> None:
    description, parameters, returned = gr.utils.get_function_description(endpoint)
    assert description
    assert returned
    asked = set(inspect.signature(endpoint).parameters) - {"request"}
    assert {name for name, text in parameters.items() if text} == asked


def test_three_lines_draw_a_portrait(address: str) -> None:
    client = Client(address, verbose=False)
    result = client.predict(handle_file(str(example_paths()[0])), style="pencil", api_name="/stylize")
    with Image.open(result) as portrait:
        assert portrait.format == "PNG"
        portrait.load()
    client.close()
    assert portrait.size == (256, 256)


@pytest.mark.slow
def test_training_streams_and_returns_a_style_that_draws(client: Client, tmp_path: Path) -> None:
    pictures = [handle_file(str(path)) for path in example_paths()[:2]]
    run = client.submit(pictures, name="Two faces", steps=5, aligned=True, api_name="/train")
    style = Path(run.result(timeout=120))
    assert style.name == "two-faces.safetensors"
    assert run.outputs()[0] is None, "a value on the way, so that cancelling frees the slot"
    drawn = client.predict(pictures[0], style_file=handle_file(str(style)), api_name="/stylize")
    plain = client.predict(pictures[0], style_file=handle_file(str(style)), strength=0, api_name="/stylize")
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
        ({"photo": "me.jpg"}, "Send each file"),
        ({"photo": None}, "Send each file"),
        ({"photo": {"path": "/etc/hostname"}}, "not uploaded here"),
        ({"photo": "http://127.0.0.1:9/me.jpg"}, "web address can't be fetched"),
        ({"photo": "data:image/png;base64,!!"}, "data address can't be read"),
        ({"photo": "data:image/png;base64,aGVsbG8="}, "We couldn't read 'picture'"),
        ({"style_file": "data:,aGVsbG8="}, "not a style this app can use"),
    ],
)
def test_wrong_arguments_get_a_sentence(client: Client, arguments: dict[str, object], sentence: str) -> None:
    given = {"photo": handle_file(str(example_paths()[0])), **arguments}
    with pytest.raises(AppError, match=sentence):
        client.predict(**given, api_name="/stylize")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"references": []}, "a list of 1 to 14 pictures"),
        ({"references": "all"}, "a list of 1 to 14 pictures"),
        ({"steps": 100_000}, "'steps' is a number from 1 to 1000"),
        ({"preset": "oil"}, "'preset' is one of sketch, cartoon"),
        ({"method": "best"}, "'method' is one of ours, jojogan"),
        ({"references": ["no file"]}, "Send each file"),
    ],
)
def test_wrong_training_gets_a_sentence(client: Client, arguments: dict[str, object], sentence: str) -> None:
    given = {"references": [handle_file(str(example_paths()[0]))], "steps": 3, **arguments}
    with pytest.raises(AppError, match=sentence):
        client.predict(**given, api_name="/train")


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
            drawn = await call("stylize", photo=photo, style_file=trained.content[0].text)
            wrong = await call("stylize", photo=photo, strength=7)
            return locals()

    seen = asyncio.run(talk())
    tools = seen["tools"]
    assert set(tools) == ENDPOINTS
    assert "stay recognisable" in tools["stylize"].description
    assert tools["train"].inputSchema["required"] == ["references"]
    assert "four to eight" in tools["train"].inputSchema["properties"]["references"]["description"]
    assert "pencil" in seen["listed"].content[0].text
    assert seen["trained"].content[0].text.endswith("my-style.safetensors")
    assert any("Training: Step 5 of 5" in str(message) for message in seen["said"])
    assert seen["drawn"].content[0].mimeType == "image/png"
    assert seen["wrong"].isError
    assert "'strength' is a number" in seen["wrong"].content[0].text
