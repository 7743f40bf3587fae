"""The reference's tones: its values, its colours of light and shade, and what of the photo's own light stays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from core.brushwork.palette import (
    ColourRamp,
    Palette,
    blurred,
    blurred_within,
    keep_lightness,
    lightened,
    lightness,
    matched_bands,
    mean_in,
    resized,
)
from core.brushwork.settings import PortraitSettings
from core.brushwork.sitter import Sitter, bare_skin, own_lines
from core.brushwork.synthesize import KEPT, Reference

LINE_ART_CHROMA, LINE_ART_LIGHT = 8.0, 70.0  # skin of less chroma that is lighter is paper, whose white belongs to it:
LINE_ART_SKIN_TONE = 0.5  # there the skin's lightness goes half the way to the photo's
_UNNOTICED = 4.0  # L* by which skin may follow the reference
_OTHER_SKIN = 25.0  # L* that make another complexion
_PRINT, _COLOUR = 2.0, 5.0  # in LAB: how far skin may be from the rest in a tinted print; more by which it is in colour
_DEEPER = 4.0  # L* by which eyes may lie deeper in the shade than in the photo
_MOST = 1.8, 3.0, 1.8, 2.0  # by how much contrast may grow on skin, hair, clothes and ground
_MOST_WHOLE = 3.0
_OWN_LIPS = 0.6  # how far lips differ from skin as they do in the photo
_COURSE = 0.025  # of the side
_SETTLED_PX = 256
_EMPHASIS, _EMPHASIS_BLURRED = 1.3, 1.1  # of the photo's light and shade at eyes, mouth and glasses
_FEATURE_SIGMA = 0.02  # of the side
_BARE = 22.0  # in LAB, from the skin, within which a shoulder isn't clothed
_FEW_CLOTHES = 0.015  # share of a picture
_NEARLY_NONE = 0.001  # share of a picture


@dataclass(frozen=True)
class _Course:
    """How far light and colour may leave the photo's course: by an amount of L* or chroma, and by a share of it."""

    light: float
    light_share: float
    chroma: float
    chroma_share: float

    def near(self, away: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Bring deviations in LAB [..., 3] near to the photo's own."""
        slack = self.light + self.light_share * np.abs(own[..., :1])
        light = own[..., :1] + (away[..., :1] - own[..., :1]).clip(-slack, slack)
        most, now = (np.linalg.norm(plane[..., 1:], axis=-1, keepdims=True) for plane in (own, away))
        shrink = np.minimum(1, (self.chroma + self.chroma_share * most) / np.maximum(now, 1e-3))
        return np.concatenate([light, shrink * away[..., 1:]], axis=-1)


_SKIN_COURSE, _HAIR_COURSE = _Course(6, 0.4, 3, 1.1), _Course(10, 0.6, 6, 1.4)
_CLOTHES_COURSE, _LIPS_COURSE = _Course(8, 0.3, 6, 1.2), _Course(100, 0, 2, 1.1)


@dataclass(frozen=True)
class Palettes:
    """The reference's palette, region by region and of the picture as a whole; skin's, hair's and clothes' ramps."""

    regions: Palette
    whole: Palette
    ramps: tuple[ColourRamp | None, ...]

    @classmethod
    @lru_cache(maxsize=KEPT)
    def of(cls, reference: Reference, size: int, bands: int) -> Palettes:
        """Read them at a size, in so many bands."""
        here, own = resized(reference.pixels, size), _sampled(reference, size)
        cover = 1 - reference.regions.at(size).background
        regions = Palette.of(here, own, bands=bands, cover=cover)
        whole = Palette.of(here, [np.ones((size, size), np.float32)], bands=bands, cover=cover)
        return cls(regions, whole, _ramps(here, reference))


def _ramps(pixels: np.ndarray, portrait: Sitter | Reference) -> tuple[ColourRamp | None, ...]:
    """Read the ramps of skin, hair and clothes in a picture [S, S, 3]; its grain counts as no colour."""
    size = pixels.shape[0]
    _, hair, clothes, _ = _sampled(portrait, size)
    lab = cv2.cvtColor(blurred(pixels, size / 512).clip(0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)
    return tuple(ColourRamp.of(lab, mask) for mask in (bare_skin(portrait, size), hair, clothes))


def _with_ramps(pixels: np.ndarray, sitter: Sitter, palettes: Palettes, stray: float) -> np.ndarray:
    """Give each region's lights and shadows the reference's colours: [S, S, 3]; lips keep theirs.

    Channels that are matched one by one would make a yellow shadow green beside a pink one.
    """
    size = pixels.shape[0]
    lab = cv2.cvtColor(pixels.clip(0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)
    regions = sitter.regions.at(size)
    lips = _softly(sitter.layout.mask("lips", size))
    change: np.ndarray = np.zeros((size, size, 2), np.float32)
    masks = regions.skin * (1 - lips), regions.hair, regions.clothes
    for mask, wanted, own in zip(masks, palettes.ramps, _ramps(pixels, sitter), strict=True):
        if wanted is not None and own is not None:
            change += mask[..., None] * wanted.instead_of(own, lab, stray)
    lab[..., 1:] += change
    back: np.ndarray = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return back


def _softly(lips: np.ndarray) -> np.ndarray:
    """Widen a mask of lips [S, S] a little, softly."""
    return np.clip(1.5 * blurred(lips, lips.shape[0] / 128), 0, 1)


def _sampled(portrait: Sitter | Reference, size: int) -> tuple[np.ndarray, ...]:
    """Leave out what would spoil a region's palette: lips, whose red would go to foreheads; bare necks; ground's edge.

    Where nearly all is bare, clothes take the colours of hair and ground.
    """
    regions = portrait.regions.at(size)
    lips = np.clip(2 * blurred(portrait.layout.mask("lips", size), size / 90), 0, 1)
    skin = regions.skin * (1 - lips)
    ground = cv2.erode(regions.background, np.ones((size // 32, size // 32), np.uint8))
    clothes = regions.clothes
    if (skin > 0.8).any():
        lab = cv2.cvtColor(resized(portrait.pixels, size).clip(0, 1), cv2.COLOR_RGB2LAB)
        clothes = clothes * (np.linalg.norm(lab - np.median(lab[skin > 0.8], axis=0), axis=-1) > _BARE)
        if clothes.mean() < _FEW_CLOTHES:
            clothes = np.maximum(regions.hair, ground) if isinstance(portrait, Reference) else regions.clothes
    return skin, regions.hair, clothes, ground


def in_palette(
    pixels: np.ndarray,
    sitter: Sitter,
    reference: Reference,
    palettes: Palettes,
    settings: PortraitSettings,
    *,
    stray: float,
) -> np.ndarray:
    """Match values region by region, then give skin and hair the photo's lightness back and calm what stands out.

    Args:
        pixels: [S, S, 3] float32 RGB in 0..1: the photo painted, or the portrait with its strokes.
        sitter, reference: whose tones are wanted, and after whom.
        palettes: of the reference.
        settings: of the portrait.
        stray: which share of the colours that stray from their lights' usual ones stays, 0..1.

    Returns:
        [S, S, 3] float32.
    """
    size, threads = settings.size_px, settings.brush.threads
    regions = sitter.regions.at(size)
    sampled, cover = _sampled(sitter, size), 1 - regions.background
    made = matched_bands(
        pixels, regions.all(), palettes.regions, sampled=sampled, cover=cover, most=_MOST, threads=threads
    ).clip(0, 1)
    alone = [np.ones((size, size), np.float32)]
    whole = matched_bands(made, alone, palettes.whole, cover=cover, most=[_MOST_WHOLE], threads=threads)
    # not on the ground: it is the reference's already
    bald = 1 - min(regions.hair.mean() / max(reference.regions.at(128).hair.mean(), _NEARLY_NONE), 1)
    share = settings.whole * (cover - bald * regions.skin)  # a reference's hair is no shade of skin
    made += share[..., None] * (whole - made)
    made = _with_ramps(made, sitter, palettes, stray)
    skin_tone = settings.skin_tone * (LINE_ART_SKIN_TONE if _on_paper(reference) else 1.0)
    photo = resized(sitter.pixels, size)
    light = lightness(photo)
    made, moved = _with_own_light(made, light, regions.skin, skin_tone)
    if skin_tone > 0:
        other = min(moved / _OTHER_SKIN, 1) * _coloured(reference)
        made = _with_complexion(made, photo, sitter, skin_tone * other)
    made, _ = _with_own_light(made, light, regions.hair, settings.keep_hair)
    made = _with_own_lips(_settled(made, photo, sitter), photo, sitter, _coloured(reference))
    return _with_own_features(_with_open_eyes(made, light, sitter), light, sitter, settings)


def _with_own_light(pixels: np.ndarray, light: np.ndarray, mask: np.ndarray, amount: float) -> tuple[np.ndarray, float]:
    """Bring a region's lightness near to the photo's [S, S], and say by how much of L* all the way is."""
    if amount == 0 or mask.sum() <= 64:
        return pixels, 0.0
    now, wanted = mean_in(lightness(pixels), mask), mean_in(light, mask)
    wanted += float(np.clip(now - wanted, -_UNNOTICED, _UNNOTICED))
    return keep_lightness(pixels, mask, wanted, amount=amount), abs(wanted - now)


def _with_complexion(pixels: np.ndarray, photo: np.ndarray, sitter: Sitter, amount: float) -> np.ndarray:
    """Bring the colours of the skin's lights and shadows towards the photo's, where both are skin's: [S, S, 3].

    Pale skin's pink on dark skin would be ashes.
    """
    size = pixels.shape[0]
    lab, own = (cv2.cvtColor(plane.clip(0, 1).astype(np.float32), cv2.COLOR_RGB2LAB) for plane in (pixels, photo))
    skin, bare = sitter.regions.at(size).skin, bare_skin(sitter, size)
    ramp, wanted = ColourRamp.of(lab, bare), ColourRamp.of(own, bare)
    if ramp is None or wanted is None:
        return pixels
    now, then = (np.array([mean_in(plane[..., axis], skin) for axis in (1, 2)]) for plane in (lab, own))
    alike = float(now @ then) / max(float(np.linalg.norm(now) * np.linalg.norm(then)), 1e-6)
    share = amount * np.clip((alike - 0.5) / 0.3, 0, 1)
    lips = _softly(sitter.layout.mask("lips", size))[..., None]
    light = lab[..., 0]
    change = wanted.at(light) - ramp.at(light)
    change += lips * (then - now - change)  # their colour is not the skin's
    lab[..., 1:] += (share * np.clip(1.5 * skin, 0, 1))[..., None] * change
    back: np.ndarray = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return back


def _with_own_lips(pixels: np.ndarray, photo: np.ndarray, sitter: Sitter, amount: float) -> np.ndarray:
    """Let lips and mouth differ from skin in colour about as in the photo: [S, S, 3]; no silver on dark lips."""
    size = pixels.shape[0]
    lab, own = (cv2.cvtColor(plane.clip(0, 1).astype(np.float32), cv2.COLOR_RGB2LAB) for plane in (pixels, photo))
    parts = np.maximum(sitter.layout.mask("lips", size), sitter.layout.mask("mouth", size))
    bare, lips = bare_skin(sitter, size), _softly(parts)
    if bare.mean() < _NEARLY_NONE:
        return pixels
    skin = [np.array([mean_in(plane[..., axis], bare) for axis in (1, 2)]) for plane in (lab, own)]
    chroma = [float(np.linalg.norm(colour)) for colour in skin]
    paler = min(chroma[0] / max(chroma[1], 1e-6), 1.0)
    wanted = skin[0] + paler * (blurred(own[..., 1:], size / 256) - skin[1])
    lab[..., 1:] += (_OWN_LIPS * amount * lips)[..., None] * (wanted - lab[..., 1:])
    back: np.ndarray = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return back


def _settled(pixels: np.ndarray, photo: np.ndarray, sitter: Sitter) -> np.ndarray:
    """Keep light and colour inside skin, hair, clothes and lips near the photo's own course: no stains, no slabs.

    From `_COURSE` of the side upwards, a place's deviation from its region's mean may exceed the photo's by a little.
    """
    size = min(_SETTLED_PX, photo.shape[0])
    lab = cv2.cvtColor(pixels.clip(0, 1), cv2.COLOR_RGB2LAB)
    now, own = resized(lab, size), cv2.cvtColor(resized(photo, size).clip(0, 1), cv2.COLOR_RGB2LAB)
    regions = sitter.regions.at(size)
    lips = np.clip(1.5 * blurred(sitter.layout.mask("lips", size), size / 256), 0, 1)
    skin = regions.skin * (1 - lips)
    change = np.zeros_like(now)
    for mask, around, limits, course in (
        (skin, skin, _SKIN_COURSE, _COURSE),
        (regions.hair, regions.hair, _HAIR_COURSE, _COURSE),
        (regions.clothes, regions.clothes, _CLOTHES_COURSE, _COURSE),
        (lips, skin, _LIPS_COURSE, _COURSE / 3),
    ):
        if mask.mean() > _NEARLY_NONE and around.mean() > _NEARLY_NONE:
            away, wanted = (
                blurred_within(plane, mask, size * course) - (plane * around[..., None]).sum((0, 1)) / around.sum()
                for plane in (now, own)
            )
            change += mask[..., None] * (limits.near(away, wanted) - away)
    lab += resized(change, photo.shape[0])
    lab[..., 0] = lab[..., 0].clip(0, 100)
    settled: np.ndarray = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return settled


@lru_cache(maxsize=KEPT)
def _skin_colour(reference: Reference) -> tuple[float, float]:
    """Return the chroma of a reference's skin, and how far its colour is from the rest's; little in a tinted print."""
    small = resized(reference.pixels, 128).clip(0, 1)
    lab = cv2.cvtColor(small.astype(np.float32), cv2.COLOR_RGB2LAB)
    skin = reference.regions.at(128).skin
    chroma = mean_in(np.hypot(lab[..., 1], lab[..., 2]), skin)
    own, other = (np.array([mean_in(lab[..., axis], mask) for axis in (1, 2)]) for mask in (skin, 1 - skin))
    return chroma, float(np.linalg.norm(own - other))


def _coloured(reference: Reference) -> float:
    """Say how far a reference's skin is in colour, 0..1: in no line art, nor in a tinted print."""
    chroma, apart = _skin_colour(reference)
    return float(np.clip(min(chroma - LINE_ART_CHROMA, apart - _PRINT) / _COLOUR, 0, 1))


def is_line_art(reference: Reference) -> bool:
    """Say whether a reference's skin has no colour."""
    return _skin_colour(reference)[0] < LINE_ART_CHROMA


def _on_paper(reference: Reference) -> bool:
    """Say whether a face is drawn by lines and tones on paper rather than painted."""
    light, skin = lightness(resized(reference.pixels, 128)), reference.regions.at(128).skin
    return is_line_art(reference) and mean_in(light, skin) > LINE_ART_LIGHT


def _with_own_features(pixels: np.ndarray, light: np.ndarray, sitter: Sitter, settings: PortraitSettings) -> np.ndarray:
    """Draw eyes, mouth and glasses by the photo's own light and shade, of lightness [S, S]: [S, S, 3]."""
    size = light.shape[0]
    share = settings.own_lines * own_lines(light / 100, sitter)
    lab = cv2.cvtColor(pixels.clip(0, 1), cv2.COLOR_RGB2LAB)
    drawn = lab[..., 0]
    wide = size * _FEATURE_SIGMA
    emphasis = _EMPHASIS + sitter.blur * (_EMPHASIS_BLURRED - _EMPHASIS)
    own = blurred(drawn, wide) + emphasis * (light - blurred(light, wide))
    lab[..., 0] = (drawn + share * (own - drawn)).clip(0, 100)
    back: np.ndarray = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return back


def _with_open_eyes(pixels: np.ndarray, light: np.ndarray, sitter: Sitter) -> np.ndarray:
    """Let eyes lie hardly deeper in the shade of the face than in the photo, of lightness [S, S]: [S, S, 3]."""
    size = light.shape[0]
    skin = sitter.regions.at(size).skin
    eyes = blurred(sitter.layout.mask("eyes", size), size / 40)
    eyes = np.clip(2 * eyes, 0, 1)
    drawn = lightness(pixels)
    own, deep = (blurred(plane, size / 40) - mean_in(plane, skin) for plane in (light, drawn))
    lift = np.clip(1.2 * own - _DEEPER - deep, 0, 40) * eyes
    return lightened(pixels, lift)
