"""A portrait in a reference's hand: toned by its palette, drawn with its patches, finished so that the person stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np

from core.brushwork.ground import ground_of
from core.brushwork.painted import cleaned, combed, painted
from core.brushwork.palette import (
    ColourRamp,
    Palette,
    blurred,
    blurred_apart,
    blurred_within,
    chroma_of,
    flatness,
    keep_lightness,
    laplacian_bands,
    lightened,
    lightness,
    luminance,
    matched_bands,
    mean_in,
    resized,
)
from core.brushwork.regions import Regions, features_of, find_regions, inner_face
from core.brushwork.strands import Strips, with_strands
from core.brushwork.synthesize import BrushSettings, Level, Reference, brush_levels, voted_details
from core.imaging.layout import FaceLayout

LINE_ART_CHROMA, LINE_ART_LIGHT = 8.0, 70.0  # skin of less chroma that is lighter is paper, whose white belongs to it:
LINE_ART_SKIN_TONE = 0.5  # there the skin's lightness goes half the way to the photo's
_KEPT = 8  # references whose palette and flatness are remembered
_FLAT = 0.15, 0.35  # share of flat colours from which strokes get wider, and where they are widest
_UNNOTICED = 4.0  # L* by which skin may follow the reference
_OTHER_SKIN = 25.0  # L* that make another complexion
_PRINT, _COLOUR = 2.0, 5.0  # in LAB: how far skin may be from the rest in a tinted print; more by which it is in colour
_DEEPER = 4.0  # L* by which eyes may lie deeper in the shade than in the photo
_MOST = 1.8, 3.0, 1.8, 2.0  # by how much contrast may grow on skin, hair, clothes and ground
_MOST_WHOLE = 3.0
_USUAL = 1.6  # times the reference's usual detail on skin, beyond which strokes on skin are weakened
_STRAY, _STRAY_STROKES = 0.5, 0.8  # share of what strays from a ramp that stays, before strokes are laid and after
_ELSEWHERE = 0.5  # how far such lines are kept away from the eyes
_OWN_LIPS = 0.6  # how far lips differ from skin as they do in the photo
_STRAYS = 3.0, 3.5  # in LAB, added to a ramp's spread; times that by which skin may stray from it
_DARKER = 6.0  # L* by which skin may be darker than its ramp usually is
_STRONG = 2.0  # times the usual detail in a face, from which it is glasses rather than wrinkles
_COLOUR_SIGMA = 12.0  # of colours that come from their place, in pixels of a 512 px portrait


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


_COURSE = 0.025  # of the side
_SETTLED_PX = 256
_EMPHASIS = 1.3  # of the photo's light and shade at eyes, mouth and glasses
_FEATURE_SIGMA = 0.02  # of the side
_PAINTED_RADIUS, _CLOTHES_RADIUS = 6, 10  # at 512 px; patterns of clothes become a few patches
_BARE = 22.0  # in LAB, from the skin, within which a shoulder isn't clothed
_FEW_CLOTHES = 0.015  # share of a picture
_CRISPEST = 2.0, 1.7, 1.5  # times which bands of 0.8, 1.6 and 3.2 px may be strengthened
_EDGES = 0.93  # quantile of a band's strength that stands for edges
_FAINT = 0.012  # strength of detail below which it isn't strengthened
_DETAIL_BANDS, _SURELY = 4, 0.8  # in which skin is calmed and hair enriched
_GAINS = 0.4, 2.0
_NEARLY_NONE = 0.001  # share of a picture
_SKIN_COURSE, _HAIR_COURSE = _Course(6, 0.4, 3, 1.1), _Course(10, 0.6, 6, 1.4)
_CLOTHES_COURSE, _LIPS_COURSE = _Course(8, 0.3, 6, 1.2), _Course(100, 0, 2, 1.1)


@dataclass(frozen=True)
class Reach:
    """Up to which scale a portrait is the reference's strokes: sigma in pixels of a 512 px portrait.

    What is coarser follows the person. Less where a face is recognised, more where it is not; and more where the
    reference is of flat colours with hard edges, which soft light would give a metal's shine. Lines on paper are no
    such colours: their wide scales are another person's beard and shadows.
    """

    features: float = 3.0
    skin: float = 6.0

    def over(self, reference: Reference) -> Reach:
        """Widen it as far as a reference is of flat colours."""
        share = _flat_share(reference)
        return Reach(self.features * (1 + share / 3), self.skin * (1 + 2.5 * share))


@lru_cache(maxsize=_KEPT)
def _flat_share(reference: Reference) -> float:
    """Say how far a reference is of flat colours, 0..1; line art is not."""
    if _is_line_art(reference):
        return 0.0
    size = 512
    flat = flatness(resized(reference.pixels, size), reference.regions.at(size).skin)
    return float(np.clip((flat - _FLAT[0]) / (_FLAT[1] - _FLAT[0]), 0, 1))


@dataclass(frozen=True)
class PortraitSettings:
    """How a portrait is put together.

    Attributes:
        size_px: of the finished portrait.
        bands: of the pyramid in which values are matched, at 512 px.
        skin_tone: how far the lightness of the skin stays the photo's, 0..1.
        background: calmed from the photo, one colour of the reference, or the reference's own.
        reach: of the strokes.
        painted: how far the photo is flattened to calm patches before it is drawn, 0..1.
        place_colour: how far colours come from the same place of the reference (red lips, a blue light from the
            left) instead of from like tones, 0..1.
        own_lines: how much of the person's own stays where a face has strong lines, 0..1.
        keep_hair: how far the lightness of the hair stays the photo's, 0..1.
        whole: how far values are matched to the reference's as a whole after they were region by region, 0..1; there
            may be more hair or ground in the one picture than in the other.
        brush: patch synthesis.
    """

    size_px: int = 512
    bands: int = 5
    skin_tone: float = 1.0
    background: Literal["photo", "plain", "style"] = "style"
    reach: Reach = Reach()
    painted: float = 0.8
    place_colour: float = 0.45
    own_lines: float = 0.8
    keep_hair: float = 0.1
    whole: float = 0.7
    brush: BrushSettings = field(default_factory=BrushSettings)


@dataclass(frozen=True)
class Sitter:
    """Who is portrayed: a photo [H, H, 3] float32 RGB in 0..1, its layout and its regions."""

    pixels: np.ndarray
    layout: FaceLayout
    regions: Regions

    @classmethod
    def of(cls, pixels: np.ndarray, layout: FaceLayout) -> Sitter:
        """Read the regions of a photo; a blurred one is cleaned."""
        regions = find_regions(pixels, layout)
        return cls(cleaned(pixels, layout, regions.at(pixels.shape[0]).hair), layout, regions)


@dataclass(frozen=True)
class _Palettes:
    """The reference's palette, region by region and of the picture as a whole; skin's, hair's and clothes' ramps."""

    regions: Palette
    whole: Palette
    ramps: tuple[ColourRamp | None, ...]

    @classmethod
    @lru_cache(maxsize=_KEPT)
    def of(cls, reference: Reference, size: int, bands: int) -> _Palettes:
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
    return tuple(ColourRamp.of(lab, mask) for mask in (_bare(portrait, size), hair, clothes))


def _with_ramps(pixels: np.ndarray, sitter: Sitter, palettes: _Palettes, stray: float) -> np.ndarray:
    """Give each region's lights and shadows the reference's colours: [S, S, 3]; lips keep theirs.

    Channels that are matched one by one would make a yellow shadow green beside a pink one.
    """
    size = pixels.shape[0]
    lab = cv2.cvtColor(pixels.clip(0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)
    regions = sitter.regions.at(size)
    lips = np.clip(1.5 * blurred(sitter.layout.mask("lips", size), size / 128), 0, 1)
    change: np.ndarray = np.zeros((size, size, 2), np.float32)
    masks = regions.skin * (1 - lips), regions.hair, regions.clothes
    for mask, wanted, own in zip(masks, palettes.ramps, _ramps(pixels, sitter), strict=True):
        if wanted is not None and own is not None:
            change += mask[..., None] * wanted.instead_of(own, lab, stray)
    lab[..., 1:] += change
    back: np.ndarray = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return back


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


def portrait_levels(
    sitter: Sitter, reference: Reference, settings: PortraitSettings = PortraitSettings()
) -> Iterator[np.ndarray]:
    """Draw a portrait: rough ones of 64 px and more first, the finished one last; [S, S, 3] float32 RGB in 0..1."""
    size = settings.size_px
    palettes, reach = _Palettes.of(reference, size, settings.bands + (size > 512)), settings.reach.over(reference)
    photo = resized(sitter.pixels, size)
    hair, clothes = sitter.regions.at(size).hair, sitter.regions.at(size).clothes[..., None]
    calm = settings.painted * (1 - hair)[..., None]
    flat = painted(photo, round(_PAINTED_RADIUS * size / 512))
    calmer = painted(resized(flat, size // 2), round(_CLOTHES_RADIUS / 2 * size / 512))
    flat += clothes * (resized(calmer, size) - flat)
    plain = photo + calm * (flat - photo)
    if Strips.of(reference, size) is None:
        plain = combed(plain, settings.painted * hair, seed=settings.brush.seed, threads=settings.brush.threads)
    posed = _with_background(plain, sitter, reference, settings)
    tones = _in_palette(posed, sitter, reference, palettes, settings, stray=_STRAY)
    for level in brush_levels(tones, sitter.layout, sitter.regions, reference, size_px=size, settings=settings.brush):
        drawn = _stroked(level, resized(tones, level.size_px), sitter, reference, palettes, reach, settings)
        if level.size_px < size:
            yield drawn.clip(0, 1)
        else:
            made = _in_palette(drawn, sitter, reference, palettes, settings, stray=_STRAY_STROKES)
            yield _crisp(with_strands(made, hair, reference, seed=settings.brush.seed), sitter, reference)


def _stroked(
    level: Level,
    tones: np.ndarray,
    sitter: Sitter,
    reference: Reference,
    palettes: _Palettes,
    reach: Reach,
    settings: PortraitSettings,
) -> np.ndarray:
    """Lay the reference's strokes over the person's tones: [S, S, 3].

    Patches bring their fine scales alone. Their means would break cheeks and foreheads into patches of light and
    shade, and no person would be left in them (compare bias-adjusted patches, Darabi et al. 2012, Image Melding).
    """
    size = level.size_px
    scale = size / 512
    here, own_cover = resized(reference.pixels, size), 1 - reference.regions.at(size).background
    cover = 1 - sitter.regions.at(size).background
    sigmas = [scale * sigma for sigma in (reach.skin, reach.features)]
    details = [here - blurred_apart(here, own_cover, sigma) for sigma in sigmas]
    strokes = voted_details(level, details, settings.brush)
    kept = 1 - sitter.regions.at(size).skin[..., None] * (1 - _skin_coloured(level.pixels, palettes.ramps[0]))
    calm = kept * _calm(strokes[0], details[0], sitter, reference)
    wide = _COLOUR_SIGMA * scale
    lips = blurred(sitter.layout.mask("lips", size), size / 64).clip(0, 1)[..., None]  # lipstick is not everybody's
    moved = (
        settings.place_colour * kept * (1 - 0.6 * lips) * chroma_of(blurred_apart(level.pixels - tones, cover, wide))
    )
    shares = (np.ones((size, size), np.float32), _finely(sitter, size))
    own = np.maximum(settings.own_lines * _own_lines(luminance(tones), sitter), _unlike(level, sitter))[..., None]
    made = np.zeros_like(tones)
    for sigma, stroke, share in zip(sigmas, strokes, shares, strict=True):
        smooth = blurred_apart(tones, cover, sigma)
        layer = smooth + moved + calm * stroke
        layer += own * (tones - smooth - calm * stroke)
        made += share[..., None] * (layer - made)
    if settings.background != "photo":
        made = tones + cover[..., None] * (made - tones)
    return made


def _skin_coloured(pixels: np.ndarray, ramp: ColourRamp | None) -> np.ndarray:
    """Say where a picture [S, S, 3] has the colours of skin by its ramp: [S, S, 1] in 0..1; all over without one.

    A fringe or a shadow of the hair that lies where a face's forehead is would come along as stains and scratches.
    """
    if ramp is None:
        return np.ones((*pixels.shape[:2], 1), np.float32)
    lab = cv2.cvtColor(pixels.clip(0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)
    away = np.linalg.norm(lab[..., 1:] - ramp.at(lab[..., 0]), axis=-1) / (ramp.spread + _STRAYS[0])
    darker = (ramp.lights[len(ramp.lights) // 4] - lab[..., 0]) / _DARKER
    share: np.ndarray = (_STRAYS[1] - away).clip(0, 1) * (1.5 - darker).clip(0, 1)
    return blurred(share.astype(np.float32), pixels.shape[0] / 128)[..., None]


def _calm(strokes: np.ndarray, details: np.ndarray, sitter: Sitter, reference: Reference) -> np.ndarray:
    """Say how much of the strokes on skin to keep: less where they are far stronger than the reference's skin is.

    Such strokes are the edge of a fringe, a brim or a shadow that the regions took for skin.

    Args:
        strokes: [S, S, 3] as patches brought them.
        details: [S, S, 3] of the reference, from which they came.

    Returns:
        [S, S, 1] in 0..1.
    """
    size = strokes.shape[0]
    there, here = (np.sqrt(blurred((plane**2).mean(-1), size / 128).clip(1e-8)) for plane in (details, strokes))
    bare = _bare(reference, size) > 0.5
    if bare.sum() < 64:
        return np.ones((size, size, 1), np.float32)
    usual = _USUAL * float(np.quantile(there[bare], 0.6))
    skin = sitter.regions.at(size).skin
    share: np.ndarray = 1 - skin * (1 - np.minimum(1, usual / here))
    return share[..., None]


def _own_lines(grey: np.ndarray, sitter: Sitter) -> np.ndarray:
    """Say where a face is itself: eyes, mouth, detail too strong to be skin, as glasses are: [S, S] in 0..1."""
    size = grey.shape[0]
    face = blurred(sitter.layout.mask("face", size), size / 64)
    energy = np.sqrt(blurred((grey - blurred(grey, size / 128)) ** 2, size / 200).clip(1e-8))
    inside = energy[face > 0.6]
    if inside.size == 0:
        return np.zeros_like(grey)
    usual = float(np.quantile(inside, 0.5)) + 0.004
    eyes, mouth = (
        blurred(np.maximum(*(sitter.layout.mask(part, size) for part in parts)), size / 90).clip(0, 1)
        for parts in (("eyes", "brows"), ("lips", "mouth"))
    )
    around = 0.6 * np.clip(4 * blurred(sitter.layout.mask("eyes", size), size / 24), 0, 1)  # where glasses are
    strong = np.clip((energy / usual - _STRONG) / 2, 0, 1)
    glasses = np.clip(6 * blurred(sitter.layout.mask("eyes", size), size / 14), 0, 1)
    strong = face * np.maximum(glasses * strong, _ELSEWHERE * blurred(strong, size / 128))
    share: np.ndarray = np.maximum.reduce([strong, around, eyes, 0.8 * mouth])
    return share


def _unlike(level: Level, sitter: Sitter) -> np.ndarray:
    """Say where in the face no patch fits, so that a fringe or another's glasses would come along: [S, S] in 0..1."""
    face = blurred(sitter.layout.mask("face", level.size_px), level.size_px / 64)
    usual = float(np.median(level.cost[face > 0.6])) if (face > 0.6).any() else 1.0
    misfit = np.clip((level.cost / max(usual, 1e-6) - 2) / 3, 0, 1)
    share: np.ndarray = 0.9 * face * blurred(misfit, level.size_px / 128).clip(0, 1)
    return share


