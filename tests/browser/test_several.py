"""Several photos in one go: how far it is stands above the portraits, over nothing, and nothing is half empty."""

from __future__ import annotations

import itertools
import zipfile
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
DRAWN = "#several-results .si-drawn a img"


def dropped(page: Page, photos: list[Path]) -> None:
    """Drop photos into the folded part and press the button."""
    page.click("#several > button")
    page.set_input_files("#several-photos input[type=file]", [str(path) for path in photos])
    page.wait_for_selector(f"#several-photos img >> nth={len(photos) - 1}")
    page.get_by_role("button", name="Draw them all").click()


def boxes(page: Page, *selectors: str) -> list[dict[str, float]]:
    """Where parts are on the page, from top to bottom."""
    found = [page.locator(selector).first.bounding_box() for selector in selectors]
    return sorted((box for box in found if box), key=lambda box: box["y"])


@pytest.mark.parametrize("width", [1280, 390])
def test_portraits_fill_their_place_and_progress_lies_over_nothing(
    visit: Visit, tmp_path: Path, screenshots: Path, width: int
) -> None:
    wall = tmp_path / "wall.png"
    Image.new("RGB", (480, 360), "#8fa08a").save(wall)
    page = visit(width=width)
    dropped(page, [ROOT / "assets" / "examples" / f"face_{number}.png" for number in (1, 2)] + [wall])
    page.wait_for_selector("#several-notes .bar")
    page.locator("#several").screenshot(path=screenshots / f"several-drawing-{width}.png")
    page.wait_for_selector(DRAWN)
    parts = boxes(page, "#several-notes .line", "#several-results .si-drawn", "#several-archive")
    assert len(parts) == 3
    for upper, lower in itertools.pairwise(parts):
        assert upper["y"] + upper["height"] <= lower["y"] + 1, "one thing lies over another"
    page.wait_for_selector("#several-archive:not([disabled])")
    assert page.locator(DRAWN).count() == 2 and not page.locator("#several-results .si-skeleton").count()
    assert page.get_by_text("We couldn't find a face in 'wall.png'.").is_visible()
    assert not page.locator("#several-notes .bar").count() and not page.locator("#several-stop").is_visible()
    place, grid = boxes(page, DRAWN, "#several-results")
    assert grid["height"] - place["height"] < 40 or place["y"] - grid["y"] < 4, "the portraits fill their place"
    page.locator("#several").screenshot(path=screenshots / f"several-{width}.png")
    with page.expect_download() as one:
        page.click("#several-results a >> nth=0")
    with page.expect_download() as everything:
        page.click("#several-archive")
    assert one.value.suggested_filename == "01-face-1-watercolour.png"
    everything.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert len(archive.namelist()) == 2


def test_a_stop_keeps_what_is_drawn(visit: Visit, screenshots: Path) -> None:
    page = visit()
    dropped(page, [ROOT / "assets" / "examples" / f"face_{number % 4 + 1}.png" for number in range(8)])
    page.wait_for_selector(DRAWN)
    page.click("#several-stop")
    page.wait_for_selector("#several-archive:not([disabled])")
    count = page.locator(DRAWN).count()
    assert 1 <= count < 8
    assert page.get_by_text(f"Stopped. {count} of 8 photos are drawn.").is_visible()
    assert not page.locator("#several-results .si-skeleton").count()
    page.locator("#several").screenshot(path=screenshots / "several-stopped.png")
