"""Small pieces of HTML: style tiles, the photo with its faces, reference cards, the course of a training run.

Every function is pure: values in, escaped HTML out, in the visitor's language. Buttons carry `data-pick`; `CLICKS`
sends it to the server as `event.pick` of a click, or of the event that `data-event` names.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from markupsafe import Markup

from core.ui.components.rendering import render
from core.ui.components.theme import static_text
from core.ui.i18n import t
from core.ui.server.session import ChosenPhoto, CropChoice, Reference

if TYPE_CHECKING:
    from PIL import Image

    from core.imaging.geometry import Box

CLICKS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-pick]');
  if (!button || !element.contains(button)) return;
  if (button.hasAttribute('aria-pressed')) {
    element.querySelectorAll('[aria-pressed]').forEach((other) => other.setAttribute('aria-pressed', other === button));
  }
  trigger(button.dataset.event || 'click', {pick: button.dataset.pick});
});
"""
FRAME, FACES = static_text("frame.js"), static_text("faces.js")
PHOTO_HEIGHT_PX, EDITED_HEIGHT_PX = 208, 340
PHOTO_AREA_PX = 252  # with the line under it; the uploader is as tall, so that nothing jumps
EDITOR_PX = 900
DRAWN_PX = 320  # of several portraits, each
NEW_STYLE = "new"
TEMPLATE = "widgets.html"


@dataclass(frozen=True)
class Tile:
    """A square button with a picture.

    Attributes:
        slug: what a click sends.
        picture: a data address.
        count: number of pictures that the caption tells, below 1 where that is not known.
    """

    slug: str
    title: str
    picture: str
    count: int

    @property
    def caption(self) -> str:
        """Say "1 picture" or "4 pictures"; nothing for an unknown number."""
        return "" if self.count < 1 else t("1 picture") if self.count == 1 else t("{count} pictures", count=self.count)


@dataclass(frozen=True)
class Mark:
    """A rectangle on a photo, in percent of the photo's width and height."""

    left: float
    top: float
    width: float
    height: float

    @classmethod
    def of(cls, box: Box, photo: ChosenPhoto) -> Mark:
        """Place a box of (left, top, right, bottom) pixels, as far as it is inside the photo."""
        left, top, right, bottom = box
        left, right = max(0, left), min(photo.width, right)
        top, bottom = max(0, top), min(photo.height, bottom)
        across, down = 100 / photo.width, 100 / photo.height
        return cls(across * left, down * top, across * (right - left), down * (bottom - top))


