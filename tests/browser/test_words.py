"""Nothing on the page speaks in Gradio's words: texts, labels for screen readers, tooltips, in English and Chinese."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core.ui.components.gradio_words import LABELS, TEXTS
from core.ui.i18n import in_chinese
from tests.visitor import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Visit = Callable[..., "Page"]
TABS = ("stylize", "new-style", "vote")
# What could be read, seen beside the pointer or heard, outside of tags that no one meets.
TOLD = """() => [...document.querySelectorAll('.gradio-container *, .toast-wrap *')].flatMap((part) => {
  if (!part.getClientRects().length && !part.matches('input[type=file]')) return [];
  const said = ['aria-label', 'title', 'placeholder'].map((name) => part.getAttribute(name));
  const read = [...part.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data);
  return [...said, ...read].filter(Boolean).map((text) => text.trim()).filter(Boolean);
})"""
SAME = re.compile(r"StyleIdentity|JoJoGAN|Alpha|JPEG|PNG|API|MCP|zip|XXXX|\S+\.(?:png|jpg)")


def of_gradio(page: Page) -> set[str]:
    """Texts and labels of Gradio's that the page should say in words of its own."""
    ours = {*TEXTS.values(), *LABELS.values()}
    theirs = [re.sub(r"\\\{\w+\\\}", ".+", re.escape(text.strip())) for text in (*TEXTS, *LABELS) if text not in ours]
    return {text for text in page.evaluate(TOLD) if re.fullmatch("|".join(theirs), text)}


def english(page: Page) -> set[str]:
    """Texts and labels with English words in them, on a Chinese page."""
    return {text for text in page.evaluate(TOLD) if re.search("[A-Za-z]{3,}", SAME.sub("", text))}


def unfold(page: Page) -> None:
    """Open every folded part in view."""
    page.evaluate(
        "document.querySelectorAll('.label-wrap:not(.open)').forEach((head) => head.offsetParent && head.click())"
    )
    page.wait_for_timeout(300)


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_every_tab_speaks_in_our_words(visit: Visit, tmp_path: Path, screenshots: Path, locale: str) -> None:
    page = visit(locale=locale)
    page.wait_for_selector("#status .dot.ready")
    foreign = english if locale == "zh-CN" else of_gradio
    for name in TABS:
        page.click(f"[role=tab][data-tab-id={name}]")
        unfold(page)
        assert not foreign(page), name
    page.click("[role=tab][data-tab-id=stylize]")
    photos = [str(ROOT / "assets" / "examples" / f"face_{number}.png") for number in (1, 2)]
    page.set_input_files("#several-photos input[type=file]", photos)
    page.wait_for_selector("#several-photos img >> nth=1")
    assert not foreign(page), "several photos"
    fake = tmp_path / "holiday.jpg"
    fake.write_text("this is no picture")
    page.set_input_files("#photo input[type=file]", str(fake))
    title = page.wait_for_selector(".toast-title")
    assert title.inner_text().strip() == (in_chinese("That didn't work") if locale == "zh-CN" else "That didn't work")
    page.screenshot(path=screenshots / f"problem-{locale}.png")
    assert not foreign(page), "a problem"


def test_the_camera_is_asked_for_in_our_words(visit: Visit, screenshots: Path) -> None:
    for locale, words in (("en-US", "Turn on the camera"), ("zh-CN", in_chinese("Turn on the camera"))):
        page = visit(locale=locale)
        page.click("#photo .source-selection button >> nth=1")
        page.get_by_text(words).wait_for()
        assert not of_gradio(page)
        page.screenshot(path=screenshots / f"camera-{locale}.png")


def test_our_words_are_translated() -> None:
    assert all(in_chinese(ours) != ours for ours in (*TEXTS.values(), *LABELS.values()) if ours != "{name}")