def _with_background(
    pixels: np.ndarray, sitter: Sitter, reference: Reference, settings: PortraitSettings
) -> np.ndarray:
    """Put behind the person what is wanted: the photo without its clutter, a colour, or the reference's ground."""
    size = settings.size_px
    behind = sitter.regions.at(size).background
    if settings.background == "photo":
        ground = blurred_within(pixels, behind, size / 24)
    else:
        ground = ground_of(reference, size, settings.brush.threads)
        if settings.background == "plain":
            ground = np.broadcast_to(ground.mean((0, 1)), pixels.shape)
    here_alone = _without_backdrop(pixels, 1 - behind, size / 40)
    mixed: np.ndarray = here_alone + behind[..., None] * (ground - here_alone)
    return mixed


def _without_backdrop(pixels: np.ndarray, cover: np.ndarray, sigma_px: float) -> np.ndarray:
    """Estimate the person's own colours where strands and backdrop mix (blurred fusion, Forte 2021): [S, S, 3]."""
    person, backdrop = (blurred_within(pixels, mask, sigma_px) for mask in (cover, 1 - cover))
    alpha = cover[..., None]
    own: np.ndarray = person + alpha * (pixels - alpha * person - (1 - alpha) * backdrop)
    return own.clip(0, 1)


def _finely(sitter: Sitter, size: int) -> np.ndarray:
    """Say where strokes are fine: all over the person but on bare skin: [S, S] in 0..1.

    Hair has strands of its own, and a collar would melt in wide strokes.
    """
    features = np.maximum(features_of(sitter.layout, size), 0.7 * sitter.layout.mask("nose", size))
    regions = sitter.regions.at(size)
    fine: np.ndarray = np.maximum(blurred(features, size / 90).clip(0, 1), regions.clothes + regions.hair)
    return fine


