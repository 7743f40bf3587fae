"""The app as a visitor meets it: first picture, own style, mistakes, a phone, the dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from core.config import ASSETS_DIR

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Visit = Callable[..., "Page"]
TRAINING_MS = 600_000
PORTRAIT_PX = 512
PHOTO_INPUT = "#photo input[type=file]"


def download(page: Page, selector: str, target: Path) -> Path:
    """Click a download button and keep the file."""
    page.wait_for_selector(f"{selector}:not([disabled])")
    with page.expect_download() as waiting:
        page.click(selector)
    waiting.value.save_as(target)
    return target


def pixels(image: Image.Image, side: int) -> np.ndarray:
    """[side, side, 3] float64 in [0, 255]."""
    return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS), dtype=np.float64)


def mean_chroma(values: np.ndarray) -> float:
    """Mean difference between a pixel's strongest and weakest channel, in [0, 255]; 0 for grey."""
    return float((values.max(axis=-1) - values.min(axis=-1)).mean())


def upload_photo(page: Page, path: Path) -> None:
    """Upload a photo on the Stylize tab and wait for its face."""
    page.set_input_files(PHOTO_INPUT, str(path))
    page.wait_for_selector("#photo-view .frame")


def test_photo_and_four_engravings_become_an_engraved_portrait(
    visit: Visit, shared_dir: Path, tmp_path: Path, screenshots: Path
) -> None:
    from core.imaging.photo import load_photo

    page = visit()
    photo = shared_dir / "photos" / "portrait_00.jpg"
    upload_photo(page, photo)

    page.click("#styles button.new")
    references = sorted((shared_dir / "styles").glob("engraving_*.webp"))[:4]
    page.set_input_files("#references input[type=file]", [str(path) for path in references])
    page.wait_for_function(
        "document.querySelectorAll('#cards .si-card:not(.bad) img').length === 8", timeout=TRAINING_MS
    )
    page.screenshot(path=screenshots / "references.png", full_page=True)
    assert page.locator("#preset input[type=radio]").first.is_checked()
    page.click("#advanced > button")
    page.fill("#steps input[type=number]", "12")
    page.press("#steps input[type=number]", "Tab")

    page.click("#train:not([disabled])")
    page.wait_for_selector("#run svg polyline", timeout=TRAINING_MS)
    page.wait_for_selector("#preview img", timeout=TRAINING_MS)
    page.screenshot(path=screenshots / "training.png", full_page=True)
    asks = "!window.dispatchEvent(new Event('beforeunload', {cancelable: true}))"
    assert page.evaluate(asks), "leaving would end the run"
    page.wait_for_selector("#use", timeout=TRAINING_MS)
    assert not page.evaluate(asks)
    page.fill("#style-name input, #style-name textarea", "Old engraving")
    page.click("#use")

    page.wait_for_selector("#result img")
    assert "Old engraving" in page.inner_text("#styles [aria-pressed=true]")
    page.screenshot(path=screenshots / "portrait.png", full_page=True)
    with Image.open(download(page, "#download", tmp_path / "portrait.png")) as portrait:
        assert portrait.format == "PNG"
        portrait.load()
    assert portrait.size == (PORTRAIT_PX, PORTRAIT_PX)
    portrait.save(screenshots / "engraved-portrait.png")

    drawn = pixels(portrait, 256)
    assert mean_chroma(drawn) < 20, "an engraving is nearly grey"
    assert drawn.mean(axis=-1).std() > 30, "an engraving has dark lines on light paper"
    before = page.locator("#result img").first.evaluate(
        "image => { const c = document.createElement('canvas'); c.width = c.height = 256;"
        " c.getContext('2d').drawImage(image, 0, 0, 256, 256);"
        " return Array.from(c.getContext('2d').getImageData(0, 0, 256, 256).data) }"
    )
    crop = np.asarray(before, dtype=np.float64).reshape(256, 256, 4)[..., :3]
    assert np.abs(drawn - crop).mean() > 12, "the portrait must differ from the photo's crop"
    assert load_photo(photo).image.size != portrait.size


def test_first_click_on_a_style_gives_a_picture(visit: Visit, screenshots: Path, tmp_path: Path) -> None:
    page = visit()
    page.click("#styles button.si-tile >> nth=0")
    page.wait_for_selector("#result img")
    page.screenshot(path=screenshots / "first-click.png")
    page.wait_for_selector("#download:not([disabled])")
    with page.expect_response(lambda reply: "gradio_api/file=" in reply.url) as copied:
        page.click("#result [data-copy]")
    assert copied.value.ok and copied.value.url.endswith("portrait-watercolour.png"), "the finished file is copied"
    with Image.open(download(page, "#download", tmp_path / "first.png")) as portrait:
        assert portrait.size == (PORTRAIT_PX, PORTRAIT_PX)


