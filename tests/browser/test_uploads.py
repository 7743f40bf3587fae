"""Large pictures become smaller in the browser before they travel; what it can't read travels as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from core.config import PhotoLimits
from tests.visitor import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Visit = Callable[..., "Page"]
FACE = ROOT / "assets" / "examples" / "face_2.png"
ON_ITS_SIDE = 6  # EXIF: turn it 90 degrees clockwise to see it upright
GPS, ORIENTATION = 0x8825, 0x0112


def noisy(size: tuple[int, int], *, seed: int = 0) -> Image.Image:
    """The example face in the middle of a large picture that JPEG can't make small."""
    noise = np.random.default_rng(seed).integers(0, 120, (size[1], size[0], 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    side = min(size) * 3 // 4
    with Image.open(FACE) as face:
        picture.paste(face.convert("RGB").resize((side, side)), ((size[0] - side) // 2, (size[1] - side) // 2))
    return picture


def on_the_server(page: Page, selector: str, file: Path) -> Path:
    """Choose a file; where the server put what arrived."""
    with page.expect_response(
        lambda reply: "/gradio_api/upload" in reply.url and reply.request.method == "POST"
    ) as sent:
        page.set_input_files(selector, str(file))
    return Path(sent.value.json()[0])


def test_a_large_photo_arrives_smaller_upright_and_without_its_place(
    visit: Visit, tmp_path: Path, screenshots: Path
) -> None:
    page = visit()
    photo, exif = tmp_path / "holiday.jpg", Image.Exif()
    exif[ORIENTATION] = ON_ITS_SIDE
    exif.get_ifd(GPS)[1] = "N"
    upright = noisy((3600, 4800))
    upright.transpose(Image.Transpose.ROTATE_90).save(photo, quality=90, exif=exif)
    arrived = on_the_server(page, "#photo input[type=file]", photo)
    longest = PhotoLimits().max_side_px
    with Image.open(arrived) as image:
        assert image.format == "JPEG" and image.size == (longest * 3 // 4, longest), "upright"
        assert not dict(image.getexif())
        there = np.asarray(image.convert("RGB").resize((48, 64)), dtype=float)
    assert arrived.stat().st_size < photo.stat().st_size
    assert np.abs(there - np.asarray(upright.resize((48, 64)), dtype=float)).mean() < 12
    page.wait_for_selector("#photo-view .frame")
    assert "holiday.jpg" in page.inner_text("#photo-view")
    page.screenshot(path=screenshots / "large-photo.png")


def test_a_heavy_png_arrives_as_jpeg_and_a_small_photo_as_it_is(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    heavy, small = tmp_path / "heavy.png", tmp_path / "small.jpg"
    noisy((1500, 1500)).save(heavy)
    noisy((900, 900)).save(small, quality=85)
    arrived = on_the_server(page, "#photo input[type=file]", heavy)
    with Image.open(arrived) as image:
        assert image.format == "JPEG" and image.size == (1500, 1500)
    page.wait_for_selector("#photo-view .frame")
    page.click("#photo-view [data-pick=another]")
    page.wait_for_selector("#photo input[type=file]", state="attached")
    assert on_the_server(page, "#photo input[type=file]", small).read_bytes() == small.read_bytes()


@pytest.mark.parametrize("name", ["IMG_0001.heic", "broken.jpg"])
def test_what_the_browser_cannot_read_travels_as_it_is(visit: Visit, tmp_path: Path, name: str) -> None:
    page = visit()
    file = tmp_path / name
    file.write_bytes(np.random.default_rng(0).bytes(4_000_000))
    assert on_the_server(page, "#photo input[type=file]", file).read_bytes() == file.read_bytes()


def test_several_style_pictures_are_smaller_too(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    page.click("#styles button.new")
    files = [tmp_path / f"drawing_{number}.png" for number in (1, 2)]
    for number, file in enumerate(files):
        noisy((1400, 1400), seed=number).save(file)
    with page.expect_response(
        lambda reply: "/gradio_api/upload" in reply.url and reply.request.method == "POST"
    ) as sent:
        page.set_input_files("#references input[type=file]", [str(file) for file in files])
    for path in map(Path, sent.value.json()):
        assert path.stat().st_size < 0.8 * files[0].stat().st_size
