"""The real app in a process of its own, and Chromium to visit it.

Without Chromium or Playwright these tests are skipped with a reason; with `REQUIRE_BROWSER=1` they fail instead.
Screenshots go to `$STYLEIDENTITY_SCREENSHOTS`, else to the test's temporary folder.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from PIL import Image, ImageOps

from tests.app_process import AppProcess

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM_OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
CAMERA_OPTIONS = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
CAMERA_SIZE = (640, 480)
START_LIMIT_S = 60.0
SLOW_MS = 90_000
COUNT_SHIFTS = """
window.layoutShift = 0;
window.layoutShifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (entry.hadRecentInput) continue;
    window.layoutShift += entry.value;
    const moved = entry.sources.map((source) => source.node?.id || source.node?.className || source.node?.nodeName);
    window.layoutShifts.push(`${entry.value.toFixed(4)} ${moved}`);
  }
}).observe({ type: 'layout-shift', buffered: true });
"""


def missing(reason: str) -> None:
    """Skip, or fail where a browser was promised."""
    if os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(f"REQUIRE_BROWSER=1, but {reason}")
    pytest.skip(reason)


def chromium_path() -> str | None:
    """The installed Chromium."""
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("Playwright's Python package is not installed")
    path = chromium_path()
    if path is None:
        missing("no Chromium is installed")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=list(CHROMIUM_OPTIONS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def app_url(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of `python app.py` with the embedded model; the process ends with the tests."""
    with AppProcess(tmp_path_factory.mktemp("app"), start_limit_s=START_LIMIT_S) as app:
        assert httpx.get(app.url).status_code == 200
        yield app.url


def opened(page: Page, url: str) -> Page:
    """Open the app and wait until the styles are there."""
    page.set_default_timeout(SLOW_MS)
    page.goto(url, wait_until="load")
    page.wait_for_selector("#styles button.si-tile")
    return page


@pytest.fixture
def visit(chromium: Browser, app_url: str) -> Iterator[Callable[..., Page]]:
    """Function that opens the page (`width`, `height`, `dark`, `locale`) and waits until the styles are there.

    What moves by itself is summed up as `window.layoutShift` (web.dev's CLS, without its session windows).
    """
    contexts = []

    def open_page(*, width: int = 1280, height: int = 900, dark: bool = False, locale: str = "en-US") -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", locale=locale
        )
        context.add_init_script(COUNT_SHIFTS)
        contexts.append(context)
        return opened(context.new_page(), app_url)

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def visit_with_camera(chromium: Browser, app_url: str, tmp_path: Path) -> Iterator[Callable[[Path], Page]]:
    """Function that opens the page in a browser of its own, whose webcam films this picture and may be used."""
    browsers = []

    def open_page(filmed: Path) -> Page:
        film = tmp_path / "film.mjpeg"
        with Image.open(filmed) as image:
            ImageOps.pad(image.convert("RGB"), CAMERA_SIZE, color="#777788").save(film, "JPEG", quality=95)
        options = (*CHROMIUM_OPTIONS, *CAMERA_OPTIONS, f"--use-file-for-fake-video-capture={film}")
        browser = chromium.browser_type.launch(executable_path=chromium_path(), args=list(options))
        browsers.append(browser)
        return opened(browser.new_page(viewport={"width": 1280, "height": 900}), app_url)

    yield open_page
    for browser in browsers:
        browser.close()


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """Folder for pictures of the page."""
    chosen = os.environ.get("STYLEIDENTITY_SCREENSHOTS")
    folder = Path(chosen) if chosen else tmp_path / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
