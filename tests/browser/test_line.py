"""Two visitors who train at once: the second one reads where they are in line, and can leave it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.visitor import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Visit = Callable[..., "Page"]
TRAINING_MS = 600_000
TOLD = "getComputedStyle(document.querySelector('#run .progress-text'), '::after').content"


def with_reference(page: Page, number: int) -> None:
    """One picture on the New style page."""
    page.click("#styles button.new")
    page.set_input_files("#references input[type=file]", str(ROOT / "assets" / "examples" / f"face_{number}.png"))
    page.wait_for_selector("#cards .si-card:not(.bad) img", timeout=TRAINING_MS)
    page.wait_for_selector("#train:not([disabled])", timeout=TRAINING_MS)


def test_the_line_is_told_in_plain_words_and_can_be_left(visit: Visit, screenshots: Path) -> None:
    first, second = visit(), visit(width=390, height=844)
    with_reference(first, 1)
    with_reference(second, 2)
    first.click("#train")
    first.wait_for_selector("#run .si-run", timeout=TRAINING_MS)
    second.click("#train")
    second.wait_for_function(f"{TOLD}.includes('You are next in line.')")
    second.locator("#run").scroll_into_view_if_needed()
    second.screenshot(path=screenshots / "line.png")
    told = second.locator("#run [data-testid=status-tracker]").bounding_box()
    assert told and told["height"] > 12, "the words have a place of their own"
    assert second.locator("#run .progress-text").text_content().strip().startswith("queue: 1/1 |")
    second.click("#stop")
    second.get_by_text("Training was stopped").wait_for()
    second.wait_for_selector("#train:not([disabled])")
    second.wait_for_timeout(500)
    assert second.get_by_text("Training was stopped").is_visible(), "leaving the line is no failure"
    assert first.locator("#run .si-run").count() == 1, "the first one's training goes on"
    first.click("#stop")
    first.get_by_text("Training was stopped").wait_for(timeout=TRAINING_MS)
    first.wait_for_selector("#train:not([disabled])")


def test_a_name_with_markup_is_shown_as_text(visit: Visit, tmp_path: Path) -> None:
    fake = tmp_path / "x' onerror=alert(1) &lt;b&gt;.jpg"
    fake.write_text("this is no picture")
    page = visit()
    page.on("dialog", lambda dialog: pytest.fail("a name ran as a script"))
    page.set_input_files("#photo input[type=file]", str(fake))
    page.get_by_text("as a picture. Try saving it again as JPEG or PNG.").first.wait_for()
    assert page.locator("[data-testid=toast-text] b").count() == 0


def test_a_reload_keeps_the_own_styles(visit: Visit) -> None:
    page = visit()
    with_reference(page, 1)
    page.click("#advanced > button")
    page.fill("#steps input[type=number]", "2")
    page.press("#steps input[type=number]", "Tab")
    page.click("#train")
    page.wait_for_selector("#use", timeout=TRAINING_MS)
    page.wait_for_function("document.querySelector('#styles')?.innerText.includes('My style')")
    page.reload()
    page.wait_for_function("document.querySelector('#styles')?.innerText.includes('My style')")
