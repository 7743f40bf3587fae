"""The page for everyone: WCAG AA, usable from the keyboard, still while it works, in English and Chinese."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Visit = Callable[..., "Page"]
TABS = ("stylize", "new-style", "vote")
TRAINING_MS = 600_000
GOOD_LAYOUT_SHIFT = 0.05
# Names, and what is the same in Chinese.
LATIN = {"StyleIdentity", "JoJoGAN", "Alpha", "JPEG", "PNG", "API", "MCP", "zip"}


def open_tab(page: Page, name: str) -> None:
    """Show a tab; the ones that don't fit a phone are behind a button."""
    tab = page.locator(f"[role=tab][data-tab-id={name}]").first
    if not tab.is_visible():
        page.locator(".overflow-menu > button").first.click()
        tab = page.locator(f".overflow-dropdown button[data-tab-id={name}]")
    tab.click()
    page.wait_for_timeout(400)


def unfold(page: Page) -> None:
    """Open every folded part in view."""
    page.evaluate("""() => document.querySelectorAll('.label-wrap:not(.open)').forEach((head) => {
      if (head.offsetParent) head.click();
    })""")
    page.wait_for_timeout(300)


def wait_until_opaque(page: Page) -> None:
    """Let parts that are being filled or faded in come to rest; axe judges what is there after five seconds. Icons and
    the button that closes a message are never opaque."""
    from playwright.sync_api import TimeoutError as StillMoving

    at_rest = """() => [...document.querySelectorAll('.gradio-container *')].every((part) => {
      const opacity = Number(getComputedStyle(part).opacity);
      const faint = ':disabled, .si-status, .toast-close, span:has(> svg)';
      return opacity === 0 || opacity === 1 || !part.getClientRects().length || part.closest(faint);
    })"""
    with suppress(StillMoving):
        page.wait_for_function(at_rest, timeout=5000, polling=100)


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the page as it is, Gradio's own messages in the corner left out: there, a button
    holds another one."""
    from axe_playwright_python.sync_playwright import Axe

    wait_until_opaque(page)
    found = Axe().run(page, context={"exclude": [[".toast-header"]]}).response["violations"]
    return [f"{item['impact']} {item['id']}: {node['html'][:160]}" for item in found for node in item["nodes"]]


def violations_by_theme(page: Page, name: str) -> Iterator[tuple[str, list[str]]]:
    """Show the page light and dark, as Gradio does by a class, and say what is wrong in each."""
    for theme in ("dark", "light"):
        page.evaluate("(dark) => document.body.classList.toggle('dark', dark)", theme == "dark")
        page.wait_for_timeout(500)  # until colours have changed
        yield f"{name}-{theme}", violations(page)


def first_portrait(page: Page) -> None:
    """Draw the first example in the first style."""
    page.click("#styles button.si-tile >> nth=0")
    page.wait_for_selector("#result img")
    page.wait_for_selector("#download:not([disabled])")


@pytest.mark.parametrize("width", [1280, 390])
def test_every_tab_passes_axe_in_light_and_dark(visit: Visit, screenshots: Path, width: int) -> None:
    page = visit(width=width)
    wrong = dict(violations_by_theme(page, "empty"))
    first_portrait(page)
    page.click("#photo-view [data-pick=crop]")
    page.wait_for_selector("#photo-view button.frame")
    for name in TABS:
        open_tab(page, name)
        unfold(page)
        for theme, found in violations_by_theme(page, name):
            wrong[theme] = found
            page.screenshot(path=screenshots / f"{theme}-{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} scrolls sideways"
    assert len(wrong) == 2 * (1 + len(TABS)) and not any(wrong.values()), wrong


def test_problems_pass_axe_too(visit: Visit, tmp_path: Path) -> None:
    from PIL import Image

    wall, fake = tmp_path / "wall.png", tmp_path / "holiday.jpg"
    Image.new("RGB", (480, 360), "#8fa08a").save(wall)
    fake.write_text("this is no picture")
    page = visit()
    page.set_input_files("#photo input[type=file]", str(fake))
    page.get_by_text("We couldn't read 'holiday.jpg'").wait_for()
    assert not violations(page)
    page.set_input_files("#photo input[type=file]", str(wall))
    page.wait_for_selector("#photo-view .si-notice")
    open_tab(page, "new-style")
    page.set_input_files("#references input[type=file]", [str(wall)])
    page.wait_for_selector("#cards .si-card.bad")
    assert not violations(page)


def tab_to(page: Page, selector: str, limit: int = 90) -> None:
    """Press Tab until `selector` has the focus; everything on the way must show that it has it."""
    for _ in range(limit):
        page.keyboard.press("Tab")
        seen = page.evaluate(
            """(selector) => {
              const focused = document.activeElement;
              const style = getComputedStyle(focused);
              return {
                there: focused.matches(selector),
                ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
                what: focused.outerHTML.replace(/data:[^"]*/g, '').slice(0, 160),
              };
            }""",
            selector,
        )
        assert seen["ring"] or seen["what"].startswith("<body"), f"no focus ring: {seen['what']}"
        if seen["there"]:
            return
    pytest.fail(f"Tab never reaches {selector}")


def test_the_main_flow_works_from_the_keyboard(visit: Visit) -> None:
    page = visit()
    tab_to(page, "#photo button, #photo [role=button]")
    tab_to(page, "#examples button")
    page.keyboard.press("Enter")
    page.wait_for_selector("#photo-view .frame")
    tab_to(page, "#styles button")
    page.keyboard.press("Enter")
    page.wait_for_selector("#result img")
    page.wait_for_selector("#download:not([disabled])")
    tab_to(page, "#result input[type=range]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.querySelector('.si-compare').style.getPropertyValue('--cut')") == "52%"
    tab_to(page, "#strength input[type=range]")
    before = page.locator("#result img.after").get_attribute("src")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("(before) => document.querySelector('#result img.after').src !== before", arg=before)
    assert page.evaluate("document.querySelector('.si-compare').style.getPropertyValue('--cut')") == "52%"
    page.wait_for_selector("#download:not([disabled])")  # the portrait is finished
    tab_to(page, "#keep-colour input")
    tab_to(page, "#into-photo input")
    tab_to(page, "#download")
    with page.expect_download():
        page.keyboard.press("Enter")


def test_training_works_from_the_keyboard(visit: Visit, shared_dir: Path) -> None:
    page = visit()
    page.on("filechooser", lambda _: None)  # the browser begins to tell of choosers some time after the first listener
    tab_to(page, "#styles button.new")
    page.keyboard.press("Enter")
    page.wait_for_selector("#references")
    tab_to(page, "#references button")
    with page.expect_file_chooser() as choosing:
        page.keyboard.press("Enter")
    choosing.value.set_files([str(path) for path in sorted((shared_dir / "styles").glob("engraving_*.webp"))[:2]])
    page.wait_for_function("document.querySelectorAll('#cards .si-card img').length === 4")
    tab_to(page, "#aligned input")
    tab_to(page, "#cards button")
    tab_to(page, "#preset input")
    tab_to(page, "#anchor input")
    tab_to(page, "#advanced .label-wrap")
    page.keyboard.press("Enter")
    tab_to(page, "#steps input[type=number]")
    page.keyboard.press("Control+a")
    page.keyboard.type("5")
    tab_to(page, "#train")
    page.keyboard.press("Enter")
    page.wait_for_selector("#use", timeout=TRAINING_MS)
    tab_to(page, "#style-name input, #style-name textarea")
    tab_to(page, "#use")
    page.keyboard.press("Enter")
    page.wait_for_selector("#result img")


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_jumps(visit: Visit, width: int) -> None:
    """The best of three visits counts: on a busy machine an answer to a click comes too late to be excused by it."""
    for _ in range(3):
        moved, shift = shifts_of_a_visit(visit(width=width))
        if shift <= GOOD_LAYOUT_SHIFT:
            return
    raise AssertionError(moved)


def shifts_of_a_visit(page: Page) -> tuple[list[str], float]:
    """What moved by itself while a portrait was drawn and every tab shown, and the sum of layout shifts."""
    page.wait_for_selector("#status .dot.ready")
    page.click("#examples button >> nth=1")
    page.wait_for_selector("#photo-view .frame")
    page.wait_for_timeout(800)  # later shifts are not excused by the click
    first_portrait(page)
    page.click("#keep-colour input")
    page.wait_for_timeout(1500)
    for name in TABS:
        open_tab(page, name)
        page.wait_for_timeout(700)
    return page.evaluate("window.layoutShifts"), page.evaluate("window.layoutShift")


def english_words(text: str) -> set[str]:
    """Words of four and more letters that should have been translated."""
    return set(re.findall(r"[A-Za-z]{4,}", re.sub(r"\S+\.(?:png|jpg|webp)", "", text))) - LATIN


def test_chinese_browsers_get_a_chinese_page(visit: Visit, tmp_path: Path, screenshots: Path) -> None:
    page = visit(locale="zh-CN")
    page.wait_for_selector("#status .dot.ready")
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    first_portrait(page)
    page.click("#photo-view [data-pick=crop]")
    page.wait_for_selector("#photo-view button.frame")
    for name in TABS:
        open_tab(page, name)
        unfold(page)
        page.screenshot(path=screenshots / f"{name}-chinese.png", full_page=True)
        assert not english_words(page.inner_text(".gradio-container")), name
    open_tab(page, "new-style")
    fake = tmp_path / "holiday.jpg"
    fake.write_text("this is no picture")
    page.set_input_files("#references input[type=file]", str(fake))
    page.wait_for_selector("#cards .si-card.bad")
    assert not english_words(page.inner_text("#cards"))


def test_programs_find_their_way(visit: Visit, screenshots: Path) -> None:
    page = visit()
    page.click("footer .show-api")
    page.locator(".api-docs").get_by_text("/stylize").locator("visible=true").first.wait_for()
    shown = page.inner_text(".api-docs")
    page.screenshot(path=screenshots / "api.png")
    assert all(name in shown for name in ("/list_styles", "/stylize", "/train"))
    assert "/draw" not in shown and "from gradio_client import" in shown, "it opens on Python"