def test_a_webcam_picture_becomes_a_portrait(
    visit_with_camera: Callable[[Path], Page], screenshots: Path, tmp_path: Path
) -> None:
    page = visit_with_camera(ASSETS_DIR / "examples" / "face_1.png")
    page.click("#photo button[aria-label='Use the camera']")
    page.get_by_text("Turn on the camera").click()
    page.click("#photo button[aria-label='Take the photo']")
    page.wait_for_selector("#photo-view .frame")
    assert page.locator("#photo-view .frame").count() == 1
    page.click("#styles button[data-pick=charcoal]")
    page.wait_for_selector("#result img")
    page.screenshot(path=screenshots / "webcam.png")
    with Image.open(download(page, "#download", tmp_path / "webcam-portrait.png")) as portrait:
        assert portrait.size == (PORTRAIT_PX, PORTRAIT_PX)
        assert mean_chroma(pixels(portrait, 64)) < 20, "charcoal is nearly grey"


def test_strength_and_colour_redraw(visit: Visit) -> None:
    page = visit()
    page.click("#styles button.si-tile >> nth=0")
    page.wait_for_selector("#result img")
    page.wait_for_selector("#download:not([disabled])")
    address = "Array.from(document.querySelectorAll('#result img')).map(i => i.src).join()"
    first = page.evaluate(address)
    page.fill("#strength input[type=number]", "40")
    page.press("#strength input[type=number]", "Enter")
    page.press("#strength input[type=number]", "Tab")
    page.wait_for_function(f"{address} !== {first!r}")
    second = page.evaluate(address)
    page.click("#keep-colour input")
    page.wait_for_function(f"{address} !== {second!r}")


def test_a_file_that_is_no_picture_gets_a_sentence(visit: Visit, tmp_path: Path, screenshots: Path) -> None:
    fake = tmp_path / "holiday.jpg"
    fake.write_text("this is no picture")
    page = visit()
    page.set_input_files(PHOTO_INPUT, str(fake))
    page.get_by_text("We couldn't read 'holiday.jpg' as a picture.").wait_for()
    page.screenshot(path=screenshots / "no-picture.png")
    page.wait_for_selector(PHOTO_INPUT, state="attached")  # the uploader is empty again


def test_a_photo_without_a_face_gets_a_sentence_and_a_way_on(visit: Visit, tmp_path: Path, screenshots: Path) -> None:
    wall = tmp_path / "wall.png"
    Image.new("RGB", (480, 360), "#8fa08a").save(wall)
    page = visit()
    page.set_input_files(PHOTO_INPUT, str(wall))
    page.get_by_text("We couldn't find a face in 'wall.png'.").wait_for()
    frame = page.wait_for_selector("#photo-view button.frame")
    page.screenshot(path=screenshots / "no-face.png")
    frame.press("ArrowRight")
    page.wait_for_selector("#result img")  # what the frame holds is drawn, whatever it is


