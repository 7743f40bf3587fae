"""Contact sheets: what each arm made of every photo, labelled; and faces above their drawings in several styles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from core.config import CropMode
from core.engines.base import Style
from core.evaluate.panel import align_for
from core.imaging.listing import Listed, spread
from core.imaging.photo import save_png
from core.metrics.crops import read_picture
from core.progress import OnProgress, Progress, ignore_progress
from core.studio import Studio

TILE_PX = 176
SMALL_PX = 88
GAP_PX = 10
MARGIN_PX = 28
TITLE_PX, LABEL_PX, CAPTION_PX = 26, 17, 13
PAPER, INK, FAINT, ACCENT = "#fbfaf7", "#22252a", "#767b84", "#3b6ea5"
MOST_ROWS = 8
BAND_FACES, BAND_TILE_PX, BAND_GAP_PX = 12, 128, 4  # of a sheet without labels


@dataclass(frozen=True)
class Tile:
    """A picture with a line below it; an empty one has no line."""

    picture: Image.Image
    caption: str = ""


@dataclass(frozen=True)
class Sheet:
    """What to draw.

    Attributes:
        title, subtitle: on top.
        references: thumbnails; the first is marked as the one that one-shot arms see.
        columns: titles.
        rows: one tile per column in each.
        most_rows: beyond so many, rows are left out evenly.
    """

    title: str
    subtitle: str
    references: Sequence[Image.Image]
    columns: Sequence[str]
    rows: Sequence[Sequence[Tile]]
    most_rows: int = MOST_ROWS


def draw_contact(sheet: Sheet) -> Image.Image:
    """Draw the sheet as one RGB picture; at most `most_rows` rows, evenly spread.

    Raises:
        ValueError: rows of another length than the columns.
    """
    if any(len(row) != len(sheet.columns) for row in sheet.rows):
        raise ValueError(f"every row needs {len(sheet.columns)} tiles, got {[len(row) for row in sheet.rows]}")
    rows = spread(list(sheet.rows), sheet.most_rows)
    step = TILE_PX + GAP_PX
    width = 2 * MARGIN_PX + len(sheet.columns) * step - GAP_PX
    per_line = max(1, (width - 2 * MARGIN_PX + GAP_PX) // (SMALL_PX + GAP_PX))
    lines = -(-len(sheet.references) // per_line)
    captions = CAPTION_PX + 8 if any(tile.caption for row in rows for tile in row) else 0
    head = MARGIN_PX + TITLE_PX + LABEL_PX + 26
    band = head + LABEL_PX + 10 + lines * (SMALL_PX + GAP_PX) + 16 if lines else head
    height = band + LABEL_PX + 14 + len(rows) * (step + captions) + MARGIN_PX - GAP_PX
    page = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((MARGIN_PX, MARGIN_PX - 6), sheet.title, INK, _font(TITLE_PX))
    pen.text((MARGIN_PX, MARGIN_PX + TITLE_PX + 4), sheet.subtitle, FAINT, _font(LABEL_PX))
    if lines:
        _draw_references(page, pen, sheet.references, top=head, per_line=per_line)
    for column, title in enumerate(sheet.columns):
        pen.text((MARGIN_PX + column * step + TILE_PX / 2, band), title, INK, _font(LABEL_PX), anchor="ma")
    for number, row in enumerate(rows):
        top = band + LABEL_PX + 14 + number * (step + captions)
        for column, tile in enumerate(row):
            left = MARGIN_PX + column * step
            page.paste(_fit(tile.picture, TILE_PX), (left, top))
            place = (left + TILE_PX / 2, top + TILE_PX + 5)
            pen.text(place, tile.caption, FAINT, _font(CAPTION_PX), anchor="ma")
    return page


def save_contact(sheet: Sheet, path: Path) -> None:
    """Draw it and write it as PNG. Raises DiskFull."""
    save_png(draw_contact(sheet), path)


def _draw_references(
    page: Image.Image, pen: ImageDraw.ImageDraw, references: Sequence[Image.Image], *, top: int, per_line: int
) -> None:
    few = f"References: few-shot sees all {len(references)}, one-shot the marked one"
    text = few if len(references) > 1 else "Reference"
    pen.text((MARGIN_PX, top), text, INK, _font(LABEL_PX))
    for number, picture in enumerate(references):
        line, column = divmod(number, per_line)
        left = MARGIN_PX + column * (SMALL_PX + GAP_PX)
        upper = top + LABEL_PX + 10 + line * (SMALL_PX + GAP_PX)
        page.paste(_fit(picture, SMALL_PX), (left, upper))
        if number == 0 and len(references) > 1:
            frame = (left - 3, upper - 3, left + SMALL_PX + 2, upper + SMALL_PX + 2)
            pen.rectangle(frame, outline=ACCENT, width=3)


def draw_bands(
    studio: Studio,
    listed: Sequence[Listed],
    styles: Sequence[Style],
    *,
    crop: CropMode = "detect",
    reconstruction: bool = True,
    tile_px: int = BAND_TILE_PX,
    on_progress: OnProgress = ignore_progress,
) -> Image.Image:
    """Draw bands of 12 faces; in each band the rows are photo, reconstruction, then every style.

    Args:
        studio: whose default engine draws.
        listed: photos.
        styles: of that engine.
        crop: how photos are cut.
        reconstruction: whether to show the face as the engine sees it.
        tile_px: side of each picture.
        on_progress: hears of every face.

    Raises:
        StyleIdentityError: a photo can't be used.
    """
    step = tile_px + BAND_GAP_PX
    shown: list[Style | None] = [*([None] if reconstruction else []), *styles]
    band_px = (1 + len(shown)) * step + 2 * BAND_GAP_PX
    bands = -(-len(listed) // BAND_FACES)
    sheet = Image.new("RGB", (min(BAND_FACES, len(listed)) * step, bands * band_px), "white")
    for number, item in enumerate(listed):
        on_progress(Progress("faces", number, len(listed)))
        band, column = divmod(number, BAND_FACES)
        face, _ = align_for(studio, read_picture(item.path), crop)
        prepared = studio.prepare(face)
        drawn = [studio.draw(prepared, style).image for style in shown]
        for row, picture in enumerate([face.image, *drawn]):
            sheet.paste(_fit(picture, tile_px), (column * step, band * band_px + row * step))
    on_progress(Progress("faces", len(listed), len(listed)))
    return sheet


def save_bands(sheet: Image.Image, path: Path) -> None:
    """Write a sheet in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=88)


def _fit(picture: Image.Image, side_px: int) -> Image.Image:
    return picture.convert("RGB").resize((side_px, side_px), Image.Resampling.LANCZOS)


def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)
