"""Every state of the page in pictures, light and dark, on a desk and on a phone, for somebody to look at.

Each is checked for what can be checked without eyes: nothing reaches over the page's side, no text is cut off, and what
can be pressed on a phone is large enough.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.visitor import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Visit = Callable[..., "Page"]
LONG_MS = 600_000
EXAMPLES = ROOT / "assets" / "examples"
PHONE_PX, TARGET_PX = 390, 44
# Buttons that are lower or narrower than they should be. What stands in a sentence, and Gradio's own footer, may be.
SMALL = """(least) => [...document.querySelectorAll('.gradio-container button, .gradio-container summary, a[download]')]
  .filter((part) => part.getClientRects().length && !part.closest('footer, .toast-wrap, .frame, [aria-hidden=true]'))
  .map((part) => [part.getBoundingClientRect(), part])
  .filter(([box]) => box.width > 0 && (box.height < least - 0.5 || box.width < least - 0.5))
  .map(([box, part]) => `${Math.round(box.width)} x ${Math.round(box.height)}: ${part.id || part.className} ${
    (part.getAttribute('aria-label') || part.innerText).slice(0, 40)}`)"""
# Texts that don't fit their place and are cut off there.
CUT_OFF = """() => [...document.querySelectorAll('.gradio-container *')]
  .filter((part) => !part.children.length && part.getClientRects().length && part.innerText)
  .filter((part) => getComputedStyle(part).overflow !== 'visible' && part.scrollWidth > part.clientWidth + 1)
  .filter((part) => part.clientWidth > 1)
  .map((part) => part.innerText.slice(0, 60))"""


class Album:
    """Takes pictures of a page's states and notes what is wrong with them."""

    def __init__(self, page: Page, folder: Path, width: int) -> None:
        self.page, self.folder, self.width = page, folder, width
        self.wrong: dict[str, list[str]] = {}

    def take(self, name: str, *, full_page: bool = True) -> None:
        """Take the present state, light and dark."""
        page, found = self.page, []
        if page.evaluate("document.documentElement.scrollWidth") > self.width:
            found.append("scrolls sideways")
        found += page.evaluate(CUT_OFF)
        if self.width == PHONE_PX:
            found += page.evaluate(SMALL, TARGET_PX)
        if found:
            self.wrong[name] = found
        for theme in ("light", "dark"):
            page.evaluate("(dark) => document.body.classList.toggle('dark', dark)", theme == "dark")
            page.wait_for_timeout(350)
            page.screenshot(path=self.folder / f"state-{name}-{theme}-{self.width}.png", full_page=full_page)
        page.evaluate("document.body.classList.remove('dark')")


def open_tab(page: Page, name: str) -> None:
    """Show a tab."""
    page.locator(f"[role=tab][data-tab-id={name}]").first.click()
    page.wait_for_timeout(300)


@pytest.mark.parametrize("width", [1280, PHONE_PX])
def test_drawing(visit: Visit, tmp_path: Path, screenshots: Path, width: int) -> None:
    page = visit(width=width, height=844 if width == PHONE_PX else 900)
    album = Album(page, screenshots, width)
    page.wait_for_selector("#status .dot.ready")
    album.take("first-screen", full_page=False)
    page.click("#status summary >> nth=0")
    page.click("#status details details summary")
    album.take("about")
    page.click("#status summary >> nth=0")
    page.click("#examples button >> nth=1")
    page.wait_for_selector("#result img")
    album.take("drawing", full_page=False)
    page.wait_for_selector("#download:not([disabled])")
    album.take("portrait")
    page.click("#photo-view [data-pick=crop]")
    page.wait_for_selector("#photo-view button.frame")
    album.take("crop", full_page=False)
    page.click("#photo-view [data-pick=another]")
    pair, wall, fake = tmp_path / "pair.png", tmp_path / "wall.png", tmp_path / "holiday.jpg"
    both = Image.new("RGB", (1300, 640), "#8fa08a")
    for place, name in enumerate(("face_2", "face_4")):
        with Image.open(EXAMPLES / f"{name}.png") as face:
            both.paste(face.convert("RGB").resize((600, 600)), (20 + 650 * place, 20))
    both.save(pair)
    Image.new("RGB", (480, 360), "#8fa08a").save(wall)
    fake.write_text("this is no picture")
    page.set_input_files("#photo input[type=file]", str(pair))
    page.wait_for_selector("#photo-view .face >> nth=1")
    assert not page.locator("#examples [aria-pressed=true]").count(), "an example is the photo no more"
    page.wait_for_selector("#download:not([disabled])")
    album.take("two-faces", full_page=False)
    page.click("#photo-view [data-pick=another]")
    page.set_input_files("#photo input[type=file]", str(wall))
    page.wait_for_selector("#photo-view .si-notice")
    album.take("no-face", full_page=False)
    page.click("#photo-view [data-pick=another]")
    page.set_input_files("#photo input[type=file]", str(fake))
    page.wait_for_selector(".toast-title")
    album.take("no-picture", full_page=False)
    assert not album.wrong, album.wrong


@pytest.mark.parametrize("width", [1280, PHONE_PX])
def test_new_style(visit: Visit, tmp_path: Path, screenshots: Path, width: int) -> None:
    page = visit(width=width, height=844 if width == PHONE_PX else 900)
    album = Album(page, screenshots, width)
    open_tab(page, "new-style")
    album.take("new-style")
    wall = tmp_path / "wall.png"
    Image.new("RGB", (480, 360), "#8fa08a").save(wall)
    files = [str(EXAMPLES / f"face_{number}.png") for number in (1, 2, 3)]
    page.set_input_files("#references input[type=file]", [*files, str(wall)])
    page.wait_for_function("document.querySelectorAll('#cards .si-card:not(.bad) img').length === 6", timeout=LONG_MS)
    album.take("style-pictures")
    page.click("#advanced > button")
    page.fill("#steps input[type=number]", "15")
    page.press("#steps input[type=number]", "Tab")
    album.take("style-settings")
    page.click("#advanced > button")
    page.click("#train")
    page.wait_for_selector("#run .si-run", timeout=LONG_MS)
    album.take("practising")
    page.wait_for_selector("#run svg polyline", timeout=LONG_MS)
    album.take("training")
    page.wait_for_selector("#use", timeout=LONG_MS)
    album.take("trained")
    page.click("#use")
    page.wait_for_selector("#download:not([disabled])", timeout=LONG_MS)
    album.take("own-style", full_page=False)
    page.click("#styles .si-own button.off")
    page.get_by_text("was removed").wait_for()
    album.take("style-removed", full_page=False)
    assert not album.wrong, album.wrong


@pytest.mark.parametrize("width", [1280, PHONE_PX])
def test_vote(visit: Visit, screenshots: Path, width: int) -> None:
    page = visit(width=width, height=844 if width == PHONE_PX else 900)
    album = Album(page, screenshots, width)
    open_tab(page, "vote")
    page.wait_for_selector("#vote-start")
    page.click("#vote-code > button")
    album.take("vote")
    page.check("#vote-agreed input")
    page.check("#vote-group input[value=viewer]")
    page.click("#vote-start")
    page.wait_for_selector("#vote-stage .st.ready")
    page.locator("#vote-stage .st-card").first.click()
    album.take("question", full_page=False)
    page.click("#vote-stage [data-do=open]")
    page.wait_for_selector("#vote-stage dialog[open]")
    album.take("pause", full_page=False)
    assert not album.wrong, album.wrong
