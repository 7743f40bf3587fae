"""Contact sheet of one method: a row an artist, the artwork before everybody's portrait; the photos on top."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from core.evaluate.contact import PAPER, TILE_PX, Sheet, Tile
from core.evaluate.hand.report import MethodResult, Portrait
from core.evaluate.hand.subjects import Cast

TITLE_CHARACTERS = 18  # that fit above a tile


def hand_sheet(
    cast: Cast, result: MethodResult, portraits: Sequence[Portrait], tiles: Sequence[Sequence[Image.Image]]
) -> Sheet:
    """Lay out a method's portraits.

    Args:
        cast: people and artists.
        result: of the method.
        portraits: by artist, then by person.
        tiles: the portraits made small, a row an artist.
    """
    blank = Image.new("RGB", (TILE_PX, TILE_PX), PAPER)
    rows = [[Tile(blank), *(Tile(person.image, person.tone or "") for person in cast.people)]]
    width = len(cast.people)
    for number, (artist, pictures) in enumerate(zip(cast.artists, tiles, strict=True)):
        own = portraits[number * width : (number + 1) * width]
        captions = [f"id {row.identity:.2f}  style {row.style_256:.2f}" for row in own]
        name = artist.name if len(artist.faces) == 1 else f"first of {len(artist.faces)}"
        drawn = [Tile(picture, caption) for picture, caption in zip(pictures, captions, strict=True)]
        rows.append([Tile(artist.faces[0].image, _short(name)), *drawn])
    return Sheet(
        f"Method '{result.method}'",
        f"id: identity, more is better, mean {result.identity:.3f}; "
        f"style: distance to the artwork at 256 px, less, mean {result.style_256:.3f}",
        (),
        ["Artwork", *(_short(person.name) for person in cast.people)],
        rows,
        most_rows=len(rows),
    )


def _short(name: str) -> str:
    return name if len(name) <= TITLE_CHARACTERS else f"{name[: TITLE_CHARACTERS - 1]}…"