def data_address(image: Image.Image, *, side_px: int, quality: int = 85) -> str:
    """Return a JPEG copy of `image`, at most `side_px` on its long side, as a data address."""
    copy = image.convert("RGB")
    copy.thumbnail((side_px, side_px))
    buffer = io.BytesIO()
    copy.save(buffer, format="JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def png_address(png: bytes) -> str:
    """Return a PNG file's bytes as a data address."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def notice(text: str) -> Markup:
    """Return a sentence about a problem, announced to screen readers; empty for an empty text."""
    return render(TEMPLATE, "notice", text=text)


def hint(text: str) -> Markup:
    """Return a quiet line of help."""
    return render(TEMPLATE, "hint", text=text)


def heading(text: str) -> Markup:
    """Return the name of a part of a tab."""
    return render(TEMPLATE, "label", text=text)


# --- styles ------------------------------------------------------------------------------------------------


def style_gallery(tiles: Sequence[Tile], chosen: str | None, *, own: Collection[str] = ()) -> Markup:
    """Return the styles to choose from, then the tile that leads to New style ("submit").

    Slugs in `own` have a button that removes them ("delete").
    """
    return render(TEMPLATE, "style_gallery", tiles=tiles, chosen=chosen, own=own, new=NEW_STYLE)


def style_removed(slug: str, title: str) -> Markup:
    """Return the line that says a style was removed, with the way back ("undo")."""
    return render(TEMPLATE, "style_removed", slug=slug, title=title)


def styles_loading() -> Markup:
    """Return the style gallery's skeleton, as tall as the gallery."""
    return render(TEMPLATE, "styles_loading", count=7)


# --- photo and portrait ------------------------------------------------------------------------------------


def photo_view(photo: ChosenPhoto | None, crop: CropChoice, *, editing: bool = False, token: str = "") -> Markup:
    """Return the photo with its faces outlined as buttons, or with the frame that cuts one out.

    Args:
        editing: the frame can be moved; it can as well where it was laid by hand, or where no face was found.
        token: another one lets the page lay everything out anew, also what the visitor has moved meanwhile.
    """
    if photo is None:
        return Markup()
    count, by_hand = len(photo.boxes), crop.mode == "manual"
    editing = editing or by_hand or (crop.mode == "detect" and bool(photo.problem))
    finding = crop.mode == "detect" and not editing
    several = t("{count} faces found. Click the one you want.", count=count)
    return render(
        TEMPLATE,
        "photo",
        photo=photo,
        token=token,
        width_px=round((EDITED_HEIGHT_PX if editing else PHOTO_HEIGHT_PX) * photo.width / photo.height),
        frame=(crop if by_hand else photo.frame) if editing or (finding and count == 1) else None,
        editing=editing,
        shorter=min(photo.width, photo.height) / photo.width,
        faces=[Mark.of(box, photo) for box in photo.boxes] if finding and count > 1 else [],
        foot=several if finding and count > 1 else photo.name,
        problem=photo.problem if crop.mode == "detect" else "",
    )


def examples(pictures: Iterable[str]) -> Markup:
    """Return small tiles of example photos, given as data addresses, under the component's translated value."""
    return render(TEMPLATE, "examples", pictures=pictures)


def no_portrait(photo: str, drawings: Sequence[str]) -> Markup:
    """Return what stands in the portrait's place before there is one: a photo, half covered by drawing after drawing.

    The pictures are data addresses; the text is the component's value.
    """
    return render(TEMPLATE, "no_portrait", photo=photo, drawings=drawings)


def no_portrait_text() -> Markup:
    """Return what to do to get a portrait."""
    return render(TEMPLATE, "no_portrait_text")


@dataclass(frozen=True)
class DrawnTile:
    """One of several portraits.

    Attributes:
        name: of its file.
        picture: data address of a small copy.
        address: where the page fetches the file.
    """

    name: str
    picture: str
    address: str

    @classmethod
    def of(cls, image: Image.Image, name: str, published: str) -> DrawnTile:
        """Describe a portrait whose file was published."""
        return cls(name, data_address(image, side_px=DRAWN_PX), file_address(published))


def file_address(published: str) -> str:
    """Return where the page finds a published file, relative to the page itself."""
    return f"gradio_api/file={quote(published)}"


def batch(phase: str, count: int, of: int) -> Markup:
    """Return bar and words of work over several pictures; `count` of them are done."""
    return render(TEMPLATE, "batch", phase=phase, count=count, of=max(1, of))


def drawn_photos(drawn: Sequence[DrawnTile], *, left: int = 0) -> Markup:
    """Return several portraits, each a link to its file, and a place for each that is `left` to be drawn."""
    return render(TEMPLATE, "drawn_photos", drawn=drawn, left=left)


# --- a new style -------------------------------------------------------------------------------------------


def reference_cards(
    references: Sequence[Reference], *, limit: int, problem: str = "", sets: Sequence[Tile] = ()
) -> Markup:
    """Return all cards, or the empty state with the `sets` that could be taken."""
    return render(TEMPLATE, "reference_cards", references=references, limit=limit, problem=problem, sets=sets)


def crop_editor(key: str, name: str, image: Image.Image, frame: CropChoice) -> Markup:
    """Return a style picture with the frame that cuts its face out, and what can be done with it.

    Its events: "input" sends `key:across,down,size,degrees`, "undo" and "click" the key, for the found face and the
    whole picture, "clear" closes it.
    """
    return render(
        TEMPLATE,
        "crop_editor",
        key=key,
        name=name,
        picture=data_address(image, side_px=EDITOR_PX),
        width=image.width,
        height=image.height,
        width_px=round(EDITED_HEIGHT_PX * image.width / image.height),
        frame=frame,
        shorter=min(image.size) / image.width,
    )


def step_head(number: int, title: str, state: str) -> Markup:
    """Return a step's heading; `state` is "off", "on" or "done"."""
    return render(TEMPLATE, "step_head", number=number, title=title, state=state)


def time_left(seconds: float | None) -> str:
    """Return "about 2 minutes left" and the like."""
    if seconds is None:
        return t("estimating the time left")
    if seconds < 5:
        return t("almost done")
    if seconds < 55:
        return t("about {count} seconds left", count=max(5, round(seconds / 5) * 5))
    minutes = max(1, round(seconds / 60))
    return t("about 1 minute left") if minutes == 1 else t("about {count} minutes left", count=minutes)


def loss_curve(losses: Sequence[float]) -> Markup:
    """Return the loss over the steps so far as an inline drawing, 600 x 120 units."""
    if len(losses) < 2:
        return Markup()
    low, high = min(losses), max(losses)
    span = (high - low) or 1.0
    stride = max(1, len(losses) // 200)
    shown = [*losses[::stride], losses[-1]]
    points = " ".join(
        f"{600 * i / (len(shown) - 1):.1f},{112 - 104 * (value - low) / span:.1f}" for i, value in enumerate(shown)
    )
    return render(TEMPLATE, "loss_curve", points=points, first=f"{losses[0]:.3f}", last=f"{losses[-1]:.3f}")


def practice_faces(count: int, of: int) -> Markup:
    """Return bar and words of a run that still draws the faces to learn from; `count` of them are drawn."""
    return render(TEMPLATE, "practice", count=count, of=max(1, of))


def training_run(step: int, steps: int, losses: Sequence[float], seconds_left: float | None) -> Markup:
    """Return the bar, the words and the curve of a run."""
    return render(
        TEMPLATE,
        "training_run",
        step=step,
        steps=steps,
        share=100 * step / max(1, steps),
        left=time_left(seconds_left),
        curve=loss_curve(losses),
    )
