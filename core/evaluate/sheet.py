"""A contact sheet for the eye: photos above their reconstructions above some styles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from core.engines.fewshot_gan.style_file import Style
from core.imaging.align import CropMode
from core.imaging.listing import Listed
from core.metrics.crops import align_for_measuring, read_picture
from core.studio import Studio

COLUMNS = 12
GAP_PX = 2


def draw_sheet(
    studio: Studio,
    listed: Sequence[Listed],
    styles: Sequence[Style],
    *,
    crop: CropMode = "detect",
    tile_px: int = 128,
    on_progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Image.Image:
    """Bands of 12 faces; in each band the rows are photo, reconstruction, then every style.

    Args:
        tile_px: side of one picture on the sheet.
        on_progress: (what, done, of how many).

    Raises:
        StyleIdentityError: a photo can't be used.
    """
    rows = 2 + len(styles)
    bands = -(-len(listed) // COLUMNS)
    step = tile_px + GAP_PX
    sheet = Image.new("RGB", (min(COLUMNS, len(listed)) * step, bands * (rows * step + 4 * GAP_PX)), "white")
    for number, item in enumerate(listed):
        on_progress("faces", number, len(listed))
        band, column = divmod(number, COLUMNS)
        face, _ = align_for_measuring(
            read_picture(item.path), studio.backbone.finder, crop, size_px=studio.backbone.resolution
        )
        inversion = studio.invert(face)
        drawn = [studio.stylize_inverted(inversion, style).image for style in (None, *styles)]
        for row, picture in enumerate([face.image, *drawn]):
            tile = picture.resize((tile_px, tile_px), Image.Resampling.LANCZOS)
            sheet.paste(tile, (column * step, band * (rows * step + 4 * GAP_PX) + row * step))
    on_progress("faces", len(listed), len(listed))
    return sheet


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """Write the sheet in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=88)
