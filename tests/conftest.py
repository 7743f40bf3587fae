"""Fixtures of every test: no network, a data folder of its own, few threads, and the shared pictures if present."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from core.engines.fewshot_gan.backbone import Backbone
    from core.engines.fewshot_gan.engine import FewShotGan
    from core.engines.registry import EngineEntry
    from core.studio import Studio

# huggingface_hub reads these once, when it is imported: an empty cache, no outgoing calls, a port where nobody listens.
_HUB_HOME = tempfile.mkdtemp(prefix="styleidentity-hub-")
atexit.register(shutil.rmtree, _HUB_HOME, ignore_errors=True)
os.environ.update(
    HF_HOME=_HUB_HOME,
    HF_HUB_OFFLINE="1",
    HF_ENDPOINT="http://127.0.0.1:9",
    HF_HUB_DISABLE_TELEMETRY="1",
    GRADIO_ANALYTICS_ENABLED="False",
)
for _name in (
    "HF_TOKEN",
    "HF_HUB_CACHE",
    "STYLEIDENTITY_ENGINE",
    "STYLEIDENTITY_BACKBONE",
    "STYLEIDENTITY_VOTES_DATASET",
):
    os.environ.pop(_name, None)

SHARED_ENV = "STYLEIDENTITY_SHARED"
_LOCAL_HOSTS = {None, "", "localhost", "0.0.0.0", "::", "::1"}


def _is_local(host: object) -> bool:
    text = host.decode() if isinstance(host, bytes) else host
    return text in _LOCAL_HOSTS or str(text).startswith("127.")


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Refuses every connection and name look-up that would leave this machine."""
    patch = pytest.MonkeyPatch()
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def check(sock: socket.socket, address: object) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(address[0]):
            raise OSError(f"tests run offline, but something called {address}")

    def guarded_connect(sock: socket.socket, address: object) -> None:
        check(sock, address)
        return connect(sock, address)

    def guarded_connect_ex(sock: socket.socket, address: object) -> int:
        check(sock, address)
        return connect_ex(sock, address)

    def guarded_look_up(host: object, *args: object, **options: object) -> list:
        if not _is_local(host):
            raise socket.gaierror(socket.EAI_NONAME, f"tests run offline, but something looked up {host!r}")
        return look_up(host, *args, **options)

    patch.setattr(socket.socket, "connect", guarded_connect)
    patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    patch.setattr(socket, "getaddrinfo", guarded_look_up)
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def few_threads() -> None:
    """Two threads at most: small tensors gain nothing from more, and machines that run tests are shared."""
    import torch

    torch.set_num_threads(min(2, os.cpu_count() or 1))


@pytest.fixture(autouse=True)
def own_data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`STYLEIDENTITY_DATA` points into this test's temporary folder."""
    folder = tmp_path / "data"
    monkeypatch.setenv("STYLEIDENTITY_DATA", str(folder))
    return folder


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Pictures and golden outputs kept outside the repository: `$STYLEIDENTITY_SHARED`, else `../shared`."""
    chosen = os.environ.get(SHARED_ENV)
    folder = Path(chosen) if chosen else Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"no shared test data: set {SHARED_ENV} or put it in {folder.name}/ beside the checkout")
    return folder


@pytest.fixture(scope="session")
def mini_studio() -> Studio:
    """The embedded backbone on the CPU, loaded once. Nothing may change it."""
    from core.studio import Studio

    return Studio.open(backbone="mini", device="cpu")


@pytest.fixture(scope="session")
def mini(mini_studio: Studio) -> FewShotGan:
    """The engine of `mini_studio`, for tests that look inside. Nothing may change it."""
    from core.engines.fewshot_gan.engine import FewShotGan

    engine = mini_studio.engine()
    assert isinstance(engine, FewShotGan)
    return engine


@pytest.fixture(scope="session")
def tiny() -> Backbone:
    """A small backbone with made-up weights; see `tests/tiny_backbone.py`. Nothing may change it."""
    from tests.tiny_backbone import tiny_backbone

    return tiny_backbone()


@pytest.fixture
def flat_engine() -> Iterator[EngineEntry]:
    """A second engine in the registry; see `tests/fake_engine.py`."""
    from core.engines import registry
    from tests.fake_engine import ENTRY

    registry.register(ENTRY)
    yield ENTRY
    registry.forget(ENTRY.name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: Playwright keeps an event loop running, in which `asyncio.run` can't be called."""
    items.sort(key=lambda item: "browser" in item.keywords)
