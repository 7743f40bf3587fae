"""Small pieces of HTML: style tiles, the photo with its faces, reference cards, the course of a training run.

Every function is pure: values in, escaped HTML out. Buttons carry `data-pick`; `CLICKS` sends it to the server as
`event.pick` of a click, or of the event that `data-event` names. Words are in the visitor's language.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Sequence
from html import escape
from typing import TYPE_CHECKING

from core.ui.i18n import t, translated
from core.ui.server.session import ChosenPhoto, Crop, Reference

if TYPE_CHECKING:
    from PIL import Image

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
PHOTO_HEIGHT_PX = 208
PHOTO_AREA_PX = 252  # with the line under it; the uploader is as tall, so that nothing jumps
NEW_STYLE = "new"


def data_address(image: Image.Image, *, side_px: int, quality: int = 85) -> str:
    """Return a JPEG copy of `image`, at most `side_px` on its long side, as a data address."""
    copy = image.convert("RGB")
    copy.thumbnail((side_px, side_px))
    buffer = io.BytesIO()
    copy.save(buffer, format="JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def notice(text: str) -> str:
    """Return a sentence about a problem, announced to screen readers; empty for an empty text."""
    return f'<p class="si-notice" role="alert">{escape(translated(text))}</p>' if text else ""


def hint(text: str) -> str:
    """Return a quiet line of help."""
    return f'<p class="si-hint">{escape(translated(text))}</p>'


def tile(
    pick: str, title: str, picture: str, *, caption: str = "", chosen: bool = False, bare: bool = False, event: str = ""
) -> str:
    """Return one square button; `picture` is a data address, `bare` hides the words, `event` is sent for a click."""
    words = "" if bare else f'<span class="name">{escape(title)}</span><span class="count">{escape(caption)}</span>'
    label = f"{title}, {caption}" if caption else title
    sent = f' data-event="{escape(event)}"' if event else ""
    return (
        f'<button type="button" class="si-tile" data-pick="{escape(pick)}"{sent} aria-pressed="{str(chosen).lower()}" '
        f'aria-label="{escape(label)}"><span class="pic"><img src="{picture}" alt=""></span>{words}</button>'
    )


def pictures_word(count: int) -> str:
    """Return "1 picture" or "4 pictures"; nothing for an unknown number."""
    return "" if count < 1 else t("1 picture") if count == 1 else t("{count} pictures", count=count)


def shelf(tiles: Sequence[tuple[str, str, int, str]], chosen: str | None, *, own: Collection[str] = ()) -> str:
    """Return the style shelf: (slug, title, references, picture) each, then the tile that leads to New style.

    Slugs in `own` have a button that takes them off ("delete").
    """
    shown = []
    for slug, title, count, picture in tiles:
        button = tile(slug, translated(title), picture, caption=pictures_word(count), chosen=slug == chosen)
        shown.append(f'<div class="si-own">{button}{_take_off(slug, title)}</div>' if slug in own else button)
    new = (
        f'<button type="button" class="si-tile new" data-event="submit" data-pick="{NEW_STYLE}">'
        '<span class="pic"><span class="plus" aria-hidden="true">+</span></span>'
        f'<span class="name">{t("New style")}</span><span class="count">{t("1–14 pictures")}</span></button>'
    )
    empty = "" if shown else hint("No styles yet. Make one from a few pictures, or open a style file.")
    return f'{empty}<div class="si-tiles" role="group" aria-label="{t("Styles")}">{"".join(shown)}{new}</div>'


def _take_off(slug: str, title: str) -> str:
    words = escape(t("Take {title} off the shelf", title=title))
    return (
        f'<button type="button" class="off" data-event="delete" data-pick="{escape(slug)}" aria-label="{words}" '
        f'title="{words}"><span aria-hidden="true">×</span></button>'
    )


def taken_off(slug: str, title: str) -> str:
    """Return the line that says a style is off the shelf, with the way back ("undo")."""
    return (
        f'<p class="si-hint" role="status">{escape(t("{title} is off your shelf.", title=title))} '
        f'<button type="button" class="si-link" data-event="undo" data-pick="{escape(slug)}">'
        f"{t('Bring it back')}</button></p>"
    )


def shelf_loading(count: int = 7) -> str:
    """Return the shelf's skeleton, as tall as the shelf."""
    words = '<span class="name">&nbsp;</span><span class="count">&nbsp;</span>'
    blank = f'<span class="si-tile"><span class="pic si-skeleton"></span>{words}</span>'
    return f'<div class="si-tiles" aria-busy="true">{blank * count}</div>'


def _placed(kind: str, box: Sequence[float], width: int, height: int) -> str:
    left, top, right, bottom = box
    left, right = max(0, left), min(width, right)
    top, bottom = max(0, top), min(height, bottom)
    return (
        f'class="{kind}" style="left:{100 * left / width:.2f}%;top:{100 * top / height:.2f}%;'
        f'width:{100 * (right - left) / width:.2f}%;height:{100 * (bottom - top) / height:.2f}%"'
    )