def _in_palette(
    pixels: np.ndarray,
    sitter: Sitter,
    reference: Reference,
    palettes: _Palettes,
    settings: PortraitSettings,
    *,
    stray: float,
) -> np.ndarray:
    """Match values region by region, then give skin and hair the photo's lightness back and calm what stands out."""
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
    skin, bare = sitter.regions.at(size).skin, _bare(sitter, size)
    ramp, wanted = ColourRamp.of(lab, bare), ColourRamp.of(own, bare)
    if ramp is None or wanted is None:
        return pixels
    now, then = (np.array([mean_in(plane[..., axis], skin) for axis in (1, 2)]) for plane in (lab, own))
    alike = float(now @ then) / max(float(np.linalg.norm(now) * np.linalg.norm(then)), 1e-6)
    share = amount * np.clip((alike - 0.5) / 0.3, 0, 1)
    lips = np.clip(1.5 * blurred(sitter.layout.mask("lips", size), size / 128), 0, 1)[..., None]
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
    bare, lips = _bare(sitter, size), np.clip(1.5 * blurred(parts, size / 128), 0, 1)
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


def _crisp(pixels: np.ndarray, sitter: Sitter, reference: Reference) -> np.ndarray:
    """Make edges as crisp as the reference's where they are softer, skin as calm, and hair as rich in detail.

    Faint detail isn't strengthened, or noise would come out; features and glasses are not calmed.
    """
    size = pixels.shape[0]
    regions, there = sitter.regions.at(size), _details_of(reference, size)
    cover = 1 - regions.background
    bare, hairy = _bare(sitter, size) > _SURELY, cv2.erode(regions.hair, np.ones((5, 5), np.uint8)) > _SURELY
    features = np.clip(2 * blurred(features_of(sitter.layout, size), size / 48), 0, 1)
    own = np.maximum(0.8 * features, np.clip(1.3 * _own_lines(luminance(pixels), sitter), 0, 1))
    made = pixels.astype(np.float32)
    for number, band in enumerate(laplacian_bands(made, len(there.skin), cover)):
        if number == len(there.skin):
            break
        grey, gain = luminance(band), np.zeros_like(cover)
        if number < len(_CRISPEST):
            now = float(np.quantile(np.abs(grey[cover > 0.5]), _EDGES)) if (cover > 0.5).any() else 0.0
            more = min(max(there.edges[number] / max(now, 1e-4), 1.0), _CRISPEST[number]) - 1
            energy = np.sqrt(blurred(grey**2, 2.0 ** (number + 1)).clip(1e-10))
            gain = more * (cover - regions.hair) * np.clip(energy / _FAINT - 0.5, 0, 1)
        crisper = band + (gain * grey)[..., None]
        calmer = min(_gain(luminance(crisper), bare, there.skin[number]), 1.0) - 1
        richer = max(_gain(grey, hairy, there.hair[number]), 1.0) - 1
        made += crisper - band + (calmer * regions.skin * (1 - own) + richer * regions.hair)[..., None] * crisper
    return made.clip(0, 1)