def test_the_crop_is_dragged_turned_and_drawn_again(visit: Visit, shared_dir: Path, screenshots: Path) -> None:
    page = visit()
    upload_photo(page, shared_dir / "photos" / "portrait_00.jpg")
    page.wait_for_selector("#result img")
    page.wait_for_selector("#download:not([disabled])")
    before = page.locator("#result img").first.get_attribute("src")
    page.click("#photo-view [data-pick=crop]")
    frame = page.locator("#photo-view button.frame")
    frame.wait_for()
    assert page.locator("#result img").first.get_attribute("src") == before, "nothing was moved yet"
    seen = frame.bounding_box()
    middle = seen["x"] + seen["width"] / 2, seen["y"] + seen["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 12, middle[1] - 6, steps=3)
    page.mouse.up()
    page.wait_for_function("(src) => (document.querySelector('#result img')?.src ?? src) !== src", arg=before)
    handle = page.locator("#photo-view .frame .turn").bounding_box()
    page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
    page.mouse.down()
    page.mouse.move(handle["x"] + 40, handle["y"] + 12, steps=3)
    page.mouse.up()
    assert float(frame.get_attribute("data-degrees")) > 10
    page.screenshot(path=screenshots / "crop.png")
    page.click("#photo-view [data-pick=find]")
    page.wait_for_selector("#photo-view span.frame")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_style_picture_gets_another_crop(visit: Visit, tmp_path: Path, screenshots: Path, width: int) -> None:
    wall = tmp_path / "wall.png"
    Image.new("RGB", (480, 360), "#8fa08a").save(wall)
    page = visit(width=width)
    page.click("#styles button.new")
    files = [str(ASSETS_DIR / "examples" / "face_2.png"), str(wall)]
    page.set_input_files("#references input[type=file]", files)
    page.wait_for_selector("#cards .si-card.bad")
    page.wait_for_selector("#cards .si-card:not(.bad) img >> nth=1")
    before = page.locator("#cards .si-card:not(.bad) img").first.get_attribute("src")
    page.click("#cards .si-card:not(.bad) [data-event=edit]")
    frame = page.locator("#crop-editor button.frame")
    frame.wait_for()
    seen = frame.bounding_box()
    page.mouse.move(seen["x"] + seen["width"] / 2, seen["y"] + seen["height"] / 2)
    page.mouse.down()
    page.mouse.move(seen["x"] + seen["width"] / 2 + 24, seen["y"] + seen["height"] / 2 - 10, steps=3)
    page.mouse.up()
    page.screenshot(path=screenshots / f"style-crop-{width}.png")
    page.click("#crop-editor [data-event=input]")
    page.wait_for_selector("#crop-editor .si-editor", state="detached")
    changed = "(before) => ![before, undefined].includes(document.querySelector('#cards .si-card:not(.bad) img')?.src)"
    page.wait_for_function(changed, arg=before)
    page.click("#cards .si-card.bad [data-event=edit]")
    page.locator("#crop-editor button.frame").press("ArrowRight")
    page.click("#crop-editor [data-event=input]")
    page.wait_for_selector("#cards .si-card.bad", state="detached")
    page.wait_for_function("document.querySelectorAll('#cards .si-card img').length === 4")
    page.screenshot(path=screenshots / f"style-cropped-{width}.png", full_page=True)


def test_an_own_style_is_removed_and_that_is_undone(visit: Visit, screenshots: Path) -> None:
    page = visit()
    presets = page.locator("#styles button.si-tile").count()
    with page.expect_file_chooser() as choosing:
        page.click("#open-style")
    choosing.value.set_files(ASSETS_DIR / "styles" / "charcoal.safetensors")
    own = page.locator("#styles .si-own")
    own.wait_for()
    page.wait_for_selector("#styles .si-own img[src^='data:image/jpeg']")  # an example, drawn in it
    page.screenshot(path=screenshots / "own-style.png")
    own.locator("button.off").click()
    own.wait_for(state="detached")
    assert page.locator("#styles button.si-tile").count() == presets
    assert page.locator("#styles [aria-pressed=true]").count() == 1
    page.screenshot(path=screenshots / "removed.png")
    page.click("#styles button:has-text('Undo')")
    own.wait_for()
    own.locator("button.si-tile").click()
    page.wait_for_selector("#result img")


def test_a_visitor_without_pictures_takes_a_set_of_ours(visit: Visit, screenshots: Path) -> None:
    page = visit()
    page.click("#styles button.new")
    page.screenshot(path=screenshots / "sets.png", full_page=True)
    page.click("#cards button:has-text('Cyanotype')")
    page.wait_for_function("document.querySelectorAll('#cards .si-card:not(.bad) img').length === 8")
    assert "Cyanotype 4" in page.inner_text("#cards")
    page.wait_for_selector("#train:not([disabled])")
    page.screenshot(path=screenshots / "set-taken.png", full_page=True)
    for _ in range(4):
        page.locator("#cards button:has-text('Remove')").first.click()
        page.wait_for_timeout(200)
    page.wait_for_selector("#cards button:has-text('Red chalk')")


def test_a_reference_without_a_face_is_named(visit: Visit, tmp_path: Path) -> None:
    wall = tmp_path / "pattern.png"
    Image.new("RGB", (480, 360), "#8fa08a").save(wall)
    page = visit()
    page.click("#styles button.new")
    page.set_input_files("#references input[type=file]", str(wall))
    page.get_by_text("We couldn't find a face in 'pattern.png'.").wait_for()
    assert page.locator("#train").is_disabled()
    page.click("#cards button:has-text('Remove')")
    page.wait_for_selector("#cards .si-card", state="detached")


def test_phone_stacks_without_sideways_scrolling(visit: Visit, screenshots: Path) -> None:
    page = visit(width=390, height=844)
    page.click("#styles button.si-tile >> nth=0")
    page.wait_for_selector("#result img")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.wait_for_function(
        """() => {
          const [result, styles] = ['#result', '#styles'].map((s) => document.querySelector(s).getBoundingClientRect());
          return result.top >= 0 && result.top < 40 && styles.bottom <= window.innerHeight;
        }"""
    )  # portrait and styles share the screen
    page.screenshot(path=screenshots / "phone.png", full_page=True)
    page.locator("button[role=tab][data-tab-id=new-style]").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.screenshot(path=screenshots / "phone-new-style.png", full_page=True)


def test_dark_page_is_dark(visit: Visit, screenshots: Path) -> None:
    page = visit(dark=True)
    path = screenshots / "dark.png"
    page.screenshot(path=path)
    with Image.open(path) as shot:
        corner = np.asarray(shot.convert("L"))[-40:, :20]
    assert corner.mean() < 40
