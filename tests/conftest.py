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
from pytest_socket import is_ipaddress

from core.threads import share_cores

if TYPE_CHECKING:
    from core.engines.fewshot_gan.backbone import Backbone
    from core.engines.fewshot_gan.engine import FewShotGan
    from core.engines.registry import EngineEntry
    from core.studio import Studio
    from core.study.protocol.flow import Study
    from core.study.protocol.packs import Pack

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
# Compiled kernels are shared by the tests' processes and runs.
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"styleidentity-numba-{os.getuid()}"))
# Before torch is imported: what waits doesn't spin, and each of the processes that tests start has one thread.
share_cores()
os.environ.setdefault("OMP_NUM_THREADS", "1")
for _name in (
    "HF_TOKEN",
    "HF_HUB_CACHE",
    "STYLEIDENTITY_ENGINE",
    "STYLEIDENTITY_BACKBONE",
    "STYLEIDENTITY_VOTES_DATASET",
):
    os.environ.pop(_name, None)

SHARED_ENV = "STYLEIDENTITY_SHARED"
_LOCAL_NAMES = {None, "", "localhost"}


@pytest.fixture(scope="session", autouse=True)
def no_name_lookups() -> Iterator[None]:
    """Refuses to look up names of other machines; pytest-socket refuses to connect to them (see pyproject.toml)."""
    look_up = socket.getaddrinfo

    def guarded(host: object, *args: object, **options: object) -> list:
        name = host.decode() if isinstance(host, bytes) else host
        if name in _LOCAL_NAMES or is_ipaddress(str(name)):
            return look_up(host, *args, **options)
        raise socket.gaierror(socket.EAI_NONAME, f"tests run offline, but something looked up {host!r}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", guarded)
        yield


@pytest.fixture(scope="session", autouse=True)
def few_threads() -> None:
    """Two threads at most, shared among the workers of pytest-xdist: small tensors gain nothing from more."""
    import torch

    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    torch.set_num_threads(max(1, min(2, os.cpu_count() or 1) // workers))


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


@pytest.fixture(scope="session")
def studio() -> Studio:
    """The studio on that backbone, which finds a face in every picture. Nothing may change it."""
    from tests.compare_kit import finding_studio

    return finding_studio()


@pytest.fixture
def tiny_cli(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line with that studio."""
    monkeypatch.setattr(type(studio), "open", classmethod(lambda cls, *_, **__: studio))


@pytest.fixture(scope="module")
def folders(tiny: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up photos and references; see `tests/compare_kit.py`."""
    from tests.compare_kit import make_folders

    return make_folders(tiny, tmp_path_factory.mktemp("folders"))


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """11 trials of 4 arms."""
    from tests.study_parts import small_pack

    return small_pack(tmp_path_factory.mktemp("packs"))


@pytest.fixture
def study(pack: Pack, tmp_path: Path) -> Study:
    """A study on `pack` with an empty store."""
    from tests.study_parts import study_on

    return study_on(tmp_path / "votes.sqlite3", pack)


@pytest.fixture
def flat_engine() -> Iterator[EngineEntry]:
    """A second engine in the registry; see `tests/fake_engine.py`."""
    from core.engines import registry
    from tests.fake_engine import ENTRY

    registry.register(ENTRY)
    yield ENTRY
    registry.forget(ENTRY.name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of long tests come first, whole: a worker that ends early then takes short ones."""
    browser = {item.path for item in items if "browser" in item.keywords}
    slow = {item.path for item in items if "slow" in item.keywords}
    items.sort(key=lambda item: (item.path not in browser, item.path not in slow))
