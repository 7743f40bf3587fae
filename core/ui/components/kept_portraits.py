"""The portraits of a visit: kept as files to go back to, shown as a strip, saved in the form that a visitor wants."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from markupsafe import Markup

from core.ui.components import widgets
from core.ui.components.rendering import render
from core.ui.components.style_gallery import file_name
from core.ui.friendly_errors import PageProblem
from core.ui.server.session import KeptPortrait, new_key

if TYPE_CHECKING:
    from PIL import Image

Form = Literal["png", "jpeg", "print", "pair"]
FORMS: dict[Form, str] = {"png": "PNG", "jpeg": "JPEG", "print": "Print, 2048 px", "pair": "Before and after"}
MOST = 12
PICTURE_PX = 144
PRINT_PX = 2048
GAP = 0.02  # between photo and portrait, of their width
PAPER = "#ffffff"


def keep(
    folder: Path, before: Image.Image, after: Image.Image, *, of: tuple[object, ...], title: str, blended: bool
) -> KeptPortrait:
    """Write a finished portrait and its photo into the visitor's folder. Raises DiskFull."""
    from core.imaging.photo import save_png, save_portrait

    place = folder / f"portrait-{new_key()}"
    place.mkdir(parents=True, exist_ok=True)
    drawn, photo = place / f"portrait-{file_name(title)}.png", place / "photo.png"
    save_portrait(after, drawn, blended=blended)
    save_png(before, photo)
    picture = widgets.data_address(after, side_px=PICTURE_PX)
    return KeptPortrait(of, title, str(photo), str(drawn), picture, blended)


def with_newest(kept: Sequence[KeptPortrait], newest: KeptPortrait) -> tuple[KeptPortrait, ...]:
    """Put the newest portrait first, in place of an earlier one of the same face and style.

    Files of those that go with that, and of the oldest ones, are deleted.
    """
    others = [portrait for portrait in kept if portrait.of != newest.of]
    stay = (newest, *others)[:MOST]
    for portrait in kept:
        if portrait not in stay:
            shutil.rmtree(Path(portrait.after).parent, ignore_errors=True)
    return stay


def read(portrait: KeptPortrait) -> tuple[Image.Image, Image.Image]:
    """Return photo and portrait. Raises PageProblem where the files are gone."""
    from PIL import Image

    try:
        with Image.open(portrait.before) as before, Image.open(portrait.after) as after:
            return before.convert("RGB"), after.convert("RGB")
    except OSError as error:
        raise _gone() from error


def _gone() -> PageProblem:
    return PageProblem("This portrait is no longer here. Draw it again.", title="Portrait gone")


def saved(portrait: KeptPortrait, form: str | None) -> Path:
    """Return the file of a portrait in a form; unknown forms give the portrait as it was drawn.

    Raises PageProblem where its files are gone, DiskFull.
    """
    from PIL import Image

    from core.imaging.photo import save_portrait

    drawn = Path(portrait.after)
    if form not in get_args(Form) or form == "png":
        if not drawn.is_file():
            raise _gone()
        return drawn
    target = drawn.with_name(f"{drawn.stem}-{form}.jpg")
    if target.exists():
        return target
    before, after = read(portrait)
    if form == "print":
        scale = PRINT_PX / max(after.size)
        size = round(after.width * scale), round(after.height * scale)
        after = after.resize(size, Image.Resampling.LANCZOS) if scale > 1 else after
    elif form == "pair":
        step = after.width + round(GAP * after.width)
        both = Image.new("RGB", (step + after.width, after.height), PAPER)
        both.paste(before.resize(after.size, Image.Resampling.LANCZOS), (0, 0))
        both.paste(after, (step, 0))
        after = both
    save_portrait(after, target, blended=portrait.blended or form == "pair")
    return target


def strip(kept: Sequence[KeptPortrait]) -> Markup:
    """Return the portraits as small tiles, whose clicks send their number; a hint before there is one."""
    return render(widgets.TEMPLATE, "strip", kept=kept)