def _gain(band: np.ndarray, mask: np.ndarray, wanted: float) -> float:
    """Say by what to multiply a band [S, S] for a wanted deviation under a mask [S, S], within bounds."""
    now = float(band[mask].std()) if mask.any() else 0.0
    return float(np.clip(wanted / now, *_GAINS)) if now > 0 and wanted > 0 else 1.0


@dataclass(frozen=True)
class _Details:
    """How strong bands of luminance are: at edges, and their deviations on bare skin and in hair; 0 without any."""

    edges: list[float]
    skin: list[float]
    hair: list[float]


@lru_cache(maxsize=_KEPT)
def _details_of(reference: Reference, size: int) -> _Details:
    """Read them from a reference."""
    cover, bare = 1 - reference.regions.at(size).background, _bare(reference, size) > _SURELY
    hairy = cv2.erode(reference.regions.at(size).hair, np.ones((5, 5), np.uint8)) > _SURELY
    grey = luminance(resized(reference.pixels, size))[..., None]
    count = _DETAIL_BANDS + (size > 512)
    bands = [band[..., 0] for band in laplacian_bands(grey, count, cover)][:count]
    edges = [float(np.quantile(np.abs(band[cover > 0.5]), _EDGES)) for band in bands[: len(_CRISPEST)]]
    deviations = [[float(band[mask].std()) if mask.any() else 0.0 for band in bands] for mask in (bare, hairy)]
    return _Details(edges, *deviations)


