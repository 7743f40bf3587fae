"""The result as the page shows it: photo and portrait over each other with a movable cut, and the training's preview.

Both pictures travel inside the HTML, so the page keeps no copy of them as files. The cut is a range input laid over the
pictures, which mouse, touch and arrow keys move; its place is kept on the component's element and so outlives redraws.
Where a browser can, the portrait is copied or shared from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.ui.components import widgets
from core.ui.components.rendering import render
from core.ui.components.theme import static_text

if TYPE_CHECKING:
    from markupsafe import Markup
    from PIL import Image

SHOWN_PX = 640  # shorter pictures are enlarged, so that the browser doesn't
LARGEST_PX = 1280
QUALITY = 92
ROUGH_PX = 128  # drawings of this side or less are rough levels of a finer one, whose pixels shall not be seen
SOFT_PX = 512  # what they are enlarged to first
_LANCZOS, _BICUBIC = 1, 3

SCRIPT = static_text("compare.js")


def _address(image: Image.Image, size: tuple[int, int]) -> str:
    shown = image if image.size == size else image.resize(size, _LANCZOS)
    return widgets.data_address(shown, side_px=LARGEST_PX, quality=QUALITY)


def _size(image: Image.Image) -> tuple[int, int]:
    """Return the size to show a picture in, [W, H] in pixels."""
    scale = min(max(1.0, SHOWN_PX / min(image.size)), LARGEST_PX / max(image.size))
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def _softened(image: Image.Image) -> Image.Image:
    """Enlarge a rough level without ringing; others stay as they are."""
    if max(image.size) > ROUGH_PX:
        return image
    scale = SOFT_PX / max(image.size)
    return image.resize((round(image.width * scale), round(image.height * scale)), _BICUBIC)


def before_after(before: Image.Image, after: Image.Image, *, rough: bool = False) -> Markup:
    """Return photo and portrait of the same framing over each other, with a cut to move.

    Args:
        rough: the portrait is not finished, and says so.
    """
    after = _softened(after) if rough else after
    size = _size(after)
    pictures = {"before": _address(before, size), "after": _address(after, size)}
    return render(widgets.TEMPLATE, "before_after", **pictures, ratio=size[0] / size[1], rough=rough)


def preview(image: Image.Image, *, practice: bool = False) -> Markup:
    """Return the picture that shows how far a training run is.

    Args:
        practice: it is a face that the run is going to learn from.
    """
    return render(widgets.TEMPLATE, "preview", picture=_address(image, _size(image)), practice=practice)
