"""The styles that a visitor can choose from: the presets and their own, and a style file opened from disk."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import Markup

from core.errors import PhotoUnreadable, Sentence, StyleFileInvalid, StyleIdentityError
from core.ui.components import widgets
from core.ui.components.widgets import Tile
from core.ui.server.limits import limits
from core.ui.server.runtime import LOCAL, studio
from core.ui.server.session import MyStyle, new_key

THUMBNAIL_PX = 224
NO_PICTURE = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E%3Crect width='8' height='8' "
    "fill='%239a8f7e' opacity='.35'/%3E%3Ccircle cx='4' cy='3.2' r='1.4' fill='%239a8f7e'/%3E%3Cpath "
    "d='M1.2 8a2.8 2.8 0 0 1 5.6 0z' fill='%239a8f7e'/%3E%3C/svg%3E"
)


@dataclass(frozen=True)
class FoundStyle:
    """A style's title and file."""

    title: str
    path: Path


@functools.lru_cache(maxsize=64)
def _thumbnail(path: str) -> str:
    from core.imaging.photo import load_photo

    try:
        return widgets.data_address(load_photo(path).image, side_px=THUMBNAIL_PX)
    except (OSError, PhotoUnreadable):
        return NO_PICTURE


def tiles(mine: Sequence[MyStyle], engine: str | None = None) -> list[Tile]:
    """Return a tile for each ready-made style of an engine, then for each of the visitor's own that it can draw."""
    ready = [
        Tile(card.slug, card.title, _thumbnail(str(card.thumbnail)), card.references)
        for card in studio().ready_styles(engine=engine)
    ]
    own = [Tile(style.slug, style.title, style.thumbnail, style.references) for style in mine if _draws(engine, style)]
    return ready + own


def _draws(engine: str | None, style: MyStyle) -> bool:
    return style.engine in ("", engine or studio().default)


def first_style(engine: str | None = None) -> str | None:
    """Return the slug that is chosen when the page opens, None where an engine has no ready-made style."""
    ready = studio().ready_styles(engine=engine)
    return ready[0].slug if ready else None


def gallery(
    mine: Sequence[MyStyle], chosen: str | None, engine: str | None = None, *, removed: MyStyle | None = None
) -> Markup:
    """Return the gallery's HTML; own styles can be removed, and the last removal can be undone."""
    shown = widgets.style_gallery(tiles(mine, engine), chosen, own={style.slug for style in mine})
    return shown if removed is None else widgets.style_removed(removed.slug, removed.title) + shown


def drawable(mine: Sequence[MyStyle], engine: str | None = None) -> dict[str, Path]:
    """Return the files of the styles that an engine can really draw, by slug; a damaged one is left out."""
    files = {card.slug: card.path for card in studio().ready_styles(engine=engine)}
    files |= {style.slug: Path(style.path) for style in mine if _draws(engine, style)}
    return {slug: path for slug, path in files.items() if _can_be_read(path, engine)}


def _can_be_read(path: Path, engine: str | None) -> bool:
    try:
        LOCAL.style_at(path, engine)
    except StyleIdentityError:
        return False  # it says why when it is chosen
    return True


def with_faces(pictures: Mapping[str, str], *, of: object) -> dict[str, Any]:
    """Return the update that puts pictures of the visitor's face on tiles, without drawing the gallery anew.

    Args:
        pictures: data addresses by slug; other tiles keep theirs.
        of: what decides the face; those of another face leave their tiles. None takes all of them away.
    """
    return gr.update(faces={"of": None if of is None else str(hash(of)), "pictures": dict(pictures)})


def find(slug: str | None, mine: Sequence[MyStyle], engine: str | None = None) -> FoundStyle | None:
    """Return a style, or None if the engine has no such style."""
    for style in mine:
        if style.slug == slug and _draws(engine, style):
            return FoundStyle(style.title, Path(style.path))
    for card in studio().ready_styles(engine=engine):
        if card.slug == slug:
            return FoundStyle(card.title, card.path)
    return None


def open_file(upload: str, folder: Path, engine: str | None = None) -> MyStyle:
    """Copy an uploaded style file into a folder of its own in the visitor's folder and check it.

    Args:
        upload: the file.
        folder: the visitor's.
        engine: who shall draw in the style; the server's own where None.

    Raises:
        StyleFileInvalid: it is no style, or too large.
        StyleForOtherBackbone: it was trained for another generator.
    """
    source = Path(upload)
    if source.suffix.lower() != ".safetensors":
        raise StyleFileInvalid(source.name, "it is not a .safetensors file")
    if source.stat().st_size > limits().upload_bytes:
        limit_mb = limits().upload_bytes // 10**6
        raise StyleFileInvalid(source.name, Sentence("it is larger than {limit} MB", limit=limit_mb))
    slug = f"my-{new_key()}"
    own = folder / slug
    path = own / f"{file_name(source.stem)}.safetensors"
    own.mkdir(parents=True)
    try:
        shutil.copyfile(source, path)
        style = LOCAL.style_at(path, engine)
    except Exception:
        shutil.rmtree(own, ignore_errors=True)
        raise
    return MyStyle(slug, style.name, style.references, NO_PICTURE, str(path), style.engine)


def file_name(title: str) -> str:
    """Return a title as a short file name without an ending."""
    words = "".join(letter if letter.isalnum() else "-" for letter in title.lower())
    return "-".join(part for part in words.split("-") if part)[:40] or "style"
