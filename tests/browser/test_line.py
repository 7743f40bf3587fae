"""Two visitors who train at once: the second one reads where they are in line, and can leave it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.visitor import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Dialog, Page

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


def train_for(page: Page, steps: int) -> None:
    """Start a training of so many steps with one picture."""
    with_reference(page, 1)
    page.click("#advanced > button")
    page.fill("#steps input[type=number]", str(steps))
    page.press("#steps input[type=number]", "Tab")
    page.click("#train")
    page.wait_for_selector("#run .si-run", timeout=TRAINING_MS)


@pytest.mark.parametrize("width", [1280, 390])
def test_a_training_goes_on_while_the_page_is_loaded_again(visit: Visit, screenshots: Path, width: int) -> None:
    page = visit(width=width)
    asked: list[str] = []

    def leave(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", leave)
    train_for(page, 30)
    page.reload()
    assert asked == ["beforeunload"], "the page asks before it is left"
    page.wait_for_selector("#stop", timeout=TRAINING_MS)
    assert page.locator("#run").is_visible(), "its tab is open"
    page.wait_for_selector("#run svg polyline", timeout=TRAINING_MS)
    assert page.locator("#cards .si-card").count() == 1, "with its pictures"
    assert not page.locator("#train").is_enabled()
    page.locator("#run").scroll_into_view_if_needed()
    page.screenshot(path=screenshots / f"training-found-again-{width}.png")
    page.wait_for_selector("#use", timeout=TRAINING_MS)
    page.screenshot(path=screenshots / f"training-done-{width}.png")
    page.reload()
    assert len(asked) == 1, "nothing would be lost"
    page.wait_for_selector("#styles .si-own", state="attached")
    page.locator("[role=tab][data-tab-id=new-style]").click()
    page.get_by_text("Done. Give it a name").wait_for()
    page.click("#use")
    page.wait_for_selector("#result img")
    assert "My style" in page.inner_text("#styles [aria-pressed=true]")


def test_a_training_found_again_can_be_stopped(visit: Visit) -> None:
    page = visit()
    page.on("dialog", lambda dialog: dialog.accept())
    train_for(page, 200)
    page.reload()
    page.click("#stop", timeout=TRAINING_MS)
    page.get_by_text("Training was stopped").wait_for(timeout=TRAINING_MS)
    assert not page.locator("#stop").is_visible()