def _bare(portrait: Sitter | Reference, size: int) -> np.ndarray:
    """Say where skin surely is, without features: [S, S] in 0..1. Under the brows, for over them may be a fringe."""
    wide = max(3, size // 24)
    skin = cv2.erode(portrait.regions.at(size).skin, np.ones((wide, wide), np.uint8))
    features = np.clip(2 * blurred(features_of(portrait.layout, size), size / 48), 0, 1)
    bare: np.ndarray = skin * (features < 0.2) * (inner_face(portrait.layout, size) > 0.5)
    return bare


@lru_cache(maxsize=_KEPT)
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


def _is_line_art(reference: Reference) -> bool:
    """Say whether a reference's skin has no colour."""
    return _skin_colour(reference)[0] < LINE_ART_CHROMA


def _on_paper(reference: Reference) -> bool:
    """Say whether a face is drawn by lines and tones on paper rather than painted."""
    light, skin = lightness(resized(reference.pixels, 128)), reference.regions.at(128).skin
    return _is_line_art(reference) and mean_in(light, skin) > LINE_ART_LIGHT


def _with_own_features(pixels: np.ndarray, light: np.ndarray, sitter: Sitter, settings: PortraitSettings) -> np.ndarray:
    """Draw eyes, mouth and glasses by the photo's own light and shade, of lightness [S, S]: [S, S, 3]."""
    size = light.shape[0]
    share = settings.own_lines * _own_lines(light / 100, sitter)
    lab = cv2.cvtColor(pixels.clip(0, 1), cv2.COLOR_RGB2LAB)
    drawn = lab[..., 0]
    wide = size * _FEATURE_SIGMA
    own = blurred(drawn, wide) + _EMPHASIS * (light - blurred(light, wide))
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