def photo_view(photo: ChosenPhoto | None, crop: Crop) -> str:
    """Return the photo with its faces outlined as buttons, or with the square of a manual crop."""
    if photo is None:
        return ""
    marks = ""
    if crop.mode == "manual":
        marks = f"<span {_placed('square', crop.square(photo.width, photo.height), photo.width, photo.height)}></span>"
    elif crop.mode == "detect":
        marks = "".join(
            f'<button type="button" {_placed("face", box, photo.width, photo.height)} data-pick="{i}" '
            f'aria-pressed="{str(i == photo.face_index).lower()}" '
            f'aria-label="{t("Face {number} of {count}", number=i + 1, count=len(photo.boxes))}"></button>'
            for i, box in enumerate(photo.boxes)
        )
    several = len(photo.boxes) > 1 and crop.mode == "detect"
    text = t("{count} faces found. Click the one you want.", count=len(photo.boxes)) if several else photo.name
    ratio = photo.width / photo.height
    return (
        f'<div class="si-photo" style="aspect-ratio:{photo.width}/{photo.height};'
        f'width:min(100%,{round(PHOTO_HEIGHT_PX * ratio)}px)">'
        f'<img src="{photo.view}" alt="{t("Your photo")}">{marks}</div>'
        f'<div class="si-photo-foot"><span class="si-hint">{escape(text)}</span>'
        f'<button type="button" class="si-link" data-pick="crop">{t("Crop it differently")}</button>'
        f'<button type="button" class="si-link" data-event="submit" data-pick="another">'
        f"{t('Use another photo')}</button></div>"
        f"{notice(photo.problem if crop.mode == 'detect' else '')}"
    )


def reference_card(reference: Reference) -> str:
    """Return one style picture: crop and photo-like inversion, or what is wrong with it and how to fix it."""
    name, key = escape(reference.name), escape(reference.key)
    remove = (
        f'<button type="button" class="si-link" data-event="submit" data-pick="{key}" '
        f'aria-label="{t("Remove")} {name}">{t("Remove")}</button>'
    )
    if reference.problem:
        fix = f'<button type="button" class="si-link" data-pick="{key}">{t("Use it as it is")}</button>'
        fix = fix if reference.readable and not reference.aligned else ""
        body = f'<p class="why" role="alert">{escape(translated(reference.problem))}</p>'
        return f'<div class="si-card bad"><p class="title">{name}</p>{body}<div class="acts">{fix}{remove}</div></div>'
    blank = '<div class="si-skeleton"></div>'
    cut, seen = t("The face cut out of {name}", name=name), t("{name} as a photo", name=name)
    crop = f'<img src="{reference.crop_view}" alt="{cut}">' if reference.crop_view else blank
    look = f'<img src="{reference.look_view}" alt="{seen}">' if reference.look_view else blank
    return (
        f'<div class="si-card"><div class="pair"><figure>{crop}<figcaption>{t("the face we use")}</figcaption></figure>'
        f"<figure>{look}<figcaption>{t('as a photo')}</figcaption></figure></div>"
        f'<p class="title">{name}</p><div class="acts">{remove}</div></div>'
    )


def reference_cards(references: Sequence[Reference], *, limit: int, problem: str = "", sets: str = "") -> str:
    """Return all cards, or the empty state with the `sets` that could be taken."""
    if not references:
        empty = "No pictures yet. Drop 1 to {limit} portraits in the style you like; four to eight work well."
        return hint(t(empty, limit=limit)) + sets
    cards = "".join(reference_card(reference) for reference in references)
    return f'{notice(problem)}<div class="si-cards">{cards}</div>'


def step_head(number: int, title: str, state: str) -> str:
    """Return a step's heading; `state` is "off", "on" or "done"."""
    mark = "✓" if state == "done" else str(number)
    number_html = f'<span class="number" aria-hidden="true">{mark}</span>'
    return f'<div class="si-step {state}">{number_html}<h2>{escape(t(title))}</h2></div>'


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


def loss_curve(losses: Sequence[float]) -> str:
    """Return the loss over the steps so far as an inline drawing, 600 x 120 units."""
    if len(losses) < 2:
        return ""
    low, high = min(losses), max(losses)
    span = (high - low) or 1.0
    stride = max(1, len(losses) // 200)
    shown = [*losses[::stride], losses[-1]]
    points = " ".join(
        f"{600 * i / (len(shown) - 1):.1f},{112 - 104 * (value - low) / span:.1f}" for i, value in enumerate(shown)
    )
    ends = {"first": f"{losses[0]:.3f}", "last": f"{losses[-1]:.3f}"}
    label = t("Difference from your style pictures, from {first} to {last}", **ends)
    return (
        f'<svg viewBox="0 0 600 120" preserveAspectRatio="none" role="img" aria-label="{label}">'
        f'<line x1="0" y1="119" x2="600" y2="119"></line><polyline points="{points}"></polyline></svg>'
    )


def training_run(step: int, steps: int, losses: Sequence[float], seconds_left: float | None) -> str:
    """Return the bar, the words and the curve of a run."""
    share = 100 * step / max(1, steps)
    return (
        f'<div class="si-run"><div class="bar" role="progressbar" aria-valuemin="0" aria-valuemax="{steps}" '
        f'aria-valuenow="{step}" aria-label="{t("Training")}"><span style="width:{share:.1f}%"></span></div>'
        f'<div class="line"><span>{t("Step {step} of {steps}", step=step, steps=steps)}</span>'
        f"<span>{time_left(seconds_left)}</span></div>{loss_curve(losses)}"
        f"{hint('The curve is the difference from your style pictures; it should fall.')}</div>"
    )
